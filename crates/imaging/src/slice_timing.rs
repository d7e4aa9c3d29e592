//! Slice timing: brings all slices of a series to one moment of the repetition time.
//!
//! A slice that was taken `d` repetitions after the wanted moment is sampled `d` volumes earlier, by a sinc of 16 volumes under a
//! Kaiser window: band-limited interpolation as in AFNI's 3dTshift, without its wrap from the last volume to the first. Beyond
//! its ends a course goes on turned about its end point, so that a slope goes on as a slope. Nothing is interpolated in space.

use ndarray::{ArrayView2, ArrayView4, ArrayViewMut2, ArrayViewMut4, Axis};
use rayon::prelude::*;

/// Volumes on each side that a value is made of.
const REACH: usize = 8;
/// The shape of the Kaiser window: signals up to 0.4 cycles per volume keep their size within 1e-3.
const KAISER: f64 = 5.0;
/// A shift, in volumes, that is none.
const NONE: f64 = 1e-6;

/// Why slices cannot be brought to one moment.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SliceTimingError {
    /// Another number of times than of slices.
    #[error("there are {times} slice times for {slices} slices")]
    Count {
        /// How many times.
        times: usize,
        /// How many slices.
        slices: usize,
    },
    /// A time is not within a repetition time, or the repetition time is none.
    #[error("the slice time {time} s is not between 0 and the repetition time of {repetition} s")]
    Time {
        /// The time, s.
        time: f64,
        /// The repetition time, s.
        repetition: f64,
    },
}

/// When the slices of a series were taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Slices<'a> {
    /// The axis of the array `(nt, nz, ny, nx)` along which they lie: 1, 2 or 3.
    pub axis: Axis,
    /// When each was taken after the volume began, s, in the order of the array.
    pub times: &'a [f64],
    /// Repetition time, s.
    pub repetition: f64,
}

impl Slices<'_> {
    /// The moment at a share of the acquisition: 0 its first slice, 0.5 its middle, 1 its last.
    #[must_use]
    pub fn moment(&self, share: f64) -> f64 {
        let (first, last) =
            self.times.iter().fold((f64::INFINITY, 0.0), |(a, b): (f64, f64), t| (a.min(*t), b.max(*t)));
        first + share * (last - first)
    }

    fn check(&self, series: ArrayView4<f32>) -> Result<(), SliceTimingError> {
        let slices = series.shape().get(self.axis.index()).copied().unwrap_or(0);
        if self.axis.index() == 0 || slices != self.times.len() {
            return Err(SliceTimingError::Count { times: self.times.len(), slices });
        }
        let repetition = self.repetition;
        let wrong = self.times.iter().find(|t| !(**t >= 0.0 && **t <= repetition && repetition.is_finite()));
        wrong.map_or(Ok(()), |time| Err(SliceTimingError::Time { time: *time, repetition }))
    }
}

/// Makes each volume of a series `(nt, nz, ny, nx)` show its slices as they were `moment` seconds after it began. The first
/// `skip` volumes, before the steady state, and those in `unusable` stay as they are and have no part in the others; courses
/// go straight from one side of the latter to the other. The same bytes at any number of threads.
///
/// # Errors
/// [`SliceTimingError`] where the times do not fit the series.
pub fn correct(
    mut series: ArrayViewMut4<f32>,
    slices: &Slices<'_>,
    moment: f64,
    skip: usize,
    unusable: &[usize],
) -> Result<(), SliceTimingError> {
    slices.check(series.view())?;
    let taps: Vec<[f32; TAPS]> = slices.times.iter().map(|time| taps((moment - time) / slices.repetition)).collect();
    let skip = skip.min(series.len_of(Axis(0)));
    let mut steady = series.slice_axis_mut(Axis(0), ndarray::Slice::from(skip..));
    let (nt, _, _, nx) = steady.dim();
    let good: Vec<usize> = (0..nt).filter(|t| !unusable.contains(&(t + skip))).collect();
    if good.len() < 2 {
        return Ok(());
    }
    let bridges: Vec<Bridge> = (0..nt).map(|t| Bridge::of(t, &good)).collect();
    let axis = slices.axis.index();
    steady.axis_iter_mut(Axis(1)).into_par_iter().enumerate().for_each_init(
        || (vec![0.0; nt * nx], vec![0.0; (nt + 2 * AROUND) * nx]),
        |(bridged, courses), (k, mut slab)| {
            for (j, mut row) in slab.axis_iter_mut(Axis(1)).enumerate() {
                bridges
                    .iter()
                    .zip(bridged.chunks_exact_mut(nx))
                    .for_each(|(bridge, line)| bridge.fill(row.view(), line));
                gather(bridged, nx, courses);
                let of = |i: usize| &taps[[k, j, i][axis - 1]];
                if axis == 3 {
                    filter(courses, &bridges, row.view_mut(), |n, i| of(i)[n]);
                } else {
                    let taps = of(0);
                    filter(courses, &bridges, row.view_mut(), |n, _| taps[n]);
                }
            }
        },
    );
    Ok(())
}

