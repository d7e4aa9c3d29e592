//! Every query of dashboards, alerts and documents, asked of the real Prometheus and Loki after `demo failures` has gone
//! through the real Collector, all with the configuration that is shipped. Tempo cannot be had as a Go module or a Debian
//! package: a second Collector stands where it stands, and its queries are compared with the names of spans and attributes in
//! `lint.rs`.

use super::files::{Query, dashboards, documented, queries, variables};
use crate::common::collector::{Collector, into_files, shipped};
use crate::common::install::root;
use crate::common::loki::Loki;
use crate::common::otlp;
use crate::common::prometheus::Prometheus;
use crate::common::server::{encoded, wait_for};
use crate::common::{binary, run_command};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Queries that find nothing after one demo, and why.
const FIND_NOTHING: [&str; 2] = [
    "neuro:stage_seconds:p95_1h",    // needs ten runs of a stage in an hour
    "neuro:stage_seconds:p95_usual", // needs a week
];
/// Metrics of the Collector that appear with the first loss.
const APPEAR_LATER: [&str; 1] = ["otelcol_exporter_send_failed_"];
/// In a document, above a query that finds something only when something is wrong.
const WHEN_WRONG: &str = "# empty while all is well";

struct Stack {
    prometheus: Prometheus,
    loki: Loki,
    collector: Collector,
    _tempo: Collector,
}

impl Stack {
    fn start(folder: &Path) -> Option<Self> {
        let loki = Loki::start(folder)?;
        let tempo = Collector::start(&folder.join("tempo"), &[shipped(), into_files()], &[])?;
        let endpoints =
            [("LOKI_ENDPOINT", &*loki.endpoint()), ("TEMPO_ENDPOINT", &format!("http://127.0.0.1:{}", tempo.http))];
        let collector = Collector::start(&folder.join("collector"), &[shipped()], &endpoints)?;
        let text = fs::read_to_string(root("configs/prometheus.yml")).unwrap();
        let prometheus = Prometheus::configured(folder, |own| {
            let rules = root("configs/prometheus/rules/*.yml");
            let text = text.replace("prometheus/rules/*.yml", rules.to_str().unwrap());
            let text = text.replace("scrape_interval: 15s", "scrape_interval: 500ms");
            let text = text.replace("scrape_timeout: 10s", "scrape_timeout: 400ms");
            let text = text.replace("evaluation_interval: 15s", "evaluation_interval: 1s");
            let text = text.replace("127.0.0.1:8889", &format!("127.0.0.1:{}", collector.prometheus));
            let text = text.replace("127.0.0.1:8888", &format!("127.0.0.1:{}", collector.own));
            text.replace("127.0.0.1:9090", &format!("127.0.0.1:{own}"))
                .replace("127.0.0.1:3100", loki.endpoint().split('/').nth(2).unwrap())
        })?;
        Some(Self { prometheus, loki, collector, _tempo: tempo })
    }

    /// What a query finds: series with a value, streams with a line.
    fn finds(&self, query: &Query, text: &str) -> usize {
        let encoded = encoded(text);
        let found = match (query.language.as_str(), query.instant) {
            ("prometheus", true) => self.prometheus.api(&format!("query?query={encoded}")),
            ("prometheus", false) => {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
                let range = format!("start={}&end={now}&step=5", now - 300);
                self.prometheus.api(&format!("query_range?query={encoded}&{range}"))
            }
            (_, true) if !text.starts_with('{') => self.loki.ask("query", text),
            _ => self.loki.ask("query_range", text),
        };
        let is_number = |v: &Value| v[1].as_str().is_some_and(|n| n != "NaN");
        let has_one =
            |s: &Value| is_number(&s["value"]) || s["values"].as_array().is_some_and(|v| v.iter().any(is_number));
        found["result"].as_array().unwrap().iter().filter(|s| has_one(s)).count()
    }

    /// Asks with each participant, and says how many series the one with most has.
    fn finds_of_some(&self, query: &Query, participants: &[String]) -> usize {
        participants.iter().map(|p| self.finds(query, &query.filled(p))).max().unwrap()
    }
}

#[test]
fn every_query_finds_what_a_demo_has_left() {
    let folder = tempfile::tempdir().unwrap();
    let Some(stack) = Stack::start(folder.path()) else { return };

    let mut demo = binary();
    demo.args(["demo", "failures", "-o"]).arg(folder.path().join("demo"));
    demo.args(["--otel-endpoint", &format!("http://127.0.0.1:{}", stack.collector.grpc)]);
    let ran = run_command(&mut demo).exits(1);
    let failed = ran.stdout.lines().filter(|l| l.starts_with("FAILED")).count();
    let logs = folder.path().join("demo/derivatives/logs");
    #[allow(clippy::cast_precision_loss, reason = "a few hundred lines")]
    let lines = otlp::logs(&logs).len() as f64;
    stack.prometheus.comes_to("sum(neuro_scans_processed_total)", 10.0);
    stack.loki.comes_to("{service_name=\"neuro-preprocess\"}", lines);
    wait_for("the rules to be evaluated", || stack.prometheus.names("neuro:").len() == 6);
    let participants: Vec<String> = ["01", "02", "03", "04", "05"].map(str::to_owned).to_vec();

    panels_count_exactly(&stack, failed, &logs);
    every_panel_and_variable_finds_something(&stack, &participants);
    every_documented_query_finds_something(&stack);
    every_metric_of_the_rules_is_there(&stack);
    wait_for("the alert about four failures of ten", || {
        let alerts = stack.prometheus.api("alerts");
        let alerts = alerts["alerts"].as_array().unwrap();
        alerts.iter().any(|a| a["labels"]["alertname"] == "NeuroHighErrorRate" && a["state"] == "pending")
    });
}

