//! Aligning one volume with a reference, at one resolution: Gauss–Newton with everything about the reference precomputed.
//!
//! The step is found by moving the reference (the inverse compositional form: Baker S., Matthews I., "Lucas-Kanade 20
//! years on", Int. J. Comput. Vis. 56(3), 2004), so gradients and normal matrix are made once for all volumes and one
//! iteration is one pass of interpolation. A global brightness factor is eliminated from the normal equations, so that
//! drift or T1 saturation of a volume is not taken for motion. The points' weights follow the intensity of the reference.

use crate::imaging::interpolate::SplineVolume;
use crate::imaging::motion_pyramid::Grid;
use crate::imaging::rigid::{HEAD_RADIUS_MM, Matrix4, apply, compose, from_parameters, invert_rigid};

/// Iterations allowed at one resolution.
const MAX_ITERATIONS: usize = 12;
/// A step that leaves less of the weight inside the volume than this part is not taken,
const LEAST_OVERLAP: f64 = 0.3;
/// nor one that makes the disagreement (1 − similarity) larger than before by more than this factor.
const LOSS_ALLOWED: f64 = 1.2;
/// Relative damping of the normal matrix: keeps directions without information (a single slice) still.
const DAMPING: f64 = 1e-5;
/// Intensity below which a point has no weight and above which it has full weight, as parts of the bright intensity.
const WEIGHT_RAMP: (f32, f32) = (0.1, 0.4);

/// Voxels at each end of an axis that take no part in the reference: what is smoothed there is half mirror image.
const MARGIN: usize = 2;
/// Where a volume is trusted along an axis, in voxels from its ends; less than the margin, so that small motion takes no
/// point out.
const TRUSTED_FROM: f32 = 1.0;
/// Axes with fewer voxels than this are used whole.
const MARGIN_NEEDS: usize = 8;

/// A voxel of the reference that takes part.
struct Point {
    /// Voxel coordinates `[x, y, z]`.
    at: [f32; 3],
    value: f32,
    weight: f32,
    /// Weight times the derivative of the value with respect to the six parameters.
    slope: [f32; 6],
}

/// The reference at one resolution, ready to be compared with any volume.
pub(super) struct Reference<'a> {
    grid: &'a Grid,
    centre: [f64; 3],
    /// As of [`reach`].
    reach: [(f32, f32); 3],
    points: Vec<Point>,
    total: Sums,
    /// Lower Cholesky factor of the damped normal matrix with the brightness factor eliminated.
    factor: [[f64; 6]; 6],
}

/// What one pass over the points adds up, with `V` the volume, `R` the reference and `w` the weight.
#[derive(Clone, Copy, Default)]
struct Sums {
    weight: f64,
    vv: f64,
    rv: f64,
    rr: f64,
    slope_v: [f64; 6],
    slope_r: [f64; 6],
}

/// The outcome of an alignment.
#[derive(Clone, Copy)]
pub(super) struct Alignment {
    /// Takes a point of the reference to where it lies in the volume (mm).
    pub matrix: Matrix4,
    /// Part of the weight that lay inside the volume, 0 to 1.
    pub overlap: f64,
    /// Cosine between volume and reference over the points, 1 where they agree up to brightness.
    pub similarity: f64,
    pub iterations: usize,
}

impl<'a> Reference<'a> {
    /// Prepares `spline`, the reference on `grid`; turns are about `centre` (mm). `None` where nothing can be aligned.
    pub fn new(grid: &'a Grid, spline: &SplineVolume, centre: [f64; 3]) -> Option<Self> {
        let points = points(grid, spline, centre);
        let mut total = Sums::default();
        let mut normal = [[0.0; 6]; 6];
        for p in &points {
            total.add_reference(p);
            for (r, row) in normal.iter_mut().enumerate() {
                for (c, cell) in row.iter_mut().enumerate() {
                    *cell += f64::from(p.slope[r]) * f64::from(p.slope[c]) / f64::from(p.weight);
                }
            }
        }
        for (r, row) in normal.iter_mut().enumerate() {
            for (c, cell) in row.iter_mut().enumerate() {
                *cell -= total.slope_r[r] * total.slope_r[c] / total.rr;
            }
        }
        let damp = |first: usize| DAMPING * (first..first + 3).map(|a| normal[a][a]).sum::<f64>();
        let (shift, turn) = (damp(0), damp(3));
        for (a, row) in normal.iter_mut().enumerate() {
            row[a] += if a < 3 { shift } else { turn };
        }
        Some(Self { grid, centre, reach: reach(grid.shape), points, total, factor: cholesky(&normal)? })
    }

    /// Aligns `volume` (on the same grid), starting from `start`, until steps are below `tolerance_mm`.
    pub fn align(&self, volume: &SplineVolume, start: &Matrix4, tolerance_mm: f64) -> Alignment {
        let mut matrix = *start;
        let mut best = Alignment { matrix, overlap: 0.0, similarity: 0.0, iterations: 0 };
        for iteration in 0..MAX_ITERATIONS {
            let sums = self.compare(volume, &matrix);
            let similarity = sums.rv / (sums.vv * sums.rr).sqrt();
            let overlap = sums.weight / self.total.weight;
            // NaN is a volume without content under the points. Some loss of likeness is the price of new points coming in.
            let lost = overlap < LEAST_OVERLAP || 1.0 - similarity > LOSS_ALLOWED * (1.0 - best.similarity);
            if lost || similarity.is_nan() {
                return best;
            }
            best = Alignment { matrix, overlap, similarity, iterations: iteration + 1 };
            let gain = sums.rv / sums.vv;
            let step = self.solve(std::array::from_fn(|a| gain * sums.slope_v[a] - sums.slope_r[a]));
            matrix = compose(&matrix, &invert_rigid(&from_parameters(&step, self.centre)));
            if length_mm(&step) < tolerance_mm {
                best.matrix = matrix;
                return best;
            }
        }
        best
    }

