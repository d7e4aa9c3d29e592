//! How bright the coil makes the head from place to place: it stands still while the head moves, so that of two images of a
//! moved head one is brighter here and the other there, by less than a hundredth. A shift that grows or shrinks makes the same
//! difference, and would be found instead.

use ndarray::Array3;

use crate::linear::{cholesky, solve};

/// Terms of a quadratic polynomial in space.
const TERMS: usize = 10;
/// Distance in mm that counts as 1, and how far from the centre the polynomial is believed.
const UNIT_MM: f64 = 60.0;
const REACH: f64 = 1.5;
/// Brightness, of the mean of the bright voxels, above which a voxel takes part.
const BRIGHT: f32 = 0.5;
/// Rounds of weighing anew what is far from the polynomial, and what far is: tissues differ as well.
const ROUNDS: usize = 4;
const FAR: f64 = 0.15;
/// Most that the logarithm of the difference may be.
const MOST: f64 = 0.1;

/// The logarithm of the brightness as a polynomial.
pub(super) struct Coil {
    /// mm.
    centre: [f64; 3],
    terms: [f64; TERMS],
}

impl Coil {
    /// From an image without distortion, with voxels of `[dz, dy, dx]` mm; `None` if it says too little.
    pub(super) fn new(image: &Array3<f32>, voxel_mm: [f64; 3], centre: [f64; 3]) -> Option<Self> {
        let [dz, dy, dx] = voxel_mm;
        let bright: Vec<([f64; TERMS], f64)> = image
            .indexed_iter()
            .filter(|(_, v)| **v > BRIGHT)
            .map(|((k, j, i), v)| (terms([i as f64 * dx, j as f64 * dy, k as f64 * dz], centre), f64::from(*v).ln()))
            .collect();
        let mut coil = Self { centre, terms: [0.0; TERMS] };
        for round in 0..ROUNDS {
            let (mut matrix, mut right) = ([[0.0; TERMS]; TERMS], [0.0; TERMS]);
            for (terms, log) in &bright {
                let away = (log - coil.log(terms)) / FAR;
                let weight = if round == 0 { 1.0 } else { 1.0 / (1.0 + away * away) };
                for (r, (row, right)) in matrix.iter_mut().zip(&mut right).enumerate() {
                    *right += weight * terms[r] * log;
                    row.iter_mut().zip(terms).take(r + 1).for_each(|(m, t)| *m += weight * terms[r] * t);
                }
            }
            coil.terms = solve(&cholesky(&matrix)?, right);
        }
        coil.terms.iter().all(|t| t.is_finite()).then_some(coil)
    }

    fn log(&self, terms: &[f64; TERMS]) -> f64 {
        self.terms.iter().zip(terms).map(|(a, b)| a * b).sum()
    }

    /// What makes signal that is seen at one point (mm) as bright as it would be at another.
    pub(super) fn factor(&self, seen_at: [f64; 3], wanted_at: [f64; 3]) -> f32 {
        let [seen, wanted] = [seen_at, wanted_at].map(|at| self.log(&terms(at, self.centre)));
        (wanted - seen).clamp(-MOST, MOST).exp() as f32
    }
}

fn terms(at: [f64; 3], centre: [f64; 3]) -> [f64; TERMS] {
    let [x, y, z] = std::array::from_fn(|a| ((at[a] - centre[a]) / UNIT_MM).clamp(-REACH, REACH));
    [1.0, x, y, z, x * x, y * y, z * z, x * y, x * z, y * z]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brightness_that_grows_along_an_axis_is_found_among_tissues() {
        let bright = |x: f64| (0.004 * (x - 60.0)).exp();
        let image = Array3::from_shape_fn((20, 40, 40), |(k, j, i)| {
            let tissue = if (k + j + i) % 7 == 0 { 1.5 } else { 1.0 };
            (bright(3.0 * i as f64) * tissue) as f32
        });
        let coil = Coil::new(&image, [3.0; 3], [60.0, 60.0, 30.0]).unwrap();
        for (seen, wanted) in [([50.0, 60.0, 30.0], [52.0, 60.0, 30.0]), ([80.0, 20.0, 10.0], [78.0, 21.0, 12.0])] {
            let factor = f64::from(coil.factor(seen, wanted));
            assert!((factor * bright(seen[0]) / bright(wanted[0]) - 1.0).abs() < 1e-3, "{factor}");
        }
        assert!(Coil::new(&Array3::zeros((3, 3, 3)), [3.0; 3], [0.0; 3]).is_none());
    }
}
