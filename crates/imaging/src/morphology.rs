//! Shape operations on masks in millimetres: distance transform, dilation, erosion, components, holes.
//!
//! Everything by distance is exact in millimetres, so anisotropic voxels are treated right. Growing, shrinking, components
//! and holes are worked out on one bit per voxel (`bits`, `components`).

use ndarray::{Array3, ArrayView3, Axis};
use rayon::prelude::*;

use crate::bits::Bits;
use crate::components::{filled, largest};
use crate::filter::par_planes;

/// Stands for "no mask voxel on this line yet": larger than any squared distance in mm², small enough to add to.
const FAR: f32 = 1e20;

/// The squared distance in mm² from each voxel centre to the nearest voxel of `mask`, exact (Felzenszwalb &
/// Huttenlocher, Theory of Computing 2012); 0 inside the mask, 1e20 or more everywhere when it is empty.
#[must_use]
pub fn squared_distance(mask: ArrayView3<u8>, voxel_mm: [f64; 3]) -> Array3<f32> {
    let [dz, dy, dx] = voxel_mm.map(|d| d as f32);
    let mut out = along_rows(mask, dx);
    par_planes(&mut out, 0).for_each(|plane| envelope_columns(plane, dy));
    par_planes(&mut out, 1).for_each(|plane| envelope_columns(plane, dz));
    out
}

/// The mask grown by `mm` (a ball); nothing beyond the volume counts.
#[must_use]
pub fn dilate(mask: ArrayView3<u8>, voxel_mm: [f64; 3], mm: f64) -> Array3<u8> {
    bits(mask).grown(voxel_mm, mm).to_mask()
}

/// The mask shrunk by `mm` (a ball); the border of the volume does not eat into it.
#[must_use]
pub fn erode(mask: ArrayView3<u8>, voxel_mm: [f64; 3], mm: f64) -> Array3<u8> {
    bits(mask).shrunk(voxel_mm, mm).to_mask()
}

/// The largest 6-connected component of the mask (the first in memory order among equals); empty stays empty.
#[must_use]
pub fn largest_component(mask: ArrayView3<u8>) -> Array3<u8> {
    largest(&bits(mask)).to_mask()
}

/// The mask with every hole filled: background that is not 6-connected to the border of the volume becomes mask.
#[must_use]
pub fn fill_holes(mask: ArrayView3<u8>) -> Array3<u8> {
    filled(&bits(mask)).to_mask()
}

fn bits(mask: ArrayView3<u8>) -> Bits {
    Bits::of(mask, |&m| m != 0)
}

/// The squared distance of each voxel to the nearest one of its row in the mask.
fn along_rows(mask: ArrayView3<u8>, dx: f32) -> Array3<f32> {
    let mut out = Array3::from_elem(mask.dim(), FAR);
    par_planes(&mut out, 0).enumerate().for_each(|(k, mut slice)| {
        for (mut row, line) in slice.outer_iter_mut().zip(mask.index_axis(Axis(0), k).outer_iter()) {
            scan_row(&mut row, line.iter().map(|&m| m != 0), dx);
        }
    });
    out
}

/// Squared distance along one row to the nearest voxel that is `set`.
fn scan_row(row: &mut ndarray::ArrayViewMut1<f32>, set: impl Iterator<Item = bool>, step: f32) {
    let mut gap = f32::INFINITY;
    for (v, set) in row.iter_mut().zip(set) {
        gap = if set { 0.0 } else { gap + 1.0 };
        *v = gap;
    }
    gap = f32::INFINITY;
    for v in row.iter_mut().rev() {
        gap = if *v == 0.0 { 0.0 } else { gap + 1.0 };
        let d = v.min(gap) * step;
        *v = (d * d).min(FAR);
    }
}

/// The parabolas of one line: vertex, height there, and where each begins to be the lowest.
#[derive(Default)]
struct Envelope {
    hull: Vec<(f32, f32, f32)>,
}

impl Envelope {
    /// Replaces `line` by min over q of `(p − q)²·step² + line[q]`.
    fn transform(&mut self, line: &mut [f32], step: f32) {
        self.hull.clear();
        let scale = 1.0 / (2.0 * step * step);
        for (q, &height) in line.iter().enumerate().filter(|(_, h)| **h < FAR) {
            let q = q as f32;
            let mut start = f32::NEG_INFINITY;
            while let Some(&(p, low, from)) = self.hull.last() {
                start = (q + p) * 0.5 + (height - low) * scale / (q - p);
                if start > from {
                    break;
                }
                self.hull.pop();
                start = f32::NEG_INFINITY;
            }
            self.hull.push((q, height, start));
        }
        let mut lowest = self.hull.iter().peekable();
        let Some(mut current) = lowest.next() else { return };
        for (p, v) in line.iter_mut().enumerate() {
            let p = p as f32;
            while let Some(next) = lowest.next_if(|next| next.2 <= p) {
                current = next;
            }
            let d = (p - current.0) * step;
            *v = d * d + current.1;
        }
    }
}

