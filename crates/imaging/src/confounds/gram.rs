//! Products of volumes with volumes, summed over voxels: the small matrix that stands for a long one in principal components.

use rayon::prelude::*;

/// Rows of the result that one task makes.
const PANEL: usize = 32;
/// Rows and columns whose sums are in the registers of the processor at a time.
const ROWS: usize = 4;
const COLUMNS: usize = 8;
/// Voxels that are summed in `f32` before the sum goes into an `f64`.
const VOXELS: usize = 64;

/// Adds `Σ course[a]·course[b]` over all courses to element `(a, b)` of a symmetric matrix (`nt`·`nt`, row by row). `blocks` hold
/// the courses of voxels one after the other, `nt` values each. The sums are in the order of the voxels, at any number of threads.
pub(super) fn add_products(matrix: &mut [f64], blocks: &[Vec<f32>], nt: usize) {
    matrix.par_chunks_mut((PANEL * nt).max(1)).enumerate().for_each(|(p, rows)| {
        let mut columns = vec![0.0; VOXELS * PANEL];
        let mut other = [0.0; VOXELS * COLUMNS];
        for courses in blocks.iter().flat_map(|block| block.chunks(VOXELS * nt)) {
            pack::<PANEL>(courses, nt, p * PANEL, &mut columns);
            // Only up to the diagonal; the rest is its mirror image.
            for from in (0..((p + 1) * PANEL).min(nt)).step_by(COLUMNS) {
                pack::<COLUMNS>(courses, nt, from, &mut other);
                for (r, rows) in rows.chunks_mut(ROWS * nt).enumerate() {
                    add(rows, nt, from, &tile(&columns, r * ROWS, &other));
                }
            }
        }
    });
    for row in 0..nt {
        for column in row + 1..nt {
            matrix[row * nt + column] = matrix[column * nt + row];
        }
    }
}

/// `WIDE` volumes from `first` of up to `VOXELS` courses, close together; zeros where there are none.
fn pack<const WIDE: usize>(courses: &[f32], nt: usize, first: usize, to: &mut [f32]) {
    to.fill(0.0);
    for (course, to) in courses.chunks_exact(nt).zip(to.chunks_exact_mut(WIDE)) {
        let wanted = course.get(first..(first + WIDE).min(nt)).unwrap_or_default();
        to.iter_mut().zip(wanted).for_each(|(to, v)| *to = *v);
    }
}

/// The products of `ROWS` volumes of `columns` from `first` with those of `other`, summed over the voxels.
fn tile(columns: &[f32], first: usize, other: &[f32]) -> [[f32; COLUMNS]; ROWS] {
    let mut sums = [[0.0; COLUMNS]; ROWS];
    for (a, b) in columns.chunks_exact(PANEL).zip(other.as_chunks::<COLUMNS>().0) {
        let a: &[f32; ROWS] = a.get(first..).and_then(<[f32]>::first_chunk).unwrap_or(&[0.0; ROWS]);
        for (sums, a) in sums.iter_mut().zip(a) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum += a * b;
            }
        }
    }
    sums
}

fn add(rows: &mut [f64], nt: usize, from: usize, tile: &[[f32; COLUMNS]; ROWS]) {
    for (row, sums) in rows.chunks_exact_mut(nt).zip(tile) {
        for (to, sum) in row.iter_mut().skip(from).zip(sums) {
            *to += f64::from(*sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sum_is_that_of_the_products() {
        for (nt, voxels) in [(1, 1), (5, 3), (37, 150), (70, 64)] {
            let value = |v: usize, t: usize| ((v * 31 + t * 17 + v * t) % 23) as f32 - 11.0;
            let courses: Vec<f32> = (0..voxels).flat_map(|v| (0..nt).map(move |t| value(v, t))).collect();
            let blocks: Vec<Vec<f32>> = courses.chunks(100 * nt).map(<[f32]>::to_vec).collect();
            let mut found = vec![0.0; nt * nt];
            // In one go or in several.
            blocks.chunks(1).for_each(|blocks| add_products(&mut found, blocks, nt));
            let mut at_once = vec![0.0; nt * nt];
            add_products(&mut at_once, &blocks, nt);
            assert_eq!(found, at_once);
            for a in 0..nt {
                for b in 0..nt {
                    let sum: f32 = (0..voxels).map(|v| value(v, a) * value(v, b)).sum();
                    // Small whole numbers: no sum is rounded.
                    assert_eq!(found[a * nt + b], f64::from(sum), "{nt} {voxels} {a} {b}");
                }
            }
        }
        add_products(&mut [], &[], 0);
    }
}
