//! What every log intensity would be without the bias field, as far as the histogram can tell.
//!
//! Two answers, both tables over the bins of the histogram. [`sharpen`] needs no idea of the classes and is used while
//! the field is still far off: the field blurs the histogram, deconvolution undoes it. [`classify`] takes the histogram as
//! three tissues and is used when the field is nearly right: it says which voxels are worth listening to.

use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

use crate::mixture::Mixture;

/// Bins of the histogram.
pub const BINS: usize = 200;
/// Length of the transforms: room for the blur not to wrap around.
const PADDED: usize = 512;
/// Where the histogram starts in the padded array.
const OFFSET: usize = (PADDED - BINS) / 2;
/// Full width at half maximum of the assumed blur, in log intensity.
const FWHM: f64 = 0.15;
/// Noise term of the Wiener filter.
const NOISE: f64 = 0.01;

/// A histogram axis over log intensities.
#[derive(Clone, Copy, Debug)]
pub struct Bins {
    /// Centre of the first bin.
    low: f32,
    /// Distance of bin centres.
    width: f32,
}

impl Bins {
    /// Bins whose centres span `low..=high`.
    #[must_use]
    pub fn spanning(low: f32, high: f32) -> Self {
        Self { low, width: (high - low).max(1e-3) / (BINS - 1) as f32 }
    }

    /// The bin left of `value` and the fraction towards the next; values outside are moved to the ends.
    #[inline]
    #[must_use]
    pub fn locate(self, value: f32) -> (usize, f32) {
        let at = ((value - self.low) / self.width).clamp(0.0, (BINS - 1) as f32);
        let bin = (at as usize).min(BINS - 2);
        (bin, at - bin as f32)
    }

    /// Centre of bin `i` (may lie outside `0..BINS`).
    fn centre(self, i: f64) -> f64 {
        f64::from(self.low) + i * f64::from(self.width)
    }
}

/// What log intensities are to be without bias.
pub enum Target {
    /// For each bin centre the log intensity to expect; every voxel counts the same.
    Sharp(Box<[f32; BINS]>),
    /// Three tissues.
    Tissues(Box<TissueTarget>),
}

/// Log intensities of three tissues, darkest first.
pub struct TissueTarget {
    /// For each bin centre the probability of each tissue.
    posteriors: [[f32; 3]; BINS],
    /// Log of the mean intensity of each.
    pub centres: [f32; 3],
    /// How much a voxel of each says about the field: its precision on the log scale over that of the best.
    pub precision: [f32; 3],
}

impl TissueTarget {
    /// The probability of each tissue at log intensity `value`.
    #[inline]
    #[must_use]
    pub fn posteriors(&self, bins: Bins, value: f32) -> [f32; 3] {
        let (b, t) = bins.locate(value);
        let (low, high) = (&self.posteriors[b], &self.posteriors[b + 1]);
        std::array::from_fn(|c| low[c] + t * (high[c] - low[c]))
    }
}

/// What a table over the bins says at log intensity `value`.
#[inline]
#[must_use]
pub fn look_up(table: &[f32; BINS], bins: Bins, value: f32) -> f32 {
    let (b, t) = bins.locate(value);
    table[b] + t * (table[b + 1] - table[b])
}

/// Sharpens the histogram of log intensities: for each bin centre the log intensity to expect without bias.
///
/// The blur by the field is taken as Gaussian and undone by Wiener deconvolution; the expected value without blur follows
/// from the blurred and the sharp histogram. Sled, Zijdenbos and Evans 1998, doi:10.1109/42.668698, section II; parameters
/// as in N4 (Tustison 2010). Bins too far from any count to say anything keep their own value.
#[must_use]
pub fn sharpen(counts: &[f64; BINS], bins: Bins) -> [f32; BINS] {
    let mut planner = RealFftPlanner::<f64>::new();
    let forward = planner.plan_fft_forward(PADDED);
    let backward = planner.plan_fft_inverse(PADDED);
    // The planner made the lengths, so neither transform can fail.
    let transform = |mut real: Vec<f64>| {
        let mut spectrum = forward.make_output_vec();
        let _ = forward.process(&mut real, &mut spectrum);
        spectrum
    };
    let restore = |mut spectrum: Vec<Complex<f64>>| {
        let mut real = backward.make_output_vec();
        let _ = backward.process(&mut spectrum, &mut real);
        real.iter_mut().for_each(|v| *v /= PADDED as f64);
        real
    };
    let blur = transform(gaussian(bins.width));
    let mut padded = vec![0f64; PADDED];
    padded[OFFSET..OFFSET + BINS].copy_from_slice(counts);
    let mut wiener = transform(padded);
    wiener.iter_mut().zip(&blur).for_each(|(v, f)| *v *= f.re / (f.norm_sqr() + NOISE));
    let sharp: Vec<f64> = restore(wiener).into_iter().map(|v| v.max(0.0)).collect();
    let blurred = |values: Vec<f64>| {
        let mut s = transform(values);
        s.iter_mut().zip(&blur).for_each(|(v, f)| *v *= f.re);
        restore(s)
    };
    let moment = sharp.iter().enumerate().map(|(i, u)| u * bins.centre(i as f64 - OFFSET as f64)).collect();
    let (numerator, denominator) = (blurred(moment), blurred(sharp));
    let floor = denominator.iter().fold(0f64, |a, b| a.max(*b)) * 1e-6;
    let expected = |i: usize| {
        let (n, d) = (numerator[OFFSET + i], denominator[OFFSET + i]);
        (if d > floor { n / d } else { bins.centre(i as f64) }) as f32
    };
    std::array::from_fn(expected)
}