/// Volumes that lie within reach of a value that is shifted by one at most, on each side.
const AROUND: usize = REACH + 1;
const TAPS: usize = 2 * AROUND + 1;

/// What each volume around counts in a value that is taken `shift` volumes later, -1 to 1.
fn taps(shift: f64) -> [f32; TAPS] {
    let mut taps = [0.0; TAPS];
    if shift.abs() < NONE {
        taps[AROUND] = 1.0;
        return taps;
    }
    let raw: [f64; TAPS] = std::array::from_fn(|n| {
        let x = n as f64 - AROUND as f64 - shift;
        sinc(x) * kaiser(x / REACH as f64)
    });
    let sum: f64 = raw.iter().sum();
    taps.iter_mut().zip(raw).for_each(|(tap, w)| *tap = (w / sum) as f32);
    taps
}

/// What stands for a volume: itself, or the usable ones before and after it.
struct Bridge {
    before: usize,
    after: usize,
    /// How far it is on the way, 0 to 1.
    share: f32,
}

impl Bridge {
    fn of(t: usize, good: &[usize]) -> Self {
        let next = good.partition_point(|g| *g < t);
        let after = good.get(next).or(good.last()).copied().unwrap_or(t);
        let before = if after == t { t } else { good[next.max(1) - 1] };
        let share =
            if after > before { (t.clamp(before, after) - before) as f32 / (after - before) as f32 } else { 0.0 };
        Self { before, after, share }
    }

    /// Whether the volume itself is usable.
    fn is_itself(&self, t: usize) -> bool {
        (self.before, self.after) == (t, t)
    }

    fn fill(&self, row: ArrayView2<f32>, line: &mut [f32]) {
        let (before, after) = (row.row(self.before), row.row(self.after));
        line.iter_mut().zip(before.iter().zip(after)).for_each(|(v, (a, b))| {
            *v = if self.before == self.after { *a } else { a + self.share * (b - a) };
        });
    }
}

/// The courses of a row `(nt, nx)`, and how they go on beyond their ends: turned about the end points.
fn gather(row: &[f32], nx: usize, courses: &mut [f32]) {
    let line_at = |t: isize| &row[t as usize * nx..(t as usize + 1) * nx];
    let last = (row.len() / nx.max(1)) as isize - 1;
    for (at, line) in courses.chunks_exact_mut(nx).enumerate() {
        let t = at as isize - AROUND as isize;
        let end = t.clamp(0, last);
        // Of short runs the turned course ends, too.
        let turned = (2 * end - t).clamp(0, last);
        let (end, turned) = (line_at(end), line_at(turned));
        let inside = (0..=last).contains(&t);
        line.iter_mut()
            .zip(end.iter().zip(turned))
            .for_each(|(v, (e, turned))| *v = if inside { *e } else { 2.0 * e - turned });
    }
}

fn filter(courses: &[f32], bridges: &[Bridge], mut row: ArrayViewMut2<f32>, tap: impl Fn(usize, usize) -> f32) {
    let nx = row.len_of(Axis(1));
    let mut sums = vec![0.0_f32; nx];
    for (t, mut out) in row.outer_iter_mut().enumerate().filter(|(t, _)| bridges[*t].is_itself(*t)) {
        sums.fill(0.0);
        for (n, line) in courses[t * nx..].chunks_exact(nx).take(TAPS).enumerate() {
            sums.iter_mut().zip(line).enumerate().for_each(|(i, (sum, v))| *sum += tap(n, i) * v);
        }
        out.iter_mut().zip(&sums).for_each(|(v, sum)| *v = *sum);
    }
}

fn sinc(x: f64) -> f64 {
    let x = std::f64::consts::PI * x;
    if x.abs() < 1e-12 { 1.0 } else { x.sin() / x }
}

/// The Kaiser window at a share of its half width.
fn kaiser(x: f64) -> f64 {
    if x.abs() > 1.0 { 0.0 } else { bessel(KAISER * (1.0 - x * x).sqrt()) / bessel(KAISER) }
}

