//! A head with structure whose field is known, and what scanners would show of it: for tests.
//!
//! An ellipsoid of brain with texture in a dim scalp; the field has dipole-like sources above the sinuses and the ears and
//! a rest of second order, scaled so that 99.7 % of the brain is within 150 Hz. Everything is a function of place in mm, so
//! that EPI images are made by moving signal forward on a fine grid, not by the interpolation under test.

use ndarray::Array3;
use rayon::prelude::*;

use super::PhaseEncoding;
use super::unwrap::wrap;
use crate::filter::quantiles;
use crate::rigid::{Matrix4, apply, from_parameters, invert_rigid};

/// Field of view in mm along z, y, x.
const VIEW: [f64; 3] = [130.0, 211.0, 211.0];
/// Half axes of the brain in mm along x, y, z.
const BRAIN: [f64; 3] = [66.0, 78.0, 50.0];
/// How far the scalp reaches, in half axes of the brain.
const SCALP: f64 = 1.14;
/// Sources: place in half axes of the brain, and strength.
const SOURCES: [([f64; 3], f64); 6] = [
    ([0.0, 0.86, -0.62], 1.0),
    ([0.25, 0.80, -0.66], 0.5),
    ([-0.22, 0.82, -0.64], 0.5),
    ([0.80, -0.05, -0.78], 0.7),
    ([-0.80, -0.02, -0.80], 0.7),
    ([0.0, 0.25, -1.05], 0.4),
];
/// Bins of the fine grid along phase encoding for each voxel.
const FINE: usize = 4;
/// Samples of signal for each bin.
const SAMPLES: usize = 2;

/// How the head lies in a scan.
#[derive(Clone, Copy)]
pub(super) struct Motion {
    pub mm: [f64; 3],
    pub degrees: [f64; 3],
}

impl Motion {
    pub(super) const NONE: Self = Self { mm: [0.0; 3], degrees: [0.0; 3] };

    pub(super) fn matrix(self) -> Matrix4 {
        let [rx, ry, rz] = self.degrees.map(f64::to_radians);
        from_parameters(&[self.mm[0], self.mm[1], self.mm[2], rx, ry, rz], [0.0; 3])
    }
}

/// An EPI scan of the head.
#[derive(Clone, Copy)]
pub(super) struct Scan {
    pub direction: PhaseEncoding,
    pub readout_s: f64,
    pub motion: Motion,
    pub gain: f32,
    /// Standard deviation of the noise; the brain is about 1.
    pub noise: f32,
}

/// The head on a grid, with truth.
pub(super) struct Phantom {
    pub voxel_mm: [f64; 3],
    /// Truth in Hz.
    pub hz: Array3<f32>,
    pub brain: Array3<u8>,
    /// What EPI would show without distortion.
    pub clean: Array3<f32>,
    /// Of a gradient echo.
    pub magnitude: Array3<f32>,
    head: Head,
}

/// What lies where, in mm from the centre of the brain.
#[derive(Clone, Copy)]
struct Head {
    seed: u32,
    median: f64,
    dipoles: f64,
}

impl Head {
    fn radius(p: [f64; 3]) -> f64 {
        p.iter().zip(BRAIN).map(|(v, half)| (v / half).powi(2)).sum::<f64>().sqrt()
    }

    fn signal(p: [f64; 3]) -> f64 {
        let [x, y, z] = p;
        let edge = |r: f64, at: f64| 1.0 / (1.0 + ((r - at) * 60.0).exp());
        let r = Self::radius(p);
        let texture = 0.35 * (x / 5.5).sin() * (y / 6.5).cos() + 0.3 * (z / 6.0).sin() * (x / 8.0 + y / 7.0).sin();
        let ventricle = 0.6 * (-((x / 14.0).powi(2) + (y / 22.0).powi(2) + (z / 9.0).powi(2))).exp();
        let bias = 1.0 + 0.2 * (x / 70.0).sin() + 0.15 * (y / 80.0).cos() + 0.1 * z / 80.0;
        ((1.0 + texture + ventricle).max(0.15) * edge(r, 1.0) + 0.22 * edge(r, SCALP)) * bias
    }

    fn dipoles(p: [f64; 3]) -> f64 {
        let one = |(place, strength): &([f64; 3], f64)| {
            let d: [f64; 3] = std::array::from_fn(|a| p[a] - place[a] * BRAIN[a]);
            let r2 = d.iter().map(|v| v * v).sum::<f64>() + 17.0 * 17.0;
            let dipole = 17.0_f64.powi(3) * (3.0 * d[2] * d[2] / r2 - 1.0) / (r2 * r2.sqrt());
            strength * (0.9 * 17.0 * 17.0 / r2 - 0.6 * dipole)
        };
        SOURCES.iter().map(one).sum()
    }

    fn hz(&self, p: [f64; 3]) -> f64 {
        let [x, y, z] = p.map(|v| v / 60.0);
        let t = f64::from(self.seed);
        let rest = t.sin() * (x * x - y * y)
            + t.cos() * (2.0 * z * z - x * x - y * y) * 0.5
            + x * y * (t * 2.0).sin()
            + 0.5 * y;
        (Self::dipoles(p) - self.median) * self.dipoles + 10.0 * rest
    }
}

