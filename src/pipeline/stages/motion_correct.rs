//! Motion of a bold run: estimated against its steadiest volumes, with the mean volume that it leads to. The series stays as it
//! was scanned, to be interpolated once, straight to where it is wanted.

use super::validate::Series;
use crate::step::{Found, StageError};
use imaging::confounds::framewise_displacement;
use imaging::motion::{self, MotionEstimate};
use ndarray::Array3;

/// The motion of a run, and its mean without it.
pub struct Motion {
    /// The mean of the aligned volumes of the steady state, `(nz, ny, nx)`.
    pub mean: Array3<f32>,
    /// How the head moved.
    pub estimate: MotionEstimate,
}

/// Estimates the motion of a run.
#[expect(clippy::cast_precision_loss, reason = "a count of volumes")]
pub fn fit(raw: &Series, found: &mut Found) -> Result<MotionEstimate, StageError> {
    let motion = motion::estimate_motion(raw.voxels.view(), raw.header.grid().affine)?;
    let fd: Vec<f64> = framewise_displacement(&motion.parameters).into_iter().flatten().collect();
    found.set("fd_mean_mm", fd.iter().sum::<f64>() / fd.len().max(1) as f64);
    found.set("fd_max_mm", fd.iter().copied().fold(0.0, f64::max));
    found.set("n_volumes", raw.voxels.dim().0);
    if !motion.unaligned.is_empty() {
        let lost = &motion.unaligned;
        found.note(format!("volumes {lost:?} could not be aligned; the motion of their neighbours is used"));
    }
    Ok(motion)
}

/// The run's mean without its motion.
pub fn averaged(raw: &Series, estimate: MotionEstimate) -> Result<Motion, StageError> {
    let affine = raw.header.grid().affine;
    let mean = motion::aligned_mean(raw.voxels.view(), affine, &estimate, &left_out(&estimate))?;
    Ok(Motion { mean, estimate })
}

/// The volumes that have no part in a mean: before the steady state, or not aligned.
pub fn left_out(motion: &MotionEstimate) -> Vec<usize> {
    (0..motion.non_steady).chain(motion.unaligned.iter().copied()).collect()
}
