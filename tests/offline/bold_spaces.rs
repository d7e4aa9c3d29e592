//! Bold runs in T1w and template space: a real person through the whole program, read by the tools that people use next; what
//! becomes of runs whose T1w image failed, is missing, is another session's, or is done again.

#![allow(clippy::unwrap_used, clippy::panic)] // The lints' exemption does not reach helpers of tests.

use crate::common;
use crate::common::{Ran, binary, run_command, text};
use nifti::{Header, Voxels};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A dataset of one real person: `anat` and `func` are the folders of the T1w image and of the run below the participant.
fn dataset(folder: &Path, anat: Option<&str>, func: &str) -> PathBuf {
    let bids = folder.join("bids");
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/heads");
    let link = |folder: &str, from: &str, to: &str| {
        let ses = folder.split_once('/').map_or_else(String::new, |(ses, _)| format!("_{ses}"));
        let folder = bids.join("sub-01").join(folder);
        fs::create_dir_all(&folder).unwrap();
        symlink(real.join(format!("sub-pumi_{from}")), folder.join(format!("sub-01{ses}_{to}"))).unwrap();
    };
    link(func, "task-rest_bold.nii.gz", "task-rest_bold.nii.gz");
    link(func, "task-rest_bold.json", "task-rest_bold.json");
    if let Some(anat) = anat {
        link(anat, "T1w.nii.gz", "T1w.nii.gz");
    }
    fs::write(bids.join("dataset_description.json"), r#"{"Name": "one person", "BIDSVersion": "1.10.0"}"#).unwrap();
    bids
}

/// A run over a dataset, with the spaces that are the default unless `more` says otherwise.
fn run(bids: &Path, out: &Path, more: &[&str]) -> Ran {
    let mut command = binary();
    command.env_remove("NEURO_PREPROCESS_OUTPUT_SPACES");
    command.args([text(bids), text(out), "participant", "--no-report"]).args(more);
    run_command(&mut command)
}

/// What the summary of a session says of its run.
fn run_of(out: &Path, session: &str) -> Value {
    let file = fs::read(out.join(format!("sub-01/sub-01{session}_summary.json"))).unwrap();
    let summary: Value = serde_json::from_slice(&file).unwrap();
    summary["scans"].as_array().unwrap().iter().find(|scan| scan["modality"] == "bold").unwrap().clone()
}

/// Names and bytes of the files of the runs.
fn func(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder.join("func")).unwrap().map(|file| file.unwrap());
    files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
}

/// What a dry run says of each scan that is to be done.
fn planned(bids: &Path, out: &Path, more: &[&str]) -> String {
    run(bids, out, &[&["--dry-run"], more].concat()).stdout
}