/// The modified Bessel function of the first kind of order 0.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for n in 1..40 {
        term *= (x / (2.0 * f64::from(n))).powi(2);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array4;

    const TR: f64 = 2.0;

    /// Interleaved: even slices first.
    fn times(n: usize) -> Vec<f64> {
        let order: Vec<usize> = (0..n).step_by(2).chain((1..n).step_by(2)).collect();
        (0..n).map(|k| order.iter().position(|o| *o == k).unwrap() as f64 * TR / n as f64).collect()
    }

    /// Slow waves and a drift, each voxel with its own phase.
    fn signal(t: f64, k: usize, i: usize) -> f64 {
        let wave = |hz: f64, phase: f64| (2.0 * std::f64::consts::PI * (hz * t + phase)).sin();
        1000.0 + 0.5 * t + 10.0 * wave(0.03, i as f64 / 7.0) + 10.0 * wave(0.095, k as f64 / 5.0)
    }

    /// Root mean square of what is left, as a share of the amplitude of the waves, without so many volumes at each end.
    fn residual(axis: usize, reference: f64, skip: usize, ends: usize) -> f64 {
        let (n, nt) = (9, 120);
        let times = times(n);
        let slice = |at: [usize; 3]| at[axis - 1];
        let taken = |t: usize, at: [usize; 3]| t as f64 * TR + times[slice(at)];
        let mut series = Array4::from_shape_fn((nt, n, n, n), |(t, k, j, i)| {
            let settling = if t < skip { 500.0 } else { 0.0 };
            (signal(taken(t, [k, j, i]), k, i) + settling) as f32
        });
        let slices = Slices { axis: Axis(axis), times: &times, repetition: TR };
        let moment = slices.moment(reference);
        correct(series.view_mut(), &slices, moment, skip, &[]).unwrap();
        let (mut sum, mut count) = (0.0, 0.0);
        for ((t, k, _, i), v) in series.indexed_iter().filter(|((t, ..), _)| (skip + ends..nt - ends).contains(t)) {
            sum += (f64::from(*v) - signal(t as f64 * TR + moment, k, i)).powi(2);
            count += 1.0;
        }
        (sum / count).sqrt() / 10.0
    }

    #[test]
    fn slow_signals_come_out_as_they_were_at_the_moment() {
        for axis in 1..=3 {
            for reference in [0.0, 0.5, 1.0] {
                let left = residual(axis, reference, 0, 2);
                assert!(left < 0.005, "axis {axis}, moment {reference}: {left}");
            }
            // What was before the first volume, and after the last, nobody knows.
            assert!(residual(axis, 0.5, 0, 0) < 0.02);
        }
        assert!(residual(1, 0.5, 3, 2) < 0.005, "what comes before the steady state does not spill");
    }

    #[test]
    fn without_a_shift_and_without_change_nothing_happens() {
        let same = Array4::from_shape_fn((6, 3, 2, 2), |(t, k, ..)| (t * 7 + k) as f32);
        let mut series = same.clone();
        correct(series.view_mut(), &Slices { axis: Axis(1), times: &[0.5; 3], repetition: TR }, 0.5, 0, &[]).unwrap();
        assert_eq!(series, same);
        let mut constant = Array4::from_elem((6, 3, 2, 2), 5.0);
        correct(constant.view_mut(), &Slices { axis: Axis(1), times: &[0.0, 0.7, 1.9], repetition: TR }, 1.0, 0, &[])
            .unwrap();
        assert!(constant.iter().all(|v| (v - 5.0_f32).abs() < 1e-5));
    }

    #[test]
    fn a_volume_that_is_lost_takes_nothing_from_its_neighbours() {
        let mut series = Array4::from_shape_fn((30, 3, 2, 2), |(t, ..)| 1000.0 + 3.0 * t as f32);
        series.index_axis_mut(Axis(0), 9).fill(0.0);
        series.index_axis_mut(Axis(0), 0).fill(0.0);
        let slices = Slices { axis: Axis(1), times: &[0.0, 0.7, 1.9], repetition: TR };
        correct(series.view_mut(), &slices, 1.0, 0, &[0, 9]).unwrap();
        for ((t, k, ..), v) in series.indexed_iter() {
            let there = 1000.0 + 3.0 * (t as f32 + (1.0 - [0.0, 0.7, 1.9][k]) / 2.0);
            let expected = if t == 0 || t == 9 { 0.0 } else { there };
            assert!((v - expected).abs() < 1.5, "volume {t}: {v} for {expected}");
        }
    }

    #[test]
    fn times_that_do_not_fit_are_refused() {
        let refused = |times: &[f64], repetition: f64| {
            let mut series = Array4::zeros((6, 3, 2, 2));
            correct(series.view_mut(), &Slices { axis: Axis(1), times, repetition }, 0.0, 0, &[]).unwrap_err()
        };
        assert_eq!(refused(&[0.0; 2], TR), SliceTimingError::Count { times: 2, slices: 3 });
        assert!(matches!(refused(&[0.0, 2.5, 1.0], TR), SliceTimingError::Time { .. }));
        assert!(matches!(refused(&[0.0, f64::NAN, 1.0], TR), SliceTimingError::Time { .. }));
        assert!(matches!(refused(&[0.0, 0.5, 1.0], f64::NAN), SliceTimingError::Time { .. }));
    }
}
