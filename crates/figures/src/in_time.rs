//! Pictures of a series in time: the carpet of all time courses, and signal over noise.

use ndarray::{Array2, ArrayView3, ArrayView4};
use rayon::prelude::*;

use imaging::morphology::squared_distance;

/// Most rows and columns of a carpet.
const ROWS: usize = 240;
const COLUMNS: usize = 900;
/// Voxels whose mean makes a row, at most.
const PER_ROW: usize = 8;
/// Pixels worked on at a time.
const BLOCK: usize = 1024;

/// The carpet plot of a series (nt, nz, ny, nx) in its brain mask, after Power J.D., NeuroImage 154, 2017: a row for every
/// few voxels, a column for every volume (or few, of long runs). The rows are grouped by `class` (0 to 255, in that order),
/// and in each class go from the edge of the brain at the top to its depth at the bottom. Each row is the mean of up to 8 voxels
/// of one depth, freed from its linear trend over the volumes from `steady` on and divided by its standard deviation there.
/// Also the rows of each class.
pub(super) fn carpet(
    series: ArrayView4<f32>,
    mask: ArrayView3<u8>,
    class: Option<ArrayView3<u8>>,
    voxel_mm: [f64; 3],
    steady: usize,
) -> (Array2<f32>, Vec<(u8, usize)>) {
    let nt = series.dim().0;
    let mut order = by_depth(mask, voxel_mm);
    let class: Vec<u8> = class.map_or_else(|| vec![0; mask.len()], |class| class.iter().copied().collect());
    order.sort_by_key(|at| class[*at]);
    let groups: Vec<&[usize]> = order.chunk_by(|a, b| class[*a] == class[*b]).collect();
    let parts: Vec<(u8, usize)> =
        groups.iter().map(|group| (class[group[0]], rows_of(group.len(), order.len()))).collect();
    let cut = |(group, (_, rows)): (&&[usize], &(u8, usize))| -> Vec<Vec<usize>> {
        let (n, rows) = (group.len(), *rows);
        (0..rows).map(|row| group[row * n / rows..(row + 1) * n / rows].to_vec()).collect()
    };
    let rows: Vec<Vec<usize>> = groups.iter().zip(&parts).flat_map(cut).collect();
    let series = series.as_standard_layout();
    let data = series.as_slice().unwrap_or_default();
    let drawn: Vec<Vec<f32>> = rows
        .par_iter()
        .map(|voxels| {
            let chosen: Vec<usize> = voxels.iter().step_by(voxels.len().div_ceil(PER_ROW)).copied().collect();
            let mean = data
                .chunks_exact(mask.len())
                .map(|volume| chosen.iter().map(|&v| f64::from(volume[v])).sum::<f64>() / chosen.len() as f64);
            bin(&standardised(mean.collect(), steady))
        })
        .collect();
    let columns = nt.div_ceil(nt.div_ceil(COLUMNS).max(1));
    (Array2::from_shape_vec((rows.len(), columns), drawn.concat()).unwrap_or_default(), parts)
}

/// The rows of a class of `n` of all voxels: its share, but enough to be seen.
fn rows_of(n: usize, all: usize) -> usize {
    const FEWEST: usize = 4;
    (n * ROWS.min(all) / all.max(1)).max(FEWEST).min(n)
}

/// The raster indices of the voxels of the mask, from its edge inwards.
fn by_depth(mask: ArrayView3<u8>, voxel_mm: [f64; 3]) -> Vec<usize> {
    let outside = mask.mapv(|m| u8::from(m == 0));
    let depth = squared_distance(outside.view(), voxel_mm);
    let mut found: Vec<(f32, usize)> =
        depth.iter().zip(mask).enumerate().filter(|(_, (_, m))| **m != 0).map(|(at, (d, _))| (*d, at)).collect();
    found.par_sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    found.into_iter().map(|(_, at)| at).collect()
}

/// The course without its linear trend, over its standard deviation, both of the volumes from `steady` on.
fn standardised(course: Vec<f64>, steady: usize) -> Vec<f64> {
    let from = if steady + 2 < course.len() { steady } else { 0 };
    let counted = || course.iter().enumerate().skip(from).map(|(t, v)| (t as f64, *v));
    let n = (course.len() - from) as f64;
    let (time, level) = counted().fold((0.0, 0.0), |(a, b), (t, v)| (a + t / n, b + v / n));
    let (power, product) =
        counted().fold((0.0, 0.0), |(a, b), (t, v)| (a + (t - time).powi(2), b + (t - time) * (v - level)));
    let slope = if power > 0.0 { product / power } else { 0.0 };
    let rest: Vec<f64> = course.iter().enumerate().map(|(t, v)| v - level - slope * (t as f64 - time)).collect();
    let sd = (rest.iter().skip(from).map(|v| v * v).sum::<f64>() / n).sqrt();
    rest.into_iter().map(|v| if sd > 0.0 { v / sd } else { 0.0 }).collect()
}

/// Means of so many neighbours that no more than [`COLUMNS`] are left.
fn bin(course: &[f64]) -> Vec<f32> {
    let together = course.len().div_ceil(COLUMNS).max(1);
    course.chunks(together).map(|part| (part.iter().sum::<f64>() / part.len() as f64) as f32).collect()
}

