//! What telemetry there is in a folder of OTLP JSON lines, in a form that two folders can be compared in: the spool of a
//! run, the files of the Collector, those of the Python receiver.

use crate::common::otlp::{attribute, each, json_lines_so_far};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// How often each item is there, by all that identifies it.
type Items = BTreeMap<String, usize>;

/// The telemetry of a folder.
#[derive(Debug, Default)]
pub struct Ledger {
    pub spans: Items,
    pub logs: Items,
    /// Sums of deltas, of histograms their counts, by metric and attributes.
    pub sums: BTreeMap<String, f64>,
}

impl Ledger {
    /// Reads every file of a signal below the folder, up to its last whole line: whoever writes it may be at work or dead.
    pub fn read(folder: &Path) -> Self {
        let mut ledger = Self::default();
        for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
            let path = entry.unwrap().into_path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if !name.ends_with(".jsonl") {
                continue;
            }
            match name.split(['-', '.']).next() {
                Some("traces") => ledger.add_spans(&json_lines_so_far(&path)),
                Some("logs") => ledger.add_logs(&json_lines_so_far(&path)),
                Some("metrics") => ledger.add_metrics(&json_lines_so_far(&path)),
                _ => {}
            }
        }
        ledger
    }

    fn add_spans(&mut self, lines: &[Value]) {
        for s in each(lines, ["resourceSpans", "scopeSpans", "spans"]) {
            let times = (number(&s["startTimeUnixNano"]), number(&s["endTimeUnixNano"]));
            let id =
                format!("{} {} {} {times:?} {}", s["traceId"], s["spanId"], s["name"], attributes(&s["attributes"]));
            *self.spans.entry(id).or_default() += 1;
        }
    }

    fn add_logs(&mut self, lines: &[Value]) {
        for r in each(lines, ["resourceLogs", "scopeLogs", "logRecords"]) {
            let time = number(&r["timeUnixNano"]);
            let said = (&r["severityText"], &r["body"]["stringValue"], r["traceId"].as_str(), r["spanId"].as_str());
            *self.logs.entry(format!("{time} {said:?} {}", attributes(&r["attributes"]))).or_default() += 1;
        }
    }

    fn add_metrics(&mut self, lines: &[Value]) {
        const DELTA: u64 = 1;
        for metric in each(lines, ["resourceMetrics", "scopeMetrics", "metrics"]) {
            for kind in ["sum", "histogram"] {
                let data = &metric[kind];
                if data["aggregationTemporality"] != DELTA {
                    continue;
                }
                for p in data["dataPoints"].as_array().unwrap() {
                    let value = ["asInt", "asDouble", "count"].iter().map(|k| number(&p[k])).sum::<f64>();
                    let id = format!("{} {}", metric["name"], attributes(&p["attributes"]));
                    *self.sums.entry(id).or_default() += value;
                }
            }
        }
    }

    /// The sum of a counter over its points that have the attribute.
    pub fn sum(&self, metric: &str, attribute: &str) -> f64 {
        let of = |id: &String| id.starts_with(&format!("\"{metric}\"")) && id.contains(attribute);
        self.sums.iter().filter(|(id, _)| of(id)).map(|(_, n)| n).sum()
    }

    /// Fails unless the other holds each item as often as this one, and the same sums.
    #[track_caller]
    pub fn is_all_in(&self, other: &Self) {
        assert!(!self.sums.is_empty(), "nothing to compare");
        self.has_items_of(other);
        self.has_sums_of(other);
    }

    /// [`Self::is_all_in`] for spans and log records.
    #[track_caller]
    pub fn has_items_of(&self, other: &Self) {
        assert!(!self.logs.is_empty(), "nothing to compare");
        self.has_spans_of(other);
        same("logs", &self.logs, &other.logs);
    }

    /// [`Self::is_all_in`] for spans.
    #[track_caller]
    pub fn has_spans_of(&self, other: &Self) {
        assert!(!self.spans.is_empty(), "nothing to compare");
        same("spans", &self.spans, &other.spans);
    }

    /// [`Self::is_all_in`] for sums.
    #[track_caller]
    pub fn has_sums_of(&self, other: &Self) {
        let names: Vec<_> = self.sums.keys().chain(other.sums.keys()).collect();
        for name in names {
            let [a, b] = [self, other].map(|l| l.sums.get(name).copied().unwrap_or_default());
            // Floating-point sums depend on the order they were added in.
            assert!((a - b).abs() <= 1e-9 * a.abs().max(b.abs()), "{name}: {a} there, {b} arrived");
        }
    }
}

#[track_caller]
fn same(what: &str, there: &Items, arrived: &Items) {
    let differ = |a: &Items, b: &Items| -> Vec<String> {
        a.iter().filter(|(id, n)| b.get(*id).copied().unwrap_or(0) < **n).map(|(id, _)| id.clone()).collect()
    };
    let (missing, extra) = (differ(there, arrived), differ(arrived, there));
    assert!(
        missing.is_empty() && extra.is_empty(),
        "{what}: {} there; {} missing, such as {:?}; {} too often, such as {:?}",
        there.len(),
        missing.len(),
        missing.first(),
        extra.len(),
        extra.first()
    );
}

/// A number, which protobuf's JSON writes as text when it has 64 bits.
fn number(value: &Value) -> f64 {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_default()
}

/// Attributes in one order and one notation.
fn attributes(list: &Value) -> String {
    let keys = list.as_array().into_iter().flatten().map(|a| a["key"].as_str().unwrap());
    let text = |key: &str| {
        let text = attribute(list, key).unwrap_or_default();
        text.parse::<f64>().map_or(text, |n| n.to_string())
    };
    let mut all: Vec<String> = keys.map(|key| format!("{key}={}", text(key))).collect();
    all.sort();
    all.join(" ")
}
