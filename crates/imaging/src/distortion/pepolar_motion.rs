//! How the head moved between the two images of a pair, and how much brighter one is: found on the corrected images.

use ndarray::Array3;
use rayon::prelude::*;

use super::parallel::slabs;
use super::pepolar_coil::Coil;
use super::pepolar_pair::{OF_HEAD, Pair};
use super::shift::shifted;
use crate::filter::{gaussian_smooth, quantiles};
use crate::interpolate::SplineVolume;
use crate::linear::{cholesky, solve};
use crate::rigid::{IDENTITY, Matrix4, compose, from_parameters, to_parameters};

/// Steps of each estimate.
const STEPS: usize = 3;
/// How far each estimate goes, of the way to what is best for the shift at hand: the shift has taken some of the motion in and
/// gives it back little by little. Below 2 such steps cannot grow an error.
const OVERSHOOT: f64 = 1.7;
/// How near to the middle of the head's field the centre frequency of scanners is, Hz.
const CENTRED_HZ: f64 = 10.0;
/// Rounds in which the voxel is found that is seen at a place.
const ROUNDS: usize = 4;
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
    fine: bool,
    coil: Option<Coil>,
}

impl Pose {
    /// Not moved.
    pub(super) fn new(pair: &Pair) -> Self {
        let mut spline = SplineVolume::new(pair.grid.shape);
        spline.interpolate(pair.second.as_slice().unwrap_or_default());
        let (centre, moved) = (centre(pair), pair.second.clone());
        Self { motion: IDENTITY, gain: 1.0, moved, centre, spline, fine: false, coil: None }
    }

    /// Some Gauss–Newton steps for what is seen of motion and gain through the shift (voxels of the full grid).
    ///
    /// Motion along phase encoding is left out: it and a constant shift are the same to a pair.
    pub(super) fn align(&mut self, pair: &Pair, shift: &Array3<f32>, sigma: f64) {
        let blur = [sigma.max(LEAST_BLUR); 3];
        let first = corrected(&gaussian_smooth(pair.first.view(), blur), shift, 1.0);
        let aside = self.fine.then(|| seen_from(shift, pair.kappa));
        let mut all = [0.0; UNKNOWNS];
        for left in (0..STEPS).rev() {
            let second = corrected(&gaussian_smooth(self.moved.view(), blur), shift, -pair.kappa);
            let Some(step) = self.step(pair, &first, &second) else { return };
            self.go(step);
            all.iter_mut().zip(step).for_each(|(all, step)| *all += step);
            let [tx, tz, rx, ry, rz, _] = step;
            let moved = [(tx, rx), (0.0, ry), (tz, rz)].map(|(t, r)| t.abs() + HEAD_MM * r.abs());
            let last = left == 0 || moved.into_iter().fold(0.0, f64::max) < ENOUGH_MM;
            if last {
                self.go(std::array::from_fn(|n| if n < UNKNOWNS - 1 { (OVERSHOOT - 1.0) * all[n] } else { 0.0 }));
            }
            self.resample(pair, aside.as_ref());
            if last {
                return;
            }
        }
    }

    fn go(&mut self, [tx, tz, rx, ry, rz, gain]: [f64; UNKNOWNS]) {
        self.motion = compose(&self.motion, &from_parameters(&[tx, 0.0, tz, rx, ry, rz], self.centre));
        self.gain += gain;
    }

