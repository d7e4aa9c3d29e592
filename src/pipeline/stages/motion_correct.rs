//! Motion correction of a bold run: estimate, resample once, and leave the mean volume.

use super::validate::Series;
use crate::step::{Found, StageError};
use imaging::confounds::framewise_displacement;
use imaging::motion::{self, MotionEstimate};
use ndarray::{Array3, Array4, ArrayViewMut3};
use nifti::Header;

/// A series whose volumes lie on each other.
pub struct Aligned {
    /// The input's, with the repetition time that holds.
    pub header: Header,
    /// `(nt, nz, ny, nx)`.
    pub series: Array4<f32>,
    /// The mean of the aligned volumes of the steady state.
    pub mean: Array3<f32>,
    /// How the head moved.
    pub motion: MotionEstimate,
}

/// Aligns the volumes of a run.
#[expect(clippy::cast_precision_loss, reason = "a count of volumes")]
pub fn align(raw: Series, found: &mut Found) -> Result<Aligned, StageError> {
    let Series { header, mut voxels } = raw;
    let affine = header.grid().affine;
    let motion = motion::estimate_motion(voxels.view(), affine)?;
    motion::resample_in_place(&mut voxels, affine, &motion)?;
    let skip: Vec<usize> = (0..motion.non_steady).chain(motion.unaligned.iter().copied()).collect();
    let mean = motion::mean_volume(voxels.view(), &skip);
    let fd: Vec<f64> = framewise_displacement(&motion.parameters).into_iter().flatten().collect();
    found.set("fd_mean_mm", fd.iter().sum::<f64>() / fd.len().max(1) as f64);
    found.set("fd_max_mm", fd.iter().copied().fold(0.0, f64::max));
    found.set("n_volumes", voxels.dim().0);
    if !motion.unaligned.is_empty() {
        let lost = &motion.unaligned;
        found.note(format!("volumes {lost:?} could not be aligned and have their neighbour's motion"));
    }
    Ok(Aligned { header, series: voxels, mean, motion })
}

impl Aligned {
    /// Every volume that goes through the same changes: those of the series, then the mean.
    pub fn volumes_mut(&mut self) -> impl Iterator<Item = ArrayViewMut3<'_, f32>> {
        self.series.outer_iter_mut().chain(std::iter::once(self.mean.view_mut()))
    }
}
