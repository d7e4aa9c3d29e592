//! Resampling: the corrected image, its brain and its tissues on the grids of the templates.

use super::intensity::ScaledVolume;
use super::spatial_normalization::Registered;
use crate::step::StageError;
use crate::vocabulary::Space;
use imaging::brain::Brain;
use imaging::normalization::NormalizationError;
use imaging::registration::WarpError;
use imaging::registration::warp::{Interpolation, Source, Warp, resample_all};
use imaging::rigid::{Matrix4, apply, invert_affine};
use ndarray::{Array3, ArrayView3, Zip};
use nifti::{Grid, Header};

/// A scan on a grid of a template.
pub struct Resampled {
    /// The space.
    pub space: Space,
    /// Which of the maps brought it there.
    pub by: usize,
    /// The grid, as a header.
    pub header: Header,
    /// The corrected image, zero outside the brain, as fMRIPrep has it.
    pub image: Array3<f32>,
    /// The brain.
    pub mask: Array3<u8>,
}

/// Resamples a T1w image to every space that was asked for.
pub fn t1w(scaled: &ScaledVolume, brain: &Brain, maps: &[Registered<'_>]) -> Result<Vec<Resampled>, StageError> {
    let mut resampled = Vec::new();
    for (by, map) in maps.iter().enumerate() {
        let to_voxel = to_voxel(scaled, map)?;
        for (space, grid) in &map.template.grids {
            let inside = brain.mask.mapv(f32::from);
            let sources = [
                Source { image: scaled.image.view(), how: Interpolation::Cubic, elsewhere: 0.0 },
                Source { image: inside.view(), how: Interpolation::Linear, elsewhere: 0.0 },
            ];
            let [mut image, inside] = on_grid(sources, grid, &map.map.warp, &to_voxel);
            let mask = inside.mapv(|share| u8::from(share >= 0.5));
            zero_outside(&mut image, &mask);
            let header = Header::new(grid.clone(), 1, None);
            resampled.push(Resampled { space: space.clone(), by, header, image, mask });
        }
    }
    Ok(resampled)
}

impl Resampled {
    /// Another volume on the scan's own grid, brought to the same space by the same map; zero outside the brain.
    pub fn bring(
        &self,
        volume: ArrayView3<'_, f32>,
        how: Interpolation,
        to_voxel: &Matrix4,
        warp: &Warp,
    ) -> Array3<f32> {
        let [mut there] = on_grid([Source { image: volume, how, elsewhere: 0.0 }], self.header.grid(), warp, to_voxel);
        zero_outside(&mut there, &self.mask);
        there
    }
}

/// From RAS+ mm to the voxels of the scan.
pub fn to_voxel(scaled: &ScaledVolume, map: &Registered<'_>) -> Result<Matrix4, StageError> {
    invert_affine(&scaled.header.grid().affine).ok_or_else(|| StageError::Registration {
        template: map.template.id.to_string(),
        source: NormalizationError::Warp(WarpError::Singular { what: "the scan" }),
    })
}

fn zero_outside(image: &mut Array3<f32>, mask: &Array3<u8>) {
    Zip::from(image).and(mask).for_each(|v, &m| *v = if m == 0 { 0.0 } else { *v });
}

fn on_grid<const N: usize>(sources: [Source<'_>; N], grid: &Grid, warp: &Warp, to_voxel: &Matrix4) -> [Array3<f32>; N] {
    let [nz, ny, nx] = grid.shape;
    resample_all(sources, (nz, ny, nx), |voxel| apply(to_voxel, warp.to_moving(apply(&grid.affine, voxel))))
}
