//! Skull stripping: finds the brain in the image, or in the mean volume of a series.

use super::motion_correct::Aligned;
use super::validate::Volume;
use crate::step::{Found, StageError};
use imaging::brain::{Brain, Contrast, extract_brain};

/// Finds the brain in a T1w image.
pub fn t1w(raw: &Volume, found: &mut Found) -> Result<Brain, StageError> {
    told(extract_brain(raw.voxels.view(), raw.header.grid().voxel_mm, Contrast::T1w)?, found)
}

/// Finds the brain in the mean volume of a run.
pub fn bold(aligned: &Aligned, found: &mut Found) -> Result<Brain, StageError> {
    told(extract_brain(aligned.mean.view(), aligned.header.grid().voxel_mm, Contrast::Bold)?, found)
}

fn told(brain: Brain, found: &mut Found) -> Result<Brain, StageError> {
    found.set("brain.volume_ml", brain.volume_ml);
    found.set("method", brain.method);
    found.known.brain_volume_ml = Some(brain.volume_ml);
    if brain.already_stripped {
        found.note("the image has no skull any more; its own background is used as the mask");
    }
    Ok(brain)
}
