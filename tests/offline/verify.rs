//! `verify`: outputs are what was written, and whatever is done to them is named.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common::quick::make_quick;
use crate::common::{Ran, as_nobody, run, run_command, text};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Two participants, done.
fn done(dir: &Path) -> (PathBuf, PathBuf) {
    let (bids, out) = (dir.join("bids"), dir.join("out"));
    run(["synth", text(&bids), "--participants", "2", "--voxel-size", "6", "--volumes", "6"]).exits(0);
    make_quick(&bids);
    run([text(&bids), text(&out), "participant"]).exits(0);
    (bids, out)
}

/// Each fault as `kind path`, and the whole answer.
fn faults(out: &Path) -> (Vec<String>, Ran) {
    let ran = run(["verify", text(out), "--json"]);
    let found: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    assert_eq!(found["ok"] == true, ran.code == 0);
    let word = |fault: &Value, key: &str| fault[key].as_str().unwrap().to_owned();
    let faults = found["faults"].as_array().unwrap().iter();
    (faults.map(|fault| format!("{} {}", word(fault, "kind"), word(fault, "path"))).collect(), ran)
}

#[test]
fn what_is_missing_changed_or_extra_is_named_and_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = done(dir.path());
    let clean = run(["verify", text(&out)]).exits(0);
    assert!(clean.stdout.contains(" outputs of 2 participant-sessions, "), "{}", clean.stdout);
    assert!(clean.stdout.ends_with(": all as they were written\n"), "{}", clean.stdout);
    assert_eq!(faults(&out).0, [""; 0]);

    let at = |name: &str| out.join(name);
    // Changed, and of the same size: nobody but verify sees it.
    let image = "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz";
    let mut bytes = fs::read(at(image)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(at(image), bytes).unwrap();
    fs::remove_file(at("sub-01/anat/sub-01_desc-brain_mask.json")).unwrap();
    fs::write(at("sub-01/anat/notes.txt"), "mine").unwrap();
    // A killed run's, a link to nowhere in the place of an output, a pipe in the place of another.
    fs::write(at("sub-02/func/.neuro-preprocess-x-1.part"), "").unwrap();
    let (gone, pipe) = ("sub-02/anat/sub-02_desc-brain_mask.nii.gz", "sub-02/anat/sub-02_desc-brain_mask.json");
    fs::remove_file(at(gone)).unwrap();
    symlink("nowhere", at(gone)).unwrap();
    fs::remove_file(at(pipe)).unwrap();
    crate::common::pipe(&at(pipe));
    let expected = [
        "missing sub-01/anat/sub-01_desc-brain_mask.json".to_owned(),
        format!("changed {image}"),
        "extra sub-01/anat/notes.txt".to_owned(),
        format!("changed {pipe}"),
        format!("missing {gone}"),
        "extra sub-02/func/.neuro-preprocess-x-1.part".to_owned(),
    ];
    let mut found = faults(&out);
    let mut sorted = expected.to_vec();
    sorted.sort();
    found.0.sort();
    assert_eq!(found.0, sorted);
    let told = run(["verify", text(&out)]).exits(1);
    assert!(told.stdout.contains(&format!("changed: {image}: its content differs from the ")), "{}", told.stdout);
    assert!(told.stdout.contains(": 2 missing, 2 changed, 2 extra\nwhat to do: "), "{}", told.stdout);

    fs::remove_file(at(pipe)).unwrap();
    fs::remove_file(at(gone)).unwrap();
    fs::remove_file(at("sub-01/anat/sub-01_desc-brain_mask.json")).unwrap_or(());
    fs::remove_file(at("sub-02/func/.neuro-preprocess-x-1.part")).unwrap();
    // By size alone the first stays as it is, once the others are there.
    let only = |options: &[&str]| {
        let words = [text(&bids), text(&out), "participant", "--dry-run"];
        run(words.iter().chain(options)).exits(0).stdout
    };
    run([text(&bids), text(&out), "participant"]).exits(0);
    assert_eq!(faults(&out).0, ["extra sub-01/anat/notes.txt"]);
    let mut bytes = fs::read(at(image)).unwrap();
    bytes[middle] ^= 1;
    fs::write(at(image), bytes).unwrap();
    assert!(!only(&[]).contains("rerun"), "{}", only(&[]));
    let said = only(&["--resume", "verify"]);
    assert!(said.contains(&format!("rerun: output {image} changed (content)")), "{said}");
    assert!(said.contains("kept: done by"), "{said}");
    run([text(&bids), text(&out), "participant", "--resume=verify"]).exits(0);
    assert_eq!(faults(&out).0, ["extra sub-01/anat/notes.txt"]);
}

