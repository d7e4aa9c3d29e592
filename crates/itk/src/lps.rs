//! Between RAS+ millimetres, which is what this program thinks in, and ITK's LPS+: x and y change their sign.
//!
//! ITK's parameters of an affine (`MatrixOffsetTransformBase`): the matrix row by row, then the translation `t`; fixed
//! parameters: the centre `c`. A point goes to `M (p - c) + c + t`. Of a displacement field: fixed parameters are the
//! size, origin, spacing and the direction row by row of its grid (`DisplacementFieldTransform`), all x before y before z.

use crate::ItkError;

/// A 4×4 homogeneous matrix, row by row.
pub(super) type Affine = [[f64; 4]; 4];

/// Sign of an axis on the way between RAS+ and LPS+.
const SIGN: [f64; 3] = [-1.0, -1.0, 1.0];

/// Extents above this are refused in a file: no scanner and no template comes near.
const MAX_EXTENT: f64 = 4096.0;

/// A number without the sign of a zero, which would print as `-0`.
fn plain(value: f64) -> f64 {
    if value == 0.0 { 0.0 } else { value }
}

/// ITK's twelve parameters of an affine whose centre is the origin.
pub(super) fn affine_parameters(affine: &Affine) -> Result<[f64; 12], ItkError> {
    let what = "an affine";
    if !affine.iter().flatten().all(|v| v.is_finite()) {
        return Err(ItkError::NotFinite { what });
    }
    regular(affine, what)?;
    Ok(std::array::from_fn(|n| match n {
        0..9 => plain(SIGN[n / 3] * SIGN[n % 3] * affine[n / 3][n % 3]),
        _ => plain(SIGN[n - 9] * affine[n - 9][3]),
    }))
}

/// The affine, RAS+ to RAS+, of ITK's twelve parameters and centre.
pub(super) fn affine_of(parameters: &[f64; 12], centre: &[f64; 3]) -> Result<Affine, ItkError> {
    let what = "an affine";
    if !parameters.iter().chain(centre).all(|v| v.is_finite()) {
        return Err(ItkError::NotFinite { what });
    }
    let row = |r: usize| -> [f64; 4] {
        let m = &parameters[3 * r..3 * r + 3];
        let turned: f64 = m.iter().zip(centre).map(|(m, c)| m * c).sum();
        // With the centre at the origin, as it is written here, nothing is added: the way back is exact.
        let offset = if centre == &[0.0; 3] { parameters[9 + r] } else { parameters[9 + r] + centre[r] - turned };
        let [x, y, z] = std::array::from_fn(|c| plain(SIGN[r] * SIGN[c] * m[c]));
        [x, y, z, plain(SIGN[r] * offset)]
    };
    let out = [row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]];
    regular(&out, what)?;
    Ok(out)
}

/// ITK's eighteen fixed parameters of a field on the grid of this affine (voxel to RAS+), with extents `[nx, ny, nz]`.
pub(super) fn grid_parameters(affine: &Affine, size: [usize; 3]) -> Result<[f64; 18], ItkError> {
    let what = "the grid";
    if !affine.iter().flatten().all(|v| v.is_finite()) {
        return Err(ItkError::NotFinite { what });
    }
    regular(affine, what)?;
    let mut out = [0.0; 18];
    for axis in 0..3 {
        let length = (0..3).map(|r| affine[r][axis] * affine[r][axis]).sum::<f64>().sqrt();
        out[axis] = size[axis] as f64;
        out[3 + axis] = plain(SIGN[axis] * affine[axis][3]);
        out[6 + axis] = length;
        for r in 0..3 {
            out[9 + 3 * r + axis] = plain(SIGN[r] * affine[r][axis] / length);
        }
    }
    Ok(out)
}

/// The affine (voxel to RAS+) and extents `[nx, ny, nz]` of ITK's eighteen fixed parameters.
pub(super) fn grid_of(fixed: &[f64; 18]) -> Result<(Affine, [usize; 3]), ItkError> {
    let what = "the grid";
    if !fixed.iter().all(|v| v.is_finite()) {
        return Err(ItkError::NotFinite { what });
    }
    let mut size = [0; 3];
    let mut affine = [[0.0; 4]; 4];
    affine[3][3] = 1.0;
    for axis in 0..3 {
        let (extent, spacing) = (fixed[axis], fixed[6 + axis]);
        if extent.fract() != 0.0 || !(1.0..=MAX_EXTENT).contains(&extent) {
            return Err(ItkError::TooLarge { what: format!("a grid of {:?} voxels", &fixed[..3]) });
        }
        if spacing <= 0.0 {
            return Err(ItkError::Layout(format!("its voxel sizes are {:?}", &fixed[6..9])));
        }
        size[axis] = extent as usize;
        affine[axis][3] = plain(SIGN[axis] * fixed[3 + axis]);
        for r in 0..3 {
            affine[r][axis] = plain(SIGN[r] * fixed[9 + 3 * r + axis] * spacing);
        }
    }
    regular(&affine, what)?;
    Ok((affine, size))
}

