//! What the user asked of telemetry and logging, resolved from flags, environment and file.

use std::time::Duration;

/// How log lines on stderr look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people: short, coloured on a terminal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is said on stderr. The log files always hold everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only (`-q`).
    Quiet,
    /// Warnings and errors.
    #[default]
    Normal,
    /// Also each stage (`-v`).
    Verbose,
    /// Also parameters (`--debug`).
    Debug,
}

/// Longest wait at the end of a run for a collector to take what is left.
pub const DEFAULT_FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// What the user asked for. `OTEL_*` variables are read by the telemetry module itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TelemetryConfig {
    /// False with `--no-telemetry` (also `NEURO_PREPROCESS_NO_TELEMETRY`): no spans, metrics, OTLP logs or their files.
    pub enabled: bool,
    /// `--otel-endpoint`, such as `http://collector:4317`.
    pub endpoint: Option<String>,
    /// `--traceparent`: W3C trace context of the caller; wins over `TRACEPARENT`.
    pub traceparent: Option<String>,
    /// `--flush-timeout`: longest wait at the end for a collector; `None` is [`DEFAULT_FLUSH_TIMEOUT`].
    pub flush_timeout: Option<Duration>,
    /// `--trace`: print finished traces as a tree on stderr.
    pub print_tree: bool,
    /// Format of stderr.
    pub log_format: LogFormat,
    /// Amount on stderr.
    pub verbosity: Verbosity,
}
