//! The table of quality: each measure with its meaning, and its place among the scans of the dataset.

use crate::derivatives::summary::ScanSummary;
use crate::pages::Places;
use crate::report::measures;
use serde::Serialize;

/// Units across a strip, and the places that its ticks are rounded to.
const WIDTH: f64 = 140.0;
const PLACES: f64 = 120.0;
/// What the space at both ends is for: half of the own mark.
const RIM: f64 = 5.0;

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Row {
    pub name: String,
    pub meaning: &'static str,
    pub value: String,
    pub unit: &'static str,
    /// Ticks of all scans.
    pub others: String,
    /// Where this scan is.
    pub own: Option<f64>,
    /// The same in words.
    pub place: String,
}

/// The rows of a scan, its score first.
pub(super) fn rows(scan: &ScanSummary, places: &Places) -> Vec<Row> {
    let mut named: Vec<(&str, f64)> = scan.quality.iter().map(|(name, v)| (name.as_str(), *v)).collect();
    named.sort_by_key(|(name, _)| measures::order(name));
    let row = |name: &str, value: f64, (meaning, unit): (&'static str, Option<&'static str>)| {
        let (others, own) = strip(places.values(&scan.modality, name), value);
        let n = places.values(&scan.modality, name).len();
        let rank = places.rank(&scan.modality, name, value);
        let place = rank.map_or_else(|| "–".to_owned(), |r| format!("higher than {:.0} % of {n}", 100.0 * r));
        Row { name: name.to_owned(), meaning, value: number(value), unit: unit.unwrap_or(""), others, own, place }
    };
    let score = ("Score, 0 to 100: mean of the mean grade and the worst grade of the measures that count.", None);
    let score = scan.quality_score.map(|value| row("quality_score", value, score));
    score.into_iter().chain(named.into_iter().map(|(name, v)| row(name, v, measures::describe(name)))).collect()
}

/// Four significant digits.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let decimals = (3.0 - value.abs().log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.decimals$}")
}

/// The path of the ticks of `sorted` values, and the place of `own` among them; nothing for fewer than two.
fn strip(sorted: &[f64], own: f64) -> (String, Option<f64>) {
    let (Some(&low), Some(&high)) = (sorted.first(), sorted.last()) else { return (String::new(), None) };
    if sorted.len() < 2 || low >= high {
        return (String::new(), None);
    }
    let place = |v: f64| {
        let part = ((v - low) / (high - low)).clamp(0.0, 1.0);
        RIM + (WIDTH - 2.0 * RIM) * (PLACES * part).round() / PLACES
    };
    let mut ticks: Vec<f64> = sorted.iter().map(|v| place(*v)).collect();
    ticks.dedup();
    (ticks.iter().map(|x| format!("M{x:.1} 5v10")).collect(), Some(place(own)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_digits() {
        let shown = [0.0, 0.012_346, 1.0, 123.456, 98_765.4, -2.5].map(number);
        assert_eq!(shown, ["0", "0.01235", "1.000", "123.5", "98765", "-2.500"]);
    }

    #[test]
    fn a_strip_has_a_tick_for_each_place_and_no_more() {
        let (path, own) = strip(&[0.0, 0.0, 0.001, 1.0], 0.5);
        assert_eq!((path.as_str(), own), ("M5.0 5v10M135.0 5v10", Some(70.0)));
        assert_eq!((strip(&[1.0], 1.0), strip(&[1.0, 1.0], 1.0)), ((String::new(), None), (String::new(), None)));
    }
}
