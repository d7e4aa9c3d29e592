//! How the head moved between the two images of a pair, and how much brighter one is: found on the corrected images.

use ndarray::Array3;
use rayon::prelude::*;

use super::parallel::slabs;
use super::pepolar_pair::{OF_HEAD, Pair};
use super::shift::shifted;
use crate::filter::gaussian_smooth;
use crate::interpolate::SplineVolume;
use crate::linear::{cholesky, solve};
use crate::rigid::{IDENTITY, Matrix4, compose, from_parameters};

/// Steps of each estimate.
const STEPS: usize = 3;
/// Least blur in voxels: derivatives are of neighbours' differences.
const LEAST_BLUR: f64 = 0.6;
/// Intensity, of the mean of the bright voxels, above which a voxel takes part.
const DIMMEST: f32 = 0.15;
/// Difference beyond which it counts by its size and no more by its square.
const HUBER: f64 = 0.15;
/// Movement in mm below which it is enough.
const ENOUGH_MM: f64 = 0.01;
/// Distance in mm at which turns are counted as movement.
const HEAD_MM: f64 = 60.0;
/// Translation along x and z, three turns, and the gain.
const UNKNOWNS: usize = 6;

/// The second image as it lies over the first.
pub(super) struct Pose {
    /// From points of the first to points of the second, in mm (index × voxel size; x, y, z; phase encoding along y).
    pub motion: Matrix4,
    /// What the second is multiplied by.
    pub gain: f64,
    /// The second image, resampled once by the motion.
    pub moved: Array3<f32>,
    /// Centre of the head in mm.
    pub centre: [f64; 3],
    spline: SplineVolume,
}

impl Pose {
    /// Not moved.
    pub(super) fn new(pair: &Pair) -> Self {
        let mut spline = SplineVolume::new(pair.grid.shape);
        spline.interpolate(pair.second.as_slice().unwrap_or_default());
        Self { motion: IDENTITY, gain: 1.0, moved: pair.second.clone(), centre: centre(pair), spline }
    }

    /// Some Gauss–Newton steps for what is seen of motion and gain through the shift (voxels of the full grid).
    ///
    /// Motion along phase encoding is left out: it and a constant shift are the same to a pair.
    pub(super) fn align(&mut self, pair: &Pair, shift: &Array3<f32>, sigma: f64) {
        let blur = [sigma.max(LEAST_BLUR); 3];
        let first = corrected(&gaussian_smooth(pair.first.view(), blur), shift, 1.0);
        for _ in 0..STEPS {
            let second = corrected(&gaussian_smooth(self.moved.view(), blur), shift, -pair.kappa);
            let Some(step) = self.step(pair, &first, &second) else { return };
            let [tx, tz, rx, ry, rz, gain] = step;
            let change = from_parameters(&[tx, 0.0, tz, rx, ry, rz], self.centre);
            self.motion = compose(&self.motion, &change);
            self.gain += gain;
            self.resample(pair);
            let moved = [(tx, rx), (0.0, ry), (tz, rz)].map(|(t, r)| t.abs() + HEAD_MM * r.abs());
            if moved.into_iter().fold(0.0, f64::max) < ENOUGH_MM {
                return;
            }
        }
    }

    /// One step; `None` where the images do not say enough.
    fn step(&self, pair: &Pair, first: &Array3<f32>, second: &Array3<f32>) -> Option<[f64; UNKNOWNS]> {
        let [nz, ny, nx] = pair.grid.shape;
        let (first, second) = (first.as_slice()?, second.as_slice()?);
        let [dz, dy, dx] = pair.voxel_mm;
        let sums: Vec<Sums> = (1..nz.saturating_sub(1))
            .into_par_iter()
            .map(|k| {
                let mut sums = Sums::default();
                let inner = (1..ny.saturating_sub(1)).flat_map(|j| (1..nx.saturating_sub(1)).map(move |i| (j, i)));
                for (j, i) in inner {
                    let n = (k * ny + j) * nx + i;
                    if first[n] < DIMMEST && second[n] < DIMMEST {
                        continue;
                    }
                    let slope = |step: usize, mm: f64| f64::from(second[n + step] - second[n - step]) * 0.5 / mm;
                    let g = [slope(1, dx), slope(nx, dy), slope(nx * ny, dz)];
                    let at = [i as f64 * dx, j as f64 * dy, k as f64 * dz];
                    let d: [f64; 3] = std::array::from_fn(|a| at[a] - self.centre[a]);
                    let turns = [g[2] * d[1] - g[1] * d[2], g[0] * d[2] - g[2] * d[0], g[1] * d[0] - g[0] * d[1]];
                    let [tx, tz, rx, ry, rz] = [g[0], g[2], turns[0], turns[1], turns[2]].map(|v| v * self.gain);
                    let value = f64::from(second[n]);
                    sums.add(&[tx, tz, rx, ry, rz, value], f64::from(first[n]) - self.gain * value);
                }
                sums
            })
            .collect();
        sums.into_iter().fold(Sums::default(), Sums::with).solution()
    }