/// Transforms each column of a plane; columns are gathered sixteen at a time so that memory is read in whole lines.
fn envelope_columns(mut plane: ndarray::ArrayViewMut2<f32>, step: f32) {
    const WIDE: usize = 16;
    let n = plane.nrows();
    let mut envelope = Envelope::default();
    let mut columns = vec![0.0f32; n * WIDE];
    for mut block in plane.axis_chunks_iter_mut(Axis(1), WIDE) {
        for (r, row) in block.outer_iter().enumerate() {
            for (c, &v) in row.iter().enumerate() {
                columns[c * n + r] = v;
            }
        }
        let wide = block.ncols();
        columns.chunks_exact_mut(n.max(1)).take(wide).for_each(|line| envelope.transform(line, step));
        for (r, mut row) in block.outer_iter_mut().enumerate() {
            for (c, v) in row.iter_mut().enumerate() {
                *v = columns[c * n + r];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ball(n: usize, radius: f64, voxel: [f64; 3]) -> Array3<u8> {
        let c = (n / 2) as f64;
        Array3::from_shape_fn((n, n, n), |(k, j, i)| {
            let d = [(k as f64 - c) * voxel[0], (j as f64 - c) * voxel[1], (i as f64 - c) * voxel[2]];
            u8::from(d.iter().map(|v| v * v).sum::<f64>() <= radius * radius + 1e-4)
        })
    }

    #[test]
    fn distance_equals_brute_force_on_anisotropic_voxels() {
        let voxel = [2.5, 1.0, 0.7];
        let set = [[1usize, 2, 3], [7, 8, 1], [4, 4, 9], [4, 5, 9]];
        let mut mask = Array3::zeros((9, 10, 19));
        set.iter().for_each(|&at| mask[at] = 1u8);
        let found = squared_distance(mask.view(), voxel);
        for ((k, j, i), &d) in found.indexed_iter() {
            let to = |s: &[usize; 3]| -> f64 {
                [k, j, i].iter().zip(s).zip(voxel).map(|((&a, &b), v)| ((a as f64 - b as f64) * v).powi(2)).sum()
            };
            let best = set.iter().map(to).fold(f64::INFINITY, f64::min);
            assert!((f64::from(d) - best).abs() < 1e-3, "{k} {j} {i}: {d} {best}");
        }
        assert!(squared_distance(Array3::zeros((3, 3, 3)).view(), voxel).iter().all(|&d| d >= FAR));
    }

    #[test]
    fn growing_and_shrinking_agree_with_the_distance() {
        let voxel = [1.3, 0.9, 2.1];
        let speckled = |shape, rare| {
            Array3::from_shape_fn(shape, |(k, j, i)| u8::from((k * 31 + j * 17 + i * 7 + i * i) % rare < 3))
        };
        // Rows of several words too, with few voxels that lie on either side of where words meet.
        let mut wide = speckled((5, 7, 130), 997);
        [63, 64, 127].into_iter().zip(0..).for_each(|(i, k)| wide[[k, 3, i]] = 1);
        let narrow = speckled((13, 21, 17), 97);
        for (mask, mm) in [0.5, 2.0, 4.7, 60.0].iter().flat_map(|mm| [(&narrow, *mm), (&wide, *mm)]) {
            let outside = mask.mapv(|m| 1 - m);
            let reach = (mm * mm + 1e-4) as f32;
            let grown = squared_distance(mask.view(), voxel).mapv(|d| u8::from(d <= reach));
            assert_eq!(dilate(mask.view(), voxel, mm), grown, "{mm}");
            let kept = squared_distance(mask.view(), voxel).mapv(|d| u8::from(d > reach));
            assert_eq!(erode(outside.view(), voxel, mm), kept, "{mm}");
        }
    }

    #[test]
    fn growing_and_shrinking_a_point_and_a_ball() {
        let voxel = [1.5, 1.0, 1.0];
        let mut point = Array3::zeros((17, 17, 17));
        point[[8, 8, 8]] = 1u8;
        let grown = dilate(point.view(), voxel, 5.0);
        assert_eq!(grown, ball(17, 5.0, voxel));
        let eroded = erode(grown.view(), voxel, 4.0);
        assert_eq!(eroded[[8, 8, 8]], 1);
        assert!(eroded.sum() < 30);
        let full = Array3::from_elem((4, 4, 4), 1u8);
        assert_eq!(erode(full.view(), voxel, 3.0), full);
    }

    #[test]
    fn the_largest_component_wins_and_holes_are_filled() {
        let shell =
            Array3::from_shape_fn((17, 17, 17), |at| ball(17, 6.0, [1.0; 3])[at] & (1 - ball(17, 3.0, [1.0; 3])[at]));
        assert_eq!(fill_holes(shell.view()), ball(17, 6.0, [1.0; 3]));
        let mut two = shell.clone();
        two[[0, 0, 0]] = 1;
        two[[0, 0, 1]] = 1;
        assert_eq!(largest_component(two.view()), shell);
        let u_shape = ndarray::arr3(&[[[1u8, 0, 1], [1, 0, 1], [1, 1, 1]]]);
        assert_eq!(largest_component(u_shape.view()), u_shape);
        assert_eq!(fill_holes(u_shape.view()), u_shape);
        assert_eq!(largest_component(Array3::zeros((2, 2, 2)).view()).sum(), 0);
    }
}
