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

impl LogFormat {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// Verbosity of stderr. The log files always have everything.
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

impl Verbosity {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Normal => "normal",
            Self::Verbose => "verbose",
            Self::Debug => "debug",
        }
    }
}

/// Longest wait at the end of a run for a collector to take what is left.
pub const DEFAULT_FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// A URL, or an argument that ends in one, as it may be shown: without user name and password. Rather hides too much, as of
/// a path with an `@`, than half a password that holds one.
#[must_use]
pub fn without_password(url: &str) -> String {
    let (scheme, rest) = url.find("://").map_or(("", url), |at| url.split_at(at + "://".len()));
    rest.rsplit_once('@').map_or_else(|| url.to_owned(), |(_, host)| format!("{scheme}…@{host}"))
}

/// The secret key of the pseudonyms: only who has it can map a pseudonym to its participant.
#[derive(Clone, PartialEq, Eq)]
pub struct PseudonymKey(Vec<u8>);

impl PseudonymKey {
    /// Shortest key in bytes; below, all keys could be tried.
    pub const SHORTEST: usize = 16;

    /// The key that stands in a file or variable, without blanks and line ends around it. `None` when it is too short.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let key = bytes.trim_ascii();
        (key.len() >= Self::SHORTEST).then(|| Self(key.to_vec()))
    }

    /// The bytes of the key.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Says nothing of the key: a configuration may be printed.
impl std::fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PseudonymKey(…)")
    }
}

/// The settings of telemetry. `OTEL_*` variables are read by the telemetry module itself.
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
    /// `--no-subject-metrics`: no gauges per participant.
    pub no_subject_metrics: bool,
    /// The key of `--pseudonymize`; with one, what leaves the machine names nobody.
    pub pseudonyms: Option<PseudonymKey>,
    /// Format of stderr.
    pub log_format: LogFormat,
    /// Amount on stderr.
    pub verbosity: Verbosity,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_cut_out_wherever_a_url_stands() {
        for (typed, shown) in [
            ("https://me:secret@c:4317/x", "https://…@c:4317/x"),
            ("http://me:se@c/ret@c:4317", "http://…@c:4317"),
            ("--otel-endpoint=http://me:secret@c", "--otel-endpoint=http://…@c"),
            ("me:secret@c:4317", "…@c:4317"),
            ("http://c:4317/v1", "http://c:4317/v1"),
            ("data/bids", "data/bids"),
        ] {
            assert_eq!(without_password(typed), shown);
        }
    }
}
