//! A mixture of three Gaussian classes of intensity, fitted to a histogram: the tissues of a brain.
//!
//! Working on a histogram instead of voxels makes a step of the fit cost microseconds, so that the bias correction can
//! afford one in every iteration.

/// Steps of the fit from a fresh start; further ones change the means by less than a thousandth.
const STEPS: usize = 40;
/// Smallest sd of a class, of its mean: less is no tissue, but a class collapsing onto one bin of the histogram.
const NARROWEST: f64 = 0.015;

/// Smallest share of voxels that can be white matter.
const SMALLEST: f64 = 0.1;

/// One class of voxels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Class {
    /// Its share of all voxels, 0 to 1.
    pub share: f64,
    /// Mean intensity.
    pub mean: f64,
    /// Standard deviation of the intensity.
    pub sd: f64,
}

impl Class {
    /// Its part of the density at `value` (without the constant factor that all classes have).
    fn density(&self, value: f64) -> f64 {
        let z = (value - self.mean) / self.sd;
        self.share / self.sd * (-0.5 * z * z).exp()
    }
}

/// Three classes in the order of their means: on a T1w image CSF, grey matter, white matter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixture {
    /// The classes, darkest first.
    pub classes: [Class; 3],
}

impl Mixture {
    /// Fits the classes to a histogram: `values` are the ascending intensities of the bins, `counts` what they hold.
    ///
    /// Starts from the two thresholds that divide the histogram best (Otsu 1979, doi:10.1109/TSMC.1979.4310076, found by
    /// trying all pairs) and improves them by expectation maximisation. `None` when there are not three classes.
    #[must_use]
    pub fn fit(values: &[f64], counts: &[f64]) -> Option<Self> {
        let mut mixture = Self { classes: divide(values, counts)? };
        (0..STEPS).try_for_each(|_| mixture.improve(values, counts))?;
        Some(mixture)
    }

    /// Like [`Mixture::fit`], with the variances drawn together by `part` ([`Mixture::tie`]) in each of `steps` steps.
    #[must_use]
    pub fn fit_tied(values: &[f64], counts: &[f64], part: f64, steps: usize) -> Option<Self> {
        let mut mixture = Self { classes: divide(values, counts)? };
        for _ in 0..steps {
            mixture.improve(values, counts)?;
            mixture.tie(part);
        }
        Some(mixture)
    }

    /// How much better the classes explain a histogram than one Gaussian does: the mean gain of log likelihood a voxel.
    #[must_use]
    pub fn gain(&self, values: &[f64], counts: &[f64]) -> f64 {
        let mut sums = [0.0; 3];
        values.iter().zip(counts).for_each(|(v, n)| add(&mut sums, *v, *n));
        let [total, mean, square] = sums.map(|s| s / sums[0]);
        let logs = values.iter().zip(counts).filter(|(_, n)| **n > 0.0).map(|(v, n)| {
            let density: f64 = self.classes.iter().map(|c| c.density(*v)).sum();
            n / sums[0] * density.max(f64::MIN_POSITIVE).ln()
        });
        // The mean log density of one Gaussian, without the factor that all leave out, is -ln sd - 1/2.
        total * (logs.sum::<f64>() + 0.5 * (square - mean * mean).ln() + 0.5)
    }

    /// The smallest sd that a class of this mean can have.
    pub fn narrowest(mean: f64) -> f64 {
        NARROWEST * mean.abs()
    }

    /// The variance within classes, mean over all voxels.
    #[must_use]
    pub fn pooled_variance(&self) -> f64 {
        let [sum, shares] = self.classes.iter().fold([0.0; 2], |[s, n], c| [s + c.share * c.sd * c.sd, n + c.share]);
        sum / shares
    }

    /// Draws the variance of each class towards the pooled one by `part` (0 leaves them, 1 makes them equal): a broad
    /// class, left free, takes in the flanks of its narrow neighbours.
    pub fn tie(&mut self, part: f64) {
        let pooled = self.pooled_variance();
        self.classes.iter_mut().for_each(|c| c.sd = ((1.0 - part) * c.sd * c.sd + part * pooled).sqrt());
    }

    /// One step of expectation maximisation (Dempster, Laird and Rubin 1977). `None`, and no change, when a class dies out
    /// or classes change their order.
    #[must_use]
    pub fn improve(&mut self, values: &[f64], counts: &[f64]) -> Option<()> {
        let mut sums = [[0f64; 3]; 3];
        for (&v, &n) in values.iter().zip(counts).filter(|(_, n)| **n > 0.0) {
            for (s, p) in sums.iter_mut().zip(self.posteriors(v)) {
                add(s, v, n * p);
            }
        }
        self.classes = classes(sums, spacing(values))?;
        Some(())
    }

    /// Whether the brightest class stands out as white matter does on a T1w image: no small one, as far from the next as
    /// their standard deviations together, and more uniform for its brightness than the darkest. On EPI it does not.
    #[must_use]
    pub fn bright_class_stands_out(&self) -> bool {
        let [dark, middle, bright] = &self.classes;
        let spread = |c: &Class| c.sd / c.mean;
        bright.share > SMALLEST && bright.mean - middle.mean > middle.sd + bright.sd && spread(bright) < spread(dark)
    }

