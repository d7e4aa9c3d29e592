//! How near the methods come to the truth of a synthetic head.

use imaging::distortion::fieldmap::{from_hz, from_phase_difference};
use imaging::distortion::head_mask;
use imaging::distortion::pepolar::{Epi as EpiImage, estimate};
use imaging::distortion::phase::{phase_difference, phase_in_radians};
use imaging::distortion::unwrap::unwrap;
use imaging::filter::quantiles;
use imaging::slice_timing::{Slices, correct};
use ndarray::{Array3, Axis};
use phantom::{
    BoldSpec, Epi, EpiPair, FieldmapSpec, MotionLevel, PairSpec, PhaseNumbers, Wave, bold_epi, bold_grid, epi_pair,
    gradient_echoes, interleaved,
};

/// Total readout time, seconds, and size of voxels `[dz, dy, dx]`, mm.
pub const READOUT_S: f64 = 0.035;
pub const VOXEL_MM: [f64; 3] = [3.6, 3.3, 3.3];
pub const ECHO_TIMES: [f64; 2] = [0.00492, 0.00738];
const TR: f64 = 2.0;
/// Of the wave, against the signal: large, so that rounding to whole numbers says little.
const AMPLITUDE: f64 = 0.2;

/// Error of a field in the brain, in voxels of displacement.
#[derive(Clone, Copy, Debug)]
pub struct Errors {
    /// Mean and 95 % quantile of the sizes, the constant removed.
    pub mean: f32,
    pub high: f32,
    /// The median of the errors.
    pub constant: f32,
}

fn errors(found: &Array3<f32>, truth: &Array3<f32>, brain: &Array3<u8>) -> Errors {
    let in_brain = found.iter().zip(truth).zip(brain).filter(|(_, b)| **b != 0);
    let mut errors: Vec<f32> = in_brain.map(|((f, t), _)| (f - t) * READOUT_S as f32).collect();
    let [constant] = quantiles(&mut errors, [0.5]).unwrap_or_default();
    let mut sizes: Vec<f32> = errors.iter().map(|e| (e - constant).abs()).collect();
    let mean = sizes.iter().sum::<f32>() / sizes.len().max(1) as f32;
    let [high] = quantiles(&mut sizes, [0.95]).unwrap_or_default();
    Errors { mean, high, constant }
}

/// What is measured of a head.
pub fn spec(seed: u64) -> FieldmapSpec {
    FieldmapSpec { head: seed, scan: seed + 1000, voxel_mm: VOXEL_MM, lies: [0.0; 6], noise: 0.02, steep: false }
}

/// A pair of opposite polarity, with the head moved in between or not.
pub fn pair_of(
    seed: u64,
    steep: bool,
    moves: bool,
) -> Result<(EpiPair, PairSpec), imaging::distortion::DistortionError> {
    let usual = PairSpec::new(seed + 1000, "j-".parse()?, READOUT_S);
    let pair = if moves { usual } else { PairSpec { moved: [0.0; 6], ..usual } };
    Ok((epi_pair(&FieldmapSpec { noise: 1.0, steep, ..spec(seed) }, &pair), pair))
}

/// Of such a pair, and how many voxels of the volume fold.
pub fn pepolar(seed: u64, steep: bool, moves: bool) -> Result<(Errors, usize), imaging::distortion::DistortionError> {
    let (made, pair) = pair_of(seed, steep, moves)?;
    let means = made.images.each_ref().map(|image| image.mean_axis(Axis(0)).unwrap_or_default());
    let epi =
        |n: usize| EpiImage { image: means[n].view(), direction: made.directions[n], readout_s: pair.readout_s[n] };
    let found = estimate(&epi(0), &epi(1), VOXEL_MM, moves)?;
    let slopes = found.hz.axis_windows(Axis(1), 3);
    let folds = slopes.into_iter().flat_map(|w| (&w.index_axis(Axis(1), 2) - &w.index_axis(Axis(1), 0)).into_iter());
    let folds = folds.filter(|hz| 0.5 * hz.abs() * READOUT_S as f32 >= 1.0).count();
    Ok((errors(&found.hz, &made.truths[0].hz, &made.brain), folds))
}

/// What unwrapping and fit come to.
#[derive(Clone, Copy, Debug)]
pub struct Unwrapping {
    /// Voxels of the head, and of the brain in it, that are whole cycles off.
    pub wrong: [usize; 2],
    /// Share of the head that was wrapped.
    pub wrapped: f64,
    /// Of the smooth field.
    pub errors: Errors,
}

