//! Mean over a cube of voxels around every voxel, in time that does not depend on the cube's size.

use ndarray::{Array3, ArrayViewMut2};
use rayon::prelude::*;

use crate::filter::par_planes;

/// Replaces every voxel by the mean over the cube of `2 * radius + 1` voxels around it; beyond an edge the edge voxel is
/// repeated. The volume must be in standard layout.
pub(super) fn box_mean_in_place(volume: &mut Array3<f32>, radius: usize) {
    if radius == 0 || volume.is_empty() {
        return;
    }
    par_planes(volume, 0).for_each_init(Vec::new, |old, mut slice| {
        mean_rows(&mut slice, radius, old);
        mean_lines(&mut slice, radius, old);
    });
    par_planes(volume, 1).for_each_init(Vec::new, |old, mut slice| mean_lines(&mut slice, radius, old));
}

/// Running means along each row; `old` is room to work in.
fn mean_rows(slice: &mut ArrayViewMut2<f32>, radius: usize, old: &mut Vec<f32>) {
    let share = 1.0 / (2 * radius + 1) as f32;
    for mut row in slice.rows_mut() {
        let Some(row) = row.as_slice_mut() else { continue };
        let (Some(&first), Some(&last)) = (row.first(), row.last()) else { continue };
        old.clear();
        old.resize(radius, first);
        old.extend_from_slice(row);
        old.resize(row.len() + 2 * radius, last);
        row.fill(0.0);
        for shift in 0..=2 * radius {
            row.iter_mut().zip(old.get(shift..).unwrap_or(&[])).for_each(|(sum, v)| *sum += v);
        }
        row.iter_mut().for_each(|sum| *sum *= share);
    }
}

/// Running means across the rows; `old` is room to work in.
fn mean_lines(slice: &mut ArrayViewMut2<f32>, radius: usize, old: &mut Vec<f32>) {
    let (n, len) = slice.dim();
    let share = 1.0 / (2 * radius + 1) as f32;
    old.clear();
    slice.rows().into_iter().for_each(|row| old.extend_from_slice(row.as_slice().unwrap_or_default()));
    let line = |at: isize| {
        let at = at.clamp(0, n as isize - 1) as usize;
        old.get(at * len..(at + 1) * len).unwrap_or(&[])
    };
    let reach = radius as isize;
    let mut sums = vec![0.0f32; len];
    for at in -reach..=reach {
        sums.iter_mut().zip(line(at)).for_each(|(sum, v)| *sum += v);
    }
    for (at, mut row) in slice.rows_mut().into_iter().enumerate() {
        let Some(row) = row.as_slice_mut() else { continue };
        let (enters, leaves) = (line(at as isize + reach + 1), line(at as isize - reach));
        for (((v, sum), enters), leaves) in row.iter_mut().zip(&mut sums).zip(enters).zip(leaves) {
            *v = *sum * share;
            *sum += enters - leaves;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_mean_of_the_cube_with_edges_repeated() {
        let image = Array3::from_shape_fn((7, 6, 9), |(k, j, i)| ((k * 31 + j * 17 + i * 7) % 23) as f32);
        let mut mean = image.clone();
        box_mean_in_place(&mut mean, 2);
        for ((k, j, i), v) in mean.indexed_iter() {
            let mut sum = 0.0;
            for (dz, dy, dx) in (0..125).map(|n| (n / 25, n / 5 % 5, n % 5)) {
                let at = |i: usize, d: usize, n: usize| (i + d).saturating_sub(2).min(n - 1);
                sum += image[[at(k, dz, 7), at(j, dy, 6), at(i, dx, 9)]];
            }
            assert!((v - sum / 125.0).abs() < 1e-4, "{k} {j} {i}: {v}, not {}", sum / 125.0);
        }
    }
}
