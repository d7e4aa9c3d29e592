//! With everything in place: what a run leaves in its files is at the Collector and in Prometheus.

use super::ledger::Ledger;
use super::study::{Study, WAITS, url};
use crate::common::collector::{Collector, into_files, shipped};
use crate::common::otlp::{attribute, each, json_lines, json_lines_so_far};
use crate::common::prometheus::Prometheus;
use crate::common::run_command;
use neuro_preprocess::telemetry::names::METRICS;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn what_a_run_leaves_in_its_files_is_at_the_collector_and_in_prometheus() {
    let study = Study::new(3, 1);
    let Some(collector) = Collector::start(&study.path("collector"), &[shipped(), into_files()], &[]) else { return };
    let Some(prometheus) = Prometheus::start(&study.path("collector"), collector.prometheus) else { return };
    let run = |output: &str, protocol: &str, port: u16| {
        let mut run = study.run(output);
        run.env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol).args(["--otel-endpoint", &url(port)]);
        run_command(run.args(WAITS)).exits(1);
    };
    run("out/grpc", "grpc", collector.grpc);
    run("out/http", "http/protobuf", collector.http);

    let (spool, arrived) = (Ledger::read(&study.path("out")), Ledger::read(&collector.files()));
    spool.is_all_in(&arrived);
    prometheus.comes_to("sum(neuro_scans_processed_total)", 8.0);
    prometheus.comes_to("sum(neuro_scans_processed_total{status='success',stage='save',modality='T1w'})", 6.0);
    prometheus.comes_to("sum(neuro_scans_processed_total{status='failed',stage='load',modality='T1w'})", 2.0);
    prometheus.comes_to("sum(neuro_errors_total)", 2.0);
    prometheus.comes_to("sum(neuro_processing_duration_seconds_count)", 8.0);
    prometheus.comes_to("count(neuro_subject_duration_seconds)", 4.0);
    every_metric_has_its_documented_name(&prometheus);
    for output in ["out/grpc", "out/http"] {
        for participant in &study.participants {
            log_lines_by_trace(&study.path(output).join(format!("logs/sub-{participant}.jsonl")), &collector.files());
        }
    }
    assert_eq!(
        collector.own_metric("otelcol_deltatocumulative_datapoints", "error="),
        0.0,
        "the Collector dropped points"
    );
}

fn every_metric_has_its_documented_name(prometheus: &Prometheus) {
    let of_histogram = |name: &str| METRICS.iter().any(|m| m.exported == name && !m.buckets.is_empty());
    let base = |name: &str| {
        let parts = ["_bucket", "_sum", "_count"].iter().find_map(|p| name.strip_suffix(p));
        parts.filter(|b| of_histogram(b)).unwrap_or(name).to_owned()
    };
    let seen: BTreeSet<String> = prometheus.names("neuro_").iter().map(|n| base(n)).collect();
    let documented: BTreeSet<String> = METRICS.iter().map(|m| m.exported.to_owned()).collect();
    assert_eq!(seen, documented);
}

/// The lines of a participant's own log file are what the Collector has under their trace id.
fn log_lines_by_trace(file: &Path, collector: &Path) {
    let own = json_lines(file);
    let trace = own[0]["trace_id"].as_str().unwrap();
    let line = |level: &Value, message: &Value, span: &Value, scan: Option<String>| {
        let text = |v: &Value| v.as_str().unwrap().to_owned();
        (text(level), text(message), text(span), scan)
    };
    let scan = |l: &Value| l["scan_id"].as_str().map(str::to_owned);
    let mut own: Vec<_> = own.iter().map(|l| line(&l["level"], &l["message"], &l["span_id"], scan(l))).collect();
    let logs = json_lines_so_far(&collector.join("logs.jsonl"));
    let records = each(&logs, ["resourceLogs", "scopeLogs", "logRecords"]).filter(|r| r["traceId"] == trace);
    let mut there: Vec<_> = records
        .map(|r| {
            line(&r["severityText"], &r["body"]["stringValue"], &r["spanId"], attribute(&r["attributes"], "scan_id"))
        })
        .collect();
    own.sort();
    there.sort();
    assert!(own.len() >= 3, "{own:?}");
    assert_eq!(own, there, "{}", file.display());
}
