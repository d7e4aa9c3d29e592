//! A BOLD run of a synthetic head that moves by known amounts.
//!
//! The head is drawn once, on a grid finer than the run's and blurred to the run's voxels; each volume then reads its
//! cubic B-spline at the moved positions. What stays with the scanner (coil, grid, ghost) is applied after the motion,
//! what stays with the tissue (drop-out) before it.

use super::acquisition::acquire;
use super::field::coil_field;
use super::head::Head;
use super::motion::{MotionLevel, parameters};
use super::networks::Networks;
use super::random::{Stream, stream};
use super::raster::draw;
use super::t1w::pose;
use super::tissue::Tissue;
use imaging::filter::gaussian_smooth;
use imaging::interpolate::SplineVolume;
use imaging::rigid::{Matrix4, compose, from_parameters, invert_rigid};
use ndarray::{Array3, Array4, ArrayViewMut3, Axis, Zip};
use nifti::Grid;
use rand::RngExt;
use rayon::prelude::*;

/// Field of view (mm) along z, y and x.
const FIELD_OF_VIEW: [f64; 3] = [137.0, 218.0, 218.0];
/// Extent (mm) of the drawn head along z, y and x, and the position of its lowest corner.
const SOURCE: ([f64; 3], [f64; 3]) = ([184.0, 228.0, 190.0], [-90.0, -116.0, -95.0]);
/// Temporal signal-to-noise of grey matter from thermal noise alone.
const TSNR: f32 = 110.0;
/// Standard deviation of the point spread, in voxels: k-space ends at the voxel's frequency (a full width at half maximum
/// of 1.2 voxels without T2* decay), so there is next to nothing to alias.
const SPREAD: f64 = 0.5;
/// Range of the coil field inside the brain, and the part of the signal in the Nyquist ghost.
const BIAS: f32 = 0.35;
const GHOST: f32 = 0.015;

/// What run to make.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoldSpec {
    /// Whose head.
    pub head: u64,
    /// Which run of it: pose, coil, motion, noise.
    pub scan: u64,
    /// Voxel size `[dz, dy, dx]`, mm. The field of view stays about 218 × 218 × 137 mm (x, y, z).
    pub voxel_mm: [f64; 3],
    /// Number of volumes.
    pub volumes: usize,
    /// Leading volumes not yet in steady state, brighter than the rest.
    pub non_steady: usize,
    /// Seconds per volume.
    pub tr_seconds: f64,
    /// How much the head moves.
    pub motion: MotionLevel,
}

/// A BOLD run and its truth, RAS+.
pub struct SynthBold {
    /// What the scanner stored, `(nt, nz, ny, nx)`: whole numbers, 0 to 4095, grey matter about 1000.
    pub series: Array4<f32>,
    /// The brain in volume 0, `(nz, ny, nx)`.
    pub brain: Array3<u8>,
    /// Where the voxels are.
    pub grid: Grid,
    /// `[tx, ty, tz, rx, ry, rz]` of each volume, mm and radians, about [`Self::centre`].
    pub motion: Vec<[f64; 6]>,
    /// The same as matrices in RAS mm: where each point of the head in volume 0 is in this volume.
    pub matrices: Vec<Matrix4>,
    /// The centre of the rotations, RAS mm: that of the grid.
    pub centre: [f64; 3],
    /// Standard deviation of the noise in each channel.
    pub sigma: f32,
}

/// What every volume of a run needs.
struct Run<'a> {
    spec: &'a BoldSpec,
    grid: &'a Grid,
    source: SplineVolume,
    /// From the world in volume 0 to voxels of the source.
    to_source: Matrix4,
    coil: Array3<f32>,
    networks: Networks,
    matrices: &'a [Matrix4],
    sigma: f32,
}

/// Makes a BOLD run. Equal specs give equal bytes at any number of threads.
#[must_use]
pub fn bold(spec: &BoldSpec) -> SynthBold {
    let (grid, centre) = grid_of(spec.voxel_mm);
    let motion = parameters(spec.scan, spec.volumes, spec.tr_seconds, spec.motion);
    let matrices: Vec<Matrix4> = motion.iter().map(|p| from_parameters(p, centre)).collect();
    let (source, brain_source, to_source) = draw_source(spec);
    let mut brain = Array3::<u8>::zeros(grid.shape);
    let at = compose(&to_source, &grid.affine);
    Zip::indexed(&mut brain).for_each(|(k, j, i), b| {
        *b = u8::from(brain_source.sample(voxel(&at, k, j, i)).is_some_and(|v| v > 0.5));
    });
    let coil = coil_field(spec.scan, &grid.affine, brain.view(), BIAS);
    let to_head = invert_rigid(&pose(spec.scan));
    let networks = Networks::new(spec.scan, &grid, &to_head, spec.volumes, spec.tr_seconds);
    let sigma = Tissue::Grey.epi() / TSNR;
    let run = Run { spec, grid: &grid, source, to_source, coil, networks, matrices: &matrices, sigma };
    let [nz, ny, nx] = grid.shape;
    let mut series = Array4::<f32>::zeros((spec.volumes, nz, ny, nx));
    let volumes: Vec<_> = series.axis_iter_mut(Axis(0)).collect();
    volumes.into_par_iter().enumerate().for_each(|(t, volume)| run.volume(t, volume));
    SynthBold { series, brain, grid, motion, matrices, centre, sigma }
}

