//! Where a bold run has nothing but white matter or fluid, from the tissues of a T1w image of the same head.
//!
//! As fMRIPrep 25 has it (`acompcor_masks` and the nodes after it): what holds more than 5 % of grey matter is grown by a ball of
//! 3 voxels of the T1w image and taken out of white matter; the shares are resampled to the grid of the run with a small
//! Gaussian; voxels with more than 99 % are kept. From fluid alone nothing is taken (in spite of fMRIPrep's text, its code
//! does not). The means `csf`, `white_matter` and `csf_wm` are over the same masks as the components.
//!
//! With large voxels hardly any is that pure. Where fMRIPrep has `NaN` or the course of one voxel, the rule is relaxed here until
//! there are 20 voxels: grey matter is grown by 2 voxels, by 1, and then a share of 90, 80, 70 % will do. A mask that even
//! then is smaller stays empty.

use ndarray::{Array3, ArrayView3};
use rayon::prelude::*;

use crate::morphology::dilate;
use crate::rigid::{Matrix4, apply, compose, invert_affine};

/// Share of grey matter above which a voxel is not pure.
const SOME_GREY: f32 = 0.05;
/// Voxels of the T1w image by which what has grey matter is grown, and the share above which a voxel of the run is then of one
/// tissue: fMRIPrep's rule, and what is tried where it leaves too little.
const RULES: [(f64, f64); 6] = [(3.0, 0.99), (2.0, 0.99), (1.0, 0.99), (1.0, 0.9), (1.0, 0.8), (1.0, 0.7)];
/// Voxels that are enough.
const FEWEST: usize = 20;
/// Share of all tissues above which it is brain.
const BRAIN: f64 = 0.5;

/// Shares of the tissues, 0 to 1, on the grid of a T1w image: three volumes (nz, ny, nx).
#[derive(Clone, Copy, Debug)]
pub struct Shares<'a> {
    /// Grey matter.
    pub grey: ArrayView3<'a, f32>,
    /// White matter.
    pub white: ArrayView3<'a, f32>,
    /// Cerebrospinal fluid.
    pub csf: ArrayView3<'a, f32>,
    /// Takes their voxels (x, y, z) to RAS+ mm.
    pub affine: Matrix4,
}

/// Masks on the grid of a run (nz, ny, nx).
#[derive(Clone, Debug, PartialEq)]
pub struct TissueMasks {
    /// Nothing but fluid.
    pub csf: Array3<u8>,
    /// Nothing but white matter.
    pub white_matter: Array3<u8>,
    /// Nothing but these two.
    pub csf_wm: Array3<u8>,
    /// The brain as the T1w image knows it.
    pub brain: Array3<u8>,
    /// Whether for one of them fMRIPrep's rule had to be relaxed, or it is empty.
    pub relaxed: bool,
}

/// The masks of a run with the brain mask `brain` (nz, ny, nx) on a grid whose voxels `affine` takes to RAS+ mm; `to_t1w` takes a
/// point of the run, RAS+ mm, to the same point of the head in the T1w image. `None` where shapes or matrices make no sense.
#[must_use]
pub fn tissue_masks(
    shares: &Shares<'_>,
    brain: ArrayView3<u8>,
    affine: &Matrix4,
    to_t1w: &Matrix4,
) -> Option<TissueMasks> {
    let Shares { grey, white, csf, affine: t1w } = shares;
    if grey.dim() != white.dim() || grey.dim() != csf.dim() {
        return None;
    }
    let to_voxel = compose(&invert_affine(t1w)?, &compose(to_t1w, affine));
    let some_grey = grey.mapv(|share| u8::from(share > SOME_GREY));
    let near_grey = |voxels: f64| dilate(some_grey.view(), [1.0; 3], voxels);
    let above = |least: f64, wanted: &(dyn Fn(u8) -> bool + Sync), share: Share<'_>| {
        let mut out = Array3::zeros(brain.dim());
        out.outer_iter_mut().into_par_iter().enumerate().for_each(|(k, mut plane)| {
            for ((j, i), out) in plane.indexed_iter_mut().filter(|((j, i), _)| wanted(brain[[k, *j, *i]])) {
                let at = apply(&to_voxel, [i as f64, j as f64, k as f64]);
                *out = u8::from(gaussian_mean(grey.dim(), at, share) > least);
            }
        });
        out
    };
    let inside = |m: u8| m != 0;
    let near = near_grey(RULES[0].0);
    // The share where no grey matter is near.
    let pure = |growth: f64, least: f64, share: Share<'_>| {
        let other = if growth < RULES[0].0 { Some(near_grey(growth)) } else { None };
        let near = other.as_ref().unwrap_or(&near);
        above(least, &inside, &|at| if near[at] == 0 { share(at) } else { 0.0 })
    };
    let masks = [
        first_enough(|_, least| above(least, &inside, &|at| csf[at])),
        first_enough(|growth, least| pure(growth, least, &|at| white[at])),
        first_enough(|growth, least| pure(growth, least, &|at| csf[at] + white[at])),
    ];
    let relaxed = masks.iter().any(|(_, relaxed)| *relaxed);
    let [csf_only, white_matter, csf_wm] = masks.map(|(mask, _)| mask.unwrap_or_else(|| Array3::zeros(brain.dim())));
    let whole = above(BRAIN, &|_| true, &|at| grey[at] + white[at] + csf[at]);
    Some(TissueMasks { csf: csf_only, white_matter, csf_wm, brain: whole, relaxed })
}

