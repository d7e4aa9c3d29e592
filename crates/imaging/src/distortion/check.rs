//! Whether a correction did good: likeness to an image that is not distorted, and of a corrected pair.

use ndarray::{ArrayView3, Zip};
use rayon::prelude::*;

use super::DistortionError;
use super::error::same_shape;
use super::shift::{Shift, undistort};
use crate::filter::quantiles;
use crate::registration::placed::Sampler;
use crate::rigid::{Matrix4, apply, compose, from_parameters, invert_affine};

/// Bins of each image in the joint histogram: few, so that some ten thousand voxels fill it.
const BINS: usize = 24;
/// What counts as brightest: this quantile in the mask.
const BRIGHT: f64 = 0.995;

/// Likeness to an undistorted image (mutual information in nats) with the shift turned round, without it, and with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likeness {
    /// With the shift times −1.
    pub reversed: f64,
    /// Without a shift.
    pub uncorrected: f64,
    /// With the shift.
    pub corrected: f64,
}

impl Likeness {
    /// Whether the correction is of use and its sign is right: with the shift more alike than without, without more than with
    /// the opposite.
    #[must_use]
    pub fn confirms(&self) -> bool {
        self.corrected > self.uncorrected && self.uncorrected > self.reversed
    }

    /// Whether the opposite sign does better than the given one, a warning of its own.
    #[must_use]
    pub fn prefers_reversed(&self) -> bool {
        self.reversed > self.corrected
    }
}

/// Measures the likeness of an EPI volume to an undistorted image, such as the T1w, on the same grid `(nz, ny, nx)` inside
/// `mask` (the brain and a margin of two voxels), with the shift at factors −1, 0 and 1.
///
/// The Jacobian is part of it: without it the likeness of one real scan rose by 0.3 % for the right sign, with it by 1.5 %,
/// and fell by 9 % for the wrong one. (The overlap of outlines does not tell signs apart.)
///
/// # Errors
/// [`DistortionError::Shape`] where shapes differ, [`DistortionError::Empty`] for an image without a value above 0 in the mask.
pub fn likeness(
    volume: ArrayView3<f32>,
    undistorted: ArrayView3<f32>,
    mask: ArrayView3<u8>,
    shift: &Shift,
) -> Result<Likeness, DistortionError> {
    Ok(Likeness {
        reversed: mutual_information(undistort(volume, &shift.scaled(-1.0))?.view(), undistorted, mask)?,
        uncorrected: mutual_information(volume, undistorted, mask)?,
        // Not scaled by 1: the given Jacobian is the one that will be applied.
        corrected: mutual_information(undistort(volume, shift)?.view(), undistorted, mask)?,
    })
}

/// The mutual information in nats of two images `(nz, ny, nx)` inside `mask`, from a joint histogram of 24 × 24 bins between 0
/// and the 99.5 % quantile of each; the second image is shared between neighbouring bins (Maes F. et al. 1997,
/// doi:10.1109/42.563664). Voxels that are not finite are left out.
///
/// # Errors
/// [`DistortionError::Shape`] where shapes differ, [`DistortionError::Empty`] for an image without a value above 0 in the mask.
pub fn mutual_information(
    a: ArrayView3<f32>,
    b: ArrayView3<f32>,
    mask: ArrayView3<u8>,
) -> Result<f64, DistortionError> {
    information(&pairs(a, b, mask)?)
}

/// The mutual information of pairs of values.
fn information(pairs: &[(f32, f32)]) -> Result<f64, DistortionError> {
    let bright = |of: &dyn Fn(&(f32, f32)) -> f32, what| {
        let quantile = quantiles(&mut pairs.iter().map(of).collect(), [BRIGHT]).map_or(0.0, |[q]| q);
        if quantile > 0.0 { Ok(quantile) } else { Err(DistortionError::Empty { what }) }
    };
    let (most_a, most_b) = (bright(&|p| p.0, "distorted image")?, bright(&|p| p.1, "undistorted image")?);
    let last = (BINS - 1) as f32;
    let mut joint = [[0.0_f64; BINS]; BINS];
    for (a, b) in pairs {
        let row = &mut joint[((a / most_a * BINS as f32).max(0.0) as usize).min(BINS - 1)];
        let at = (b / most_b * last).clamp(0.0, last);
        let low = (at as usize).min(BINS - 2);
        let above = f64::from(at - low as f32);
        row[low] += 1.0 - above;
        row[low + 1] += above;
    }
    let total = pairs.len() as f64;
    let of_a = joint.map(|row| row.iter().sum::<f64>() / total);
    let of_b: [f64; BINS] = std::array::from_fn(|b| joint.iter().map(|row| row[b]).sum::<f64>() / total);
    let cells = joint.iter().zip(of_a).flat_map(|(row, a)| row.iter().zip(of_b).map(move |(n, b)| (n / total, a * b)));
    Ok(cells.filter(|(p, _)| *p > 0.0).map(|(p, alone)| p * (p / alone).ln()).sum())
}

