//! Folders and labels that a shell would run reach the program as they are: Slurm scripts by the real bash, Boutiques by the
//! real bosh.

use crate::common::{NO_TEMPLATE, binary, nipoppy, run, run_command};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names that do something in a shell, and leave a trace when they do.
const NAMES: [&str; 3] =
    ["it's $(touch PWNED) \"q\"", "`touch PWNED`; touch PWNED & #", "-n %a\\ *?[x]{a,b}~ !! | > PWNED"];

fn synth(bids: &Path) {
    let args = ["--participants", "1", "--modalities", "T1w", "--voxel-size", "6"];
    run([&["synth", bids.to_str().unwrap()], &args[..]].concat()).exits(0);
}

/// The folder that the scripts are in.
fn scripts(out: &Path) -> PathBuf {
    let mut folders = fs::read_dir(out.join("logs")).unwrap().map(|e| e.unwrap().path());
    folders.find(|p| p.is_dir() && p.to_string_lossy().contains("slurm-")).unwrap()
}

#[test]
fn job_scripts_run_nothing_that_a_folder_is_called() {
    for name in NAMES {
        let dir = tempfile::tempdir().unwrap();
        let at = |what: &str| dir.path().join(format!("{what} {name}"));
        let (bids, out, filter) = (at("bids"), at("out"), at("filter"));
        synth(&bids);
        fs::write(&filter, "{}").unwrap();
        let mut made = binary();
        made.arg("slurm").args([&bids, &out]).arg("--bids-filter-file").arg(&filter).current_dir(dir.path());
        let said = run_command(&mut made).exits(0).stdout;
        assert!(said.contains("submit.sh"), "{said}");
        let folder = scripts(&out);
        // A stand-in for Slurm's command line says what it was given; the scripts themselves are run by the real bash.
        let sbatch = dir.path().join("sbatch");
        fs::write(&sbatch, "#!/bin/sh\nprintf '<%s>' \"$@\" >>\"$TOLD\"\necho 7\n").unwrap();
        assert!(Command::new("chmod").arg("+x").arg(&sbatch).status().unwrap().success());
        let path = format!("{}:/usr/bin:/bin", dir.path().display());
        let told = dir.path().join("told");
        let mut submit = Command::new("sh");
        submit.arg(folder.join("submit.sh")).current_dir(dir.path()).env("PATH", path).env("TOLD", &told);
        assert!(run_command(&mut submit).exits(0).stdout.contains("array job 7"));
        let told = fs::read_to_string(told).unwrap();
        let output = folder.display().to_string().replace('%', "%%");
        assert!(told.contains(&format!("<--output={output}/%A_%a.log>")), "{told}");
        for script in ["array.sh", "group.sh"] {
            let mut bash = Command::new("bash");
            bash.arg(folder.join(script)).env("SLURM_ARRAY_TASK_ID", "1").current_dir(dir.path());
            run_command(&mut bash).exits(0);
        }
        assert!(out.join("sub-01/sub-01_success.json").is_file() && out.join("group_T1w.tsv").is_file());
        let stray = walkdir::WalkDir::new(dir.path()).into_iter().map(|e| e.unwrap());
        let stray: Vec<_> = stray.filter(|e| e.file_name() == "PWNED").collect();
        assert!(stray.is_empty(), "{stray:?}");
    }
    let dir = tempfile::tempdir().unwrap();
    let bids = dir.path().join("li\u{1b}[2Jne\nbreak");
    synth(&bids);
    let refused = run(["slurm", bids.to_str().unwrap(), dir.path().join("out").to_str().unwrap()]).exits(64).stderr;
    assert!(refused.contains("line break or an invisible character"), "{refused}");
}

#[test]
fn an_invocation_runs_nothing_that_it_holds() {
    let Some(programs) = nipoppy() else { return };
    let dir = tempfile::tempdir().unwrap();
    let bids = dir.path().join("bids $(touch PWNED) `touch PWNED`; touch PWNED");
    synth(&bids);
    let descriptor = crate::common::install::root("boutiques/neuro-preprocess.json");
    let bin = Path::new(env!("CARGO_BIN_EXE_neuro-preprocess")).parent().unwrap();
    let path = format!("{}:{}:/usr/bin:/bin", bin.display(), programs.display());
    let launch = |labels: &[&str]| {
        let invocation = json!({
            "bids_dir": bids, "output_dir": dir.path().join("out"), "analysis_level": "participant",
            "participant_label": labels
        });
        let mut bosh = Command::new(programs.join("bosh"));
        bosh.args(["exec", "launch", "--stream", "--no-container", "--skip-data-collection"]).arg(&descriptor);
        bosh.arg(invocation.to_string()).current_dir(dir.path()).env_clear().env("PATH", &path);
        bosh.env(NO_TEMPLATE.0, NO_TEMPLATE.1);
        run_command(bosh.env("HOME", dir.path()).env("LC_ALL", "C.UTF-8"))
    };
    let hostile = launch(&["01; touch PWNED", "$(touch PWNED)"]);
    let ran = launch(&["01"]);
    assert!(dir.path().join("out/sub-01/sub-01_success.json").is_file(), "{ran:?}");
    assert!(!dir.path().join("PWNED").exists(), "{hostile:?}");
    assert!(hostile.code != 0, "{hostile:?}");
}
