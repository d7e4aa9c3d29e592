//! Smoothing, shrinking, resampling and robust ranges: the small filters that every imaging method is made of.
//!
//! All of them are separable or blockwise, run in parallel over z slabs, and give the same bytes at any thread count,
//! because each output voxel is computed by one thread in one fixed order.

use std::ops::Range;

use ndarray::{Array3, ArrayView1, ArrayView3, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

/// One axis of an interpolation: for each output index the lower input index and the weight of its upper neighbour.
type AxisWeights = Vec<(usize, f32)>;

/// The planes of a volume across `axis` (0 = z slices), to be changed in parallel.
pub(crate) fn par_planes<T: Send>(volume: &mut Array3<T>, axis: usize) -> rayon::vec::IntoIter<ArrayViewMut2<'_, T>> {
    volume.axis_iter_mut(Axis(axis)).collect::<Vec<_>>().into_par_iter()
}

/// How many elements of a volume there are that are `wanted`.
pub(crate) fn par_count<T: Sync>(volume: ArrayView3<T>, wanted: impl Fn(&T) -> bool + Sync) -> usize {
    let slabs: Vec<_> = volume.axis_iter(Axis(0)).collect();
    slabs.into_par_iter().map(|slab| slab.iter().filter(|v| wanted(v)).count()).sum()
}

/// Whether any voxel of a row is in the mask: most rows have none, which is soonest seen without looking where.
pub(crate) fn is_any(mask: &ArrayView1<u8>) -> bool {
    mask.fold(0, |any, m| any | m) != 0
}

/// First and one past the last voxel of the mask along z, y, x; empty ranges for an empty mask.
pub fn bounding_box(mask: ArrayView3<u8>) -> [Range<usize>; 3] {
    const NOTHING: [[usize; 2]; 3] = [[usize::MAX, 0]; 3];
    let both = |a: [[usize; 2]; 3], b: [[usize; 2]; 3]| -> [[usize; 2]; 3] {
        std::array::from_fn(|axis| [a[axis][0].min(b[axis][0]), a[axis][1].max(b[axis][1])])
    };
    let of_plane = |k: usize| {
        let rows = mask.index_axis_move(Axis(0), k).into_outer_iter().enumerate().filter(|(_, row)| is_any(row));
        rows.fold(NOTHING, |found, (j, row)| {
            let [first, last] = [row.iter().position(|m| *m != 0), row.iter().rposition(|m| *m != 0)];
            both(found, [[k, k + 1], [j, j + 1], [first.unwrap_or(0), last.map_or(0, |last| last + 1)]])
        })
    };
    let found = (0..mask.dim().0).into_par_iter().map(of_plane).reduce(|| NOTHING, both);
    found.map(|[start, end]| start.min(end)..end)
}

/// The `wanted` voxels inside the mask (same shape), in memory order.
pub(crate) fn values_in(image: ArrayView3<f32>, mask: ArrayView3<u8>, wanted: impl Fn(f32) -> bool + Sync) -> Vec<f32> {
    let slabs: Vec<_> = image.axis_iter(Axis(0)).zip(mask.axis_iter(Axis(0))).collect();
    let inside = slabs.into_par_iter().map(|(image, mask)| -> Vec<f32> {
        let rows = image.into_outer_iter().zip(mask.into_outer_iter());
        let rows = rows.filter(|(_, mask)| is_any(mask));
        let voxels = rows.flat_map(|(image, mask)| image.into_iter().zip(mask));
        voxels.filter(|(v, m)| **m != 0 && wanted(**v)).map(|(v, _)| *v).collect()
    });
    inside.collect::<Vec<_>>().concat()
}

/// Smooths with a Gaussian of `sigma_vox` = `[z, y, x]` voxels (0 leaves an axis alone).
///
/// The kernel reaches 3 σ; at the edges it is cut and renormalised, so a constant image stays constant.
#[must_use]
pub fn gaussian_smooth(image: ArrayView3<f32>, sigma_vox: [f64; 3]) -> Array3<f32> {
    let mut out = image.as_standard_layout().into_owned();
    gaussian_smooth_in_place(&mut out, sigma_vox);
    out
}

