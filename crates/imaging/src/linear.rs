//! Small symmetric systems of equations, by Cholesky's method: the least squares of every registration here.
//!
//! Only the four operations and square roots, which every processor rounds alike.

/// The lower Cholesky factor of a symmetric matrix, of which the lower half is read; `None` where it is not positive
/// definite.
pub(crate) fn cholesky<const N: usize>(m: &[[f64; N]; N]) -> Option<[[f64; N]; N]> {
    let mut l = [[0.0; N]; N];
    for r in 0..N {
        for c in 0..=r {
            let rest = m[r][c] - (0..c).map(|k| l[r][k] * l[c][k]).sum::<f64>();
            l[r][c] = if r == c { rest.sqrt() } else { rest / l[c][c] };
        }
        if !l[r][r].is_normal() {
            return None;
        }
    }
    Some(l)
}

/// Solves `l·lᵀ·x = right` by forward and back substitution.
pub(crate) fn solve<const N: usize>(l: &[[f64; N]; N], right: [f64; N]) -> [f64; N] {
    let mut x = right;
    for r in 0..N {
        x[r] = (x[r] - (0..r).map(|c| l[r][c] * x[c]).sum::<f64>()) / l[r][r];
    }
    for r in (0..N).rev() {
        x[r] = (x[r] - (r + 1..N).map(|c| l[c][r] * x[c]).sum::<f64>()) / l[r][r];
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_solves_its_equations() {
        let m = [[4.0, 2.0, 0.5], [2.0, 5.0, 1.0], [0.5, 1.0, 3.0]];
        let x = solve(&cholesky(&m).unwrap(), [1.0, -2.0, 4.0]);
        let back = m.map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum::<f64>());
        assert!(back.iter().zip([1.0, -2.0, 4.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{back:?}");
        assert!(cholesky(&[[1.0, 2.0], [2.0, 1.0]]).is_none());
    }
}
