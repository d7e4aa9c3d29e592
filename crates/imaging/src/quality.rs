//! Statistics that the quality measures share, and the rule that turns measures into one score.
//!
//! The measures are those of MRIQC (Esteban O. et al., PLoS ONE 12(9), 2017), under its names. A measure that does not
//! exist for an image (no air around the head, a constant tissue) is `None`, never NaN.
//!
//! The score: each measure with a known good and a known poor value becomes a grade from 0 (poor or worse) to 1 (good or
//! better), linear in between; the score is 100 times the mean of two numbers, the mean grade and the worst grade, so that
//! one serious fault cannot hide behind many good measures. It never falls when a measure improves.

use crate::confounds::finite;
use crate::filter::quantiles;

/// What the measures of a scan amount to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// 0 (unusable) to 100 (no fault found), `None` where nothing could be measured.
    pub quality_score: Option<f64>,
    /// Whether the head moved more than analyses tolerate.
    pub motion_detected: bool,
}

/// A measure that counts in the score, with the values at which it is poor (grade 0) and good (grade 1).
pub(super) struct Graded {
    pub value: Option<f64>,
    pub poor: f64,
    pub good: f64,
}

/// The score of some measures, as the head of this file says.
pub(super) fn score(measures: &[Graded]) -> Option<f64> {
    let grade = |m: &Graded| m.value.map(|v| ((v - m.poor) / (m.good - m.poor)).clamp(0.0, 1.0));
    let grades: Vec<f64> = measures.iter().filter_map(grade).collect();
    let worst = grades.iter().copied().reduce(f64::min)?;
    Some(50.0 * (worst + grades.iter().sum::<f64>() / grades.len() as f64))
}

/// Centre and spread of a region.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RegionStats {
    pub count: usize,
    pub median: f64,
    /// Standard deviation.
    pub stdv: f64,
    /// Median absolute deviation, scaled to the standard deviation of a normal distribution.
    pub mad: f64,
}

impl RegionStats {
    /// Of the finite values, which are reordered; `None` without any.
    pub fn of(values: &mut Vec<f32>) -> Option<Self> {
        let [median] = quantiles(values, [0.5])?;
        let n = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
        values.iter_mut().for_each(|v| *v = (*v - median).abs());
        let [mad] = quantiles(values, [0.5])?;
        Some(Self {
            count: values.len(),
            median: f64::from(median),
            stdv: variance.sqrt(),
            mad: f64::from(mad) / 0.674_489_75,
        })
    }
}

/// The ratio of two measures, `None` where one is missing or the result is not finite.
pub(super) fn ratio(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    finite(a? / b?)
}

/// The mean of the measures that exist.
pub(super) fn mean(values: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    let known: Vec<f64> = values.into_iter().flatten().collect();
    finite(known.iter().sum::<f64>() / known.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_match_hand_computed_values() {
        let s = RegionStats::of(&mut vec![1.0, 2.0, 3.0, 4.0, 90.0, f32::NAN]).unwrap();
        assert_eq!((s.count, s.median), (5, 3.0));
        assert!((s.stdv - 35.014_28).abs() < 1e-4, "{s:?}");
        assert!((s.mad - 1.482_602).abs() < 1e-5, "{s:?}");
        assert_eq!(RegionStats::of(&mut vec![]), None);
        assert_eq!(
            (ratio(Some(1.0), Some(0.0)), mean([None, Some(2.0), Some(4.0)]), mean([None])),
            (None, Some(3.0), None)
        );
    }

    #[test]
    fn the_score_is_monotone_and_a_serious_fault_shows() {
        let of = |a: f64, b: f64| {
            score(&[
                Graded { value: Some(a), poor: 10.0, good: 0.0 },
                Graded { value: Some(b), poor: 0.0, good: 4.0 },
                Graded { value: None, poor: 0.0, good: 1.0 },
            ])
            .unwrap()
        };
        assert_eq!((of(0.0, 4.0), of(-3.0, 9.0), of(10.0, 0.0), of(99.0, 4.0)), (100.0, 100.0, 0.0, 25.0));
        let falling: Vec<f64> = (0..=12).map(|a| of(f64::from(a), 3.0)).collect();
        assert!(falling.windows(2).all(|p| p[1] <= p[0]), "{falling:?}");
        assert_eq!(score(&[]), None);
    }
}
