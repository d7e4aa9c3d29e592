//! Small dense algebra for registration: symmetric systems, and what a 3×3 matrix does to lengths.
//!
//! Only the four operations and square roots, which every processor rounds alike: the mathematical library's functions
//! may differ in the last place from one processor to another, and a search could end elsewhere.

use crate::rigid::Matrix4;

/// Solves `a·x = b` for a symmetric positive definite `a` (only its lower half is read) by Cholesky's method; `None` where
/// it is not positive definite.
#[must_use]
pub fn solve<const N: usize>(a: &[[f64; N]; N], b: [f64; N]) -> Option<[f64; N]> {
    let x = crate::linear::solve(&crate::linear::cholesky(a)?, b);
    x.iter().all(|v| v.is_finite()).then_some(x)
}

/// The 3×3 part of an affine matrix.
#[must_use]
pub fn linear_part(m: &Matrix4) -> [[f64; 3]; 3] {
    std::array::from_fn(|r| std::array::from_fn(|c| m[r][c]))
}

/// The determinant of the 3×3 part.
#[must_use]
pub fn determinant(m: &Matrix4) -> f64 {
    let cofactor = |a: usize, b: usize| m[1][a] * m[2][b] - m[1][b] * m[2][a];
    m[0][0] * cofactor(1, 2) - m[0][1] * cofactor(0, 2) + m[0][2] * cofactor(0, 1)
}

/// The squares of the largest and of the smallest stretch of the 3×3 part: the extreme eigenvalues of `mᵀ·m`, by Jacobi
/// rotations.
#[must_use]
pub fn squared_stretches(m: &Matrix4) -> [f64; 2] {
    let mut s: [[f64; 3]; 3] =
        std::array::from_fn(|r| std::array::from_fn(|c| (0..3).map(|k| m[k][r] * m[k][c]).sum()));
    for sweep in 0..30 {
        let (p, q) = [(0, 1), (0, 2), (1, 2)][sweep % 3];
        if s[p][q] == 0.0 {
            continue;
        }
        let ratio = (s[q][q] - s[p][p]) / (2.0 * s[p][q]);
        let tangent = ratio.signum() / (ratio.abs() + (ratio * ratio + 1.0).sqrt());
        let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
        let sine = tangent * cosine;
        for row in &mut s {
            let (a, b) = (row[p], row[q]);
            (row[p], row[q]) = (cosine * a - sine * b, sine * a + cosine * b);
        }
        let (a, b) = (s[p], s[q]);
        for c in 0..3 {
            (s[p][c], s[q][c]) = (cosine * a[c] - sine * b[c], sine * a[c] + cosine * b[c]);
        }
    }
    let d = [s[0][0], s[1][1], s[2][2]];
    [d.iter().copied().fold(0.0, f64::max), d.iter().copied().fold(f64::INFINITY, f64::min)]
}

/// The natural logarithm of a positive number (0 counts as the smallest): the series of the inverse hyperbolic tangent
/// after taking off powers of two.
#[must_use]
pub fn ln(x: f64) -> f64 {
    let (mut x, mut twos) = (x.max(f64::MIN_POSITIVE), 0.0);
    while x > 1.5 {
        x *= 0.5;
        twos += 1.0;
    }
    while x < 0.75 {
        x *= 2.0;
        twos -= 1.0;
    }
    let s = (x - 1.0) / (x + 1.0);
    let series = (0..12).rev().fold(0.0, |sum, n| sum * s * s + 1.0 / f64::from(2 * n + 1));
    2.0 * s * series + twos * std::f64::consts::LN_2
}

/// The cube root of a positive number, by Newton's method; of others 0.
#[must_use]
pub fn cube_root(x: f64) -> f64 {
    if !(x > 0.0 && x.is_finite()) {
        return 0.0;
    }
    (0..200).fold(x.max(1.0), |root, _| (2.0 * root + x / (root * root)) / 3.0)
}

/// The rotation by the vector `w` (direction: axis; length: angle in radians, right for small angles and a rotation for any):
/// Cayley's map, which needs no sine.
#[must_use]
pub fn rotation(w: [f64; 3]) -> [[f64; 3]; 3] {
    let [x, y, z] = w.map(|v| 0.5 * v);
    let h = [[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]];
    let scale = 2.0 / (1.0 + x * x + y * y + z * z);
    std::array::from_fn(|r| {
        std::array::from_fn(|c| {
            let square: f64 = (0..3).map(|k| h[r][k] * h[k][c]).sum();
            f64::from(u8::from(r == c)) + scale * (h[r][c] + square)
        })
    })
}

/// `a·b` of 3×3 matrices.
#[must_use]
pub fn product(a: &[[f64; 3]; 3], b: &[[f64; 3]; 3]) -> [[f64; 3]; 3] {
    std::array::from_fn(|r| std::array::from_fn(|c| (0..3).map(|k| a[r][k] * b[k][c]).sum()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rigid::from_parameters;

    #[test]
    fn a_symmetric_system_is_solved_and_an_indefinite_one_refused() {
        let a = [[4.0, 9.0, 9.0], [1.0, 3.0, 9.0], [0.5, -1.0, 2.0]];
        let x = solve(&a, [1.0, 2.0, 3.0]).unwrap();
        let full = [[4.0, 1.0, 0.5], [1.0, 3.0, -1.0], [0.5, -1.0, 2.0]];
        for (row, b) in full.iter().zip([1.0, 2.0, 3.0]) {
            assert!((row.iter().zip(x).map(|(a, x)| a * x).sum::<f64>() - b).abs() < 1e-12);
        }
        assert_eq!(solve(&[[1.0, 0.0], [2.0, 1.0]], [1.0, 1.0]), None);
    }

    #[test]
    fn stretches_and_determinant_of_a_turned_scaling() {
        let turn = from_parameters(&[0.0, 0.0, 0.0, 0.3, -0.7, 1.1], [0.0; 3]);
        let scale = [[2.0, 0.0, 0.0, 0.0], [0.0, 0.5, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        let m = crate::rigid::compose(&turn, &scale);
        let [large, small] = squared_stretches(&m);
        assert!((large - 9.0).abs() < 1e-9 && (small - 0.25).abs() < 1e-9, "{large} {small}");
        assert!((determinant(&m) - 3.0).abs() < 1e-12);
    }

    #[test]
    fn logarithm_and_rotation_agree_with_the_library() {
        for x in [1e-9, 0.3, 0.74, 0.76, 1.0, 1.49, 1.51, 7.0, 1e6] {
            assert!((ln(x) - x.ln()).abs() < 1e-11 * (1.0 + x.ln().abs()), "{x}");
            assert!((cube_root(x) / x.cbrt() - 1.0).abs() < 1e-12, "{x}");
        }
        let r = rotation([0.02, -0.03, 0.01]);
        let unit = product(&r, &std::array::from_fn(|a| std::array::from_fn(|b| r[b][a])));
        for (a, row) in unit.iter().enumerate() {
            row.iter().enumerate().for_each(|(b, v)| assert!((v - f64::from(u8::from(a == b))).abs() < 1e-12));
        }
        assert!((r[2][1] - 0.02).abs() < 1e-3 && (r[0][2] + 0.03).abs() < 1e-3 && (r[1][0] - 0.01).abs() < 1e-3);
    }
}
