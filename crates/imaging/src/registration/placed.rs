//! A volume together with where it lies, and coarser copies of it.

use ndarray::{Array3, ArrayView3};
use rayon::prelude::*;

use crate::filter::{gaussian_smooth_in_place, par_planes};
use crate::rigid::{Matrix4, compose};

/// σ of the smoothing before a volume is sampled more coarsely, as a share of the ratio of the voxel sizes: less than the
/// half that would remove aliasing altogether, because edges are what registration sees.
const SMOOTHING: f64 = 0.425;

/// Most voxels of a coarser copy along an axis: more than any head needs, and small enough for any machine where a header
/// states voxels of metres.
const MOST_VOXELS: usize = 400;

/// A volume and its place in the world.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Intensities `[[k, j, i]]`, standard layout.
    pub voxels: Array3<f32>,
    /// Maps the voxel (i, j, k, 1) to millimetres.
    pub to_world: Matrix4,
}

/// Lengths in mm of a voxel along its own axes `[x, y, z]`: the columns of the matrix.
#[must_use]
pub fn voxel_size(to_world: &Matrix4) -> [f64; 3] {
    std::array::from_fn(|c| (0..3).map(|r| to_world[r][c] * to_world[r][c]).sum::<f64>().sqrt())
}

/// Where the point (x, y, z) in voxels of the grid `from` lies in world coordinates when the grid is scaled by `step` and
/// begins at `start` voxels.
fn regrid(to_world: &Matrix4, step: [f64; 3], start: [f64; 3]) -> Matrix4 {
    let grid = [
        [step[0], 0.0, 0.0, start[0]],
        [0.0, step[1], 0.0, start[1]],
        [0.0, 0.0, step[2], start[2]],
        [0.0, 0.0, 0.0, 1.0],
    ];
    compose(to_world, &grid)
}

impl Placed {
    /// Number of voxels along x, y, z.
    #[must_use]
    pub fn size(&self) -> [usize; 3] {
        let (nz, ny, nx) = self.voxels.dim();
        [nx, ny, nz]
    }

    /// The volume on a grid of cubes of `spacing` mm in the middle of its field of view, of at most 400 along an axis, smoothed
    /// first where that is coarser than its own voxels.
    #[must_use]
    pub fn coarser(&self, spacing: f64) -> Self {
        let (n, mm) = (self.size(), voxel_size(&self.to_world));
        let step: [f64; 3] = std::array::from_fn(|a| spacing / mm[a].max(1e-6));
        let count = |a: usize| ((n[a] as f64 / step[a] + 1e-6).floor() as usize).clamp(1, MOST_VOXELS);
        let shape: [usize; 3] = std::array::from_fn(count);
        let start: [f64; 3] = std::array::from_fn(|a| 0.5 * ((n[a] as f64 - 1.0) - (shape[a] as f64 - 1.0) * step[a]));
        let sigma = step.map(|s| if s > 1.05 { SMOOTHING * s } else { 0.0 });
        let mut smooth = self.voxels.clone();
        gaussian_smooth_in_place(&mut smooth, [sigma[2], sigma[1], sigma[0]]);
        let sampler = Sampler::new(smooth.view());
        let mut voxels = Array3::zeros((shape[2], shape[1], shape[0]));
        par_planes(&mut voxels, 0).enumerate().for_each(|(k, mut plane)| {
            let z = (start[2] + k as f64 * step[2]) as f32;
            for (j, mut row) in plane.outer_iter_mut().enumerate() {
                let y = (start[1] + j as f64 * step[1]) as f32;
                row.iter_mut().enumerate().for_each(|(i, v)| {
                    *v = sampler.clamped([(start[0] + i as f64 * step[0]) as f32, y, z]);
                });
            }
        });
        Self { voxels, to_world: regrid(&self.to_world, step, start) }
    }
}

/// Reads a volume between its voxels by trilinear interpolation.
#[derive(Clone, Copy)]
pub struct Sampler<'a> {
    data: &'a [f32],
    /// Voxels along x, y, z.
    pub size: [usize; 3],
    last: [f32; 3],
}

