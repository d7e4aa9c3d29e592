//! What a scanner measures of a head's field: phases and magnitudes of two gradient echoes, and pairs of EPI images with
//! opposite phase encoding.

use super::bold::{make, to_head};
use super::epi::{BoldSpec, Epi, EpiTruth};
use super::field::coil_field;
use super::head::Head;
use super::hz_field::HzField;
use super::motion::MotionLevel;
use super::random::{Stream, seed_of, stream};
use super::run::Setup;
use super::source::{Source, SourceSpec, grid_of};
use super::tissue::Tissue;
use imaging::distortion::PhaseEncoding;
use imaging::rigid::{Matrix4, apply, compose, from_parameters, to_parameters};
use ndarray::{Array3, Array4, ArrayView3, Axis, Zip};
use nifti::Grid;
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use std::f32::consts::{PI, TAU};

/// Brightness of the brightest tissue in the first echo, and T2* of all of them, seconds.
const BRIGHT: f32 = 1000.0;
const T2_STAR: f64 = 0.040;
/// Positions along each axis of a voxel at which the field is asked for.
const PARTS: usize = 2;
/// Range of the coil field inside the brain.
const BIAS: f32 = 0.4;

/// What field to measure.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldmapSpec {
    /// Whose head.
    pub head: u64,
    /// The bold run beside which it is measured: the head lies as in its first volume, moved by [`Self::lies`].
    pub scan: u64,
    /// Size of the voxels `[dz, dy, dx]`, mm; field of view as that of runs.
    pub voxel_mm: [f64; 3],
    /// How the head lies against the first volume of the run: `[tx, ty, tz, rx, ry, rz]`, mm and radians about the centre of
    /// the grid.
    pub lies: [f64; 6],
    /// Noise in each channel: of gradient echoes as a share of bright tissue, of EPI pairs against that of a usual run.
    pub noise: f32,
    /// Whether the field is [`HzField::steep_of_head`].
    pub steep: bool,
}

impl FieldmapSpec {
    fn field(&self) -> HzField {
        if self.steep { HzField::steep_of_head(self.head) } else { HzField::of_head(self.head) }
    }
}

/// Two gradient echoes, every array of shape `(nz, ny, nx)`.
pub struct GradientEchoes {
    /// Whole numbers, bright tissue about 1000.
    pub magnitude: [Array3<f32>; 2],
    /// Radians, −π to π.
    pub phase: [Array3<f32>; 2],
    /// Second less first phase, radians, −π to π.
    pub difference: Array3<f32>,
    /// The field in Hz as the echoes tell of it, unwrapped, with their noise.
    pub measured: Array3<f32>,
    /// The field, Hz.
    pub hz: Array3<f32>,
    /// The brain.
    pub brain: Array3<u8>,
    /// Where the voxels are.
    pub grid: Grid,
}

/// How a scanner writes a phase as whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseNumbers {
    /// −4096 to 4094 for −π to π, in steps of 2.
    Signed,
    /// 0 to 4095.
    Unsigned,
}

impl PhaseNumbers {
    /// A phase of −π to π radians in whole numbers.
    #[must_use]
    pub fn of(self, phase: ArrayView3<f32>) -> Array3<i16> {
        let steps = phase.mapv(|v| (2048.0 + v / PI * 2048.0).round().clamp(0.0, 4095.0) as i16);
        match self {
            Self::Signed => steps.mapv(|v| 2 * v - 4096),
            Self::Unsigned => steps,
        }
    }
}

/// Brightness of tissues in a gradient echo of short echo time.
fn bright(tissue: Tissue) -> f32 {
    let share = match tissue {
        Tissue::Air => 0.0,
        Tissue::Bone => 0.06,
        Tissue::Csf | Tissue::Vitreous => 0.62,
        Tissue::White => 0.85,
        Tissue::Dura => 0.45,
        Tissue::Marrow | Tissue::Cartilage => 0.5,
        Tissue::Muscle => 0.7,
        _ => 0.95,
    };
    BRIGHT * share
}