/// Noise of standard deviation 1, always the same for a seed.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as f64 + 0.5) / (1_u64 << 31) as f64
    }

    fn next(&mut self) -> f32 {
        ((-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()) as f32
    }
}

impl Phantom {
    /// On a grid of `shape` `(nz, ny, nx)` over the same field of view.
    pub(super) fn new(shape: [usize; 3], seed: u32) -> Self {
        let voxel_mm: [f64; 3] = std::array::from_fn(|a| VIEW[a] / shape[a] as f64);
        let mut head = Head { seed, median: 0.0, dipoles: 1.0 };
        let place = |at: (usize, usize, usize)| place(shape, voxel_mm, [at.0 as f64, at.1 as f64, at.2 as f64]);
        let dim = (shape[0], shape[1], shape[2]);
        let on_grid = |f: &dyn Fn([f64; 3]) -> f64| Array3::from_shape_fn(dim, |at| f(place(at)) as f32);
        let brain = on_grid(&Head::radius).mapv(|r| u8::from(r < 1.0));
        let raw = on_grid(&Head::dipoles);
        let mut inside: Vec<f32> = raw.iter().zip(&brain).filter(|(_, b)| **b != 0).map(|(v, _)| *v).collect();
        head.median = f64::from(quantiles(&mut inside, [0.5]).unwrap()[0]);
        let mut far = inside.iter().map(|v| (v - head.median as f32).abs()).collect();
        head.dipoles = 150.0 / f64::from(quantiles(&mut far, [0.997]).unwrap()[0]);
        let hz = on_grid(&|p| head.hz(p));
        let clean = on_grid(&Head::signal);
        let magnitude = clean.mapv(|v| if v > 0.4 { 0.7 + 0.3 * v } else { 1.5 * v });
        Self { voxel_mm, hz, brain, clean, magnitude, head }
    }

    /// The wrapped phase in radians that the field and an offset in Hz make in so many seconds, with noise of standard
    /// deviation `noise` in both parts of the complex signal.
    pub(super) fn phase(&self, seconds: f64, offset_hz: f32, noise: f32) -> Array3<f32> {
        let mut random = Noise(u64::from(self.head.seed) + 99);
        let mut out = self.hz.mapv(|hz| (std::f64::consts::TAU * seconds) as f32 * (hz + offset_hz));
        out.zip_mut_with(&self.magnitude, |phase, m| {
            let (sin, cos) = wrap(*phase).sin_cos();
            *phase = (m * sin + noise * random.next()).atan2(m * cos + noise * random.next());
        });
        out
    }

    /// What a scan shows: signal moved forward by the field, which goes with the head, with all of it conserved.
    pub(super) fn epi(&self, scan: &Scan, seed: u64) -> Array3<f32> {
        let (nz, ny, nx) = self.hz.dim();
        let shape = [nz, ny, nx];
        let axis = scan.direction.array_axis();
        let back = invert_rigid(&scan.motion.matrix());
        let mut out = Array3::zeros(self.hz.dim());
        let lanes: Vec<_> = out.lanes_mut(ndarray::Axis(axis)).into_iter().enumerate().collect();
        lanes.into_par_iter().for_each(|(lane, mut line)| {
            let n = line.len();
            // The other two axes, in the order of lanes.
            let others: Vec<usize> = (0..3).filter(|a| *a != axis).collect();
            let mut at = [0.0; 3];
            at[others[0]] = (lane / shape[others[1]]) as f64;
            at[others[1]] = (lane % shape[others[1]]) as f64;
            let mut fine = vec![0.0; n * FINE];
            for s in 0..n * FINE * SAMPLES {
                let p = (s as f64 + 0.5) / (FINE * SAMPLES) as f64 - 0.5;
                at[axis] = p;
                let head = apply(&back, place(shape, self.voxel_mm, at));
                let seen = p + scan.direction.sign() * scan.readout_s * self.head.hz(head);
                let bin = (seen + 0.5) * FINE as f64 - 0.5;
                let above = bin - bin.floor();
                for (bin, part) in [(bin.floor(), 1.0 - above), (bin.floor() + 1.0, above)] {
                    if bin >= 0.0 && bin < (n * FINE) as f64 {
                        fine[bin as usize] += part * Head::signal(head) / (FINE * SAMPLES) as f64;
                    }
                }
            }
            for (v, bins) in line.iter_mut().zip(fine.chunks_exact(FINE)) {
                *v = scan.gain * bins.iter().sum::<f64>() as f32;
            }
        });
        let mut random = Noise(seed);
        out.mapv_inplace(|v| (v + scan.noise * random.next()).hypot(scan.noise * random.next()));
        out
    }
}

/// Where an index `[z, y, x]` lies, as `[x, y, z]` in mm from the centre.
fn place(shape: [usize; 3], voxel_mm: [f64; 3], at: [f64; 3]) -> [f64; 3] {
    [2, 1, 0].map(|a| (at[a] - (shape[a] as f64 - 1.0) / 2.0) * voxel_mm[a])
}
