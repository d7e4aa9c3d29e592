//! Tests of the file exporter's traps: nulls, oversized lines, full disks, look-alike files.
use super::*;
use crate::telemetry::stats::Signal;
use opentelemetry_proto::tonic::metrics::v1::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1;
use proptest::prelude::*;
use std::path::Path;

fn place(dir: &Path) -> SpoolFile {
    SpoolFile { dir: dir.into(), signal: Signal::Metrics, stem: new_stem(), segment: 0 }
}

fn spool(dir: &Path) -> Spool {
    Spool::create(place(dir), Arc::default()).unwrap()
}

fn lines(dir: &Path) -> Vec<String> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        out.extend(text.lines().map(str::to_owned));
    }
    out
}

#[test]
fn nulls_never_reach_a_line() {
    let message =
        serde_json::json!({"a": [{"value": {"doubleValue": null}}, {"min": null, "sum": 1.0}], "t": "x:null"});
    let line = String::from_utf8(canonical_json(&message).unwrap()).unwrap();
    assert_eq!(line, r#"{"a":[{"value":{"stringValue":"NaN"}},{"sum":1.0}],"t":"x:null"}"#);
}

/// Any message as the SDK makes them, with a `null` where a number was not finite.
fn messages() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let key = prop_oneof![Just("doubleValue".to_owned()), "[a-z:,]{0,6}"];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(key, inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn has_null_member(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.values().any(|v| v.is_null() || has_null_member(v)),
        Value::Array(items) => items.iter().any(has_null_member),
        _ => false,
    }
}

fn nothing_but_nulls_is_lost(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => before.iter().all(|(key, value)| match after.get(key) {
            Some(kept) => nothing_but_nulls_is_lost(value, kept),
            None => value.is_null(),
        }),
        (Value::Array(before), Value::Array(after)) => {
            before.len() == after.len() && before.iter().zip(after).all(|(b, a)| nothing_but_nulls_is_lost(b, a))
        }
        _ => before == after,
    }
}

proptest! {
    #[test]
    fn any_line_is_read_as_written_without_its_nulls(message in messages()) {
        let line = canonical_json(&message).unwrap();
        prop_assert!(!line.contains(&b'\n'));
        let read: Value = serde_json::from_slice(&line).unwrap();
        prop_assert!(!has_null_member(&read), "{}", read);
        // A value beside the null double is what the null double became.
        if !message.to_string().contains("doubleValue") {
            prop_assert!(nothing_but_nulls_is_lost(&message, &read), "{} became {}", message, read);
        }
    }

    #[test]
    fn however_metrics_are_split_every_point_is_written_once(sizes in proptest::collection::vec(0_usize..3000, 1..6)) {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(dir.path());
        let mut number = 0;
        let mut metric = |size: &usize| {
            let points = (0..*size).map(|_| {
                number += 1;
                NumberDataPoint { time_unix_nano: number, ..Default::default() }
            });
            Metric { data: Some(Data::Gauge(Gauge { data_points: points.collect() })), ..Default::default() }
        };
        let scopes = sizes.chunks(2).map(|part| ScopeMetrics { metrics: part.iter().map(&mut metric).collect(), ..Default::default() });
        let resource = ResourceMetrics { scope_metrics: scopes.collect(), ..Default::default() };
        put_metrics(&spool, ExportMetricsServiceRequest { resource_metrics: vec![resource] }).unwrap();
        let mut seen: Vec<u64> = Vec::new();
        for line in lines(dir.path()) {
            let read: ExportMetricsServiceRequest = serde_json::from_str(&line).unwrap();
            prop_assert!(count_points(&read) <= MAX_POINTS);
            let metrics = read.resource_metrics.iter().flat_map(|r| &r.scope_metrics).flat_map(|s| &s.metrics);
            seen.extend(metrics.flat_map(|m| match &m.data {
                Some(Data::Gauge(gauge)) => gauge.data_points.iter().map(|p| p.time_unix_nano).collect(),
                _ => Vec::new(),
            }));
        }
        seen.sort_unstable();
        prop_assert_eq!(seen, (1..=sizes.iter().sum::<usize>() as u64).collect::<Vec<_>>());
    }
}