/// Measures the field by two gradient echoes, `echo_times` in seconds after excitation. Equal specs give equal bytes at any
/// number of threads.
///
/// Phases are those of the sum over a voxel, with the receiver's own smooth phase and with noise in both channels: the
/// less signal, the noisier.
#[must_use]
pub fn gradient_echoes(spec: &FieldmapSpec, echo_times: [f64; 2]) -> GradientEchoes {
    let (grid, centre) = grid_of(spec.voxel_mm);
    let head = Head::new(spec.head);
    let drawn = SourceSpec { head: spec.head, voxel_mm: spec.voxel_mm, brightness: bright, loss: false, sharp: None };
    let source = Source::new(&drawn, &head);
    let to_head = to_head(spec.scan, &spec.lies, centre);
    let field = spec.field();
    let brain = source.brain_on(&grid, &to_head);
    let coil = coil_field(spec.scan, &grid.affine, brain.view(), BIAS);
    let echoes = Echoes { source: &source, field: &field, grid: &grid, coil: &coil, to_head: &to_head, spec };
    let [(first, phase_1), (second, phase_2)] =
        [(0, echo_times[0]), (1, echo_times[1])].map(|(n, time)| echoes.echo(n, time));
    let difference = Zip::from(&phase_1).and(&phase_2).map_collect(|a, b| wrapped(b - a));
    let hz = field.sample(grid.shape, &grid.affine, &to_head);
    let per_hz = TAU * (echo_times[1] - echo_times[0]) as f32;
    let measured = Zip::from(&difference).and(&hz).map_collect(|d, hz| hz + wrapped(d - per_hz * hz) / per_hz);
    GradientEchoes { magnitude: [first, second], phase: [phase_1, phase_2], difference, measured, hz, brain, grid }
}

/// What both echoes have in common.
struct Echoes<'a> {
    source: &'a Source,
    field: &'a HzField,
    grid: &'a Grid,
    coil: &'a Array3<f32>,
    to_head: &'a Matrix4,
    spec: &'a FieldmapSpec,
}

impl Echoes<'_> {
    /// Magnitude in whole numbers and phase of echo `n`.
    fn echo(&self, n: u32, seconds: f64) -> (Array3<f32>, Array3<f32>) {
        let voxel_to_head = compose(self.to_head, &self.grid.affine);
        let receiver = self.receiver();
        let decay = (-seconds / T2_STAR).exp() as f32;
        let (mut magnitude, mut phase) = (Array3::zeros(self.grid.shape), Array3::zeros(self.grid.shape));
        let slices = magnitude.axis_iter_mut(Axis(0)).into_par_iter().zip(phase.axis_iter_mut(Axis(0)));
        slices.enumerate().for_each(|(k, (mut magnitude, mut phase))| {
            let slices = 2 * k as u32 + n;
            let mut rng = stream(self.spec.scan, Stream::FieldmapNoise, slices);
            let mut noise =
                || self.spec.noise * BRIGHT * <StandardNormal as Distribution<f32>>::sample(&StandardNormal, &mut rng);
            Zip::indexed(&mut magnitude).and(&mut phase).for_each(|(j, i), m, p| {
                let at = [i as f64, j as f64, k as f64];
                let [re, im] = self.voxel(&voxel_to_head, at, TAU * seconds as f32);
                let own = receiver(apply(&self.grid.affine, at));
                let gain = decay * self.coil[[k, j, i]];
                let (sin, cos) = own.sin_cos();
                let (re, im) = (gain * (re * cos - im * sin) + noise(), gain * (re * sin + im * cos) + noise());
                (*m, *p) = (re.hypot(im).round().min(4095.0), im.atan2(re));
            });
        });
        (magnitude, phase)
    }

    /// The mean complex signal over a voxel `[i, j, k]`, turned by its field.
    fn voxel(&self, to_head: &Matrix4, at: [f64; 3], per_hz: f32) -> [f32; 2] {
        let offset = |part: usize| (part as f64 + 0.5) / PARTS as f64 - 0.5;
        let mut sum = [0.0_f32; 2];
        for n in 0..PARTS.pow(3) {
            let parts = [n % PARTS, n / PARTS % PARTS, n / PARTS / PARTS];
            let place = apply(to_head, std::array::from_fn(|a| at[a] + offset(parts[a])));
            let signal = self.source.signal.sample(apply(&self.source.from_head, place).map(|v| v as f32));
            let (sin, cos) = (per_hz * self.field.at(place.map(|v| v as f32))).sin_cos();
            let signal = signal.unwrap_or(0.0).max(0.0) / PARTS.pow(3) as f32;
            sum = [sum[0] + signal * cos, sum[1] + signal * sin];
        }
        sum
    }

    /// The phase of the receiver at a point of the world, mm: smooth, and the same in both echoes.
    fn receiver(&self) -> impl Fn([f64; 3]) -> f32 + use<> {
        let mut rng = stream(self.spec.scan, Stream::Fieldmap, 0);
        let [a, b, c]: [f64; 3] = std::array::from_fn(|_| rng.random_range(-1.2..1.2));
        let constant = rng.random_range(-3.0..3.0);
        move |[x, y, z]| (a * (x / 80.0 + 0.3).sin() + b * (y / 70.0).cos() + c * z / 80.0 + constant) as f32
    }
}

