//! Reference intensities, so that the same tissue has the same number on every scan.
//!
//! MR intensities have no unit. A T1w image is scaled so that normal white matter gets a fixed value, found as a peak of
//! the histogram and not as a mean over a mask, which atrophy and lesions would move; a BOLD run so that its mean inside
//! the brain is 10000.

use ndarray::ArrayView3;
use thiserror::Error;

use crate::filter::{quantiles, values_in};

/// What white matter becomes on a normalised T1w image.
const WHITE_MATTER: f64 = 1000.0;
/// What the mean of the brain becomes on a normalised BOLD run, as in FSL.
const GRAND_MEAN: f64 = 10_000.0;
/// Fewest voxels that a reference is taken from.
const FEWEST: usize = 100;
/// About as many voxels are ordered by their intensity.
const SAMPLE: usize = 200_000;
/// Bins of the histogram in which the peak is looked for.
const BINS: usize = 256;
/// Smoothing of the histogram, sd in bins: 1.5 % of the range of intensities.
const SMOOTHING: f64 = 4.0;
/// A peak must be this much higher than the valleys beside it to be one.
const PROMINENCE: f64 = 0.05;
/// Share of the brain that is at least as bright as the peak of white matter may be asked to be.
const LEAST_ABOVE: f64 = 0.08;

/// An intensity and what it is mapped to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reference {
    /// The intensity of the image that is mapped to `target`.
    pub value: f64,
    /// What it is mapped to.
    pub target: f64,
    /// The factor that does it, `target / value`.
    pub scale: f64,
    /// How `value` was found: `white-matter-peak`, `white-matter-quantile` or `grand-mean`.
    pub method: &'static str,
}

/// Why there is no reference.
#[derive(Debug, Error, PartialEq)]
pub enum IntensityError {
    /// Image and mask differ in shape.
    #[error("normalisation: the mask has shape {mask:?}, the image {image:?}; make the mask on the grid of the image")]
    Shape {
        /// Shape of the image (z, y, x).
        image: (usize, usize, usize),
        /// Shape of the mask (z, y, x).
        mask: (usize, usize, usize),
    },
    /// Too few voxels in the mask have a positive, finite intensity.
    #[error("normalisation: only {usable} voxels of the mask are positive, {FEWEST} are needed; check the brain mask")]
    TooFew {
        /// Voxels that could be used.
        usable: usize,
    },
}

/// The intensity of white matter on a bias-corrected T1w image: the brightest peak of the smoothed histogram inside
/// `mask`, as in WhiteStripe (Shinohara et al. 2014, doi:10.1016/j.nicl.2014.08.008), mapped to 1000.
///
/// Where grey and white matter make no two peaks (strong noise, thick slices, infants), the 75 % quantile of the brain is
/// taken, which lies in white matter on a healthy adult; `method` tells.
///
/// # Errors
/// [`IntensityError`]: shapes differ, or hardly a positive voxel in the mask.
pub fn white_matter_reference(image: ArrayView3<f32>, mask: ArrayView3<u8>) -> Result<Reference, IntensityError> {
    let values = usable(image, mask)?;
    // Of a part of the voxels, evenly spread; never a step of none.
    let mut some = values.iter().step_by((values.len() / SAMPLE) | 1).copied().collect();
    let Some([low, median, upper, high]) = quantiles(&mut some, [0.01, 0.5, 0.75, 0.995]) else {
        return Err(IntensityError::TooFew { usable: values.len() });
    };
    let histogram = Smoothed::new(&values, f64::from(low), f64::from(high));
    let peak = histogram.brightest_peak().filter(|p| *p >= f64::from(median) && *p > 0.0);
    Ok(match peak {
        Some(value) => reference(value, WHITE_MATTER, "white-matter-peak"),
        None => reference(f64::from(upper), WHITE_MATTER, "white-matter-quantile"),
    })
}

/// The mean inside `mask` of the mean volume of a BOLD run, mapped to 10000 (grand-mean scaling as in FSL FEAT: one
/// factor for the whole run, so that signal changes keep their proportions).
///
/// # Errors
/// [`IntensityError`]: shapes differ, or hardly a positive voxel in the mask.
pub fn grand_mean_reference(mean_volume: ArrayView3<f32>, mask: ArrayView3<u8>) -> Result<Reference, IntensityError> {
    let values = usable(mean_volume, mask)?;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / values.len() as f64;
    Ok(reference(mean, GRAND_MEAN, "grand-mean"))
}

fn reference(value: f64, target: f64, method: &'static str) -> Reference {
    Reference { value, target, scale: target / value, method }
}

/// The positive, finite intensities inside the mask, in memory order.
fn usable(image: ArrayView3<f32>, mask: ArrayView3<u8>) -> Result<Vec<f32>, IntensityError> {
    if image.dim() != mask.dim() {
        return Err(IntensityError::Shape { image: image.dim(), mask: mask.dim() });
    }
    let values = values_in(image, mask, |v| v > 0.0 && v.is_finite());
    if values.len() < FEWEST {
        return Err(IntensityError::TooFew { usable: values.len() });
    }
    Ok(values)
}

/// A smoothed histogram of intensities between `low` and `low + width * BINS`.
struct Smoothed {
    counts: Vec<f64>,
    low: f64,
    width: f64,
}