/// An undistorted image and its place in the world.
#[derive(Clone, Copy, Debug)]
pub struct Undistorted<'a> {
    /// `(nz, ny, nx)`; outside it is 0.
    pub image: ArrayView3<'a, f32>,
    /// From its voxels to RAS mm.
    pub affine: &'a Matrix4,
}

/// First and last step of the search for the best place, mm and degrees.
const STEPS: [f64; 2] = [1.0, 0.2];
/// Rounds of the search at most.
const ROUNDS: usize = 24;

/// The largest mutual information in nats of an EPI volume (with its `affine`) and an undistorted image, inside `mask`, near the
/// place where `start` (from the world of the image to that of the volume) lays it.
///
/// A few tenths of a millimetre change it as much as a correction does, so volumes can only be compared where each lies best: a
/// pattern search along and about each axis, down to 0.2 mm and 0.2°.
///
/// # Errors
/// As [`mutual_information`]; [`DistortionError::VoxelSize`] where a matrix cannot be inverted.
pub fn best_likeness(
    (volume, affine): (ArrayView3<f32>, &Matrix4),
    undistorted: &Undistorted<'_>,
    mask: ArrayView3<u8>,
    start: &Matrix4,
) -> Result<f64, DistortionError> {
    let singular = DistortionError::VoxelSize { mm: [0.0; 3] };
    let to_image = invert_affine(undistorted.affine).zip(invert_affine(start)).map(|(a, b)| compose(&a, &b));
    let to_image = to_image.ok_or(singular)?;
    let (nz, ny, nx) = volume.dim();
    let centre = apply(affine, [nx, ny, nz].map(|n| (n as f64 - 1.0) / 2.0));
    // Only what is in the mask is looked at.
    let inside: Vec<([f64; 3], f32)> = mask
        .indexed_iter()
        .filter(|(at, m)| **m != 0 && volume[*at].is_finite())
        .map(|((k, j, i), _)| (apply(affine, [i as f64, j as f64, k as f64]), volume[[k, j, i]]))
        .collect();
    let sampler = Sampler::new(undistorted.image);
    let value = |p: &[f64; 6]| {
        let map = compose(&to_image, &from_parameters(p, centre));
        let pair = |(world, v): &([f64; 3], f32)| {
            let at = apply(&map, *world).map(|v| v as f32);
            (*v, if sampler.holds(at, 0.5) { sampler.clamped(at) } else { 0.0 })
        };
        information(&inside.par_iter().with_min_len(2048).map(pair).collect::<Vec<_>>())
    };
    let mut at = [0.0; 6];
    let mut best = value(&at)?;
    let mut step = STEPS[0];
    for _ in 0..ROUNDS {
        let before = best;
        for axis in 0..6 {
            let size = if axis < 3 { step } else { step.to_radians() };
            for by in [size, -size] {
                let mut there = at;
                there[axis] += by;
                let found = value(&there)?;
                if found > best {
                    (best, at) = (found, there);
                    break;
                }
            }
        }
        if best <= before {
            step *= 0.5;
        }
        if step < STEPS[1] {
            break;
        }
    }
    Ok(best)
}

/// How alike two corrected images are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairAgreement {
    /// Pearson's correlation; 0 where one of them is constant.
    pub correlation: f64,
    /// Root of the mean squared difference, over the mean of both.
    pub relative_rms: f64,
}

