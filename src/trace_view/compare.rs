//! Two runs side by side: stage by stage, what got slower or larger, from their files alone.
//!
//! Scans that both runs did are compared one by one, so that another mix of scans is not taken for another speed; where there
//! are too few of them, the medians of all are.

use super::{Archive, Run, Scan, Span, Status, seconds};
use crate::printable;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::Arc;

/// Pairs from which on the scans of both runs are compared one by one.
const ENOUGH: usize = 3;
/// The part of pairs that must point the same way for a difference to be called one.
const MAJORITY: f64 = 0.75;
/// Below this many seconds, the noise of the clock and the scheduler is larger than any change.
const LEAST_SECONDS: f64 = 0.02;

/// What of a stage is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Wall time, s.
    Seconds,
    /// Time of processors, s.
    CpuSeconds,
    /// Peak of memory, MB of 10⁶ bytes.
    PeakMemoryMb,
    /// Bytes read, MB.
    ReadMb,
    /// Bytes written, MB.
    WrittenMb,
    /// Size of the outputs, MB.
    OutputMb,
}

impl Measure {
    const fn label(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::CpuSeconds => "CPU s",
            Self::PeakMemoryMb => "peak MB",
            Self::ReadMb => "read MB",
            Self::WrittenMb => "written MB",
            Self::OutputMb => "output MB",
        }
    }

    const fn words(self) -> [&'static str; 2] {
        if matches!(self, Self::Seconds) { ["slower", "faster"] } else { ["larger", "smaller"] }
    }
}

/// One of the two.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Side {
    /// Ids of its runs.
    pub runs: Vec<String>,
    /// Versions of the program.
    pub versions: Vec<String>,
    /// Machines.
    pub hosts: Vec<String>,
    /// Scans that succeeded.
    pub ok: usize,
    /// Scans that failed or did not end.
    pub failed: usize,
}

/// How a stage differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Slower or larger in the second.
    Worse,
    /// Faster or smaller.
    Better,
    /// The difference is below the threshold, or its pairs do not agree.
    Same,
}

/// One measure of one stage and modality. Each pair of numbers is of the first and of the second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The `stage` label.
    pub stage: String,
    /// `T1w` or `bold`; empty where it is not known.
    pub modality: String,
    /// What is compared.
    pub measure: Measure,
    /// How often it was measured.
    pub count: [usize; 2],
    /// Medians.
    pub median: [f64; 2],
    /// 95th percentiles, by nearest rank.
    pub p95: [f64; 2],
    /// Scans that both did.
    pub pairs: usize,
    /// Second by first: the median over the pairs, or of the medians where there are few. `None` where the first is 0.
    pub ratio: Option<f64>,
    /// What that means.
    pub verdict: Verdict,
}

/// Two runs, or folders of runs, side by side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// First and second.
    pub sides: [Side; 2],
    /// What differs most first, among worse, better and same.
    pub rows: Vec<Row>,
}