impl Smoothed {
    fn new(values: &[f32], low: f64, high: f64) -> Self {
        // Room above the last quantile, so that a peak near it is not cut.
        let width = ((high - low) * 1.1 / BINS as f64).max(f64::MIN_POSITIVE);
        let mut raw = vec![0f64; BINS];
        for v in values {
            let at = (f64::from(*v) - low) / width;
            if at >= 0.0 && at < BINS as f64 {
                raw[at as usize] += 1.0;
            }
        }
        let reach = (3.0 * SMOOTHING) as usize;
        let kernel: Vec<f64> = (0..=reach).map(|d| (-0.5 * (d as f64 / SMOOTHING).powi(2)).exp()).collect();
        let smooth = |i: usize| {
            let near = i.saturating_sub(reach)..(i + reach + 1).min(BINS);
            near.map(|j| raw[j] * kernel[i.abs_diff(j)]).sum()
        };
        Self { counts: (0..BINS).map(smooth).collect(), low, width }
    }

    /// The intensity of the brightest peak that is prominent and has enough voxels above it; by a parabola through
    /// the logs of the highest bin and its neighbours.
    fn brightest_peak(&self) -> Option<f64> {
        let c = &self.counts;
        let (total, top) = (c.iter().sum::<f64>(), c.iter().fold(0f64, |a, b| a.max(*b)));
        // The deepest point seen between a bin and the bright end, and the count beyond it.
        let (mut valley, mut above) = (f64::MAX, 0.0);
        for i in (1..BINS - 1).rev() {
            above += c[i + 1];
            valley = valley.min(c[i + 1]);
            let summit = c[i] > c[i + 1] && c[i] >= c[i - 1];
            if summit && above >= LEAST_ABOVE * total && c[i] - valley > PROMINENCE * top && c[i] > 0.2 * top {
                let [a, b, d] = [c[i - 1], c[i], c[i + 1]].map(|n| n.max(f64::MIN_POSITIVE).ln());
                let curvature = a - 2.0 * b + d;
                let shift = if curvature < 0.0 { (0.5 * (a - d) / curvature).clamp(-0.5, 0.5) } else { 0.0 };
                return Some(self.low + (i as f64 + 0.5 + shift) * self.width);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    /// Voxels of Gaussian classes (share in %, mean, sd), by the quantiles of the normal distribution.
    fn volume(classes: &[(usize, f64, f64)]) -> (Array3<f32>, Array3<u8>) {
        // A sum of four uniform numbers is near enough to a Gaussian.
        let gauss = |i: usize| {
            let u = |m: usize| ((i * m + m / 3) % 1000) as f64 / 1000.0;
            (u(389) + u(577) + u(751) + u(997) - 2.0) * 3f64.sqrt()
        };
        let mut values = Vec::new();
        for &(share, mean, sd) in classes {
            values.extend((0..share * 80).map(|i| (mean + sd * gauss(i)) as f32));
        }
        values.resize(20 * 20 * 20, 0.0);
        let mask = values.iter().map(|v| u8::from(*v > 0.0)).collect();
        let shape = (20, 20, 20);
        (Array3::from_shape_vec(shape, values).unwrap(), Array3::from_shape_vec(shape, mask).unwrap())
    }

    #[test]
    fn the_peak_of_white_matter_is_found_whichever_tissue_is_larger() {
        for (grey, white) in [(50, 30), (30, 50), (25, 55)] {
            let (image, mask) = volume(&[(15, 230.0, 40.0), (grey, 650.0, 60.0), (white, 1000.0, 40.0)]);
            let r = white_matter_reference(image.view(), mask.view()).unwrap();
            assert_eq!(r.method, "white-matter-peak");
            assert!((r.value - 1000.0).abs() < 15.0, "{r:?}");
            assert!((r.value * r.scale - 1000.0).abs() < 1e-9);
        }
    }

    #[test]
    fn a_few_bright_voxels_are_not_white_matter() {
        let (image, mask) = volume(&[(15, 230.0, 40.0), (40, 650.0, 60.0), (37, 1000.0, 40.0), (4, 1500.0, 20.0)]);
        let r = white_matter_reference(image.view(), mask.view()).unwrap();
        assert!((r.value - 1000.0).abs() < 15.0, "{r:?}");
    }

    #[test]
    fn without_a_peak_above_the_median_the_quantile_is_taken() {
        let (mut image, mask) = volume(&[(98, 800.0, 10.0)]);
        for (i, v) in image.iter_mut().enumerate().filter(|(_, v)| **v > 0.0) {
            *v = 1000.0 - (i as f32 / 8000.0).sqrt() * 900.0;
        }
        let r = white_matter_reference(image.view(), mask.view()).unwrap();
        assert_eq!(r.method, "white-matter-quantile", "{r:?}");
        assert!(r.value > 400.0 && r.value < 1000.0);
    }

    #[test]
    fn the_grand_mean_counts_only_the_mask() {
        let mut image = Array3::from_elem((10, 10, 10), 500.0f32);
        let mut mask = Array3::from_elem((10, 10, 10), 1u8);
        image[[0, 0, 0]] = f32::NAN;
        image[[0, 0, 1]] = 1e9;
        mask[[0, 0, 1]] = 0;
        let r = grand_mean_reference(image.view(), mask.view()).unwrap();
        assert!((r.value - 500.0).abs() < 1e-9 && (r.scale - 20.0).abs() < 1e-9);
    }

    #[test]
    fn an_empty_mask_is_refused() {
        let image = Array3::from_elem((5, 5, 5), 1.0f32);
        let empty = Array3::zeros((5, 5, 5));
        let failed = white_matter_reference(image.view(), empty.view()).unwrap_err();
        assert_eq!(failed, IntensityError::TooFew { usable: 0 });
        assert!(grand_mean_reference(image.view(), Array3::zeros((1, 1, 1)).view()).is_err());
    }
}
