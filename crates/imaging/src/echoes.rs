//! The echoes of a multi-echo run: how fast the signal of each voxel decays, and the one series that has the best of all.
//!
//! T2* and S0 come from a straight line through the logarithms of all volumes over echo time. The combination weighs each
//! echo by `TE exp(-TE / T2*)` (Posse S. et al., Magn. Reson. Med. 42(1), 1999). Only echoes with signal have a part: as in
//! tedana, those up to the last whose mean is above a third of that of a typical voxel, and the first two in any case (DuPre E.
//! et al., JOSS 6(66), 2021). Unlike there, a signal that grows with echo time counts as one that does not decay.
//!
//! The series stays where it was scanned: the weights, which are smooth, are brought to each volume, not the volumes to the
//! weights, so that the combined series is still to be interpolated once.

use ndarray::{Array3, Array4, ArrayView3, ArrayView4, Axis};
use rayon::prelude::*;

use crate::interpolate::SplineVolume;
use crate::motion::MotionEstimate;
use crate::registration::placed::Sampler;
use crate::rigid::{Matrix4, apply, compose, invert_affine};

/// What is added to a signal before its logarithm is taken, so that there is one, as a share of the brain's mean: 1 where that
/// mean is 10,000, as in the outputs of this program.
const FLOOR: f64 = 1e-4;
/// T2* beyond so many times its 99.5 % quantile is set to that quantile.
const CAP: f64 = 10.0;
/// The part of the brain in which the signal may fail to fall.
const MOST_FLAT: f64 = 0.5;
/// The quantile of a typical voxel's first echo, and the share of its means above which an echo has signal.
const TYPICAL: f64 = 0.33;
const SIGNAL: f64 = 1.0 / 3.0;

/// How the signal of each voxel decays, in the grid of the reference volume, `(nz, ny, nx)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Decay {
    /// T2* in seconds; 0 outside the mask.
    pub t2star: Array3<f32>,
    /// The signal at echo time 0, in units of the input; 0 outside the mask.
    pub s0: Array3<f32>,
    /// How many echoes, from the first, have signal; 0 outside the mask.
    pub with_signal: Array3<u8>,
    /// What each echo counts in the combined series, everywhere; together 1.
    pub weights: Vec<Array3<f32>>,
}

/// Why echoes cannot be combined.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EchoError {
    /// There are fewer than two, or another number of times than of echoes.
    #[error("{echoes} echoes with {times} echo times; at least two, and a time for each, are needed")]
    Count {
        /// How many series.
        echoes: usize,
        /// How many times.
        times: usize,
    },
    /// The times are not positive and rising.
    #[error("the echo times {0:?} s are not positive and rising; check EchoTime in the sidecars")]
    Times(Vec<f64>),
    /// The series differ in shape, or from the mask.
    #[error("the echoes differ in their number of voxels or volumes; they are not of one run")]
    Shape,
    /// The voxel-to-world matrix cannot be inverted.
    #[error("the voxel-to-world matrix of the run cannot be inverted; set a valid sform or qform")]
    SingularGrid,
    /// In most of the brain the signal does not fall from echo to echo.
    #[error(
        "the signal does not fall with echo time in {:.0} % of the brain; check EchoTime in the sidecars, and that none are exchanged",
        100.0 * share
    )]
    NoDecay {
        /// The part of the brain.
        share: f64,
    },
    /// The mask is empty, or there is nothing in it.
    #[error("the first echo has no signal inside the brain mask; look at the run")]
    NoSignal,
}

