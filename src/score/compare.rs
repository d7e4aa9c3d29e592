//! The comparisons as such: arrays in, numbers out; and the one way images come in.

use super::{Measure, Problem};
use imaging::metrics::{dice, false_volumes_ml, hd95_mm};
use imaging::rigid::{HEAD_RADIUS_MM, Matrix4, compose, invert_rigid, rms_deviation};
use ndarray::{Array3, ArrayView3, Axis};
use nifti::Grid;
use std::collections::BTreeMap;
use std::path::Path;

/// How far apart, in mm, two grids' corners may be and still be the same grid.
const SAME_GRID_MM: f64 = 0.05;
/// Fewest voxels that a field or a tissue is judged by.
const FEWEST: usize = 100;

/// The first volume of an image, `(nz, ny, nx)` in RAS+, with its grid.
pub(super) fn volume(path: &Path) -> Result<(Array3<f32>, Grid), Problem> {
    let image = nifti::read(path)?;
    Ok((image.data.index_axis(Axis(0), 0).to_owned(), image.header.grid().clone()))
}

/// The first volume of an image that must lie on `grid`.
pub(super) fn volume_on(path: &Path, grid: &Grid) -> Result<Array3<f32>, Problem> {
    let (data, own) = volume(path)?;
    if own.shape == grid.shape && corners_apart(&own, grid) < SAME_GRID_MM {
        Ok(data)
    } else {
        Err(Problem::Grid(path.to_owned()))
    }
}

/// A mask: 1 where the image is above 0.5, so that masks stored as 0/1, 0/255 or probabilities mean the same.
pub(super) fn mask(image: &Array3<f32>) -> Array3<u8> {
    image.mapv(|v| u8::from(v > 0.5))
}

/// The largest distance (mm) between the same corners of two grids of one shape.
fn corners_apart(a: &Grid, b: &Grid) -> f64 {
    let [nz, ny, nx] = a.shape.map(|n| n.saturating_sub(1) as f64);
    let corner = |g: &Grid, c: usize| -> [f64; 3] {
        let at = [nx * (c & 1) as f64, ny * (c >> 1 & 1) as f64, nz * (c >> 2) as f64];
        imaging::rigid::apply(&g.affine, at)
    };
    let apart = |c| corner(a, c).iter().zip(corner(b, c)).map(|(p, q)| (p - q).powi(2)).sum::<f64>().sqrt();
    (0..8).map(apart).fold(0.0, f64::max)
}

/// Overlap, surface distance and differing volumes of a mask and the true one.
pub(super) fn masks(found: &Array3<u8>, truth: &Array3<u8>, voxel_mm: [f64; 3]) -> Option<[(Measure, f64); 4]> {
    let (extra, missing) = false_volumes_ml(found.view(), truth.view(), voxel_mm)?;
    Some([
        (Measure::Dice, dice(found.view(), truth.view())?),
        (Measure::Hd95, hd95_mm(found.view(), truth.view(), voxel_mm)?),
        (Measure::FalsePositive, extra),
        (Measure::FalseNegative, missing),
    ])
}

/// The agreement of two multiplicative fields in a mask, whatever their scale: Pearson's r of their logs, and the standard
/// deviation of the log of their quotient in percent, which is the non-uniformity that is left.
pub(super) fn fields(found: ArrayView3<f32>, truth: ArrayView3<f32>, brain: &Array3<u8>) -> Option<(f64, f64)> {
    let pairs: Vec<(f64, f64)> = found
        .iter()
        .zip(truth)
        .zip(brain)
        .filter(|((f, t), b)| **b != 0 && **f > 0.0 && **t > 0.0)
        .map(|((f, t), _)| (f64::from(*f).ln(), f64::from(*t).ln()))
        .collect();
    if pairs.len() < FEWEST {
        return None;
    }
    let n = pairs.len() as f64;
    let (mf, mt) = (pairs.iter().map(|p| p.0).sum::<f64>() / n, pairs.iter().map(|p| p.1).sum::<f64>() / n);
    let moment = |g: fn(f64, f64) -> f64| pairs.iter().map(|p| g(p.0 - mf, p.1 - mt)).sum::<f64>() / n;
    let r = moment(|f, t| f * t) / (moment(|f, _| f * f) * moment(|_, t| t * t)).sqrt();
    let residual = 100.0 * moment(|f, t| (f - t) * (f - t)).sqrt();
    Some((r, residual)).filter(|(r, _)| r.is_finite())
}

/// The values of an image at the voxels that `chosen` has, one by one.
pub(super) fn values(image: ArrayView3<f32>, chosen: &Array3<bool>) -> Vec<f32> {
    image.iter().zip(chosen).filter(|(_, c)| **c).map(|(v, _)| *v).collect()
}

/// The coefficient of joint variation of two tissues, the sum of their standard deviations over the distance of their means;
/// `None` with too few voxels or no contrast.
pub(super) fn joint_variation(grey: &[f32], white: &[f32]) -> Option<f64> {
    if grey.len().min(white.len()) < FEWEST {
        return None;
    }
    let [(mean_g, sd_g), (mean_w, sd_w)] = [grey, white].map(mean_sd);
    Some((sd_g + sd_w) / (mean_w - mean_g).abs()).filter(|v| v.is_finite())
}

fn mean_sd(values: &[f32]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    (mean, (values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n).sqrt())
}

