//! Phase images as scanners store them, in radians.

use std::f32::consts::{PI, TAU};

use ndarray::{Array3, ArrayView3, Zip};

use super::DistortionError;
use super::error::same_shape;
use super::unwrap::wrap;

/// Numbers that stand for half a turn in files with both signs: radians, degrees, thousandths of a radian, and integers of
/// 8 to 16 bits.
const HALF_TURNS: [f32; 12] =
    [PI, 180.0, 1000.0 * PI, 128.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0, 32768.0, 256.0];
/// How far the range of a file may fall short of such a number: noise outside the head fills it.
const SHORT: f32 = 0.97;
/// How far it may go beyond.
const BEYOND: f32 = 1.002;

/// How the values of a phase file were read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PhaseScale {
    /// The value that is 0 rad.
    pub zero: f32,
    /// What half a turn adds.
    pub half_turn: f32,
    /// Whether the range is one that is known (radians, degrees, integers of so many bits); else the lowest and highest
    /// value of the file were taken for −π and π, which is worth a warning.
    pub known: bool,
}

/// The phase in radians, by the file's own range, with how it was read.
///
/// −4096…4094 is divided by 4096 and multiplied by π; 0…4095 likewise with 2048 for 0 and for half a turn; radians (either
/// −π…π or 0…2π) stay as they are. What is not finite stays so.
///
/// # Errors
/// [`DistortionError::FlatPhase`] where all finite values are equal, or there are none.
pub fn phase_in_radians(raw: ArrayView3<f32>) -> Result<(Array3<f32>, PhaseScale), DistortionError> {
    let finite = || raw.iter().copied().filter(|v| v.is_finite());
    let (low, high) = finite().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if high <= low || !(high - low).is_finite() {
        return Err(DistortionError::FlatPhase);
    }
    let scale = scale_of(low, high);
    let factor = PI / scale.half_turn;
    Ok((raw.as_standard_layout().mapv(|v| (v - scale.zero) * factor), scale))
}

fn scale_of(low: f32, high: f32) -> PhaseScale {
    let fits = |reach: f32, full: f32| reach > SHORT * full && reach <= BEYOND * full;
    if low < 0.0 {
        let reach = high.max(-low);
        if let Some(half) = HALF_TURNS.into_iter().find(|half| fits(reach, *half)) {
            return PhaseScale { zero: 0.0, half_turn: half, known: true };
        }
    } else if let Some(half) = HALF_TURNS.into_iter().find(|half| fits(high, 2.0 * half)) {
        // Angles from 0 are angles still; of integers from 0 the middle is 0 rad.
        let angle = half == PI || half == 180.0 || half == 1000.0 * PI;
        return PhaseScale { zero: if angle { 0.0 } else { half }, half_turn: half, known: true };
    }
    // Numbers within half a turn of radians that do not fill it: a phase that was already worked on.
    if low >= -BEYOND * PI && high <= BEYOND * PI && low < 0.0 && low.fract() != 0.0 {
        return PhaseScale { zero: 0.0, half_turn: PI, known: true };
    }
    PhaseScale { zero: low + (high - low) / 2.0, half_turn: (high - low) / 2.0, known: false }
}

/// The wrapped difference `second − first` of the phases of two echoes, in radians, −π to π.
///
/// # Errors
/// [`DistortionError::Shape`] where shapes differ.
pub fn phase_difference(first: ArrayView3<f32>, second: ArrayView3<f32>) -> Result<Array3<f32>, DistortionError> {
    same_shape("phase of the second echo", first.dim(), &second)?;
    Ok(Zip::from(first).and(second).map_collect(|a, b| wrap(wrap(*b) - wrap(*a))))
}

/// What a radian of phase is in Hz for echoes this far apart.
pub(super) fn hz_per_radian(echo_difference_s: f64) -> f32 {
    (1.0 / (f64::from(TAU) * echo_difference_s)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[f32]) -> (Vec<f32>, PhaseScale) {
        let raw = Array3::from_shape_vec((1, 1, values.len()), values.to_vec()).unwrap();
        let (out, scale) = phase_in_radians(raw.view()).unwrap();
        (out.into_iter().collect(), scale)
    }

    #[test]
    fn the_own_range_says_what_half_a_turn_is() {
        for (values, expected) in [
            ([-4096.0, 0.0, 2048.0, 4094.0], [-PI, 0.0, PI / 2.0, PI * 4094.0 / 4096.0]),
            ([0.0, 2048.0, 3072.0, 4095.0], [-PI, 0.0, PI / 2.0, PI * 2047.0 / 2048.0]),
            ([-3.13, 0.0, 1.5, 3.12], [-3.13, 0.0, 1.5, 3.12]),
            ([0.0, 1.0, 5.0, 6.25], [0.0, 1.0, 5.0, 6.25]),
            ([-3130.0, 0.0, 1000.0, 3120.0], [-3.13, 0.0, 1.0, 3.12]),
            ([-180.0, 0.0, 90.0, 179.0], [-PI, 0.0, PI / 2.0, 179.0 / 180.0 * PI]),
        ] {
            let (found, scale) = read(&values);
            assert!(
                scale.known && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3),
                "{values:?} {found:?}"
            );
        }
        let (found, scale) = read(&[-300.0, 0.0, 300.0]);
        assert!(!scale.known && (found[2] - PI).abs() < 1e-5);
    }

    #[test]
    fn a_flat_phase_is_refused_and_gaps_stay() {
        for flat in [vec![1.0; 4], vec![f32::NAN; 4], Vec::new()] {
            let raw = Array3::from_shape_vec((1, 1, flat.len()), flat).unwrap();
            assert_eq!(phase_in_radians(raw.view()).unwrap_err(), DistortionError::FlatPhase);
        }
        assert!(read(&[-4096.0, f32::NAN, 4094.0]).0[1].is_nan());
    }

    #[test]
    fn a_difference_is_wrapped() {
        let one = |v: f32| Array3::from_elem((1, 1, 1), v);
        let difference = |a: f32, b: f32| phase_difference(one(a).view(), one(b).view()).unwrap()[[0, 0, 0]];
        assert!((difference(3.0, -3.0) - (TAU - 6.0)).abs() < 1e-5);
        assert!((difference(-3.0, 3.0) + (TAU - 6.0)).abs() < 1e-5);
        assert!((hz_per_radian(0.00246) * TAU - 406.5).abs() < 0.1);
    }
}