    /// Before the finest level: takes into account what is too little to matter on coarse ones, and says how much of the
    /// shift's constant is motion along phase encoding; returns the shift without it.
    ///
    /// The pair cannot tell. But a scanner centres its frequency on the head, and a head that moved along the other axes has
    /// likely moved as far along this one: the likeliest of both, if each is of a normal distribution.
    pub(super) fn settle(&mut self, pair: &Pair, shift: Array3<f32>, readout_s: f64) -> Array3<f32> {
        let image = self.mean(pair, &shift);
        let mut of_head: Vec<f32> = shift.iter().zip(&image).filter(|(_, v)| **v > OF_HEAD).map(|(u, _)| *u).collect();
        let [constant] = quantiles(&mut of_head, [0.5]).unwrap_or_default();
        let [tx, _, tz, ..] = to_parameters(&self.motion, self.centre);
        let shares = (1.0 + f64::from(pair.kappa)) * pair.voxel_mm[1];
        let (motion, field) = (0.5 * (tx * tx + tz * tz) / (shares * shares), (CENTRED_HZ * readout_s).powi(2));
        let back = -f64::from(constant) * motion / (motion + field);
        let along = from_parameters(&[0.0, back * shares, 0.0, 0.0, 0.0, 0.0], self.centre);
        self.motion = compose(&self.motion, &along);
        let by = Array3::from_elem(shift.dim(), back as f32);
        let shift = shifted(&shift, &by, 1.0) + back as f32;
        self.fine = true;
        self.coil = Coil::new(&image, pair.voxel_mm, self.centre);
        self.resample(pair, Some(&seen_from(&shift, pair.kappa)));
        shift
    }

    /// The mean of both images, corrected.
    fn mean(&self, pair: &Pair, shift: &Array3<f32>) -> Array3<f32> {
        let second = corrected(&self.moved, shift, -pair.kappa);
        let mut mean = corrected(&pair.first, shift, 1.0);
        mean.zip_mut_with(&second, |a, b| *a = 0.5 * (*a + self.gain as f32 * b));
        mean
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
    ///
    /// The scanner shifts signal along its own axis, which a turned head sees aslant: `shift`, where given, is that of the voxel
    /// whose signal is seen at each place, and the slant is undone.
    fn resample(&mut self, pair: &Pair, shift: Option<&Array3<f32>>) {
        let [nz, ny, nx] = pair.grid.shape;
        let voxel = [pair.voxel_mm[2], pair.voxel_mm[1], pair.voxel_mm[0]];
        let map: [[f64; 4]; 3] = std::array::from_fn(|r| {
            std::array::from_fn(|c| self.motion[r][c] * if c < 3 { voxel[c] } else { 1.0 } / voxel[r])
        });
        let ends = [nx, ny, nz].map(|n| (0.0, n as f64 - 1.0));
        let step = map.map(|row| row[0]);
        let slant: [f64; 3] = std::array::from_fn(|r| map[r][1] - f64::from(u8::from(r == 1)));
        let by = shift.and_then(|shift| shift.as_slice());
        let sample = |at: [f64; 3]| self.spline.sample(at.map(|v| v as f32)).unwrap_or(0.0);
        let Some(out) = self.moved.as_slice_mut() else { return };
        slabs(out, ny * nx).for_each(|(k, slab)| {
            for (j, line) in slab.chunks_exact_mut(nx).enumerate() {
                let start = map.map(|row| row[1] * j as f64 + row[2] * k as f64 + row[3]);
                let inside = |a: usize, at: f64| at.clamp(ends[a].0, ends[a].1);
                let Some(by) = by.and_then(|by| by.get((k * ny + j) * nx..)) else {
                    self.spline.sample_line(start, step, &ends, f32::NAN, line);
                    for (i, v) in line.iter_mut().enumerate().filter(|(_, v)| v.is_nan()) {
                        *v = sample(std::array::from_fn(|a| inside(a, start[a] + step[a] * i as f64)));
                    }
                    continue;
                };
                for (i, (v, u)) in line.iter_mut().zip(by).enumerate() {
                    let u = f64::from(pair.kappa * u);
                    let at: [f64; 3] = std::array::from_fn(|a| inside(a, start[a] + step[a] * i as f64 + slant[a] * u));
                    let mm = |at: [f64; 3]| std::array::from_fn(|a| at[a] * voxel[a]);
                    let coil =
                        self.coil.as_ref().map_or(1.0, |coil| coil.factor(mm(at), mm([i, j, k].map(|v| v as f64))));
                    *v = coil * sample(at);
                }
            }
        });
    }
}

/// At each place the shift of the voxel whose signal the second image shows there.
fn seen_from(shift: &Array3<f32>, kappa: f32) -> Array3<f32> {
    (0..ROUNDS).fold(shift.clone(), |there, _| shifted(shift, &there, kappa))
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
