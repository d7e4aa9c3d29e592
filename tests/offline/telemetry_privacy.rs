//! `--pseudonymize`: nothing that is written to be sent names a participant, and the files for people still do.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common::otlp;
use crate::common::{Ran, binary, run, run_command};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const KEY: &str = "a key of more than sixteen bytes";
/// What must not be found: labels, and parts of names and paths.
const PERSONAL: [&str; 8] =
    ["ALICE77", "BOBBY88", "visitXQ", "BERLINSITE", "Muster", "zebraStudy", "task-vacation", "outZQ"];

/// A study whose every name is personal: two participants, one of them with an image that cannot be read.
fn study(dir: &Path) -> (PathBuf, PathBuf) {
    let bids = dir.join("zebraStudy of Muster/bids");
    run(["synth", bids.to_str().unwrap(), "--participants", "2", "--voxel-size", "4", "--volumes", "8"]).exits(0);
    for (old, new) in [("01", "ALICE77"), ("02", "BOBBY88")] {
        let folder = bids.join(format!("sub-{new}/ses-visitXQ"));
        for (kind, name, becomes) in
            [("anat", "T1w", "acq-BERLINSITE_T1w"), ("func", "task-rest_bold", "task-vacation_bold")]
        {
            fs::create_dir_all(folder.join(kind)).unwrap();
            for end in ["nii.gz", "json"] {
                let from = bids.join(format!("sub-{old}/{kind}/sub-{old}_{name}.{end}"));
                let to = folder.join(kind).join(format!("sub-{new}_ses-visitXQ_{becomes}.{end}"));
                let moved = fs::rename(&from, &to);
                assert!(moved.is_ok() || end == "json", "{}: {moved:?}", from.display());
            }
        }
        fs::remove_dir_all(bids.join(format!("sub-{old}"))).unwrap();
    }
    for sidecar in ["task-rest_bold.json", "participants.tsv"] {
        let _ = fs::remove_file(bids.join(sidecar)); // of names that are gone
    }
    fs::write(bids.join("bold.json"), r#"{"RepetitionTime": 2.0, "TaskName": "vacation"}"#).unwrap();
    let broken = bids.join("sub-BOBBY88/ses-visitXQ/anat/sub-BOBBY88_ses-visitXQ_acq-BERLINSITE_T1w.nii.gz");
    let whole = fs::read(&broken).unwrap();
    fs::write(&broken, &whole[..whole.len() / 2]).unwrap();
    (bids, dir.join("outZQ"))
}

fn process(bids: &Path, out: &Path, options: &[&str], key: Option<&str>) -> Ran {
    let mut command = binary();
    command.args([bids.to_str().unwrap(), out.to_str().unwrap(), "participant"]).args(options);
    if let Some(key) = key {
        command.env("NEURO_PREPROCESS_PSEUDONYM_KEY", key);
    }
    run_command(&mut command)
}

/// The text of every file in `logs` that is, or is not, of OTLP.
fn texts(logs: &Path, of_otlp: bool) -> String {
    let files = fs::read_dir(logs).unwrap().map(|f| f.unwrap().path());
    let sent = |p: &PathBuf| {
        let name = p.file_name().unwrap().to_string_lossy().into_owned();
        !(name.starts_with("run-") || name.starts_with("sub-") || name.starts_with("status"))
    };
    files.filter(|p| p.is_file() && sent(p) == of_otlp).map(|p| fs::read_to_string(p).unwrap()).collect()
}

fn participants(logs: &Path) -> BTreeSet<String> {
    otlp::spans(logs).iter().filter_map(|s| s.attribute("participant_id")).collect()
}

#[test]
fn nothing_that_leaves_names_anybody_and_the_names_are_stable() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = study(dir.path());
    process(&bids, &out, &["--pseudonymize"], Some(KEY)).exits(1);
    let logs = out.join("logs");
    let sent = texts(&logs, true);
    assert!(
        sent.contains("preprocess_subject")
            && sent.contains("neuro.subject.duration")
            && sent.contains("scan finished")
    );
    for personal in PERSONAL.iter().copied().chain([KEY]) {
        let at = sent.find(personal);
        assert!(at.is_none(), "{personal} is in {:?}", at.map(|at| &sent[at.saturating_sub(200)..at + 60]));
    }
    let kept = texts(&logs, false);
    assert!(kept.contains("ALICE77") && kept.contains("BERLINSITE") && !kept.contains(KEY), "people read names");
    assert_eq!(participants(&logs).len(), 2);

    // Another run gives the same names with the same key, now from a file, and others with another key.
    let key = dir.path().join("key");
    fs::write(&key, format!("{KEY}\n")).unwrap();
    let again = dir.path().join("again");
    let named = ["--participant-label", "ALICE77", "--modalities", "T1w"];
    let with_file = ["--pseudonymize", "--pseudonymize-key", key.to_str().unwrap()];
    process(&bids, &again, &[&named[..], &with_file[..]].concat(), None).exits(0);
    assert!(participants(&again.join("logs")).is_subset(&participants(&logs)));
    let other = dir.path().join("other");
    let options = [&named[..], &["--pseudonymize"][..]].concat();
    process(&bids, &other, &options, Some("another key of sixteen")).exits(0);
    assert!(participants(&other.join("logs")).is_disjoint(&participants(&logs)));
}

#[test]
fn a_password_in_the_endpoint_is_written_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = (dir.path().join("bids"), dir.path().join("out"));
    run(["synth", bids.to_str().unwrap(), "--participants", "1", "--modalities", "T1w", "--voxel-size", "6"]).exits(0);
    let nobody = "http://me:gehe@im@127.0.0.1:9";
    for (form, how) in
        [("option", ["--otel-endpoint", nobody]), ("equals", ["--otel-endpoint=http://me:gehe@im@127.0.0.1:9", "-v"])]
    {
        let folder = out.join(form);
        let ran = run([bids.to_str().unwrap(), folder.to_str().unwrap(), "participant"].iter().chain(&how)).exits(0);
        let said = ran.stdout + &ran.stderr;
        assert!(said.contains("127.0.0.1:9"), "the warning names the endpoint: {said}");
        assert!(!said.contains("gehe") && !said.contains("im@"), "{said}");
        let written = texts(&folder.join("logs"), true) + &texts(&folder.join("logs"), false);
        assert!(written.contains("…@127.0.0.1:9"), "the command line is there without it");
        assert!(!written.contains("gehe") && !written.contains("im@"), "{form}");
    }
    let mut command = binary();
    command.args(["telemetry", "config"]).env("NEURO_PREPROCESS_OTEL_ENDPOINT", "me:geheim@collector:4317");
    let said = run_command(&mut command).exits(64).stderr;
    assert!(!said.contains("geheim"), "{said}");
}

#[test]
fn without_a_key_nothing_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = (dir.path().join("bids"), dir.path().join("out"));
    fs::create_dir_all(bids.join("sub-01")).unwrap();
    let said = process(&bids, &out, &["--pseudonymize"], None).exits(64).stderr;
    assert!(said.contains("--pseudonymize-key FILE") && said.contains("NEURO_PREPROCESS_PSEUDONYM_KEY"), "{said}");
    let said = process(&bids, &out, &["--pseudonymize"], Some("short")).exits(64).stderr;
    assert!(said.contains("fewer than 16 bytes") && !said.contains("short"), "{said}");
    let key = dir.path().join("key");
    fs::write(&key, KEY).unwrap();
    let said = process(&bids, &out, &["--pseudonymize-key", key.to_str().unwrap()], None).exits(64).stderr;
    assert!(said.contains("add --pseudonymize"), "{said}");
    assert!(!out.exists());
}