/// A share at each voxel `[k, j, i]` of the T1w image.
type Share<'a> = &'a (dyn Fn([usize; 3]) -> f32 + Sync);

/// The mask of the first rule that gives enough voxels, and whether that is not the first of all.
fn first_enough(mut mask: impl FnMut(f64, f64) -> Array3<u8>) -> (Option<Array3<u8>>, bool) {
    let mut tried = 0;
    let found = RULES.iter().find_map(|(growth, least)| {
        tried += 1;
        let mask = mask(*growth, *least);
        (mask.iter().filter(|m| **m != 0).count() >= FEWEST).then_some(mask)
    });
    (found, tried > 1)
}

/// The mean of a volume of shape (nz, ny, nx) about a point (x, y, z in voxels) under a Gaussian with a standard deviation of one
/// voxel that is cut off after one; 0 outside the volume. As ITK's `GaussianInterpolateImageFunction` with what
/// antsApplyTransforms asks of it: each voxel counts by the integral of the Gaussian over it.
fn gaussian_mean(shape: (usize, usize, usize), at: [f64; 3], value: Share<'_>) -> f64 {
    let [Some(x), Some(y), Some(z)] =
        [(at[0], shape.2), (at[1], shape.1), (at[2], shape.0)].map(|(c, n)| Taps::of(c, n))
    else {
        return 0.0;
    };
    let (mut sum, mut weights) = (0.0, 0.0);
    for (k, wz) in z.each() {
        for (j, wy) in y.each() {
            for (i, wx) in x.each() {
                let weight = wx * wy * wz;
                sum += weight * f64::from(value([k, j, i]));
                weights += weight;
            }
        }
    }
    if weights > 0.0 { sum / weights } else { 0.0 }
}

/// The voxels of one axis near a place, and what each counts.
struct Taps {
    first: usize,
    weights: Vec<f64>,
}

impl Taps {
    /// Of a place on an axis of `n` voxels; `None` beyond it.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place within the axis")]
    fn of(at: f64, n: usize) -> Option<Self> {
        if !(at >= -0.5 && at < n as f64 - 0.5) {
            return None;
        }
        let first = (at - 0.5).floor().max(0.0) as usize;
        let end = ((at + 1.5).ceil() as usize).min(n);
        // The integral from the centre to each border between voxels.
        let integral = |border: usize| erf((border as f64 - 0.5 - at) * std::f64::consts::FRAC_1_SQRT_2);
        let weights = (first..end).map(|voxel| integral(voxel + 1) - integral(voxel)).collect();
        Some(Self { first, weights })
    }

    fn each(&self) -> impl Iterator<Item = (usize, f64)> {
        (self.first..).zip(self.weights.iter().copied())
    }
}

