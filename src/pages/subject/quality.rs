//! The table of quality: each measure with its meaning, and its place among the scans of the dataset.

use crate::derivatives::summary::ScanSummary;
use crate::pages::places::{Places, Spread};
use crate::tables::measures;
use serde::Serialize;

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Row<'a> {
    pub name: String,
    pub meaning: &'static str,
    pub value: String,
    pub unit: &'static str,
    /// Ticks of all scans.
    pub others: &'a str,
    /// Where this scan is.
    pub own: Option<f64>,
    /// The same in words.
    pub place: String,
}

/// The rows of a scan, its score first.
pub(super) fn rows<'a>(scan: &ScanSummary, places: &'a Places) -> Vec<Row<'a>> {
    let mut named: Vec<(&str, f64)> = scan.quality.iter().map(|(name, v)| (name.as_str(), *v)).collect();
    named.sort_by_key(|(name, _)| measures::order(name));
    let row = |name: &str, value: f64, (meaning, unit): (&'static str, Option<&'static str>)| {
        let spread = places.spread(&scan.modality, name);
        Row {
            name: name.to_owned(),
            meaning,
            value: number(value),
            unit: unit.unwrap_or(""),
            others: spread.map_or("", Spread::ticks),
            own: spread.and_then(|spread| spread.at(value)),
            place: spread.map_or_else(|| "–".to_owned(), |spread| place(spread.below(value))),
        }
    };
    let score = ("Score, 0 to 100: mean of the mean grade and the worst grade of the measures that count.", None);
    let score = scan.quality_score.map(|value| row("quality_score", value, score));
    score.into_iter().chain(named.into_iter().map(|(name, v)| row(name, v, measures::describe(name)))).collect()
}

/// The place in words.
#[expect(clippy::cast_precision_loss, reason = "counts of scans")]
fn place((below, others): (usize, usize)) -> String {
    format!(
        "higher than {:.0} % of {others} other{}",
        100.0 * below as f64 / others as f64,
        if others == 1 { "" } else { "s" }
    )
}

/// Four significant digits.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let decimals = (3.0 - value.abs().log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_digits() {
        let shown = [0.0, 0.012_346, 1.0, 123.456, 98_765.4, -2.5].map(number);
        assert_eq!(shown, ["0", "0.01235", "1.000", "123.5", "98765", "-2.500"]);
    }
}
