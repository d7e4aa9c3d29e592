//! What is done again and what is kept, and why: through the binary, on files that were moved, touched, changed and cut.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common::{binary, run, run_command, text};
use neuro_preprocess::bids::Selection;
use neuro_preprocess::plan::{PlanOptions, done_since, plan_dataset};
use neuro_preprocess::vocabulary::{Spaces, Wanted};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A dataset and its derivatives, both in a folder that goes with the test.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// Participants with a T1w image and a short bold run each, all of them done.
    fn done(participants: &str) -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        let size = ["--participants", participants, "--voxel-size", "6", "--volumes", "8"];
        run(["synth", text(&place.bids())].iter().chain(&size)).exits(0);
        run(place.args()).exits(0);
        place
    }

    fn bids(&self) -> PathBuf {
        self.dir.path().join("bids")
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    fn args(&self) -> [String; 3] {
        [text(&self.bids()).to_owned(), text(&self.out()).to_owned(), "participant".to_owned()]
    }

    /// What a dry run says of each participant: the word for programs, and the sentence.
    fn reasons(&self, options: &[&str]) -> BTreeMap<String, (String, String)> {
        let args = self.args();
        let options = options.iter().chain(&["--dry-run", "--format", "json"]);
        let shown = run(args.iter().map(String::as_str).chain(options.copied())).exits(0);
        let plan: Value = serde_json::from_str(&shown.stdout).unwrap();
        let word = |unit: &Value, key: &str| unit[key].as_str().unwrap().to_owned();
        let units = plan["units"].as_array().unwrap().iter();
        units
            .map(|unit| {
                assert_eq!(unit["done"], unit["reason"] == "kept");
                (word(unit, "participant"), (word(unit, "reason"), word(unit, "why")))
            })
            .collect()
    }

    /// The scans of a participant, and whether they stay as they are.
    fn scans(&self, participant: &str) -> Vec<(String, bool)> {
        let args = self.args();
        let shown = run(args.iter().map(String::as_str).chain(["--dry-run", "--format", "json"])).exits(0);
        let plan: Value = serde_json::from_str(&shown.stdout).unwrap();
        let mut units = plan["units"].as_array().unwrap().iter();
        let unit = units.find(|unit| unit["participant"] == participant).unwrap();
        let scan = |scan: &Value| (scan["scan_id"].as_str().unwrap().to_owned(), scan["done"] == true);
        unit["scans"].as_array().unwrap().iter().map(scan).collect()
    }

    /// What the summary of participant 01 says of its scans.
    fn summary(&self) -> Vec<Value> {
        let summary = fs::read(self.out().join("sub-01/sub-01_summary.json")).unwrap();
        serde_json::from_slice::<Value>(&summary).unwrap()["scans"].as_array().unwrap().clone()
    }

    /// The reason of participant 01; all others are kept.
    #[track_caller]
    fn reason(&self, options: &[&str]) -> (String, String) {
        let mut all = self.reasons(options);
        let first = all.remove("01").unwrap();
        assert!(all.values().all(|(kind, _)| kind == "kept"), "{all:?}");
        first
    }

    #[track_caller]
    fn is(&self, kind: &str, why: &str) {
        let (is, says) = self.reason(&[]);
        assert_eq!((is.as_str(), says.as_str()), (kind, why));
    }

    #[track_caller]
    fn is_kept(&self, more: &str) {
        let (is, says) = self.reason(&[]);
        let begin = concat!("kept: done by ", env!("CARGO_PKG_VERSION"), " on 20");
        assert!(is == "kept" && says.starts_with(begin) && says.ends_with(&format!("Z{more}")), "{says}");
    }
}

