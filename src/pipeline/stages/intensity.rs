//! Intensity normalisation: scales the image so that a reference intensity (white matter for T1w, the mean of the brain for
//! bold) has the same value in every scan.

use super::bias_correction::Even;
use super::motion_correct::Motion;
use super::validate::Volume;
use crate::step::{Found, StageError};
use imaging::bias::BiasField;
use imaging::brain::Brain;
use imaging::distortion::shift::Shift;
use imaging::intensity::{Reference, grand_mean_reference, white_matter_reference};
use imaging::motion::{MotionError, MotionEstimate, resample_in_place};
use imaging::resampling::resample_displaced;
use imaging::rigid::{Matrix4, compose, invert_affine};
use ndarray::{Array3, Array4, ArrayViewMut3, Axis};
use nifti::Header;
use rayon::prelude::*;

/// A T1w image without its field, with its white matter at the reference.
pub struct ScaledVolume {
    /// The input's.
    pub header: Header,
    /// `(nz, ny, nx)`.
    pub image: Array3<f32>,
    /// The field that was divided out.
    pub bias: BiasField,
    /// What was scaled to what.
    pub reference: Reference,
}

/// All that was estimated of a bold run in its own space: what its volumes go through on their way to any space.
pub struct Fit {
    /// The mean of the steady state, without its field and with the brain's mean at the reference, `(nz, ny, nx)`.
    pub mean: Array3<f32>,
    /// How the head moved.
    pub motion: MotionEstimate,
    /// The field that is divided out.
    pub bias: BiasField,
    /// What is scaled to what.
    pub reference: Reference,
    /// Where the signal of each voxel is seen in the run as it was scanned, where that is known; mean, field and brain are without.
    pub shift: Option<Shift>,
}

impl Fit {
    /// For each volume, from voxels of the reference to its own; `affine` is that of the run.
    pub fn maps(&self, affine: &Matrix4) -> Result<Vec<Matrix4>, MotionError> {
        let to_voxel = invert_affine(affine).ok_or(MotionError::SingularGrid)?;
        Ok(self.motion.matrices.iter().map(|m| compose(&to_voxel, &compose(m, affine))).collect())
    }

    /// Undoes motion and distortion of a series in place.
    pub fn undone(&self, series: &mut Array4<f32>, affine: &Matrix4) -> Result<(), MotionError> {
        match &self.shift {
            None => resample_in_place(series, *affine, &self.motion),
            Some(shift) => {
                resample_displaced(series, &self.maps(affine)?, shift);
                Ok(())
            }
        }
    }
}

/// Scales a T1w image.
pub fn t1w(even: Even<Volume>, brain: &Brain, found: &mut Found) -> Result<ScaledVolume, StageError> {
    let Even { image: Volume { header, voxels: mut image }, bias } = even;
    let reference = white_matter_reference(image.view(), brain.mask.view())?;
    told(&reference, found);
    scale(image.view_mut(), &reference);
    Ok(ScaledVolume { header, image, bias, reference })
}

/// Finds the scale of a run, and scales its mean.
pub fn bold(even: Even<Motion>, brain: &Brain, found: &mut Found) -> Result<Fit, StageError> {
    let Even { image: Motion { mut mean, estimate: motion }, bias } = even;
    let reference = grand_mean_reference(mean.view(), brain.mask.view())?;
    told(&reference, found);
    scale(mean.view_mut(), &reference);
    Ok(Fit { mean, motion, bias, reference, shift: None })
}

fn told(reference: &Reference, found: &mut Found) {
    found.set("method", reference.method);
    found.set("reference_intensity", reference.value);
}

/// Scales a volume.
pub fn scale(mut volume: ArrayViewMut3<'_, f32>, reference: &Reference) {
    #[expect(clippy::cast_possible_truncation, reason = "voxels are f32")]
    let scale = reference.scale as f32;
    volume.axis_iter_mut(Axis(0)).into_par_iter().for_each(|mut slab| slab.mapv_inplace(|v| v * scale));
}

/// Levels that there are at least from zero to the reference intensity, however far the brightest voxel lies above.
const LEVELS: f64 = 2000.0;

/// The largest step in which an image with this reference may be stored.
#[expect(clippy::cast_possible_truncation, reason = "voxels are f32")]
pub fn step(reference: &Reference) -> f32 {
    (reference.target / LEVELS) as f32
}
