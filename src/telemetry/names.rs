//! Every name this program gives to the outside: spans, attributes, events, metrics, labels, log fields, resource.
//!
//! Dashboards and alerts are built on these. `docs/telemetry.md` is their public copy; `tests/offline/telemetry_docs.rs` fails
//! when the two differ, and `tests/offline/telemetry.rs` when something is emitted that is not in these tables.

use crate::vocabulary::{STAGE_SPANS, Stage};

/// Name of the instrumentation scope, the service and the target of the log events.
pub const SERVICE: &str = "neuro-preprocess";

/// Root span of one participant and session.
pub const PREPROCESS_SUBJECT: &str = "preprocess_subject";
/// Span of one scan.
pub const PREPROCESS_SCAN: &str = "preprocess_scan";
/// Short span of a whole run; every subject's root is linked to it.
pub const PREPROCESS_RUN: &str = "preprocess_run";

/// Handing a run over to a batch system; the runs of the tasks are below it.
pub const SUBMIT_JOBS: &str = "submit_jobs";

/// The spans that are no stage's; those of stages are in [`STAGE_SPANS`].
pub const SPANS: &[&str] = &[SUBMIT_JOBS, PREPROCESS_RUN, PREPROCESS_SUBJECT, PREPROCESS_SCAN];

/// Every span name, those of stages after the others.
#[must_use]
pub fn spans() -> Vec<&'static str> {
    [SPANS, STAGE_SPANS].concat()
}

/// Every attribute of spans and of their events, each once.
#[must_use]
pub fn attributes() -> Vec<&'static str> {
    let of_stages = Stage::ALL.iter().flat_map(|stage| stage.attributes()).map(|(key, _)| *key);
    let mut all = ATTRIBUTES.to_vec();
    of_stages.for_each(|key| {
        if !all.contains(&key) {
            all.push(key);
        }
    });
    all
}

/// Declares the constants of one table, and the table itself.
macro_rules! table {
    ($(#[$doc:meta])* $table:ident: $($name:ident = $text:literal;)*) => {
        $(#[doc = concat!("`", $text, "`, see `docs/telemetry.md`.")] pub const $name: &str = $text;)*
        $(#[$doc])* pub const $table: &[&str] = &[$($name,)*];
    };
}

table! {
    /// The attributes of spans and events that no stage sets by itself; those of stages are in the table of stages.
    ATTRIBUTES:
    PARTICIPANT_ID = "participant_id";
    SESSION_ID = "session_id";
    RUN_ID = "run.id";
    RUN_COMMAND = "run.command";
    RUN_UNITS = "run.units";
    RUN_SCANS = "run.scans";
    RUN_SUCCEEDED = "run.succeeded";
    RUN_FAILED = "run.failed";
    RUN_SKIPPED = "run.skipped";
    UNIT_REASON = "unit.reason";
    SCAN_ID = "scan.id";
    SCAN_FORMAT = "scan.format";
    SCAN_SIZE_MB = "scan.size_mb";
    FILE_PATH = "file.path";
    FILE_NAME = "file.name";
    FILE_SIZE = "file.size";
    MODALITY = "modality";
    STAGE = "stage";
    PIPELINE_STATUS = "pipeline.status";
    PIPELINE_DURATION = "pipeline.duration";
    PROCESSING_STEPS = "processing.steps";
    COST_CPU_SECONDS = "cost.cpu_seconds";
    COST_PEAK_MEMORY = "cost.peak_memory_bytes";
    COST_READ = "cost.read_bytes";
    COST_WRITTEN = "cost.written_bytes";
    COST_THREADS = "cost.threads";
    ERROR_TYPE = "error.type";
    ERROR_CODE = "error.code";
    EXCEPTION_TYPE = "exception.type";
    EXCEPTION_MESSAGE = "exception.message";
}

table! {
    /// Every span event.
    EVENTS:
    VALIDATION_PASSED = "validation_passed";
    ERROR_DETECTED = "error_detected";
    QUALITY_CHECK_COMPLETED = "quality_check_completed";
    EXCEPTION = "exception";
}

table! {
    /// The fields of a JSON log line that this module writes. An event's own fields follow them.
    LOG_FIELDS:
    LOG_TIMESTAMP = "timestamp";
    LOG_LEVEL = "level";
    LOG_MESSAGE = "message";
    LOG_TRACE_ID = "trace_id";
    LOG_SPAN_ID = "span_id";
    LOG_SCAN_ID = "scan_id";
    LOG_PARTICIPANT_ID = "participant_id";
    LOG_SESSION_ID = "session_id";
    LOG_STAGE = "stage";
    LOG_MODALITY = "modality";
}

table! {
    /// The fields that log events carry of their own, besides [`LOG_FIELDS`].
    LOG_EVENT_FIELDS:
    LOG_DURATION_SECONDS = "duration_seconds";
    LOG_QUALITY_SCORE = "quality_score";
    LOG_ERROR_TYPE = "error_type";
    LOG_ERROR_CODE = "error_code";
    LOG_ATTRIBUTE = "attribute";
    LOG_VALUE = "value";
    LOG_SECONDS = "seconds";
    LOG_UNITS = "units";
    LOG_SCANS = "scans";
    LOG_THREADS = "threads";
    LOG_REASON = "reason";
}

table! {
    /// Every resource attribute this program sets. `OTEL_RESOURCE_ATTRIBUTES` may add any other.
    RESOURCE:
    SERVICE_NAME = "service.name";
    SERVICE_VERSION = "service.version";
    SERVICE_INSTANCE_ID = "service.instance.id";
    TELEMETRY_SDK_NAME = "telemetry.sdk.name";
    TELEMETRY_SDK_LANGUAGE = "telemetry.sdk.language";
    TELEMETRY_SDK_VERSION = "telemetry.sdk.version";
    RESOURCE_RUN_ID = "neuro.run.id";
    HOST_NAME = "host.name";
    HOST_ARCH = "host.arch";
    OS_TYPE = "os.type";
    PROCESS_PID = "process.pid";
    PROCESS_COMMAND_ARGS = "process.command_args";
    USER_NAME = "user.name";
    VCS_REVISION = "vcs.ref.head.revision";
    CONTAINER_ID = "container.id";
    CONTAINER_RUNTIME_NAME = "container.runtime.name";
    CONTAINER_IMAGE_NAME = "container.image.name";
    SLURM_JOB_ID = "slurm.job.id";
    SLURM_ARRAY_JOB_ID = "slurm.array.job.id";
    SLURM_ARRAY_TASK_ID = "slurm.array.task.id";
    SLURM_NODE = "slurm.node";
    NIPOPPY_PROCESS_PID = "nipoppy.process.pid";
    BOUTIQUES_PROCESS_PID = "boutiques.process.pid";
}

/// What begins the key of an attribute made from a baggage member of the caller; the member's name follows.
pub const BAGGAGE_PREFIX: &str = "baggage.";

/// What an instrument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Grows and shrinks.
    UpDownCounter,
    /// Counts values in buckets.
    Histogram,
    /// The last value.
    Gauge,
}

impl Kind {
    /// The word used in the documentation.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::UpDownCounter => "up/down",
            Self::Histogram => "histogram",
            Self::Gauge => "gauge",
        }
    }
}

