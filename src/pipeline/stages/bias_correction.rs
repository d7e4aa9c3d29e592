//! Bias correction: estimates the slow intensity field in the brain and divides every volume by it.

use super::motion_correct::Aligned;
use super::validate::Volume;
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

/// Corrects the volumes of a run and their mean by the field of the mean.
pub fn bold(mut aligned: Aligned, brain: &Brain, found: &mut Found) -> Result<Even<Aligned>, StageError> {
    let bias = estimate_bias(aligned.mean.view(), brain.mask.view(), aligned.header.grid().voxel_mm)?;
    aligned.volumes_mut().for_each(|volume| divide_by_field(volume, bias.field.view()));
    told(&bias, found);
    Ok(Even { image: aligned, bias })
}

fn told(bias: &BiasField, found: &mut Found) {
    found.set("bias.iterations", bias.iterations.iter().sum::<usize>());
    found.set("bias.cv_before", bias.cv_before);
    found.set("bias.cv_after", bias.cv_after);
    if !bias.converged {
        found.note("the bias field was still changing when the iterations ended");
    }
}
