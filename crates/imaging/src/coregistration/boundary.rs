//! The border of white matter: where its smoothed probability is one half, and which way is out.

use ndarray::{Array3, ArrayView3, Axis, s};
use rayon::prelude::*;

use super::CoregisterError;
use crate::filter::{bounding_box, gaussian_smooth_in_place};
use crate::morphology::largest_component;
use crate::rigid::{Matrix4, apply, invert_affine};

/// Sd of the smoothing, mm.
const SMOOTH_MM: f64 = 1.0;
/// Half.
const LEVEL: f32 = 0.5;
/// Probabilities above this are looked at.
const ANY: f32 = 0.01;
/// Voxels around them that the smoothing reaches.
const MARGIN: usize = 4;
/// A border less steep than this (per mm) has no direction.
const FLATTEST: f64 = 0.05;

/// A point of the border, in the world of the T1w image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct BorderPoint {
    /// mm.
    pub at: [f64; 3],
    /// Unit length, out of white matter.
    pub normal: [f64; 3],
}

/// The points where edges between neighbouring voxels cross the border of the largest part of white matter, in memory
/// order. `affine` maps voxels of the map to mm.
pub(super) fn boundary(white: ArrayView3<f32>, affine: &Matrix4) -> Result<Vec<BorderPoint>, CoregisterError> {
    let to_voxel = invert_affine(affine).ok_or(CoregisterError::Affine { what: "T1w" })?;
    let (nz, ny, nx) = white.dim();
    let seen = white.mapv(|v| u8::from(v > ANY));
    let [zs, ys, xs] = bounding_box(seen.view());
    let wide = |r: std::ops::Range<usize>, n: usize| r.start.saturating_sub(MARGIN)..(r.end + MARGIN).min(n);
    let (zs, ys, xs) = (wide(zs, nz), wide(ys, ny), wide(xs, nx));
    let start = [xs.start, ys.start, zs.start];
    let mut smooth = white.slice(s![zs, ys, xs]).as_standard_layout().into_owned();
    let edge = |c: usize| (0..3).map(|r| affine[r][c].powi(2)).sum::<f64>().sqrt();
    gaussian_smooth_in_place(&mut smooth, [2, 1, 0].map(|c| SMOOTH_MM / edge(c)));
    let inside = largest_component(smooth.mapv(|v| u8::from(v > LEVEL)).view());
    let crossings = Crossings { smooth, inside, start, affine, to_voxel: &to_voxel };
    let planes: Vec<Vec<BorderPoint>> =
        (0..crossings.smooth.dim().0).into_par_iter().map(|k| crossings.of_plane(k)).collect();
    Ok(planes.concat())
}

struct Crossings<'a> {
    smooth: Array3<f32>,
    /// The largest part above one half.
    inside: Array3<u8>,
    /// Voxel `[i, j, k]` of the whole map where the part begins.
    start: [usize; 3],
    affine: &'a Matrix4,
    to_voxel: &'a Matrix4,
}

