//! Where a measure of a scan stands among the others of the same dataset.

use crate::derivatives::summary::UnitSummary;
use std::collections::BTreeMap;

/// For each modality and measure the values of all scans, sorted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places(BTreeMap<(String, String), Vec<f64>>);

impl Places {
    /// The values of all scans in `units`, by the names of the measures, with `quality_score`.
    #[must_use]
    pub fn of(units: &[UnitSummary]) -> Self {
        let mut found: BTreeMap<(String, String), Vec<f64>> = BTreeMap::new();
        for scan in units.iter().flat_map(|unit| &unit.scans) {
            let score = scan.quality_score.map(|v| ("quality_score", v));
            for (name, value) in scan.quality.iter().map(|(name, v)| (name.as_str(), *v)).chain(score) {
                found.entry((scan.modality.clone(), name.to_owned())).or_default().push(value);
            }
        }
        found.values_mut().for_each(|values| values.sort_by(f64::total_cmp));
        Self(found)
    }

    /// The sorted values of one measure; empty when no scan has it.
    #[must_use]
    pub fn values(&self, modality: &str, measure: &str) -> &[f64] {
        self.0.get(&(modality.to_owned(), measure.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// The part of the values (0 to 1) that lie below `value`, those equal to it counted half; `None` with fewer than two.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of scans")]
    pub fn rank(&self, modality: &str, measure: &str, value: f64) -> Option<f64> {
        let values = self.values(modality, measure);
        let below = values.partition_point(|v| *v < value);
        let up_to = values.partition_point(|v| *v <= value);
        (values.len() > 1).then(|| (below + up_to) as f64 / (2 * values.len()) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_its_place_among_the_others() {
        let key = ("T1w".to_owned(), "cjv".to_owned());
        let places = Places([(key, vec![0.1, 0.2, 0.2, 0.4])].into());
        assert_eq!(places.rank("T1w", "cjv", 0.2), Some(0.5));
        assert_eq!(places.rank("T1w", "cjv", 0.4), Some(0.875));
        assert_eq!((places.rank("bold", "cjv", 0.2), places.values("T1w", "x").len()), (None, 0));
    }
}