/// The blur, unit sum, centred on index 0 of a circular array.
fn gaussian(width: f32) -> Vec<f64> {
    let fwhm = FWHM / f64::from(width);
    let rate = 4.0 * std::f64::consts::LN_2 / (fwhm * fwhm);
    let bell = |i: usize| (-rate * (i.min(PADDED - i) as f64).powi(2)).exp();
    let sum: f64 = (0..PADDED).map(bell).sum();
    (0..PADDED).map(|i| bell(i) / sum).collect()
}

/// Expects every voxel at the mean of its tissue, each tissue weighted by its precision on the log scale, so that white
/// matter, the most uniform one, says most and CSF next to nothing.
///
/// Wells et al. 1996, doi:10.1109/42.511747, equations 15 to 17. `tissues` is the estimate of the last iteration, improved
/// by one step here, or made anew. `None` when the histogram does not look like three tissues with bright, uniform white
/// matter ([`Mixture::bright_class_stands_out`]).
#[must_use]
pub fn classify(counts: &[f64; BINS], bins: Bins, tissues: &mut Option<Mixture>) -> Option<TissueTarget> {
    let values: [f64; BINS] = std::array::from_fn(|i| bins.centre(i as f64).exp());
    let mut mixture = match *tissues {
        Some(m) => m,
        None => Mixture::fit(&values, counts)?,
    };
    mixture.improve(&values, counts)?;
    *tissues = Some(mixture);
    if !mixture.bright_class_stands_out() {
        return None;
    }
    let precision = mixture.classes.map(|c| (c.mean / c.sd).powi(2));
    let best = precision.iter().fold(0f64, |a, b| a.max(*b));
    Some(TissueTarget {
        posteriors: values.map(|v| mixture.posteriors(v).map(|p| p as f32)),
        centres: mixture.classes.map(|c| c.mean.ln() as f32),
        precision: precision.map(|p| (p / best) as f32),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts of equal blurred classes at `centres` (log intensity).
    fn histogram(centres: &[f64], sd: f64, bins: Bins) -> [f64; BINS] {
        std::array::from_fn(|i| {
            let x = bins.centre(i as f64);
            centres.iter().map(|c| 1000.0 * (-0.5 * ((x - c) / sd).powi(2)).exp()).sum()
        })
    }

    #[test]
    fn sharpening_pulls_values_towards_the_classes() {
        let bins = Bins::spanning(5.0, 7.5);
        let target = sharpen(&histogram(&[6.0, 6.7], 0.064, bins), bins);
        for (centre, value) in [(6.0f32, 6.08f32), (6.0, 5.92), (6.7, 6.62), (6.7, 6.78)] {
            let expected = look_up(&target, bins, value);
            assert!((expected - centre).abs() < 0.4 * (value - centre).abs(), "{value} -> {expected}");
        }
    }

    #[test]
    fn an_empty_histogram_changes_nothing() {
        let bins = Bins::spanning(0.0, 1.0);
        assert!((look_up(&sharpen(&[0.0; BINS], bins), bins, 0.4) - 0.4).abs() < 1e-6);
        assert!(classify(&[0.0; BINS], bins, &mut None).is_none());
    }

    #[test]
    fn tissues_weigh_by_their_precision() {
        let bins = Bins::spanning(5.0, 7.5);
        let (wide, sharp) = (histogram(&[5.6, 6.4], 0.12, bins), histogram(&[7.0], 0.03, bins));
        let counts = std::array::from_fn(|i| wide[i] + 3.0 * sharp[i]);
        let target = classify(&counts, bins, &mut None).unwrap();
        let [_, grey, white] = target.posteriors(bins, 6.98);
        assert!(white > 0.9 && white + grey <= 1.0 + 1e-6, "{grey} {white}");
        assert!((target.centres[2] - 7.0).abs() < 0.01 && (target.centres[1] - 6.4).abs() < 0.05);
        assert!(target.precision[2] > 0.99 && target.precision[1] < 0.15, "{:?}", target.precision);
    }
}
