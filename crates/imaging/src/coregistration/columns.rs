//! The first, coarse registration: the bold volume as a mixture of the tissues.
//!
//! Every place holds so much CSF, grey and white matter; the bold value there is the sum of one brightness for each, found
//! by least squares at every evaluation, with a slope over the brain for the coil. The better the place, the less is left
//! unexplained. It needs no contrast of a known kind, and sees a head from centimetres away.

use ndarray::{Array3, ArrayView3};
use rayon::prelude::*;

use super::descent::{Evaluation, Limits, descend, moved};
use super::epi::Epi;
use crate::filter::shrink;
use crate::linear::{cholesky, solve};
use crate::morphology::dilate;
use crate::rigid::{Matrix4, apply};

/// Edge of the cells that the tissues are averaged over, mm.
const CELL_MM: f64 = 4.0;
/// Cells this near to the brain (mm) take part: what is around it is dark.
const AROUND_MM: f64 = 4.0;
/// A cell with this much tissue is brain.
const BRAIN: f32 = 0.05;
/// CSF, grey matter, white matter, what is around, and the slope of the brain's brightness along x, y, z.
const COLUMNS: usize = 7;
/// Distance at which the slopes are 1, mm.
const SLOPE_MM: f64 = 60.0;
/// Keeps columns still that are nowhere in view, relative to the points.
const RIDGE: f64 = 1e-3;
/// Sds of the bold volume's smoothing (mm), one after the other.
const SMOOTH_MM: [f64; 2] = [5.0, 2.0];
/// When each of them ends.
const LIMITS: [Limits; 2] = [Limits { steps: 60, tolerance_mm: 0.3 }, Limits { steps: 60, tolerance_mm: 0.1 }];
/// Less in view than this part of the cells is nothing.
const LEAST_SHARE: f64 = 0.2;
/// Points whose sums are added up together, at any number of threads.
const CHUNK: usize = 1024;

/// A cell of the head.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cell {
    /// Its centre in the world of the T1w image, mm.
    at: [f64; 3],
    columns: [f64; COLUMNS],
}

/// The head in cells.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HeadCells {
    cells: Vec<Cell>,
    /// Centre of the brain, mm.
    pub centre: [f64; 3],
}

impl HeadCells {
    /// From the probabilities of CSF, grey and white matter (one shape) with their affine.
    pub fn new(maps: [ArrayView3<f32>; 3], affine: &Matrix4) -> Self {
        let voxel_mm = [2, 1, 0].map(|c| (0..3).map(|r| affine[r][c].powi(2)).sum::<f64>().sqrt());
        let factor = voxel_mm.map(|mm| ((CELL_MM / mm).round() as usize).max(1));
        let cell_mm = std::array::from_fn(|a| factor[a] as f64 * voxel_mm[a]);
        // A rim of empty cells, for what is around a brain that reaches the edge of the map.
        let shares = maps.map(|map| padded(&shrink(map, factor)));
        let sum = Array3::from_shape_fn(shares[0].dim(), |at| shares.iter().map(|s| s[at]).sum::<f32>());
        let near = dilate(sum.mapv(|v| u8::from(v > BRAIN)).view(), cell_mm, AROUND_MM);
        let place = |(k, j, i): (usize, usize, usize)| {
            let middle = |cell: usize, f: usize| (cell as f64 - 1.0 + 0.5) * f as f64 - 0.5;
            apply(affine, [middle(i, factor[2]), middle(j, factor[1]), middle(k, factor[0])])
        };
        let centre = centre(sum.indexed_iter().map(|(at, v)| (place(at), f64::from(*v))));
        let cells = near
            .indexed_iter()
            // Every second cell, as on a chessboard: they are wider than what the blurred volume shows.
            .filter(|((k, j, i), m)| **m > 0 && (k + j + i) % 2 == 0)
            .map(|(at, _)| {
                let (p, brain) = (place(at), f64::from(sum[at]));
                let [csf, grey, white] = shares.each_ref().map(|s| f64::from(s[at]));
                let [x, y, z] = std::array::from_fn(|a| brain * (p[a] - centre[a]) / SLOPE_MM);
                Cell { at: p, columns: [csf, grey, white, (1.0 - brain).max(0.0), x, y, z] }
            })
            .collect();
        Self { cells, centre }
    }

    /// The bold volume as [`HeadCells::align`] takes it: smoothed, then less so.
    pub fn blurred(epi: &Epi) -> [Epi; 2] {
        SMOOTH_MM.map(|mm| epi.smoothed(mm))
    }

