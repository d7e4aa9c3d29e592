//! A head drawn once on a fine grid and read as a spline: what every volume of a run is made of.

use super::head::Head;
use super::push::FINE;
use super::random::{Stream, stream};
use super::raster::draw;
use super::tissue::Tissue;
use imaging::filter::gaussian_smooth;
use imaging::interpolate::SplineVolume;
use imaging::rigid::{Matrix4, compose, from_parameters};
use ndarray::{Array3, Zip};
use nifti::Grid;
use rand::RngExt;

/// Field of view (mm) along z, y and x.
const FIELD_OF_VIEW: [f64; 3] = [137.0, 218.0, 218.0];
/// Extent (mm) of the drawn head along z, y and x, and the position of its lowest corner.
const SOURCE: ([f64; 3], [f64; 3]) = ([184.0, 228.0, 190.0], [-90.0, -116.0, -95.0]);

/// Standard deviation of the point spread, in voxels: k-space ends at the voxel's frequency (a full width at half maximum
/// of 1.2 voxels without T2* decay), so there is next to nothing to alias.
const SPREAD: f64 = 0.5;
/// Standard deviation, in steps of the source, of the blur along an axis that gets the rest of its blur later.
const SHARP: f64 = 0.4;

/// Position of a voxel under a matrix from voxels to voxels.
pub(super) fn voxel(m: &Matrix4, k: usize, j: usize, i: usize) -> [f32; 3] {
    let (k, j, i) = (k as f64, j as f64, i as f64);
    std::array::from_fn(|r| (m[r][0] * i + m[r][1] * j + m[r][2] * k + m[r][3]) as f32)
}

/// What to draw.
pub(super) struct SourceSpec {
    /// Whose head.
    pub head: u64,
    /// Size of the voxels of the run `[dz, dy, dx]`, mm.
    pub voxel_mm: [f64; 3],
    /// The brightness of each tissue.
    pub brightness: fn(Tissue) -> f32,
    /// Whether signal is lost near air, as in gradient echoes.
    pub loss: bool,
    /// An axis of the array that is blurred by [`SHARP`] steps only: the rest of its blur comes later.
    pub sharp: Option<usize>,
}

/// The head's signal and its brain as splines on a fine grid.
pub(super) struct Source {
    pub signal: SplineVolume,
    pub brain: SplineVolume,
    /// From the head's millimetres to voxels of the splines.
    pub from_head: Matrix4,
    /// Distance of the splines' voxels, mm.
    step: f64,
}

impl Source {
    /// Draws a head, blurred to the run's voxels.
    ///
    /// The blur turns with the head; for the few degrees a head turns and voxels nearly as high as wide this is far below
    /// the noise.
    pub(super) fn new(spec: &SourceSpec, head: &Head) -> Self {
        let step = (0.58 * spec.voxel_mm.iter().copied().fold(f64::INFINITY, f64::min)).clamp(1.0, 4.0);
        let shape = SOURCE.0.map(|mm| (mm / step).ceil() as usize);
        let [x, y, z] = [SOURCE.1[2], SOURCE.1[1], SOURCE.1[0]];
        let affine = [[step, 0.0, 0.0, x], [0.0, step, 0.0, y], [0.0, 0.0, step, z], [0.0, 0.0, 0.0, 1.0]];
        let still = from_parameters(&[0.0; 6], [0.0; 3]);
        let mut drawing = draw(head, shape, &affine, &still, spec.brightness, 2);
        let to = |n: usize, from: f64| (from + step * n as f64) as f32;
        if spec.loss {
            let strength = stream(spec.head, Stream::Coil, 1).random_range(0.6..1.1);
            Zip::indexed(&mut drawing.brightness)
                .for_each(|(k, j, i), v| *v *= 1.0 - strength * loss([to(i, x), to(j, y), to(k, z)]));
        }
        // The source's own voxel already blurs by its box.
        let usual = spec.voxel_mm.map(|d| ((SPREAD * d).powi(2) - step * step / 12.0).max(0.0).sqrt() / step);
        let sigma = std::array::from_fn(|a| if spec.sharp == Some(a) { SHARP } else { usual[a] });
        let spline = |volume: &Array3<f32>, sigma: [f64; 3]| {
            let smooth = gaussian_smooth(volume.view(), sigma);
            let mut spline = SplineVolume::new(shape);
            spline.interpolate(smooth.as_slice().unwrap_or_default());
            spline
        };
        let signal = spline(&drawing.brightness, sigma);
        let brain = spline(&drawing.brain.mapv(f32::from), usual);
        let scale = 1.0 / step;
        let from_head = [
            [scale, 0.0, 0.0, -x * scale],
            [0.0, scale, 0.0, -y * scale],
            [0.0, 0.0, scale, -z * scale],
            [0.0, 0.0, 0.0, 1.0],
        ];
        Self { signal, brain, from_head, step }
    }

    /// Standard deviation, in voxels of `mm` along a sharp axis, of the blur that is left to come: without the box of the
    /// voxel and what sharing among bins does.
    pub(super) fn blur_to_come(&self, mm: f64) -> f64 {
        let had = (self.step / mm).powi(2) * (SHARP * SHARP + 1.0 / 12.0);
        let shared = 1.0 / (6.0 * (FINE * FINE) as f64);
        (SPREAD * SPREAD - had - 1.0 / 12.0 - shared).max(0.0).sqrt()
    }

    /// The brain on a grid; `to_head` takes the world to the head's millimetres.
    pub(super) fn brain_on(&self, grid: &Grid, to_head: &Matrix4) -> Array3<u8> {
        let at = compose(&compose(&self.from_head, to_head), &grid.affine);
        let mut brain = Array3::<u8>::zeros(grid.shape);
        Zip::indexed(&mut brain).for_each(|(k, j, i), b| {
            *b = u8::from(self.brain.sample(voxel(&at, k, j, i)).is_some_and(|v| v > 0.5));
        });
        brain
    }
}

/// The part of the signal lost to dephasing near air: above the nose, and above the ears.
fn loss(p: [f32; 3]) -> f32 {
    let near = |c: [f32; 3], w: [f32; 3]| {
        let d: f32 = (0..3).map(|a| ((p[a] - c[a]) / w[a]).powi(2)).sum();
        (-d).exp()
    };
    let front = 0.9 * near([0.0, 46.0, -22.0], [20.0, 18.0, 13.0]);
    let ear = 0.6 * near([p[0].signum() * 50.0, -12.0, -36.0], [12.0, 16.0, 11.0]);
    front.max(ear)
}

/// The grid of a run and its centre: a little above the head's, so that the crown is inside.
pub(super) fn grid_of(voxel_mm: [f64; 3]) -> (Grid, [f64; 3]) {
    // Even matrix sizes, as echo-planar imaging has them.
    let even = |mm: f64, d: f64| ((mm / d / 2.0).round().max(1.0) * 2.0) as usize;
    let [dz, dy, dx] = voxel_mm;
    let shape = [even(FIELD_OF_VIEW[0], dz), even(FIELD_OF_VIEW[1], dy), even(FIELD_OF_VIEW[2], dx)];
    let centre = [0.0, -2.0, 2.0];
    let low = |n: usize, d: f64, c: f64| c - (n as f64 - 1.0) / 2.0 * d;
    let affine = [
        [dx, 0.0, 0.0, low(shape[2], dx, centre[0])],
        [0.0, dy, 0.0, low(shape[1], dy, centre[1])],
        [0.0, 0.0, dz, low(shape[0], dz, centre[2])],
        [0.0, 0.0, 0.0, 1.0],
    ];
    (Grid { shape, voxel_mm, affine }, centre)
}
