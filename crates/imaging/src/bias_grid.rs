//! The small grid that the bias field is iterated on: block means of log intensity inside the mask, and their state.

use std::ops::Range;

use ndarray::{Array3, ArrayView3, ArrayViewMut1, Axis, s};
use rayon::prelude::*;

use crate::bias_histogram::{BINS, Bins, Target, TissueTarget, look_up};
use crate::bspline::{AxisBasis, GridBasis};
use crate::bspline_fit::fit;
use crate::filter::{bounding_box, par_planes, quantiles};

/// Largest voxel of the working grid, mm; larger voxels are used as they are.
const WORKING_MM: f64 = 2.0;
/// Size of an element of the lattice, mm.
const ELEMENT_MM: f64 = 50.0;
/// How far the lattice reaches beyond the mask, mm; from there on the field stays as it is.
const MARGIN_MM: f64 = 10.0;

/// Blocks of voxels inside the bounding box of the mask, and the lattice over them.
pub struct WorkingGrid {
    /// Log of the mean intensity of the mask voxels of each block; NaN where less than half a block is mask.
    log: Array3<f32>,
    /// Voxels of the image that the blocks cover, per axis.
    bounds: [Range<usize>; 3],
    /// Voxels per block, per axis.
    factor: [usize; 3],
    /// Shape of the image.
    shape: [usize; 3],
    voxel_mm: [f64; 3],
}

impl WorkingGrid {
    /// Shrinks the masked part of `image` to blocks of at most 2 mm (one voxel at least). Shapes are taken to be equal,
    /// sizes to be positive.
    pub fn new(image: ArrayView3<f32>, mask: ArrayView3<u8>, voxel_mm: [f64; 3]) -> Self {
        // A hair above 1, so that voxels of 1.0000001 mm still make blocks of 2.
        let factor = voxel_mm.map(|v| ((WORKING_MM / v * 1.001) as usize).max(1));
        let (nz, ny, nx) = image.dim();
        let bounds = bounding_box(mask);
        let blocks: [usize; 3] = std::array::from_fn(|a| bounds[a].len().div_ceil(factor[a]));
        let mut log = Array3::from_elem(blocks, f32::NAN);
        par_planes(&mut log, 0).enumerate().for_each(|(k, mut slab)| {
            let depth = block(&bounds[0], factor[0], k);
            for (j, row) in slab.outer_iter_mut().enumerate() {
                let height = block(&bounds[1], factor[1], j);
                let lines = depth.clone().flat_map(|z| height.clone().map(move |y| (z, y)));
                log_means(lines, image, mask, (&bounds[2], factor[2]), row);
            }
        });
        Self { log, bounds, factor, shape: [nz, ny, nx], voxel_mm }
    }

    /// Number of blocks with a value.
    pub fn usable(&self) -> usize {
        self.log.iter().filter(|v| v.is_finite()).count()
    }

    /// The state before the first iteration; `None` when no block has a value.
    pub fn start(&self) -> Option<Iterate> {
        let mut values = self.log.iter().copied().collect();
        let [low, high] = quantiles(&mut values, [0.001, 0.999])?;
        // Room for intensities to move as the field is taken out.
        let bins = Bins::spanning(low - 0.1, high + 0.2);
        let mut iterate = Iterate { rest: self.log.clone(), mean: 0.0, bins, counts: [0.0; BINS] };
        for value in self.log.iter().filter(|v| v.is_finite()) {
            count(&mut iterate.counts, bins, *value);
        }
        Some(iterate)
    }

    /// The lattice over the blocks.
    pub fn basis(&self) -> GridBasis {
        let axes = std::array::from_fn(|a| {
            let (start, factor, end) = (self.bounds[a].start, self.factor[a], self.bounds[a].end);
            let centre = move |i: usize| {
                let from = start + i * factor;
                (from + (from + factor).min(end)) as f64 / 2.0
            };
            self.axis(a, (0..self.log.shape()[a]).map(centre))
        });
        GridBasis { axes }
    }

    /// The same lattice over the voxels of the image.
    pub fn full_basis(&self) -> GridBasis {
        let axes = std::array::from_fn(|a| self.axis(a, (0..self.shape[a]).map(|i| i as f64 + 0.5)));
        GridBasis { axes }
    }