/// [`gaussian_smooth`] without a second volume, for images in standard layout.
pub(crate) fn gaussian_smooth_in_place(image: &mut Array3<f32>, sigma_vox: [f64; 3]) {
    let [z, y, x] = sigma_vox.map(kernel);
    let (nz, ny, nx) = image.dim();
    if image.is_empty() {
        return;
    }
    let (norm_x, norm_y, norm_z) = (norms(nx, &x), norms(ny, &y), norms(nz, &z));
    if x.len().max(y.len()) > 1 {
        par_planes(image, 0).for_each_init(Vec::new, |old, mut slice| {
            smooth_rows(&mut slice, &x, &norm_x, old);
            smooth_lines(&mut slice, &y, &norm_y, old);
        });
    }
    par_planes(image, 1).for_each_init(Vec::new, |old, mut slice| smooth_lines(&mut slice, &z, &norm_z, old));
}

/// One half of a Gaussian kernel, centre first, reaching 3 σ.
fn kernel(sigma: f64) -> Vec<f32> {
    if sigma <= 0.0 || !sigma.is_finite() {
        return vec![1.0];
    }
    let reach = (3.0 * sigma).ceil() as usize;
    (0..=reach).map(|d| (-0.5 * (d as f64 / sigma).powi(2)).exp() as f32).collect()
}

/// The inverse sum of the part of `kernel` that lies inside `0..n` when centred on each index.
fn norms(n: usize, kernel: &[f32]) -> Vec<f32> {
    let span = |i: usize| {
        kernel.iter().enumerate().skip(1).map(move |(d, &w)| w * (u8::from(d <= i) + u8::from(i + d < n)) as f32)
    };
    (0..n).map(|i| 1.0 / (kernel.first().copied().unwrap_or(1.0) + span(i).sum::<f32>())).collect()
}

/// Adds `weight * from` to `to`.
fn add_scaled(to: &mut [f32], from: &[f32], weight: f32) {
    for (t, &f) in to.iter_mut().zip(from) {
        *t += weight * f;
    }
}

/// Writes the weighted sum of the lines around line `at` (each `len` long in `lines`, `n` of them) to `out`.
fn blend_lines(out: &mut [f32], lines: &[f32], at: usize, kernel: &[f32], norm: f32) {
    let len = out.len();
    let n = lines.len() / len;
    let line = |i: usize| lines.get(i * len..(i + 1) * len).unwrap_or(&[]);
    out.fill(0.0);
    for (d, &w) in kernel.iter().enumerate() {
        if d <= at {
            add_scaled(out, line(at - d), w * norm);
        }
        if d > 0 && at + d < n {
            add_scaled(out, line(at + d), w * norm);
        }
    }
}

/// Smooths each row; `old` is room to work in.
fn smooth_rows(slice: &mut ArrayViewMut2<f32>, kernel: &[f32], norm: &[f32], old: &mut Vec<f32>) {
    if kernel.len() < 2 {
        return;
    }
    for mut row in slice.rows_mut() {
        let Some(row) = row.as_slice_mut() else { continue };
        old.clear();
        old.extend_from_slice(row);
        row.fill(0.0);
        for (d, &w) in kernel.iter().enumerate().take(row.len()) {
            add_scaled(row.get_mut(d..).unwrap_or(&mut []), old, w);
            if d > 0 {
                add_scaled(row, old.get(d..).unwrap_or(&[]), w);
            }
        }
        row.iter_mut().zip(norm).for_each(|(v, n)| *v *= n);
    }
}

/// Smooths across the rows; `old` is room to work in.
fn smooth_lines(slice: &mut ArrayViewMut2<f32>, kernel: &[f32], norm: &[f32], old: &mut Vec<f32>) {
    if kernel.len() < 2 {
        return;
    }
    old.clear();
    slice.rows().into_iter().for_each(|row| old.extend_from_slice(row.as_slice().unwrap_or_default()));
    for ((at, mut row), &n) in slice.rows_mut().into_iter().enumerate().zip(norm) {
        if let Some(row) = row.as_slice_mut() {
            blend_lines(row, old, at, kernel, n);
        }
    }
}

