//! Brain extraction without a template: a deformable surface finds the brain on a 2 mm copy (`brain_evolve`: BET, Smith
//! 2002), a quadratic field makes tissue even, the surface settles again on the even image, and the mask takes its edge from
//! the tissue near it at full resolution. For EPI, and for heads that resemble the template too little.

use ndarray::{Array3, ArrayView3};

use crate::brain_fit::fit;
use crate::brain_locate::{locate, relative_noise};
use crate::brain_refine::refine;
use crate::brain_types::{BrainError, Contrast};
use crate::filter::{quantiles, shrink, values_in};
use crate::morphology::erode;

/// Edge in mm of the voxels the surface moves in.
const WORKING_MM: f64 = 2.0;
/// A brain's relative spread between its 10 % and 90 % quantiles is above this.
const LEAST_SPREAD: f64 = 0.1;

/// A mask and where its edge was taken to be.
pub(crate) struct BySurface {
    pub mask: Array3<u8>,
    pub edge_fraction: f64,
    pub tissue_threshold: f64,
}

/// Finds the brain in an image all of whose voxels are finite.
///
/// # Errors
/// [`BrainError`] when there is no head, no tissue, or what is inside the surface is too even.
pub(crate) fn by_surface(
    image: ArrayView3<f32>,
    voxel_mm: [f64; 3],
    contrast: Contrast,
) -> Result<BySurface, BrainError> {
    let factor = voxel_mm.map(|d| ((WORKING_MM / d + 0.05) as usize).max(1));
    let small = shrink(image, factor);
    let size = [0, 1, 2].map(|a| voxel_mm[a] * factor[a] as f64);
    let head = locate(small.view(), size).ok_or(BrainError::NoHead)?;
    let noise = relative_noise(image, voxel_mm, &head);
    let fitted = fit(&small, size, head, contrast, noise).ok_or(BrainError::NoTissue)?;
    let mask = refine(image, voxel_mm, &fitted.mesh, &fitted.field, fitted.edge);
    let inside = thin(&mask, factor, fitted.even.dim());
    let mut core = values_in(fitted.even.view(), erode(inside.view(), size, 4.0).view(), |_| true);
    let [low, median, high] = quantiles(&mut core, [0.1, 0.5, 0.9]).ok_or(BrainError::NoTissue)?;
    let spread = f64::from(high - low) / f64::from(median.abs().max(f32::MIN_POSITIVE));
    if spread < LEAST_SPREAD {
        return Err(BrainError::Uniform { percent: 100.0 * spread });
    }
    let tissue_threshold = f64::from(fitted.edge.tissue[0]);
    Ok(BySurface { mask, edge_fraction: fitted.fraction, tissue_threshold })
}

/// The mask on the working grid: the middle voxel of each block.
fn thin(mask: &Array3<u8>, factor: [usize; 3], shape: (usize, usize, usize)) -> Array3<u8> {
    let last = [mask.dim().0 - 1, mask.dim().1 - 1, mask.dim().2 - 1];
    Array3::from_shape_fn(shape, |(k, j, i)| {
        let at: [usize; 3] = std::array::from_fn(|a| ([k, j, i][a] * factor[a] + factor[a] / 2).min(last[a]));
        mask[at]
    })
}
