//! A quick, smooth estimate of the local tissue level inside a rough brain mask, and of the tissue classes against it.
//!
//! One threshold cannot hold over a head whose coil field varies by 40 %. A quadratic surface through local bright levels
//! is enough to make one hold; the exact bias field is another method's work.

use ndarray::{Array3, ArrayView3, Axis};
use rayon::prelude::*;

use crate::filter::{par_planes, quantiles};

/// Terms of a quadratic in three variables.
const TERMS: usize = 10;
/// Edge in mm of the blocks whose bright level is one observation.
const BLOCK_MM: f64 = 16.0;

/// A smooth positive field exp(quadratic) over space in mm from the volume's corner.
pub(crate) struct Field {
    coefficients: [f64; TERMS],
    centre: [f64; 3],
}

/// The terms at `[x, y, z]`, in units of 100 mm about the centre so that the normal equations are well conditioned.
fn terms(at: [f64; 3], centre: [f64; 3]) -> [f64; TERMS] {
    let [x, y, z] = [0, 1, 2].map(|a| (at[a] - centre[a]) / 100.0);
    [1.0, x, y, z, x * x, y * y, z * z, x * y, y * z, x * z]
}

impl Field {
    /// Fits the field to the `quantile` of each block of the image that lies well inside the mask. Blocks far off the fit
    /// (vessels, fat, lesions) are dropped and the fit is made again, three times. `None` with fewer than 20 blocks.
    pub(crate) fn fit(image: ArrayView3<f32>, mask: ArrayView3<u8>, voxel_mm: [f64; 3], quantile: f64) -> Option<Self> {
        let mut points = block_levels(image, mask, voxel_mm, quantile);
        let n = points.len() as f64;
        let centre = [0, 1, 2].map(|a| points.iter().map(|p| p.0[a]).sum::<f64>() / n.max(1.0));
        for _ in 0..3 {
            if points.len() < 20 {
                return None;
            }
            let field = Self { coefficients: least_squares(&points, centre)?, centre };
            let error = |p: &([f64; 3], f64)| (p.1 - field.log_at(p.0)).abs();
            let spread = (points.iter().map(|p| error(p).powi(2)).sum::<f64>() / points.len() as f64).sqrt();
            points.retain(|p| error(p) <= 2.5 * spread);
        }
        Some(Self { coefficients: least_squares(&points, centre)?, centre })
    }

    fn log_at(&self, at: [f64; 3]) -> f64 {
        terms(at, self.centre).iter().zip(&self.coefficients).map(|(t, c)| t * c).sum()
    }

    /// The image divided by the field; `origin` is the index `[z, y, x]` of its first voxel in the volume.
    pub(crate) fn divide(&self, image: ArrayView3<f32>, origin: [usize; 3], voxel_mm: [f64; 3]) -> Array3<f32> {
        let mm = |index: usize, axis: usize| ((index + origin[axis]) as f64 + 0.5) * voxel_mm[axis];
        let mut out = Array3::zeros(image.dim());
        par_planes(&mut out, 0).enumerate().for_each(|(k, mut slice)| {
            for ((j, mut row), line) in
                slice.outer_iter_mut().enumerate().zip(image.index_axis(Axis(0), k).outer_iter())
            {
                // Along a row the logarithm is a + b·i + c·i²: two multiplications a voxel instead of one exponential.
                let log = |i: usize| self.log_at([mm(i, 2), mm(j, 1), mm(k, 0)]);
                let (l0, l1, l2) = (log(0), log(1), log(2));
                let (mut value, mut ratio, growth) = ((-l0).exp(), (l0 - l1).exp(), (2.0 * l1 - l0 - l2).exp());
                for (o, &v) in row.iter_mut().zip(line) {
                    *o = v * value as f32;
                    value *= ratio;
                    ratio *= growth;
                }
            }
        });
        out
    }
}

/// Centre (mm) and log level of each block that is mostly inside the mask.
fn block_levels(
    image: ArrayView3<f32>,
    mask: ArrayView3<u8>,
    voxel_mm: [f64; 3],
    quantile: f64,
) -> Vec<([f64; 3], f64)> {
    let size = voxel_mm.map(|d| (BLOCK_MM / d).round().max(1.0) as usize);
    let whole = size.iter().product::<usize>();
    let chunks: Vec<_> = image.exact_chunks(size).into_iter().zip(mask.exact_chunks(size)).collect();
    let [_, by, bx] = [0, 1, 2].map(|a| image.shape()[a] / size[a]);
    let level = |(n, (image, mask)): (usize, (ArrayView3<f32>, ArrayView3<u8>))| {
        let mut values: Vec<f32> = image.iter().zip(mask).filter(|(_, m)| **m != 0).map(|(v, _)| *v).collect();
        if 2 * values.len() < whole {
            return None;
        }
        let [level] = quantiles(&mut values, [quantile])?;
        let block = [n / (by * bx), n / bx % by, n % bx];
        let [z, y, x] = [0, 1, 2].map(|a| (block[a] as f64 + 0.5) * size[a] as f64 * voxel_mm[a]);
        (level > 0.0).then(|| ([x, y, z], f64::from(level).ln()))
    };
    chunks.into_par_iter().enumerate().filter_map(level).collect()
}

