//! The bias field of a scan: the sharpening of N4 to begin with, then the evenness of three tissues.
//!
//! The coil sees some places better than others, so one tissue has many intensities. N4 (Tustison et al. 2010,
//! doi:10.1109/TMI.2010.2046908) finds the smooth multiplicative field that, divided out, makes the histogram sharpest; it
//! needs no idea of the tissues, but is slow near the end and takes some of the real differences of tissue for field
//! (cortex is darker than depth). So it only brings the field near; then the expected intensities come from three tissue
//! classes, and the inside of uniform tissue counts most (after Wells et al. 1996, doi:10.1109/42.511747). An image without
//! three distinct tissues keeps the field of the sharpening, which is the safer one.
//!
//! The field is the penalised least-squares spline of [`super::bspline_fit`]. All iterations run on block means of about
//! 2 mm inside the mask; only the finished spline meets the full image.

use ndarray::{Array3, ArrayView2, ArrayView3, ArrayViewMut3, Axis, Zip};
use rayon::prelude::*;
use thiserror::Error;

use crate::bias_grid::{Iterate, WorkingGrid};
use crate::bias_histogram::{Target, classify, sharpen};
use crate::bspline::GridBasis;
use crate::elementary::exp;
use crate::filter::par_planes;

/// Fewest voxels of the working grid that say anything about a field.
const FEWEST: usize = 100;
/// How far beyond its range inside the mask the log field comes at most outside, where nothing but smoothness is known.
const SLACK: f32 = 0.15;

/// Each iteration takes this many times the step that is asked for, since each asks for less than is left; below 2 such a
/// step cannot grow an error.
const RELAXATION: f32 = 1.5;
/// Stiffness of the field (see [`super::bspline_fit`]) while the histogram is sharpened, which cannot tell cortex from a dark
/// rim, and with tissues.
const STIFF: f64 = 0.8;
const SUPPLE: f64 = 1.3e-3;
/// Iterations of sharpening after which most images show their tissues.
const NEAR: usize = 8;
/// Most iterations of either kind.
const MOST: usize = 40;
/// The field is at rest when an iteration changes its log by less than this (standard deviation in the mask).
const TOLERANCE: f64 = 3e-4;

/// An estimated bias field.
#[derive(Clone, Debug)]
pub struct BiasField {
    /// The multiplicative field, shape of the image, mean 1 inside the mask, positive everywhere; see [`divide_by_field`].
    pub field: Array3<f32>,
    /// Iterations of sharpening, and with tissues; 0 of the latter when the image does not show three.
    pub iterations: [usize; 2],
    /// Whether the iterations of the last kind that ran came to rest.
    pub converged: bool,
    /// Coefficient of variation (sd / mean) of the image inside the mask.
    pub cv_before: f64,
    /// The same of the corrected image.
    pub cv_after: f64,
}

/// Why there is no bias field.
#[derive(Debug, Error, PartialEq)]
pub enum BiasError {
    /// Image and mask differ in shape.
    #[error("bias field: the mask has shape {mask:?}, the image {image:?}; make the mask on the grid of the image")]
    Shape {
        /// Shape of the image (z, y, x).
        image: (usize, usize, usize),
        /// Shape of the mask (z, y, x).
        mask: (usize, usize, usize),
    },
    /// Voxel sizes are not positive numbers.
    #[error("bias field: voxel sizes {voxel_mm:?} mm must be positive; check the header")]
    Sizes {
        /// Voxel sizes as given (z, y, x).
        voxel_mm: [f64; 3],
    },
    /// Too few voxels in the mask have a positive, finite intensity.
    #[error(
        "bias field: only {usable} blocks of the mask have positive intensities, {FEWEST} are needed; check the mask"
    )]
    TooFew {
        /// Blocks of the working grid that could be used.
        usable: usize,
    },
}

