//! The few things about 3×3 and 4×4 matrices that placing an image needs.

/// A 4×4 homogeneous matrix, row by row.
pub(crate) type Affine = [[f64; 4]; 4];

/// A 3×3 matrix, row by row.
pub(crate) type Matrix = [[f64; 3]; 3];

/// The lengths of an affine's three axes: voxel sizes `[dx, dy, dz]` in millimetres.
pub(crate) fn voxel_sizes(affine: &Affine) -> [f64; 3] {
    norms(&linear(affine))
}

/// An affine as the quaternion `(b, c, d)` and qfac of `nifti1.h`; of a sheared one, its nearest rotation.
pub(crate) fn quaternion(affine: &Affine) -> ([f64; 3], f64) {
    let mut m = nearest_rotation(&linear(affine));
    let qfac = if determinant(&m) < 0.0 { -1.0 } else { 1.0 };
    for row in &mut m {
        row[2] *= qfac;
    }
    let [[xx, xy, xz], [yx, yy, yz], [zx, zy, zz]] = m;
    // Shepperd's method: divide by the largest of the four parts, so that none is lost to cancellation.
    let squares = [1.0 + xx + yy + zz, 1.0 + xx - yy - zz, 1.0 - xx + yy - zz, 1.0 - xx - yy + zz];
    let largest = (0..4).fold(0, |best, n| if squares[n] > squares[best] { n } else { best });
    let s = 2.0 * squares[largest].max(0.0).sqrt();
    let [a, b, c, d] = match largest {
        0 => [s / 4.0, (zy - yz) / s, (xz - zx) / s, (yx - xy) / s],
        1 => [(zy - yz) / s, s / 4.0, (xy + yx) / s, (xz + zx) / s],
        2 => [(xz - zx) / s, (xy + yx) / s, s / 4.0, (yz + zy) / s],
        _ => [(yx - xy) / s, (xz + zx) / s, (yz + zy) / s, s / 4.0],
    };
    // The first part is not stored and is taken to be positive.
    let sign = if a < 0.0 { -1.0 } else { 1.0 };
    ([b * sign, c * sign, d * sign], qfac)
}

/// The part of an affine that is not its origin.
pub(crate) fn linear(a: &Affine) -> Matrix {
    std::array::from_fn(|r| std::array::from_fn(|c| a[r][c]))
}

/// The dot product of two columns.
pub(crate) fn dot(m: &Matrix, a: usize, b: usize) -> f64 {
    (0..3).map(|r| m[r][a] * m[r][b]).sum()
}

/// The lengths of the columns.
pub(crate) fn norms(m: &Matrix) -> [f64; 3] {
    std::array::from_fn(|c| dot(m, c, c).sqrt())
}

/// The matrix of signed minors: the inverse's transpose, times the determinant.
fn cofactors(m: &Matrix) -> Matrix {
    std::array::from_fn(|r| {
        std::array::from_fn(|c| {
            let (r1, r2, c1, c2) = ((r + 1) % 3, (r + 2) % 3, (c + 1) % 3, (c + 2) % 3);
            m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
        })
    })
}

/// The determinant: negative where the columns are left-handed.
pub(crate) fn determinant(m: &Matrix) -> f64 {
    let minors = cofactors(m);
    (0..3).map(|c| m[0][c] * minors[0][c]).sum()
}

/// The orthogonal matrix nearest to the directions of a matrix's columns: the polar factor, by Newton's iteration
/// (Higham 1986, "Computing the polar decomposition"), which converges quadratically for every regular matrix.
pub(crate) fn nearest_rotation(m: &Matrix) -> Matrix {
    let sizes = norms(m);
    let mut x: Matrix = std::array::from_fn(|r| std::array::from_fn(|c| m[r][c] / sizes[c]));
    for _ in 0..30 {
        let (minors, det) = (cofactors(&x), determinant(&x));
        x = std::array::from_fn(|r| std::array::from_fn(|c| 0.5 * (x[r][c] + minors[r][c] / det)));
    }
    x
}
