//! Class means that vary slowly in space, on a grid of cells of about 4 mm.
//!
//! One tissue is not equally bright everywhere: white matter near the pole is darker than in the middle, and what the
//! bias correction leaves differs from place to place. So every class has its own mean in every cell: the mean of the
//! voxels nearby, weighted by the square of their probability, and drawn to the mean of the whole class where there are few.

use ndarray::Array3;
use rayon::prelude::*;

use super::region::{Region, Span};
use crate::filter::gaussian_smooth_in_place;

/// Edge of a cell, mm.
const CELL_MM: f64 = 4.0;
/// Reach of the mean: sd of the Gaussian, mm.
const REACH_MM: f64 = 8.0;
/// Weight of the mean of the whole class, against that of a neighbourhood full of voxels of the class.
const PULL: f32 = 0.1;

/// Weights of the grid of cells.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cells {
    /// Voxels to a cell, by axis (z, y, x).
    pub step: [usize; 3],
    /// Cells by axis: one more than needed, so that there is an upper neighbour to interpolate with.
    pub shape: [usize; 3],
    /// Sd of the smoothing, in cells.
    sigma: [f64; 3],
    /// For each voxel along x the cell below and the weight of the one above.
    columns: Vec<(usize, f32)>,
}

/// A value for each of the three tissues in each cell, CSF, grey and white matter.
pub(super) type CellMeans = [Vec<f32>; 3];

/// Sums over the voxels of one layer of cells: for each tissue the weights, and the weighted intensities.
pub(super) type LayerSums = [[Vec<f32>; 2]; 3];

impl Cells {
    pub fn new(region: &Region, voxel_mm: [f64; 3]) -> Self {
        let step = voxel_mm.map(|mm| ((CELL_MM / mm).round() as usize).max(1));
        let shape = std::array::from_fn(|a| region.shape[a].div_ceil(step[a]) + 1);
        let sigma = std::array::from_fn(|a| REACH_MM / (step[a] as f64 * voxel_mm[a]));
        let columns = (0..region.shape[2]).map(|x| place(x, step[2], shape[2])).collect();
        Self { step, shape, sigma, columns }
    }

    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Cells in a layer (one z).
    pub fn layer(&self) -> usize {
        self.shape[1] * self.shape[2]
    }

    /// Sums of nothing, for one layer.
    pub fn empty_layer(&self) -> LayerSums {
        std::array::from_fn(|_| [vec![0.0; self.layer()], vec![0.0; self.layer()]])
    }

    /// Adds the voxels of a span with these intensities and probabilities to the sums of a layer.
    pub fn add(&self, sums: &mut [Vec<f32>; 2], span: &Span, values: &[f32], probabilities: &[f32]) {
        let [weights, weighted] = sums;
        let first = span.y / self.step[1] * self.shape[2];
        let (mut at, mut left) = (first + span.from / self.step[2], self.step[2] - span.from % self.step[2]);
        let (mut values, mut probabilities) = (values, probabilities);
        while !values.is_empty() {
            let n = left.min(values.len());
            let (v, others) = values.split_at(n);
            let (p, rest) = probabilities.split_at(n.min(probabilities.len()));
            let [weight, product] = p.iter().zip(v).fold([0.0f32; 2], |[a, b], (p, v)| [a + p * p, b + p * p * v]);
            weights[at] += weight;
            weighted[at] += product;
            (values, probabilities, at, left) = (others, rest, at + 1, self.step[2]);
        }
    }

    /// The means of each cell from the sums of all layers; `usual` has those to fall back on.
    pub fn means(&self, layers: &[LayerSums], usual: &CellMeans) -> CellMeans {
        let full = self.step.iter().product::<usize>() as f32;
        let made: Vec<Vec<f32>> = (0..3)
            .into_par_iter()
            .map(|class| {
                let [weights, weighted] = [0, 1].map(|what| self.smoothed(layers, class, what));
                let cells = weights.iter().zip(&weighted).zip(&usual[class]);
                cells.map(|((w, sum), usual)| (sum / full + PULL * usual) / (w / full + PULL)).collect()
            })
            .collect();
        let mut made = made.into_iter();
        std::array::from_fn(|_| made.next().unwrap_or_default())
    }

    fn smoothed(&self, layers: &[LayerSums], class: usize, what: usize) -> Array3<f32> {
        let mut all = Array3::zeros(self.shape);
        for (mut to, layer) in all.outer_iter_mut().zip(layers) {
            to.iter_mut().zip(&layer[class][what]).for_each(|(to, v)| *to = *v);
        }
        gaussian_smooth_in_place(&mut all, self.sigma);
        all
    }