impl Crossings<'_> {
    /// The crossings of the edges that go from plane `k` along x, y and z; none at the rim, where there is no slope.
    fn of_plane(&self, k: usize) -> Vec<BorderPoint> {
        let (nz, ny, nx) = self.smooth.dim();
        let mut found = Vec::new();
        if k == 0 || k + 2 >= nz {
            return found;
        }
        let (here, above) = (self.inside.index_axis(Axis(0), k), self.inside.index_axis(Axis(0), k + 1));
        for j in 1..ny.saturating_sub(2) {
            for i in 1..nx.saturating_sub(2) {
                let own = here[[j, i]];
                let other = [(here[[j, i + 1]], [0, 0, 1]), (here[[j + 1, i]], [0, 1, 0]), (above[[j, i]], [1, 0, 0])];
                for (axis, (_, step)) in other.into_iter().enumerate().filter(|(_, (o, _))| *o != own) {
                    found.extend(self.crossing([k, j, i], step, axis));
                }
            }
        }
        found
    }

    /// The crossing between the voxel `[k, j, i]` and the one a `step` further along x, y or z (`axis` 0, 1, 2).
    fn crossing(&self, from: [usize; 3], step: [usize; 3], axis: usize) -> Option<BorderPoint> {
        let to = std::array::from_fn(|a| from[a] + step[a]);
        let (a, b) = (self.smooth[from], self.smooth[to]);
        // One of them may lie in another part: then there is no half between them.
        if (a > LEVEL) == (b > LEVEL) {
            return None;
        }
        let part = f64::from((LEVEL - a) / (b - a));
        let (slope_a, slope_b) = (self.slope(from), self.slope(to));
        let slope: [f64; 3] = std::array::from_fn(|d| slope_a[d] + part * (slope_b[d] - slope_a[d]));
        // A gradient by voxels is one by millimetres after the transposed inverse of the affine's 3 x 3 part.
        let m = self.to_voxel;
        let out: [f64; 3] = std::array::from_fn(|c| -(0..3).map(|r| m[r][c] * slope[r]).sum::<f64>());
        let steep = out.iter().map(|v| v * v).sum::<f64>().sqrt();
        if steep < FLATTEST {
            return None;
        }
        let mut voxel: [f64; 3] = std::array::from_fn(|d| (from[2 - d] + self.start[d]) as f64);
        voxel[axis] += part;
        Some(BorderPoint { at: apply(self.affine, voxel), normal: out.map(|v| v / steep) })
    }

    /// The slope along x, y, z at a voxel `[k, j, i]`, per voxel.
    fn slope(&self, [k, j, i]: [usize; 3]) -> [f64; 3] {
        let s = &self.smooth;
        [s[[k, j, i + 1]] - s[[k, j, i - 1]], s[[k, j + 1, i]] - s[[k, j - 1, i]], s[[k + 1, j, i]] - s[[k - 1, j, i]]]
            .map(|v| 0.5 * f64::from(v))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rigid::{compose, from_parameters};

    #[test]
    fn a_ball_has_its_radius_and_its_normals() {
        let centre = [14.3, 15.1, 13.7];
        let radius = 9.0;
        let scale = [[1.5, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        let affine = compose(&from_parameters(&[3.0, 4.0, 5.0, 0.3, 0.2, -0.1], [0.0; 3]), &scale);
        let mm = |p: [f64; 3]| {
            ((p[0] * 1.5 - centre[0] * 1.5).powi(2) + (p[1] - centre[1]).powi(2) + (p[2] - centre[2]).powi(2)).sqrt()
        };
        let mut white = Array3::from_shape_fn((30, 30, 30), |(k, j, i)| {
            (radius - mm([i as f64, j as f64, k as f64]) + 0.5).clamp(0.0, 1.0) as f32
        });
        white[[2, 2, 2]] = 1.0; // a speck elsewhere
        let points = boundary(white.view(), &affine).unwrap();
        assert!(points.len() > 1000, "{}", points.len());
        let middle = apply(&affine, centre);
        for p in points {
            let from: [f64; 3] = std::array::from_fn(|a| p.at[a] - middle[a]);
            let away = from.iter().map(|v| v * v).sum::<f64>().sqrt();
            // Smoothing with sd s moves a ball's border in by about s² / r.
            assert!((away - radius).abs() < 0.35, "{away}");
            let cosine: f64 = from.iter().zip(p.normal).map(|(a, b)| a / away * b).sum();
            assert!(cosine > 0.97, "{cosine}");
        }
    }

    #[test]
    fn nothing_has_no_border() {
        assert_eq!(boundary(Array3::zeros((9, 9, 9)).view(), &crate::rigid::IDENTITY), Ok(vec![]));
        assert!(boundary(Array3::zeros((9, 9, 9)).view(), &[[0.0; 4]; 4]).is_err());
    }
}
