//! The volumes of a run: the head's cubic B-spline read at the moved positions, slice by slice at its time, or pushed forward
//! line by line by the field.

use super::acquisition::acquire;
use super::epi::{BoldSpec, Epi, EpiTruth};
use super::field::coil_field;
use super::motion::between;
use super::networks::Networks;
use super::push::Push;
use super::random::Stream;
use super::source::{Source, voxel};
use super::tissue::Tissue;
use imaging::rigid::{Matrix4, compose, from_parameters, invert_rigid};
use ndarray::{Array3, Array4, ArrayViewMut2, ArrayViewMut3, Axis, Zip};
use nifti::Grid;
use rayon::prelude::*;

/// Temporal signal-to-noise of grey matter from thermal noise alone.
const TSNR: f32 = 110.0;
/// Range of the coil field inside the brain, and the part of the signal in the Nyquist ghost.
const BIAS: f32 = 0.35;
const GHOST: f32 = 0.015;

/// A run and what sets it apart from a usual one of the same scan.
pub(super) struct Setup<'a> {
    pub spec: &'a BoldSpec,
    pub epi: &'a Epi,
    /// How the head lies against the pose of the scan, as parameters about the grid's centre.
    pub lies: [f64; 6],
    /// Seed and stream of the noise.
    pub noise: (u64, Stream),
    /// Whether signal is lost near air (gradient echo; a spin echo loses none).
    pub loss: bool,
    /// How bright.
    pub gain: f32,
}

/// What every volume of a run needs.
pub(super) struct Run<'a> {
    spec: &'a BoldSpec,
    epi: &'a Epi,
    grid: &'a Grid,
    source: Source,
    /// From the world in volume 0 to the head's millimetres.
    to_head: Matrix4,
    coil: Array3<f32>,
    networks: Networks,
    /// Motion of each volume, and the centre of its rotations.
    track: (&'a [[f64; 6]], [f64; 3]),
    pub(super) sigma: f32,
    noise: (u64, Stream),
    bright: f32,
    push: Option<Push>,
}

/// What holds while one slice is taken.
struct Moment {
    /// From voxels to those of the source, and to the head's millimetres.
    map: Matrix4,
    to_head: Matrix4,
    gain: f32,
    activity: [f32; 3],
    /// How far (mm, along z) tissue moved since the volume before, and before that: coefficients of i, j, k, 1.
    jumps: [[f32; 4]; 2],
}

