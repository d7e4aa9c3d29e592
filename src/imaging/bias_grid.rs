//! The small grid that the bias field is iterated on: block means of log intensity inside the mask, and their state.

use std::ops::Range;

use ndarray::{Array3, ArrayView3, Axis, Slice};
use rayon::prelude::*;

use crate::imaging::bias_histogram::{BINS, Bins, Target, TissueTarget, look_up};
use crate::imaging::bspline::{AxisBasis, GridBasis};
use crate::imaging::bspline_fit::fit;
use crate::imaging::filter::{par_planes, quantiles};

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
        let block = |a: usize, i: usize| {
            let from = bounds[a].start + i * factor[a];
            from..(from + factor[a]).min(bounds[a].end)
        };
        par_planes(&mut log, 0).enumerate().for_each(|(k, mut slab)| {
            for ((j, i), value) in slab.indexed_iter_mut() {
                let at = [block(0, k), block(1, j), block(2, i)];
                let (image, mask) = (cut(&image, &at), cut(&mask, &at));
                *value = block_mean(image, mask).map_or(f32::NAN, f32::ln);
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

/// The ranges of voxels that hold the mask; the empty mask gives empty ranges.
fn bounding_box(mask: ArrayView3<u8>) -> [Range<usize>; 3] {
    // (First, one past the last) index per axis.
    let mut bounds = [(usize::MAX, 0); 3];
    for ((k, j), row) in ndarray::indices((mask.dim().0, mask.dim().1)).into_iter().zip(mask.rows()) {
        let first = row.iter().position(|m| *m > 0);
        let last = row.iter().rposition(|m| *m > 0);
        if let (Some(first), Some(last)) = (first, last) {
            for (b, (low, high)) in bounds.iter_mut().zip([(k, k), (j, j), (first, last)]) {
                *b = (b.0.min(low), b.1.max(high + 1));
            }
        }
    }
    bounds.map(|(start, end)| start.min(end)..end)
}

/// A box of a volume.
fn cut<'a, T>(volume: &ArrayView3<'a, T>, at: &[Range<usize>; 3]) -> ArrayView3<'a, T> {
    let mut volume = *volume;
    for (axis, range) in at.iter().enumerate() {
        volume.slice_axis_inplace(Axis(axis), Slice::from(range.clone()));
    }
    volume
}

/// The mean of the usable mask voxels of a block, when at least half of the block is such.
fn block_mean(image: ArrayView3<f32>, mask: ArrayView3<u8>) -> Option<f32> {
    let (mut sum, mut n) = (0f32, 0usize);
    for (v, m) in image.iter().zip(&mask) {
        if *m > 0 && v.is_finite() && *v > 0.0 {
            sum += v;
            n += 1;
        }
    }
    (n > 0 && 2 * n >= image.len()).then(|| sum / n as f32)
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
    pub fn step(
        &self,
        basis: &GridBasis,
        lattice: &Array3<f32>,
        target: &Target,
        stiffness: f64,
    ) -> Option<Array3<f32>> {
        let (_, ny, nx) = basis.samples();
        let tissues = match target {
            Target::Sharp(_) => None,
            Target::Tissues(tissues) => Some((tissues, self.posteriors(tissues))),
        };
        let found = fit(basis, stiffness, |z, weights, products| {
            match (target, &tissues) {
                (Target::Sharp(expected), _) => self.leave_sharp(expected, z, weights, products),
                (_, Some((tissues, posteriors))) => self.leave_tissues(tissues, posteriors, z, weights, products),
                _ => {}
            }
            let mut field = vec![0f32; ny * nx];
            basis.evaluate_slab(lattice.view(), z, &mut field);
            products.iter_mut().zip(weights).zip(field).for_each(|((p, w), f)| *p += *w * f);
        })?;
        Some(found - lattice - self.mean as f32)
    }

    /// For slab `z` the weight of each block, and weight × (intensity − what the sharp histogram expects).
    fn leave_sharp(&self, expected: &[f32; BINS], z: usize, weights: &mut [f32], products: &mut [f32]) {
        for ((value, w), p) in self.rest.index_axis(Axis(0), z).iter().zip(weights).zip(products) {
            if !value.is_nan() {
                *w = 1.0;
                *p = value - look_up(expected, self.bins, *value);
            }
        }
    }

    /// The same for tissues. A block counts for a tissue as far as it and its six neighbours are of it: where tissues meet,
    /// blocks hold some of both, and taking that for field would darken white matter near the cortex and lighten the
    /// depth. Neighbours outside the mask are of no tissue, so its edge, wrong or not, says little.
    fn leave_tissues(
        &self,
        tissues: &TissueTarget,
        posteriors: &Array3<[f32; 3]>,
        z: usize,
        weights: &mut [f32],
        products: &mut [f32],
    ) {
        let (nz, ny, nx) = posteriors.dim();
        let Some(all) = posteriors.as_slice().filter(|_| z > 0 && z + 1 < nz && ny > 2 && nx > 2) else { return };
        for (y, row) in self.rest.index_axis(Axis(0), z).outer_iter().enumerate().take(ny - 1).skip(1) {
            for (x, value) in row.iter().enumerate().take(nx - 1).skip(1).filter(|(_, v)| !v.is_nan()) {
                let at = (z * ny + y) * nx + x;
                let around = [at - 1, at + 1, at - nx, at + nx, at - nx * ny, at + nx * ny].map(|i| all[i]);
                for c in 0..3 {
                    let like = around.iter().map(|p| p[c]).sum::<f32>() / around.len() as f32;
                    let weight = tissues.precision[c] * all[at][c] * like.powi(3);
                    weights[y * nx + x] += weight;
                    products[y * nx + x] += weight * (value - tissues.centres[c]);
                }
            }
        }
    }

    /// The probability of each tissue at each block; none outside the mask.
    fn posteriors(&self, tissues: &TissueTarget) -> Array3<[f32; 3]> {
        let mut out = Array3::from_elem(self.rest.dim(), [0f32; 3]);
        par_planes(&mut out, 0).enumerate().for_each(|(z, mut slab)| {
            let blocks = slab.iter_mut().zip(self.rest.index_axis(Axis(0), z));
            blocks.filter(|(_, v)| !v.is_nan()).for_each(|(p, v)| *p = tissues.posteriors(self.bins, *v));
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
