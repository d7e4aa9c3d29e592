//! The resolutions at which volumes are aligned: the grid itself and coarser ones, each half as fine as the one before.
//!
//! Coarse grids see large motion as a shift of a few voxels, which Gauss–Newton steps can follow, at a fraction of the
//! cost; the smoothing before each halving is the [1 2 1]/4 binomial.

use crate::interpolate::SplineVolume;
use crate::rigid::{Matrix4, invert_affine};

/// Levels stop at this voxel size (mm): ten degrees move the edge of a head by about one such voxel.
const COARSEST_MM: f64 = 12.0;
/// An axis with fewer voxels than this is not halved any more.
const FEWEST_VOXELS: usize = 12;

/// One resolution: its shape `(nz, ny, nx)` and where its voxels lie.
pub(super) struct Grid {
    pub shape: [usize; 3],
    /// Voxel `(i, j, k)` to RAS mm.
    pub to_world: Matrix4,
    /// RAS mm to voxel `(i, j, k)`.
    pub to_voxel: Matrix4,
    /// Largest voxel edge, mm.
    pub voxel_mm: f64,
    /// Which axes `[z, y, x]` have every second voxel of the finer level.
    halved: [bool; 3],
}

impl Grid {
    fn new(shape: [usize; 3], to_world: Matrix4, halved: [bool; 3]) -> Option<Self> {
        let voxel_mm = edges(&to_world).into_iter().fold(0.0, f64::max);
        Some(Self { shape, to_world, to_voxel: invert_affine(&to_world)?, voxel_mm, halved })
    }

    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Voxel edges along `[z, y, x]` in mm.
fn edges(to_world: &Matrix4) -> [f64; 3] {
    [2, 1, 0].map(|c| (0..3).map(|r| to_world[r][c].powi(2)).sum::<f64>().sqrt())
}

/// The grids from fine to coarse, or `None` where the affine matrix cannot be inverted.
pub(super) fn grids(shape: [usize; 3], to_world: &Matrix4) -> Option<Vec<Grid>> {
    let mut levels = vec![Grid::new(shape, *to_world, [false; 3])?];
    while let Some(fine) = levels.last() {
        let edge = edges(&fine.to_world);
        // Axes much coarser than the finest one wait until the others have caught up.
        let limit = edge.iter().copied().fold(f64::INFINITY, f64::min) * 1.5;
        let halved: [bool; 3] =
            std::array::from_fn(|a| edge[a] <= limit && edge[a] < COARSEST_MM / 1.5 && fine.shape[a] >= FEWEST_VOXELS);
        if halved == [false; 3] {
            break;
        }
        let shape = std::array::from_fn(|a| if halved[a] { fine.shape[a].div_ceil(2) } else { fine.shape[a] });
        let mut to_world = fine.to_world;
        for row in to_world.iter_mut().take(3) {
            for (axis, halved) in halved.iter().rev().enumerate() {
                row[axis] *= if *halved { 2.0 } else { 1.0 };
            }
        }
        levels.push(Grid::new(shape, to_world, halved)?);
    }
    Some(levels)
}

/// Buffers for the pyramid of one volume, reused from volume to volume.
pub(super) struct Pyramid<'a> {
    grids: &'a [Grid],
    splines: Vec<SplineVolume>,
    work: Vec<f32>,
}

impl<'a> Pyramid<'a> {
    pub fn new(grids: &'a [Grid]) -> Self {
        let splines = grids.iter().map(|g| SplineVolume::new(g.shape)).collect();
        Self { grids, splines, work: Vec::new() }
    }

    /// Takes a volume in, for the finest level alone or for all the others.
    pub fn fill(&mut self, volume: &[f32], finest: bool) {
        self.work.clear();
        self.work.extend_from_slice(volume);
        for (level, grid) in self.grids.iter().enumerate() {
            if level > 0 {
                halve(&mut self.work, self.grids[level - 1].shape, grid.halved);
            }
            smooth(&mut self.work, grid.shape);
            if finest == (level == 0) {
                self.splines[level].approximate(&self.work);
            }
            if finest {
                break;
            }
        }
    }

    pub fn level(&self, level: usize) -> &SplineVolume {
        &self.splines[level]
    }
}