impl<'a> Run<'a> {
    /// `to_head` takes the world in volume 0 to the head's millimetres; `track` is the motion of each volume and the centre of
    /// its rotations.
    pub(super) fn new(
        setup: &Setup<'a>,
        source: Source,
        to_head: Matrix4,
        (grid, brain): (&'a Grid, &Array3<u8>),
        track: (&'a [[f64; 6]], [f64; 3]),
    ) -> Self {
        let (spec, epi) = (setup.spec, setup.epi);
        let networks = Networks::new(spec.scan, grid, &to_head);
        let sigma = epi.noise * Tissue::Grey.epi() / TSNR;
        let coil = coil_field(spec.scan, &grid.affine, brain.view(), BIAS);
        let push = epi.field.as_ref().map(|_| {
            let along = grid.voxel_mm[epi.direction.array_axis()];
            Push::new(epi.direction, epi.readout_s, source.blur_to_come(along))
        });
        let (noise, bright) = (setup.noise, setup.gain);
        Self { spec, epi, grid, source, to_head, coil, networks, track, sigma, noise, bright, push }
    }

    /// All volumes, `(nt, nz, ny, nx)`.
    pub(super) fn series(&self) -> Array4<f32> {
        let [nz, ny, nx] = self.grid.shape;
        let mut series = Array4::<f32>::zeros((self.spec.volumes, nz, ny, nx));
        let volumes: Vec<_> = series.axis_iter_mut(Axis(0)).collect();
        volumes.into_par_iter().enumerate().for_each(|(t, mut volume)| {
            self.volume(t, &mut volume);
            self.ghost(&mut volume);
            for (k, plane) in volume.axis_iter_mut(Axis(0)).enumerate() {
                acquire(plane, self.sigma, self.noise, (t * nz + k) as u32);
            }
        });
        series
    }

    /// What is true about the distortion, with the head as in volume 0.
    pub(super) fn truth(&self) -> Option<EpiTruth> {
        let (field, push) = (self.epi.field.as_ref()?, self.push.as_ref()?);
        let hz = field.sample(self.grid.shape, &self.grid.affine, &self.to_head);
        let shift = hz.mapv(|v| push.shift(v));
        let moment = Moment { gain: self.bright, activity: [0.0; 3], jumps: [[0.0; 4]; 2], ..self.moment(0, 0.0) };
        let image = |hz: &(dyn Fn([f32; 3]) -> f32 + Sync)| {
            let mut out = Array3::zeros(self.grid.shape);
            self.pushed(push, &|_| &moment, hz, &mut out.view_mut());
            out
        };
        let (undistorted, distorted) = (image(&|_| 0.0), image(&|p| field.at(p)));
        Some(EpiTruth { hz, shift, undistorted, distorted })
    }

    /// Makes volume `t`, without ghost and noise.
    fn volume(&self, t: usize, out: &mut ArrayViewMut3<f32>) {
        let along_slices = self.push.as_ref().is_some_and(|push| push.axis == 0);
        let times = self.epi.slice_times.as_deref().filter(|_| !along_slices);
        let at = |k: usize| times.and_then(|times| times.get(k)).copied().unwrap_or(0.0);
        let moments: Vec<Moment> = if times.is_some() {
            (0..self.grid.shape[0]).map(|k| self.moment(t, at(k))).collect()
        } else {
            vec![self.moment(t, 0.0)]
        };
        let of = |k: usize| &moments[k.min(moments.len() - 1)];
        match (&self.push, &self.epi.field) {
            (Some(push), Some(field)) => self.pushed(push, &of, &|p| field.at(p), out),
            _ => out.axis_iter_mut(Axis(0)).enumerate().for_each(|(k, plane)| self.still(of(k), k, plane)),
        }
    }

    /// Slice `k` without displacement.
    fn still(&self, moment: &Moment, k: usize, mut plane: ArrayViewMut2<f32>) {
        Zip::indexed(&mut plane).and(self.coil.index_axis(Axis(0), k)).for_each(|(j, i), v, coil| {
            let signal = self.signal(voxel(&moment.map, k, j, i));
            let history = self.history(moment, [k as f32, j as f32, i as f32]);
            *v = signal * coil * moment.gain * history * self.networks.factor(&moment.activity, [k, j, i]);
        });
    }

    /// All slices, every line along phase encoding pushed forward; `of` gives the moment of a slice, `hz` the field in the
    /// head.
    fn pushed<'m>(
        &self,
        push: &Push,
        of: &(dyn Fn(usize) -> &'m Moment + Sync),
        hz: &(dyn Fn([f32; 3]) -> f32 + Sync),
        out: &mut ArrayViewMut3<f32>,
    ) {
        let shape = self.grid.shape;
        // Planes that hold whole lines; their lines run along `inner`.
        let (across, inner) = if push.axis == 0 { (1, 0) } else { (0, push.axis - 1) };
        let planes: Vec<_> = out.axis_iter_mut(Axis(across)).collect();
        planes.into_par_iter().enumerate().for_each(|(n, mut plane)| {
            let moment = of(if across == 0 { n } else { 0 });
            for (l, line) in plane.lanes_mut(Axis(inner)).into_iter().enumerate() {
                let mut at = [0.0_f32; 3];
                at[across] = n as f32;
                at[3 - across - push.axis] = l as f32;
                let sample = |p: f32| {
                    let mut at = at;
                    at[push.axis] = p;
                    let place = |m: &Matrix4| point(m, at);
                    let [low, high, part] = ends(p, shape[push.axis]);
                    let mut near = at.map(|v| v as usize);
                    let mut scanner = |end: f32| {
                        near[push.axis] = end as usize;
                        self.coil[near] * self.networks.factor(&moment.activity, near)
                    };
                    let scanner = (1.0 - part) * scanner(low) + part * scanner(high);
                    let signal = self.signal(place(&moment.map)) * self.history(moment, at);
                    (signal * scanner * moment.gain, hz(place(&moment.to_head)))
                };
                push.line(sample, line);
            }
        });
    }

    /// Interpolation rings a little below zero beside bright edges; a magnitude does not.
    fn signal(&self, at: [f32; 3]) -> f32 {
        self.source.signal.sample(at).unwrap_or(0.0).max(0.0)
    }

    /// Spins that came from the neighbour slice have had less time to recover (Friston 1996, MRM 35:346); `at` = `[k, j, i]`.
    fn history(&self, moment: &Moment, at: [f32; 3]) -> f32 {
        let place = |m: &[f32; 4]| m[0] * at[2] + m[1] * at[1] + m[2] * at[0] + m[3];
        let history = place(&moment.jumps[0]).abs() + 0.35 * place(&moment.jumps[1]).abs();
        1.0 - 0.06 * (history / self.spec.voxel_mm[0] as f32).min(1.0)
    }

    /// What holds `seconds` after volume `t` began.
    fn moment(&self, t: usize, seconds: f64) -> Moment {
        let at = t as f64 + seconds / self.spec.tr_seconds;
        let to_source = compose(&self.source.from_head, &self.to_head);
        let back = compose(&invert_rigid(&self.lies(at)), &self.grid.affine);
        let since_start = t as f64 * self.spec.tr_seconds + seconds;
        let wave = self.epi.wave.map_or(1.0, |wave| wave.at(since_start) as f32);
        let jump = |t: usize, at: f64| if t == 0 { [0.0; 4] } else { self.through_plane(at) };
        Moment {
            map: compose(&to_source, &back),
            to_head: compose(&self.to_head, &back),
            gain: self.bright * self.gain(t, at) * wave,
            activity: self.networks.activity(since_start),
            jumps: [jump(t, at), jump(t.saturating_sub(1), at - 1.0)],
        }
    }

    /// Where the head of volume 0 lies `at` volumes after the start.
    fn lies(&self, at: f64) -> Matrix4 {
        from_parameters(&between(self.track.0, at), self.track.1)
    }

    /// Scanner drift, and the extra signal before the steady state.
    fn gain(&self, t: usize, at: f64) -> f32 {
        let along = at as f32 / self.spec.volumes.max(2) as f32;
        let drift = 1.0 + 0.006 * (2.2 * along).sin() - 0.004 * along;
        // T1 of grey matter against a repetition time of about 2 s and 80 degrees.
        let early = if t < self.spec.non_steady { 0.4 * (-1.4 * t as f32).exp() + 0.03 } else { 0.0 };
        drift * (1.0 + early)
    }

    /// How far (mm, along z) the tissue at voxel `(i, j, k)` moved since the volume before: the coefficients of i, j, k, 1.
    fn through_plane(&self, at: f64) -> [f32; 4] {
        let step = compose(&self.lies(at), &invert_rigid(&self.lies(at - 1.0)));
        let moved = compose(&step, &self.grid.affine);
        std::array::from_fn(|c| (moved[2][c] - self.grid.affine[2][c]) as f32)
    }

    /// Adds the Nyquist ghost: the image again, faint, shifted by half the field of view along phase encoding.
    fn ghost(&self, out: &mut ArrayViewMut3<f32>) {
        let axis = Axis(self.epi.direction.array_axis());
        let half = out.len_of(axis) / 2;
        let (mut front, mut back) = out.view_mut().split_at(axis, half);
        Zip::from(&mut front).and(&mut back.slice_axis_mut(axis, (..half).into())).for_each(|a, b| {
            (*a, *b) = (*a + GHOST * *b, *b + GHOST * *a);
        });
    }
}

/// Where `[k, j, i]`, parts of voxels too, is under a matrix.
fn point(m: &Matrix4, at: [f32; 3]) -> [f32; 3] {
    let [k, j, i] = at.map(f64::from);
    std::array::from_fn(|r| (m[r][0] * i + m[r][1] * j + m[r][2] * k + m[r][3]) as f32)
}

/// The voxels before and after a position on a line of `n`, and how far it is from the one to the other.
fn ends(p: f32, n: usize) -> [f32; 3] {
    let p = p.clamp(0.0, (n - 1) as f32);
    [p.floor(), (p.floor() + 1.0).min((n - 1) as f32), p - p.floor()]
}