/// Position of a voxel under a matrix from voxels to voxels.
fn voxel(m: &Matrix4, k: usize, j: usize, i: usize) -> [f32; 3] {
    let (k, j, i) = (k as f64, j as f64, i as f64);
    std::array::from_fn(|r| (m[r][0] * i + m[r][1] * j + m[r][2] * k + m[r][3]) as f32)
}

/// The head's signal and its brain as splines on a fine grid, blurred to the run's voxels, and the way there from the
/// world.
///
/// The blur turns with the head; for the few degrees a head turns and voxels nearly as high as wide this is far below
/// the noise.
fn draw_source(spec: &BoldSpec) -> (SplineVolume, SplineVolume, Matrix4) {
    let step = (0.58 * spec.voxel_mm.iter().copied().fold(f64::INFINITY, f64::min)).clamp(1.0, 4.0);
    let shape = SOURCE.0.map(|mm| (mm / step).ceil() as usize);
    let [x, y, z] = [SOURCE.1[2], SOURCE.1[1], SOURCE.1[0]];
    let affine = [[step, 0.0, 0.0, x], [0.0, step, 0.0, y], [0.0, 0.0, step, z], [0.0, 0.0, 0.0, 1.0]];
    let still = from_parameters(&[0.0; 6], [0.0; 3]);
    let head = Head::new(spec.head);
    let mut drawing = draw(&head, shape, &affine, &still, Tissue::epi, 2);
    let to = |n: usize, from: f64| (from + step * n as f64) as f32;
    let strength = stream(spec.head, Stream::Coil, 1).random_range(0.6..1.1);
    Zip::indexed(&mut drawing.brightness)
        .for_each(|(k, j, i), v| *v *= 1.0 - strength * loss([to(i, x), to(j, y), to(k, z)]));
    // The source's own voxel already blurs by its box.
    let sigma = spec.voxel_mm.map(|d| ((SPREAD * d).powi(2) - step * step / 12.0).max(0.0).sqrt() / step);
    let spline = |volume: &Array3<f32>| {
        let smooth = gaussian_smooth(volume.view(), sigma);
        let mut spline = SplineVolume::new(shape);
        spline.interpolate(smooth.as_slice().unwrap_or_default());
        spline
    };
    let signal = spline(&drawing.brightness);
    let brain = spline(&drawing.brain.mapv(f32::from));
    let scale = 1.0 / step;
    let to_voxel = [
        [scale, 0.0, 0.0, -x * scale],
        [0.0, scale, 0.0, -y * scale],
        [0.0, 0.0, scale, -z * scale],
        [0.0, 0.0, 0.0, 1.0],
    ];
    (signal, brain, compose(&to_voxel, &invert_rigid(&pose(spec.scan))))
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

impl Run<'_> {
    /// Makes volume `t`.
    fn volume(&self, t: usize, mut out: ArrayViewMut3<f32>) {
        let back = invert_rigid(&self.matrices[t]);
        let map = compose(&self.to_source, &compose(&back, &self.grid.affine));
        let gain = self.gain(t);
        let jumps = [self.through_plane(t), self.through_plane(t.saturating_sub(1))];
        Zip::indexed(&mut out).and(&self.coil).for_each(|(k, j, i), v, coil| {
            // Interpolation rings a little below zero beside bright edges; a magnitude does not.
            let signal = self.source.sample(voxel(&map, k, j, i)).unwrap_or(0.0).max(0.0);
            let place = |m: &[f32; 4]| m[0] * i as f32 + m[1] * j as f32 + m[2] * k as f32 + m[3];
            // Spins that came from the neighbour slice have had less time to recover (Friston 1996, MRM 35:346).
            let history = place(&jumps[0]).abs() + 0.35 * place(&jumps[1]).abs();
            let history = 1.0 - 0.06 * (history / self.spec.voxel_mm[0] as f32).min(1.0);
            *v = signal * coil * gain * history * self.networks.factor(t, [k, j, i]);
        });
        self.ghost(&mut out);
        for (k, plane) in out.axis_iter_mut(Axis(0)).enumerate() {
            acquire(plane, self.sigma, self.spec.scan, (t * self.grid.shape[0] + k) as u32);
        }
    }

    /// Scanner drift, and the extra signal before the steady state.
    fn gain(&self, t: usize) -> f32 {
        let along = t as f32 / self.spec.volumes.max(2) as f32;
        let drift = 1.0 + 0.006 * (2.2 * along).sin() - 0.004 * along;
        // T1 of grey matter against a repetition time of about 2 s and 80 degrees.
        let early = if t < self.spec.non_steady { 0.4 * (-1.4 * t as f32).exp() + 0.03 } else { 0.0 };
        drift * (1.0 + early)
    }

    /// How far (mm, along z) the tissue at voxel `(i, j, k)` moved since the volume before: the coefficients of i, j, k, 1.
    fn through_plane(&self, t: usize) -> [f32; 4] {
        if t == 0 {
            return [0.0; 4];
        }
        let step = compose(&self.matrices[t], &invert_rigid(&self.matrices[t - 1]));
        let moved = compose(&step, &self.grid.affine);
        std::array::from_fn(|c| (moved[2][c] - self.grid.affine[2][c]) as f32)
    }

    /// Adds the Nyquist ghost: the image again, faint, shifted by half the field of view along the phase axis (y).
    fn ghost(&self, out: &mut ArrayViewMut3<f32>) {
        let half = self.grid.shape[1] / 2;
        for mut plane in out.axis_iter_mut(Axis(0)) {
            let (mut front, mut back) = plane.view_mut().split_at(Axis(0), half);
            Zip::from(&mut front).and(&mut back.slice_axis_mut(Axis(0), (..half).into())).for_each(|a, b| {
                (*a, *b) = (*a + GHOST * *b, *b + GHOST * *a);
            });
        }
    }
}

