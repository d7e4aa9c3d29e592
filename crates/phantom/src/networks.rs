//! Spontaneous activity: regions on both sides of the brain whose signal rises and falls together, slowly.

use super::random::{Stream, stream};
use imaging::rigid::{Matrix4, apply, compose};
use ndarray::Array3;
use nifti::Grid;
use rand::RngExt;

/// Regions (right side, mm from the brain's centre; mirrored to the left) of motor, visual and default-mode networks.
const REGIONS: [&[[f64; 3]]; 3] = [
    &[[34.0, -20.0, 48.0], [6.0, -12.0, 52.0]],
    &[[10.0, -72.0, 4.0], [28.0, -70.0, 12.0]],
    &[[6.0, -48.0, 28.0], [6.0, 48.0, 18.0], [44.0, -58.0, 28.0]],
];
/// Radius (mm, standard deviation) of a region, and the standard deviation of its signal relative to the mean.
const RADIUS: f64 = 9.0;
const AMPLITUDE: f32 = 0.01;
/// Sinusoids summed into one time course.
const TONES: usize = 12;

/// The networks of one run: where each is, and the sinusoids (Hz, phase) of its time course.
pub(super) struct Networks {
    maps: [Array3<f32>; 3],
    tones: [[(f64, f64); TONES]; 3],
}

impl Networks {
    pub(super) fn new(scan: u64, grid: &Grid, to_head: &Matrix4) -> Self {
        let at = compose(to_head, &grid.affine);
        let maps = REGIONS.map(|regions| {
            Array3::from_shape_fn(grid.shape, |(k, j, i)| {
                let p = apply(&at, [i as f64, j as f64, k as f64]);
                let p = [p[0].abs(), p[1], p[2]];
                let weight = |c: &[f64; 3]| {
                    let d: f64 = (0..3).map(|a| (p[a] - c[a]).powi(2)).sum();
                    (-d / (2.0 * RADIUS * RADIUS)).exp()
                };
                regions.iter().map(weight).fold(0.0, f64::max) as f32
            })
        });
        let mut rng = stream(scan, Stream::Networks, 0);
        let tones = std::array::from_fn(|_| {
            // The band of spontaneous fluctuations, 0.01 to 0.08 Hz (Biswal 1995, MRM 34:537).
            std::array::from_fn(|_| (rng.random_range(0.01..0.08), rng.random_range(0.0..std::f64::consts::TAU)))
        });
        Self { maps, tones }
    }

    /// What the networks add to the signal, relative to it, `seconds` after the start of the run.
    pub(super) fn activity(&self, seconds: f64) -> [f32; 3] {
        let scale = f64::from(AMPLITUDE) * (2.0 / TONES as f64).sqrt();
        self.tones.each_ref().map(|tones| {
            let angle = |(hertz, phase): &(f64, f64)| (std::f64::consts::TAU * hertz * seconds + phase).sin();
            (scale * tones.iter().map(angle).sum::<f64>()) as f32
        })
    }

    /// The factor on the signal of voxel `[k, j, i]` under this activity.
    pub(super) fn factor(&self, activity: &[f32; 3], at: [usize; 3]) -> f32 {
        1.0 + self.maps.iter().zip(activity).map(|(map, activity)| map[at] * activity).sum::<f32>()
    }
}
