//! Nothing is written outside the output folder, whatever inputs and links in the output say.

use super::hostile::{self, snapshot};
use crate::common::{install, pipe, run, text};
use std::fs;
use std::os::unix::fs::{lchown, symlink};
use std::path::PathBuf;

/// A small good dataset, a folder `theirs` with files of somebody else, and `out`.
fn place() -> (tempfile::TempDir, PathBuf, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let [bids, theirs, out] = ["bids", "theirs", "out"].map(|name| dir.path().join(name));
    let args = ["--participants", "2", "--modalities", "T1w", "--voxel-size", "6"];
    run([&["synth", text(&bids)], &args[..]].concat()).exits(0);
    fs::create_dir(&theirs).unwrap();
    fs::create_dir(&out).unwrap();
    (dir, bids, theirs, out)
}

#[test]
fn a_hostile_dataset_changes_nothing_beside_the_output() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("place");
    fs::create_dir_all(place.join("outside")).unwrap();
    fs::write(place.join("outside/x"), "theirs").unwrap();
    let bids = hostile::dataset(&place);
    let loose = hostile::loose(&place, &bids);
    // Links in the source are read, and nothing else.
    symlink(place.join("outside"), bids.join("sub-01/figures")).unwrap();
    let (t1w, linked) = (bids.join("sub-01/anat/sub-01_T1w.nii.gz"), place.join("outside/scan.nii.gz"));
    fs::rename(&t1w, &linked).unwrap();
    symlink(&linked, &t1w).unwrap();
    let before = snapshot(&place);
    let out = dir.path().join("out");
    run([text(&bids), text(&out), "participant"]).exits(1);
    run(["batch", text(&loose), "-o", text(&dir.path().join("other"))]).exits(1);
    run([text(&bids), text(&out), "participant", "--participant-label", "../../outside"]).exits(64);
    run([text(&bids), text(&out), "participant", "--session-label", "a/b"]).exits(64);
    let subcohort = dir.path().join("subcohort.tsv");
    fs::write(&subcohort, "../outside\t..\n").unwrap();
    assert_ne!(run([text(&bids), text(&out), "participant", "--subcohort", text(&subcohort)]).code, 0);
    assert!(out.join("sub-01/sub-01_summary.json").is_file());
    assert!(snapshot(&place) == before, "something beside the output changed");
    let mut beside: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    beside.sort();
    assert_eq!(beside, ["other", "out", "place", "subcohort.tsv"]);
}

/// Files that are links make way for the real ones; what they led to stays as it was.
#[test]
fn links_in_place_of_outputs_are_replaced() {
    let (_dir, bids, theirs, out) = place();
    let names = [
        "dataset_description.json",
        ".bidsignore",
        "index.html",
        "group_T1w.tsv",
        "sub-01.html",
        "sub-01/sub-01_success.json",
        "sub-01/sub-01_summary.json",
        "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz",
        "sub-01/anat/sub-01_desc-preproc_T1w.json",
        "logs/sub-01.jsonl",
        "logs/status.json",
    ];
    let claims = [".neuro-preprocess/reports.lock", ".neuro-preprocess/sub-01.lock"];
    for (n, name) in names.iter().chain(&claims).enumerate() {
        fs::create_dir_all(out.join(name).parent().unwrap()).unwrap();
        let victim = theirs.join(n.to_string());
        fs::write(&victim, "theirs").unwrap();
        symlink(victim, out.join(name)).unwrap();
    }
    let before = (snapshot(&theirs), snapshot(&bids));
    run([text(&bids), text(&out), "participant"]).exits(0);
    assert!((snapshot(&theirs), snapshot(&bids)) == before, "a link was written through");
    for name in names {
        let found = fs::symlink_metadata(out.join(name)).unwrap();
        assert!(found.is_file() && found.len() > "theirs".len() as u64, "{name}: {found:?}");
    }
    assert!(!out.join(".neuro-preprocess").exists());

    // The folder of the claims itself, before a run and before verbs that look at no dataset.
    for name in ["sub-01.lock", "notes"] {
        fs::write(theirs.join(name), "theirs").unwrap();
    }
    let before = snapshot(&theirs);
    for args in [&["report", text(&out)][..], &[text(&bids), text(&out), "participant", "--force"]] {
        symlink(&theirs, out.join(".neuro-preprocess")).unwrap();
        run(args).exits(0);
        assert!(snapshot(&theirs) == before && fs::symlink_metadata(out.join(".neuro-preprocess")).is_err());
    }
}