#[test]
fn ledgers_and_markers_are_held_against_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let (_, out) = done(dir.path());
    let (ledger, marker) = (out.join("sub-01/sub-01_ledger.json"), out.join("sub-01/sub-01_success.json"));
    let (good, marked) = (fs::read_to_string(&ledger).unwrap(), fs::read_to_string(&marker).unwrap());
    let says = |why: &str| {
        let (found, ran) = faults(&out);
        assert!(ran.code == 1 && ran.stdout.contains(why), "{why}: {}", ran.stdout);
        found
    };

    // Cut, of another form, gone: its outputs are nobody's then.
    for (text, why) in [
        (good[..good.len() / 2].to_owned(), "it is damaged: "),
        (good.replace("\"form\": ", "\"form\": 9"), "it has another format"),
        ("[]".to_owned(), "it is damaged: "),
    ] {
        fs::write(&ledger, text).unwrap();
        assert!(says(why).contains(&"changed sub-01/sub-01_ledger.json".to_owned()), "{why}");
    }
    fs::remove_file(&ledger).unwrap();
    assert!(says("there is a success marker without it").contains(&"missing sub-01/sub-01_ledger.json".to_owned()));
    // A path that leads out of the folder is not followed.
    let elsewhere = dir.path().join("secret");
    fs::write(&elsewhere, "x").unwrap();
    let image = "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz";
    for path in ["../secret", text(&elsewhere)] {
        fs::write(&ledger, good.replacen(&format!("\"path\": \"{image}\""), &format!("\"path\": \"{path}\""), 1))
            .unwrap();
        says("which is not in the output folder");
    }
    fs::write(&ledger, &good).unwrap();
    fs::write(&marker, marked.replacen("\"bytes\": ", "\"bytes\": 1", 1)).unwrap();
    assert_eq!(says("it and the ledger disagree about sub-01/"), ["changed sub-01/sub-01_success.json"]);
    fs::write(&marker, "").unwrap();
    assert_eq!(says("it is damaged: "), ["changed sub-01/sub-01_success.json"]);
    // A session that is not finished is no fault.
    fs::remove_file(&marker).unwrap();
    assert_eq!(faults(&out).0, [""; 0]);
}

#[test]
fn nothing_is_written_and_nothing_is_needed_but_to_read() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = done(dir.path());
    fs::remove_dir_all(&bids).unwrap();
    let before = crate::common::outputs::files(&out);
    for entry in walkdir::WalkDir::new(dir.path()).contents_first(true) {
        let entry = entry.unwrap();
        let mode = if entry.file_type().is_dir() { 0o555 } else { 0o444 };
        fs::set_permissions(entry.path(), fs::Permissions::from_mode(mode)).unwrap();
    }
    match as_nobody() {
        Ok(mut nobody) => {
            let binary = env!("CARGO_BIN_EXE_neuro-preprocess");
            let ran = run_command(nobody.arg(binary).arg("verify").arg(&out));
            // The binary itself may lie where that user may not look.
            if !ran.stderr.contains("setpriv") {
                ran.exits(0);
            }
        }
        Err(why) => eprintln!("SKIPPED: {why}"),
    }
    run(["verify", text(&out)]).exits(0);
    assert_eq!(crate::common::outputs::files(&out), before);
    for entry in walkdir::WalkDir::new(dir.path()) {
        let entry = entry.unwrap();
        fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn a_folder_without_ledgers_is_no_clean_one() {
    let dir = tempfile::tempdir().unwrap();
    let none = run(["verify", text(dir.path())]).exits(66);
    assert!(none.stderr.contains("no ledger of a run is there"), "{}", none.stderr);
    run(["verify", text(&dir.path().join("nothing"))]).exits(66);
    let both = run(["verify", text(dir.path()), "--json", "--format", "text"]).exits(64);
    assert!(both.stderr.contains("--json"), "{}", both.stderr);
}