    /// Resamples the second image, from what it was at first; beyond its grid the nearest value.
    fn resample(&mut self, pair: &Pair) {
        let [nz, ny, nx] = pair.grid.shape;
        let voxel = [pair.voxel_mm[2], pair.voxel_mm[1], pair.voxel_mm[0]];
        let map: [[f64; 4]; 3] = std::array::from_fn(|r| {
            std::array::from_fn(|c| self.motion[r][c] * if c < 3 { voxel[c] } else { 1.0 } / voxel[r])
        });
        let ends = [nx, ny, nz].map(|n| (0.0, n as f64 - 1.0));
        let step = map.map(|row| row[0]);
        let Some(out) = self.moved.as_slice_mut() else { return };
        slabs(out, ny * nx).for_each(|(k, slab)| {
            for (j, line) in slab.chunks_exact_mut(nx).enumerate() {
                let start = map.map(|row| row[1] * j as f64 + row[2] * k as f64 + row[3]);
                self.spline.sample_line(start, step, &ends, f32::NAN, line);
                for (i, v) in line.iter_mut().enumerate().filter(|(_, v)| v.is_nan()) {
                    let nearest = |a: usize| (start[a] + step[a] * i as f64).clamp(ends[a].0, ends[a].1) as f32;
                    *v = self.spline.sample(std::array::from_fn(nearest)).unwrap_or(0.0);
                }
            }
        });
    }
}

/// `image(y + scale · shift)` times its Jacobian.
pub(super) fn corrected(image: &Array3<f32>, shift: &Array3<f32>, scale: f32) -> Array3<f32> {
    let mut out = shifted(image, shift, scale);
    let (_, ny, nx) = shift.dim();
    let (Some(values), Some(by)) = (out.as_slice_mut(), shift.as_slice()) else { return out };
    let slab = (ny * nx).max(1);
    slabs(values, slab).zip(by.par_chunks(slab)).for_each_init(
        || vec![0.0; slab],
        |slope, ((_, values), by)| {
            super::difference::slope(by, nx, slope);
            values.iter_mut().zip(slope.iter()).for_each(|(v, d)| *v *= 1.0 + scale * d);
        },
    );
    out
}

/// The centre of what is bright, in mm.
fn centre(pair: &Pair) -> [f64; 3] {
    let (mut total, mut sums) = (0.0, [0.0; 3]);
    for ((k, j, i), v) in pair.first.indexed_iter().filter(|(_, v)| **v >= OF_HEAD) {
        let weight = f64::from(*v);
        total += weight;
        sums.iter_mut().zip([i, j, k]).for_each(|(sum, at)| *sum += weight * at as f64);
    }
    let [dz, dy, dx] = pair.voxel_mm;
    std::array::from_fn(|a| if total > 0.0 { sums[a] / total * [dx, dy, dz][a] } else { 0.0 })
}

/// The normal equations of a step.
#[derive(Default)]
struct Sums {
    matrix: [[f64; UNKNOWNS]; UNKNOWNS],
    right: [f64; UNKNOWNS],
}

impl Sums {
    fn add(&mut self, derivatives: &[f64; UNKNOWNS], difference: f64) {
        let weight = if difference.abs() > HUBER { HUBER / difference.abs() } else { 1.0 };
        for (r, (row, right)) in self.matrix.iter_mut().zip(&mut self.right).enumerate() {
            *right += weight * derivatives[r] * difference;
            row.iter_mut().zip(derivatives).take(r + 1).for_each(|(m, d)| *m += weight * derivatives[r] * d);
        }
    }

    fn with(mut self, other: Self) -> Self {
        self.matrix.iter_mut().flatten().zip(other.matrix.iter().flatten()).for_each(|(a, b)| *a += b);
        self.right.iter_mut().zip(other.right).for_each(|(a, b)| *a += b);
        self
    }

    fn solution(&self) -> Option<[f64; UNKNOWNS]> {
        let step = solve(&cholesky(&self.matrix)?, self.right);
        step.iter().all(|v| v.is_finite()).then_some(step)
    }
}
