//! What a dataset costs grows with its scans: every command over a dataset and over one of twice the size, counted in the
//! bytes it reads and writes and the calls it makes for that, by the kernel. Nothing is timed: `benches/scale.sh` does that.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common;
use crate::common::measured::{Measured, measured};
use crate::common::quick;
use neuro_preprocess::bids::Selection;
use neuro_preprocess::plan::{PlanOptions, plan_dataset};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Scans of the smaller dataset. What does not depend on them is a small part of the costs then.
const SCANS: usize = 40;
/// Twice the scans may cost a little more than twice as much: labels, numbers and folders become longer.
const MOST: f64 = 2.15;

/// A brain that goes through every stage, as small as they are drawn.
fn brain(path: &Path) {
    let made = path.with_extension("made");
    let args = ["--participants", "1", "--modalities", "T1w", "--voxel-size", "6"];
    common::run([&["synth", made.to_str().unwrap()], &args[..]].concat()).exits(0);
    quick::make_quick(&made);
    fs::copy(made.join("sub-01/anat/sub-01_T1w.nii.gz"), path).unwrap();
}

/// A dataset of `scans` participants with that brain and a sidecar each.
fn dataset(folder: &Path, scans: usize) {
    fs::create_dir(folder).unwrap();
    fs::write(folder.join("dataset_description.json"), r#"{"Name": "Many", "BIDSVersion": "1.10.0"}"#).unwrap();
    let made = folder.with_extension("nii.gz");
    brain(&made);
    for n in 1..=scans {
        let anat = folder.join(format!("sub-{n:04}/anat"));
        fs::create_dir_all(&anat).unwrap();
        fs::hard_link(&made, anat.join(format!("sub-{n:04}_T1w.nii.gz"))).unwrap();
        fs::write(anat.join(format!("sub-{n:04}_T1w.json")), format!("{{\"EchoTime\": 0.003, \"Series\": {n}}}"))
            .unwrap();
    }
}

/// What the kernel has counted of a process that came to a good end: bytes read, bytes written, calls for either.
fn counted<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> [u64; 3] {
    let Measured { ran, read, written, calls, .. } = measured(common::binary().args(args));
    ran.exits(0);
    [read, written, calls]
}

/// Sidecars have many kilobytes, and each is its own; of what is used of them, a protocol has one copy.
#[test]
fn a_plan_keeps_what_its_scans_have_in_common_once() {
    let dir = tempfile::tempdir().unwrap();
    let (raw, out) = (dir.path().join("raw"), dir.path().join("out"));
    dataset(&raw, 3);
    let other = r#"{"EchoTime": 0.004, "Series": 3}"#;
    fs::write(raw.join("sub-0003/anat/sub-0003_T1w.json"), other).unwrap();
    let of = |images| {
        let options = PlanOptions { images, ..PlanOptions::default() };
        plan_dataset(&raw, Some(&out), &Selection::default(), &options).unwrap()
    };
    let plan = of(false);
    let [one, two, three] = [0, 1, 2].map(|n| &plan.units[n].scans[0].metadata);
    assert!(Arc::ptr_eq(one, two) && !Arc::ptr_eq(one, three));
    assert_eq!((one.len(), one["EchoTime"].as_f64(), three["EchoTime"].as_f64()), (1, Some(0.003), Some(0.004)));
    assert!(plan.images.is_none());
    let images: Vec<_> = of(true).images.unwrap().iter().map(|image| image.metadata["Series"].as_u64()).collect();
    assert_eq!(images, [Some(1), Some(2), Some(3)]);
}

/// A job array has a process per participant; what each costs must not grow with their number.
#[test]
fn one_participant_of_many_costs_what_one_of_few_does() {
    let dir = tempfile::tempdir().unwrap();
    let of = |scans: usize| {
        let (raw, out) = (dir.path().join(format!("raw-{scans}")), dir.path().join(format!("out-{scans}")));
        dataset(&raw, scans);
        let whole = counted(["list", raw.to_str().unwrap()]);
        let job = ["participant", "--participant-label", "0002"];
        let one = counted([raw.to_str().unwrap(), out.to_str().unwrap()].into_iter().chain(job));
        assert!(out.join("sub-0002/sub-0002_success.json").exists() && !out.join("sub-0001").exists());
        (whole[2], one[2])
    };
    let ((few, one_of_few), (many, one_of_many)) = (of(10), of(200));
    assert!(many > 5 * few, "{few} and {many} calls: what is counted has to do with the scans");
    assert!(one_of_many.abs_diff(one_of_few) < one_of_few / 5, "{one_of_few} and {one_of_many} calls");
}

#[test]
fn twice_the_scans_are_twice_the_work() {
    let dir = tempfile::tempdir().unwrap();
    let of_all = |scans: usize| -> Vec<(&'static str, [u64; 3])> {
        let (raw, out) = (dir.path().join(format!("raw of {scans}")), dir.path().join(format!("out-{scans}")));
        dataset(&raw, scans);
        let (raw, out) = (raw.to_str().unwrap(), out.to_str().unwrap());
        let table = format!("{out}.tsv");
        let key = dir.path().join("key");
        fs::write(&key, "0123456789abcdef").unwrap();
        let (key, hidden) = (key.to_str().unwrap(), format!("{out}-hidden"));
        let commands: [(&str, &[&str]); 9] = [
            ("list", &["list", raw]),
            ("plan", &[raw, out, "participant", "--dry-run", "--format", "json"]),
            ("run", &[raw, out, "participant"]),
            ("look at what is done", &[raw, out, "participant"]),
            ("tables", &[raw, out, "group", "--no-report"]),
            ("report", &["report", out]),
            ("extract", &["extract", out, &table]),
            ("show", &["telemetry", "show", out]),
            ("hide", &[raw, &hidden, "participant", "--pseudonymize", "--pseudonymize-key", key, "--no-report"]),
        ];
        let done = commands.map(|(name, args)| (name, counted(args)));
        let finished = |out: &str| {
            (1..=scans).all(|n| Path::new(out).join(format!("sub-{n:04}/sub-{n:04}_success.json")).exists())
        };
        assert!(finished(out) && finished(&hidden), "a scan was not processed");
        done.to_vec()
    };
    let mut too_much = Vec::new();
    for ((name, once), (_, twice)) in of_all(SCANS).into_iter().zip(of_all(2 * SCANS)) {
        for (what, (one, two)) in ["bytes read", "bytes written", "calls"].into_iter().zip(once.into_iter().zip(twice))
        {
            let ratio = two as f64 / one as f64;
            println!("{name}, {what}: {one} and {two}, {ratio:.2} times");
            if ratio > MOST {
                too_much.push(format!(
                    "{name}, {what}: {one} for {SCANS} scans and {two} for twice as many, {ratio:.2} times"
                ));
            }
        }
        assert!(twice[0] > once[0], "{name} reads nothing of the scans");
    }
    assert!(too_much.is_empty(), "{}", too_much.join("\n"));
}