    /// One axis of the lattice, for samples at `centres` (in voxels from the outer face of the first voxel). Elements have the
    /// same size on all axes and are centred on the mask's box, which they cover with a margin.
    fn axis(&self, a: usize, centres: impl Iterator<Item = f64>) -> AxisBasis {
        let (mm, bounds) = (self.voxel_mm[a], &self.bounds[a]);
        let elements = ((bounds.len() as f64 * mm + 2.0 * MARGIN_MM) / ELEMENT_MM).ceil();
        let span = elements * ELEMENT_MM;
        let start = ((bounds.start + bounds.end) as f64 * mm - span) / 2.0;
        AxisBasis::new(centres.map(move |c| c * mm - start), span, elements as usize)
    }
}

/// The voxels of block `i` of an axis.
fn block(bounds: &Range<usize>, factor: usize, i: usize) -> Range<usize> {
    let from = bounds.start + i * factor;
    from..(from + factor).min(bounds.end)
}

/// The logs of the mean intensities of a row of blocks that consist of these `lines` (z, y): of the usable mask voxels, when
/// at least half of the block is such.
fn log_means(
    lines: impl Iterator<Item = (usize, usize)>,
    image: ArrayView3<f32>,
    mask: ArrayView3<u8>,
    (bounds, factor): (&Range<usize>, usize),
    row: ArrayViewMut1<f32>,
) {
    let mut blocks = vec![(0_f32, 0_usize, 0_usize); row.len()];
    for (z, y) in lines {
        let image = image.slice(s![z, y, bounds.clone()]);
        let mask = mask.slice(s![z, y, bounds.clone()]);
        let parts = image.axis_chunks_iter(Axis(0), factor).zip(mask.axis_chunks_iter(Axis(0), factor));
        for ((sum, used, all), (image, mask)) in blocks.iter_mut().zip(parts) {
            *all += image.len();
            for (v, _) in image.iter().zip(mask).filter(|(v, m)| **m > 0 && v.is_finite() && **v > 0.0) {
                *sum += v;
                *used += 1;
            }
        }
    }
    for (value, (sum, used, _)) in
        row.into_iter().zip(blocks).filter(|(_, (_, used, all))| *used > 0 && 2 * used >= *all)
    {
        *value = (sum / used as f32).ln();
    }
}

fn count(counts: &mut [f64; BINS], bins: Bins, value: f32) {
    let (b, t) = bins.locate(value);
    counts[b] += f64::from(1.0 - t);
    counts[b + 1] += f64::from(t);
}

/// Where the iterations stand.
pub struct Iterate {
    /// Log intensities without the field found so far; NaN outside the mask.
    rest: Array3<f32>,
    /// Mean log field found so far inside the mask.
    mean: f64,
    /// Axis of the histogram.
    pub bins: Bins,
    /// Histogram of the log intensities without the field.
    pub counts: [f64; BINS],
}

impl Iterate {
    /// The spline that explains best what `target` leaves of the intensities, with the `stiffness` of [`fit`], less the field
    /// found so far (`lattice`) and less the mean of that in the mask: else the intensities would wander off their
    /// histogram. (B-splines sum to 1, so a constant is taken off the control points.) `None` when there is no such spline.
    ///
    /// `grid` is the one this state began with: what is to be explained is the difference of its intensities, with all the
    /// field in them, and those expected now.
    pub fn step(
        &self,
        grid: &WorkingGrid,
        basis: &GridBasis,
        lattice: &Array3<f32>,
        target: &Target,
        stiffness: f64,
    ) -> Option<Array3<f32>> {
        let found = match target {
            Target::Sharp(expected) => fit(basis, stiffness, |z, weights, products| {
                self.leave_sharp(grid, expected, z, weights, products);
            }),
            Target::Tissues(tissues) => {
                let posteriors = self.posteriors(tissues);
                fit(basis, stiffness, |z, weights, products| {
                    leave_tissues(grid, tissues, &posteriors, z, weights, products);
                })
            }
        }?;
        Some(found - lattice - self.mean as f32)
    }

    /// For slab `z` the weight of each block, and weight × (intensity − what the sharp histogram expects).
    fn leave_sharp(
        &self,
        grid: &WorkingGrid,
        expected: &[f32; BINS],
        z: usize,
        weights: &mut [f32],
        products: &mut [f32],
    ) {
        let blocks = grid.log.index_axis(Axis(0), z).into_iter().zip(self.rest.index_axis(Axis(0), z));
        for ((log, rest), (w, p)) in blocks.zip(weights.iter_mut().zip(products)) {
            if !rest.is_nan() {
                *w = 1.0;
                *p = log - look_up(expected, self.bins, *rest);
            }
        }
    }