/// Fits the decay of each voxel. `echoes` are series `(nt, nz, ny, nx)` of one run with the echo times `times` in seconds, the
/// shortest first; `motion` is that of the run, `mask` its brain in the reference volume.
///
/// # Errors
/// [`EchoError`] where the echoes do not belong together, or hold nothing.
pub fn fit_decay(
    echoes: &[ArrayView4<f32>],
    times: &[f64],
    affine: Matrix4,
    motion: &MotionEstimate,
    mask: ArrayView3<u8>,
) -> Result<Decay, EchoError> {
    check(echoes, times, mask.dim())?;
    let maps = maps(affine, motion)?;
    let floor = FLOOR * mean_in(echoes[0], mask).ok_or(EchoError::NoSignal)?;
    let seen: Vec<Seen> = echoes.iter().map(|echo| Seen::of(*echo, &maps, floor, &motion.unaligned)).collect();
    let inside: Vec<bool> = mask.iter().map(|m| *m > 0).collect();
    let limits = limits(&seen, &inside).ok_or(EchoError::NoSignal)?;
    let voxel = |v: usize| {
        let count =
            seen.iter().zip(&limits).rposition(|(seen, limit)| seen.mean[v].abs() > *limit).map_or(0, |e| e + 1);
        let used = count.max(2).min(times.len());
        let (s0, rate) = line(&times[..used], |e| seen[e].log[v]);
        (count, s0, if rate > 0.0 { 1.0 / rate } else { f64::INFINITY })
    };
    let fitted: Vec<(usize, f64, f64)> = (0..inside.len()).into_par_iter().map(voxel).collect();
    let decays = fitted.iter().zip(&inside).filter(|((_, _, t), inside)| **inside && t.is_finite()).count();
    let share = 1.0 - decays as f64 / inside.iter().filter(|inside| **inside).count().max(1) as f64;
    if share > MOST_FLAT {
        return Err(EchoError::NoDecay { share });
    }
    let cap = cap(fitted.iter().zip(&inside).filter(|(_, inside)| **inside).map(|((_, _, t2star), _)| *t2star));
    // Below it even the first echo would be nothing.
    let least = -times[0] / f64::EPSILON.ln();
    let t2star = |t: f64| if t > CAP * cap { cap } else { t.max(least) };
    let map = |value: &dyn Fn(&(usize, f64, f64)) -> f64| {
        let values = fitted.iter().zip(&inside).map(|(f, inside)| if *inside { value(f) as f32 } else { 0.0 });
        Array3::from_shape_vec(mask.dim(), values.collect()).unwrap_or_default()
    };
    let weights = (0..times.len())
        .map(|echo| {
            let weight = |(count, _, t): &(usize, f64, f64)| weight(times, (*count).max(2), t2star(*t), echo) as f32;
            Array3::from_shape_vec(mask.dim(), fitted.iter().map(weight).collect()).unwrap_or_default()
        })
        .collect();
    Ok(Decay {
        t2star: map(&|(_, _, t)| t2star(*t)),
        s0: map(&|(_, s0, _)| *s0),
        with_signal: map(&|(count, _, _)| *count as f64).mapv(|count| count as u8),
        weights,
    })
}

/// The combined series, in place of the first echo: each volume where it was scanned, with the weights of `decay` brought to
/// it. The shapes and times are those of [`fit_decay`].
///
/// # Errors
/// [`EchoError`] as there.
pub fn combine(
    mut first: Array4<f32>,
    others: &[ArrayView4<f32>],
    decay: &Decay,
    affine: Matrix4,
    motion: &MotionEstimate,
) -> Result<Array4<f32>, EchoError> {
    let (_, nz, ny, nx) = first.dim();
    let fits = others.len() + 1 == decay.weights.len() && others.iter().all(|other| other.dim() == first.dim());
    if !fits || decay.t2star.dim() != (nz, ny, nx) {
        return Err(EchoError::Shape);
    }
    let back: Vec<Matrix4> =
        maps(affine, motion)?.iter().map(invert_affine).collect::<Option<_>>().ok_or(EchoError::SingularGrid)?;
    // What an echo lacks the others make up for.
    let lit: Vec<Vec<bool>> = std::iter::once(first.view()).chain(others.iter().copied()).map(lit_volumes).collect();
    let samplers: Vec<Sampler> = decay.weights.iter().map(|weights| Sampler::new(weights.view())).collect();
    first.axis_iter_mut(Axis(0)).into_par_iter().zip(&back).enumerate().for_each(|(t, (mut volume, back))| {
        for ((k, j, i), value) in volume.indexed_iter_mut() {
            let at = apply(back, [i as f64, j as f64, k as f64]).map(|v| v as f32);
            let (mut sum, mut weights) = (0.0, 0.0);
            for (e, sampler) in samplers.iter().enumerate().filter(|(e, _)| lit[*e][t]) {
                let weight = sampler.clamped(at);
                sum += weight * if e == 0 { *value } else { others[e - 1][[t, k, j, i]] };
                weights += weight;
            }
            *value = if weights > 0.0 { sum / weights } else { *value };
        }
    });
    Ok(first)
}