/// How alike two images `(nz, ny, nx)` are inside `mask`. Of a pair of opposite phase encoding, corrected and moved together,
/// 0.98 and 0.04 are usual, against 0.4 and 0.3 before.
///
/// # Errors
/// [`DistortionError::Shape`] where shapes differ, [`DistortionError::NoHead`] for an empty mask.
pub fn pair_agreement(
    a: ArrayView3<f32>,
    b: ArrayView3<f32>,
    mask: ArrayView3<u8>,
) -> Result<PairAgreement, DistortionError> {
    let pairs = pairs(a, b, mask)?;
    if pairs.is_empty() {
        return Err(DistortionError::NoHead);
    }
    let n = pairs.len() as f64;
    let mean =
        |of: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|(a, b)| of(f64::from(*a), f64::from(*b))).sum::<f64>() / n;
    let (ma, mb) = (mean(&|a, _| a), mean(&|_, b| b));
    let (va, vb) = (mean(&|a, _| (a - ma).powi(2)), mean(&|_, b| (b - mb).powi(2)));
    let spread = (va * vb).sqrt();
    let correlation = if spread > 0.0 { mean(&|a, b| (a - ma) * (b - mb)) / spread } else { 0.0 };
    let middle = 0.5 * (ma + mb).abs();
    let rms = mean(&|a, b| (a - b).powi(2)).sqrt();
    Ok(PairAgreement { correlation, relative_rms: if middle > 0.0 { rms / middle } else { 0.0 } })
}

/// The values of both images in the mask where both are finite.
fn pairs(a: ArrayView3<f32>, b: ArrayView3<f32>, mask: ArrayView3<u8>) -> Result<Vec<(f32, f32)>, DistortionError> {
    same_shape("undistorted image", a.dim(), &b)?;
    same_shape("mask", a.dim(), &mask)?;
    let mut pairs = Vec::new();
    Zip::from(a).and(b).and(mask).for_each(|a, b, m| {
        if *m != 0 && a.is_finite() && b.is_finite() {
            pairs.push((*a, *b));
        }
    });
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::super::PhaseEncoding;
    use super::super::phantom::{Motion, Phantom, Scan};
    use super::*;
    use ndarray::Array3;

    #[test]
    fn the_right_shift_is_confirmed_and_the_wrong_sign_is_not() {
        let phantom = Phantom::new([24, 48, 48], 1);
        for direction in [PhaseEncoding::ALL[2], PhaseEncoding::ALL[3]] {
            let scan = Scan { direction, readout_s: 0.03, motion: Motion::NONE, gain: 1.0, noise: 0.02 };
            let seen = phantom.epi(&scan, 7);
            let shift = Shift::new(phantom.hz.view(), None, direction, 0.03).unwrap();
            // The contrast of a T1w image is about the opposite.
            let t1w = phantom.clean.mapv(|v| if v > 0.4 { 2.0 - v } else { 0.3 * v });
            let found = likeness(seen.view(), t1w.view(), phantom.brain.view(), &shift).unwrap();
            assert!(found.confirms() && !found.prefers_reversed(), "{found:?}");
            let wrong = likeness(seen.view(), t1w.view(), phantom.brain.view(), &shift.scaled(-1.0)).unwrap();
            assert!(!wrong.confirms() && wrong.prefers_reversed(), "{wrong:?}");
        }
    }

    #[test]
    fn agreement_is_full_for_equal_images_and_information_is_their_entropy() {
        let image = Array3::from_shape_fn((8, 9, 10), |(k, j, i)| (k * j + i) as f32);
        let mask = Array3::from_elem(image.dim(), 1_u8);
        let same = pair_agreement(image.view(), image.view(), mask.view()).unwrap();
        assert!((same.correlation - 1.0).abs() < 1e-12 && same.relative_rms == 0.0);
        let own = mutual_information(image.view(), image.view(), mask.view()).unwrap();
        let other = Array3::from_shape_fn(image.dim(), |(k, j, i)| ((k * 7 + j * 5 + i * 3) % 11) as f32);
        assert!(own > 1.5 && mutual_information(image.view(), other.view(), mask.view()).unwrap() < 0.5 * own);
    }

    #[test]
    fn odd_input_is_refused() {
        let image = Array3::from_elem((2, 3, 4), 1.0_f32);
        let (mask, none) = (Array3::from_elem((2, 3, 4), 1_u8), Array3::zeros((2, 3, 4)));
        let agreement = pair_agreement(image.view(), image.view(), mask.view()).unwrap();
        assert_eq!(agreement, PairAgreement { correlation: 0.0, relative_rms: 0.0 });
        assert_eq!(pair_agreement(image.view(), image.view(), none.view()), Err(DistortionError::NoHead));
        let gaps = Array3::from_elem((2, 3, 4), f32::NAN);
        assert!(mutual_information(image.view(), gaps.view(), mask.view()).is_err());
        assert!(mutual_information(image.view(), Array3::zeros((2, 3, 3)).view(), mask.view()).is_err());
    }
}
