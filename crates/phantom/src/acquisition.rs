//! What the scanner does to a perfect image: Rician noise, and numbers that are whole.

use super::random::{Stream, stream};
use ndarray::ArrayViewMut2;
use rand_distr::{Distribution, StandardNormal};

/// The largest value of a 12-bit image.
const WHITE: f32 = 4095.0;

/// How much of the noise of the two neighbours before it (along both axes of the slice) a voxel shares. Scanners filter and
/// interpolate in the plane, so that no noise is quite white: neighbours correlate by 0.19.
const SHARED: f32 = 0.2;

/// Turns one noise-free magnitude slice into what a scanner stores: Gaussian noise of `sigma` in both channels, the
/// magnitude of the sum (Rician; Gudbjartsson & Patz 1995, MRM 34:910), rounded to whole numbers of 12 bits.
///
/// `noise` is the seed and the stream of its random numbers; `slice` counts through all slices of all volumes of the image. The noise of a slice does not depend on the others.
pub(super) fn acquire(mut plane: ArrayViewMut2<f32>, sigma: f32, noise: (u64, Stream), slice: u32) {
    let mut rng = stream(noise.0, noise.1, slice);
    let scale = sigma / (1.0 + 2.0 * SHARED * SHARED).sqrt();
    let mut draw = || -> [f32; 2] { std::array::from_fn(|_| StandardNormal.sample(&mut rng)) };
    let mut above: Vec<[f32; 2]> = (0..plane.ncols()).map(|_| draw()).collect();
    for mut row in plane.rows_mut() {
        let mut left = draw();
        for (value, above) in row.iter_mut().zip(&mut above) {
            let own = draw();
            let [a, b] = std::array::from_fn(|c| scale * (own[c] + SHARED * (left[c] + above[c])));
            (left, *above) = (own, own);
            let real = *value + a;
            *value = (real * real + b * b).sqrt().round().min(WHITE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn moments(signal: f32) -> (f32, f32) {
        let mut plane = Array2::from_elem((300, 300), signal);
        acquire(plane.view_mut(), 30.0, (4, Stream::Noise), 7);
        let mean = plane.mean().unwrap();
        (mean, plane.mapv(|v| (v - mean).powi(2)).mean().unwrap().sqrt())
    }

    #[test]
    fn noise_is_rician_of_the_level_asked_for() {
        // In air a Rayleigh distribution: mean sigma sqrt(pi/2), deviation sigma sqrt(2 - pi/2).
        let (mean, deviation) = moments(0.0);
        assert!((mean - 37.6).abs() < 0.4 && (deviation - 19.65).abs() < 0.3, "air {mean} {deviation}");
        // In bright tissue nearly Gaussian around sqrt(A^2 + sigma^2).
        let (mean, deviation) = moments(1000.0);
        assert!((mean - 1000.45).abs() < 0.6 && (deviation - 30.0).abs() < 0.3, "tissue {mean} {deviation}");
    }

    #[test]
    fn neighbours_share_a_little_of_their_noise_and_others_none() {
        let mut plane = Array2::from_elem((300, 300), 1000.0);
        acquire(plane.view_mut(), 30.0, (4, Stream::Noise), 7);
        let noise = plane.mapv(|v| (v - 1000.45) / 30.0);
        let together = |dj: usize, di: usize| {
            let pairs = noise.slice(ndarray::s![..300 - dj, ..300 - di]).to_owned();
            (&pairs * &noise.slice(ndarray::s![dj.., di..])).mean().unwrap()
        };
        assert!((together(0, 1) - 0.185).abs() < 0.02 && (together(1, 0) - 0.185).abs() < 0.02);
        assert!(together(0, 2).abs() < 0.02 && together(3, 3).abs() < 0.02);
    }
}
