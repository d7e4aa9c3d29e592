//! Intensities that mean the same on every image: what makes differences of two images comparable.

use ndarray::{Array3, ArrayView3, Zip};

use super::WarpError;

/// What half the peak of grey matter, the peaks of grey and white matter, and what is half their distance brighter than
/// white matter become.
const LEVELS: [f64; 4] = [0.0, 40.0, 80.0, 100.0];

/// Maps a T1w image so that grey matter becomes 40 and white matter 80: piecewise linear through half the grey peak (0), both
/// peaks and the point half their distance above white (100), and no further on either side. Outside `mask` it is 0.
///
/// The high black level lets CSF and background nearly meet, so that the mask's edge hardly pulls; the cap takes vessels and
/// fat out. `grey` and `white` are the peaks of both tissues on this image; all arrays have the shape `(nz, ny, nx)`.
///
/// # Errors
/// [`WarpError`]: shapes differ, an empty mask, or peaks that are not `0 < grey < white`.
pub fn standard_intensities(
    image: ArrayView3<f32>,
    mask: ArrayView3<u8>,
    grey: f64,
    white: f64,
) -> Result<Array3<f32>, WarpError> {
    if mask.dim() != image.dim() {
        return Err(WarpError::Shape { what: "the brain mask", found: mask.dim(), expected: image.dim() });
    }
    if !(grey > 0.0 && white > grey && white.is_finite()) {
        return Err(WarpError::Peaks { grey, white });
    }
    if mask.iter().all(|m| *m == 0) {
        return Err(WarpError::Empty { what: "the brain mask" });
    }
    let knots = [0.5 * grey, grey, white, white + 0.5 * (white - grey)];
    let slopes: [f32; 3] = std::array::from_fn(|i| ((LEVELS[i + 1] - LEVELS[i]) / (knots[i + 1] - knots[i])) as f32);
    let (knots, levels) = (knots.map(|k| k as f32), LEVELS.map(|l| l as f32));
    let mut out = Array3::zeros(image.dim());
    Zip::from(&mut out).and(image).and(mask).par_for_each(|out, &v, &m| {
        if m != 0 && v > knots[0] {
            let part = usize::from(v > knots[1]) + usize::from(v > knots[2]);
            *out = (levels[part] + slopes[part] * (v - knots[part])).min(levels[3]);
        }
    });
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_go_where_they_belong_and_extremes_no_further() {
        let values = [-5.0, 100.0, 300.0, 450.0, 600.0, 800.0, 1000.0, 1100.0, 1200.0, 5000.0];
        let image = Array3::from_shape_vec((1, 1, 10), values.to_vec()).unwrap();
        let mask = Array3::from_elem((1, 1, 10), 1u8);
        let mapped = standard_intensities(image.view(), mask.view(), 600.0, 1000.0).unwrap();
        let expected = [0.0, 0.0, 0.0, 20.0, 40.0, 60.0, 80.0, 90.0, 100.0, 100.0];
        assert!(mapped.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3), "{mapped:?}");
        let none = Array3::zeros((1, 1, 10));
        assert!(standard_intensities(image.view(), none.view(), 600.0, 1000.0).is_err());
        assert!(standard_intensities(image.view(), mask.view(), 600.0, 500.0).is_err());
        assert!(standard_intensities(image.view(), mask.view(), f64::NAN, 500.0).is_err());
    }
}
