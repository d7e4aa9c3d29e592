//! Tests of the metrics: what a sequence of run events comes out as.
use super::*;
use crate::error::{ErrorClass, ErrorCode};
use crate::vocabulary::{Reason, State};
use opentelemetry::metrics::MeterProvider;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use std::collections::HashMap;
use std::time::Duration;

type Exports = Arc<Mutex<Vec<ExportMetricsServiceRequest>>>;

#[derive(Default)]
struct Memory(Exports);

impl PushMetricExporter for Memory {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.0.lock().unwrap().push(metrics.into());
        Ok(())
    }
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }
    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
    fn temporality(&self) -> Temporality {
        Temporality::Delta
    }
}

/// Every point of the last export: instrument and labels, and its value (a histogram's count).
fn points(exports: &Exports) -> HashMap<String, f64> {
    let last = exports.lock().unwrap().pop().unwrap();
    let mut out = HashMap::new();
    for metric in &last.resource_metrics[0].scope_metrics[0].metrics {
        let numbers = match metric.data.as_ref().unwrap() {
            Data::Gauge(d) => &d.data_points,
            Data::Sum(d) => &d.data_points,
            Data::Histogram(d) => {
                for p in &d.data_points {
                    out.insert(name(&metric.name, &p.attributes), p.count as f64);
                }
                continue;
            }
            other => panic!("{other:?}"),
        };
        for p in numbers {
            let value = match p.value.unwrap() {
                Value::AsDouble(v) => v,
                Value::AsInt(v) => v as f64,
            };
            out.insert(name(&metric.name, &p.attributes), value);
        }
    }
    out
}

fn name(metric: &str, attributes: &[opentelemetry_proto::tonic::common::v1::KeyValue]) -> String {
    let mut labels: Vec<_> = attributes
        .iter()
        .map(|kv| match kv.value.as_ref().unwrap().value.as_ref().unwrap() {
            opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue(s) => format!("{}={s}", kv.key),
            other => panic!("{other:?}"),
        })
        .collect();
    labels.sort();
    format!("{metric}{{{}}}", labels.join(","))
}

fn setup() -> (Metrics, SdkMeterProvider, Exports) {
    setup_with(PerSubject::default())
}

fn setup_with(per_subject: PerSubject) -> (Metrics, SdkMeterProvider, Exports) {
    let exporter = Memory::default();
    let exports = Arc::clone(&exporter.0);
    let reader = PeriodicReader::builder(exporter).with_interval(Duration::from_secs(3600)).build();
    let provider = SdkMeterProvider::builder().with_reader(reader).with_view(view).build();
    (Metrics::new(&provider.meter("test"), &Arc::default(), per_subject), provider, exports)
}

fn unit(participant: &str) -> SessionId {
    SessionId { participant: participant.to_owned(), session: Some("1".to_owned()) }
}

fn finished(unit: &SessionId, scan_id: &str, status: Status, last_stage: Stage) -> RunEvent {
    RunEvent::ScanFinished {
        session: unit.clone(),
        scan_id: scan_id.to_owned(),
        modality: Modality::T1w,
        status,
        last_stage,
        seconds: 3.0,
        output_mb: Some(12.0),
        quality_score: Some(f64::NAN),
        message: None,
    }
}

#[test]
fn counters_start_at_zero_and_names_are_those_of_the_table() {
    let (_metrics, provider, exports) = setup();
    provider.force_flush().unwrap();
    let points = points(&exports);
    assert_eq!(points["neuro.scans.processed{modality=bold,stage=load,status=failed}"], 0.0);
    assert_eq!(points["neuro.scans.processed{modality=T1w,stage=save,status=success}"], 0.0);
    assert_eq!(points["neuro.errors{error_type=io,stage=save}"], 0.0);
    assert_eq!(points["neuro.telemetry.dropped{signal=traces}"], 0.0);
    assert_eq!(
        points.keys().filter(|k| k.starts_with("neuro.errors")).count(),
        Stage::ALL.len() * ErrorClass::ALL.len()
    );
    assert!(points["neuro.process.memory{}"] > 0.0);
    for key in points.keys() {
        assert!(names::METRICS.iter().any(|m| key.starts_with(m.instrument)), "{key}");
    }
}

