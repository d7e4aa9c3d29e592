//! How a head moves during a run: slow drift, breathing, an occasional nod, now and then a lasting shift.

use super::random::{Stream, stream};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

/// How much a person moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MotionLevel {
    /// A head that does not move at all.
    Still,
    /// A trained volunteer: mean framewise displacement below 0.1 mm.
    Low,
    /// A usual participant: about 0.2 mm.
    Typical,
    /// A restless one: about 0.5 mm and more.
    High,
}

impl MotionLevel {
    /// The name in the participants table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Still => "still",
            Self::Low => "low",
            Self::Typical => "typical",
            Self::High => "high",
        }
    }

    const fn amplitude(self) -> f64 {
        match self {
            Self::Still => 0.0,
            Self::Low => 0.35,
            Self::Typical => 1.0,
            Self::High => 2.6,
        }
    }
}

/// One degree, in radians.
const DEGREE: f64 = std::f64::consts::PI / 180.0;
/// Standard deviation of the steps of the drift, of a nod, and of a lasting shift: mm and radians.
const DRIFT: [f64; 6] = [0.016, 0.02, 0.035, 0.03 * DEGREE, 0.016 * DEGREE, 0.016 * DEGREE];
const NOD: [f64; 6] = [0.15, 0.3, 0.5, 0.5 * DEGREE, 0.25 * DEGREE, 0.3 * DEGREE];
const SHIFT: [f64; 6] = [0.12, 0.2, 0.3, 0.3 * DEGREE, 0.2 * DEGREE, 0.2 * DEGREE];
/// Breathing moves the head along the body and nods it a little.
const BREATH: [f64; 6] = [0.0, 0.01, 0.03, 0.025 * DEGREE, 0.0, 0.0];
/// Seconds per breath.
const BREATH_SECONDS: f64 = 4.1;

/// `[tx, ty, tz, rx, ry, rz]` (mm, radians) of every volume; those of volume 0 are zero.
pub(super) fn parameters(scan: u64, volumes: usize, tr_seconds: f64, level: MotionLevel) -> Vec<[f64; 6]> {
    let mut rng = stream(scan, Stream::Motion, 0);
    let mut track = vec![[0.0; 6]; volumes];
    let mut at = [0.0; 6];
    for (volume, out) in track.iter_mut().enumerate() {
        let breath = (std::f64::consts::TAU * volume as f64 * tr_seconds / BREATH_SECONDS).sin();
        for a in 0..6 {
            let step: f64 = StandardNormal.sample(&mut rng);
            // A pull back to the middle keeps a long run within the coil.
            at[a] = 0.992 * at[a] + DRIFT[a] * step;
            out[a] = at[a] + BREATH[a] * breath;
        }
    }
    let draw = |rng: &mut _, size: [f64; 6]| -> [f64; 6] {
        size.map(|s| s * <StandardNormal as Distribution<f64>>::sample(&StandardNormal, rng))
    };
    // One nod a minute of 2 s volumes, and a lasting shift or two; a run of a few volumes has none.
    for _ in 0..volumes.div_ceil(40).min(volumes / 10) {
        let (first, length) = (rng.random_range(2..volumes), rng.random_range(1..3));
        let nod = draw(&mut rng, NOD);
        add(track.iter_mut().skip(first).take(length), nod);
    }
    for _ in 0..(volumes / 15).min(2) {
        let first = rng.random_range(volumes / 5..volumes);
        let shift = draw(&mut rng, SHIFT);
        add(track.iter_mut().skip(first), shift);
    }
    let start = track.first().copied().unwrap_or_default();
    for p in &mut track {
        for a in 0..6 {
            p[a] = level.amplitude() * (p[a] - start[a]);
        }
    }
    track
}

/// Where the head is `at` volumes after the start of a run: straight from one volume's parameters to the next, and still
/// after the last.
pub(super) fn between(track: &[[f64; 6]], at: f64) -> [f64; 6] {
    let at = at.max(0.0);
    let last = track.len().saturating_sub(1);
    let (before, after) = ((at as usize).min(last), (at as usize + 1).min(last));
    let (Some(a), Some(b)) = (track.get(before), track.get(after)) else { return [0.0; 6] };
    let part = at - at.floor();
    std::array::from_fn(|n| a[n] + part * (b[n] - a[n]))
}

fn add<'a>(volumes: impl Iterator<Item = &'a mut [f64; 6]>, by: [f64; 6]) {
    for p in volumes {
        for a in 0..6 {
            p[a] += by[a];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean framewise displacement (Power 2012): sum of absolute changes, rotations on a 50 mm sphere.
    fn displacement(level: MotionLevel) -> f64 {
        let mut sum = 0.0;
        for scan in 0..20 {
            let track = parameters(scan, 100, 2.0, level);
            let step = |w: &[[f64; 6]]| {
                (0..6).map(|a| (w[1][a] - w[0][a]).abs() * if a < 3 { 1.0 } else { 50.0 }).sum::<f64>()
            };
            sum += track.windows(2).map(step).sum::<f64>() / 99.0 / 20.0;
        }
        sum
    }

    #[test]
    fn levels_move_as_their_description_says() {
        assert!(displacement(MotionLevel::Low) < 0.1, "{}", displacement(MotionLevel::Low));
        let typical = displacement(MotionLevel::Typical);
        assert!((0.12..0.3).contains(&typical), "{typical}");
        assert!(displacement(MotionLevel::High) > 0.4);
    }

    #[test]
    fn between_volumes_the_head_goes_straight() {
        let track = [[0.0; 6], [1.0; 6], [3.0; 6]];
        let at = |volumes| between(&track, volumes)[4];
        assert_eq!(
            [at(-1.0), at(0.0), at(0.5), at(1.0), at(1.75), at(2.0), at(9.0)],
            [0.0, 0.0, 0.5, 1.0, 2.5, 3.0, 3.0]
        );
        assert_eq!(between(&[], 1.0), [0.0; 6]);
    }

    #[test]
    fn short_runs_start_at_zero() {
        for volumes in [0, 1, 2, 5] {
            let track = parameters(4, volumes, 2.0, MotionLevel::High);
            assert_eq!(track.len(), volumes);
            assert!(track.first().is_none_or(|p| *p == [0.0; 6]));
        }
    }
}