/// Estimates the bias field of `image` from the voxels in `mask` that are positive and finite.
///
/// `voxel_mm` = `[dz, dy, dx]`. Works for T1w images and for single EPI volumes; where the histogram does not show three
/// tissues, as on EPI, it is sharpened to the end. Outside the mask the spline goes on with little bending, its log ever
/// slower beyond its range inside, and never 0.15 more.
///
/// # Errors
/// [`BiasError`]: shapes differ, impossible sizes, or hardly anything in the mask.
pub fn estimate_bias(image: ArrayView3<f32>, mask: ArrayView3<u8>, voxel_mm: [f64; 3]) -> Result<BiasField, BiasError> {
    if image.dim() != mask.dim() {
        return Err(BiasError::Shape { image: image.dim(), mask: mask.dim() });
    }
    if !voxel_mm.iter().all(|v| v.is_finite() && *v > 0.0) {
        return Err(BiasError::Sizes { voxel_mm });
    }
    let grid = WorkingGrid::new(image, mask, voxel_mm);
    let usable = grid.usable();
    let start = grid.start().filter(|_| usable >= FEWEST).ok_or(BiasError::TooFew { usable })?;
    let basis = grid.basis();
    let mut state = State { lattice: Array3::zeros(basis.controls()), basis, iterate: start, grid: &grid };
    let (mut iterations, mut converged) = ([0; 2], false);
    for most in [NEAR, MOST] {
        let (run, at_rest) = state.sharpen(most);
        iterations[0] += run;
        let (run, tissues_at_rest) = state.by_tissues();
        iterations[1] += run;
        converged = if run > 0 { tissues_at_rest } else { at_rest };
        if run > 0 {
            break;
        }
    }
    let (mut field, [mean, cv_before, cv_after]) =
        evaluate(&grid.full_basis(), &state.lattice, state.iterate.log_range(&grid), image, mask);
    let scale = (1.0 / mean) as f32;
    par_planes(&mut field, 0).for_each(|mut slab| slab.iter_mut().for_each(|v| *v *= scale));
    Ok(BiasField { field, iterations, converged, cv_before, cv_after })
}

/// The field as it stands.
struct State<'a> {
    grid: &'a WorkingGrid,
    basis: GridBasis,
    iterate: Iterate,
    lattice: Array3<f32>,
}

impl State<'_> {
    /// Iterates towards the sharpest histogram, at most `most` times. Returns the iterations run and whether the field came to
    /// rest.
    fn sharpen(&mut self, most: usize) -> (usize, bool) {
        self.iterate(most, STIFF, |i| Some(Target::Sharp(Box::new(sharpen(&i.counts, i.bins)))))
    }

    /// Iterates towards even tissues; not at all when the histogram does not show them.
    fn by_tissues(&mut self) -> (usize, bool) {
        let mut tissues = None;
        self.iterate(MOST, SUPPLE, |i| Some(Target::Tissues(Box::new(classify(&i.counts, i.bins, &mut tissues)?))))
    }

    fn iterate(
        &mut self,
        most: usize,
        stiffness: f64,
        mut target: impl FnMut(&Iterate) -> Option<Target>,
    ) -> (usize, bool) {
        for done in 0..most {
            let step = |t: Target| self.iterate.step(self.grid, &self.basis, &self.lattice, &t, stiffness);
            let Some(step) = target(&self.iterate).and_then(step).map(|s| s * RELAXATION) else { return (done, false) };
            let change = self.iterate.correct(&self.basis, &step);
            self.lattice += &step;
            if change < TOLERANCE {
                return (done + 1, true);
            }
        }
        (most, false)
    }
}

/// The exponential of the spline on the full grid, its logarithm softly kept near its range in the mask; and what
/// [`measure`] says of it.
fn evaluate(
    basis: &GridBasis,
    lattice: &Array3<f32>,
    (low, high): (f32, f32),
    image: ArrayView3<f32>,
    mask: ArrayView3<u8>,
) -> (Array3<f32>, [f64; 3]) {
    let mut field = Array3::<f32>::zeros(basis.samples());
    let slabs: Vec<[f64; 6]> = par_planes(&mut field, 0)
        .enumerate()
        .map(|(z, mut slab)| {
            let Some(values) = slab.as_slice_mut() else { return [0.0; 6] };
            basis.evaluate_slab(lattice.view(), z, values);
            values.iter_mut().for_each(|v| *v = exp(soften(*v, low, high)));
            sums_in(image.index_axis(Axis(0), z), mask.index_axis(Axis(0), z), slab.view())
        })
        .collect();
    (field, measure(&slabs))
}