/// The error function near 0 (its Maclaurin series; to 1e-14 up to 1.5).
fn erf(x: f64) -> f64 {
    let mut term = x;
    let mut sum = x;
    for n in 1..32 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    std::f64::consts::FRAC_2_SQRT_PI * sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rigid::IDENTITY;

    #[test]
    fn the_error_function_is_right_where_it_is_needed() {
        for (x, expected) in [(0.0, 0.0), (0.5, 0.520_499_877_813_046_5), (1.5, 0.966_105_146_475_310_7)] {
            assert!((erf(x) - expected).abs() < 1e-14 && (erf(-x) + expected).abs() < 1e-14, "{x}: {}", erf(x));
        }
    }

    /// A head of 1 mm: white matter in the middle, then grey, then fluid; the run has voxels of 2 mm and is turned by 90 degrees.
    #[test]
    fn only_what_is_far_from_grey_is_white_and_fluid_is_fluid() {
        let n = 41_usize;
        let radius = |k: usize, j: usize, i: usize| {
            let square = |a: usize| (a as f64 - 20.0).powi(2);
            (square(k) + square(j) + square(i)).sqrt()
        };
        let shell = |from: f64, to: f64| {
            Array3::from_shape_fn((n, n, n), |(k, j, i)| if (from..to).contains(&radius(k, j, i)) { 1.0 } else { 0.0 })
        };
        let (white, grey, csf) = (shell(0.0, 11.0), shell(11.0, 14.0), shell(14.0, 20.0));
        let shares = Shares { grey: grey.view(), white: white.view(), csf: csf.view(), affine: IDENTITY };
        // x = 40 - 2 j, y = 2 i, z = 2 k, told in two steps.
        let affine = [[2.0, 0.0, 0.0, 5.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        let to_t1w = [[0.0, -1.0, 0.0, 40.0], [1.0, 0.0, 0.0, -5.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        let mut brain = Array3::ones((21, 21, 21));
        brain[[10, 10, 10]] = 0;
        let found = tissue_masks(&shares, brain.view(), &affine, &to_t1w).unwrap();
        assert!(!found.relaxed);
        let at = |mask: &Array3<u8>| -> Vec<u8> { (0..10).map(|j| mask[[10, j, 10]]).collect() };
        // Radii in mm: 20, 18, ... 2.
        assert_eq!(at(&found.csf), [0, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(at(&found.white_matter), [0, 0, 0, 0, 0, 0, 0, 1, 1, 1]);
        assert_eq!(at(&found.brain), [0, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
        assert!(found.csf_wm.iter().zip(&found.white_matter).all(|(both, white)| both >= white));
        assert_eq!((found.white_matter[[10, 10, 10]], found.brain[[10, 10, 10]]), (0, 1));
    }

    /// In a slab of white matter that is thin for the voxels of the run, less has to do; fluid there is none.
    #[test]
    fn with_few_pure_voxels_the_rule_is_relaxed_and_an_empty_tissue_stays_empty() {
        let white = Array3::from_shape_fn((30, 12, 12), |(k, ..)| if (12..18).contains(&k) { 1.0 } else { 0.0 });
        let grey = white.mapv(|share: f32| 1.0 - share);
        let csf = Array3::zeros((30, 12, 12));
        let shares = Shares { grey: grey.view(), white: white.view(), csf: csf.view(), affine: IDENTITY };
        let found = tissue_masks(&shares, Array3::ones((30, 12, 12)).view(), &IDENTITY, &IDENTITY).unwrap();
        // Grown by 3 or 2 voxels grey matter leaves nothing that is pure with its neighbours; by 1 it leaves two layers.
        let layers: Vec<usize> = (0..30).filter(|&k| found.white_matter[[k, 6, 6]] != 0).collect();
        assert_eq!((layers, found.relaxed), (vec![14, 15], true));
        assert_eq!((found.csf.sum(), found.csf_wm == found.white_matter), (0, true));
    }

    #[test]
    fn places_beyond_the_image_hold_nothing_and_a_constant_stays_one() {
        let mean = |at| gaussian_mean((4, 5, 6), at, &|_| 0.7_f32);
        for at in [[0.3, 1.7, 2.0], [-0.5, -0.4, 0.0], [5.49, 4.4, 3.2]] {
            assert!((mean(at) - 0.7).abs() < 1e-7, "{at:?}");
        }
        for at in [[-0.51, 1.0, 1.0], [1.0, 4.5, 1.0], [1.0, 1.0, 9.0], [f64::NAN, 1.0, 1.0]] {
            assert_eq!(mean(at), 0.0, "{at:?}");
        }
        let one = Array3::<f32>::zeros((2, 2, 2));
        let other = Array3::<f32>::zeros((2, 2, 3));
        let shares = Shares { grey: one.view(), white: other.view(), csf: one.view(), affine: IDENTITY };
        assert!(tissue_masks(&shares, Array3::ones((2, 2, 2)).view(), &IDENTITY, &IDENTITY).is_none());
    }
}
