//! Brain extraction: the mask of brain tissue, ventricles and sulci of a T1w volume or a reference EPI volume.
//!
//! No template, no weights: a deformable surface finds the brain on a 2 mm copy (`brain_evolve`: BET,
//! Smith 2002), a quadratic field makes tissue even, the surface settles again on the even image, and the mask takes its
//! edge from the tissue near it at full resolution. What cannot be a brain is refused rather than masked.

use ndarray::{Array3, ArrayView3, CowArray, Ix3};

use crate::brain_check::{already_stripped, check_brain};
use crate::brain_fit::{Fitted, fit};
use crate::brain_locate::{Head, locate, relative_noise};
use crate::brain_refine::refine;
use crate::filter::{par_count, shrink};

/// Edge in mm of the voxels the surface moves in.
const WORKING_MM: f64 = 2.0;

pub use crate::brain_types::{Brain, BrainError, Contrast};

/// Finds the brain in a RAS+ volume (nz, ny, nx) of raw intensities with voxels of `[dz, dy, dx]` mm.
///
/// An image whose background is exactly zero and whose rest has the size of a brain is taken as stripped already. Values
/// that are not finite count as 0. The result is the same at any number of threads.
///
/// # Errors
/// [`BrainError`] when there is no head, or what was found is not of the size, unevenness and outline of a brain.
pub fn extract_brain(image: ArrayView3<f32>, voxel_mm: [f64; 3], contrast: Contrast) -> Result<Brain, BrainError> {
    let shape = [image.dim().0, image.dim().1, image.dim().2];
    let usable = |(&n, &d): (&usize, &f64)| n >= 4 && d.is_finite() && d > 0.05 && n as f64 * d > 40.0;
    if !shape.iter().zip(&voxel_mm).all(usable) {
        return Err(BrainError::Unusable { shape, voxel_mm });
    }
    let image: CowArray<f32, Ix3> = if par_count(image, |v| !v.is_finite()) == 0 {
        image.into()
    } else {
        image.mapv(|v| if v.is_finite() { v } else { 0.0 }).into()
    };
    if let Some(mask) = already_stripped(image.view(), voxel_mm) {
        return Ok(brain(mask, voxel_mm, None));
    }
    let factor = voxel_mm.map(|d| ((WORKING_MM / d + 0.05) as usize).max(1));
    let small = shrink(image.view(), factor);
    let size = [0, 1, 2].map(|a| voxel_mm[a] * factor[a] as f64);
    let head = locate(small.view(), size).ok_or(BrainError::NoHead)?;
    let noise = relative_noise(image.view(), voxel_mm, &head);
    let fitted = fit(&small, size, head, contrast, noise).ok_or(BrainError::NoTissue)?;
    let mask = refine(image.view(), voxel_mm, &fitted.mesh, &fitted.field, fitted.edge);
    let found = brain(mask, voxel_mm, Some((head, &fitted)));
    check_brain(fitted.even.view(), size, factor, &found)?;
    Ok(found)
}

fn brain(mask: Array3<u8>, voxel_mm: [f64; 3], surface: Option<(Head, &Fitted)>) -> Brain {
    let voxels = par_count(mask.view(), |&v| v != 0);
    let volume_ml = voxels as f64 * voxel_mm.iter().product::<f64>() / 1000.0;
    Brain {
        mask,
        volume_ml,
        method: if surface.is_some() { "surface and tissue" } else { "non-zero voxels" },
        already_stripped: surface.is_none(),
        centre_mm: surface.map(|(head, _)| head.centre),
        edge_fraction: surface.map(|(_, fitted)| fitted.fraction),
        tissue_threshold: surface.map(|(_, fitted)| f64::from(fitted.edge.tissue[0])),
    }
}