/// Keeps every second voxel along the `halved` axes of a volume of this shape.
fn halve(volume: &mut Vec<f32>, shape: [usize; 3], halved: [bool; 3]) {
    let step = halved.map(|h| if h { 2 } else { 1 });
    let mut kept = 0;
    for k in (0..shape[0]).step_by(step[0]) {
        for j in (0..shape[1]).step_by(step[1]) {
            let row = (k * shape[1] + j) * shape[2];
            for i in (0..shape[2]).step_by(step[2]) {
                volume[kept] = volume[row + i];
                kept += 1;
            }
        }
    }
    volume.truncate(kept);
}

/// Smooths with [1 2 1]/4 along every axis of more than one voxel, mirrored about the outermost voxels.
fn smooth(volume: &mut [f32], shape: [usize; 3]) {
    let [nz, ny, nx] = shape;
    if nx > 1 {
        for row in volume.chunks_exact_mut(nx) {
            let mut before = row[1];
            for i in 0..nx {
                let after = if i + 1 < nx { row[i + 1] } else { before };
                let value = row[i];
                row[i] = 0.25 * (before + after) + 0.5 * value;
                before = value;
            }
        }
    }
    let mut before = Vec::new();
    let mut here = Vec::new();
    for plane in volume.chunks_exact_mut(ny * nx) {
        smooth_layers(plane, nx, ny, &mut before, &mut here);
    }
    smooth_layers(volume, ny * nx, nz, &mut before, &mut here);
}

/// Smooths along the outer axis of `n` layers of `stride` values each; `before` and `here` are buffers.
fn smooth_layers(layers: &mut [f32], stride: usize, n: usize, before: &mut Vec<f32>, here: &mut Vec<f32>) {
    if n == 1 {
        return;
    }
    before.clear();
    before.extend_from_slice(&layers[stride..2 * stride]);
    for layer in 0..n {
        let (done, after) = layers.split_at_mut((layer + 1) * stride);
        let row = &mut done[layer * stride..];
        here.clear();
        here.extend_from_slice(row);
        let next = if layer + 1 < n { &after[..stride] } else { before.as_slice() };
        for (((value, b), a), h) in row.iter_mut().zip(before.iter()).zip(next).zip(here.iter()) {
            *value = 0.25 * (b + a) + 0.5 * h;
        }
        std::mem::swap(before, here);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rigid::{IDENTITY, apply};

    #[test]
    fn smoothing_spreads_a_point_by_the_binomial_and_keeps_a_constant() {
        let mut point = vec![0.0; 125];
        point[62] = 64.0;
        smooth(&mut point, [5, 5, 5]);
        assert_eq!((point[62], point[61], point[56], point[31]), (8.0, 4.0, 2.0, 1.0));
        for shape in [[1, 1, 1], [1, 4, 5], [3, 1, 2]] {
            let mut flat = vec![7.0; shape.iter().product()];
            smooth(&mut flat, shape);
            assert!(flat.iter().all(|&v| v == 7.0), "{shape:?}");
        }
    }

    #[test]
    fn coarse_voxels_lie_where_their_fine_ones_do() {
        let mut affine = IDENTITY;
        (affine[0][0], affine[1][1], affine[2][2], affine[0][3]) = (2.0, 2.0, 4.0, -60.0);
        let levels = grids([30, 101, 100], &affine).unwrap();
        let shapes: Vec<_> = levels.iter().map(|g| g.shape).collect();
        assert_eq!(shapes, [[30, 101, 100], [30, 51, 50], [15, 26, 25]]);
        assert_eq!(apply(&levels[2].to_world, [3.0, 0.0, 1.0]), apply(&affine, [12.0, 0.0, 2.0]));
    }

    #[test]
    fn halving_keeps_every_second_voxel() {
        let mut volume: Vec<f32> = (0..30).map(|v| v as f32).collect();
        halve(&mut volume, [2, 3, 5], [false, true, true]);
        assert_eq!(volume, [0.0, 2.0, 4.0, 10.0, 12.0, 14.0, 15.0, 17.0, 19.0, 25.0, 27.0, 29.0]);
    }
}
