//! Aligning one volume with a reference, at one resolution: Gauss–Newton with everything about the reference precomputed.
//!
//! The step is found by moving the reference (the inverse compositional form: Baker S., Matthews I., "Lucas-Kanade 20
//! years on", Int. J. Comput. Vis. 56(3), 2004), so gradients and normal matrix are made once for all volumes and one
//! iteration is one pass of interpolation. Smooth changes of brightness are not taken for motion, see
//! [`crate::motion_points`]. The points' weights follow the intensity of the reference.

use crate::interpolate::{LANES, SplineVolume};
use crate::interpolate_line::{Bounds, Lanes};
use crate::linear::{cholesky, solve};
use crate::motion_points::{Block, blocks, trusted};
use crate::motion_pyramid::Grid;
use crate::rigid::{HEAD_RADIUS_MM, Matrix4, compose, from_parameters, invert_rigid};

/// Iterations allowed at one resolution.
const MAX_ITERATIONS: usize = 12;
/// A step that leaves less of the weight inside the volume than this part is not taken,
const LEAST_OVERLAP: f64 = 0.3;
/// nor one that makes the disagreement (1 − similarity) larger than before by more than this factor.
const LOSS_ALLOWED: f64 = 1.2;
/// Relative damping of the normal matrix: keeps directions without information (a single slice) still.
const DAMPING: f64 = 1e-5;

/// The reference at one resolution, ready to be compared with any volume.
pub(super) struct Reference<'a> {
    grid: &'a Grid,
    centre: [f64; 3],
    /// Where volumes are trusted.
    trusted: Bounds,
    blocks: Vec<Block>,
    total: Sums,
    /// Lower Cholesky factor of the damped normal matrix.
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
        let blocks = blocks(grid, spline, centre)?;
        let mut total = Sums::default();
        let mut normal = [[0.0; 6]; 6];
        for block in &blocks {
            total.add_reference(block, |_| true);
            for lane in (0..LANES).filter(|&l| block.weight[l] > 0.0) {
                let slope = block.slope.map(|s| f64::from(s[lane]));
                for (r, row) in normal.iter_mut().enumerate() {
                    row.iter_mut()
                        .zip(slope)
                        .for_each(|(cell, s)| *cell += slope[r] * s / f64::from(block.weight[lane]));
                }
            }
        }
        let damp = |first: usize| DAMPING * (first..first + 3).map(|a| normal[a][a]).sum::<f64>();
        let (shift, turn) = (damp(0), damp(3));
        for (a, row) in normal.iter_mut().enumerate() {
            row[a] += if a < 3 { shift } else { turn };
        }
        Some(Self { grid, centre, trusted: trusted(grid.shape), blocks, total, factor: cholesky(&normal)? })
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
            let step = solve(&self.factor, std::array::from_fn(|a| gain * sums.slope_v[a] - sums.slope_r[a]));
            matrix = compose(&matrix, &invert_rigid(&from_parameters(&step, self.centre)));
            if length_mm(&step) < tolerance_mm {
                best.matrix = matrix;
                return best;
            }
        }
        best
    }

    /// Samples `volume` at the points of the reference, moved by `matrix`.
    fn compare(&self, volume: &SplineVolume, matrix: &Matrix4) -> Sums {
        let map = compose(&self.grid.to_voxel, &compose(matrix, &self.grid.to_world));
        let step = std::array::from_fn(|r| map[r][0]);
        let (mut sums, mut outside) = (Sums::default(), Sums::default());
        for row in self.blocks.chunk_by(|a, b| a.at[1..] == b.at[1..]) {
            let mut lanes = LaneSums::default();
            for block in row {
                let [i, j, k] = block.at.map(|v| v as f64);
                let start = std::array::from_fn(|r| map[r][0] * i + map[r][1] * j + map[r][2] * k + map[r][3]);
                let mut values = [0.0; LANES];
                volume.sample_line(start, step, &self.trusted, f32::NAN, &mut values);
                if values.iter().any(|v| v.is_nan()) {
                    outside.add_reference(block, |lane| values[lane].is_nan());
                    values = values.map(|v| if v.is_nan() { 0.0 } else { v });
                }
                lanes.add(block, &values);
            }
            lanes.add_to(&mut sums);
        }
        sums.weight = self.total.weight - outside.weight;
        sums.rr = self.total.rr - outside.rr;
        sums.slope_r = std::array::from_fn(|a| self.total.slope_r[a] - outside.slope_r[a]);
        sums
    }
}

impl Sums {
    /// Adds what the reference alone knows of the lanes that are `wanted`.
    fn add_reference(&mut self, block: &Block, wanted: impl Fn(usize) -> bool) {
        for lane in (0..LANES).filter(|&lane| wanted(lane)) {
            let (weight, value) = (f64::from(block.weight[lane]), f64::from(block.value[lane]));
            self.weight += weight;
            self.rr += weight * value * value;
            self.slope_r.iter_mut().zip(&block.slope).for_each(|(sum, s)| *sum += f64::from(s[lane]) * value);
        }
    }
}

/// Sums over the few blocks of a row, lane by lane, for which single precision is enough.
#[derive(Default)]
struct LaneSums {
    vv: Lanes,
    rv: Lanes,
    slope_v: [Lanes; 6],
}

impl LaneSums {
    #[inline]
    fn add(&mut self, block: &Block, values: &Lanes) {
        for (l, value) in values.iter().enumerate() {
            let weighted = block.weight[l] * value;
            self.vv[l] += weighted * value;
            self.rv[l] += weighted * block.value[l];
        }
        for (sum, slope) in self.slope_v.iter_mut().zip(&block.slope) {
            for l in 0..LANES {
                sum[l] += slope[l] * values[l];
            }
        }
    }

    fn add_to(&self, sums: &mut Sums) {
        let all = |lanes: &Lanes| lanes.iter().map(|&v| f64::from(v)).sum::<f64>();
        sums.vv += all(&self.vv);
        sums.rv += all(&self.rv);
        sums.slope_v.iter_mut().zip(&self.slope_v).for_each(|(sum, lanes)| *sum += all(lanes));
    }
}

/// The largest movement of a head-sized sphere under small parameters, mm.
fn length_mm(step: &[f64; 6]) -> f64 {
    let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    norm(&step[..3]) + HEAD_RADIUS_MM * norm(&step[3..])
}