impl<'a> Sampler<'a> {
    /// Of a volume in standard layout; any other reads as 0.
    #[must_use]
    pub fn new(volume: ArrayView3<'a, f32>) -> Self {
        let (nz, ny, nx) = volume.dim();
        let size = [nx, ny, nz];
        Self { data: volume.to_slice().unwrap_or(&[]), size, last: size.map(|n| n.saturating_sub(1) as f32) }
    }

    /// Whether a point in voxels (x, y, z) lies between the outer voxel centres, `margin` voxels farther out allowed.
    #[inline]
    #[must_use]
    pub fn holds(&self, [x, y, z]: [f32; 3], margin: f32) -> bool {
        let [a, b, c] = self.last.map(|l| l + margin);
        x >= -margin && y >= -margin && z >= -margin && x <= a && y <= b && z <= c
    }

    /// The value at a point in voxels (x, y, z); beyond the outer voxel centres that of the nearest point of the volume.
    #[inline]
    #[must_use]
    pub fn clamped(&self, p: [f32; 3]) -> f32 {
        let ([low, high], w) = self.corners(p);
        let x = |[a, b]: [f32; 2]| a + w[0] * (b - a);
        let y = |[a, b]: [[f32; 2]; 2]| x(a) + w[1] * (x(b) - x(a));
        let (a, b) = (y(low), y(high));
        a + w[2] * (b - a)
    }

    /// Value and gradient (per voxel, x, y, z) of the interpolation at a point between the outer voxel centres.
    #[inline]
    #[must_use]
    pub fn with_gradient(&self, p: [f32; 3]) -> (f32, [f32; 3]) {
        let ([[a, b], [c, d]], [x, y, z]) = self.corners(p);
        let slope = |line: [f32; 2]| line[1] - line[0];
        let at = |line: [f32; 2]| line[0] + x * slope(line);
        let (ax, bx, cx, dx) = (slope(a), slope(b), slope(c), slope(d));
        let (low_x, high_x) = (ax + y * (bx - ax), cx + y * (dx - cx));
        let (low_y, high_y) = (at(b) - at(a), at(d) - at(c));
        let (low, high) = (at(a) + y * low_y, at(c) + y * high_y);
        let gradient = [low_x + z * (high_x - low_x), low_y + z * (high_y - low_y), high - low];
        (low + z * (high - low), gradient)
    }

    /// The eight voxels around a point, by z, y, x, and how far on the point lies along x, y, z.
    #[inline]
    fn corners(&self, p: [f32; 3]) -> ([[[f32; 2]; 2]; 2], [f32; 3]) {
        let [nx, ny, nz] = self.size;
        let clamp = |a: usize| p[a].max(0.0).min(self.last[a]);
        let [x, y, z] = [clamp(0), clamp(1), clamp(2)];
        let low = |v: f32, n: usize| (v as usize).min(n.saturating_sub(2));
        let (i, j, k) = (low(x, nx), low(y, ny), low(z, nz));
        let (beside, below) = (usize::from(nx > 1), if ny > 1 { nx } else { 0 });
        let above = if nz > 1 { nx * ny } else { 0 };
        let at = (k * ny + j) * nx + i;
        // One check for all eight: the farthest of them is inside.
        let corners = match self.data.get(at..=at + above + below + beside) {
            Some(d) => {
                let line = |o: usize| [d[o], d[o + beside]];
                [[line(0), line(below)], [line(above), line(above + below)]]
            }
            None => [[[0.0; 2]; 2]; 2],
        };
        (corners, [x - i as f32, y - j as f32, z - k as f32])
    }
}

