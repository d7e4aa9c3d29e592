//! Rigid transforms of world space, the language in which head motion is estimated, applied and reported.
//!
//! A transform is a 4×4 row-major matrix that maps a point in RAS millimetres to another one. Its six parameters are
//! `[tx, ty, tz, rx, ry, rz]`, in millimetres and radians, about a stated centre `c`: `x' = Rz·Ry·Rx·(x − c) + c + t`.

/// A row-major 4×4 matrix of homogeneous world (or voxel) coordinates; the last row is `0 0 0 1`.
pub type Matrix4 = [[f64; 4]; 4];

/// The transform that moves nothing.
pub const IDENTITY: Matrix4 = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];

/// The radius in millimetres of the sphere that stands for the head in [`rms_deviation`] (Jenkinson 1999).
pub const HEAD_RADIUS_MM: f64 = 80.0;

/// The transform that applies `b` first and `a` after it: the matrix product `a·b`.
#[must_use]
pub fn compose(a: &Matrix4, b: &Matrix4) -> Matrix4 {
    std::array::from_fn(|r| std::array::from_fn(|c| (0..4).map(|k| a[r][k] * b[k][c]).sum()))
}

/// Where `m` takes the point `p`.
#[must_use]
pub fn apply(m: &Matrix4, p: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|r| m[r][0] * p[0] + m[r][1] * p[1] + m[r][2] * p[2] + m[r][3])
}

/// The inverse of a rigid transform: the transposed rotation, and the shift that undoes the shift.
#[must_use]
pub fn invert_rigid(m: &Matrix4) -> Matrix4 {
    let mut inverse = IDENTITY;
    for r in 0..3 {
        for c in 0..3 {
            inverse[r][c] = m[c][r];
        }
        inverse[r][3] = -(0..3).map(|k| m[k][r] * m[k][3]).sum::<f64>();
    }
    inverse
}

/// The inverse of any affine matrix by cofactors, or `None` where its 3×3 part is singular or not finite.
#[must_use]
pub fn invert_affine(m: &Matrix4) -> Option<Matrix4> {
    let cofactor = |r: usize, c: usize| {
        let (r1, r2, c1, c2) = ((r + 1) % 3, (r + 2) % 3, (c + 1) % 3, (c + 2) % 3);
        m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
    };
    let determinant: f64 = (0..3).map(|c| m[0][c] * cofactor(0, c)).sum();
    if !determinant.is_normal() || !m.iter().flatten().all(|v| v.is_finite()) {
        return None;
    }
    let mut inverse = IDENTITY;
    for (r, row) in inverse.iter_mut().enumerate().take(3) {
        for (c, cell) in row.iter_mut().enumerate().take(3) {
            *cell = cofactor(c, r) / determinant;
        }
        row[3] = -(0..3).map(|k| row[k] * m[k][3]).sum::<f64>();
    }
    Some(inverse)
}

/// The transform with the given parameters (mm, radians) about `centre` (mm).
#[must_use]
pub fn from_parameters(p: &[f64; 6], centre: [f64; 3]) -> Matrix4 {
    let ((sx, cx), (sy, cy), (sz, cz)) = (p[3].sin_cos(), p[4].sin_cos(), p[5].sin_cos());
    let rotation = [
        [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
        [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
        [-sy, cy * sx, cy * cx],
    ];
    let mut m = IDENTITY;
    for r in 0..3 {
        m[r][..3].copy_from_slice(&rotation[r]);
        m[r][3] = centre[r] + p[r] - (0..3).map(|k| rotation[r][k] * centre[k]).sum::<f64>();
    }
    m
}

/// The parameters of a rigid transform about `centre`: the inverse of [`from_parameters`] for |ry| < 90°.
#[must_use]
pub fn to_parameters(m: &Matrix4, centre: [f64; 3]) -> [f64; 6] {
    let moved = apply(m, centre);
    [
        moved[0] - centre[0],
        moved[1] - centre[1],
        moved[2] - centre[2],
        m[2][1].atan2(m[2][2]),
        (-m[2][0]).clamp(-1.0, 1.0).asin(),
        m[1][0].atan2(m[0][0]),
    ]
}

/// How far two rigid transforms move the points of a sphere apart, as the root of the mean square, in millimetres.
///
/// Method: Jenkinson M., "Measuring transformation error by RMS deviation", FMRIB technical report TR99MJ1, 1999; the
/// sphere has `radius` mm about `centre` (mm).
#[must_use]
pub fn rms_deviation(a: &Matrix4, b: &Matrix4, centre: [f64; 3], radius: f64) -> f64 {
    let mut difference = compose(a, &invert_rigid(b));
    for (r, row) in difference.iter_mut().enumerate() {
        row[r] -= 1.0;
    }
    let rotation: f64 = difference.iter().take(3).flat_map(|row| &row[..3]).map(|v| v * v).sum();
    let shift: f64 = apply(&difference, centre).iter().map(|v| v * v).sum();
    (radius * radius / 5.0 * rotation + shift).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: [f64; 6] = [1.0, -2.0, 3.0, 0.1, -0.2, 0.3];
    const CENTRE: [f64; 3] = [5.0, -7.0, 11.0];

    fn largest_difference(a: &Matrix4, b: &Matrix4) -> f64 {
        a.iter().flatten().zip(b.iter().flatten()).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn parameters_survive_the_way_to_a_matrix_and_back() {
        let back = to_parameters(&from_parameters(&P, CENTRE), CENTRE);
        assert!(P.iter().zip(back).all(|(a, b)| (a - b).abs() < 1e-12), "{back:?}");
    }

    #[test]
    fn a_turn_about_z_takes_right_to_front() {
        let m = from_parameters(&[0.0, 0.0, 0.0, 0.0, 0.0, std::f64::consts::FRAC_PI_2], [0.0; 3]);
        let p = apply(&m, [1.0, 0.0, 0.0]);
        assert!(p[0].abs() < 1e-12 && (p[1] - 1.0).abs() < 1e-12, "{p:?}");
    }

    #[test]
    fn both_inverses_undo_the_transform() {
        let m = from_parameters(&P, CENTRE);
        assert!(largest_difference(&compose(&m, &invert_rigid(&m)), &IDENTITY) < 1e-12);
        let mut sheared = m;
        sheared[0][1] += 0.7;
        sheared[2][2] *= 3.0;
        let inverse = invert_affine(&sheared).unwrap();
        assert!(largest_difference(&compose(&inverse, &sheared), &IDENTITY) < 1e-12);
        assert!(invert_affine(&[[0.0; 4]; 4]).is_none());
    }

    #[test]
    fn deviation_matches_hand_computed_values() {
        let shift = from_parameters(&[3.0, 4.0, 0.0, 0.0, 0.0, 0.0], CENTRE);
        assert!((rms_deviation(&shift, &IDENTITY, CENTRE, 80.0) - 5.0).abs() < 1e-12);
        // A turn by r about the centre: trace((R-1)'(R-1)) = 4 (1 - cos r).
        let turn = from_parameters(&[0.0, 0.0, 0.0, 0.02, 0.0, 0.0], CENTRE);
        let expected = (80.0_f64.powi(2) / 5.0 * 4.0 * (1.0 - 0.02_f64.cos())).sqrt();
        assert!((rms_deviation(&turn, &IDENTITY, CENTRE, 80.0) - expected).abs() < 1e-12);
    }
}
