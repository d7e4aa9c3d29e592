//! How long stages took: exact percentiles over all their spans.

use super::{Archive, Span, seconds};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One stage over all scans. Times are wall-clock seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageRow {
    /// The `stage` label.
    pub stage: Arc<str>,
    /// Times it ended.
    pub count: usize,
    /// Times it failed.
    pub failed: usize,
    /// Half of them took at most this long.
    pub p50: f64,
    /// 95 % of them.
    pub p95: f64,
    /// 99 % of them.
    pub p99: f64,
    /// The slowest.
    pub max: f64,
    /// All together.
    pub total: f64,
}

/// A row for each stage, the one that took longest in all first.
#[must_use]
pub fn stage_rows(archive: &Archive) -> Vec<StageRow> {
    let mut times: BTreeMap<Arc<str>, (Vec<f64>, usize)> = BTreeMap::new();
    let scans = archive.runs.iter().flat_map(|run| &run.subjects).flat_map(|subject| &subject.scans);
    for span in scans.flat_map(|scan| &scan.spans) {
        collect(span, &mut times);
    }
    let mut rows: Vec<StageRow> = times.into_iter().map(|(stage, (times, failed))| row(stage, times, failed)).collect();
    rows.sort_by(|a, b| b.total.total_cmp(&a.total));
    rows
}

fn collect(span: &Span, times: &mut BTreeMap<Arc<str>, (Vec<f64>, usize)>) {
    if let Some(stage) = &span.stage {
        let (of_stage, failed) = times.entry(Arc::clone(stage)).or_default();
        of_stage.push(seconds(span.start_ns, span.end_ns));
        *failed += usize::from(span.failed);
    }
    span.children.iter().for_each(|child| collect(child, times));
}

fn row(stage: Arc<str>, mut times: Vec<f64>, failed: usize) -> StageRow {
    times.sort_by(f64::total_cmp);
    // Nearest rank: the smallest time that at least so many per cent do not exceed.
    let percentile = |percent: usize| times.get((times.len() * percent).div_ceil(100).max(1) - 1).copied();
    let of = |percent| percentile(percent).unwrap_or_default();
    let (count, total) = (times.len(), times.iter().sum());
    StageRow { stage, count, failed, p50: of(50), p95: of(95), p99: of(99), max: of(100), total }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_occurred() {
        let row = row("load".into(), (1..=200).rev().map(f64::from).collect(), 3);
        assert_eq!((row.count, row.failed, row.p50, row.p95, row.p99, row.max), (200, 3, 100.0, 190.0, 198.0, 200.0));
        assert_eq!(super::row("x".into(), vec![7.0], 0).p50, 7.0);
    }
}
