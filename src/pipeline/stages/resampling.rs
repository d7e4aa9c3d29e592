//! Resampling: the corrected image, its brain and its tissues on the grids of the templates.

use super::intensity::ScaledVolume;
use super::spatial_normalization::Registered;
use super::tissues::Tissues;
use crate::step::StageError;
use crate::vocabulary::Space;
use imaging::brain::Brain;
use imaging::filter::bounding_box;
use imaging::normalization::NormalizationError;
use imaging::registration::WarpError;
use imaging::registration::warp::{Interpolation, Source, resample_all};
use imaging::rigid::{Matrix4, apply, compose, invert_affine};
use imaging::segmentation::Tissue;
use ndarray::{Array3, ArrayView3, Zip, s};
use nifti::{Grid, Header};
use std::ops::Range;

/// Voxels kept around the brain: what lies further off has no part in a cubic spline inside it.
const AROUND: usize = 12;

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
    /// Its tissues, where they can be told apart.
    pub labels: Option<Array3<u8>>,
    part: Part,
}

/// The part of a scan that holds its brain.
#[derive(Clone)]
struct Part {
    voxels: [Range<usize>; 3],
    /// From RAS+ mm to its voxels.
    to_voxel: Matrix4,
}

/// Resamples a T1w image to every requested space.
pub fn t1w(
    scaled: &ScaledVolume,
    brain: &Brain,
    tissues: Option<&Tissues>,
    maps: &[Registered<'_>],
) -> Result<Vec<Resampled>, StageError> {
    let mut resampled = Vec::new();
    for (by, map) in maps.iter().enumerate() {
        let part = Part::of(scaled, brain, map)?;
        for (space, grid) in &map.template.grids {
            let mut there = bring((scaled, brain), (by, map), (space, grid), &part);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "labels are 0 to 3")]
            let labels = tissues.map(|tissues| {
                let labels = tissues.found.labels.mapv(f32::from);
                there.bring(labels.view(), Interpolation::Nearest, map).mapv(|label| label as u8)
            });
            there.labels = labels;
            resampled.push(there);
        }
    }
    Ok(resampled)
}

/// A T1w image without its tissues in the first space of each template: for pictures, where nothing else is made of it.
pub fn to_be_seen(scaled: &ScaledVolume, brain: &Brain, maps: &[Registered<'_>]) -> Result<Vec<Resampled>, StageError> {
    let mut seen = Vec::new();
    for (by, map) in maps.iter().enumerate() {
        let part = Part::of(scaled, brain, map)?;
        let first = map.template.grids.first();
        seen.extend(first.map(|(space, grid)| bring((scaled, brain), (by, map), (space, grid), &part)));
    }
    Ok(seen)
}

/// The image and its brain in one space.
fn bring(
    (scaled, brain): (&ScaledVolume, &Brain),
    (by, map): (usize, &Registered<'_>),
    (space, grid): (&Space, &Grid),
    part: &Part,
) -> Resampled {
    let inside = part.view(brain.mask.view()).mapv(f32::from);
    let sources = [
        Source { image: part.view(scaled.image.view()), how: Interpolation::Cubic, elsewhere: 0.0 },
        Source { image: inside.view(), how: Interpolation::Linear, elsewhere: 0.0 },
    ];
    let [mut image, inside] = on_grid(sources, grid, map, part);
    let mask = inside.mapv(|share| u8::from(share >= 0.5));
    zero_outside(&mut image, &mask);
    let header = Header::new(grid.clone(), 1, None);
    Resampled { space: space.clone(), by, header, image, mask, labels: None, part: part.clone() }
}

impl Resampled {
    /// The probability of a tissue there, computed on first use.
    pub fn probability(&self, tissues: &Tissues, tissue: Tissue, map: &Registered<'_>) -> Array3<f32> {
        self.bring(tissues.shares.map(tissue).view(), Interpolation::Linear, map)
    }

    /// A volume on the scan's own grid, brought to the same space; zero outside the brain.
    fn bring(&self, volume: ArrayView3<'_, f32>, how: Interpolation, map: &Registered<'_>) -> Array3<f32> {
        let source = Source { image: self.part.view(volume), how, elsewhere: 0.0 };
        let [mut there] = on_grid([source], self.header.grid(), map, &self.part);
        zero_outside(&mut there, &self.mask);
        there
    }
}

impl Part {
    fn of(scaled: &ScaledVolume, brain: &Brain, map: &Registered<'_>) -> Result<Self, StageError> {
        let (nz, ny, nx) = brain.mask.dim();
        let [z, y, x] = bounding_box(brain.mask.view());
        let wider = |r: Range<usize>, n: usize| r.start.saturating_sub(AROUND)..(r.end + AROUND).min(n);
        let voxels = [wider(z, nz), wider(y, ny), wider(x, nx)];
        let to_voxel = invert_affine(&scaled.header.grid().affine).ok_or_else(|| StageError::Registration {
            template: map.template.id.to_string(),
            source: NormalizationError::Warp(WarpError::Singular { what: "the scan" }),
        })?;
        #[expect(clippy::cast_precision_loss, reason = "an extent of an image")]
        let first = [2, 1, 0].map(|axis: usize| voxels[axis].start as f64);
        let mut back = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        (0..3).for_each(|axis| back[axis][3] = -first[axis]);
        Ok(Self { voxels, to_voxel: compose(&back, &to_voxel) })
    }

    fn view<'a, T>(&self, volume: ArrayView3<'a, T>) -> ArrayView3<'a, T> {
        let [z, y, x] = self.voxels.clone();
        volume.slice_move(s![z, y, x])
    }
}

fn zero_outside(image: &mut Array3<f32>, mask: &Array3<u8>) {
    Zip::from(image).and(mask).for_each(|v, &m| *v = if m == 0 { 0.0 } else { *v });
}

fn on_grid<const N: usize>(
    sources: [Source<'_>; N],
    grid: &Grid,
    map: &Registered<'_>,
    part: &Part,
) -> [Array3<f32>; N] {
    let [nz, ny, nx] = grid.shape;
    let place = |voxel| apply(&part.to_voxel, map.map.warp.to_moving(apply(&grid.affine, voxel)));
    resample_all(sources, (nz, ny, nx), place)
}