/// Whether a volume shows anything.
fn is_lit(volume: &[f32]) -> bool {
    volume.first().is_some_and(|first| volume.iter().any(|v| v != first))
}

/// Which volumes of a series `(nt, nz, ny, nx)` show anything.
#[must_use]
pub fn lit_volumes(series: ArrayView4<f32>) -> Vec<bool> {
    let volume = |volume: ArrayView3<f32>| volume.first().is_some_and(|first| volume.iter().any(|v| v != first));
    series.outer_iter().collect::<Vec<_>>().into_par_iter().map(volume).collect()
}

fn check(echoes: &[ArrayView4<f32>], times: &[f64], mask: (usize, usize, usize)) -> Result<(), EchoError> {
    if echoes.len() < 2 || echoes.len() != times.len() {
        return Err(EchoError::Count { echoes: echoes.len(), times: times.len() });
    }
    if !times.iter().all(|t| t.is_finite() && *t > 0.0) || !times.is_sorted_by(|a, b| a < b) {
        return Err(EchoError::Times(times.to_vec()));
    }
    let (_, nz, ny, nx) = echoes[0].dim();
    if echoes.iter().any(|echo| echo.dim() != echoes[0].dim() || echo.is_empty()) || mask != (nz, ny, nx) {
        return Err(EchoError::Shape);
    }
    Ok(())
}

/// From voxels of the reference to those of each volume.
fn maps(affine: Matrix4, motion: &MotionEstimate) -> Result<Vec<Matrix4>, EchoError> {
    let to_voxel = invert_affine(&affine).ok_or(EchoError::SingularGrid)?;
    Ok(motion.matrices.iter().map(|m| compose(&to_voxel, &compose(m, &affine))).collect())
}

/// The mean of a series in the mask, as it was scanned; `None` where there is none.
fn mean_in(series: ArrayView4<f32>, mask: ArrayView3<u8>) -> Option<f64> {
    let volume = |volume: ArrayView3<f32>| -> f64 {
        volume.iter().zip(mask).filter(|(_, m)| **m > 0).map(|(v, _)| f64::from(v.abs())).sum()
    };
    let sums: Vec<f64> = series.outer_iter().collect::<Vec<_>>().into_par_iter().map(volume).collect();
    let count = mask.iter().filter(|m| **m > 0).count() * sums.len();
    let mean = sums.iter().sum::<f64>() / count.max(1) as f64;
    (mean.is_finite() && mean > 0.0).then_some(mean)
}

/// What one echo shows over time, each voxel in the order of the grid.
struct Seen {
    /// Mean of the aligned volumes.
    mean: Vec<f64>,
    /// Mean of the logarithms of their magnitudes.
    log: Vec<f64>,
}

