//! Where a measure of a scan stands among the others of the same dataset.

use crate::derivatives::summary::SessionSummary;
use std::collections::BTreeMap;

/// Units across the drawing of a spread, and the places that its ticks are rounded to.
const WIDTH: f64 = 140.0;
const PLACES: f64 = 120.0;
/// What the space at both ends is for: half of the own mark.
const RIM: f64 = 5.0;

/// Fewest scans that have a distribution: of fewer a drawing says less than their values.
pub(super) const FEWEST: usize = 5;

/// For each modality and measure the values of all scans.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places(BTreeMap<(String, String), Spread>);

/// The values of one measure, and their drawing: made once, because the page of every participant shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spread {
    sorted: Vec<f64>,
    ticks: String,
}

impl Places {
    /// The values of all scans in `units`, by the names of the measures, with `quality_score`.
    #[must_use]
    pub fn of(units: &[SessionSummary]) -> Self {
        let mut found: BTreeMap<(String, String), Vec<f64>> = BTreeMap::new();
        for scan in units.iter().flat_map(|unit| &unit.scans) {
            let score = scan.quality_score.map(|v| ("quality_score", v));
            for (name, value) in scan.quality.iter().map(|(name, v)| (name.as_str(), *v)).chain(score) {
                found.entry((scan.modality.clone(), name.to_owned())).or_default().push(value);
            }
        }
        Self(found.into_iter().map(|(key, values)| (key, Spread::of(values))).collect())
    }

    /// The values of one measure; `None` when fewer than [`FEWEST`] scans have it.
    #[must_use]
    pub fn spread(&self, modality: &str, measure: &str) -> Option<&Spread> {
        self.0.get(&(modality.to_owned(), measure.to_owned())).filter(|spread| spread.sorted.len() >= FEWEST)
    }
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let mut spread = Self { sorted: values, ticks: String::new() };
        let mut at: Vec<f64> = spread.sorted.iter().filter_map(|v| spread.at(*v)).collect();
        at.dedup();
        spread.ticks = at.iter().map(|x| format!("M{x:.1} 5v10")).collect();
        spread
    }

    /// The path of an SVG of 140 x 20 with a tick for each place that a scan is at; empty when all have the same value.
    #[must_use]
    pub fn ticks(&self) -> &str {
        &self.ticks
    }

    /// Where `value` is in that drawing; `None` when all have the same value.
    #[must_use]
    pub fn at(&self, value: f64) -> Option<f64> {
        let (low, high) = (*self.sorted.first()?, *self.sorted.last()?);
        let part = ((value - low) / (high - low)).clamp(0.0, 1.0);
        (low < high).then(|| RIM + (WIDTH - 2.0 * RIM) * (PLACES * part).round() / PLACES)
    }

    /// How many scans have a lower value, and how many other scans there are.
    #[must_use]
    pub fn below(&self, value: f64) -> (usize, usize) {
        (self.sorted.partition_point(|v| *v < value), self.sorted.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_its_place_among_the_others() {
        let spread = Spread::of(vec![0.4, 0.2, 0.2, 0.1]);
        assert_eq!([0.1, 0.2, 0.4].map(|v| spread.below(v)), [(0, 3), (1, 3), (3, 3)]);
        let key = |measure: &str| ("T1w".to_owned(), measure.to_owned());
        let many = Spread::of(vec![0.5; FEWEST]);
        let places = Places([(key("cjv"), many), (key("cnr"), spread)].into());
        let known = |modality, measure| places.spread(modality, measure).is_some();
        assert_eq!([known("T1w", "cjv"), known("T1w", "cnr"), known("bold", "cjv")], [true, false, false]);
    }

    #[test]
    fn a_drawing_has_a_tick_for_each_place_and_no_more() {
        let spread = Spread::of(vec![0.0, 1.0, 0.001, 0.0]);
        assert_eq!((spread.ticks(), spread.at(0.5)), ("M5.0 5v10M135.0 5v10", Some(70.0)));
        let same = Spread::of(vec![1.0, 1.0]);
        assert_eq!((same.ticks(), same.at(1.0)), ("", None));
    }
}