#[test]
fn a_run_comes_to_the_t1w_image_and_to_mni_in_one_interpolation_and_readers_agree() {
    let folder = tempfile::tempdir().unwrap();
    let bids = dataset(folder.path(), Some("anat"), "func");
    let events = "onset\tduration\ttrial_type\n5\t5\ton\n20\t5\ton\n35\t5\ton\n";
    fs::write(bids.join("sub-01/func/sub-01_task-rest_events.tsv"), events).unwrap();
    // The peer samples volumes as they were scanned, so slices keep their times.
    let spaces = ["--output-spaces", "MNI152NLin2009cAsym:res-2", "T1w", "func", "--ignore", "slicetiming"];
    let out = folder.path().join("out");
    run(&bids, &out, &[&spaces[..], &["--nprocs", "2"]].concat()).exits(0);
    let there = run_of(&out, "")["coregistration"].clone();
    let of = |key: &str| there[key].as_f64().unwrap();
    assert_eq!((&there["accepted"], &there["t1w"]), (&json!(true), &json!("sub-01_T1w")));
    assert!(of("cost") < 0.78 && of("cost") < of("start_cost") && of("share") > 0.9 && of("depth") > 0.2, "{there}");

    // The anatomy first, by another run, and another number of threads: the same bytes.
    let again = folder.path().join("again");
    run(&bids, &again, &[&spaces[..], &["--modalities", "T1w"]].concat()).exits(0);
    run(&bids, &again, &[&spaces[..], &["--nprocs", "1"]].concat()).exits(0);
    let (first, second) = (func(&out.join("sub-01")), func(&again.join("sub-01")));
    assert_eq!(first.keys().collect::<Vec<_>>(), second.keys().collect::<Vec<_>>());
    for (name, bytes) in &first {
        assert!(second[name] == *bytes, "{name}");
    }

    let Some(checked) = common::peer("check_bold.py", &[&bids, &out, Path::new("01"), Path::new("rest")]) else {
        return;
    };
    let found: Value = serde_json::from_str(checked.exits(0).stdout.lines().last().unwrap()).unwrap();
    println!("{found:#}");
    let of = |key: &str| found[key].as_f64().unwrap_or_else(|| panic!("{key} in {found}"));
    for space in ["T1w", "MNI152NLin2009cAsym_res-2"] {
        for volume in [0, 7, 19] {
            let apart = of(&format!("{space}, volume {volume}, share of range, 99.9 %"));
            assert!(apart < 1e-3, "{space}, volume {volume}: {apart}");
        }
        assert!(of(&format!("{space}, boldref is the mean, share of range")) < 1e-3);
    }
    assert!(of("nitransforms, largest mm") < 1e-3, "{found}");
    for space in ["", "_space-T1w", "_space-MNI152NLin2009cAsym_res-2"] {
        assert_eq!(of(&format!("strategies of load_confounds{space}")), 13.0);
    }
    assert_eq!(of("models of first_level_from_bids"), 1.0);
    assert!(of("voxels with an effect") > 100_000.0, "{found}");
    for what in ["preproc", "boldref", "mask"] {
        assert_eq!(of(&format!("{what} in template space")), 1.0, "{what} in {found}");
    }
    if let Some(checked) = common::peer("check_validator.py", &[&out]) {
        checked.exits(0);
    }
    next_programs_find_what_they_ask_for(&bids, &out);
    fitlins_fits_a_model(&bids, &out);
}

/// What a script in `tests/peers` printed of the run.
fn printed(ran: Ran) -> Value {
    let found = serde_json::from_str(ran.exits(0).stdout.lines().last().unwrap()).unwrap();
    println!("{found:#}");
    found
}

/// XCP-D and giga_connectome, by the queries they make.
fn next_programs_find_what_they_ask_for(bids: &Path, out: &Path) {
    let Some(checked) = common::peer("check_readers.py", &[bids, out, Path::new("01"), Path::new("rest")]) else {
        return;
    };
    let found = printed(checked);
    let is = |key: &str, wanted: Value| assert_eq!(found[key], wanted, "{key} in {found}");
    is("XCP-D: space", json!("MNI152NLin2009cAsym"));
    for what in ["runs", "resolutions", "T1w image", "mask in template space"] {
        is(&format!("XCP-D: {what}"), json!(1));
    }
    for what in [
        "transform to the template, as a composite of ITK",
        "transform from the template, as a composite of ITK",
        "boldref",
        "mask",
        "confounds",
        "sidecar of the confounds",
        "the same confounds for the columns",
        "grid of the boldref",
        "grid of the mask",
        "RepetitionTime is the header's",
        "RepetitionTime is the scan's",
        "derivative by a program and its version",
        "a row per volume",
    ] {
        is(&format!("XCP-D: {what}"), json!(true));
    }
    for (what, columns) in [("24P", 24), ("27P", 27), ("36P", 36), ("gsr_only", 1), ("motion and its quality", 7)] {
        is(&format!("XCP-D: columns of {what}"), json!(columns));
        is(&format!("XCP-D: columns of {what}, finite"), json!(true));
    }
    // The run is too short to have a drift slower than the filter's.
    is("XCP-D: columns of acompcor, lacking", json!(["cosine\\d+"]));
    is("XCP-D: components without a word in the sidecar", json!([]));
    is("XCP-D: columns that the sidecar says no object of", json!([]));
    assert!(found["XCP-D: there and back, mm, 99 %"].as_f64().unwrap() < 0.5, "{found}");
    for (what, count) in [("runs", 1), ("masks", 1), ("strategies", 8)] {
        is(&format!("giga_connectome: {what}"), json!(count));
    }
    // The run is too short for those that giga_connectome brings itself.
    assert!(found["giga_connectome: series cleaned"].as_u64().unwrap() > 0, "{found}");
}

