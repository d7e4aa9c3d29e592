//! From the scanner's files to derivatives by `docs/from-dicom.md`, with the real dcm2bids and dcm2niix; and what somebody is told
//! who gives a folder of DICOM files as a dataset.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common::console::{environment, steps, try_steps};
use crate::common::install::{or_skip, python, root};
use crate::common::{run, run_command, text};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A value that the summary of the only participant has for its scan of this kind.
fn of_scan(output: &Path, kind: &str, key: &str) -> f64 {
    let summary: Value = serde_json::from_slice(&fs::read(output.join("sub-01/sub-01_summary.json")).unwrap()).unwrap();
    let scan = summary["scans"].as_array().unwrap().iter().find(|scan| scan["modality"] == kind).unwrap();
    scan[key].as_f64().unwrap_or_else(|| panic!("no {key} in {scan}"))
}

#[test]
fn the_page_leads_from_dicom_files_to_derivatives() {
    let installed = python("dicom", "tests/peers/requirements-dicom.txt");
    let Some(python) = or_skip("dcm2bids", installed) else { return };
    let dir = tempfile::tempdir().unwrap();
    let [made, dicom, direct] = ["made", "dicom", "direct"].map(|name| dir.path().join(name));
    run(["synth", text(&made), "--participants", "1", "--voxel-size", "3", "--volumes", "10"]).exits(0);
    let script = root("tests/peers/write_dicom.py");
    run_command(Command::new(&python).arg(script).args([&made, &dicom])).exits(0);

    for args in
        [vec![text(&dicom), "out", "participant"], vec!["list", text(&dicom)], vec!["batch", text(&dicom), "-o", "out"]]
    {
        let refused = run(args).exits(16);
        for said in ["holds DICOM files, such as", "dcm2niix", "nipoppy bidsify", "[NP-DICOM]"] {
            assert!(refused.stderr.contains(said), "{said} is not in {}", refused.stderr);
        }
    }

    let page = fs::read_to_string(root("docs/from-dicom.md")).unwrap();
    let series = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    fs::write(dir.path().join("series.json"), series).unwrap();
    let programs = format!("{}:/usr/bin:/bin", python.parent().unwrap().display());
    try_steps(&steps(&page), dir.path(), &environment(dir.path(), &programs));

    // The same head, the other way round in its file and with 4000 grey levels, has the same brain.
    run([text(&made), text(&direct), "participant"]).exits(0);
    for kind in ["T1w", "bold"] {
        let [converted, as_made] =
            [dir.path().join("out"), direct.clone()].map(|output| of_scan(&output, kind, "brain_volume_ml"));
        assert!((converted / as_made - 1.0).abs() < 0.02, "{kind}: {converted} and {as_made} ml");
    }
}