    /// The probability of each class for a voxel of this intensity; they sum to 1. Beyond the outer classes, where all
    /// densities vanish, the nearest class has it all.
    #[must_use]
    pub fn posteriors(&self, value: f64) -> [f64; 3] {
        let [dark, _, bright] = &self.classes;
        if value <= dark.mean {
            return [1.0, 0.0, 0.0];
        }
        if value >= bright.mean {
            return [0.0, 0.0, 1.0];
        }
        let densities = self.classes.map(|c| c.density(value));
        let total: f64 = densities.iter().sum();
        if total > f64::MIN_POSITIVE { densities.map(|d| d / total) } else { [0.0, 1.0, 0.0] }
    }
}

/// Adds `n` voxels of intensity `v` to the (count, sum, sum of squares) of a class.
fn add(sums: &mut [f64; 3], v: f64, n: f64) {
    for (s, m) in sums.iter_mut().zip([1.0, v, v * v]) {
        *s += n * m;
    }
}

/// Mean distance of the bins: no class can be known to be narrower.
fn spacing(values: &[f64]) -> f64 {
    let (first, last) = (values.first().copied().unwrap_or(0.0), values.last().copied().unwrap_or(0.0));
    (last - first) / values.len().saturating_sub(1).max(1) as f64
}

/// Classes from their (count, sum, sum of squares); `None` when one holds less than a thousandth or the order breaks.
fn classes(sums: [[f64; 3]; 3], spacing: f64) -> Option<[Class; 3]> {
    let total: f64 = sums.iter().map(|s| s[0]).sum();
    let made = sums.map(|[n, sum, square]| {
        let mean = sum / n;
        let floor = spacing.max(NARROWEST * mean.abs()).max(f64::MIN_POSITIVE);
        Class { share: n / total, mean, sd: (square / n - mean * mean).max(0.0).sqrt().max(floor) }
    });
    let sound = made.iter().all(|c| c.share > 1e-3 && c.mean.is_finite() && c.sd.is_finite());
    (sound && made[0].mean < made[1].mean && made[1].mean < made[2].mean).then_some(made)
}

/// The three classes of the two thresholds with the least variance within classes.
fn divide(values: &[f64], counts: &[f64]) -> Option<[Class; 3]> {
    let mut below = vec![[0f64; 3]];
    let mut running = [0f64; 3];
    for (&v, &n) in values.iter().zip(counts) {
        add(&mut running, v, n);
        below.push(running);
    }
    let between = |a: usize, b: usize| -> [f64; 3] { std::array::from_fn(|i| below[b][i] - below[a][i]) };
    // The variance within classes falls as the sum of (sum² / count) rises.
    let gain = |[n, sum, _]: [f64; 3]| if n > 0.0 { sum * sum / n } else { 0.0 };
    let last = below.len() - 1;
    let mut best = (f64::MIN, 0, 0);
    for a in 1..last {
        for b in a + 1..last {
            let g = gain(between(0, a)) + gain(between(a, b)) + gain(between(b, last));
            if g > best.0 {
                best = (g, a, b);
            }
        }
    }
    let (_, a, b) = best;
    classes([between(0, a), between(a, b), between(b, last)], spacing(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_overlapping_classes_are_found() {
        let truth = [(0.15, 230.0, 60.0), (0.45, 660.0, 70.0), (0.40, 1000.0, 45.0)];
        let values: Vec<f64> = (0..250).map(|i| f64::from(i) * 5.0).collect();
        let truth = truth.map(|(share, mean, sd)| Class { share, mean, sd });
        let counts: Vec<f64> = values.iter().map(|&v| truth.iter().map(|c| 1e5 * c.density(v)).sum()).collect();
        let found = Mixture::fit(&values, &counts).unwrap();
        for (f, t) in found.classes.iter().zip(&truth) {
            assert!((f.mean - t.mean).abs() < 8.0 && (f.sd - t.sd).abs() < 8.0, "{f:?} {t:?}");
            assert!((f.share - t.share).abs() < 0.02, "{f:?} {t:?}");
        }
        assert!(found.posteriors(0.0)[0] > 0.999 && found.posteriors(5000.0)[2] > 0.999);
        assert!((found.posteriors(860.0).iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn white_matter_stands_out_and_a_broad_hump_has_none() {
        let class = |share, mean, sd| Class { share, mean, sd };
        let t1w = Mixture { classes: [class(0.15, 230.0, 60.0), class(0.45, 660.0, 70.0), class(0.4, 1000.0, 45.0)] };
        assert!(t1w.bright_class_stands_out());
        // As fitted to an EPI volume.
        let epi = Mixture { classes: [class(0.59, 599.0, 43.0), class(0.04, 710.0, 21.0), class(0.37, 764.0, 56.0)] };
        assert!(!epi.bright_class_stands_out());
    }

    #[test]
    fn fewer_than_three_values_are_no_mixture() {
        assert_eq!(Mixture::fit(&[1.0, 2.0, 3.0, 4.0], &[0.0, 5.0, 0.0, 0.0]), None);
        assert_eq!(Mixture::fit(&[1.0, 2.0], &[1.0, 1.0]), None);
        assert_eq!(Mixture::fit(&[], &[]), None);
    }
}