#[test]
fn each_scan_counts_once_where_it_ended() {
    let (metrics, provider, exports) = setup();
    provider.force_flush().unwrap();
    let a = unit("01");
    metrics.on_event(&RunEvent::RunStarted { run_id: "r".into(), units: 3, scans: 3, threads: 1 });
    metrics.on_event(&RunEvent::SessionStarted { session: a.clone(), why: State::ToDo(Reason::NeverDone) });
    for id in ["x", "y"] {
        let (unit, scan_id) = (a.clone(), id.to_owned());
        metrics.on_event(&RunEvent::ScanStarted {
            session: unit,
            scan_id,
            modality: Modality::T1w,
            format: "nifti",
            size_mb: 20.0,
        });
    }
    for stage in [Stage::Validate, Stage::Load] {
        let error = Some(ErrorCode::Truncated);
        metrics.on_event(&RunEvent::StageFinished {
            scan_id: "x".into(),
            modality: Modality::T1w,
            stage,
            seconds: 0.3,
            error,
        });
    }
    metrics.on_event(&finished(&a, "x", Status::Failed(ErrorCode::Truncated), Stage::Validate));
    metrics.on_event(&finished(&a, "y", Status::Success, Stage::Save));
    metrics.on_event(&finished(&a, "never-begun", Status::Skipped, Stage::Load));
    metrics.on_event(&RunEvent::SessionFinished {
        session: a,
        status: Status::Success,
        seconds: 6.5,
        quality_score: Some(80.0),
    });
    provider.force_flush().unwrap();
    let points = points(&exports);
    assert_eq!(points["neuro.scans.processed{modality=T1w,stage=load,status=failed}"], 1.0);
    assert_eq!(points["neuro.scans.processed{modality=T1w,stage=save,status=success}"], 1.0);
    assert_eq!(points["neuro.errors{error_type=validation,stage=validate}"], 1.0);
    assert_eq!(points.iter().filter(|(k, v)| k.starts_with("neuro.errors") && **v > 0.0).count(), 1);
    assert_eq!(points["neuro.stage.duration{modality=T1w,stage=validate}"], 1.0);
    assert_eq!(points["neuro.processing.duration{modality=T1w,status=failed}"], 1.0);
    assert_eq!(points["neuro.scan.size_mb{format=nifti}"], 2.0);
    assert_eq!(points["neuro.active_pipelines{}"], 0.0);
    assert_eq!(points["neuro.queue_depth{}"], 2.0);
    assert_eq!(points["neuro.subject.duration{participant_id=01,session_id=1,status=success}"], 6.5);
    assert!(!points.keys().any(|k| k.starts_with("neuro.quality_score")), "a NaN score is no score");

    metrics.on_event(&RunEvent::RunFinished { seconds: 9.0 });
    provider.force_flush().unwrap();
    assert_eq!(self::points(&exports)["neuro.queue_depth{}"], 0.0);
}

#[test]
fn ten_thousand_subjects_keep_their_own_gauges() {
    let (metrics, provider, exports) = setup();
    for i in 0..10_500 {
        let unit = unit(&format!("{i:05}"));
        metrics.on_event(&RunEvent::SessionFinished {
            session: unit,
            status: Status::Success,
            seconds: f64::from(i),
            quality_score: None,
        });
    }
    provider.force_flush().unwrap();
    let points = points(&exports);
    assert_eq!(points["neuro.subject.duration{participant_id=10499,session_id=1,status=success}"], 10_499.0);
    assert_eq!(points.keys().filter(|k| k.starts_with("neuro.subject.duration")).count(), 10_500);
}

#[test]
fn subjects_can_be_left_out_or_hidden() {
    let ended = || RunEvent::SessionFinished {
        session: unit("01"),
        status: Status::Success,
        seconds: 1.0,
        quality_score: Some(50.0),
    };
    let (metrics, provider, exports) = setup_with(PerSubject { off: true, pseudonyms: None });
    metrics.on_event(&ended());
    provider.force_flush().unwrap();
    assert!(!points(&exports).keys().any(|k| k.starts_with("neuro.subject")));

    let key = crate::telemetry::config::PseudonymKey::new(b"0123456789abcdef").unwrap();
    let pseudonyms = Arc::new(Pseudonyms::new(&key));
    let id = pseudonyms.of(Personal::Participant, "01");
    let (metrics, provider, exports) = setup_with(PerSubject { off: false, pseudonyms: Some(pseudonyms) });
    metrics.on_event(&ended());
    provider.force_flush().unwrap();
    let points = points(&exports);
    let gauges: Vec<_> = points.keys().filter(|k| k.starts_with("neuro.subject")).collect();
    assert_eq!(gauges.len(), 2);
    assert!(gauges.iter().all(|k| k.contains(&format!("participant_id={id},")) && !k.contains("session_id=1,")));
}

#[test]
fn proc_files_are_read_as_the_kernel_writes_them() {
    assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2_097_152));
    assert_eq!(resident_bytes(""), None);
    let stat = "12 (a b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0";
    assert_eq!(cpu_seconds(stat), Some(3.0));
    assert_eq!(cpu_seconds("12 (x"), None);
}

#[test]
fn temporality_follows_the_variable() {
    let of = |v: &str| temporality(&Environment::from([("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", v)]));
    assert_eq!(of("Cumulative"), Temporality::Cumulative);
    assert_eq!(of(""), Temporality::Delta);
    assert_eq!(of("nonsense"), Temporality::Delta);
}
