//! Exponential, hyperbolic tangent and logarithm without branches, so that the processor does several at once.
//!
//! The ones of the C library are called for one value at a time; here whole volumes go through them. All are plain series
//! after taking off the power of two, exact to a few units in the last place of an `f32`.

use std::f32::consts::{LN_2, LOG2_E};

/// 1.5 · 2^23: adding it leaves the nearest integer in the lowest bits.
const ROUNDING: f32 = 12_582_912.0;

/// e to the power of `x`; of what is beyond ±80 the power of that.
#[inline]
#[must_use]
pub fn exp(x: f32) -> f32 {
    let x = x.clamp(-80.0, 80.0);
    let rounded = x * LOG2_E + ROUNDING;
    // Of ln 2 the upper bits, whose multiples are exact, and the rest.
    let (upper, lower) = (0.693_359_4_f32, LN_2_LESS_UPPER);
    let n = rounded - ROUNDING;
    let rest = x - n * upper - n * lower;
    let series = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    let power = series.iter().fold(1.0 / 5040.0, |sum, c| sum * rest + c);
    let exponent = (rounded.to_bits() << 23).wrapping_add(1.0_f32.to_bits());
    power * f32::from_bits(exponent)
}

/// ln 2 less its upper bits.
const LN_2_LESS_UPPER: f32 = -2.121_944_4e-4;

/// The hyperbolic tangent of `x`, to a few units in the last place of 1.
#[inline]
#[must_use]
pub fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

/// The natural logarithm of a positive, normal number; of others nothing that makes sense.
#[inline]
#[must_use]
pub fn ln(x: f32) -> f32 {
    // The power of two that brings x between 2/3 and 4/3.
    let above = x.to_bits().wrapping_sub((2.0_f32 / 3.0).to_bits()) as i32 >> 23;
    let near = f32::from_bits(x.to_bits().wrapping_sub((above as u32) << 23));
    // ln x = 2 artanh((x − 1) / (x + 1)).
    let s = (near - 1.0) / (near + 1.0);
    let square = s * s;
    let series = [1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0, 1.0];
    2.0 * s * series.iter().fold(1.0 / 9.0, |sum, c| sum * square + c) + above as f32 * LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_agree_with_the_library() {
        for i in -80_000..=80_000 {
            let x = i as f32 * 1e-3;
            let error = (f64::from(exp(x)) / f64::from(x).exp() - 1.0).abs();
            assert!(error < 4e-7, "exp {x}: {error}");
            let error = (f64::from(tanh(x)) - f64::from(x).tanh()).abs();
            assert!(error < 4e-7, "tanh {x}: {error}");
            let y = f64::from(x).exp() as f32;
            let error = (f64::from(ln(y)) - f64::from(y).ln()).abs();
            assert!(error < 4e-7 * f64::from(x).abs().max(1.0), "ln {y}: {error}");
        }
        assert_eq!((exp(0.0), ln(1.0)), (1.0, 0.0));
        assert!(exp(1e9).is_finite() && exp(-1e9) > 0.0);
    }
}