/// `value` between `low` and `high`; beyond, it goes on with the same slope, ever slower, and never [`SLACK`] far.
fn soften(value: f32, low: f32, high: f32) -> f32 {
    let inside = value.clamp(low, high);
    let beyond = value - inside;
    inside + beyond / (1.0 + beyond.abs() / SLACK)
}

/// Inside the mask of a slab the sums of 1, field, image, image², image / field and its square.
fn sums_in(image: ArrayView2<f32>, mask: ArrayView2<u8>, field: ArrayView2<f32>) -> [f64; 6] {
    let mut sums = [0f64; 6];
    Zip::from(image).and(mask).and(field).for_each(|v, m, f| {
        if *m > 0 && v.is_finite() && *v > 0.0 {
            let (v, f) = (f64::from(*v), f64::from(*f));
            let c = v / f;
            sums.iter_mut().zip([1.0, f, v, v * v, c, c * c]).for_each(|(s, x)| *s += x);
        }
    });
    sums
}

/// From the sums of the slabs the mean of the field, and the coefficients of variation of the image and of image / field.
fn measure(slabs: &[[f64; 6]]) -> [f64; 3] {
    let mut total = [0f64; 6];
    slabs.iter().for_each(|slab| total.iter_mut().zip(slab).for_each(|(t, s)| *t += s));
    let [n, field, sum, square, corrected, corrected_square] = total.map(|t| t / total[0].max(1.0));
    let cv = |mean: f64, square: f64| (square - mean * mean).max(0.0).sqrt() / mean;
    [field / n.max(f64::MIN_POSITIVE), cv(sum, square), cv(corrected, corrected_square)]
}