/// The program itself, a model of one level and a contrast.
fn fitlins_fits_a_model(bids: &Path, out: &Path) {
    let Some(checked) = common::fitlins("check_fitlins.py", &[bids, out, Path::new("01"), Path::new("rest")]) else {
        return;
    };
    let found = printed(checked);
    for (what, wanted) in
        [("t maps", json!(1)), ("designs", json!(1)), ("the mask's grid", json!(true)), ("outside the mask", json!(0))]
    {
        assert_eq!(found[what], wanted, "{what} in {found}");
    }
    let of = |key: &str| found[key].as_u64().unwrap();
    assert!(of("voxels of the mask") > 100_000, "{found}");
    assert_eq!(of("finite"), of("voxels of the mask"), "{found}");
    assert!(of("with a statistic") * 100 > of("voxels of the mask") * 99, "{found}");
}

#[test]
fn a_run_follows_its_t1w_image() {
    let folder = tempfile::tempdir().unwrap();
    let bids = dataset(folder.path(), Some("anat"), "func");
    let (out, spaces) = (folder.path().join("out"), ["--output-spaces", "T1w", "func"]);
    run(&bids, &out, &spaces).exits(0);
    let whole = func(&out.join("sub-01"));
    assert!(run(&bids, &out, &spaces).exits(0).stdout.contains("2 already done"));
    // What the run needs of it, and only what is lacking, is done again; the run is laid onto the new one.
    fs::remove_file(out.join("sub-01/anat/sub-01_desc-brain_mask.nii.gz")).unwrap();
    let plan = planned(&bids, &out, &spaces);
    assert!(plan.contains("To do    2 scans"), "{plan}");
    // In its own space it does not need it.
    let plan = planned(&bids, &out, &["--output-spaces", "func"]);
    assert!(plan.contains("To do    1 scans"), "{plan}");
    run(&bids, &out, &[&spaces[..], &["--modalities", "T1w"]].concat()).exits(0);
    let plan = planned(&bids, &out, &spaces);
    assert!(
        plan.contains("To do    1 scans") && plan.contains("registered to sub-01/anat/sub-01_T1w.nii.gz"),
        "{plan}"
    );
    run(&bids, &out, &spaces).exits(0);
    assert!(func(&out.join("sub-01")) == whole);
    // What is not asked for any more goes, so that it does not look like new.
    run(&bids, &out, &["--output-spaces", "func", "--force"]).exits(0);
    let left: Vec<String> = func(&out.join("sub-01")).into_keys().collect();
    assert!(left.iter().all(|name| !name.contains("space-") && !name.contains("coreg")), "{left:?}");
}

#[test]
fn without_a_usable_t1w_image_what_was_asked_for_fails_and_what_is_the_default_is_noted() {
    let folder = tempfile::tempdir().unwrap();
    let bids = dataset(folder.path(), None, "func");
    let out = folder.path().join("absent");
    let asked = run(&bids, &out, &["--output-spaces", "T1w"]).exits(1);
    assert!(asked.stderr.contains("NP-NO-ANATOMY") && asked.stdout.contains("sub-01 has none"), "{}", asked.stdout);
    let plan = planned(&bids, &out, &["--output-spaces", "T1w"]);
    assert!(plan.contains("NP-NO-ANATOMY"), "{plan}");
    run(&bids, &out, &[]).exits(0);
    assert!(run_of(&out, "")["notes"].to_string().contains("sub-01 has no T1w image"), "{}", run_of(&out, ""));
    assert!(run(&bids, &out, &[]).exits(0).stdout.contains("1 already done"));

    // One that fails.
    fs::create_dir_all(bids.join("sub-01/anat")).unwrap();
    fs::write(bids.join("sub-01/anat/sub-01_T1w.nii.gz"), "no image").unwrap();
    let out = folder.path().join("failed");
    let asked = run(&bids, &out, &["--output-spaces", "T1w", "func"]).exits(1);
    assert!(asked.last_line().contains("2 failed"), "{}", asked.stdout);
    let error = run_of(&out, "")["error"].clone();
    assert_eq!((&error["code"], &error["stage"]), (&json!("NP-NO-ANATOMY"), &json!("load")));
    let said = error["message"].as_str().unwrap();
    assert!(said.contains("sub-01_T1w failed (NP-") && said.contains("--output-spaces func"), "{said}");
    let default = run(&bids, &out, &[]).exits(1);
    assert!(default.last_line().contains("1 ok, 1 failed"), "{}", default.stdout);
    assert!(run_of(&out, "")["notes"].to_string().contains("sub-01_T1w failed (NP-"), "{}", run_of(&out, ""));
}