/// Samples `source` at the voxels of another grid: voxel (i, j, k) of `shape` (z, y, x) lies at `map`·(i, j, k, 1) in voxels
/// of the source; points more than half a voxel beyond its outer centres become `fill`.
#[must_use]
pub fn resample(source: ArrayView3<f32>, map: &Matrix4, shape: [usize; 3], fill: f32) -> Array3<f32> {
    let source = source.as_standard_layout();
    let sampler = Sampler::new(source.view());
    let m: [[f32; 4]; 3] = std::array::from_fn(|r| map[r].map(|v| v as f32));
    let mut out = Array3::zeros(shape);
    par_planes(&mut out, 0).enumerate().for_each(|(k, mut plane)| {
        for (j, mut row) in plane.outer_iter_mut().enumerate() {
            let start = m.map(|r| r[1] * j as f32 + r[2] * k as f32 + r[3]);
            for (i, v) in row.iter_mut().enumerate() {
                let p: [f32; 3] = std::array::from_fn(|a| m[a][0] * i as f32 + start[a]);
                *v = if sampler.holds(p, 0.5) { sampler.clamped(p) } else { fill };
            }
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rigid::{IDENTITY, apply};

    fn ramp() -> Placed {
        let voxels = Array3::from_shape_fn((20, 24, 30), |(k, j, i)| 3.0 * k as f32 + 2.0 * j as f32 + i as f32);
        let to_world = [[2.0, 0.0, 0.0, -5.0], [0.0, 1.5, 0.0, 7.0], [0.0, 0.0, 3.0, 1.0], [0.0, 0.0, 0.0, 1.0]];
        Placed { voxels, to_world }
    }

    #[test]
    fn a_coarser_ramp_is_the_same_ramp_in_the_world() {
        let (fine, coarse) = (ramp(), ramp().coarser(6.0));
        assert_eq!(coarse.size(), [10, 6, 10]);
        let p = apply(&coarse.to_world, [4.0, 3.0, 5.0]);
        let expected = 3.0 * (p[2] - 1.0) / 3.0 + 2.0 * (p[1] - 7.0) / 1.5 + (p[0] + 5.0) / 2.0;
        assert!((f64::from(coarse.voxels[[5, 3, 4]]) - expected).abs() < 1e-3);
        let size = voxel_size(&coarse.to_world);
        assert!(size.iter().all(|s| (s - 6.0).abs() < 1e-12), "{size:?}");
        let centre = |p: &Placed| apply(&p.to_world, p.size().map(|n| 0.5 * (n as f64 - 1.0)));
        let (a, b) = (centre(&fine), centre(&coarse));
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9), "{a:?} {b:?}");
    }

    #[test]
    fn voxels_of_a_kilometre_make_no_copy_that_fills_the_machine() {
        let mut vast = ramp();
        vast.to_world[0][0] = 1e6;
        let coarse = vast.coarser(6.0);
        assert_eq!(coarse.size(), [MOST_VOXELS, 6, 10]);
        let centre = |p: &Placed| apply(&p.to_world, p.size().map(|n| 0.5 * (n as f64 - 1.0)));
        assert!((centre(&vast)[0] - centre(&coarse)[0]).abs() < 1e-3);
    }

    #[test]
    fn value_and_gradient_of_a_ramp_are_exact() {
        let volume = ramp();
        let sampler = Sampler::new(volume.voxels.view());
        let (value, gradient) = sampler.with_gradient([3.25, 4.5, 6.75]);
        assert!((value - (3.25 + 9.0 + 20.25)).abs() < 1e-4);
        assert!((sampler.clamped([3.25, 4.5, 6.75]) - value).abs() < 1e-5);
        assert!(gradient.iter().zip([1.0, 2.0, 3.0]).all(|(g, e)| (g - e).abs() < 1e-4), "{gradient:?}");
        assert_eq!(sampler.clamped([-9.0, 0.0, 0.0]), 0.0);
        assert_eq!(sampler.clamped([99.0, 99.0, 99.0]), volume.voxels[[19, 23, 29]]);
        assert!(sampler.holds([29.4, 0.0, 0.0], 0.5) && !sampler.holds([29.6, 0.0, 0.0], 0.5));
    }

    #[test]
    fn resampling_by_the_identity_changes_nothing() {
        let volume = ramp();
        assert_eq!(resample(volume.voxels.view(), &IDENTITY, [20, 24, 30], -1.0), volume.voxels);
        let shifted = [[1.0, 0.0, 0.0, 100.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        assert!(resample(volume.voxels.view(), &shifted, [2, 2, 2], -1.0).iter().all(|v| *v == -1.0));
        let flat = Array3::from_elem((1, 1, 1), 7.0f32);
        assert_eq!(Sampler::new(flat.view()).clamped([0.3, 0.0, 0.0]), 7.0);
    }
}