/// How far (mm) each volume's estimated motion is from the true one, both relative to volume 0: RMS deviation over a
/// sphere of 80 mm about `centre` (Jenkinson 1999). `None` where the numbers of volumes differ or are 0.
pub(super) fn motion(found: &[Matrix4], truth: &[Matrix4], centre: [f64; 3]) -> Option<Vec<f64>> {
    if found.len() != truth.len() {
        return None;
    }
    let (start_f, start_t) = (invert_rigid(found.first()?), invert_rigid(truth.first()?));
    let apart = |(f, t)| rms_deviation(&compose(f, &start_f), &compose(t, &start_t), centre, HEAD_RADIUS_MM);
    Some(found.iter().zip(truth).map(apart).collect())
}

/// Mean, 95 % quantile (linear between order statistics) and maximum of some values; `None` without any.
pub(super) fn mean_p95_max(mut values: Vec<f64>) -> Option<[f64; 3]> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let at = 0.95 * last as f64;
    let (below, part) = (at.floor() as usize, at.fract());
    let p95 = values[below] + part * (values[(below + 1).min(last)] - values[below]);
    Some([values.iter().sum::<f64>() / values.len() as f64, p95, values[last]])
}

/// Puts measures into a scan's, leaving out what is not finite.
pub(super) fn keep(into: &mut BTreeMap<Measure, f64>, measures: impl IntoIterator<Item = (Measure, f64)>) {
    into.extend(measures.into_iter().filter(|(_, v)| v.is_finite()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use imaging::rigid::from_parameters;

    #[test]
    fn fields_of_another_scale_agree_and_a_known_error_is_measured() {
        let brain = Array3::from_elem((8, 8, 8), 1);
        let truth = Array3::from_shape_fn((8, 8, 8), |(k, j, _)| (0.1 * k as f32 + 0.05 * j as f32).exp());
        let (r, residual) = fields((&truth * 3.0).view(), truth.view(), &brain).unwrap();
        assert!((r - 1.0).abs() < 1e-9 && residual < 1e-4, "{r} {residual}");
        // Every second voxel 2 % of log too high: the deviation is 1 % about the mean.
        let off = Array3::from_shape_fn((8, 8, 8), |(k, j, i)| truth[[k, j, i]] * (0.02 * (i % 2) as f32).exp());
        let (r, residual) = fields(off.view(), truth.view(), &brain).unwrap();
        assert!(r < 1.0 && (residual - 1.0).abs() < 1e-3, "{r} {residual}");
        assert_eq!(fields(truth.view(), Array3::zeros((8, 8, 8)).view(), &brain), None);
        assert_eq!(fields(Array3::ones((8, 8, 8)).view(), Array3::ones((8, 8, 8)).view(), &brain), None);
    }

    #[test]
    fn joint_variation_is_spread_over_contrast() {
        let tissue = |mean: f32| (0..200).map(|n| mean + if n % 2 == 0 { 10.0 } else { -10.0 }).collect::<Vec<f32>>();
        assert!((joint_variation(&tissue(600.0), &tissue(1000.0)).unwrap() - 0.05).abs() < 1e-9);
        assert_eq!(joint_variation(&tissue(600.0), &tissue(600.0)), None);
        assert_eq!(joint_variation(&tissue(600.0)[..50], &tissue(1000.0)), None);
    }

    #[test]
    fn motion_is_compared_relative_to_the_first_volume() {
        let centre = [4.0, -20.0, 12.0];
        let truth = [[0.0; 6], [1.0, 0.5, -0.3, 0.02, 0.01, -0.03], [-0.4, 0.0, 2.0, -0.01, 0.03, 0.0]]
            .map(|p| from_parameters(&p, centre));
        // The same motion, seen from another reference.
        let other = from_parameters(&[0.3, -0.8, 0.1, 0.01, -0.02, 0.015], centre);
        let found: Vec<Matrix4> = truth.iter().map(|m| compose(m, &other)).collect();
        assert!(motion(&found, &truth, centre).unwrap().iter().all(|d| *d < 1e-9));
        let mut shifted = found.clone();
        shifted[2][0][3] += 0.3;
        let apart = motion(&shifted, &truth, centre).unwrap();
        assert!(apart[1] < 1e-9 && (apart[2] - 0.3).abs() < 1e-9, "{apart:?}");
        assert_eq!(motion(&found[1..], &truth, centre), None);
        assert_eq!(motion(&[], &[], centre), None);
    }

    #[test]
    fn quantiles_are_those_of_numpy() {
        // numpy.quantile([1, 2, 3, 4, 10], 0.95) = 8.8
        let [mean, p95, max] = mean_p95_max(vec![10.0, 1.0, 3.0, 2.0, 4.0]).unwrap();
        assert!((mean - 4.0).abs() < 1e-12 && (p95 - 8.8).abs() < 1e-12 && max == 10.0);
        assert_eq!(mean_p95_max(vec![0.5]), Some([0.5; 3]));
        assert_eq!(mean_p95_max(vec![]), None);
    }

    #[test]
    fn a_grid_is_the_same_up_to_rounding() {
        let grid = |x: f64| Grid {
            shape: [4, 5, 6],
            voxel_mm: [1.0; 3],
            affine: [[1.0, 0.0, 0.0, x], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]],
        };
        assert!(corners_apart(&grid(0.0), &grid(0.001)) < SAME_GRID_MM);
        assert!((corners_apart(&grid(0.0), &grid(1.0)) - 1.0).abs() < 1e-9);
    }
}
