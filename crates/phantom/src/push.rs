//! Signal moved forward along phase encoding: what a field does to an EPI image.
//!
//! Every line is cut into samples a quarter of a voxel apart; each goes where its field takes it and is shared by the two
//! nearest bins of a fine line, so that all signal is kept: it piles up where samples meet and thins where they part. The
//! point spread comes after, for it belongs to the image and not to the head.

use imaging::distortion::PhaseEncoding;
use ndarray::ArrayViewMut1;

/// Samples, and bins of the fine line, for each voxel.
pub(super) const FINE: usize = 4;
/// How far beyond both ends of a line, in voxels, signal is taken from: the field may bring it in.
const BEYOND: usize = 8;

/// What moves the signal of one run.
pub(super) struct Push {
    /// The axis of the array along phase encoding.
    pub axis: usize,
    /// Voxels along it for each Hz, with the sign of the direction.
    voxels_per_hz: f32,
    /// One half of the point spread over the bins, centre first.
    spread: Vec<f32>,
}

impl Push {
    /// `spread`: standard deviation, in voxels, of the point spread along phase encoding beyond the box of a voxel.
    pub(super) fn new(direction: PhaseEncoding, readout_s: f64, spread: f64) -> Self {
        let sigma = spread * FINE as f64;
        let half: Vec<f64> = if sigma > 0.0 {
            (0..=(4.0 * sigma).ceil() as usize).map(|n| (-0.5 * (n as f64 / sigma).powi(2)).exp()).collect()
        } else {
            vec![1.0]
        };
        let sum = 2.0 * half.iter().sum::<f64>() - half[0];
        let spread = half.iter().map(|v| (v / sum) as f32).collect();
        Self { axis: direction.array_axis(), voxels_per_hz: (direction.sign() * readout_s) as f32, spread }
    }

    /// How far, in voxels, a field moves signal.
    pub(super) fn shift(&self, hz: f32) -> f32 {
        self.voxels_per_hz * hz
    }

    /// Fills a line of the image. `sample` gives signal and Hz at a position along it, in voxels.
    pub(super) fn line(&self, sample: impl Fn(f32) -> (f32, f32), mut out: ArrayViewMut1<f32>) {
        let n = out.len();
        // The reach of the spread beyond both ends, in whole voxels.
        let margin = self.spread.len().div_ceil(FINE) * FINE;
        let mut bins = vec![0.0_f32; n * FINE + 2 * margin];
        for s in 0..(n + 2 * BEYOND) * FINE {
            let p = (s as f32 + 0.5) / FINE as f32 - 0.5 - BEYOND as f32;
            let (signal, hz) = sample(p);
            let bin = (p + self.shift(hz) + 0.5) * FINE as f32 - 0.5 + margin as f32;
            let (low, part) = (bin.floor(), bin - bin.floor());
            for (bin, share) in [(low, 1.0 - part), (low + 1.0, part)] {
                if bin >= 0.0 && bin < bins.len() as f32 {
                    bins[bin as usize] += share * signal;
                }
            }
        }
        for (v, voxel) in out.iter_mut().enumerate() {
            let sum: f32 = (0..FINE).map(|b| self.spread_at(&bins, margin + v * FINE + b)).sum();
            *voxel = sum / FINE as f32;
        }
    }

    /// A bin of the fine line under the point spread.
    fn spread_at(&self, bins: &[f32], at: usize) -> f32 {
        let sides = self.spread.iter().enumerate().skip(1).map(|(n, w)| w * (bins[at - n] + bins[at + n]));
        self.spread[0] * bins[at] + sides.sum::<f32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array1;

    const N: usize = 40;

    fn pushed(direction: &str, hz: impl Fn(f32) -> f32) -> Array1<f32> {
        let push = Push::new(direction.parse().unwrap(), 0.035, 0.3);
        let mut out = Array1::zeros(N);
        push.line(|p| ((-0.5 * ((p - 19.5) / 4.0).powi(2)).exp() * (1.5 + p.sin()), hz(p)), out.view_mut());
        out
    }

    fn centre(line: &Array1<f32>) -> f32 {
        line.iter().enumerate().map(|(n, v)| n as f32 * v).sum::<f32>() / line.sum()
    }

    #[test]
    fn all_signal_is_kept_however_it_is_moved() {
        let still = pushed("j", |_| 0.0);
        for hz in [60.0, 150.0] {
            for direction in ["j", "j-"] {
                let moved = pushed(direction, |p| hz * (p * 0.15).sin());
                assert!((moved.sum() / still.sum() - 1.0).abs() < 1e-4, "{direction} {hz}");
            }
        }
        // Two voxels' worth of signal in one: a pile.
        let peak = |line: &Array1<f32>| line.fold(0.0_f32, |a, b| a.max(*b));
        let pile = pushed("j", |p| -0.7 * (p - 19.5) / 0.035);
        assert!(peak(&pile) > 2.0 * peak(&still));
    }

    #[test]
    fn a_field_moves_signal_by_hz_times_readout_and_the_other_way_with_a_minus() {
        let still = centre(&pushed("j", |_| 0.0));
        for direction in ["i", "j", "k"] {
            assert!((centre(&pushed(direction, |_| 80.0)) - still - 2.8).abs() < 1e-3);
            assert!((centre(&pushed(&format!("{direction}-"), |_| 80.0)) - still + 2.8).abs() < 1e-3);
        }
        // A field that is mirrored with the line gives the mirrored line.
        let (up, mut down) = (pushed("j", |p| 3.0 * p), pushed("j-", |p| -3.0 * p));
        assert!(up.iter().zip(&down).all(|(a, b)| (a - b).abs() < 1e-5));
        down = pushed("j-", |p| 3.0 * p);
        assert!(up.iter().zip(&down).any(|(a, b)| (a - b).abs() > 0.1));
    }
}