fn wrapped(angle: f32) -> f32 {
    angle - TAU * (angle / TAU).round()
}

/// EPI images to take with opposite phase encoding.
#[derive(Clone, Debug, PartialEq)]
pub struct PairSpec {
    /// Phase encoding of the first; the second has the opposite one.
    pub direction: PhaseEncoding,
    /// Total readout time of each, seconds.
    pub readout_s: [f64; 2],
    /// Volumes of each.
    pub volumes: usize,
    /// How the head moved from the first to the second, as [`FieldmapSpec::lies`].
    pub moved: [f64; 6],
    /// How bright the second is against the first.
    pub gain: f32,
    /// Spin echoes, which lose no signal near air, or gradient echoes as a bold run.
    pub spin_echo: bool,
}

impl PairSpec {
    /// A pair of spin echoes whose head moves, between both, 1 to 2 mm and 0.6° to 1.2° along and about each axis.
    #[must_use]
    pub fn new(scan: u64, direction: PhaseEncoding, readout_s: f64) -> Self {
        let mut rng = stream(scan, Stream::Fieldmap, 1);
        let moved = std::array::from_fn(|a| {
            let size: f64 =
                if a < 3 { rng.random_range(1.0..2.0) } else { rng.random_range(0.6_f64..1.2).to_radians() };
            if rng.random::<bool>() { size } else { -size }
        });
        Self { direction, readout_s: [readout_s; 2], volumes: 3, moved, gain: 1.1, spin_echo: true }
    }
}

/// Two EPI images with opposite phase encoding.
pub struct EpiPair {
    /// Whole numbers `(nt, nz, ny, nx)`.
    pub images: [Array4<f32>; 2],
    /// The phase encoding of each.
    pub directions: [PhaseEncoding; 2],
    /// What is true about each, with the head as it lies there.
    pub truths: [EpiTruth; 2],
    /// The brain as it lies in the first.
    pub brain: Array3<u8>,
    /// Where a point of the head in the first is in the second, RAS mm.
    pub motion: Matrix4,
    /// Where the voxels are.
    pub grid: Grid,
}

/// Takes a pair of EPI images. Equal specs give equal bytes at any number of threads.
#[must_use]
pub fn epi_pair(spec: &FieldmapSpec, pair: &PairSpec) -> EpiPair {
    let (grid, centre) = grid_of(spec.voxel_mm);
    let motion = from_parameters(&pair.moved, centre);
    let second = to_parameters(&compose(&motion, &from_parameters(&spec.lies, centre)), centre);
    let directions = [pair.direction, pair.direction.reversed()];
    let run = BoldSpec {
        head: spec.head,
        scan: spec.scan,
        voxel_mm: spec.voxel_mm,
        volumes: pair.volumes,
        non_steady: 0,
        tr_seconds: 8.0,
        motion: MotionLevel::Still,
    };
    let field = spec.field();
    let take = |n: usize, lies: [f64; 6], gain: f32| {
        let (direction, readout_s) = (directions[n], pair.readout_s[n]);
        let epi = Epi { direction, readout_s, field: Some(field.clone()), noise: spec.noise, ..Epi::default() };
        let noise = (seed_of(spec.scan, &["pair", if n == 0 { "first" } else { "second" }]), Stream::FieldmapNoise);
        let made = make(
            &Setup { spec: &run, epi: &epi, lies, noise, loss: !pair.spin_echo, gain },
            vec![[0.0; 6]; pair.volumes],
        );
        let none = || Array3::zeros(grid.shape);
        let truth =
            made.epi.unwrap_or_else(|| EpiTruth { hz: none(), shift: none(), undistorted: none(), distorted: none() });
        (made.series, truth, made.brain)
    };
    let (first, first_truth, brain) = take(0, spec.lies, 1.0);
    let (other, other_truth, _) = take(1, second, pair.gain);
    EpiPair { images: [first, other], directions, truths: [first_truth, other_truth], brain, motion, grid }
}

#[cfg(test)]
mod tests;
