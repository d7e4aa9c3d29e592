//! `--dry-run --format json` over the trees of the BIDS examples: the same files, entities and metadata as PyBIDS finds.
//! The oracle is not part of the project; without it beside the checkout this test says that it was skipped.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common;
use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;

fn load(folder: &Path, name: &str) -> Value {
    let file = fs::File::open(folder.join(name)).unwrap();
    serde_json::from_reader(GzDecoder::new(file)).unwrap()
}

/// Writes a dataset's tree: sidecars with their content, everything else empty.
fn rebuild(root: &Path, paths: &Value, sidecars: &Value) {
    for path in paths.as_array().unwrap() {
        let path = path.as_str().unwrap();
        let file = root.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let text = sidecars.get(path).map(|v| serde_json::to_vec(v).unwrap()).unwrap_or_default();
        fs::write(file, text).unwrap();
    }
}

#[test]
fn the_plan_of_every_example_dataset_is_what_pybids_finds() {
    let Some(folder) = common::shared("data/bids-oracle") else { return };
    let [paths, sidecars, index, metadata] =
        ["paths", "sidecars", "expected_index", "expected_metadata"].map(|n| load(&folder, &format!("{n}.json.gz")));
    let (mut images, mut differences) = (0, Vec::new());
    for (name, expected) in index.as_object().unwrap() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join(name);
        rebuild(&root, &paths[name], &sidecars[name]);
        let out = dir.path().join("out");
        let args: [&std::ffi::OsStr; 7] = [
            root.as_ref(),
            out.as_ref(),
            "participant".as_ref(),
            "--dry-run".as_ref(),
            "--format".as_ref(),
            "json".as_ref(),
            "--skip-bids-validation".as_ref(),
        ];
        let ran = common::run(args);
        let plan: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{name}: {e}\n{}", ran.stderr));
        assert!(!out.exists(), "{name}: a dry run wrote something");
        let got = plan["index"].as_array().unwrap();
        let expected = expected["files"].as_array().unwrap();
        images += expected.len();
        if got.len() != expected.len() {
            differences.push(format!("{name}: {} images, PyBIDS has {}", got.len(), expected.len()));
        }
        for file in expected {
            let path = file["path"].as_str().unwrap();
            match got.iter().find(|g| g["path"] == path) {
                None => differences.push(format!("{name}: {path} is missing")),
                Some(ours) => {
                    compare(name, path, file, ours, &metadata[name][path], &mut differences);
                }
            }
        }
    }
    assert!(images > 1000, "the oracle has {images} images");
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

fn compare(name: &str, path: &str, file: &Value, ours: &Value, metadata: &Value, differences: &mut Vec<String>) {
    let keys = [
        "RepetitionTime",
        "TaskName",
        "EchoTime",
        "SliceTiming",
        "FlipAngle",
        "MagneticFieldStrength",
        "PhaseEncodingDirection",
        "EffectiveEchoSpacing",
        "TotalReadoutTime",
        "MultibandAccelerationFactor",
        "VolumeTiming",
    ];
    let pick = |all: &Value| -> Value {
        let found = keys.iter().filter_map(|k| Some(((*k).to_owned(), all.get(*k)?.clone())));
        Value::Object(found.collect::<Map<_, _>>())
    };
    let want = json!([file["entities"], file["suffix"], file["datatype"], file["ext"], pick(metadata)]);
    let have = json!([ours["entities"], ours["suffix"], ours["datatype"], ours["extension"], pick(&ours["metadata"])]);
    // Objects with preserved order compare by content all the same.
    if want != have {
        differences.push(format!("{name}: {path}\n  PyBIDS {want}\n  here   {have}"));
    }
}
