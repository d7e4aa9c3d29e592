//! Shape operations on masks in millimetres: distance transform, dilation, erosion, components, holes.
//!
//! Everything by distance is exact in millimetres, so anisotropic voxels are treated right: far distances come from a
//! Euclidean distance transform, growing and shrinking, which need to look no further than their radius, from plain minima
//! over whole lines. Everything by connection comes from one labelling of runs along x with 6-connectivity.

use ndarray::{Array3, ArrayView3, Axis, Zip};
use rayon::prelude::*;

use crate::imaging::filter::par_planes;

/// Stands for "no mask voxel on this line yet": larger than any squared distance in mm², small enough to add to.
const FAR: f32 = 1e20;

/// The squared distance in mm² from each voxel centre to the nearest voxel of `mask`, exact (Felzenszwalb &
/// Huttenlocher, Theory of Computing 2012); 0 inside the mask, 1e20 or more everywhere when it is empty.
#[must_use]
pub fn squared_distance(mask: ArrayView3<u8>, voxel_mm: [f64; 3]) -> Array3<f32> {
    let [dz, dy, dx] = voxel_mm.map(|d| d as f32);
    let mut out = along_rows(mask, dx, true);
    par_planes(&mut out, 0).for_each(|plane| envelope_columns(plane, dy));
    par_planes(&mut out, 1).for_each(|plane| envelope_columns(plane, dz));
    out
}

/// The mask grown by `mm` (a ball); nothing beyond the volume counts.
#[must_use]
pub fn dilate(mask: ArrayView3<u8>, voxel_mm: [f64; 3], mm: f64) -> Array3<u8> {
    let reach = (mm * mm + 1e-4) as f32;
    par_map(&distance_within(mask, voxel_mm, reach, true), |d| u8::from(d <= reach))
}

/// The mask shrunk by `mm` (a ball); the border of the volume does not eat into it.
#[must_use]
pub fn erode(mask: ArrayView3<u8>, voxel_mm: [f64; 3], mm: f64) -> Array3<u8> {
    let reach = (mm * mm + 1e-4) as f32;
    par_map(&distance_within(mask, voxel_mm, reach, false), |d| u8::from(d > reach))
}

fn par_map(distance: &Array3<f32>, f: impl Fn(f32) -> u8 + Sync) -> Array3<u8> {
    let mut out = Array3::zeros(distance.dim());
    par_planes(&mut out, 0).zip(distance.axis_iter(Axis(0)).collect::<Vec<_>>()).for_each(|(slice, distance)| {
        Zip::from(slice).and(distance).for_each(|o, &d| *o = f(d));
    });
    out
}

/// Squared distance to the voxels that are (`inside`) or are not in the mask, exact up to `reach` mm² and more than `reach`
/// beyond: minima along x, then along y and along z, none of which looks further than it must.
fn distance_within(mask: ArrayView3<u8>, voxel_mm: [f64; 3], reach: f32, inside: bool) -> Array3<f32> {
    let [dz, dy, dx] = voxel_mm.map(|d| d as f32);
    let mut out = along_rows(mask, dx, inside);
    par_planes(&mut out, 0).for_each(|plane| lower_columns(plane, dy, reach));
    par_planes(&mut out, 1).for_each(|plane| lower_columns(plane, dz, reach));
    out
}

/// The squared distance of each voxel to the nearest one of its row that is (`inside`) or is not in the mask.
fn along_rows(mask: ArrayView3<u8>, dx: f32, inside: bool) -> Array3<f32> {
    let mut out = Array3::from_elem(mask.dim(), FAR);
    par_planes(&mut out, 0).enumerate().for_each(|(k, mut slice)| {
        for (mut row, line) in slice.outer_iter_mut().zip(mask.index_axis(Axis(0), k).outer_iter()) {
            scan_row(&mut row, line.iter().map(|&m| (m != 0) == inside), dx);
        }
    });
    out
}

