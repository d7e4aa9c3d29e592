//! The slope along y and the bending of a volume, and the transpose of the slope.

use rayon::prelude::*;

use super::parallel::slabs;

/// The grid on which a field is estimated; phase encoding is along y.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// `(nz, ny, nx)`.
    pub shape: [usize; 3],
    /// What a second difference along z, y, x counts: the inverse square of the voxel size against the smallest one.
    pub weights: [f32; 3],
}

impl Grid {
    pub(super) fn new(shape: [usize; 3], voxel_mm: [f64; 3]) -> Self {
        let least = voxel_mm.into_iter().fold(f64::INFINITY, f64::min);
        Self { shape, weights: voxel_mm.map(|mm| (least / mm).powi(2) as f32) }
    }

    pub(super) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub(super) fn slab(&self) -> usize {
        self.shape[1] * self.shape[2]
    }

    /// The diagonal of the Laplacian applied twice, away from the ends: what a preconditioner needs of it.
    pub(super) fn bending_diagonal(&self) -> f32 {
        let centre: f32 = self.weights.iter().map(|w| 2.0 * w).sum();
        centre * centre + self.weights.iter().map(|w| 2.0 * w * w).sum::<f32>()
    }

    /// The Laplacian with mirrored ends; symmetric, so it is its own transpose.
    pub(super) fn laplacian(&self, u: &[f32], out: &mut [f32]) {
        let ([nz, ny, nx], [wz, wy, wx]) = (self.shape, self.weights);
        slabs(out, self.slab()).for_each(|(k, slab)| {
            for (j, out) in slab.chunks_exact_mut(nx).enumerate() {
                let line = |k: usize, j: usize| &u[(k * ny + j) * nx..(k * ny + j + 1) * nx];
                let centre = line(k, j);
                let (below, above) = (line(k.saturating_sub(1), j), line((k + 1).min(nz - 1), j));
                let (behind, before) = (line(k, j.saturating_sub(1)), line(k, (j + 1).min(ny - 1)));
                let (z, y) = (below.iter().zip(above), behind.iter().zip(before));
                for ((v, c), ((b, a), (r, f))) in out.iter_mut().zip(centre).zip(z.zip(y)) {
                    *v = wz * (b + a - 2.0 * c) + wy * (r + f - 2.0 * c);
                }
                for (v, [a, b]) in out.iter_mut().zip(centre.array_windows()) {
                    *v += wx * (b - a);
                }
                for (v, [a, b]) in out.iter_mut().skip(1).zip(centre.array_windows()) {
                    *v += wx * (a - b);
                }
            }
        });
    }
}

/// The slope along y of a slab of rows of `nx`: central differences, one-sided at the ends; 0 where there is one row.
pub(super) fn slope(slab: &[f32], nx: usize, out: &mut [f32]) {
    let last = (slab.len() / nx.max(1)).saturating_sub(1);
    for (j, out) in out.chunks_exact_mut(nx.max(1)).enumerate() {
        let (low, high) = (j.saturating_sub(1), (j + 1).min(last));
        let step = if high > low { 1.0 / (high - low) as f32 } else { 0.0 };
        let (a, b) = (&slab[low * nx..(low + 1) * nx], &slab[high * nx..(high + 1) * nx]);
        out.iter_mut().zip(a.iter().zip(b)).for_each(|(out, (a, b))| *out = step * (b - a));
    }
}

/// Adds the transpose of [`slope`] to `out`.
pub(super) fn add_slope_transposed(slab: &[f32], nx: usize, out: &mut [f32]) {
    let last = (slab.len() / nx.max(1)).saturating_sub(1);
    if last == 0 {
        return;
    }
    for (j, line) in slab.chunks_exact(nx).enumerate() {
        let (low, high) = (j.saturating_sub(1), (j + 1).min(last));
        let step = 1.0 / (high - low) as f32;
        out[low * nx..(low + 1) * nx].iter_mut().zip(line).for_each(|(out, v)| *out -= step * v);
        out[high * nx..(high + 1) * nx].iter_mut().zip(line).for_each(|(out, v)| *out += step * v);
    }
}

#[cfg(test)]
mod tests {
    use super::super::parallel::dot;
    use super::*;

    fn noise(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * i + seed * i) % 97) as f32 * 0.02 - 1.0).collect()
    }

    #[test]
    fn the_slope_of_a_ramp_is_one_and_its_transpose_is_one() {
        for (ny, nx) in [(7, 5), (2, 3), (1, 4)] {
            let ramp: Vec<f32> = (0..ny * nx).map(|n| (n / nx) as f32).collect();
            let mut out = vec![0.0; ny * nx];
            slope(&ramp, nx, &mut out);
            assert!(out.iter().all(|v| *v == if ny > 1 { 1.0 } else { 0.0 }), "{out:?}");
            let (u, v) = (noise(ny * nx, 3), noise(ny * nx, 11));
            slope(&u, nx, &mut out);
            let mut back = vec![0.0; ny * nx];
            add_slope_transposed(&v, nx, &mut back);
            assert!((dot(&out, &v) - dot(&u, &back)).abs() < 1e-5);
        }
    }

    #[test]
    fn the_laplacian_is_symmetric_and_nought_on_constants() {
        for shape in [[4, 5, 6], [1, 3, 1], [2, 1, 9]] {
            let grid = Grid::new(shape, [3.0, 1.5, 2.0]);
            let n = grid.len();
            let (mut a, mut b) = (vec![0.0; n], vec![0.0; n]);
            grid.laplacian(&vec![3.0; n], &mut a);
            assert!(a.iter().all(|v| *v == 0.0));
            let (u, v) = (noise(n, 5), noise(n, 2));
            grid.laplacian(&u, &mut a);
            grid.laplacian(&v, &mut b);
            assert!((dot(&a, &v) - dot(&u, &b)).abs() < 1e-4);
        }
    }

    #[test]
    fn a_parabola_bends_evenly() {
        let grid = Grid::new([1, 9, 1], [1.0; 3]);
        let u: Vec<f32> = (0..9).map(|y| (y * y) as f32).collect();
        let mut out = vec![0.0; 9];
        grid.laplacian(&u, &mut out);
        assert!(out[1..8].iter().all(|v| *v == 2.0), "{out:?}");
        assert_eq!(grid.bending_diagonal(), 42.0);
    }
}
