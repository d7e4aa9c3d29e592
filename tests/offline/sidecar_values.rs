//! What sidecars say wrongly or otherwise than usual, and what the outputs say then: nothing that was not said, and nothing that
//! BIDS forbids.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common::quick::make_quick;
use crate::common::{peer, run, text};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Times of eight volumes at unequal steps.
const TIMES: [f64; 8] = [0.0, 2.0, 4.5, 6.0, 8.0, 11.0, 13.0, 15.0];

fn edit(path: &Path, change: impl FnOnce(&mut serde_json::Map<String, Value>)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(value.as_object_mut().unwrap());
    fs::write(path, value.to_string()).unwrap();
}

/// A participant whose sidecars were changed, done; each output sidecar of the run, and what was noted of it.
fn sidecars(dir: &Path, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> (Vec<Value>, String) {
    let (bids, out) = (dir.join("bids"), dir.join("out"));
    run(["synth", text(&bids), "--participants", "1", "--voxel-size", "6", "--volumes", "8"]).exits(0);
    make_quick(&bids);
    edit(&bids.join("task-rest_bold.json"), change);
    run([text(&bids), text(&out), "participant"]).exits(0);
    let files = walkdir::WalkDir::new(out.join("sub-01/func")).into_iter().map(|file| file.unwrap().into_path());
    let read = |path: std::path::PathBuf| serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let sidecars: Vec<Value> = files.filter(|path| path.extension().is_some_and(|e| e == "json")).map(read).collect();
    let summary = fs::read_to_string(out.join("sub-01/sub-01_summary.json")).unwrap();
    if let Some(checked) = peer("check_validator.py", &[&out]) {
        checked.exits(0);
    }
    (sidecars, summary)
}

#[test]
fn times_of_volumes_are_carried_over_and_no_repetition_time_is_made_up() {
    let dir = tempfile::tempdir().unwrap();
    let (sidecars, summary) = sidecars(dir.path(), |sidecar| {
        sidecar.remove("RepetitionTime");
        sidecar.insert("VolumeTiming".into(), json!(TIMES));
        sidecar.insert("FrameAcquisitionDuration".into(), json!(1.5));
    });
    let series: Vec<&Value> = sidecars.iter().filter(|sidecar| sidecar.get("TaskName").is_some()).collect();
    assert_eq!(series.len(), 1);
    for sidecar in series {
        assert_eq!(sidecar["VolumeTiming"], json!(TIMES));
        assert_eq!((&sidecar["FrameAcquisitionDuration"], sidecar.get("RepetitionTime")), (&json!(1.5), None));
    }
    assert!(summary.contains("VolumeTiming in the sidecar has unequal steps"), "{summary}");
    // What needs no times is there, what needs equal ones is not.
    let table = fs::read_to_string(dir.path().join("out/sub-01/func/sub-01_task-rest_desc-confounds_timeseries.tsv"));
    let header = table.unwrap().lines().next().unwrap().to_owned();
    assert!(header.contains("framewise_displacement") && !header.contains("cosine"), "{header}");
    let image = dir.path().join("out/sub-01/func/sub-01_task-rest_desc-preproc_bold.nii.gz");
    assert_eq!(nifti::read_header(&image).unwrap().tr_seconds(), None);
}

#[test]
fn values_of_a_wrong_type_are_put_right_or_left_out_and_either_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (sidecars, summary) = sidecars(dir.path(), |sidecar| {
        for (key, value) in [
            ("RepetitionTime", json!("2.0")),
            ("EchoTime", json!("0.03")),
            ("PhaseEncodingDirection", json!("A>>P")),
            ("TotalReadoutTime", json!([])),
            ("EffectiveEchoSpacing", json!(0)),
            ("TaskName", json!(7)),
        ] {
            sidecar.insert(key.into(), value);
        }
    });
    let series = sidecars.iter().find(|sidecar| sidecar.get("TaskName").is_some()).unwrap();
    assert_eq!((&series["EchoTime"], &series["TaskName"]), (&json!(0.03), &json!("7")));
    assert_eq!(series["RepetitionTime"], json!(2.0));
    for sidecar in &sidecars {
        for key in ["PhaseEncodingDirection", "TotalReadoutTime", "EffectiveEchoSpacing"] {
            assert!(sidecar.get(key).is_none(), "{key}: {sidecar}");
        }
    }
    let notes =
        ["EchoTime is", "PhaseEncodingDirection is", "TotalReadoutTime is", "EffectiveEchoSpacing is", "TaskName is"];
    for note in notes {
        assert!(summary.contains(note), "{note}: {summary}");
    }
    // Whoever wants it strictly gets none of it.
    let (bids, out) = (dir.path().join("bids"), dir.path().join("strict"));
    let refused = run([text(&bids), text(&out), "participant", "--modalities", "bold", "--strict"]).exits(1);
    assert!(refused.stderr.contains("[NP-STRICT]") || refused.stdout.contains("NP-STRICT"), "{}", refused.stderr);
}

#[test]
fn every_file_that_is_left_out_is_listed_with_why() {
    let dir = tempfile::tempdir().unwrap();
    let bids = dir.path().join("bids");
    run(["synth", text(&bids), "--participants", "1", "--voxel-size", "6", "--volumes", "6"]).exits(0);
    let left_out = [
        ("anat/sub-01_T2w.nii.gz", "of a kind that is not processed"),
        ("anat/sub-01_FLAIR.nii.gz", "of a kind that is not processed"),
        ("func/sub-01_task-rest_part-phase_bold.nii.gz", "only magnitudes are processed"),
        ("func/sub-01_task-rest_bold_ph.nii.gz", "dcm2niix"),
        ("func/sub-01_task-rest_bold_Eq_1.nii.gz", "dcm2niix"),
        ("func/sub-01_task-rest_bold_ROI1.nii.gz", "dcm2niix"),
        ("func/sub-01_task-rest_sbref.nii.gz", "to correct distortion"),
    ];
    for (name, _) in left_out {
        fs::write(bids.join("sub-01").join(name), "").unwrap();
    }
    let listed: Value = serde_json::from_str(&run(["list", text(&bids), "--format", "json"]).exits(0).stdout).unwrap();
    let told = listed["left_out"].as_array().unwrap();
    assert_eq!((told.len(), &listed["not_selected"]), (left_out.len(), &json!(0)));
    let lines = run(["list", text(&bids)]).exits(0).stdout;
    for (name, why) in left_out {
        let path = format!("sub-01/{name}");
        let found = told.iter().find(|other| other["path"] == path).unwrap_or_else(|| panic!("{path}: {told:?}"));
        assert!(found["why"].as_str().unwrap().contains(why), "{found}");
        assert!(lines.contains(&path), "{lines}");
    }
}
