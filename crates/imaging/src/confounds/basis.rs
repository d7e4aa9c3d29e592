//! Slow courses that are taken out of a time series: cosines below a frequency, or a parabola.

use std::f64::consts::PI;

/// The longest period that stays in the signal, s (fMRIPrep's).
const CUT_OFF_S: f64 = 128.0;

/// The discrete cosines (DCT-II) with periods of 128 s and more over `volumes` volumes, without the constant: orthogonal
/// columns of length 1, slowest first. None where the run is too short to hold one.
///
/// As nipype's `cosine_filter`, with which fMRIPrep filters: ⌊2·volumes·`tr_seconds`/128⌋ − 1 columns. (nilearn's
/// `create_cosine_drift` has the same columns and one more.)
#[must_use]
pub fn cosines(volumes: usize, tr_seconds: f64) -> Vec<Vec<f64>> {
    let n = volumes as f64;
    let order = (2.0 * n * tr_seconds / CUT_OFF_S).floor();
    // Of a time that is no number, or of as many columns as volumes, nothing sensible is left.
    let columns = if order.is_finite() { (order as usize).min(volumes).saturating_sub(1) } else { 0 };
    let scale = (2.0 / n).sqrt();
    let column = |k: usize| (0..volumes).map(|t| scale * (PI / n * (t as f64 + 0.5) * k as f64).cos()).collect();
    (1..=columns).map(column).collect()
}

/// Columns that span the polynomials up to the square over `volumes` volumes, orthogonal and of length 1.
pub(super) fn parabola(volumes: usize) -> Vec<Vec<f64>> {
    let at = |t: usize| (2 * t) as f64 / volumes.saturating_sub(1).max(1) as f64 - 1.0;
    orthonormal((0..3).map(|power| (0..volumes).map(|t| at(t).powi(power)).collect()))
}

/// The constant column of length 1, and these.
pub(super) fn with_constant(columns: &[Vec<f64>], volumes: usize) -> Vec<Vec<f64>> {
    orthonormal(std::iter::once(vec![1.0; volumes]).chain(columns.iter().cloned()))
}

/// Orthogonal columns of length 1 that span the same space (Gram–Schmidt); what adds nothing is left out.
fn orthonormal(columns: impl Iterator<Item = Vec<f64>>) -> Vec<Vec<f64>> {
    let mut basis: Vec<Vec<f64>> = Vec::new();
    for mut column in columns {
        let before = norm(&column);
        // The second time takes out what rounding left the first time.
        for _ in 0..2 {
            subtract_fit(&mut column, &basis);
        }
        let length = norm(&column);
        if length > 1e-10 * before {
            column.iter_mut().for_each(|v| *v /= length);
            basis.push(column);
        }
    }
    basis
}

/// Takes the least-squares fit of an orthonormal basis out of a course of as many volumes.
pub(super) fn subtract_fit(course: &mut [f64], basis: &[Vec<f64>]) {
    for column in basis {
        let share = course.iter().zip(column).map(|(a, b)| a * b).sum::<f64>();
        course.iter_mut().zip(column).for_each(|(v, b)| *v -= share * b);
    }
}

fn norm(column: &[f64]) -> f64 {
    column.iter().map(|v| v * v).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn cosines_are_as_many_as_the_length_allows_and_orthonormal() {
        // 2 · 200 · 2 / 128 = 6.25.
        let found = cosines(200, 2.0);
        assert_eq!(found.len(), 5);
        assert!((found[0][0] - 0.1 * (PI / 400.0).cos()).abs() < 1e-15);
        for (a, one) in found.iter().enumerate() {
            assert!(dot(one, &[1.0; 200]).abs() < 1e-12);
            for (b, other) in found.iter().enumerate() {
                assert!((dot(one, other) - f64::from(u8::from(a == b))).abs() < 1e-12);
            }
        }
        for (volumes, tr) in [(60, 2.0), (0, 2.0), (1, 500.0), (10, f64::NAN), (10, f64::INFINITY), (10, -1.0)] {
            assert_eq!(cosines(volumes, tr).len(), 0, "{volumes} {tr}");
        }
        // Never as many as would leave nothing.
        assert_eq!(cosines(10, 1000.0).len(), 9);
    }

    #[test]
    fn a_parabola_is_taken_out_whole() {
        let mut course: Vec<f64> = (0..30).map(|t| 3.0 - 2.0 * f64::from(t) + 0.7 * f64::from(t * t)).collect();
        let basis = parabola(30);
        assert_eq!(basis.len(), 3);
        subtract_fit(&mut course, &basis);
        assert!(norm(&course) < 1e-9, "{course:?}");
        // Of two volumes a line is all there can be.
        assert_eq!((parabola(2).len(), parabola(1).len(), parabola(0).len()), (2, 1, 0));
    }
}
