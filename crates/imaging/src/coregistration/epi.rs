//! The bold volume as a function of place: its value and slope by trilinear interpolation, in world coordinates.

use ndarray::{Array3, ArrayView3};

use super::CoregisterError;
use crate::filter::{gaussian_smooth, quantiles};
use crate::rigid::{Matrix4, apply, invert_affine};

/// Voxels brighter than this part of the 98th percentile are head.
const HEAD: f32 = 0.3;

/// A volume and where its voxels are.
pub(super) struct Epi {
    data: Array3<f32>,
    to_world: Matrix4,
    to_voxel: Matrix4,
}

impl Epi {
    /// Voxels that are not finite count as 0.
    pub fn new(volume: ArrayView3<f32>, to_world: &Matrix4) -> Result<Self, CoregisterError> {
        let to_voxel = invert_affine(to_world).ok_or(CoregisterError::Affine { what: "bold" })?;
        let data = volume.as_standard_layout().mapv(|v| if v.is_finite() { v } else { 0.0 });
        if !data.iter().any(|v| *v > 0.0) {
            return Err(CoregisterError::Empty);
        }
        Ok(Self { data, to_world: *to_world, to_voxel })
    }

    /// The volume smoothed by a Gaussian of this sd.
    pub fn smoothed(&self, mm: f64) -> Self {
        let edge = |c: usize| (0..3).map(|r| self.to_world[r][c].powi(2)).sum::<f64>().sqrt();
        let data = gaussian_smooth(self.data.view(), [2, 1, 0].map(|c| mm / edge(c)));
        Self { data, to_world: self.to_world, to_voxel: self.to_voxel }
    }

    /// The centre of mass of the bright voxels, mm.
    pub fn centre_of_mass(&self) -> [f64; 3] {
        let mut values: Vec<f32> = self.data.iter().copied().filter(|v| *v > 0.0).collect();
        let bright = quantiles(&mut values, [0.98]).map_or(0.0, |[q]| q) * HEAD;
        let mut sums = [0.0f64; 4];
        for ((k, j, i), v) in self.data.indexed_iter().filter(|(_, v)| **v > bright) {
            let v = f64::from(*v);
            sums.iter_mut().zip([i as f64 * v, j as f64 * v, k as f64 * v, v]).for_each(|(sum, v)| *sum += v);
        }
        apply(&self.to_world, std::array::from_fn(|a| sums[a] / sums[3]))
    }

    /// The value at a point (mm) and its derivative by x, y, z (per mm); `None` outside the centres of the outer voxels.
    #[inline]
    pub fn sample(&self, at: [f64; 3]) -> Option<(f64, [f64; 3])> {
        let (nz, ny, nx) = self.data.dim();
        let [x, y, z] = apply(&self.to_voxel, at);
        let inside = |v: f64, n: usize| v > 0.0 && v < n as f64 - 1.0;
        if !(inside(x, nx) && inside(y, ny) && inside(z, nz)) {
            return None;
        }
        let (i, j, k) = (x as usize, y as usize, z as usize);
        let (fx, fy, fz) = ((x - i as f64) as f32, (y - j as f64) as f32, (z - k as f64) as f32);
        let data = self.data.as_slice()?;
        let first = (k * ny + j) * nx + i;
        // Along x in each of four rows the value and the slope, then along y, then along z.
        let row = |start: usize| {
            data.get(start..start + 2).map(|pair| (pair[0] + fx * (pair[1] - pair[0]), pair[1] - pair[0]))
        };
        let mix = |a: f32, b: f32, f: f32| a + f * (b - a);
        let plane = |start: usize| {
            let ((a, slope_a), (b, slope_b)) = (row(start)?, row(start + nx)?);
            Some((mix(a, b, fy), mix(slope_a, slope_b, fy), b - a))
        };
        let ((a, ax, ay), (b, bx, by)) = (plane(first)?, plane(first + ny * nx)?);
        let slope = [mix(ax, bx, fz), mix(ay, by, fz), b - a].map(f64::from);
        let m = &self.to_voxel;
        let gradient = std::array::from_fn(|c| m[0][c] * slope[0] + m[1][c] * slope[1] + m[2][c] * slope[2]);
        Some((f64::from(mix(a, b, fz)), gradient))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rigid::{compose, from_parameters};

    /// A plane through world space on a turned grid, which trilinear interpolation gives exactly.
    fn plane() -> Epi {
        let scale = [[2.0, 0.0, 0.0, 0.0], [0.0, 2.5, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        let to_world = compose(&from_parameters(&[5.0, -3.0, 2.0, 0.1, -0.2, 0.3], [0.0; 3]), &scale);
        let volume = Array3::from_shape_fn((9, 10, 11), |(k, j, i)| {
            let [x, y, z] = apply(&to_world, [i as f64, j as f64, k as f64]);
            (100.0 + 2.0 * x - 3.0 * y + 0.5 * z) as f32
        });
        Epi::new(volume.view(), &to_world).unwrap()
    }

    #[test]
    fn value_and_slope_are_in_world_coordinates() {
        let epi = plane();
        let at = apply(&epi.to_world, [3.3, 4.7, 2.2]);
        let (v, slope) = epi.sample(at).unwrap();
        assert!((v - (100.0 + 2.0 * at[0] - 3.0 * at[1] + 0.5 * at[2])).abs() < 1e-3);
        assert!(slope.iter().zip([2.0, -3.0, 0.5]).all(|(a, b)| (a - b).abs() < 1e-4), "{slope:?}");
        assert_eq!(epi.sample(apply(&epi.to_world, [3.0, 9.1, 2.0])), None);
        assert_eq!(epi.sample(apply(&epi.to_world, [-0.1, 2.0, 2.0])), None);
    }

    #[test]
    fn bright_voxels_have_the_centre() {
        let mut volume = Array3::zeros((8, 8, 8));
        volume[[2, 3, 4]] = 100.0f32;
        volume[[2, 3, 6]] = 100.0;
        volume[[7, 7, 7]] = 5.0;
        let epi = Epi::new(volume.view(), &crate::rigid::IDENTITY).unwrap();
        assert_eq!(epi.centre_of_mass(), [5.0, 3.0, 2.0]);
        let empty = Epi::new(Array3::from_elem((2, 2, 2), f32::NAN).view(), &crate::rigid::IDENTITY);
        assert_eq!(empty.err(), Some(CoregisterError::Empty));
        let flat = Epi::new(volume.view(), &[[0.0; 4]; 4]);
        assert_eq!(flat.err(), Some(CoregisterError::Affine { what: "bold" }));
    }
}
