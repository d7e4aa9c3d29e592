//! Metrics: run events in, counters, histograms and gauges out.
//!
//! Delta temporality by default: a job array is many short processes, and their counts add up exactly only as deltas
//! (cumulative series of dead processes would have to be summed over a per-process label).

use super::cost::Cost;
use super::env::Environment;
use super::names::{self, Kind, Metric};
use super::pseudonym::{Personal, Pseudonyms};
use super::stats::{Signal, Stats};
use crate::bids::Modality;
use crate::error::ErrorClass;
use crate::vocabulary::{EventSink, RunEvent, SessionId, Stage, Status};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, UpDownCounter};
use opentelemetry_sdk::metrics::{Aggregation, Instrument, Stream, Temporality};
use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// Attribute sets kept per gauge of subjects: 10,000 subjects with two sessions and room. The SDK's own limit is 2000.
const MAX_SUBJECT_SETS: usize = 40_000;

/// How sums are exported: `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`, or delta.
#[must_use]
pub fn temporality(env: &Environment) -> Temporality {
    match env.get("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE").map(str::to_ascii_lowercase).as_deref() {
        Some("cumulative") => Temporality::Cumulative,
        Some("lowmemory") => Temporality::LowMemory,
        _ => Temporality::Delta,
    }
}

/// The view of an instrument: its buckets, and room for a large study.
pub fn view(instrument: &Instrument) -> Option<Stream> {
    let metric = names::METRICS.iter().find(|m| m.instrument == instrument.name())?;
    let stream = Stream::builder();
    let stream = match metric.kind {
        Kind::Histogram => stream.with_aggregation(Aggregation::ExplicitBucketHistogram {
            boundaries: metric.buckets.to_vec(),
            record_min_max: true,
        }),
        Kind::Gauge if metric.labels.contains(&names::PARTICIPANT_ID) => {
            stream.with_cardinality_limit(MAX_SUBJECT_SETS)
        }
        _ => return None,
    };
    stream.build().ok()
}

/// The gauges of participant-sessions.
struct Subjects {
    duration: Gauge<f64>,
    quality: Gauge<f64>,
    pseudonyms: Option<Arc<Pseudonyms>>,
}

impl Subjects {
    fn unit_ended(&self, unit: &SessionId, status: Status, seconds: f64, quality: Option<f64>) {
        let named = |what, label: &str| match &self.pseudonyms {
            Some(pseudonyms) => pseudonyms.of(what, label),
            None => label.to_owned(),
        };
        let mut labels = vec![KeyValue::new(names::PARTICIPANT_ID, named(Personal::Participant, &unit.participant))];
        let session = unit.session.as_deref().map(|s| named(Personal::Session, s));
        labels.extend(session.map(|s| KeyValue::new(names::SESSION_ID, s)));
        labels.push(label(names::LABEL_STATUS, status.as_str()));
        self.duration.record(seconds, &labels);
        if let Some(score) = quality.filter(|q| q.is_finite()) {
            self.quality.record(score, &labels);
        }
    }
}

/// What of participants becomes a metric.
#[derive(Clone, Debug, Default)]
pub struct PerSubject {
    /// `--no-subject-metrics`: nothing.
    pub off: bool,
    /// Under which names.
    pub pseudonyms: Option<Arc<Pseudonyms>>,
}

/// The instruments, fed by [`RunEvent`]s.
pub struct Metrics {
    scans: Counter<u64>,
    errors: Counter<u64>,
    stage_duration: Histogram<f64>,
    processing_duration: Histogram<f64>,
    scan_size: Histogram<f64>,
    output_size: Histogram<f64>,
    quality: Histogram<f64>,
    active: UpDownCounter<i64>,
    queue: UpDownCounter<i64>,
    threads: Gauge<f64>,
    /// Gauges of each participant-session, unless they were not wanted.
    subjects: Option<Subjects>,
    /// Scans begun and not ended, so that a scan skipped before it began does not count down.
    running: Mutex<HashSet<String>>,
    /// Units still waiting, to be taken off at the end when a run stops early.
    waiting: AtomicI64,
}

