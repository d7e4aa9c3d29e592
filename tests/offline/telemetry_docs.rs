//! `docs/telemetry.md` and the tables in the code must say the same, in both directions; `telemetry_contract.rs` holds
//! against them what a run emits.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail by panicking")]

use neuro_preprocess::error::ErrorClass;
use neuro_preprocess::telemetry::names;
use neuro_preprocess::telemetry::variables::VARIABLES;
use neuro_preprocess::vocabulary::Stage;
use std::collections::BTreeSet;

const DOCUMENT: &str = include_str!("../../docs/telemetry.md");

/// The cells of the rows of the tables below a heading whose first column has the given title.
fn rows(heading: &str, first_column: &str) -> Vec<Vec<String>> {
    let section =
        DOCUMENT.split("\n## ").find(|s| s.starts_with(heading)).unwrap_or_else(|| panic!("no section {heading}"));
    let mut in_table = false;
    let mut out = Vec::new();
    for line in section.lines() {
        let Some(inner) = line.strip_prefix('|').and_then(|l| l.strip_suffix('|')) else {
            in_table = false;
            continue;
        };
        let cells: Vec<String> = inner.split('|').map(|c| c.trim().to_owned()).collect();
        if cells[0] == first_column {
            in_table = true;
        } else if in_table && !cells[0].starts_with("---") {
            out.push(cells);
        }
    }
    out
}

/// The names in a cell: variables share a row when they share what it says.
fn names_in(row: &[String]) -> Vec<String> {
    row[0].split(", ").map(code).collect()
}

fn code(cell: &str) -> String {
    cell.trim_matches('`').to_owned()
}

fn compare(heading: &str, first_column: &str, in_code: &[&str]) {
    let rows = rows(heading, first_column);
    let named: Vec<String> = rows.iter().flat_map(|row| names_in(row)).collect();
    let documented: BTreeSet<String> = named.iter().cloned().collect();
    assert_eq!(documented.len(), named.len(), "{heading}: a name has two rows");
    let in_code: BTreeSet<String> = in_code.iter().map(|n| (*n).to_owned()).collect();
    assert!(!in_code.is_empty());
    assert_eq!(documented, in_code, "{heading}: left is docs/telemetry.md, right is names.rs");
}

#[test]
fn every_name_has_its_row_and_every_row_its_name() {
    compare("Spans", "name", &names::spans());
    compare("Attributes", "key", &names::attributes());
    compare("Events", "name", names::EVENTS);
    compare("Log fields", "field", names::LOG_FIELDS);
    compare("Log fields", "field of the event", names::LOG_EVENT_FIELDS);
    compare("Resource", "attribute", names::RESOURCE);
    let variables: Vec<&str> = VARIABLES.iter().filter(|v| v.idle.is_none()).map(|v| v.name).collect();
    compare("Settings", "variable", &variables);
}

#[test]
fn metrics_are_documented_with_unit_kind_and_labels() {
    let exported: Vec<&str> = names::METRICS.iter().map(|m| m.exported).collect();
    compare("Metrics", "name", &exported);
    for row in rows("Metrics", "name") {
        let metric = names::METRICS.iter().find(|m| m.exported == code(&row[0])).unwrap();
        let labels: Vec<String> = metric.labels.iter().map(|l| format!("`{l}`")).collect();
        let expected = [
            format!("`{}`", metric.instrument),
            format!("`{}`", metric.unit),
            metric.kind.as_str().to_owned(),
            labels.join(", "),
            metric.buckets.iter().map(f64::to_string).collect::<Vec<_>>().join(" "),
        ];
        assert_eq!(row[1..], expected, "{}", metric.exported);
    }
}

#[test]
fn variables_are_documented_with_default_or_the_reason_why_not() {
    for row in rows("Settings", "variable") {
        for name in names_in(&row) {
            let variable = VARIABLES.iter().find(|v| v.name == name).unwrap();
            let signals = if variable.per_signal { "yes" } else { "" };
            assert_eq!(row[1..], [signals.to_owned(), variable.default.to_owned()], "{name}");
        }
    }
    let documented: BTreeSet<(String, String)> = rows("Settings", "no effect")
        .iter()
        .flat_map(|row| names_in(row).into_iter().map(|name| (name, row[1].clone())))
        .collect();
    let idle = VARIABLES.iter().filter_map(|v| Some((v.name.to_owned(), v.idle?.to_owned())));
    assert_eq!(documented, idle.collect(), "left is docs/telemetry.md, right is variables.rs");
}

#[test]
fn names_fit_what_prometheus_and_the_collector_accept() {
    let fine = |s: &str| s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    for metric in names::METRICS {
        assert!(fine(metric.exported) && metric.labels.iter().all(|l| fine(l)), "{}", metric.exported);
    }
    assert!(Stage::ALL.iter().all(|s| fine(s.as_str())) && ErrorClass::ALL.iter().all(|c| fine(c.as_str())));
}