/// The grid of a run and its centre: a little above the head's, so that the crown is inside.
fn grid_of(voxel_mm: [f64; 3]) -> (Grid, [f64; 3]) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use imaging::rigid::{invert_affine, rms_deviation};
    use ndarray::ArrayView3;

    fn spec(volumes: usize) -> BoldSpec {
        let motion = MotionLevel::High;
        BoldSpec { head: 8, scan: 9, voxel_mm: [5.0; 3], volumes, non_steady: 0, tr_seconds: 2.0, motion }
    }

    fn correlation(a: ArrayView3<f32>, b: ArrayView3<f32>, mask: &Array3<u8>) -> f64 {
        let pick = |v: ArrayView3<f32>| -> Vec<f64> {
            v.iter().zip(mask).filter(|(_, m)| **m > 0).map(|(x, _)| f64::from(*x)).collect()
        };
        let centred = |v: Vec<f64>| {
            let mean = v.iter().sum::<f64>() / v.len() as f64;
            v.into_iter().map(|x| x - mean).collect::<Vec<_>>()
        };
        let (a, b) = (centred(pick(a)), centred(pick(b)));
        let dot = |p: &[f64], q: &[f64]| p.iter().zip(q).map(|(x, y)| x * y).sum::<f64>();
        dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
    }

    #[test]
    fn undoing_the_motion_by_its_matrix_gives_back_the_first_volume() {
        let made = bold(&spec(40));
        let still = &made.matrices[0];
        let far = |m: &Matrix4| rms_deviation(m, still, made.centre, 80.0);
        let (t, worst) = made.matrices.iter().enumerate().max_by(|a, b| far(a.1).total_cmp(&far(b.1))).unwrap();
        assert!(far(worst) > 1.0, "moves {} mm", far(worst));
        let moved = made.series.index_axis(Axis(0), t);
        let mut spline = SplineVolume::new(made.grid.shape);
        spline.interpolate(moved.as_slice().unwrap());
        let map = compose(&invert_affine(&made.grid.affine).unwrap(), &compose(worst, &made.grid.affine));
        let mut back = Array3::<f32>::zeros(made.grid.shape);
        spline.resample_into(&map, back.as_slice_mut().unwrap());
        let first = made.series.index_axis(Axis(0), 0);
        let (before, after) = (correlation(moved, first, &made.brain), correlation(back.view(), first, &made.brain));
        assert!(after > 0.98 && 1.0 - after < 0.5 * (1.0 - before), "{before} before, {after} after");
    }

    #[test]
    fn a_run_is_the_same_at_any_thread_count() {
        let on = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(|| bold(&spec(3)));
        let (one, four) = (on(1), on(4));
        assert_eq!(one.series, four.series);
        assert_eq!(one.brain, four.brain);
    }

    #[test]
    fn volumes_before_the_steady_state_are_brighter() {
        let made = bold(&BoldSpec { non_steady: 2, ..spec(5) });
        let mean = |t: usize| made.series.index_axis(Axis(0), t).mean().unwrap();
        assert!(mean(0) > 1.2 * mean(4) && mean(1) > 1.04 * mean(4) && (mean(2) / mean(4) - 1.0).abs() < 0.02);
    }
}