#[test]
fn thousands_of_gauges_are_split_into_lines_the_collector_reads() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    let points = (0..20_001u64).map(|i| NumberDataPoint { time_unix_nano: i, ..Default::default() });
    let metric = Metric {
        name: "neuro.subject.duration".into(),
        data: Some(Data::Gauge(Gauge { data_points: points.collect() })),
        ..Default::default()
    };
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(v1::Resource::default()),
            scope_metrics: vec![ScopeMetrics { metrics: vec![metric.clone(), metric], ..Default::default() }],
            ..Default::default()
        }],
    };
    put_metrics(&spool, request).unwrap();
    let mut seen = 0;
    for line in lines(dir.path()) {
        assert!(line.len() < MAX_LINE);
        let parsed: ExportMetricsServiceRequest = serde_json::from_str(&line).unwrap();
        assert!(parsed.resource_metrics[0].resource.is_some());
        seen += count_points(&parsed);
    }
    assert_eq!(seen, 40_002);
    assert_eq!(spool.stats.of(Signal::Metrics).written.load(Relaxed), 40_002);
}

#[test]
fn a_line_too_long_is_counted_and_leaves_the_file_whole() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path());
    assert!(spool.put(&"x".repeat(MAX_LINE), 3).is_err());
    spool.put(&"fine", 1).unwrap();
    assert_eq!(lines(dir.path()), ["\"fine\""]);
    assert_eq!(spool.stats.of(Signal::Metrics).dropped(), 3);
}

#[test]
fn a_full_disk_is_counted_and_does_not_stop_the_run() {
    // /dev/full takes every open and refuses every write, as a full disk does.
    let Ok(file) = OpenOptions::new().append(true).open("/dev/full") else {
        eprintln!("skipped: no /dev/full here");
        return;
    };
    let place = SpoolFile { signal: Signal::Traces, ..place(Path::new("/dev")) };
    let spool = Spool { state: Mutex::new(State { place, file, length: 0 }), stats: Arc::default() };
    assert!(spool.put(&"x", 2).is_err());
    assert_eq!(spool.stats.of(Signal::Traces).dropped(), 2);
    assert_eq!(spool.stats.of(Signal::Traces).written.load(Relaxed), 0);
}

#[test]
fn the_instance_comes_first() {
    let key = |k: &str| KeyValue { key: k.into(), ..Default::default() };
    let mut attributes = vec![key("a"), key("z"), key(names::SERVICE_INSTANCE_ID), key("b")];
    sort_attributes(&mut attributes);
    let keys: Vec<_> = attributes.iter().map(|kv| kv.key.as_str()).collect();
    assert_eq!(keys, [names::SERVICE_INSTANCE_ID, "a", "b", "z"]);
}

#[test]
fn a_full_file_is_followed_by_one_that_begins_differently() {
    let dir = tempfile::tempdir().unwrap();
    let first = place(dir.path());
    let spool = Spool::create(first.clone(), Arc::default()).unwrap();
    let message = ExportMetricsServiceRequest { resource_metrics: vec![ResourceMetrics::default()] };
    spool.put(&message, 1).unwrap();
    spool.state.lock().unwrap().length = MAX_FILE;
    spool.put(&message, 1).unwrap();
    spool.put(&message, 1).unwrap();
    let text = |file: &SpoolFile| std::fs::read_to_string(file.path()).unwrap();
    let (one, two) = (text(&first), text(&first.next()));
    assert_eq!((one.lines().count(), two.lines().count()), (1, 2));
    assert!(two.starts_with(&format!("{{\"xSpool\":\"{}\",", first.next().name())), "{two}");
    assert_eq!(two.lines().nth(1), one.lines().next(), "only the first line is marked");
    let read: ExportMetricsServiceRequest = serde_json::from_str(two.lines().next().unwrap()).unwrap();
    assert_eq!(read, message);
}