/// Corrects an image in place: `image / field`. `field` has the shape of `image` and is positive, as [`estimate_bias`]
/// makes it.
pub fn divide_by_field(mut image: ArrayViewMut3<f32>, field: ArrayView3<f32>) {
    Zip::from(&mut image).and(&field).par_for_each(|voxel, field| *voxel /= field);
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: usize = 40;

    /// A ball of three tissues in random-looking blocks under a known smooth field, noise of 2 % of the
    /// brightest, nonsense outside.
    fn scene() -> (Array3<f32>, Array3<u8>, Array3<f32>) {
        let shape = (N, N, N);
        let unit = |i: usize| i as f32 / (N - 1) as f32 * 2.0 - 1.0;
        let mask = Array3::from_shape_fn(shape, |(z, y, x)| {
            u8::from(unit(z).powi(2) + unit(y).powi(2) + unit(x).powi(2) < 0.8)
        });
        let field = Array3::from_shape_fn(shape, |(z, y, x)| {
            (0.2 * unit(z) + 0.15 * unit(y) * unit(x) - 0.2 * (unit(x) * 1.5).sin()).exp()
        });
        let image = Array3::from_shape_fn(shape, |(z, y, x)| {
            let hash = (z * 73_856_093) ^ (y * 19_349_663) ^ (x * 83_492_791);
            let noise = 20.0 * (((hash % 1009) as f32 / 504.0) - 1.0) * 1.7;
            let tissue = [240.0, 650.0, 1000.0, 1000.0, 650.0][(z / 5 * 7 + y / 4 * 3 + x / 6 * 5) % 5];
            if mask[[z, y, x]] > 0 { tissue * field[[z, y, x]] + noise } else { f32::NAN }
        });
        (image, mask, field)
    }

    /// Residual sd in the mask of log(estimate / truth).
    fn residual(estimate: &Array3<f32>, truth: &Array3<f32>, mask: &Array3<u8>) -> f64 {
        let pairs = estimate.iter().zip(truth).zip(mask).filter(|(_, m)| **m > 0);
        let logs: Vec<f64> = pairs.map(|((e, t), _)| f64::from((e / t).ln())).collect();
        let mean = logs.iter().sum::<f64>() / logs.len() as f64;
        (logs.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / logs.len() as f64).sqrt()
    }

    fn estimate(image: &Array3<f32>, mask: &Array3<u8>) -> BiasField {
        estimate_bias(image.view(), mask.view(), [4.0; 3]).unwrap()
    }

    #[test]
    fn a_known_field_is_recovered() {
        let (image, mask, truth) = scene();
        let flat = residual(&Array3::ones(truth.dim()), &truth, &mask);
        let found = estimate(&image, &mask);
        let left = residual(&found.field, &truth, &mask);
        assert!(left < 0.02 && left < flat / 6.0, "{left} of {flat}");
        assert!(
            found.cv_after < found.cv_before && found.converged && found.iterations[1] > 0,
            "{:?}",
            found.iterations
        );
    }

    #[test]
    fn the_field_is_positive_bounded_and_has_mean_one() {
        let (image, mask, _) = scene();
        let found = estimate(&image, &mask).field;
        let inside: Vec<f64> = found.iter().zip(&mask).filter(|(_, m)| **m > 0).map(|(f, _)| f64::from(*f)).collect();
        assert!((inside.iter().sum::<f64>() / inside.len() as f64 - 1.0).abs() < 1e-4);
        let (low, high) = inside.iter().fold((f64::MAX, 0f64), |(l, h), f| (l.min(*f), h.max(*f)));
        assert!(found.iter().all(|f| f64::from(*f) > low * 0.8 && f64::from(*f) < high * 1.25));
    }

    #[test]
    fn beyond_its_range_the_field_levels_off_without_a_kink() {
        let (low, high) = (-0.3f32, 0.2f32);
        let at = |step: i32| soften(step as f32 * 0.01, low, high);
        assert!((-30..=20).all(|step| at(step) == step as f32 * 0.01));
        assert!(at(21) - at(20) > 0.009 && at(-30) - at(-31) > 0.009, "a kink");
        assert!((-400..400).all(|step| at(step) < at(step + 1)));
        assert!(soften(1e6, low, high) <= high + SLACK && soften(-1e6, low, high) >= low - SLACK);
    }

    #[test]
    fn an_image_without_bias_stays_nearly_as_it_is() {
        let (mut image, mask, truth) = scene();
        image.zip_mut_with(&truth, |v, t| *v /= t);
        let found = estimate(&image, &mask);
        assert!(residual(&found.field, &Array3::ones(truth.dim()), &mask) < 0.015);
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let (image, mask, _) = scene();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| estimate(&image, &mask))
        };
        let (one, four) = (run(1), run(4));
        assert!(one.field.iter().zip(&four.field).all(|(a, b)| a.to_bits() == b.to_bits()));
        assert_eq!(one.cv_after.to_bits(), four.cv_after.to_bits());
    }

    #[test]
    fn what_cannot_be_estimated_is_refused() {
        let (image, mask, _) = scene();
        let run = |i: &Array3<f32>, m: &Array3<u8>, mm| estimate_bias(i.view(), m.view(), mm).err();
        let empty = Array3::zeros(mask.dim());
        assert_eq!(run(&image, &empty, [1.0; 3]), Some(BiasError::TooFew { usable: 0 }));
        assert_eq!(run(&Array3::zeros(mask.dim()), &mask, [1.0; 3]), Some(BiasError::TooFew { usable: 0 }));
        assert!(matches!(run(&image, &mask, [1.0, 0.0, 1.0]), Some(BiasError::Sizes { .. })));
        assert!(matches!(run(&image, &Array3::zeros((2, 2, 2)), [1.0; 3]), Some(BiasError::Shape { .. })));
        // A constant image has no bias to find, but is no reason to fail.
        let flat = estimate(&Array3::from_elem(mask.dim(), 7.0), &mask);
        assert!(flat.field.iter().all(|f| (f - 1.0).abs() < 1e-3));
    }

    #[test]
    fn applying_divides() {
        let mut out = Array3::from_elem((2, 2, 2), 6.0f32);
        divide_by_field(out.view_mut(), Array3::from_elem((2, 2, 2), 1.5f32).view());
        assert!(out.iter().all(|v| (v - 4.0).abs() < 1e-6));
    }
}