#[test]
fn a_run_that_cannot_be_laid_onto_its_t1w_image_stays_in_its_own_space_unless_more_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let bids = dataset(folder.path(), Some("anat"), "func");
    let out = folder.path().join("out");
    let own = ["--output-spaces", "T1w", "func", "--modalities", "T1w"];
    run(&bids, &out, &own).exits(0);
    // The T1w image was not brought to the template that is the default: the run has nothing to follow there.
    run(&bids, &out, &["--modalities", "bold"]).exits(0);
    let notes = run_of(&out, "")["notes"].to_string();
    assert!(notes.contains("own space only") && notes.contains("was processed without xfm_to_template"), "{notes}");
    assert!(func(&out.join("sub-01")).keys().all(|name| !name.contains("space-")));

    // Half a metre away, and the search begins where the headers say.
    let image = bids.join("sub-01/func/sub-01_task-rest_bold.nii.gz");
    let read = nifti::read(&image).unwrap();
    let mut grid = read.header.grid().clone();
    grid.affine[1][3] += 500.0;
    fs::remove_file(&image).unwrap();
    let (header, voxels) = (Header::new(grid, read.header.volumes(), Some(2.52)), Voxels::Scaled(read.data.view()));
    nifti::write(fs::File::create(&image).unwrap(), &header, voxels).unwrap();
    let far = ["--bold2anat-init", "header"];
    let asked = run(&bids, &out, &[&["--output-spaces", "T1w", "func"][..], &far].concat()).exits(1);
    assert!(asked.stderr.contains("NP-COREGISTRATION-FAILED"), "{}", asked.stderr);
    // From the centres of mass the head is found.
    run(&bids, &out, &["--output-spaces", "T1w", "func"]).exits(0);
    assert_eq!(run_of(&out, "")["coregistration"]["start"], "centre of mass");
}

#[test]
fn a_session_without_a_t1w_image_is_laid_onto_that_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let bids = dataset(folder.path(), Some("ses-b/anat"), "ses-a/func");
    let (out, spaces) = (folder.path().join("out"), ["--output-spaces", "T1w", "func"]);
    let ran = run(&bids, &out, &[&spaces[..], &["--nprocs", "2"]].concat()).exits(0);
    assert!(ran.last_line().starts_with("2 scans: 2 ok"), "{}", ran.stdout);
    let of = |out: &Path| run_of(out, "_ses-a")["coregistration"]["t1w"].clone();
    assert_eq!(of(&out), "sub-01_ses-b_T1w");
    assert!(run(&bids, &out, &spaces).exits(0).stdout.contains("2 already done"));
    // One session after the other, as Nipoppy asks for them.
    let apart = folder.path().join("apart");
    for session in ["b", "a"] {
        run(&bids, &apart, &[&spaces[..], &["--session-label", session]].concat()).exits(0);
    }
    assert!(func(&out.join("sub-01/ses-a")) == func(&apart.join("sub-01/ses-a")));
    // A task of an array job has both.
    let mut command = binary();
    command.env_remove("NEURO_PREPROCESS_OUTPUT_SPACES");
    command.args(["slurm", text(&bids), text(&folder.path().join("new")), "--dry-run"]).args(spaces);
    let script = run_command(&mut command).exits(0).stdout;
    assert!(
        script.contains("#SBATCH --array=1-1\n") && script.contains("# 2 participant-sessions in 1 tasks"),
        "{script}"
    );
}