/// Shrinks by whole factors `[z, y, x]` (0 counts as 1), each output voxel being the mean of its block.
///
/// The shape is `ceil(n / factor)`; a block cut by the far edge is the mean of what it has. The inverse is [`expand`].
#[must_use]
pub fn shrink(image: ArrayView3<f32>, factor: [usize; 3]) -> Array3<f32> {
    shrink_of(image, factor, |v| v)
}

/// [`shrink`] of an image whose voxels are changed by `each` as they are read.
pub(crate) fn shrink_of(image: ArrayView3<f32>, factor: [usize; 3], each: impl Fn(f32) -> f32 + Sync) -> Array3<f32> {
    let [fz, fy, fx] = factor.map(|f| f.max(1));
    let image = image.as_standard_layout();
    let (nz, ny, nx) = image.dim();
    let shape = (nz.div_ceil(fz), ny.div_ceil(fy), nx.div_ceil(fx));
    let mut out = Array3::zeros(shape);
    par_planes(&mut out, 0).enumerate().for_each(|(k, mut slice)| {
        let depth = k * fz..((k + 1) * fz).min(nz);
        let mut sums = vec![0.0f32; nx];
        for (j, mut row) in slice.outer_iter_mut().enumerate() {
            let height = j * fy..((j + 1) * fy).min(ny);
            sums.fill(0.0);
            for (z, y) in depth.clone().flat_map(|z| height.clone().map(move |y| (z, y))) {
                let line = image.slice(s![z, y, ..]);
                sums.iter_mut().zip(line.as_slice().unwrap_or_default()).for_each(|(sum, v)| *sum += each(*v));
            }
            let lines = depth.len() * height.len();
            for (v, block) in row.iter_mut().zip(sums.chunks(fx)) {
                *v = block.iter().sum::<f32>() / (block.len() * lines) as f32;
            }
        }
    });
    out
}

/// Trilinear interpolation of a volume made by [`shrink`] with `factor` back onto the original `shape`, centres aligned
/// exactly also when the shape is no multiple of the factor.
#[must_use]
pub fn expand(image: ArrayView3<f32>, factor: [usize; 3], shape: [usize; 3]) -> Array3<f32> {
    let (nz, ny, nx) = image.dim();
    let axis = |n_in: usize, n_out: usize, f: usize| axis_weights(n_in, n_out, 1.0 / f.max(1) as f64);
    interpolate(image, &axis(nz, shape[0], factor[0]), &axis(ny, shape[1], factor[1]), &axis(nx, shape[2], factor[2]))
}

fn axis_weights(n_in: usize, n_out: usize, step: f64) -> AxisWeights {
    let last = n_in.saturating_sub(1);
    let at = |o: usize| {
        let c = ((o as f64 + 0.5) * step - 0.5).clamp(0.0, last as f64);
        let low = (c.floor() as usize).min(last.saturating_sub(1));
        (low, (c - low as f64) as f32)
    };
    (0..n_out).map(at).collect()
}

fn interpolate(image: ArrayView3<f32>, zs: &AxisWeights, ys: &AxisWeights, xs: &AxisWeights) -> Array3<f32> {
    let image = image.as_standard_layout();
    let (nz, ny, nx) = image.dim();
    let mut out = Array3::zeros((zs.len(), ys.len(), xs.len()));
    let Some(data) = image.as_slice().filter(|d| !d.is_empty()) else { return out };
    let line = |i: usize, len: usize| data.get(i * len..(i + 1) * len).unwrap_or(&[]);
    par_planes(&mut out, 0).zip(zs.par_iter()).for_each(|(mut slice, &(z, wz))| {
        let mut plane = line(z, ny * nx).to_vec();
        mix(&mut plane, line((z + 1).min(nz - 1), ny * nx), wz);
        let mut row = vec![0.0f32; nx];
        for (mut to, &(y, wy)) in slice.outer_iter_mut().zip(ys) {
            let from = |y: usize| plane.get(y * nx..(y + 1) * nx).unwrap_or(&[]);
            row.copy_from_slice(from(y));
            mix(&mut row, from((y + 1).min(ny - 1)), wy);
            for (v, &(x, wx)) in to.iter_mut().zip(xs) {
                let a = row.get(x).copied().unwrap_or(0.0);
                *v = a + wx * (row.get(x + 1).copied().unwrap_or(a) - a);
            }
        }
    });
    out
}