/// Mean over standard deviation in time of a series (nt, nz, ny, nx) from volume `steady` on, for each of the pixels'
/// voxels; 0 where the signal never changes, NaN for none.
pub(super) fn signal_to_noise(
    series: ArrayView4<f32>,
    steady: usize,
    voxels: &Array2<Option<[usize; 3]>>,
) -> Array2<f32> {
    let (nt, nz, ny, nx) = series.dim();
    let series = series.as_standard_layout();
    let data = series.as_slice().unwrap_or_default();
    let from = if steady + 1 < nt { steady } else { 0 };
    let raster: Vec<Option<usize>> = voxels.iter().map(|at| at.map(|[k, j, i]| (k * ny + j) * nx + i)).collect();
    let of_block = |block: &[Option<usize>]| -> Vec<f32> {
        // Relative to the first volume, so that nothing is lost in the difference of large squares.
        let mut sums = vec![(0.0_f64, 0.0_f64); block.len()];
        let volumes: Vec<&[f32]> = data.chunks_exact((nz * ny * nx).max(1)).skip(from).collect();
        let Some(first) = volumes.first() else { return vec![f32::NAN; block.len()] };
        for volume in &volumes {
            for (sum, at) in sums.iter_mut().zip(block) {
                let Some(at) = *at else { continue };
                let v = f64::from(volume[at] - first[at]);
                *sum = (sum.0 + v, sum.1 + v * v);
            }
        }
        let n = volumes.len() as f64;
        let ratio = |((sum, squares), at): (&(f64, f64), &Option<usize>)| {
            let Some(at) = *at else { return f32::NAN };
            let sd = (squares / n - (sum / n).powi(2)).max(0.0).sqrt();
            if sd > 0.0 { ((f64::from(first[at]) + sum / n) / sd) as f32 } else { 0.0 }
        };
        sums.iter().zip(block).map(ratio).collect()
    };
    let found: Vec<f32> = raster.par_chunks(BLOCK).flat_map_iter(of_block).collect();
    Array2::from_shape_vec(voxels.dim(), found).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, Array4};

    #[test]
    fn trend_and_scale_are_taken_out() {
        let course: Vec<f64> =
            [9.0, 1.0, -1.0, 1.0, -1.0].iter().zip(0..).map(|(v, t)| v + 3.0 * f64::from(t)).collect();
        let found = standardised(course, 1);
        // 1, -1, 1, -1 has a trend of its own: -0.4 per volume; what is left has a mean square of 0.8.
        for (v, expected) in found[1..].iter().zip([0.4, -1.2, 1.2, -0.4]) {
            assert!((v - expected / 0.8_f64.sqrt()).abs() < 1e-9, "{found:?}");
        }
        assert!(found[0] > 5.0, "the unsteady volume stands out");
        assert_eq!(standardised(vec![7.0; 4], 0), [0.0; 4]);
        assert_eq!((bin(&[1.0; 1800]).len(), bin(&[1.0; 901]).len(), bin(&[1.0, 2.0])), (900, 451, vec![1.0, 2.0]));
    }

    #[test]
    fn a_carpet_begins_at_the_edge_of_the_brain() {
        let mut mask = Array3::<u8>::zeros((9, 9, 9));
        mask.slice_mut(ndarray::s![1..8, 1..8, 1..8]).fill(1);
        let order = by_depth(mask.view(), [1.0; 3]);
        assert_eq!((order.len(), order[342]), (343, 4 * 81 + 4 * 9 + 4), "the middle is last");
        // The outer shell jumps at volume 3, the inside at volume 6.
        let series = Array4::from_shape_fn((8, 9, 9, 9), |(t, k, j, i)| {
            let shell = [k, j, i].iter().any(|v| *v == 1 || *v == 7);
            if t == if shell { 3 } else { 6 } { 200.0 } else { 100.0 }
        });
        let (found, parts) = carpet(series.view(), mask.view(), None, [1.0; 3], 0);
        assert_eq!((found.dim(), parts), ((240, 8), vec![(0, 240)]));
        let peak = |row: usize| found.row(row).iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
        assert_eq!((peak(0), peak(239)), (3, 6));
        // With classes the inside may come first, and a class of few voxels is seen nevertheless.
        let mut class = Array3::<u8>::from_elem((9, 9, 9), 2);
        class.slice_mut(ndarray::s![2..7, 2..7, 2..7]).fill(1);
        class[[4, 4, 4]] = 3;
        class[[4, 4, 5]] = 3;
        let (found, parts) = carpet(series.view(), mask.view(), Some(class.view()), [1.0; 3], 0);
        assert_eq!((parts, found.dim()), (vec![(1, 86), (2, 152), (3, 2)], (240, 8)));
        let peak = |row: usize| found.row(row).iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
        assert_eq!((peak(0), peak(85), peak(86), peak(237), peak(239)), (6, 6, 3, 3, 6));
    }

    #[test]
    fn signal_to_noise_is_mean_over_standard_deviation() {
        let series = Array4::from_shape_fn(
            (5, 1, 1, 2),
            |(t, .., i)| if i == 0 { 7.0 } else { [9e6, 98.0, 102.0, 98.0, 102.0][t] },
        );
        let voxels = ndarray::arr2(&[[Some([0, 0, 0]), Some([0, 0, 1]), None]]);
        let found = signal_to_noise(series.view(), 1, &voxels);
        assert_eq!(found[[0, 0]], 0.0);
        assert!((found[[0, 1]] - 50.0).abs() < 1e-3 && found[[0, 2]].is_nan(), "{found:?}");
    }
}