fn set_time(path: &Path, time: SystemTime) {
    File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

#[test]
fn an_image_counts_by_its_content() {
    let place = Place::done("2");
    let image = place.bids().join("sub-01/anat/sub-01_T1w.nii.gz");
    let output = place.out().join("sub-01/anat/sub-01_desc-preproc_T1w.nii.gz");
    let made = modified(&output);
    place.is_kept("");

    // Touched: read once, kept, and not read again after a run.
    set_time(&image, SystemTime::now() + Duration::from_secs(60));
    let touched = "; sub-01/anat/sub-01_T1w.nii.gz has a new modification time but the same content";
    place.is_kept(touched);
    place.is_kept(touched);
    let again = run(place.args()).exits(0);
    assert!(again.last_line().starts_with("4 scans: 0 ok, 0 failed, 4 already done"), "{}", again.stdout);
    place.is_kept("");
    assert_eq!(modified(&output), made, "nothing was done again");

    // Moved and copied, with all times new.
    let old = place.dir.path().join("before");
    fs::rename(place.bids(), &old).unwrap();
    run_command(std::process::Command::new("cp").arg("-r").arg(&old).arg(place.bids())).exits(0);
    let reasons = place.reasons(&[]);
    for (kind, why) in reasons.values() {
        assert!(
            kind == "kept" && why.ends_with(" and 1 more have a new modification time but the same content"),
            "{reasons:?}"
        );
    }
    run(place.args()).exits(0);

    // Changed, and of the same size: the gzip header has a byte for the system that inflating does not look at.
    let time = modified(&image);
    let mut bytes = fs::read(&image).unwrap();
    bytes[9] ^= 1;
    fs::write(&image, &bytes).unwrap();
    set_time(&image, time + Duration::from_nanos(1000));
    place.is("input", "rerun: sub-01/anat/sub-01_T1w.nii.gz changed (content)");
    // The limit that docs/resume.md states: with its old time nobody looks.
    set_time(&image, time);
    place.is_kept("");
    let forced = place.reasons(&["--force"]);
    assert!(forced.values().all(|reason| *reason == ("forced".into(), "rerun: --force".into())), "{forced:?}");

    let size = bytes.len();
    bytes.extend([0; 5]);
    fs::write(&image, &bytes).unwrap();
    let why = format!("rerun: sub-01/anat/sub-01_T1w.nii.gz changed (size {size} → {} bytes)", size + 5);
    place.is("input", &why);
    let told = run(place.args()).exits(0);
    assert!(told.stderr.contains(&format!("sub-01 {why}\n")), "{}", told.stderr);
    assert!(!told.stderr.contains("sub-02 "), "{}", told.stderr);
    place.is_kept("");
    assert!(modified(&output) > made);

    fs::remove_file(&image).unwrap();
    std::os::unix::fs::symlink("nowhere/annex/objects/x", &image).unwrap();
    let (kind, why) = place.reason(&[]);
    assert!(kind == "input" && why.contains("sub-01_T1w.nii.gz cannot be compared: "), "{why}");
}

/// What another run has finished since the plan was made is left; the marker that the plan has seen is not compared again,
/// which may mean reading an image.
#[test]
fn only_a_marker_that_is_new_counts_as_done_meanwhile() {
    let place = Place::done("1");
    let plan = |force| {
        let wanted = Wanted { spaces: Arc::new(Spaces::own()), asked: true, ..Wanted::default() };
        let options = PlanOptions { force, wanted, ..PlanOptions::default() };
        plan_dataset(&place.bids(), Some(&place.out()), &Selection::default(), &options).unwrap()
    };
    let (before, forced) = (plan(false), plan(true));
    assert!(!done_since(&place.out(), &before.units[0], false));
    edit(&place.out().join("sub-01/sub-01_success.json"), |marker| marker["finished"] = json!("2031-01-01T00:00:00Z"));
    assert!(done_since(&place.out(), &before.units[0], false) && !done_since(&place.out(), &forced.units[0], false));
    fs::write(place.bids().join("sub-01/anat/sub-01_T1w.nii.gz"), "").unwrap();
    assert!(!done_since(&place.out(), &before.units[0], false), "of another input");
}

#[test]
fn sidecars_count_by_what_they_say_to_whom_they_apply() {
    let place = Place::done("2");
    let bids = place.bids();
    for participant in ["01", "02"] {
        edit(&bids.join(format!("sub-{participant}/anat/sub-{participant}_T1w.json")), |sidecar| {
            sidecar.as_object_mut().unwrap().remove(if participant == "01" { "EchoTime" } else { "FlipAngle" });
        });
    }
    let gone = "rerun: EchoTime in the sidecars of sub-01/anat/sub-01_T1w.nii.gz changed 0.003 → nothing";
    assert_eq!(place.reasons(&[])["01"], ("metadata".into(), gone.into()));
    run(place.args()).exits(0);
    // Only sub-01 inherits it now: sub-02 has one of its own.
    fs::write(bids.join("T1w.json"), "{\"EchoTime\": 0.004}").unwrap();
    place.is("metadata", &gone.replace("0.003 → nothing", "nothing → 0.004"));
    run(place.args()).exits(0);
    let made = fs::read(place.out().join("sub-01/anat/sub-01_desc-preproc_T1w.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&made).unwrap()["EchoTime"], 0.004);
    place.is_kept("");

    // Written differently, and with what is used for nothing.
    fs::write(bids.join("T1w.json"), "{\"ConversionSoftware\": \"x\",\n\n \"EchoTime\":4.0e-3 }").unwrap();
    place.is_kept("");
    let bold = bids.join("sub-01/func/sub-01_task-rest_bold.json");
    edit(&bold, |sidecar| sidecar["RepetitionTime"] = json!(2.5));
    place.is(
        "metadata",
        "rerun: RepetitionTime in the sidecars of sub-01/func/sub-01_task-rest_bold.nii.gz changed 2.0 → 2.5",
    );
    fs::write(&bold, "{").unwrap();
    let broken = "sub-01/func/sub-01_task-rest_bold.nii.gz can no longer be processed (NP-BAD-SIDECAR)";
    place.is("scans", &format!("rerun: {broken}"));
}

#[test]
fn outputs_count_by_their_presence_and_size() {
    let place = Place::done("2");
    let output = place.out().join("sub-01/func/sub-01_task-rest_desc-confounds_timeseries.tsv");
    let whole = fs::read(&output).unwrap();
    fs::write(&output, &whole[..whole.len() / 2]).unwrap();
    let name = "output sub-01/func/sub-01_task-rest_desc-confounds_timeseries.tsv";
    place.is("output", &format!("rerun: {name} changed size {} → {} bytes", whole.len(), whole.len() / 2));
    fs::remove_file(&output).unwrap();
    place.is("output", &format!("rerun: {name} is missing"));
    run(place.args()).exits(0);
    assert!(fs::read(&output).unwrap() == whole, "made again as it was");
    place.is_kept("");

    // The reports are made of derivatives and are none.
    fs::remove_file(place.out().join("sub-01.html")).unwrap();
    place.is_kept("");
    fs::remove_dir_all(place.out().join("sub-01/figures")).unwrap();
    assert_eq!(place.reason(&[]).0, "output");
}

#[test]
fn a_marker_that_cannot_be_trusted_is_named_and_replaced() {
    let place = Place::done("2");
    let marker = place.out().join("sub-01/sub-01_success.json");
    let good = fs::read_to_string(&marker).unwrap();
    let old = json!({ "status": "success", "participant_id": "sub-01", "version": env!("CARGO_PKG_VERSION"),
        "inputs": [{ "path": "sub-01/anat/sub-01_T1w.nii.gz", "bytes": 1, "modified": 1 }], "outputs": [] });
    fs::write(&marker, old.to_string()).unwrap();
    place.is("marker", "rerun: its success marker has an older format");
    fs::write(&marker, good.replace(env!("CARGO_PKG_VERSION"), "0.0.9")).unwrap();
    place.is("version", "rerun: made by version 0.0.9");
    fs::write(&marker, good.replace(env!("CARGO_PKG_VERSION"), "\\u001b[31m")).unwrap();
    place.is("version", r"rerun: made by version \u001b[31m");
    for bad in [&good[..good.len() / 2], "", "[]", "7", "{\"version\": 7}", "\u{fffd}"] {
        fs::write(&marker, bad).unwrap();
        let (kind, why) = place.reason(&[]);
        assert!(kind == "marker" && why.starts_with("rerun: its success marker cannot be used: "), "{bad}: {why}");
    }
    File::create(&marker).unwrap().set_len(1 << 40).unwrap();
    place.is(
        "marker",
        "rerun: its success marker cannot be used: it has 1099511627776 bytes, which is too much for such a fil…",
    );
    // A marker of this participant in another's place says nothing about that one.
    fs::write(&marker, &good).unwrap();
    fs::copy(&marker, place.out().join("sub-02/sub-02_success.json")).unwrap();
    assert_eq!(place.reasons(&[])["02"].1, "rerun: its success marker cannot be used: it is of sub-01");
    fs::write(&marker, "{").unwrap();
    let done = run(place.args()).exits(0);
    assert!(done.last_line().starts_with("4 scans: 4 ok"), "{}", done.stdout);
    place.is_kept("");
}

#[test]
fn what_failed_what_was_left_and_what_is_new_is_told_apart() {
    let place = Place::done("2");
    let (bids, out) = (place.bids(), place.out());
    fs::remove_file(out.join("sub-01/sub-01_success.json")).unwrap();
    place.is("unfinished", "rerun: it was not finished");

    let image = bids.join("sub-01/func/sub-01_task-rest_bold.nii.gz");
    let whole = fs::read(&image).unwrap();
    fs::write(&image, &whole[..1000]).unwrap();
    run(place.args()).exits(1);
    place.is("failed", "rerun: it failed last time (NP-TRUNCATED)");
    assert_eq!(place.scans("01"), [("sub-01_T1w".into(), true), ("sub-01_task-rest_bold".into(), false)]);
    fs::write(&image, &whole).unwrap();
    let mended = run(place.args()).exits(0);
    assert!(mended.stderr.contains("sub-01 rerun: it failed last time (NP-TRUNCATED)\n"), "{}", mended.stderr);
    let lines = fs::read_to_string(out.join("logs/sub-01.jsonl")).unwrap();
    let started: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let why: Vec<_> = started.iter().filter_map(|line: &Value| line.get("reason")).collect();
    assert_eq!(why, ["never_done", "unfinished", "failed"]);
    place.is_kept("");

    fs::copy(&image, bids.join("sub-01/func/sub-01_task-rest_run-2_bold.nii.gz")).unwrap();
    place.is("scans", "rerun: sub-01/func/sub-01_task-rest_run-2_bold.nii.gz is new");
    let shown = run(place.args().iter().map(String::as_str).chain(["--dry-run"])).exits(0);
    let line = "\n  rerun: sub-01/func/sub-01_task-rest_run-2_bold.nii.gz is new\n";
    assert!(shown.stdout.contains(line), "{}", shown.stdout);
    assert_eq!(place.reason(&["--modalities", "T1w"]).0, "kept", "it is no T1w image");
    fs::remove_dir_all(&out).unwrap();
    let all = place.reasons(&[]);
    assert!(all.values().all(|reason| *reason == ("never_done".into(), "never done".into())), "{all:?}");
    let all = place.reasons(&["--force"]);
    assert!(all.values().all(|(kind, _)| kind == "never_done"), "{all:?}");
}

/// One bold run that cannot be read is no reason to do the T1w image again, and no reason to forget it.
#[test]
fn a_scan_that_fails_leaves_the_others_done() {
    let place = Place { dir: tempfile::tempdir().unwrap() };
    let size = ["--participants", "1", "--voxel-size", "6", "--volumes", "8"];
    run(["synth", text(&place.bids())].iter().chain(&size)).exits(0);
    let image = place.bids().join("sub-01/func/sub-01_task-rest_bold.nii.gz");
    let whole = fs::read(&image).unwrap();
    fs::write(&image, &whole[..1000]).unwrap();
    run(place.args()).exits(1);
    let preproc = place.out().join("sub-01/anat/sub-01_desc-preproc_T1w.nii.gz");
    let (made, first) = (modified(&preproc), place.summary());
    assert_eq!((&first[0]["status"], &first[1]["status"]), (&json!("success"), &json!("failed")));
    let shown = run(place.args().iter().map(String::as_str).chain(["--dry-run"])).exits(0);
    assert!(
        shown.stdout.contains("To do    1 scans in 1 participant-sessions, 1 scans already done"),
        "{}",
        shown.stdout
    );
    assert!(shown.stdout.contains("  sub-01/anat/sub-01_T1w.nii.gz: kept: done by "), "{}", shown.stdout);

    let again = run(place.args()).exits(1);
    assert!(again.last_line().starts_with("2 scans: 0 ok, 1 failed, 1 already done"), "{}", again.stdout);
    let second = place.summary();
    assert_eq!(modified(&preproc), made, "the T1w image was done again");
    assert_eq!(first[0], second[0], "with the trace and the times of the first run");
    assert_ne!(first[1]["span_id"], second[1]["span_id"]);
    assert!(!place.out().join("sub-01/sub-01_success.json").exists());

    fs::write(&image, &whole).unwrap();
    run(place.args()).exits(0);
    place.is_kept("");
    assert_eq!((modified(&preproc), &place.summary()[0]), (made, &first[0]));
    let page = fs::read_to_string(place.out().join("sub-01.html")).unwrap();
    assert_eq!(page.matches("load_scan").count(), 2, "each scan has the bars of its own trace");

    // What should be there decides.
    fs::remove_file(place.out().join("sub-01/func/sub-01_task-rest_boldref.nii.gz")).unwrap();
    assert_eq!(place.scans("01"), [("sub-01_T1w".into(), true), ("sub-01_task-rest_bold".into(), false)]);
    let rest = run(place.args()).exits(0);
    assert!(rest.last_line().starts_with("2 scans: 1 ok, 0 failed, 1 already done"), "{}", rest.stdout);
    assert_eq!(place.summary()[0], first[0]);
    // Without the ledger nothing can be carried over: a change to one scan is a change to all.
    fs::remove_file(place.out().join("sub-01/sub-01_ledger.json")).unwrap();
    place.is_kept("");
    fs::remove_file(place.out().join("sub-01/func/sub-01_task-rest_boldref.nii.gz")).unwrap();
    assert_eq!(place.scans("01"), [("sub-01_T1w".into(), false), ("sub-01_task-rest_bold".into(), false)]);
}

/// A run that is killed between two scans keeps the one that is done.
#[test]
fn a_killed_session_keeps_its_finished_scans() {
    let place = Place { dir: tempfile::tempdir().unwrap() };
    let size = ["--participants", "1", "--voxel-size", "6", "--volumes", "8"];
    run(["synth", text(&place.bids())].iter().chain(&size)).exits(0);
    let mut slow = binary();
    slow.args(place.args()).args(["--slow-stage", "load:3"]).stdout(std::process::Stdio::null());
    let mut running = slow.stderr(std::process::Stdio::null()).spawn().unwrap();
    let ledger = place.out().join("sub-01/sub-01_ledger.json");
    while !ledger.exists() {
        assert!(running.try_wait().unwrap().is_none(), "the run ended without a ledger");
        std::thread::sleep(Duration::from_millis(10));
    }
    running.kill().unwrap();
    running.wait().unwrap();
    assert!(!place.out().join("sub-01/sub-01_summary.json").exists());
    place.is("unfinished", "rerun: it was not finished");
    assert_eq!(place.scans("01"), [("sub-01_T1w".into(), true), ("sub-01_task-rest_bold".into(), false)]);
    let rest = run(place.args()).exits(0);
    assert!(rest.last_line().starts_with("2 scans: 1 ok, 0 failed, 1 already done"), "{}", rest.stdout);
    place.is_kept("");
    assert_eq!(place.summary().len(), 2);
}

/// A scan whose tissues could not be told apart is done without their maps; of any other scan they are missing.
#[test]
fn tissue_maps_are_not_waited_for_where_there_can_be_none() {
    let place = Place { dir: tempfile::tempdir().unwrap() };
    let size = ["--participants", "1", "--modalities", "T1w", "--voxel-size", "6"];
    run(["synth", text(&place.bids())].iter().chain(&size)).exits(0);
    run(place.args()).exits(0);
    let without = |yes: bool| {
        for name in ["ledger", "success"] {
            let path = place.out().join(format!("sub-01/sub-01_{name}.json"));
            let mut all: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            let scan = &mut all["scans"][0];
            scan["outputs"].as_array_mut().unwrap().retain(|made| !made["path"].as_str().unwrap().contains("seg"));
            scan["without_tissues"] = yes.into();
            fs::write(&path, all.to_string()).unwrap();
        }
    };
    without(true);
    place.is_kept("");
    without(false);
    assert_eq!(place.reason(&[]).0, "output");
    run(place.args()).exits(0);
    place.is_kept("");
}

#[test]
fn options_count_when_they_change_what_is_made() {
    let place = Place { dir: tempfile::tempdir().unwrap() };
    let size = ["--participants", "1", "--modalities", "T1w", "--voxel-size", "2.5"];
    run(["synth", text(&place.bids())].iter().chain(&size)).exits(0);
    run(place.args()).exits(0);
    let with = |options: &[&str]| place.reason(options).1;
    for idle in [
        &["--nprocs", "1"][..],
        &["--mem", "3GB"],
        &["--no-report"],
        &["--no-telemetry"],
        &["--fail-rate", "1", "--seed", "9"],
    ] {
        assert!(with(idle).starts_with("kept"), "{idle:?}");
    }
}

#[test]
fn what_was_noted_is_refused_when_strict() {
    let place = Place::done("2");
    // Another time than the header's is noted.
    edit(&place.bids().join("sub-01/func/sub-01_task-rest_bold.json"), |sidecar| {
        sidecar["RepetitionTime"] = json!(2.5);
    });
    run(place.args()).exits(0);
    place.is_kept("");
    let bold = "sub-01/func/sub-01_task-rest_bold.nii.gz";
    let why = format!("rerun: --strict is given, and {bold} has a note");
    assert_eq!(place.reason(&["--strict"]), ("strict".into(), why));
    let args = place.args();
    let strict = run(args.iter().map(String::as_str).chain(["--strict"])).exits(1);
    assert!(format!("{}{}", strict.stdout, strict.stderr).contains("NP-STRICT"), "{strict:?}");
    place.is("failed", "rerun: it failed last time (NP-STRICT)");
    run(place.args()).exits(0);
    place.is_kept("");
}

#[test]
fn planning_takes_no_more_threads_than_it_is_given() {
    let place = Place::done("2");
    set_time(&place.bids().join("sub-01/anat/sub-01_T1w.nii.gz"), SystemTime::now() + Duration::from_secs(60));
    // As many threads as the variable says, which stands for the processors of a large node, have stacks beyond the limit.
    let limited = |args: &[&str]| {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", "ulimit -v 2000000; exec \"$@\"", "sh"]).arg(binary().get_program()).args(args);
        shell.env("RAYON_NUM_THREADS", "4000").env("NEURO_PREPROCESS_NPROCS", "1");
        run_command(&mut shell).exits(0);
    };
    let (bids, out) = (place.bids(), place.out());
    limited(&["list", text(&bids)]);
    limited(&[text(&bids), text(&out), "participant", "--dry-run", "--format", "json"]);
    limited(&[text(&bids), text(&out), "participant"]);
    place.is_kept("");
}
