//! Whole runs of the binary on small synthetic data: what is written, what is said, and the exit code.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common;
use crate::common::server::Server;
use crate::common::{binary, run, text};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// A dataset of empty images.
fn tree(root: &Path, scans: &[&str]) {
    fs::create_dir_all(root).unwrap();
    let description = json!({ "Name": "tree", "BIDSVersion": "1.10.0" });
    fs::write(root.join("dataset_description.json"), description.to_string()).unwrap();
    fs::write(root.join("task-rest_bold.json"), json!({ "RepetitionTime": 2.0, "TaskName": "rest" }).to_string())
        .unwrap();
    for scan in scans {
        let path = root.join(scan);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
}

/// Participants with T1w images of 4 mm.
fn dataset(dir: &Path, participants: usize) -> PathBuf {
    let root = dir.join("bids");
    let n = participants.to_string();
    run(["synth", root.to_str().unwrap(), "--participants", &n, "--modalities", "T1w", "--voxel-size", "4"]).exits(0);
    root
}

fn summary(output: &Path, participant: &str) -> Value {
    let path = output.join(format!("sub-{participant}/sub-{participant}_summary.json"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Every file below a folder with its bytes, without logs and what holds times.
fn images(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = walkdir::WalkDir::new(root)
        .sort_by_file_name()
        .into_iter()
        .map(|e| e.unwrap().into_path())
        .filter(|p| p.is_file() && p.components().any(|c| c.as_os_str() == "anat" || c.as_os_str() == "func"))
        .map(|p| (p.strip_prefix(root).unwrap().to_owned(), fs::read(&p).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn wrong_requests_have_their_exit_codes() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = (dir.path().join("bids"), dir.path().join("out"));
    tree(&bids, &["sub-01/anat/sub-01_T1w.nii.gz"]);
    run(["--no-such-option"]).exits(64);
    run([text(&dir.path().join("absent")), text(&out), "participant"]).exits(66);
    run([text(&bids), text(&out), "session"]).exits(17);
    let unknown = run([text(&bids), text(&out), "participant", "--participant-label", "02"]).exits(18);
    assert!(unknown.stderr.contains("01"), "the nearest label is named: {}", unknown.stderr);
    run([text(&bids), text(&out), "participant", "--modalities", "bold"]).exits(18);
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    run([text(&bids), text(&file.join("out")), "participant"]).exits(73);
    assert!(!out.exists(), "a refused request leaves nothing");
}

#[test]
fn a_broken_scan_fails_alone_and_a_second_run_does_only_what_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = (dataset(dir.path(), 3), dir.path().join("out"));
    let broken = bids.join("sub-02/anat/sub-02_T1w.nii.gz");
    let whole = fs::read(&broken).unwrap();
    fs::write(&broken, &whole[..whole.len() / 2]).unwrap();

    let first = run([text(&bids), text(&out), "participant"]).exits(1);
    assert!(first.last_line().starts_with("3 scans: 2 ok, 1 failed"), "{}", first.stdout);
    assert!(first.stdout.contains("FAILED sub-02_T1w"), "{}", first.stdout);
    let failed = summary(&out, "02");
    assert_eq!(failed["status"], "failed");
    let code = failed["scans"][0]["error"]["code"].as_str().unwrap();
    assert!(["NP-TRUNCATED", "NP-CORRUPT-GZIP"].contains(&code), "{code}");
    assert!(
        !out.join("sub-02/sub-02_success.json").exists()
            && !out.join("sub-02/anat").join("sub-02_desc-preproc_T1w.nii.gz").exists()
    );
    assert!(out.join("sub-01/sub-01_success.json").exists() && out.join("sub-03/sub-03_success.json").exists());

    fs::write(&broken, &whole).unwrap();
    let second = run([text(&bids), text(&out), "participant"]).exits(0);
    assert!(second.last_line().starts_with("3 scans: 1 ok, 0 failed, 2 already done"), "{}", second.stdout);
    let third = run([text(&bids), text(&out), "participant"]).exits(0);
    assert!(third.last_line().starts_with("3 scans: 0 ok, 0 failed, 3 already done"), "{}", third.stdout);
    let group = run([text(&bids), text(&out), "group"]).exits(0);
    assert!(group.stdout.contains("group_T1w.tsv: 3 scans, 0 failed"), "{}", group.stdout);
    let table = fs::read_to_string(out.join("group_T1w.tsv")).unwrap();
    assert_eq!(table.lines().count(), 4);
    let leftovers = walkdir::WalkDir::new(&out)
        .into_iter()
        .filter(|e| e.as_ref().unwrap().path().to_string_lossy().ends_with(".part"));
    assert_eq!(leftovers.count(), 0);
}

#[test]
fn a_dry_run_says_what_it_would_do_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = (dir.path().join("bids"), dir.path().join("out"));
    tree(&bids, &["sub-01/ses-A/anat/sub-01_ses-A_T1w.nii.gz", "sub-01/ses-A/func/sub-01_ses-A_task-rest_bold.nii.gz"]);
    let plan = run([text(&bids), text(&out), "participant", "--dry-run", "--format", "json"]).exits(0);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(plan["totals"], json!({ "units": 1, "scans": 2, "scans_to_do": 2 }));
    let bold = &plan["units"][0]["scans"][1];
    assert_eq!(bold["modality"], "bold");
    assert_eq!(bold["stages"][3], "motion_correct");
    assert!(
        bold["outputs"]
            .as_array()
            .unwrap()
            .iter()
            .any(|o| o == "sub-01/ses-A/func/sub-01_ses-A_task-rest_desc-confounds_timeseries.tsv")
    );
    let shown = run([text(&bids), text(&out), "participant", "--dry-run"]).exits(0);
    assert!(shown.stdout.contains("sub-01 ses-A"), "{}", shown.stdout);
    assert!(!out.exists());
}

#[test]
fn every_t1w_scan_has_maps_and_volumes_of_its_tissues() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = (dir.path().join("bids"), dir.path().join("out"));
    run(["synth", text(&bids), "--participants", "1", "--modalities", "T1w", "--voxel-size", "2"]).exits(0);
    let anat = out.join("sub-01/anat");
    let names = || images(&out).into_iter().filter(|(p, _)| p.to_string_lossy().contains("seg")).count();
    run([text(&bids), text(&out), "participant"]).exits(0);
    assert_eq!(names(), 9);
    let read = |name: &str| nifti::read(&anat.join(name)).unwrap().data;
    let labels = read("sub-01_dseg.nii.gz");
    let mask = read("sub-01_desc-brain_mask.nii.gz");
    let maps = ["GM", "WM", "CSF"].map(|t| read(&format!("sub-01_label-{t}_probseg.nii.gz")));
    let (mut voxels, mut agree, mut sums) = ([0; 4], 0, [0.0; 3]);
    for (at, &label) in labels.indexed_iter() {
        assert_eq!(label > 0.0, mask[at] > 0.0);
        voxels[label as usize] += 1;
        let p = maps.each_ref().map(|m| m[at]);
        assert!((p.iter().sum::<f32>() - mask[at]).abs() < 2e-3, "{p:?}");
        sums.iter_mut().zip(p).for_each(|(sum, p)| *sum += f64::from(p) * 0.008);
        agree += usize::from(label > 0.0 && p.iter().all(|q| *q <= p[label as usize - 1] + 1e-3));
    }
    let [_, grey, white, csf] = voxels;
    assert!(grey > white && white > csf && csf > 0, "{voxels:?}");
    // Labels are of three classes, maps of five: where two tissues share a voxel they may differ.
    assert!(agree * 100 > (grey + white + csf) * 85, "{agree} of {voxels:?}");
    let table = fs::read_to_string(anat.join("sub-01_dseg.tsv")).unwrap();
    assert!(table.starts_with("index\tname\tabbreviation\n0\tBackground\tBG\n1\tGray Matter\tGM\n"), "{table}");
    // The volumes are the sums of the maps, in the summary and in the table of the group.
    let summary = summary(&out, "01");
    let scan = &summary["scans"][0];
    let volume = |name: &str| scan[format!("{name}_volume_ml")].as_f64().unwrap();
    for (name, sum) in ["gm", "wm", "csf"].into_iter().zip(sums) {
        assert!((volume(name) - sum).abs() < 0.002 * sum, "{name} {scan} {sum}");
    }
    assert!((volume("intracranial") - volume("brain")).abs() < 0.1, "{scan}");
    run([text(&bids), text(&out), "group"]).exits(0);
    let group = fs::read_to_string(out.join("group_T1w.tsv")).unwrap();
    assert!(group.contains("\tgm_volume_ml\twm_volume_ml\tcsf_volume_ml\tintracranial_volume_ml\t"), "{group}");
    if let Some(checked) = common::peer("check_validator.py", &[&bids, &out]) {
        checked.exits(0);
    }
}

#[test]
fn failures_asked_for_are_the_same_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let bids = dataset(dir.path(), 12);
    let failed = |out: &str, seed: &str| -> Vec<String> {
        let out = dir.path().join(out);
        let ran = run([text(&bids), text(&out), "participant", "--fail-rate", "0.5", "--seed", seed]).exits(1);
        let mut lines: Vec<_> = ran.stdout.lines().filter(|l| l.starts_with("FAILED")).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let first = failed("a", "1");
    assert_eq!(first, failed("b", "1"));
    assert_ne!(first, failed("c", "2"));
}

#[test]
fn one_file_and_a_folder_of_loose_files() {
    let dir = tempfile::tempdir().unwrap();
    let bids = dataset(dir.path(), 2);
    let loose = dir.path().join("loose");
    fs::create_dir(&loose).unwrap();
    fs::copy(bids.join("sub-01/anat/sub-01_T1w.nii.gz"), loose.join("my head_1.nii.gz")).unwrap();
    fs::copy(bids.join("sub-02/anat/sub-02_T1w.nii.gz"), loose.join("other.nii.gz")).unwrap();
    let out = dir.path().join("one");
    run(["process", text(&loose.join("other.nii.gz")), "-o", text(&out)]).exits(0);
    assert!(out.join("sub-other/anat/sub-other_desc-preproc_T1w.nii.gz").exists());
    let out = dir.path().join("many");
    run(["--input-dir", text(&loose), "--output-dir", text(&out), "--parallel", "2"]).exits(0);
    assert!(out.join("sub-myhead1/anat/sub-myhead1_desc-brain_mask.nii.gz").exists());
    assert!(out.join("sub-other/sub-other_success.json").exists());
}

#[test]
fn a_nipoppy_study_runs_what_it_lists() {
    let dir = tempfile::tempdir().unwrap();
    let study = dir.path().join("study");
    dataset(&study, 2);
    fs::create_dir_all(study.join(".nipoppy")).unwrap();
    fs::write(study.join("global_config.json"), "{}").unwrap();
    let manifest = "participant_id\tvisit_id\tsession_id\tdatatype\n02\tunnamed\tunnamed\t['anat']\n";
    fs::write(study.join("manifest.tsv"), manifest).unwrap();
    run([text(&study)]).exits(0);
    let out = study.join("derivatives/neuro-preprocess").join(env!("CARGO_PKG_VERSION")).join("output");
    assert!(out.join("sub-02/sub-02_ses-unnamed_success.json").exists());
    assert!(!out.join("sub-01").exists(), "sub-01 is not in the manifest");
}

#[test]
fn a_run_told_to_stop_can_be_taken_up_again() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = (dataset(dir.path(), 4), dir.path().join("out"));
    let args = [text(&bids), text(&out), "participant", "--nprocs", "1"];
    let mut slow = binary();
    slow.args(args).args(["--slow-stage", "save:3600"]);
    // Its participant has a log once the first scan is at work; it cannot come to the end of its save phase.
    let said = dir.path().join("said");
    let mut slow = Server::start(&mut slow, &said, || out.join("logs/sub-01.jsonl").exists());
    assert_eq!(slow.stop(), Some(75), "{}", fs::read_to_string(said).unwrap());
    assert!(!out.join("sub-01/sub-01_success.json").exists());
    let resumed = run(args).exits(0);
    assert!(resumed.last_line().starts_with("4 scans: 4 ok"), "{}", resumed.stdout);
}