impl Metrics {
    /// Makes the instruments, starts every counter at 0 for every label set that can occur, and begins to observe the
    /// process and the telemetry's own `stats`.
    #[must_use]
    pub fn new(meter: &Meter, stats: &Arc<Stats>, per_subject: PerSubject) -> Self {
        observe_process(meter);
        observe_telemetry(meter, stats);
        let histogram =
            |m: &Metric| meter.f64_histogram(m.instrument).with_unit(m.unit).with_description(m.description).build();
        let counter =
            |m: &Metric| meter.u64_counter(m.instrument).with_unit(m.unit).with_description(m.description).build();
        let level = |m: &Metric| {
            meter.i64_up_down_counter(m.instrument).with_unit(m.unit).with_description(m.description).build()
        };
        let gauge =
            |m: &Metric| meter.f64_gauge(m.instrument).with_unit(m.unit).with_description(m.description).build();
        let metrics = Self {
            scans: counter(&names::SCANS_PROCESSED),
            errors: counter(&names::ERRORS),
            stage_duration: histogram(&names::STAGE_DURATION),
            processing_duration: histogram(&names::PROCESSING_DURATION),
            scan_size: histogram(&names::SCAN_SIZE),
            output_size: histogram(&names::OUTPUT_SIZE),
            quality: histogram(&names::QUALITY_SCORE),
            active: level(&names::ACTIVE_PIPELINES),
            queue: level(&names::QUEUE_DEPTH),
            threads: gauge(&names::RUN_THREADS),
            subjects: (!per_subject.off).then(|| Subjects {
                duration: gauge(&names::SUBJECT_DURATION),
                quality: gauge(&names::SUBJECT_QUALITY_SCORE),
                pseudonyms: per_subject.pseudonyms,
            }),
            running: Mutex::default(),
            waiting: AtomicI64::new(0),
        };
        metrics.start_at_zero();
        metrics
    }

    /// A counter that first appears as 1 shows no increase: alerts on `rate()` would miss the first failure.
    fn start_at_zero(&self) {
        for modality in Modality::ALL {
            self.scans.add(0, &scan_labels("success", Stage::Save, modality));
            for phase in Stage::PHASES {
                self.scans.add(0, &scan_labels("failed", phase, modality));
            }
        }
        for &stage in Stage::ALL {
            for class in ErrorClass::ALL {
                self.errors.add(0, &error_labels(stage, class));
            }
        }
        self.active.add(0, &[]);
        self.queue.add(0, &[]);
    }