/// The numbers a user compares with the last line of the run are those of the run, not estimates.
fn panels_count_exactly(stack: &Stack, failed: usize, logs: &Path) {
    let all: Vec<Query> = dashboards().iter().flat_map(|(name, d)| queries(name, d)).collect();
    let of = |place: &str| all.iter().find(|q| q.place == place).unwrap_or_else(|| panic!("no panel {place}"));
    #[allow(clippy::cast_precision_loss, reason = "ten scans")]
    let n = failed as f64;
    let number = |place: &str| stack.prometheus.number(&of(place).filled("01"));
    assert_eq!(number("overview: Scans processed"), Some(10.0));
    assert_eq!(number("overview: Failed"), Some(n));
    assert_eq!(number("overview: Success rate"), Some((10.0 - n) / 10.0));
    assert_eq!(number("errors: Failed scans"), Some(n));
    assert_eq!(number("overview: Telemetry lost"), Some(0.0));

    let rows = stack.loki.ask("query", &of("errors: Failed scans and their traces").filled("01"));
    let rows = rows["result"].as_array().unwrap().iter();
    let there: BTreeSet<(String, String)> = rows
        .map(|r| ["scan_id", "trace_id"].map(|k| r["metric"][k].as_str().unwrap().to_owned()))
        .map(|[scan, trace]| (scan, trace))
        .collect();
    let spans = otlp::spans(logs);
    let spans = spans.iter().filter(|s| s.name == "preprocess_scan" && s.failed);
    let wanted: BTreeSet<(String, String)> =
        spans.map(|s| (s.attribute("scan.id").unwrap(), s.trace.clone())).collect();
    assert_eq!((there.len(), &there), (failed, &wanted), "the table of failed scans leads to their traces");
}

fn every_panel_and_variable_finds_something(stack: &Stack, participants: &[String]) {
    let mut asked = 0;
    for (name, dashboard) in dashboards() {
        for query in queries(&name, &dashboard).iter().filter(|q| q.language != "tempo") {
            asked += 1;
            let what = format!("{} to find something: {}", query.place, query.filled("01"));
            wait_for(&what, || stack.finds_of_some(query, participants) > 0);
        }
        for variable in variables(&dashboard).iter().filter(|v| v["type"] == "query") {
            let query = variable["query"]["query"].as_str().unwrap();
            let inner = query.strip_prefix("label_values(").unwrap().trim_end_matches(')');
            let (selector, label) = inner.rsplit_once(", ").unwrap();
            let selector = encoded(&selector.replace("$service", ".+"));
            let values = stack.prometheus.api(&format!("label/{label}/values?match[]={selector}"));
            assert!(!values.as_array().unwrap().is_empty(), "{name}: ${} has no values", variable["name"]);
        }
    }
    assert!(asked > 60, "{asked} queries");
}

fn every_documented_query_finds_something(stack: &Stack) {
    let wrong: Vec<String> = documented()
        .iter()
        .filter(|q| q.language != "tempo")
        .filter(|q| (stack.finds(q, &q.text) == 0) != q.text.starts_with(WHEN_WRONG))
        .map(|q| format!("{}: {}", q.place, q.text))
        .collect();
    assert!(wrong.is_empty(), "find nothing, or something that is said to be empty:\n{}", wrong.join("\n"));
}

/// An alert that asks for a metric that does not exist would be silent for ever.
fn every_metric_of_the_rules_is_there(stack: &Stack) {
    let there: BTreeSet<String> = stack.prometheus.names("").into_iter().collect();
    let rules = stack.prometheus.api("rules");
    let groups = rules["groups"].as_array().unwrap();
    let mut asked = 0;
    for rule in groups.iter().flat_map(|g| g["rules"].as_array().unwrap()) {
        assert_eq!(rule["health"], "ok", "{rule}");
        let query = rule["query"].as_str().unwrap();
        let names = query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
        for name in names.filter(|n| n.starts_with("neuro") && n.contains(['_', ':']) || n.starts_with("otelcol_")) {
            let later = FIND_NOTHING.contains(&name) || APPEAR_LATER.contains(&name);
            assert!(there.contains(name) || later, "{}: there is no {name}", rule["name"]);
            asked += 1;
        }
    }
    assert!(asked > 40, "{asked} names in rules");
}