    /// Brings a blurred bold volume and the head together from `start`.
    pub fn align(&self, blurred: &[Epi; 2], start: &Matrix4) -> Matrix4 {
        blurred.iter().zip(LIMITS).fold(*start, |transform, (epi, limits)| {
            descend(&transform, self.centre, limits, |t, centre| self.evaluate(epi, t, centre)).transform
        })
    }

    /// The variance that the columns leave unexplained, over all of it.
    fn evaluate(&self, epi: &Epi, transform: &Matrix4, centre: [f64; 3]) -> Evaluation {
        let sampled: Vec<(Fit, Vec<Sample<'_>>)> = self
            .cells
            .par_chunks(CHUNK)
            .map(|cells| {
                let mut fit = Fit::default();
                let seen = cells.iter().filter_map(|cell| {
                    let at = apply(transform, cell.at);
                    let (value, gradient) = epi.sample(at)?;
                    fit.add(&cell.columns, value);
                    Some(Sample { columns: &cell.columns, value, derivatives: moved(gradient, at, centre) })
                });
                let seen = seen.collect();
                (fit, seen)
            })
            .collect();
        let mut fit = Fit::default();
        sampled.iter().for_each(|(part, _)| fit.join(part));
        let share = fit.points / self.cells.len().max(1) as f64;
        let (Some(brightness), variance) = (fit.solve(), fit.variance()) else { return Evaluation::nothing(share) };
        if share < LEAST_SHARE || variance <= 0.0 {
            return Evaluation::nothing(share);
        }
        let weight = 1.0 / (variance * fit.points);
        let parts: Vec<Evaluation> = sampled
            .par_iter()
            .map(|(_, samples)| {
                let mut part = Evaluation { cost: 0.0, ..Evaluation::nothing(0.0) };
                for sample in samples {
                    let expected: f64 = sample.columns.iter().zip(brightness).map(|(c, b)| c * b).sum();
                    let residual = sample.value - expected;
                    part.add(&sample.derivatives, residual, weight);
                    part.cost += weight * residual * residual;
                }
                part
            })
            .collect();
        let mut all = Evaluation { cost: 0.0, ..Evaluation::nothing(share) };
        parts.iter().for_each(|part| all.join(part));
        all
    }
}

/// A cell in view.
struct Sample<'a> {
    columns: &'a [f64; COLUMNS],
    value: f64,
    derivatives: [f64; 6],
}

/// The sums of the least squares.
#[derive(Default)]
struct Fit {
    points: f64,
    sum: f64,
    squares: f64,
    normal: [[f64; COLUMNS]; COLUMNS],
    right: [f64; COLUMNS],
}

impl Fit {
    fn add(&mut self, columns: &[f64; COLUMNS], value: f64) {
        self.points += 1.0;
        self.sum += value;
        self.squares += value * value;
        for (r, row) in self.normal.iter_mut().enumerate() {
            self.right[r] += columns[r] * value;
            row.iter_mut().zip(columns).for_each(|(cell, c)| *cell += columns[r] * c);
        }
    }

    fn join(&mut self, other: &Self) {
        self.points += other.points;
        self.sum += other.sum;
        self.squares += other.squares;
        self.normal.iter_mut().flatten().zip(other.normal.iter().flatten()).for_each(|(a, b)| *a += b);
        self.right.iter_mut().zip(other.right).for_each(|(a, b)| *a += b);
    }

    /// The brightness of each column.
    fn solve(&self) -> Option<[f64; COLUMNS]> {
        let mut normal = self.normal;
        (0..COLUMNS).for_each(|a| normal[a][a] += RIDGE * self.points / COLUMNS as f64);
        Some(solve(&cholesky(&normal)?, self.right))
    }

    fn variance(&self) -> f64 {
        self.squares / self.points - (self.sum / self.points).powi(2)
    }
}

/// The volume with a rim of zeros.
fn padded(volume: &Array3<f32>) -> Array3<f32> {
    let (nz, ny, nx) = volume.dim();
    let mut out = Array3::zeros((nz + 2, ny + 2, nx + 2));
    out.slice_mut(ndarray::s![1..=nz, 1..=ny, 1..=nx]).assign(volume);
    out
}

/// The centre of weighted points.
fn centre(points: impl Iterator<Item = ([f64; 3], f64)>) -> [f64; 3] {
    let sums =
        points.fold([0.0; 4], |sum, (p, w)| [sum[0] + w * p[0], sum[1] + w * p[1], sum[2] + w * p[2], sum[3] + w]);
    std::array::from_fn(|a| sums[a] / sums[3].max(f64::MIN_POSITIVE))
}