/// The same of echoes so many seconds apart.
pub fn unwrapped(seed: u64, steep: bool, apart: f64) -> Result<Unwrapping, imaging::distortion::DistortionError> {
    let made = gradient_echoes(&FieldmapSpec { steep, ..spec(seed) }, [ECHO_TIMES[0], ECHO_TIMES[0] + apart]);
    let magnitude = made.magnitude[0].view();
    let mask = head_mask(magnitude)?;
    let found = unwrap(made.difference.view(), magnitude, mask.view())?;
    let per_hz = (std::f64::consts::TAU * apart) as f32;
    let all = found.phase.iter().zip(&made.measured).zip(mask.iter().zip(&made.brain));
    let off = all.filter(|((f, hz), (head, _))| **head != 0 && (*f - per_hz * *hz).abs() > 3.0);
    let in_brain: Vec<bool> = off.map(|(_, (_, brain))| *brain != 0).collect();
    let wrong = [in_brain.len(), in_brain.iter().filter(|brain| **brain).count()];
    let fit = from_phase_difference(made.difference.view(), magnitude, apart, VOXEL_MM)?;
    Ok(Unwrapping { wrong, wrapped: found.wrapped_share, errors: errors(&fit.hz, &made.hz, &made.brain) })
}

/// Of a phase difference, of two phases, and of a map in Hz; whole numbers as they are stored.
pub fn gradient(seed: u64) -> Result<[Errors; 3], imaging::distortion::DistortionError> {
    let made = gradient_echoes(&spec(seed), ECHO_TIMES);
    let magnitude = made.magnitude[0].view();
    let read = |phase: &Array3<f32>, numbers: PhaseNumbers| {
        phase_in_radians(numbers.of(phase.view()).mapv(f32::from).view()).map(|(radians, _)| radians)
    };
    let apart = ECHO_TIMES[1] - ECHO_TIMES[0];
    let difference = read(&made.difference, PhaseNumbers::Signed)?;
    let one = from_phase_difference(difference.view(), magnitude, apart, VOXEL_MM)?;
    let (a, b) = (read(&made.phase[0], PhaseNumbers::Unsigned)?, read(&made.phase[1], PhaseNumbers::Unsigned)?);
    let two = from_phase_difference(phase_difference(a.view(), b.view())?.view(), magnitude, apart, VOXEL_MM)?;
    let three = from_hz(made.measured.view(), magnitude, VOXEL_MM)?;
    Ok([one, two, three].map(|found| errors(&found.hz, &made.hz, &made.brain)))
}

/// What slice timing leaves of a wave: root mean square over the brain against the wave's own, without four volumes at each
/// end.
pub fn slices(seed: u64, hertz: f64, voxel_mm: [f64; 3], volumes: usize) -> Result<f64, Box<dyn std::error::Error>> {
    let motion = MotionLevel::Still;
    let spec = BoldSpec { head: seed, scan: seed + 1000, voxel_mm, volumes, non_steady: 0, tr_seconds: TR, motion };
    let times = interleaved(bold_grid(voxel_mm).shape[0], TR);
    let slices = Slices { axis: Axis(1), times: &times, repetition: TR };
    let moment = slices.moment(0.5);
    let taken = |times: Vec<f64>, wave: Option<Wave>| {
        bold_epi(&spec, &Epi { slice_times: Some(times), wave, noise: 0.0, ..Epi::default() })
    };
    let wave = Some(Wave { hertz, amplitude: AMPLITUDE });
    let at_once = vec![moment; times.len()];
    let (truth, still) = (taken(at_once.clone(), wave), taken(at_once, None));
    let mut made = taken(times.clone(), wave);
    correct(made.series.view_mut(), &slices, moment, 0, &[])?;
    let brain = truth.brain.clone();
    let (mut left, mut all) = (0.0, 0.0);
    for t in 4..volumes - 4 {
        let volume = |run: &phantom::SynthBold| run.series.index_axis(Axis(0), t).to_owned();
        let (made, truth, still) = (volume(&made), volume(&truth), volume(&still));
        for (((m, t), s), _) in made.iter().zip(&truth).zip(&still).zip(&brain).filter(|(_, b)| **b != 0) {
            left += f64::from(m - t).powi(2);
            all += f64::from(t - s).powi(2);
        }
    }
    Ok((left / all).sqrt())
}