/// Pairs as an object.
pub(super) fn as_map<S: serde::Serializer>(pairs: &[(Measure, f64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().copied())
}

/// Stage, modality and measure.
type Key = (Arc<str>, String, Measure);
/// Of each key the values by scan; a stage that a scan did twice counts with its last.
type Values = BTreeMap<Key, HashMap<String, f64>>;

/// Compares two archives. Only what succeeded is compared. Changes below `threshold`, such as 0.1 for 10 %, are none.
#[must_use]
pub fn compare(archives: [&Archive; 2], threshold: f64) -> Comparison {
    let [first, second] = archives.map(values);
    let nothing = HashMap::new();
    let keys: std::collections::BTreeSet<&Key> = first.keys().chain(second.keys()).collect();
    let mut rows: Vec<Row> = keys
        .into_iter()
        .map(|key| row(key, [first.get(key).unwrap_or(&nothing), second.get(key).unwrap_or(&nothing)], threshold))
        .collect();
    rows.sort_by(|a, b| (a.verdict, a.measure).cmp(&(b.verdict, b.measure)).then(weight(b).total_cmp(&weight(a))));
    Comparison { sides: archives.map(|archive| side(&archive.runs)), rows }
}

/// How much of the whole a change is.
fn weight(row: &Row) -> f64 {
    (row.median[1] - row.median[0]).abs()
}

fn side(runs: &[Run]) -> Side {
    let all = |of: fn(&Run) -> &String| {
        let mut words: Vec<String> = runs.iter().map(|run| of(run).clone()).collect();
        words.sort();
        words.dedup();
        words
    };
    let scans = || runs.iter().flat_map(|run| &run.subjects).flat_map(|subject| &subject.scans);
    let ok = scans().filter(|scan| scan.status == Status::Ok).count();
    Side {
        runs: all(|run| &run.id),
        versions: all(|run| &run.version),
        hosts: all(|run| &run.host),
        ok,
        failed: scans().count() - ok,
    }
}

fn values(archive: &Archive) -> Values {
    let mut values = Values::new();
    for subject in archive.runs.iter().flat_map(|run| &run.subjects) {
        for (place, scan) in subject.scans.iter().enumerate().filter(|(_, scan)| scan.status == Status::Ok) {
            let id = scan.id.clone().unwrap_or_else(|| format!("{} {place}", subject.name()));
            scan.spans.iter().for_each(|span| collect(span, scan, &id, &mut values));
        }
    }
    values
}

fn collect(span: &Span, scan: &Scan, id: &str, values: &mut Values) {
    if let Some(stage) = &span.stage {
        let modality = scan.modality.clone().unwrap_or_default();
        let took = (Measure::Seconds, seconds(span.start_ns, span.end_ns));
        for (measure, value) in std::iter::once(took).chain(span.measured.iter().copied()) {
            values.entry((Arc::clone(stage), modality.clone(), measure)).or_default().insert(id.to_owned(), value);
        }
    }
    span.children.iter().for_each(|child| collect(child, scan, id, values));
}

fn row((stage, modality, measure): &Key, sides: [&HashMap<String, f64>; 2], threshold: f64) -> Row {
    let sorted = sides.map(|side| {
        let mut all: Vec<f64> = side.values().copied().collect();
        all.sort_by(f64::total_cmp);
        all
    });
    let median = [percentile(&sorted[0], 50), percentile(&sorted[1], 50)];
    let p95 = [percentile(&sorted[0], 95), percentile(&sorted[1], 95)];
    let pairs: Vec<(f64, f64)> = sides[0].iter().filter_map(|(id, a)| Some((*a, *sides[1].get(id)?))).collect();
    let mut ratios: Vec<f64> = pairs.iter().filter(|(a, _)| *a > 0.0).map(|(a, b)| b / a).collect();
    ratios.sort_by(f64::total_cmp);
    let by_pairs = ratios.len() >= ENOUGH;
    let change = if by_pairs {
        let mut changes: Vec<f64> = pairs.iter().map(|(a, b)| (b - a).abs()).collect();
        changes.sort_by(f64::total_cmp);
        percentile(&changes, 50)
    } else {
        (median[1] - median[0]).abs()
    };
    let of_medians = || (median[0] > 0.0 && !sorted[1].is_empty()).then(|| median[1] / median[0]);
    let ratio = if by_pairs { Some(percentile(&ratios, 50)) } else { of_medians() };
    let verdict = ratio.map_or(Verdict::Same, |ratio| {
        let worse = ratio > 1.0;
        let agreeing = pairs.iter().filter(|(a, b)| (b > a) == worse && a != b).count();
        #[expect(clippy::cast_precision_loss, reason = "numbers of scans")]
        let agreed = !by_pairs || agreeing as f64 >= MAJORITY * pairs.len() as f64;
        let least = if matches!(measure, Measure::Seconds | Measure::CpuSeconds) { LEAST_SECONDS } else { 0.0 };
        let large = (ratio - 1.0).abs() >= threshold && change >= least;
        match (large && agreed, worse) {
            (false, _) => Verdict::Same,
            (true, true) => Verdict::Worse,
            (true, false) => Verdict::Better,
        }
    });
    let count = [sorted[0].len(), sorted[1].len()];
    let (stage, modality, pairs) = (stage.to_string(), modality.clone(), pairs.len());
    Row { stage, modality, measure: *measure, count, median, p95, pairs, ratio, verdict }
}

/// Of sorted numbers, by nearest rank; 0 of none.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted.get((sorted.len() * percent).div_ceil(100).max(1) - 1).copied().unwrap_or_default()
}

impl Comparison {
    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (place, side) in self.sides.iter().enumerate() {
            let (runs, versions, hosts) = (listed(&side.runs), listed(&side.versions), listed(&side.hosts));
            let head = format!(
                "run {runs}: neuro-preprocess {versions} on {hosts}, {} scans ok, {} not",
                side.ok, side.failed
            );
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{}  {}", place + 1, printable::line(&head));
        }
        let heads = ["median 1", "median 2", "p95 1", "p95 2"];
        let [a, b, c, d] = heads;
        let _ =
            writeln!(out, "\n{:<16} {:<8} {:<10} {a:>9} {b:>9} {c:>9} {d:>9}  2 by 1", "stage", "modality", "measure");
        for row in &self.rows {
            let [m1, m2, p1, p2] = [row.median[0], row.median[1], row.p95[0], row.p95[1]];
            let line = format!("{:<16} {:<8} {:<10}", row.stage, row.modality, row.measure.label());
            let change = change(row);
            let _ = writeln!(out, "{} {m1:>9.3} {m2:>9.3} {p1:>9.3} {p2:>9.3}  {change}", printable::line(&line));
        }
        out
    }
}

/// Such as `+43 % slower, 5 pairs`.
fn change(row: &Row) -> String {
    let Some(ratio) = row.ratio else {
        return if row.count[1] == 0 { "only in 1".to_owned() } else { "only in 2".to_owned() };
    };
    let [worse, better] = row.measure.words();
    let word = match row.verdict {
        Verdict::Worse => format!(" {worse}"),
        Verdict::Better => format!(" {better}"),
        Verdict::Same => String::new(),
    };
    let by = if row.pairs >= ENOUGH {
        format!("{} pairs", row.pairs)
    } else {
        format!("{} and {}", row.count[0], row.count[1])
    };
    format!("{:+.0} %{word}, {by}", (ratio - 1.0) * 100.0)
}

/// A few words, or how many there are.
fn listed(words: &[String]) -> String {
    if words.len() <= 2 { words.join(", ") } else { format!("{} and {} more", words[0], words.len() - 1) }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