/// Replaces each column `v` of a plane by min over q of `(p − q)²·step² + v[q]` where that is at most `reach`. Whole rows
/// are compared at a time, and rows that hold nothing within reach not at all.
fn lower_columns(mut plane: ndarray::ArrayViewMut2<f32>, step: f32, reach: f32) {
    let old = plane.to_owned();
    let near: Vec<bool> = old.outer_iter().map(|row| row.iter().any(|&v| v <= reach)).collect();
    let costs = (1..old.nrows()).map(|d| (d as f32 * step).powi(2)).take_while(|&cost| cost <= reach);
    for (distance, cost) in costs.enumerate().map(|(d, cost)| (d + 1, cost)) {
        for (p, mut row) in plane.outer_iter_mut().enumerate() {
            for q in [p.checked_sub(distance), Some(p + distance)].into_iter().flatten() {
                if near.get(q) == Some(&true) {
                    row.zip_mut_with(&old.row(q), |v, &from| *v = if from + cost < *v { from + cost } else { *v });
                }
            }
        }
    }
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

/// A stretch of equal voxels along x, and the root of its component.
struct Run {
    start: usize,
    end: usize,
}

/// The 6-connected components of the voxels for which `mask != 0` equals `wanted`: runs by row, and a root per run.
struct Components {
    rows: Vec<std::ops::Range<usize>>,
    runs: Vec<Run>,
    parent: Vec<usize>,
}

impl Components {
    fn new(mask: ArrayView3<u8>, wanted: bool) -> Self {
        let (nz, ny, _) = mask.dim();
        let mut all = Self { rows: Vec::with_capacity(nz * ny), runs: Vec::new(), parent: Vec::new() };
        for row in mask.rows() {
            let first = all.runs.len();
            let mut start = None;
            for (i, &v) in row.iter().enumerate() {
                match (start, (v != 0) == wanted) {
                    (None, true) => start = Some(i),
                    (Some(s), false) => {
                        all.runs.push(Run { start: s, end: i });
                        start = None;
                    }
                    _ => {}
                }
            }
            all.runs.extend(start.map(|start| Run { start, end: row.len() }));
            all.rows.push(first..all.runs.len());
        }
        all.parent = (0..all.runs.len()).collect();
        for r in 0..all.rows.len() {
            if r % ny > 0 {
                all.join_rows(r - 1, r);
            }
            if r >= ny {
                all.join_rows(r - ny, r);
            }
        }
        all
    }

    fn root(&mut self, mut run: usize) -> usize {
        while self.parent[run] != run {
            self.parent[run] = self.parent[self.parent[run]];
            run = self.parent[run];
        }
        run
    }

    /// Joins the runs of two neighbouring rows that overlap; the smaller root wins.
    fn join_rows(&mut self, a: usize, b: usize) {
        let (mut p, end_p) = (self.rows[a].start, self.rows[a].end);
        let (mut q, end_q) = (self.rows[b].start, self.rows[b].end);
        while p < end_p && q < end_q {
            if self.runs[p].start < self.runs[q].end && self.runs[q].start < self.runs[p].end {
                let (x, y) = (self.root(p), self.root(q));
                self.parent[x.max(y)] = x.min(y);
            }
            if self.runs[p].end < self.runs[q].end { p += 1 } else { q += 1 }
        }
    }

    /// Writes `value` into the voxels of every run whose root is accepted.
    fn paint(&mut self, out: &mut Array3<u8>, value: u8, accept: impl Fn(usize) -> bool) {
        for (r, mut row) in out.rows_mut().into_iter().enumerate() {
            for run in self.rows[r].clone() {
                if accept(self.root(run)) {
                    let Run { start, end } = self.runs[run];
                    row.iter_mut().take(end).skip(start).for_each(|v| *v = value);
                }
            }
        }
    }
}

/// The largest 6-connected component of the mask (the first in memory order among equals); empty stays empty.
#[must_use]
pub fn largest_component(mask: ArrayView3<u8>) -> Array3<u8> {
    let mut parts = Components::new(mask, true);
    let mut size = vec![0usize; parts.runs.len()];
    for run in 0..parts.runs.len() {
        let root = parts.root(run);
        size[root] += parts.runs[run].end - parts.runs[run].start;
    }
    let mut out = Array3::zeros(mask.dim());
    let best = size.iter().enumerate().rev().max_by_key(|(_, n)| **n).map(|(root, _)| root);
    parts.paint(&mut out, 1, |root| Some(root) == best);
    out
}

/// The mask with every hole filled: background that is not 6-connected to the border of the volume becomes mask.
#[must_use]
pub fn fill_holes(mask: ArrayView3<u8>) -> Array3<u8> {
    let (nz, ny, nx) = mask.dim();
    let mut parts = Components::new(mask, false);
    let mut open = vec![false; parts.runs.len()];
    for r in 0..parts.rows.len() {
        let (k, j) = (r / ny, r % ny);
        let rim = k == 0 || k + 1 == nz || j == 0 || j + 1 == ny;
        for run in parts.rows[r].clone() {
            if rim || parts.runs[run].start == 0 || parts.runs[run].end == nx {
                let root = parts.root(run);
                open[root] = true;
            }
        }
    }
    let mut out = Array3::from_elem(mask.dim(), 1);
    parts.paint(&mut out, 0, |root| open[root]);
    out
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
        let mask = Array3::from_shape_fn((13, 21, 17), |(k, j, i)| u8::from((k * 31 + j * 17 + i * 7) % 97 < 3));
        let outside = mask.mapv(|m| 1 - m);
        for mm in [0.5, 2.0, 4.7, 60.0] {
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
