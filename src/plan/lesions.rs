//! Which lesion masks are for which T1w image: all of its participant and session whose name says nothing else of it.
//!
//! As fMRIPrep takes them: `sub-01_label-lesion_roi.nii.gz`, `sub-01_roi.nii.gz` or `sub-01_T1w_label-lesion_roi.nii.gz` in `anat/`.

use super::units::{Lesion, ScanPlan};
use crate::bids::{Index, Modality, ScanFile};
use serde_json::json;
use std::sync::Arc;

/// The key of a scan's metadata that tells of them.
const LESIONS: &str = "LesionMasks";
/// What a name may say of a mask that is not said of the image.
const OF_MASKS: [&str; 4] = ["label", "desc", "space", "res"];

/// Says for each T1w image of a session which lesion masks are for it.
pub(super) fn assign(index: &Index, scans: &mut [ScanPlan]) {
    for scan in scans.iter_mut().filter(|scan| scan.modality == Modality::T1w) {
        let lesions: Vec<Lesion> = index
            .lesions
            .iter()
            .filter(|file| is_for(file, scan))
            .map(|file| Lesion { path: index.root.join(&file.path), relative: file.path.clone() })
            .collect();
        if lesions.is_empty() {
            continue;
        }
        let mut metadata = (*scan.metadata).clone();
        metadata.insert(LESIONS.into(), json!(lesions.iter().map(|lesion| &lesion.relative).collect::<Vec<_>>()));
        scan.metadata = Arc::new(metadata);
        scan.lesions = lesions;
    }
}

fn is_for(file: &ScanFile, scan: &ScanPlan) -> bool {
    let of_image = |(key, _): &(&str, &str)| !OF_MASKS.contains(key);
    let said = file.entities.iter().filter(of_image).all(|(key, label)| scan.entities.get(key) == Some(label));
    said && file.session() == scan.entities.get("ses")
}

/// The masks of an image, as a line of a list; nothing where there are none.
pub(super) fn told(scan: &ScanPlan) -> Option<String> {
    let names: Vec<String> = scan.lesions.iter().map(|lesion| lesion.relative.display().to_string()).collect();
    (!names.is_empty()).then(|| format!("{}: lesion mask {}", scan.id, names.join(", ")))
}
