//! The distortion of a run in its page: whether it was corrected, with what, and what speaks for it.

use super::PageError;
use super::files::ScanFiles;
use crate::derivatives::measured::{Costs, Distortion, FromMap, FromPair, Likenesses};
use figures::{FigureData, PictureKind};
use serde_json::{Value, json};

/// The part of the page; null where nothing is known of distortion.
pub(super) fn shown(files: &ScanFiles<'_>, figures: Option<&FigureData>, room: &mut usize) -> Result<Value, PageError> {
    let Some(told) = &files.scan.distortion else { return Ok(Value::Null) };
    let mut pictures = Vec::new();
    let mosaic = figures.and_then(|figures| figures.undistorted.as_ref());
    if mosaic.is_some() {
        for (name, kind) in [("Corrected", PictureKind::Undistorted), ("As it was", PictureKind::Distorted)] {
            if let Some(source) = files.picture(kind, room)? {
                pictures.push(json!({ "name": name, "source": source }));
            }
        }
    }
    Ok(
        json!({ "corrected": told.corrected, "why": told.why, "pictures": pictures, "mosaic": mosaic, "facts": facts(told) }),
    )
}

/// Name and value, for people.
fn facts(told: &Distortion) -> Vec<(&'static str, String)> {
    let mut facts: Vec<(&str, String)> = Vec::new();
    if let (Some(kind), Some(id)) = (&told.kind, &told.fieldmap) {
        let by = told.by.as_deref().unwrap_or_default();
        facts.push(("Fieldmap", format!("{id}, {kind}; for this run by {by}")));
    }
    if !told.files.is_empty() {
        facts.push(("Files", told.files.join(", ")));
    }
    if let (Some(direction), Some(seconds)) = (&told.direction, told.readout_s) {
        facts.push(("Phase encoding", format!("{direction}, readout {:.2} ms", seconds * 1000.0)));
    }
    if let Some([low, middle, high, largest]) = told.shift_mm {
        let shift =
            format!("{low:.1} to {high:.1} mm in 98 % of the brain (median {middle:.1}), at most {largest:.1} mm");
        facts.push(("Displacement", shift));
    }
    if let (Some([least, _, _, most]), Some(folded)) = (told.jacobian, told.folded_share) {
        let folded = format!("{:.2} % of the brain at the limit of folding", 100.0 * folded);
        facts.push(("Stretching", format!("signal is spread over {least:.2} to {most:.2} times its length; {folded}")));
    }
    if let Some(share) = told.extrapolated_share {
        facts.push(("Field not measured", format!("in {:.1} % of the brain, where it is extrapolated", 100.0 * share)));
    }
    if let Some(Likenesses { corrected, uncorrected, reversed }) = told.likeness {
        let likeness = format!(
            "{corrected:.4} with the correction, {uncorrected:.4} without, {reversed:.4} with the opposite sign"
        );
        facts.push(("Likeness with the T1w image", likeness));
    }
    if let Some(Costs { corrected, uncorrected }) = told.cost {
        let cost = format!("{corrected:.3} with the correction, {uncorrected:.3} without");
        facts.push(("Cost of the coregistration", cost));
    }
    if let Some([mm, degrees]) = told.moved {
        facts
            .push(("Motion between fieldmap and run", format!("{mm:.1} mm, {degrees:.1} degrees, taken into account")));
    }
    facts.extend(told.from_map.map(of_map));
    facts.extend(told.from_pair.map(of_pair));
    facts.extend(told.doubts.iter().map(|doubt| ("Doubt", doubt.clone())));
    facts
}

fn of_map(map: FromMap) -> (&'static str, String) {
    let wraps = match (map.wrapped_share, map.cycles_removed) {
        (Some(share), Some(cycles)) => {
            format!("phase wrapped in {:.1} % of the head, {cycles} whole cycles taken off; ", 100.0 * share)
        }
        _ => String::new(),
    };
    ("Field", format!("{wraps}median {:.1} Hz, {:.1} Hz from measured to smooth", map.median_hz, map.residual_hz))
}

fn of_pair(pair: FromPair) -> (&'static str, String) {
    let size = |v: [f64; 3]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
    let [before, after] = pair.correlation;
    let text = format!(
        "images correlate {after:.3}, {before:.3} before; {:.1} mm and {:.1} degrees apart, the second multiplied by {:.3}",
        size(pair.translation_mm),
        size(pair.rotation_deg),
        pair.gain
    );
    ("Pair", text)
}