/// Turns a displacement between RAS+ and LPS+. Zero stays zero without a sign, so that equal fields have equal bytes.
pub(super) fn turn(vector: [f32; 3]) -> [f32; 3] {
    [0.0 - vector[0], 0.0 - vector[1], vector[2] + 0.0]
}

/// Refuses a matrix whose columns are zero or lie in one plane, to within rounding.
fn regular(affine: &Affine, what: &'static str) -> Result<(), ItkError> {
    let column = |c: usize| [affine[0][c], affine[1][c], affine[2][c]];
    let volume = determinant(&[column(0), column(1), column(2)]);
    let box_volume: f64 = (0..3).map(|c| column(c).iter().map(|v| v * v).sum::<f64>().sqrt()).product();
    // Written so that NaN, which comes of numbers beyond all measure, is refused too.
    if volume.abs() > 1e-9 * box_volume { Ok(()) } else { Err(ItkError::Singular { what }) }
}

fn determinant(m: &[[f64; 3]; 3]) -> f64 {
    m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
        + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
}

/// The inverse of an affine. `None` where there is none.
pub(super) fn inverse(affine: &Affine) -> Option<Affine> {
    let m = |r: usize, c: usize| affine[r % 3][c % 3];
    let rows: [[f64; 3]; 3] = std::array::from_fn(|r| std::array::from_fn(|c| affine[r][c]));
    let det = determinant(&rows);
    if !det.is_normal() {
        return None;
    }
    // Minors with rows and columns counted around, so that the signs come out by themselves.
    let minor = |r: usize, c: usize| m(c + 1, r + 1) * m(c + 2, r + 2) - m(c + 1, r + 2) * m(c + 2, r + 1);
    let row = |r: usize| -> [f64; 4] {
        let [x, y, z] = std::array::from_fn(|c| minor(r, c) / det);
        [x, y, z, -(x * affine[0][3] + y * affine[1][3] + z * affine[2][3])]
    };
    Some([row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]])
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFFINE: Affine =
        [[1.1, 0.1, 0.02, 3.0], [-0.05, 0.9, 0.05, -2.0], [0.01, -0.03, 1.02, 5.5], [0.0, 0.0, 0.0, 1.0]];

    #[test]
    fn an_affine_comes_back_to_the_bit() {
        let there = affine_parameters(&AFFINE).unwrap();
        assert_eq!(there[1], 0.1, "x and y turn together");
        assert_eq!(there[2], -0.02);
        assert_eq!(there[9..], [-3.0, 2.0, 5.5]);
        assert_eq!(affine_of(&there, &[0.0; 3]).unwrap(), AFFINE);
    }

    #[test]
    fn a_centre_is_taken_into_the_offset() {
        // Twice as large about the point (1, 2, 3) of LPS+: it stays where it is.
        let p = [2.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0];
        let affine = affine_of(&p, &[1.0, 2.0, 3.0]).unwrap();
        assert_eq!([affine[0][3], affine[1][3], affine[2][3]], [1.0, 2.0, -3.0]);
    }

    #[test]
    fn a_template_grid_is_itk_s_usual_one() {
        let grid = [[2.0, 0.0, 0.0, -96.5], [0.0, 2.0, 0.0, -132.5], [0.0, 0.0, 2.0, -78.5], [0.0, 0.0, 0.0, 1.0]];
        let fixed = grid_parameters(&grid, [97, 115, 97]).unwrap();
        assert_eq!(fixed[..9], [97.0, 115.0, 97.0, 96.5, 132.5, -78.5, 2.0, 2.0, 2.0]);
        assert_eq!(fixed[9..], [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(grid_of(&fixed).unwrap(), (grid, [97, 115, 97]));
    }

    #[test]
    fn what_is_not_a_grid_is_refused() {
        let good = grid_parameters(&AFFINE, [4, 5, 6]).unwrap();
        for (at, value) in [(0, 0.0), (1, 2.5), (2, 1e9), (0, -3.0), (4, f64::NAN), (6, 0.0), (7, -1.0)] {
            let mut bad = good;
            bad[at] = value;
            assert!(grid_of(&bad).is_err(), "{at} {value}");
        }
        let mut flat = good;
        flat[9..].fill(0.5);
        assert!(matches!(grid_of(&flat), Err(ItkError::Singular { .. })));
        assert!(matches!(grid_parameters(&[[0.0; 4]; 4], [1, 1, 1]), Err(ItkError::Singular { .. })));
    }

    #[test]
    fn an_inverse_is_one() {
        let back = inverse(&AFFINE).unwrap();
        for n in 0..16 {
            let (r, c) = (n / 4, n % 4);
            let product: f64 = AFFINE[r].iter().zip(&back).map(|(a, row)| a * row[c]).sum();
            assert!((product - f64::from(u8::from(r == c))).abs() < 1e-14);
        }
        assert!(inverse(&[[0.0; 4]; 4]).is_none());
    }
}
