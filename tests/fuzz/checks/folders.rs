//! Folders of others: fieldmaps with what their sidecars say, and templates.

use super::build::File;
use super::{file, parts, place, printable};
use neuro_preprocess::bids::{Modality, Selection};
use neuro_preprocess::plan::{self, PlanOptions};
use neuro_preprocess::templates;
use neuro_preprocess::vocabulary::{Space, Spaces};

fn small() -> Vec<u8> {
    File::new(&[4, 4, 4]).voxels(2, 8, (0..64).collect()).bytes()
}

/// Whatever the sidecars of fieldmaps say, a run gets one of them or none, for a reason. Input: the sidecars of the run, of the
/// two images of opposite phase encoding, and of the phase difference.
pub fn fieldmaps(bytes: &[u8]) {
    let names =
        ["func/sub-01_task-a_bold", "fmap/sub-01_dir-AP_epi", "fmap/sub-01_dir-PA_epi", "fmap/sub-01_phasediff"];
    file("fields/dataset_description.json", br#"{"Name": "x", "BIDSVersion": "1.10.0"}"#);
    let contents: [&[u8]; 4] = parts(bytes);
    for (name, content) in names.into_iter().zip(contents) {
        let image = format!("fields/sub-01/{name}.nii");
        if !place(&image).exists() {
            file(&image, &small());
        }
        file(&format!("fields/sub-01/{name}.json"), if content.is_empty() { b"{}" } else { content });
    }
    if !place("fields/sub-01/fmap/sub-01_magnitude1.nii").exists() {
        file("fields/sub-01/fmap/sub-01_magnitude1.nii", &small());
    }
    let all = Selection { modalities: Modality::ALL.to_vec(), ..Selection::default() };
    let found = plan::survey(&place("fields"), &all, &PlanOptions::default()).expect("a dataset");
    printable(&plan::list_text(&found));
    let _ = plan::list_json(&found).to_string();
    for scan in found.plan.units.iter().flat_map(|unit| &unit.scans) {
        assert!(scan.metadata.values().all(|value| !value.is_null()), "{:?}", scan.metadata);
    }
}

/// A folder of templates is used or refused with words. Input: an image and its mask.
pub fn templates(bytes: &[u8]) {
    let cut = bytes.first().map_or(0, |at| usize::from(*at) * 4).min(bytes.len());
    let (image, mask) = bytes.get(1..).unwrap_or_default().split_at(cut.min(bytes.len().saturating_sub(1)));
    file("home/tpl-Lab42/tpl-Lab42_res-01_T1w.nii", image);
    file("home/tpl-Lab42/tpl-Lab42_res-01_desc-brain_mask.nii", mask);
    let home = place("home");
    assert_eq!(templates::names(&home).expect("it can be listed"), ["Lab42"]);
    let spaces = Spaces::parse(["Lab42"], &["Lab42".to_owned()]).expect("a space");
    for space in spaces.iter() {
        let Space::Template(id, _) = space else { continue };
        match templates::load(id, Some(&home)) {
            Err(e) => printable(&e.to_string()),
            Ok(template) => {
                assert!(template.brain.iter().all(|v| v.is_finite()) && template.brain.iter().any(|v| *v > 0.0));
                assert_eq!(template.brain.dim(), template.mask.dim());
            }
        }
    }
}
