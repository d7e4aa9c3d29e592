//! What this program writes and reads again, and what others may have changed in between: ledgers and markers, transforms.

use super::{file, parts, place, printable};
use neuro_preprocess::bids::{Modality, Selection};
use neuro_preprocess::derivatives::verify::verify;
use neuro_preprocess::plan::{self, PlanOptions};
use neuro_preprocess::vocabulary::Resume;
use std::path::Component;

/// Whatever stands in the ledger, marker and summary of a session, its outputs are held against them without a look at files
/// outside of the folder, and its scans are planned. Input: ledger, marker, summary.
pub fn ledger(bytes: &[u8]) {
    let [ledger, marker, summary] = parts(bytes);
    file("written/dataset_description.json", br#"{"Name": "x", "BIDSVersion": "1.10.0"}"#);
    file("written/sub-01/anat/sub-01_T1w.nii", b"no image");
    file("done/sub-01/anat/sub-01_desc-brain_mask.json", b"{}");
    for (kind, content) in [("ledger", ledger), ("success", marker), ("summary", summary)] {
        let name = format!("done/sub-01/sub-01_{kind}.json");
        if content.is_empty() { drop(std::fs::remove_file(place(&name))) } else { drop(file(&name, content)) }
    }
    let found = verify(&place("done")).expect("the folder can be listed");
    for fault in &found.faults {
        assert!(fault.path.components().all(|part| matches!(part, Component::Normal(_))), "{fault:?}");
    }
    assert!(found.sessions <= 1);
    let all = Selection { modalities: Modality::ALL.to_vec(), ..Selection::default() };
    for resume in [Resume::Size, Resume::Verify] {
        let options = PlanOptions { resume, ..PlanOptions::default() };
        let plan = plan::plan_dataset(&place("written"), Some(&place("done")), &all, &options).expect("a dataset");
        printable(&plan::to_text(&plan));
    }
}

/// A file of transforms is read or refused with words. What is read maps points, and affines are the same when they are written
/// and read again.
pub fn transforms(bytes: &[u8]) {
    match itk::read_text(bytes) {
        Err(e) => printable(&e.to_string()),
        Ok(affines) => {
            let mut again = Vec::new();
            itk::write_text(&mut again, &affines).expect("what was read can be written");
            let same = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0);
            let read = itk::read_text(again.as_slice()).expect("what was written can be read");
            assert!(affines.iter().flatten().flatten().zip(read.iter().flatten().flatten()).all(same));
        }
    }
    match itk::read_h5(std::io::Cursor::new(bytes.to_vec())) {
        Err(e) => printable(&e.to_string()),
        Ok(composite) => drop(composite.map([1.0, -2.0, 3.0])),
    }
}