    fn scan_ended(&self, modality: Modality, status: Status, last_stage: Stage, seconds: f64) {
        if status == Status::Skipped {
            return; // nothing was processed
        }
        self.scans.add(1, &scan_labels(status.as_str(), last_stage.phase(), modality));
        self.processing_duration.record(
            seconds,
            &[label(names::LABEL_MODALITY, modality.as_str()), label(names::LABEL_STATUS, status.as_str())],
        );
        if let Status::Failed(code) = status {
            self.errors.add(1, &error_labels(last_stage, code.class()));
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stages cost, as metrics. A layer of the subscriber, so that a span finds it; without a meter it says only that costs
/// are to be measured.
pub struct Costs(Option<CostInstruments>);

struct CostInstruments {
    cpu: Counter<f64>,
    io: Counter<u64>,
    peak: Histogram<f64>,
}

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Costs {}

impl Costs {
    /// Makes the instruments, and starts the counters at 0 for every stage.
    #[must_use]
    pub fn new(meter: Option<&Meter>) -> Self {
        let instruments = meter.map(|meter| {
            let (cpu, io, peak) = (names::STAGE_CPU, names::STAGE_IO, names::STAGE_PEAK_MEMORY);
            CostInstruments {
                cpu: meter.f64_counter(cpu.instrument).with_unit(cpu.unit).with_description(cpu.description).build(),
                io: meter.u64_counter(io.instrument).with_unit(io.unit).with_description(io.description).build(),
                peak: meter
                    .f64_histogram(peak.instrument)
                    .with_unit(peak.unit)
                    .with_description(peak.description)
                    .build(),
            }
        });
        let costs = Self(instruments);
        for stage in Stage::ALL {
            for modality in Modality::ALL.into_iter().filter(|m| stage.applies_to(*m)) {
                costs.count(*stage, modality, 0.0, [0, 0]);
            }
        }
        costs
    }

    /// Adds what one stage of one scan cost.
    pub fn add(&self, stage: Stage, modality: Modality, cost: &Cost) {
        self.count(stage, modality, cost.cpu_seconds, [cost.read, cost.written]);
        if let Some(instruments) = &self.0 {
            #[expect(clippy::cast_precision_loss, reason = "memory is far below 2^52 bytes")]
            instruments.peak.record(cost.peak_memory as f64, &stage_labels(stage, modality));
        }
    }

    fn count(&self, stage: Stage, modality: Modality, cpu_seconds: f64, bytes: [u64; 2]) {
        let Some(instruments) = &self.0 else { return };
        let labels = stage_labels(stage, modality);
        instruments.cpu.add(cpu_seconds, &labels);
        for (direction, bytes) in ["read", "write"].into_iter().zip(bytes) {
            let [stage, modality] = labels.clone();
            instruments.io.add(bytes, &[stage, modality, label(names::LABEL_DIRECTION, direction)]);
        }
    }
}

impl EventSink for Metrics {
    fn on_event(&self, event: &RunEvent) {
        match event {
            RunEvent::RunStarted { units, run_id, threads, .. } => {
                #[expect(clippy::cast_precision_loss, reason = "a number of threads")]
                self.threads.record(*threads as f64, &[KeyValue::new(names::LABEL_RUN_ID, run_id.clone())]);
                let units = i64::try_from(*units).unwrap_or(i64::MAX);
                self.waiting.fetch_add(units, Relaxed);
                self.queue.add(units, &[]);
            }
            RunEvent::SessionStarted { .. } => {
                self.waiting.fetch_sub(1, Relaxed);
                self.queue.add(-1, &[]);
            }
            RunEvent::ScanStarted { scan_id, format, size_mb, .. } => {
                self.scan_size.record(*size_mb, &[label(names::LABEL_FORMAT, format)]);
                if self.running().insert(scan_id.clone()) {
                    self.active.add(1, &[]);
                }
            }
            RunEvent::StageStarted { .. } => {}
            RunEvent::StageFinished { modality, stage, seconds, .. } => {
                self.stage_duration.record(*seconds, &stage_labels(*stage, *modality));
            }
            RunEvent::ScanFinished {
                scan_id, modality, status, last_stage, seconds, output_mb, quality_score, ..
            } => {
                if self.running().remove(scan_id) {
                    self.active.add(-1, &[]);
                }
                self.scan_ended(*modality, *status, *last_stage, *seconds);
                if let Some(mb) = output_mb {
                    self.output_size.record(*mb, &[]);
                }
                if let Some(score) = quality_score.filter(|q| q.is_finite()) {
                    self.quality.record(score, &[label(names::LABEL_MODALITY, modality.as_str())]);
                }
            }
            RunEvent::SessionFinished { session: unit, status, seconds, quality_score } => {
                // What was skipped took no time.
                if let Some(subjects) = self.subjects.as_ref().filter(|_| *status != Status::Skipped) {
                    subjects.unit_ended(unit, *status, *seconds, *quality_score);
                }
            }
            RunEvent::RunFinished { .. } => self.queue.add(-self.waiting.swap(0, Relaxed), &[]),
        }
    }
}

fn label(key: &'static str, value: &'static str) -> KeyValue {
    KeyValue::new(key, value)
}

fn stage_labels(stage: Stage, modality: Modality) -> [KeyValue; 2] {
    [label(names::LABEL_STAGE, stage.as_str()), label(names::LABEL_MODALITY, modality.as_str())]
}

fn scan_labels(status: &'static str, phase: Stage, modality: Modality) -> [KeyValue; 3] {
    [
        label(names::LABEL_STATUS, status),
        label(names::LABEL_STAGE, phase.as_str()),
        label(names::LABEL_MODALITY, modality.as_str()),
    ]
}

fn error_labels(stage: Stage, class: ErrorClass) -> [KeyValue; 2] {
    [label(names::LABEL_STAGE, stage.as_str()), label(names::LABEL_ERROR_TYPE, class.as_str())]
}

/// Resident memory from `/proc/self/status`, CPU time from `/proc/self/stat`; nothing where there is no `/proc`.
fn observe_process(meter: &Meter) {
    let m = names::PROCESS_MEMORY;
    let memory = meter.u64_observable_gauge(m.instrument).with_unit(m.unit).with_description(m.description);
    memory
        .with_callback(|observer| {
            let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
            if let Some(bytes) = resident_bytes(&status) {
                observer.observe(bytes, &[]);
            }
        })
        .build();
    let m = names::PROCESS_CPU;
    let cpu = meter.f64_observable_counter(m.instrument).with_unit(m.unit).with_description(m.description);
    cpu.with_callback(|observer| {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        if let Some(seconds) = cpu_seconds(&stat) {
            observer.observe(seconds, &[]);
        }
    })
    .build();
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Fields 14 and 15 (user and system time) in ticks, which Linux fixes at 100 a second for user space. The second field,
/// the program's name, may hold blanks and ends at the last parenthesis.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / 100.0)
}

fn observe_telemetry(meter: &Meter, stats: &Arc<Stats>) {
    let per_signal = |signal: Signal| [label(names::LABEL_SIGNAL, signal.as_str())];
    let (m, dropped) = (names::TELEMETRY_DROPPED, Arc::clone(stats));
    let counter = meter.u64_observable_counter(m.instrument).with_unit(m.unit).with_description(m.description);
    counter
        .with_callback(move |observer| {
            Signal::ALL.into_iter().for_each(|s| observer.observe(dropped.of(s).dropped(), &per_signal(s)));
        })
        .build();
    let gauge =
        |m: names::Metric| meter.u64_observable_gauge(m.instrument).with_unit(m.unit).with_description(m.description);
    let spooled = Arc::clone(stats);
    gauge(names::TELEMETRY_SPOOLED)
        .with_callback(move |observer| {
            Signal::ALL.into_iter().for_each(|s| observer.observe(spooled.of(s).bytes.load(Relaxed), &per_signal(s)));
        })
        .build();
    let waiting = Arc::clone(stats);
    gauge(names::TELEMETRY_WAITING)
        .with_callback(move |observer| {
            Signal::ALL.into_iter().for_each(|s| observer.observe(waiting.of(s).waiting(), &per_signal(s)));
        })
        .build();
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
