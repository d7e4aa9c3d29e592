//! Telemetry as a whole: what a run leaves in its files, under which names, and how it ends with a bad collector.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail by panicking")]

use neuro_preprocess::bids::Modality;
use neuro_preprocess::error::ErrorCode;
use neuro_preprocess::telemetry::config::TelemetryConfig;
use neuro_preprocess::telemetry::env::Environment;
use neuro_preprocess::telemetry::spans::{self, Parent, Scan};
use neuro_preprocess::telemetry::{self, Delivery, names};
use neuro_preprocess::vocabulary::{SessionId, Stage};
use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span as OtlpSpan;
use std::path::Path;
use std::time::{Duration, Instant};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn enabled() -> TelemetryConfig {
    TelemetryConfig { enabled: true, ..TelemetryConfig::default() }
}

/// Runs `work` with telemetry that belongs to this thread, and ends it.
fn observed(
    config: &TelemetryConfig,
    env: &Environment,
    dir: Option<&Path>,
    work: impl FnOnce(&telemetry::Telemetry),
) -> Delivery {
    let (telemetry, dispatch) = telemetry::build(config, env, dir, "run-1");
    tracing::dispatcher::with_default(&dispatch, || work(&telemetry));
    telemetry.finish()
}

/// A run of one subject whose scan fails in validation, logged on the way.
fn one_subject(telemetry: &telemetry::Telemetry) {
    let unit = SessionId { participant: "01".into(), session: Some("pre".into()) };
    let run = spans::run_span("run-1", "run", &telemetry.remote_parent());
    let subject = spans::subject_span(&unit, "run-1", &run);
    let path = Path::new("/data/sub-01_T1w.nii.gz");
    let scan = Scan {
        session: &unit,
        id: "sub-01_ses-pre_T1w",
        modality: Modality::T1w,
        format: "nifti",
        path,
        bytes: 12_500_000,
    };
    let scan = spans::scan_span(&scan, Parent::Subject(&subject));
    spans::record(&scan, "processing.quality_score", f64::NAN);
    let load = spans::stage_span(Stage::Load, &scan);
    let validate = spans::stage_span(Stage::Validate, &load);
    spans::add_event(&validate, names::ERROR_DETECTED, vec![KeyValue::new(names::EXCEPTION_MESSAGE, "cut")]);
    spans::fail(&validate, ErrorCode::Truncated, "the file ends early");
    validate.in_scope(
        || tracing::error!(target: spans::TARGET, error_code = "NP-TRUNCATED", score = f64::NAN, "the file ends early"),
    );
    tracing::info!(target: spans::TARGET, parent: &scan, duration_seconds = 0.5, "scan ended");
    tracing::info!(target: "hyper::client", "not ours");
    tracing::debug!(target: spans::TARGET, "outside of any scan");
}

fn lines(dir: &Path, prefix: &str) -> Vec<String> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with(prefix) {
            out.extend(std::fs::read_to_string(path).unwrap().lines().map(str::to_owned));
        }
    }
    out
}

fn spans_in(dir: &Path) -> Vec<OtlpSpan> {
    let requests =
        lines(dir, "traces-").into_iter().map(|l| serde_json::from_str::<ExportTraceServiceRequest>(&l).unwrap());
    requests.flat_map(|r| r.resource_spans).flat_map(|r| r.scope_spans).flat_map(|s| s.spans).collect()
}

fn named<'a>(spans: &'a [OtlpSpan], name: &str) -> &'a OtlpSpan {
    spans.iter().find(|s| s.name == name).unwrap_or_else(|| panic!("no span {name}"))
}

fn attribute(span: &OtlpSpan, key: &str) -> Option<Value> {
    span.attributes.iter().find(|kv| kv.key == key)?.value.clone()?.value
}

