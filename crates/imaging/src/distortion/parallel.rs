//! Sums and slabs in parallel, with the same bits at any number of threads.

use rayon::prelude::*;

/// Voxels below which it is not worth it to share work between threads.
const JOB: usize = 1 << 13;
/// Values of a partial sum. Fixed, so that what is added to what does not depend on threads.
const CHUNK: usize = 1 << 12;
/// Running sums of a partial sum, which the processor adds at once.
const LANES: usize = 8;

/// How many slabs of so many voxels make a job.
pub(super) fn slabs_per_job(slab: usize) -> usize {
    (JOB / slab.max(1)).max(1)
}

/// The slabs of `slab` values each, with their numbers, to be changed in parallel.
pub(super) fn slabs(data: &mut [f32], slab: usize) -> impl IndexedParallelIterator<Item = (usize, &mut [f32])> {
    data.par_chunks_mut(slab.max(1)).with_min_len(slabs_per_job(slab)).enumerate()
}

/// The sum of products, in fixed chunks.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    let chunk = |(a, b): (&[f32], &[f32])| {
        let mut lanes = [0.0_f64; LANES];
        for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
            lanes.iter_mut().zip(a.iter().zip(b)).for_each(|(lane, (a, b))| *lane += f64::from(a * b));
        }
        lanes.iter().sum::<f64>()
    };
    let parts = a.par_chunks(CHUNK).zip(b.par_chunks(CHUNK)).with_min_len(JOB / CHUNK);
    parts.map(chunk).collect::<Vec<f64>>().iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_products_is_that_of_plain_adding() {
        let a: Vec<f32> = (0..10_001).map(|i| (i as f32 * 0.37).sin()).collect();
        let plain: f64 = a.iter().map(|v| f64::from(v * v)).sum();
        assert!((dot(&a, &a) - plain).abs() < 1e-9 * plain);
        assert_eq!(dot(&[], &[]), 0.0);
    }
}