/// Normal equations with a whisper of ridge on all but the constant, solved by Gauss–Jordan elimination with pivots.
fn least_squares(points: &[([f64; 3], f64)], centre: [f64; 3]) -> Option<[f64; TERMS]> {
    let mut m = [[0.0; TERMS + 1]; TERMS];
    for (at, y) in points {
        let t = terms(*at, centre);
        for (r, row) in m.iter_mut().enumerate() {
            t.iter().zip(row.iter_mut()).for_each(|(c, v)| *v += t[r] * c);
            row[TERMS] += t[r] * y;
        }
    }
    let ridge = 1e-3 * points.len() as f64;
    (1..TERMS).for_each(|r| m[r][r] += ridge * 0.01);
    for c in 0..TERMS {
        let pivot = (c..TERMS).max_by(|&a, &b| m[a][c].abs().total_cmp(&m[b][c].abs()))?;
        m.swap(c, pivot);
        let top = m[c];
        if top[c].abs() < 1e-12 {
            return None;
        }
        for (_, row) in m.iter_mut().enumerate().filter(|(r, _)| *r != c) {
            let f = row[c] / top[c];
            row.iter_mut().zip(top).for_each(|(v, t)| *v -= f * t);
        }
    }
    Some(std::array::from_fn(|r| m[r][TERMS] / m[r][r]))
}

/// Means of `N` classes of the values in the mask, darkest first (k-means on a histogram of 256 bins up to 1.5); `None`
/// when there are no values.
pub(crate) fn class_means<const N: usize>(
    image: ArrayView3<f32>,
    mask: ArrayView3<u8>,
    start: [f32; N],
) -> Option<[f32; N]> {
    const BINS: usize = 256;
    let width = 1.5 / BINS as f32;
    let mut counts = [0u32; BINS];
    let inside = image.iter().zip(mask).filter(|(v, m)| **m != 0 && v.is_finite());
    inside.for_each(|(&v, _)| counts[((v / width) as usize).min(BINS - 1)] += 1);
    if counts.iter().all(|&c| c == 0) {
        return None;
    }
    let mut means = start;
    for _ in 0..50 {
        let (mut sum, mut n) = ([0.0f64; N], [0.0f64; N]);
        for (b, &count) in counts.iter().enumerate() {
            let v = (b as f32 + 0.5) * width;
            let near = (0..N).min_by(|&p, &q| (v - means[p]).abs().total_cmp(&(v - means[q]).abs()))?;
            sum[near] += f64::from(v) * f64::from(count);
            n[near] += f64::from(count);
        }
        let next = std::array::from_fn(|c| if n[c] > 0.0 { (sum[c] / n[c]) as f32 } else { means[c] });
        if next == means {
            break;
        }
        means = next;
    }
    Some(means)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOXEL: [f64; 3] = [4.0, 2.0, 2.0];

    fn true_field(k: usize, j: usize, i: usize) -> f32 {
        let [z, y, x] = [k as f64 * 4.0, j as f64 * 2.0, i as f64 * 2.0].map(|v| v / 100.0 - 0.5);
        (0.3 * x - 0.2 * y + 0.25 * z * z - 0.2 * x * y).exp() as f32
    }

    #[test]
    fn a_quadratic_field_is_found_under_two_tissues_and_bright_intruders() {
        let image = Array3::from_shape_fn((26, 50, 50), |(k, j, i)| {
            let tissue = if (k / 2 + j / 3 + i / 3) % 2 == 0 { 100.0 } else { 60.0 };
            let intruder = if k < 4 && j < 8 && i < 8 { 3.0 } else { 1.0 };
            tissue * intruder * true_field(k, j, i)
        });
        let mask = Array3::from_elem(image.dim(), 1);
        let field = Field::fit(image.view(), mask.view(), VOXEL, 0.85).unwrap();
        let part = image.slice_axis(Axis(0), ndarray::Slice::from(10..20));
        let even = field.divide(part, [10, 0, 0], VOXEL);
        let white: Vec<f32> = even.iter().copied().filter(|v| *v > 0.8).collect();
        assert!(white.len() > 10_000);
        assert!(white.iter().all(|v| (0.93..1.07).contains(v)));
    }

    #[test]
    fn too_few_blocks_give_no_field() {
        let image = Array3::from_elem((8, 16, 16), 5.0f32);
        assert!(Field::fit(image.view(), Array3::from_elem((8, 16, 16), 1).view(), VOXEL, 0.5).is_none());
    }

    #[test]
    fn class_means_are_those_of_the_classes() {
        let image = Array3::from_shape_fn((6, 10, 10), |(k, ..)| [0.3f32, 0.7, 1.0][k % 3]);
        let means = class_means(image.view(), Array3::from_elem((6, 10, 10), 1).view(), [0.2, 0.6, 0.95]).unwrap();
        assert!(means.iter().zip([0.3, 0.7, 1.0]).all(|(m, t)| (m - t).abs() < 0.005), "{means:?}");
        assert!(class_means(image.view(), Array3::zeros((6, 10, 10)).view(), [0.2, 0.9]).is_none());
    }
}