fn text(value: &str) -> Option<Value> {
    Some(Value::StringValue(value.to_owned()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn the_trace_file_holds_the_tree_with_links_status_and_known_names() {
    let dir = tempfile::tempdir().unwrap();
    let delivery = observed(&enabled(), &Environment::default(), Some(dir.path()), one_subject);
    let spans = spans_in(dir.path());
    let names_seen: Vec<&str> = spans.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names_seen.len(), 5, "{names_seen:?}");
    let (run, subject) = (named(&spans, "preprocess_run"), named(&spans, "preprocess_subject"));
    let (scan, load) = (named(&spans, "preprocess_scan"), named(&spans, "load_scan"));
    let validate = named(&spans, "validate_data");

    assert!(run.parent_span_id.is_empty() && subject.parent_span_id.is_empty());
    assert_ne!(run.trace_id, subject.trace_id, "a subject has a trace of its own");
    assert_eq!((&subject.links[0].trace_id, &subject.links[0].span_id), (&run.trace_id, &run.span_id));
    for (child, parent) in [(scan, subject), (load, scan), (validate, load)] {
        assert_eq!((&child.parent_span_id, &child.trace_id), (&parent.span_id, &parent.trace_id), "{}", child.name);
        assert!(child.start_time_unix_nano >= parent.start_time_unix_nano);
    }
    assert_eq!(attribute(subject, "session_id"), text("pre"));
    assert_eq!(attribute(scan, "file.size"), Some(Value::IntValue(12_500_000)));
    assert_eq!(attribute(scan, "scan.size_mb"), Some(Value::DoubleValue(12.5)));
    assert_eq!(attribute(scan, "processing.quality_score"), text("NaN"));
    assert_eq!(attribute(validate, "error.type"), text("validation"));
    let status = validate.status.as_ref().unwrap();
    assert_eq!((status.code, status.message.as_str()), (2, "the file ends early"));
    assert!(scan.status.as_ref().is_none_or(|s| s.code == 0));
    let events: Vec<&str> = validate.events.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(events, ["error_detected", "exception"]);

    for span in &spans {
        assert!(names::spans().contains(&span.name.as_str()), "{}", span.name);
        let of_events = span.events.iter().flat_map(|e| &e.attributes);
        for kv in span.attributes.iter().chain(of_events) {
            assert!(names::attributes().contains(&kv.key.as_str()), "{} of {}", kv.key, span.name);
        }
        assert!(span.events.iter().all(|e| names::EVENTS.contains(&e.name.as_str())));
    }
    assert_eq!((delivery.spans.written, delivery.spans.lost), (5, 0));
}

#[test]
fn log_lines_say_where_they_happened_and_reach_their_files() {
    let dir = tempfile::tempdir().unwrap();
    observed(&enabled(), &Environment::default(), Some(dir.path()), one_subject);
    let spans = spans_in(dir.path());
    let parse = |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let run: Vec<_> = lines(dir.path(), "run-run-1").iter().map(parse).collect();
    let subject: Vec<_> = lines(dir.path(), "sub-01_ses-pre").iter().map(parse).collect();
    assert_eq!((run.len(), subject.len()), (3, 2), "foreign events are left out, and what is outside stays outside");
    assert_eq!(run[..2], subject[..]);

    let error = &subject[0];
    assert_eq!(error["level"], "ERROR");
    assert_eq!(error["message"], "the file ends early");
    assert_eq!(error["trace_id"], hex(&named(&spans, "validate_data").trace_id));
    assert_eq!(error["span_id"], hex(&named(&spans, "validate_data").span_id));
    assert_eq!((&error["scan_id"], &error["stage"]), (&"sub-01_ses-pre_T1w".into(), &"validate".into()));
    assert_eq!((&error["participant_id"], &error["session_id"]), (&"01".into(), &"pre".into()));
    assert_eq!((&error["error_code"], &error["score"]), (&"NP-TRUNCATED".into(), &"NaN".into()));
    assert_eq!(subject[1]["trace_id"], error["trace_id"], "every line inside a scan carries its trace");
    assert_eq!(subject[1]["duration_seconds"], 0.5);
    assert!(run[2].get("trace_id").is_none());

    let requests =
        lines(dir.path(), "logs-").into_iter().map(|l| serde_json::from_str::<ExportLogsServiceRequest>(&l).unwrap());
    let records: Vec<_> =
        requests.flat_map(|r| r.resource_logs).flat_map(|r| r.scope_logs).flat_map(|s| s.log_records).collect();
    assert_eq!(records.len(), 3);
    assert_eq!(hex(&records[0].trace_id), error["trace_id"]);
    assert!(records[0].time_unix_nano > 0 && records[0].event_name.is_empty());
    assert!(records[0].attributes.iter().any(|kv| kv.key == "scan_id"));
}

#[test]
fn the_callers_trace_is_the_parent_of_a_lone_scan_and_of_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let env = Environment::from([("TRACEPARENT", TRACEPARENT)]);
    observed(&enabled(), &env, Some(dir.path()), |telemetry| {
        let unit = SessionId { participant: "x".into(), session: None };
        let scan = Scan {
            session: &unit,
            id: "x",
            modality: Modality::Bold,
            format: "nifti",
            path: Path::new("x.nii"),
            bytes: 1,
        };
        let scan = spans::scan_span(&scan, Parent::Remote(&telemetry.remote_parent()));
        assert_eq!(spans::trace_id(&scan).as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
        drop(spans::run_span("run-1", "run", &telemetry.remote_parent()));
    });
    for span in spans_in(dir.path()) {
        assert_eq!(hex(&span.trace_id), "0af7651916cd43dd8448eb211c80319c", "{}", span.name);
        assert_eq!(hex(&span.parent_span_id), "b7ad6b7169203331", "{}", span.name);
    }
}

#[test]
fn metrics_files_hold_zeroed_counters_and_known_names() {
    let dir = tempfile::tempdir().unwrap();
    let delivery = observed(&enabled(), &Environment::default(), Some(dir.path()), |_| ());
    let requests = lines(dir.path(), "metrics-")
        .into_iter()
        .map(|l| serde_json::from_str::<ExportMetricsServiceRequest>(&l).unwrap());
    let metrics: Vec<_> =
        requests.flat_map(|r| r.resource_metrics).flat_map(|r| r.scope_metrics).flat_map(|s| s.metrics).collect();
    for metric in &metrics {
        assert!(names::METRICS.iter().any(|m| m.instrument == metric.name && m.unit == metric.unit), "{}", metric.name);
    }
    assert!(
        metrics.iter().any(|m| m.name == "neuro.errors") && metrics.iter().any(|m| m.name == "neuro.scans.processed")
    );
    assert!(delivery.metrics.written > 80);
}

#[test]
fn the_resource_starts_every_line_so_that_files_differ_early() {
    let dir = tempfile::tempdir().unwrap();
    observed(&enabled(), &Environment::default(), Some(dir.path()), one_subject);
    for prefix in ["traces-", "metrics-", "logs-"] {
        let line = lines(dir.path(), prefix).remove(0);
        let place = line.find("service.instance.id").unwrap();
        assert!(place < 200, "{prefix}: {place}");
    }
}

#[test]
fn switched_off_there_are_only_the_log_files() {
    let dir = tempfile::tempdir().unwrap();
    let env = Environment::from([("OTEL_SDK_DISABLED", "true")]);
    let delivery = observed(&enabled(), &env, Some(dir.path()), |telemetry| {
        one_subject(telemetry);
        assert_eq!(telemetry.describe(), "off");
        let span = spans::run_span("run-1", "run", &telemetry.remote_parent());
        assert_eq!(spans::trace_id(&span), None);
    });
    for prefix in ["traces-", "metrics-", "logs-"] {
        assert_eq!(lines(dir.path(), prefix).len(), 0, "{prefix}");
    }
    assert_eq!((lines(dir.path(), "run-").len(), lines(dir.path(), "sub-01_ses-pre").len()), (3, 2));
    assert_eq!(delivery.spans.written, 0);
}

#[test]
fn one_signal_can_be_switched_off() {
    let dir = tempfile::tempdir().unwrap();
    let env = Environment::from([("OTEL_TRACES_EXPORTER", "none")]);
    observed(&enabled(), &env, Some(dir.path()), one_subject);
    assert_eq!(lines(dir.path(), "traces-").len(), 0);
    assert!(!lines(dir.path(), "logs-").is_empty());
}

#[test]
fn an_absent_or_hanging_collector_does_not_hold_up_the_end() {
    // Accepts connections (the kernel does) and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hanging = silent.local_addr().unwrap().port();
    let absent = {
        let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        unused.local_addr().unwrap().port()
    };
    for (port, protocol) in [(absent, "grpc"), (absent, "http/protobuf"), (hanging, "grpc"), (hanging, "http/protobuf")]
    {
        let dir = tempfile::tempdir().unwrap();
        let an_hour = ("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000");
        let env = Environment::from([("OTEL_EXPORTER_OTLP_PROTOCOL", protocol), an_hour]);
        // Where nothing listens it is not waited for, whatever it may be.
        let flush_timeout = (port == absent).then_some(Duration::from_secs(3600));
        let endpoint = Some(format!("http://127.0.0.1:{port}"));
        let config = TelemetryConfig { endpoint, flush_timeout, ..enabled() };
        let (telemetry, dispatch) = telemetry::build(&config, &env, Some(dir.path()), "run-1");
        tracing::dispatcher::with_default(&dispatch, || one_subject(&telemetry));
        let begun = Instant::now();
        let delivery = telemetry.finish();
        // Two seconds are the promise. A request may take an hour: that it is over at all is what can be said without a
        // clock, which a busy machine would make wrong.
        assert!(begun.elapsed() < Duration::from_secs(900), "{protocol}: {:?}", begun.elapsed());
        assert_eq!((delivery.spans.written, delivery.spans.delivered, delivery.spans.lost), (5, 0, 0), "{protocol}");
        assert_eq!(spans_in(dir.path()).len(), 5, "{protocol}: the file has them");
    }
}

#[test]
fn an_output_that_cannot_be_written_costs_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("not-a-folder");
    std::fs::write(&file, "x").unwrap();
    let delivery = observed(&enabled(), &Environment::default(), Some(&file), one_subject);
    assert_eq!(delivery.spans.written, 0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "x");
}

#[test]
fn a_certificate_that_cannot_be_read_leaves_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let env = Environment::from([("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such.pem")]);
    let config = TelemetryConfig { endpoint: Some("https://localhost:4317".into()), ..enabled() };
    let delivery = observed(&config, &env, Some(dir.path()), |telemetry| {
        one_subject(telemetry);
        assert!(!telemetry.describe().contains("OTLP"), "{}", telemetry.describe());
    });
    assert_eq!((delivery.spans.written, delivery.collector), (5, false));
}
