//! The two images of a pair with opposite phase encoding, as the estimate needs them.

use ndarray::{Array3, ArrayView3};

use super::difference::Grid;
use super::error::{same_shape, usable_voxels};
use super::readout::believed;
use super::shift::along_y;
use super::{DistortionError, PhaseEncoding};

/// Voxels along phase encoding that are needed.
const FEWEST: usize = 8;
/// Intensity, of the mean of the bright voxels, above which a voxel is of the head.
pub(super) const OF_HEAD: f32 = 0.3;

/// An EPI image of a pair.
#[derive(Clone, Copy, Debug)]
pub struct Epi<'a> {
    /// The image `(nz, ny, nx)`; what is not finite or below 0 counts as 0.
    pub image: ArrayView3<'a, f32>,
    /// Its phase encoding.
    pub direction: PhaseEncoding,
    /// Its total readout time, seconds.
    pub readout_s: f64,
}

/// Both images as the estimate needs them: phase encoding along y, equally bright, in standard layout.
pub(super) struct Pair {
    pub grid: Grid,
    /// `[dz, dy, dx]`.
    pub voxel_mm: [f64; 3],
    pub first: Array3<f32>,
    pub second: Array3<f32>,
    /// Readout time of the second over that of the first.
    pub kappa: f32,
    /// What the second was multiplied by, against the first.
    pub scale: f64,
}

impl Pair {
    pub(super) fn new(first: &Epi, second: &Epi, voxel_mm: [f64; 3]) -> Result<Self, DistortionError> {
        same_shape("second image", first.image.dim(), &second.image)?;
        usable_voxels(voxel_mm)?;
        if first.direction == second.direction {
            return Err(DistortionError::SamePolarity { direction: first.direction });
        }
        let axis = first.direction.array_axis();
        if second.direction.array_axis() != axis {
            return Err(DistortionError::OtherAxis { first: first.direction, second: second.direction });
        }
        let seconds = believed("readout time of the first image", first.readout_s)?;
        let kappa = (believed("readout time of the second image", second.readout_s)? / seconds) as f32;
        let mut voxel_mm = voxel_mm;
        voxel_mm.swap(axis, 1);
        let clean =
            |image: ArrayView3<f32>| along_y(image, axis).mapv_into(|v| if v.is_finite() { v.max(0.0) } else { 0.0 });
        let (mut one, mut other) = (clean(first.image), clean(second.image));
        let (nz, ny, nx) = one.dim();
        if ny < FEWEST {
            return Err(DistortionError::TooSmall { voxels: ny, least: FEWEST });
        }
        // Distortion conserves the sum, not how bright the bright voxels are: and a wrong gain is what misleads a fine grid most.
        let (sum_one, sum_other) = (sum(&one), sum(&other));
        let bright = bright_mean(&one, sum_one).ok_or(DistortionError::Empty { what: "first image" })?;
        let scale = sum_one / sum_other;
        if !scale.is_normal() {
            return Err(DistortionError::Empty { what: "second image" });
        }
        one.mapv_inplace(|v| (f64::from(v) / bright) as f32);
        other.mapv_inplace(|v| (f64::from(v) * scale / bright) as f32);
        let grid = Grid::new([nz, ny, nx], voxel_mm);
        Ok(Self { grid, voxel_mm, first: one, second: other, kappa, scale })
    }
}

fn sum(image: &Array3<f32>) -> f64 {
    image.iter().map(|v| f64::from(*v)).sum()
}

/// The mean of the voxels above the mean.
fn bright_mean(image: &Array3<f32>, sum: f64) -> Option<f64> {
    let mean = sum / image.len() as f64;
    let above = image.iter().map(|v| f64::from(*v)).filter(|v| *v > mean);
    let (n, total) = above.fold((0_usize, 0.0), |(n, total), v| (n + 1, total + v));
    Some(total / n as f64).filter(|bright| bright.is_normal())
}