    /// The means of all cells, all alike.
    pub fn uniform(&self, means: [f32; 3]) -> CellMeans {
        means.map(|mean| vec![mean; self.len()])
    }

    /// Interpolates `cells` along a span of plane `z` into `out`; `line` is room to work in.
    pub fn along(&self, cells: &[f32], z: usize, span: &Span, line: &mut Vec<f32>, out: &mut [f32]) {
        let ((k, wz), (j, wy)) = (place(z, self.step[0], self.shape[0]), place(span.y, self.step[1], self.shape[1]));
        let row = |k: usize, j: usize| {
            let first = (k * self.shape[1] + j) * self.shape[2];
            &cells[first..first + self.shape[2]]
        };
        let rows = row(k, j).iter().zip(row(k, j + 1)).zip(row(k + 1, j).iter().zip(row(k + 1, j + 1)));
        line.clear();
        line.extend(rows.map(|((a, b), (c, d))| {
            let (low, high) = (a + wy * (b - a), c + wy * (d - c));
            low + wz * (high - low)
        }));
        for (to, &(i, w)) in out.iter_mut().zip(&self.columns[span.from..span.to]) {
            *to = line[i] + w * (line[i + 1] - line[i]);
        }
    }

    /// The mean of `values` (in the box) over the voxels of each cell; `otherwise` where it has none.
    pub fn averages(&self, region: &Region, values: &[f32], otherwise: f32) -> Vec<f32> {
        let (mut sums, mut counts) = (vec![0.0f32; self.len()], vec![0u32; self.len()]);
        for (z, spans) in region.spans.iter().enumerate() {
            for span in spans {
                let first = (z / self.step[0] * self.shape[1] + span.y / self.step[1]) * self.shape[2];
                let row = z * region.plane() + span.y * region.shape[2];
                for x in span.from..span.to {
                    sums[first + x / self.step[2]] += values[row + x];
                    counts[first + x / self.step[2]] += 1;
                }
            }
        }
        sums.iter().zip(counts).map(|(sum, n)| if n > 0 { sum / n as f32 } else { otherwise }).collect()
    }
}

/// The cell below voxel `at` of an axis, and the weight of the one above.
fn place(at: usize, step: usize, cells: usize) -> (usize, f32) {
    let middle = ((at as f32 + 0.5) / step as f32 - 0.5).max(0.0);
    let below = (middle as usize).min(cells.saturating_sub(2));
    (below, middle - below as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(shape: (usize, usize, usize)) -> Region {
        Region::new(Array3::zeros(shape).view(), Array3::from_elem(shape, 1).view())
    }

    #[test]
    fn a_ramp_of_cells_is_a_ramp_of_voxels() {
        let region = region((22, 30, 26));
        let cells = Cells::new(&region, [2.0, 1.0, 1.0]);
        assert_eq!((cells.step, cells.shape), ([2, 4, 4], [13, 9, 8]));
        // Centre of cell c of an axis with s voxels to a cell: s (c + 1/2) - 1/2.
        let centre = |c: usize, s: usize| s as f32 * (c as f32 + 0.5) - 0.5;
        let ramp: Vec<f32> = (0..cells.len())
            .map(|at| [at / cells.layer(), at / cells.shape[2] % cells.shape[1], at % cells.shape[2]])
            .map(|[k, j, i]| centre(k, 2) + 10.0 * centre(j, 4) + 100.0 * centre(i, 4))
            .collect();
        let span = Span { y: 11, from: 5, to: 20 };
        let mut out = [0.0; 15];
        cells.along(&ramp, 7, &span, &mut Vec::new(), &mut out);
        for (x, v) in (5..20).zip(out) {
            assert!((v - (7.0 + 110.0 + 100.0 * x as f32)).abs() < 1e-2, "{x} {v}");
        }
    }

    #[test]
    fn a_class_seen_everywhere_has_its_mean_and_one_never_seen_the_usual_one() {
        let region = region((16, 16, 16));
        let cells = Cells::new(&region, [2.0; 3]);
        let layers: Vec<LayerSums> = (0..cells.shape[0])
            .map(|layer| {
                let mut sums = cells.empty_layer();
                for z in layer * 2..(layer * 2 + 2).min(region.shape[0]) {
                    for span in &region.spans[z] {
                        cells.add(&mut sums[1], span, &[500.0; 16], &[1.0; 16]);
                    }
                }
                sums
            })
            .collect();
        let means = cells.means(&layers, &cells.uniform([100.0, 400.0, 900.0]));
        assert!(means[0].iter().all(|m| (m - 100.0).abs() < 1e-3));
        let middle = means[1][(4 * cells.shape[1] + 4) * cells.shape[2] + 4];
        assert!(middle > 485.0 && middle <= 500.0, "{middle}");
    }
}