fn mix(to: &mut [f32], other: &[f32], weight: f32) {
    if weight > 0.0 {
        to.iter_mut().zip(other).for_each(|(t, &o)| *t += weight * (o - *t));
    }
}

/// The `q` quantiles (each 0 to 1, linear between order statistics) of the finite values; empty input gives `None`.
/// Reorders `values`.
#[must_use]
pub fn quantiles<const N: usize>(values: &mut Vec<f32>, q: [f64; N]) -> Option<[f32; N]> {
    values.retain(|v| v.is_finite());
    let last = values.len().checked_sub(1)?;
    Some(q.map(|q| {
        let at = q.clamp(0.0, 1.0) * last as f64;
        let (_, &mut low, above) = values.select_nth_unstable_by(at.floor() as usize, f32::total_cmp);
        let high = above.iter().copied().min_by(f32::total_cmp).unwrap_or(low);
        low + (at.fract() as f32) * (high - low)
    }))
}

/// The 2 % and 98 % quantiles of the finite voxels that are not exactly zero (padding and stripped background are);
/// `None` when there are none. Large volumes are sampled at about half a million voxels, evenly.
#[must_use]
pub fn robust_range(image: ArrayView3<f32>) -> Option<(f32, f32)> {
    let step = (image.len() / 500_000).max(1);
    let mut values: Vec<f32> = image.iter().step_by(step).copied().filter(|&v| v != 0.0).collect();
    quantiles(&mut values, [0.02, 0.98]).map(|[low, high]| (low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(shape: (usize, usize, usize)) -> Array3<f32> {
        Array3::from_shape_fn(shape, |(k, j, i)| 3.0 * k as f32 + 2.0 * j as f32 + i as f32)
    }

    #[test]
    fn smoothing_keeps_constants_and_spreads_a_point_as_a_gaussian() {
        let constant = Array3::from_elem((5, 7, 9), 4.0f32);
        let smooth = gaussian_smooth(constant.view(), [2.0, 1.0, 3.0]);
        assert!(smooth.iter().all(|v| (v - 4.0).abs() < 1e-5));
        let mut point = Array3::zeros((21, 21, 21));
        point[[10, 10, 10]] = 1.0f32;
        let s = gaussian_smooth(point.view(), [1.0, 1.5, 2.0]);
        assert!((s.sum() - 1.0).abs() < 1e-4);
        let ratio = |v: f32| f64::from(v / s[[10, 10, 10]]).ln();
        assert!((ratio(s[[12, 10, 10]]) + 2.0).abs() < 1e-3);
        assert!((ratio(s[[10, 13, 10]]) + 2.0).abs() < 1e-3);
        assert!((ratio(s[[10, 10, 6]]) + 2.0).abs() < 1e-3);
    }

    #[test]
    fn shrink_means_blocks_and_expand_restores_a_ramp() {
        let r = ramp((7, 8, 9));
        let small = shrink(r.view(), [2, 2, 3]);
        assert_eq!(small.dim(), (4, 4, 3));
        assert!((small[[0, 0, 0]] - (1.5 + 1.0 + 1.0)).abs() < 1e-5);
        assert!((small[[3, 0, 0]] - (18.0 + 1.0 + 1.0)).abs() < 1e-5);
        let back = expand(small.view(), [2, 2, 3], [7, 8, 9]);
        assert!((back[[3, 4, 4]] - r[[3, 4, 4]]).abs() < 1e-4);
    }

    #[test]
    fn quantiles_match_numpy_and_ignore_what_is_not_finite() {
        let mut v = vec![4.0, 1.0, f32::NAN, 3.0, 2.0, f32::INFINITY];
        assert_eq!(quantiles(&mut v, [0.0, 0.5, 1.0]), Some([1.0, 2.5, 4.0]));
        assert_eq!(quantiles(&mut vec![f32::NAN], [0.5]), None);
        assert_eq!(robust_range(Array3::<f32>::zeros((2, 2, 2)).view()), None);
    }
}