/// Whoever looks at results meets a pipe of the name of a summary, and no end of it.
#[test]
fn pipes_and_files_without_end_in_place_of_results_are_passed_over() {
    let (dir, bids, _, out) = place();
    run([text(&bids), text(&out), "participant", "--participant-label", "01", "--no-report"]).exits(0);
    let pipes = ["sub-01/sub-01_ses-x_summary.json", "logs/status.json", "sub-02/sub-02_success.json"];
    for pipe in pipes.map(|name| out.join(name)) {
        fs::create_dir_all(pipe.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&pipe);
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    }
    fs::File::create(out.join("sub-02/sub-02_ses-x_summary.json")).unwrap().set_len(1 << 40).unwrap();
    for args in [&["report", text(&out)][..], &["extract", text(&out), text(&dir.path().join("idps.tsv"))]] {
        run(args).exits(0);
    }
    run([text(&bids), text(&out), "group"]).exits(0);
}

/// A folder that the user has put on another disk is used; links to places that are not theirs to give are refused whole.
#[test]
fn folder_links_are_followed_when_they_are_the_users_own() {
    let (dir, bids, theirs, out) = place();
    let scratch = dir.path().join("scratch");
    for folder in ["sub-01", "logs"] {
        fs::create_dir_all(scratch.join(folder)).unwrap();
        symlink(scratch.join(folder), out.join(folder)).unwrap();
    }
    run([text(&bids), text(&out), "participant"]).exits(0);
    assert!(scratch.join("sub-01/anat/sub-01_desc-preproc_T1w.nii.gz").is_file());
    assert!(scratch.join("logs/sub-01.jsonl").is_file() && out.join("sub-02/sub-02_success.json").is_file());

    for (link, target) in
        [("sub-02", bids.join("sub-02")), ("logs", bids.join("sub-01")), ("sub-02/anat", bids.clone())]
    {
        let other = dir.path().join(link.replace('/', "-"));
        fs::create_dir_all(other.join(link).parent().unwrap()).unwrap();
        symlink(&target, other.join(link)).unwrap();
        let before = snapshot(&bids);
        let refused = run([text(&bids), text(&other), "participant"]).exits(73).stderr;
        assert!(refused.contains("which is never written to") && refused.contains("NP-OUTPUT-UNUSABLE"), "{refused}");
        assert!(refused.contains(text(&other.join(link))), "the link is named: {refused}");
        assert!(snapshot(&bids) == before && !other.join("dataset_description.json").exists());
    }

    // Also a participant whose marker alone is to be written: the image has another time and is what it was.
    let image = fs::File::options().append(true).open(bids.join("sub-01/anat/sub-01_T1w.nii.gz")).unwrap();
    image.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let theirs_too = bids.join("sourcedata");
    fs::rename(scratch.join("sub-01"), &theirs_too).unwrap();
    fs::remove_file(out.join("sub-01")).unwrap();
    symlink(&theirs_too, out.join("sub-01")).unwrap();
    let before = snapshot(&bids);
    let dry = run([text(&bids), text(&out), "participant", "--dry-run", "--format", "json"]).exits(0).stdout;
    assert!(dry.contains("new modification time but the same content") && !dry.contains("rerun"), "{dry}");
    run([text(&bids), text(&out), "participant"]).exits(73);
    assert!(snapshot(&bids) == before);

    // Somebody else's link in a folder of a third; only root can make one for a test.
    let shared = dir.path().join("shared");
    fs::create_dir(&shared).unwrap();
    symlink(&theirs, shared.join("sub-01")).unwrap();
    let given = lchown(shared.join("sub-01"), Some(12345), None).map_err(|e| e.to_string());
    if install::or_skip("a link of somebody else (as root)", given).is_none() {
        return;
    }
    let refused = run([text(&bids), text(&shared), "participant"]).exits(73).stderr;
    assert!(refused.contains("belongs neither to you nor to the owner"), "{refused}");
    assert_eq!(fs::read_dir(&theirs).unwrap().count(), 0);
}

/// A table is not written in place of a pipe or device.
#[test]
fn a_pipe_is_not_replaced() {
    let (dir, bids, _, out) = place();
    run([text(&bids), text(&out), "participant", "--participant-label", "01", "--no-report"]).exits(0);
    let table = dir.path().join("pipe.tsv");
    pipe(&table);
    let refused = run(["extract", text(&out), text(&table)]);
    assert!(refused.code != 0 && refused.stderr.contains("other than a file is there"), "{refused:?}");
    assert!(!fs::symlink_metadata(&table).unwrap().is_file());
}
