//! Skull stripping: finds the brain in the image, or in the mean volume of a series, and says how far it is to be believed.

use super::motion_correct::Motion;
use super::validate::{Series, Volume};
use crate::derivatives::measured::Located;
use crate::plan::ScanPlan;
use crate::step::{Found, StageError};
use crate::templates;
use imaging::brain::{Brain, Contrast, extract_brain};
use ndarray::ArrayView3;
use nifti::Header;

/// Finds the brain in a T1w image.
pub fn t1w(raw: &Volume, plan: &ScanPlan, strict: bool, found: &mut Found) -> Result<Brain, StageError> {
    find(raw.voxels.view(), &raw.header, Contrast::T1w, (plan, strict), found)
}

/// Finds the brain in the mean volume of a run.
pub fn bold(
    motion: &Motion,
    raw: &Series,
    plan: &ScanPlan,
    strict: bool,
    found: &mut Found,
) -> Result<Brain, StageError> {
    find(motion.mean.view(), &raw.header, Contrast::Bold, (plan, strict), found)
}

/// An implausible mask is noted, and an error with `--strict`.
fn find(
    image: ArrayView3<'_, f32>,
    header: &Header,
    contrast: Contrast,
    (plan, strict): (&ScanPlan, bool),
    found: &mut Found,
) -> Result<Brain, StageError> {
    let brain = extract_brain(image, &header.grid().affine, contrast, templates::head())?;
    let located = Located::of(&brain);
    found.set("brain.volume_ml", brain.volume_ml);
    found.set("method", brain.method.as_str());
    if let Some(likeness) = located.likeness {
        found.set("brain.likeness", likeness);
    }
    if brain.already_stripped.is_some() {
        found.note("the image is already skull-stripped; its own background is used as the mask");
    }
    brain.doubts.iter().for_each(|doubt| found.note(doubt.to_string()));
    found.known.brain_volume_ml = Some(brain.volume_ml);
    found.known.brain = Some(located);
    if strict && !brain.doubts.is_empty() {
        let doubts: Vec<String> = brain.doubts.iter().map(ToString::to_string).collect();
        return Err(StageError::Strict { scan: plan.id.clone(), notes: doubts.join("; ") });
    }
    Ok(brain)
}
