//! Bias correction: estimates the slow intensity field in the brain and divides the image by it; of a run, its mean.

use super::motion_correct::Motion;
use super::validate::{Series, Volume};
use crate::step::{Found, StageError};
use imaging::bias::{BiasField, divide_by_field, estimate_bias};
use imaging::brain::Brain;

/// An image without its slow intensity field.
pub struct Even<I> {
    /// The image, divided by the field.
    pub image: I,
    /// The field.
    pub bias: BiasField,
}

/// Corrects a T1w image.
pub fn t1w(mut raw: Volume, brain: &Brain, found: &mut Found) -> Result<Even<Volume>, StageError> {
    let bias = estimate_bias(raw.voxels.view(), brain.mask.view(), raw.header.grid().voxel_mm)?;
    divide_by_field(raw.voxels.view_mut(), bias.field.view());
    told(&bias, found);
    Ok(Even { image: raw, bias })
}

/// Finds the field of a run in its mean, and corrects that.
pub fn bold(mut motion: Motion, raw: &Series, brain: &Brain, found: &mut Found) -> Result<Even<Motion>, StageError> {
    let bias = estimate_bias(motion.mean.view(), brain.mask.view(), raw.header.grid().voxel_mm)?;
    divide_by_field(motion.mean.view_mut(), bias.field.view());
    told(&bias, found);
    Ok(Even { image: motion, bias })
}

fn told(bias: &BiasField, found: &mut Found) {
    found.set("bias.iterations", bias.iterations.iter().sum::<usize>());
    found.set("bias.cv_before", bias.cv_before);
    found.set("bias.cv_after", bias.cv_after);
    if !bias.converged {
        found.note("the bias field did not converge");
    }
}
