//! Three classes: every voxel is one tissue. They make the labels.

use super::WEAKEST_SHARE;
use super::sweep::Classes;
use crate::mixture::Mixture;

/// How much the share of a tissue in the brain counts for a voxel. Less than one: the thin rim of fluid around the brain would
/// lose to the large tissues. A half is between what a head with labels and what synthetic heads want.
const SHARE_COUNTS: f64 = 0.5;

/// CSF, grey and white matter.
pub(super) struct PureClasses {
    /// For each the inverse standard deviation, and what its logarithm starts from.
    classes: [(f32, f32); 3],
}

impl PureClasses {
    pub fn new(mixture: &Mixture) -> Self {
        Self { classes: mixture.classes.map(|c| gaussian(c.sd, c.share.powf(SHARE_COUNTS))) }
    }
}

/// The inverse standard deviation of a Gaussian class of this `sd` and `share`, and the logarithm of its odds at its mean.
pub(super) fn gaussian(sd: f64, share: f64) -> (f32, f32) {
    ((1.0 / sd) as f32, (share.max(WEAKEST_SHARE).ln() - sd.ln()) as f32)
}

/// Writes the logarithm of the odds of a Gaussian class.
pub(super) fn gaussian_logs(values: &[f32], means: &[f32], (inverse, start): (f32, f32), out: &mut [f32]) {
    for (out, (v, mean)) in out.iter_mut().zip(values.iter().zip(means)) {
        let z = (v - mean) * inverse;
        *out = start - 0.5 * z * z;
    }
}

impl Classes<3> for PureClasses {
    const PURE: [usize; 3] = [0, 1, 2];
    const SIMILARITY: [[f32; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    const PRIOR: [[f32; 2]; 3] = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]];

    fn logs(&self, values: &[f32], means: [&[f32]; 3], out: [&mut [f32]; 3]) {
        for ((out, means), class) in out.into_iter().zip(means).zip(self.classes) {
            gaussian_logs(values, means, class, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mixture::Class;

    #[test]
    fn odds_are_those_of_gaussians() {
        let class = |share, mean, sd| Class { share, mean, sd };
        let mixture = Mixture { classes: [class(0.2, 200.0, 80.0), class(0.5, 600.0, 60.0), class(0.3, 1000.0, 50.0)] };
        let mut out = [const { [0.0f32; 2] }; 3];
        let means = mixture.classes.map(|c| [c.mean as f32; 2]);
        let [a, b, c] = &mut out;
        PureClasses::new(&mixture).logs(&[600.0, 750.0], [&means[0], &means[1], &means[2]], [a, b, c]);
        for (v, at) in [(600.0, 0), (750.0, 1)] {
            let exact = mixture.classes.map(|c| {
                let z: f64 = (v - c.mean) / c.sd;
                0.5 * c.share.ln() - c.sd.ln() - 0.5 * z * z
            });
            assert!(out.iter().zip(exact).all(|(row, exact)| (f64::from(row[at]) - exact).abs() < 1e-4), "{out:?}");
        }
    }
}