impl Seen {
    /// Aligns volume after volume; the sums are in their order, whatever the number of threads.
    fn of(series: ArrayView4<f32>, maps: &[Matrix4], floor: f64, unusable: &[usize]) -> Self {
        let (_, nz, ny, nx) = series.dim();
        let series = series.as_standard_layout();
        let size = nz * ny * nx;
        let volumes: Vec<(&[f32], &Matrix4)> = series
            .as_slice()
            .unwrap_or_default()
            .chunks_exact(size.max(1))
            .zip(maps)
            .enumerate()
            .filter(|(t, (volume, _))| !unusable.contains(t) && is_lit(volume))
            .map(|(_, volume)| volume)
            .collect();
        let mut aligned: Vec<(SplineVolume, Vec<f32>)> =
            (0..rayon::current_num_threads()).map(|_| (SplineVolume::new([nz, ny, nx]), vec![0.0; size])).collect();
        let (mut mean, mut log) = (vec![0.0; size], vec![0.0; size]);
        for batch in volumes.chunks(aligned.len()) {
            aligned.par_iter_mut().zip(batch).for_each(|((spline, out), (volume, map))| {
                spline.interpolate(volume);
                spline.resample_into(map, out);
            });
            for (_, volume) in aligned.iter().take(batch.len()) {
                let sums = mean.par_iter_mut().zip(&mut log).with_min_len(4096);
                sums.zip(volume).for_each(|((mean, log), v): ((&mut f64, &mut f64), &f32)| {
                    *mean += f64::from(*v);
                    *log += (f64::from(v.abs()) + floor).ln();
                });
            }
        }
        let n = volumes.len().max(1) as f64;
        mean.iter_mut().chain(&mut log).for_each(|v| *v /= n);
        Self { mean, log }
    }
}

/// For each echo the mean above which it has signal: a third of what a voxel has whose first echo is at the 33 % quantile of the
/// brain. `None` where the brain holds nothing.
fn limits(seen: &[Seen], inside: &[bool]) -> Option<Vec<f64>> {
    let first = &seen.first()?.mean;
    let mut lit: Vec<usize> = (0..inside.len()).filter(|v| inside[*v] && first[*v] != 0.0).collect();
    let at = ((lit.len().checked_sub(1)? as f64) * TYPICAL).ceil() as usize;
    // Of voxels that are equally bright, the first in the grid.
    let (_, typical, _) = lit.select_nth_unstable_by(at, |a, b| first[*a].total_cmp(&first[*b]).then(a.cmp(b)));
    let typical = *typical;
    Some(seen.iter().map(|seen| SIGNAL * seen.mean[typical]).collect())
}

/// The line through the logarithms: the signal at time 0, and the rate of its decay per second.
fn line(times: &[f64], log: impl Fn(usize) -> f64) -> (f64, f64) {
    let n = times.len() as f64;
    let (mean_t, mean_y) = (times.iter().sum::<f64>() / n, (0..times.len()).map(&log).sum::<f64>() / n);
    let over: f64 = times.iter().map(|t| (t - mean_t).powi(2)).sum();
    let slope = times.iter().enumerate().map(|(e, t)| (t - mean_t) * (log(e) - mean_y)).sum::<f64>() / over;
    ((mean_y - slope * mean_t).exp(), -slope)
}

/// The 99.5 % quantile of what is finite; infinite where nothing is.
fn cap(t2star: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = t2star.filter(|t| t.is_finite()).collect();
    if values.is_empty() {
        return f64::INFINITY;
    }
    let at = ((values.len() - 1) as f64 * 0.995).round() as usize;
    *values.select_nth_unstable_by(at, f64::total_cmp).1
}