/// One metric: what the SDK calls it, and what Prometheus makes of that.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Instrument name in OTLP.
    pub instrument: &'static str,
    /// Unit in OTLP (UCUM; an annotation in braces adds nothing to the Prometheus name).
    pub unit: &'static str,
    /// Name in Prometheus, see [`Metric::prometheus`].
    pub exported: &'static str,
    /// Kind of instrument.
    pub kind: Kind,
    /// Attribute keys, which become labels.
    pub labels: &'static [&'static str],
    /// Upper bounds of the buckets of a histogram.
    pub buckets: &'static [f64],
    /// One sentence.
    pub description: &'static str,
}

/// The `status` label.
pub const LABEL_STATUS: &str = "status";
/// The `stage` label.
pub const LABEL_STAGE: &str = "stage";
/// The `modality` label.
pub const LABEL_MODALITY: &str = "modality";
/// The `error_type` label.
pub const LABEL_ERROR_TYPE: &str = "error_type";
/// The `format` label.
pub const LABEL_FORMAT: &str = "format";
/// The `run_id` label.
pub const LABEL_RUN_ID: &str = "run_id";
/// The `direction` label: `read` or `write`.
pub const LABEL_DIRECTION: &str = "direction";
/// The `signal` label.
pub const LABEL_SIGNAL: &str = "signal";

macro_rules! metrics {
    ($($name:ident: $instrument:literal $unit:literal $exported:literal $kind:ident [$($label:expr),*] [$($bucket:literal)*] $text:literal;)*) => {
        $(#[doc = $text] pub const $name: Metric = Metric { instrument: $instrument, unit: $unit, exported: $exported,
            kind: Kind::$kind, labels: &[$($label),*], buckets: &[$($bucket),*], description: $text };)*
        /// Every metric.
        pub const METRICS: &[Metric] = &[$($name,)*];
    };
}