    /// The probability of each tissue at each block; none outside the mask.
    fn posteriors(&self, tissues: &TissueTarget) -> [Array3<f32>; 3] {
        let mut out: [Array3<f32>; 3] = std::array::from_fn(|_| Array3::zeros(self.rest.dim()));
        let [dark, middle, bright] = &mut out;
        let planes = par_planes(dark, 0).zip(par_planes(middle, 0).zip(par_planes(bright, 0))).enumerate();
        planes.for_each(|(z, (mut dark, (mut middle, mut bright)))| {
            let outs = dark.iter_mut().zip(middle.iter_mut().zip(bright.iter_mut()));
            let blocks = outs.zip(self.rest.index_axis(Axis(0), z));
            blocks.filter(|(_, v)| !v.is_nan()).for_each(|((d, (m, b)), v)| {
                [*d, *m, *b] = tissues.posteriors(self.bins, *v);
            });
        });
        out
    }

    /// Takes the spline `step` out of the intensities; returns the standard deviation of the step inside the mask.
    pub fn correct(&mut self, basis: &GridBasis, step: &Array3<f32>) -> f64 {
        let bins = self.bins;
        let slabs: Vec<([f64; 3], [f64; BINS])> = par_planes(&mut self.rest, 0)
            .enumerate()
            .map(|(z, mut slab)| {
                let mut change = vec![0f32; slab.len()];
                basis.evaluate_slab(step.view(), z, &mut change);
                let (mut sums, mut counts) = ([0f64; 3], [0f64; BINS]);
                for (value, d) in slab.iter_mut().zip(&change).filter(|(v, _)| !v.is_nan()) {
                    *value -= d;
                    count(&mut counts, bins, *value);
                    let d = f64::from(*d);
                    sums.iter_mut().zip([1.0, d, d * d]).for_each(|(s, x)| *s += x);
                }
                (sums, counts)
            })
            .collect();
        self.counts = [0.0; BINS];
        let mut total = [0f64; 3];
        for (sums, counts) in &slabs {
            total.iter_mut().zip(sums).for_each(|(t, s)| *t += s);
            self.counts.iter_mut().zip(counts).for_each(|(t, c)| *t += c);
        }
        let [n, sum, square] = total;
        let mean = sum / n.max(1.0);
        self.mean += mean;
        (square / n.max(1.0) - mean * mean).max(0.0).sqrt()
    }

    /// The range of the log field found so far inside the mask.
    pub fn log_range(&self, grid: &WorkingGrid) -> (f32, f32) {
        let field = grid.log.iter().zip(&self.rest).map(|(before, after)| before - after).filter(|f| !f.is_nan());
        field.fold((f32::MAX, f32::MIN), |(low, high), f| (low.min(f), high.max(f)))
    }
}

/// For slab `z` the weight of each block, and weight × (intensity − what its tissue has). A block counts for a tissue as far as it and its six neighbours are of it: where tissues meet,
/// blocks hold some of both, and taking that for field would darken white matter near the cortex and lighten the depth.
/// Neighbours outside the mask are of no tissue, so its edge, wrong or not, says little.
fn leave_tissues(
    grid: &WorkingGrid,
    tissues: &TissueTarget,
    posteriors: &[Array3<f32>; 3],
    z: usize,
    weights: &mut [f32],
    products: &mut [f32],
) {
    let (nz, ny, nx) = grid.log.dim();
    if z == 0 || z + 1 >= nz || ny < 3 || nx < 3 {
        return;
    }
    let log = grid.log.as_slice().unwrap_or_default();
    for (c, all) in posteriors.iter().enumerate() {
        let (all, precision, centre) = (all.as_slice().unwrap_or_default(), tissues.precision[c], tissues.centres[c]);
        for y in 1..ny - 1 {
            let (at, inner, n) = ((z * ny + y) * nx + 1, y * nx + 1, nx - 2);
            let row = |first: usize| &all[first..first + n];
            let (own, log) = (row(at), &log[at..at + n]);
            let [left, right] = [row(at - 1), row(at + 1)];
            let [behind, front] = [row(at - nx), row(at + nx)];
            let [below, above] = [row(at - nx * ny), row(at + nx * ny)];
            let (weights, products) = (&mut weights[inner..inner + n], &mut products[inner..inner + n]);
            for x in 0..n {
                let like = (left[x] + right[x] + behind[x] + front[x] + below[x] + above[x]) / 6.0;
                // Outside the mask nothing is of any tissue, and there is no intensity.
                let leaves = if log[x].is_nan() { 0.0 } else { log[x] - centre };
                let weight = precision * own[x] * like * like * like;
                weights[x] += weight;
                products[x] += weight * leaves;
            }
        }
    }
}