    fn compare(&self, volume: &SplineVolume, matrix: &Matrix4) -> Sums {
        let to_volume = compose(&self.grid.to_voxel, &compose(matrix, &self.grid.to_world));
        let map: [[f32; 4]; 3] = std::array::from_fn(|r| to_volume[r].map(|v| v as f32));
        let mut sums = Sums::default();
        let mut outside = Sums::default();
        for p in &self.points {
            let at =
                std::array::from_fn(|r| map[r][0] * p.at[0] + map[r][1] * p.at[1] + map[r][2] * p.at[2] + map[r][3]);
            let inside = (0..3).all(|a| at[a] >= self.reach[a].0 && at[a] <= self.reach[a].1);
            let Some(value) = volume.sample(at).filter(|_| inside) else {
                outside.add_reference(p);
                continue;
            };
            sums.vv += f64::from(p.weight * value * value);
            sums.rv += f64::from(p.weight * value * p.value);
            for (sum, slope) in sums.slope_v.iter_mut().zip(p.slope) {
                *sum += f64::from(slope * value);
            }
        }
        sums.weight = self.total.weight - outside.weight;
        sums.rr = self.total.rr - outside.rr;
        sums.slope_r = std::array::from_fn(|a| self.total.slope_r[a] - outside.slope_r[a]);
        sums
    }

    /// Solves the normal equations by forward and back substitution.
    fn solve(&self, right: [f64; 6]) -> [f64; 6] {
        let l = &self.factor;
        let mut x = right;
        for r in 0..6 {
            x[r] = (x[r] - (0..r).map(|c| l[r][c] * x[c]).sum::<f64>()) / l[r][r];
        }
        for r in (0..6).rev() {
            x[r] = (x[r] - (r + 1..6).map(|c| l[c][r] * x[c]).sum::<f64>()) / l[r][r];
        }
        x
    }
}

impl Sums {
    fn add_reference(&mut self, p: &Point) {
        self.weight += f64::from(p.weight);
        self.rr += f64::from(p.weight * p.value * p.value);
        for (sum, slope) in self.slope_r.iter_mut().zip(p.slope) {
            *sum += f64::from(slope * p.value);
        }
    }
}

/// The largest movement of a head-sized sphere under small parameters, mm.
fn length_mm(step: &[f64; 6]) -> f64 {
    let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    norm(&step[..3]) + HEAD_RADIUS_MM * norm(&step[3..])
}

/// The first and last coordinate `[x, y, z]` at which a volume is trusted.
fn reach(shape: [usize; 3]) -> [(f32, f32); 3] {
    [2, 1, 0].map(|a| {
        let (last, first) = (shape[a] as f32 - 1.0, if shape[a] < MARGIN_NEEDS { -0.5 } else { TRUSTED_FROM });
        (first, last - first)
    })
}

/// The voxels with weight, without those near the ends of an axis.
fn points(grid: &Grid, spline: &SplineVolume, centre: [f64; 3]) -> Vec<Point> {
    let inner = grid.shape.map(|n| if n < MARGIN_NEEDS { 0..n } else { MARGIN..n - MARGIN });
    let mut nodes = Vec::new();
    for k in inner[0].clone() {
        for j in inner[1].clone() {
            nodes.extend(inner[2].clone().map(|i| ([i as f32, j as f32, k as f32], spline.node(k, j, i))));
        }
    }
    let mut values: Vec<f32> = nodes.iter().map(|(_, (v, _))| *v).filter(|v| v.is_finite()).collect();
    let Some(rank) = (values.len() * 98).checked_div(100).filter(|_| !values.is_empty()) else {
        return Vec::new();
    };
    let bright = *values.select_nth_unstable_by(rank, f32::total_cmp).1;
    let (low, high) = (bright * WEIGHT_RAMP.0, bright * WEIGHT_RAMP.1);
    nodes
        .into_iter()
        .filter(|(_, (value, _))| *value > low)
        .map(|(at, (value, slope))| {
            let weight = ((value - low) / (high - low)).clamp(1e-3, 1.0);
            // The derivative along world axes: voxel derivatives times the inverse of the voxel-to-world matrix.
            // An axis with a single voxel has none, not even a rounding error.
            let axes = (0..3).filter(|a| grid.shape[2 - a] > 1);
            let g: [f64; 3] =
                std::array::from_fn(|r| axes.clone().map(|a| f64::from(slope[a]) * grid.to_voxel[a][r]).sum::<f64>());
            let x = apply(&grid.to_world, at.map(f64::from));
            let d: [f64; 3] = std::array::from_fn(|r| x[r] - centre[r]);
            let turn = [d[1] * g[2] - d[2] * g[1], d[2] * g[0] - d[0] * g[2], d[0] * g[1] - d[1] * g[0]];
            let all = [g[0], g[1], g[2], turn[0], turn[1], turn[2]];
            Point { at, value, weight, slope: all.map(|v| v as f32 * weight) }
        })
        .collect()
}

/// The lower Cholesky factor, or `None` where the matrix is not positive definite.
fn cholesky(m: &[[f64; 6]; 6]) -> Option<[[f64; 6]; 6]> {
    let mut l = [[0.0; 6]; 6];
    for r in 0..6 {
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