metrics! {
    SCANS_PROCESSED: "neuro.scans.processed" "{scan}" "neuro_scans_processed_total" Counter
        [LABEL_STATUS, LABEL_STAGE, LABEL_MODALITY] [] "Scans that ended, counted once each, by the phase where they ended.";
    ERRORS: "neuro.errors" "{error}" "neuro_errors_total" Counter
        [LABEL_STAGE, LABEL_ERROR_TYPE] [] "Failed scans by the stage that failed and the class of the error.";
    STAGE_DURATION: "neuro.stage.duration" "s" "neuro_stage_duration_seconds" Histogram
        [LABEL_STAGE, LABEL_MODALITY] [0.01 0.05 0.1 0.25 0.5 1.0 2.0 5.0 10.0 20.0 30.0 60.0 120.0 300.0 600.0] "Wall time of one stage of one scan.";
    STAGE_CPU: "neuro.stage.cpu" "s" "neuro_stage_cpu_seconds_total" Counter
        [LABEL_STAGE, LABEL_MODALITY] [] "Time of processors that stages took, all threads.";
    STAGE_IO: "neuro.stage.io" "By" "neuro_stage_io_bytes_total" Counter
        [LABEL_STAGE, LABEL_MODALITY, LABEL_DIRECTION] [] "Bytes that stages have read and written.";
    STAGE_PEAK_MEMORY: "neuro.stage.peak_memory" "By" "neuro_stage_peak_memory_bytes" Histogram
        [LABEL_STAGE, LABEL_MODALITY] [100e6 200e6 500e6 1e9 2e9 4e9 8e9 16e9 32e9] "Resident memory of the process while a stage ran, at most.";
    PROCESSING_DURATION: "neuro.processing.duration" "s" "neuro_processing_duration_seconds" Histogram
        [LABEL_MODALITY, LABEL_STATUS] [0.5 1.0 2.0 5.0 10.0 20.0 30.0 60.0 120.0 300.0 600.0 1800.0 3600.0] "Wall time of one scan from load to save.";
    SCAN_SIZE: "neuro.scan.size_mb" "{MB}" "neuro_scan_size_mb" Histogram
        [LABEL_FORMAT] [1.0 5.0 10.0 50.0 100.0 200.0 500.0 1000.0 2000.0] "Size of an input file in MB of 10^6 bytes.";
    OUTPUT_SIZE: "neuro.output.size_mb" "{MB}" "neuro_output_size_mb" Histogram
        [] [1.0 5.0 10.0 50.0 100.0 200.0 500.0 1000.0 2000.0] "Size of the derivatives of one scan in MB of 10^6 bytes.";
    QUALITY_SCORE: "neuro.quality_score" "{score}" "neuro_quality_score" Histogram
        [LABEL_MODALITY] [20.0 40.0 60.0 80.0 100.0] "Quality score of one scan, 0 (bad) to 100.";
    ACTIVE_PIPELINES: "neuro.active_pipelines" "{scan}" "neuro_active_pipelines" UpDownCounter
        [] [] "Scans in work now.";
    QUEUE_DEPTH: "neuro.queue_depth" "{unit}" "neuro_queue_depth" UpDownCounter
        [] [] "Participant-sessions that wait for a worker.";
    SUBJECT_DURATION: "neuro.subject.duration" "s" "neuro_subject_duration_seconds" Gauge
        [PARTICIPANT_ID, SESSION_ID, LABEL_STATUS] [] "Wall time of one participant-session.";
    SUBJECT_QUALITY_SCORE: "neuro.subject.quality_score" "{score}" "neuro_subject_quality_score" Gauge
        [PARTICIPANT_ID, SESSION_ID, LABEL_STATUS] [] "Mean quality score of the scans of one participant-session.";
    RUN_THREADS: "neuro.run.threads" "{thread}" "neuro_run_threads" Gauge
        [LABEL_RUN_ID] [] "Threads that a run may use; leads from a process to its run.";
    PROCESS_MEMORY: "neuro.process.memory" "By" "neuro_process_memory_bytes" Gauge
        [] [] "Resident memory of this process.";
    PROCESS_CPU: "neuro.process.cpu" "s" "neuro_process_cpu_seconds_total" Counter
        [] [] "CPU time of this process, user and system, all threads.";
    TELEMETRY_DROPPED: "neuro.telemetry.dropped" "{item}" "neuro_telemetry_dropped_total" Counter
        [LABEL_SIGNAL] [] "Spans, log records and metric points that no file took or that a collector refused for good.";
    TELEMETRY_SPOOLED: "neuro.telemetry.spooled" "By" "neuro_telemetry_spooled_bytes" Gauge
        [LABEL_SIGNAL] [] "Telemetry this process has written to files.";
    TELEMETRY_WAITING: "neuro.telemetry.waiting" "{item}" "neuro_telemetry_waiting" Gauge
        [LABEL_SIGNAL] [] "Spans, log records and metric points this process has written and no collector has taken yet.";
}

impl Metric {
    /// The name the Collector's `prometheus` exporter derives: dots become underscores, a known unit is appended, then
    /// `_total` to a counter (OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility").
    #[must_use]
    pub fn prometheus(&self) -> String {
        let mut name = self.instrument.replace('.', "_");
        match self.unit {
            "s" => name.push_str("_seconds"),
            "By" => name.push_str("_bytes"),
            _ => {}
        }
        if self.kind == Kind::Counter {
            name.push_str("_total");
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instruments_come_out_of_the_collector_under_the_documented_names() {
        for metric in METRICS {
            assert_eq!(metric.prometheus(), metric.exported);
            let known = matches!(metric.unit, "s" | "By") || metric.unit.starts_with('{');
            assert!(known, "{}: a unit this rule does not translate", metric.instrument);
            assert_eq!(metric.kind == Kind::Histogram, !metric.buckets.is_empty(), "{}", metric.instrument);
            assert!(metric.buckets.is_sorted_by(|a, b| a < b), "{}", metric.instrument);
        }
    }
}