/// What an echo counts where the first `count` have signal.
fn weight(times: &[f64], count: usize, t2star: f64, echo: usize) -> f64 {
    let used = &times[..count.min(times.len())];
    // Against the first, so that nothing is lost below the smallest number.
    let raw = |t: f64| t * ((used[0] - t) / t2star).exp();
    if echo < used.len() { raw(used[echo]) / used.iter().map(|t| raw(*t)).sum::<f64>() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motion::estimate_motion;
    use crate::rigid::IDENTITY;

    const TIMES: [f64; 3] = [0.012, 0.028, 0.044];

    fn still(volumes: usize) -> MotionEstimate {
        MotionEstimate {
            parameters: vec![[0.0; 6]; volumes],
            matrices: vec![IDENTITY; volumes],
            centre: [0.0; 3],
            reference: 0,
            non_steady: 0,
            unaligned: Vec::new(),
            iterations: vec![0; volumes],
        }
    }

    /// T2* of a voxel, s, and its signal at time 0.
    fn truth(k: usize, j: usize, i: usize) -> (f64, f64) {
        (0.03 + 0.001 * (i + k) as f64, 9000.0 + 200.0 * j as f64)
    }

    fn echoes() -> Vec<Array4<f32>> {
        let signal =
            |t: usize, time: f64, (t2star, s0): (f64, f64)| s0 * (1.0 + 0.01 * t as f64) * (-time / t2star).exp();
        let of =
            |time: f64| Array4::from_shape_fn((4, 8, 9, 10), |(t, k, j, i)| signal(t, time, truth(k, j, i)) as f32);
        TIMES.map(of).into()
    }

    fn views(echoes: &[Array4<f32>]) -> Vec<ArrayView4<'_, f32>> {
        echoes.iter().map(|echo| echo.view()).collect()
    }

    #[test]
    fn the_decay_is_found_and_the_weights_are_posses() {
        let (echoes, mask) = (echoes(), Array3::ones((8, 9, 10)));
        let decay = fit_decay(&views(&echoes), &TIMES, IDENTITY, &still(4), mask.view()).unwrap();
        for ((k, j, i), t2star) in decay.t2star.indexed_iter() {
            let (true_t2star, _) = truth(k, j, i);
            assert!((f64::from(*t2star) / true_t2star - 1.0).abs() < 2e-3, "{t2star} for {true_t2star}");
            let weights: Vec<f64> = decay.weights.iter().map(|w| f64::from(w[[k, j, i]])).collect();
            assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-6);
            let ratio = TIMES[1] * (-TIMES[1] / true_t2star).exp() / (TIMES[0] * (-TIMES[0] / true_t2star).exp());
            assert!((weights[1] / weights[0] / ratio - 1.0).abs() < 5e-3, "{weights:?}");
        }
        assert!(decay.with_signal.iter().all(|n| *n == 3));
        let others = views(&echoes[1..]);
        let combined = combine(echoes[0].clone(), &others, &decay, IDENTITY, &still(4)).unwrap();
        let at = [2, 3, 4, 5];
        let expected: f32 = (0..3).map(|e| decay.weights[e][[3, 4, 5]] * echoes[e][at]).sum();
        assert!((combined[at] / expected - 1.0).abs() < 1e-6);
    }

    #[test]
    fn echoes_without_signal_have_no_part() {
        let (mut echoes, mut mask) = (echoes(), Array3::ones((8, 9, 10)));
        echoes[2].slice_mut(ndarray::s![.., 0, .., ..]).fill(20.0);
        mask.slice_mut(ndarray::s![7, .., ..]).fill(0);
        let decay = fit_decay(&views(&echoes), &TIMES, IDENTITY, &still(4), mask.view()).unwrap();
        assert!(decay.weights[2].index_axis(ndarray::Axis(0), 0).iter().all(|w| *w == 0.0));
        let (true_t2star, _) = truth(0, 4, 5);
        assert!((f64::from(decay.t2star[[0, 4, 5]]) / true_t2star - 1.0).abs() < 2e-3, "of the first two");
        assert_eq!((decay.t2star[[7, 0, 0]], decay.with_signal[[7, 0, 0]]), (0.0, 0));
        assert!(decay.weights[0][[7, 0, 0]] > 0.0, "outside the mask there are weights nevertheless");
    }

    #[test]
    fn a_signal_that_rises_is_refused_and_a_volume_that_is_lost_is_made_up_for() {
        let (mut echoes, mask) = (echoes(), Array3::ones((8, 9, 10)));
        let exchanged = [echoes[2].view(), echoes[1].view(), echoes[0].view()];
        let refused = fit_decay(&exchanged, &TIMES, IDENTITY, &still(4), mask.view()).unwrap_err();
        assert_eq!(refused, EchoError::NoDecay { share: 1.0 });
        let whole = fit_decay(&views(&echoes), &TIMES, IDENTITY, &still(4), mask.view()).unwrap();
        echoes[1].index_axis_mut(Axis(0), 2).fill(0.0);
        let decay = fit_decay(&views(&echoes), &TIMES, IDENTITY, &still(4), mask.view()).unwrap();
        assert!((decay.t2star[[3, 4, 5]] / whole.t2star[[3, 4, 5]] - 1.0).abs() < 0.03);
        let combined = combine(echoes[0].clone(), &views(&echoes[1..]), &decay, IDENTITY, &still(4)).unwrap();
        assert!((combined[[2, 3, 4, 5]] / combined[[1, 3, 4, 5]] - 1.0).abs() < 0.1, "no hole");
    }

    #[test]
    fn the_weights_follow_the_head() {
        // Two halves of different decay, and a head that moves by three voxels.
        let shape = (6, 20, 20, 20);
        let offset = |t: usize| if t > 2 { 3 } else { 0 };
        let tissue = |x: f64| if x < 10.0 { 0.02 } else { 0.05 };
        let shade = |k: usize, j: usize, x: f64| {
            2000.0 * (1.5 + (k as f64 * 0.7).sin() * (j as f64 * 0.6).cos() * (x * 0.5).sin())
        };
        let echo = |time: f64| {
            Array4::from_shape_fn(shape, |(t, k, j, i)| {
                let x = i as f64 - f64::from(offset(t));
                (shade(k, j, x) * (-time / tissue(x)).exp()) as f32
            })
        };
        let echoes: Vec<Array4<f32>> = TIMES.map(echo).into();
        let motion = estimate_motion(echoes[0].view(), IDENTITY).unwrap();
        let decay = fit_decay(&views(&echoes), &TIMES, IDENTITY, &motion, Array3::ones((20, 20, 20)).view()).unwrap();
        let combined = combine(echoes[0].clone(), &views(&echoes[1..]), &decay, IDENTITY, &motion).unwrap();
        // A voxel well inside a half, in a volume before and the same tissue in a volume after the movement.
        assert!((combined[[5, 10, 10, 8]] / combined[[1, 10, 10, 5]] - 1.0).abs() < 1e-2);
        assert!((combined[[5, 9, 11, 18]] / combined[[1, 9, 11, 15]] - 1.0).abs() < 1e-2);
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let (echoes, mask) = (echoes(), Array3::<u8>::ones((8, 9, 10)));
        let fit = |echoes: &[ArrayView4<f32>], times: &[f64], mask: &Array3<u8>| {
            fit_decay(echoes, times, IDENTITY, &still(4), mask.view()).unwrap_err()
        };
        let views = views(&echoes);
        assert!(matches!(fit(&views[..1], &TIMES[..1], &mask), EchoError::Count { .. }));
        assert!(matches!(fit(&views, &TIMES[..2], &mask), EchoError::Count { .. }));
        assert!(matches!(fit(&views, &[0.028, 0.012, 0.044], &mask), EchoError::Times(_)));
        assert!(matches!(fit(&views, &[f64::NAN, 0.012, 0.044], &mask), EchoError::Times(_)));
        assert_eq!(fit(&views, &TIMES, &Array3::ones((8, 9, 9))), EchoError::Shape);
        assert_eq!(fit(&views, &TIMES, &Array3::zeros((8, 9, 10))), EchoError::NoSignal);
    }
}
