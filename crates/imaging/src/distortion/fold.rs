//! What a slope of the shift costs: hardly anything at first, more than any image could give where signal would fold over.
//!
//! The barrier is that of Ruthotto L. et al., "Diffeomorphic susceptibility artifact correction of diffusion-weighted magnetic
//! resonance images" (HySCO), Phys. Med. Biol. 57(18), 2012, doi:10.1088/0031-9155/57/18/5715: v⁴/(1 − v²). It has no value
//! beyond 1, where a start that comes from a coarser grid may lie; so it goes on as a parabola before that, and such a start
//! finds back.

/// Slope from which the barrier is a parabola.
const FROM: f32 = 0.9;

fn barrier(v: f32) -> [f32; 3] {
    let (square, rest) = (v * v, 1.0 - v * v);
    let value = square * square / rest;
    let slope = (4.0 * v * square * rest + 2.0 * v * square * square) / (rest * rest);
    let bend = 12.0 * square / rest
        + 18.0 * square * square / (rest * rest)
        + 8.0 * square * square * square / (rest * rest * rest);
    [value, slope, bend]
}

/// The cost of a slope, its derivative, and the derivative of that.
#[inline]
pub(super) fn cost(v: f32) -> [f32; 3] {
    let size = v.abs();
    if size < FROM {
        return barrier(v);
    }
    let ([value, slope, bend], beyond) = (barrier(FROM), size - FROM);
    [value + slope * beyond + 0.5 * bend * beyond * beyond, (slope + bend * beyond).copysign(v), bend]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_those_of_the_cost_on_both_sides_of_the_seam() {
        for v in [-1.7_f32, -0.95, -0.6, -0.1, 0.0, 0.3, 0.85, 0.92, 2.0] {
            let h = 1e-2;
            let ([low, ..], [high, ..], [at, slope, bend]) = (cost(v - h), cost(v + h), cost(v));
            let tolerance = 0.05 * bend.max(1.0);
            assert!(((high - low) / (2.0 * h) - slope).abs() < tolerance, "{v}: {slope}");
            assert!(at >= 0.0 && ((high + low - 2.0 * at) / (h * h) - bend).abs() < 0.2 * bend.max(1.0), "{v}: {bend}");
        }
        assert!(cost(0.2)[0] < 2e-3 && cost(1.0)[0] > 4.0);
    }
}
