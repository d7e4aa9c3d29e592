//! What became of the telemetry itself: written to files, delivered to a collector, lost.

use super::config::without_password;
use super::text;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// The three kinds of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Metric points.
    Metrics,
    /// Log records.
    Logs,
}

impl Signal {
    /// All of them, in the order they are reported.
    pub const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    /// The `signal` label, the prefix of file names and the end of OTLP/HTTP paths.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }

    /// The part of an `OTEL_…` variable that names the signal.
    #[must_use]
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
            Self::Logs => "LOGS",
        }
    }

    /// Whether sending it twice does no harm: a store knows a span or a line it has, a sum does not.
    #[must_use]
    pub const fn may_repeat(self) -> bool {
        !matches!(self, Self::Metrics)
    }

    /// Its part of three, which are in the order of [`Signal::ALL`].
    #[must_use]
    pub const fn of<T>(self, [traces, metrics, logs]: &[T; 3]) -> &T {
        match self {
            Self::Traces => traces,
            Self::Metrics => metrics,
            Self::Logs => logs,
        }
    }

    /// [`Signal::of`], to change it.
    pub const fn of_mut<T>(self, [traces, metrics, logs]: &mut [T; 3]) -> &mut T {
        match self {
            Self::Traces => traces,
            Self::Metrics => metrics,
            Self::Logs => logs,
        }
    }
}

/// Counts of one signal. Items are spans, log records or metric points.
#[derive(Debug, Default)]
pub struct Counts {
    /// Items in a file.
    pub written: AtomicU64,
    /// Bytes in a file.
    pub bytes: AtomicU64,
    /// Items a file did not take.
    pub unwritten: AtomicU64,
    /// Items a collector took.
    pub delivered: AtomicU64,
    /// Items a collector refused for good. They are in the file.
    pub rejected: AtomicU64,
}

impl Counts {
    /// Items that will never arrive: not written, or refused for good.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.unwritten.load(Relaxed) + self.rejected.load(Relaxed)
    }

    /// Items in the file that no collector has answered for yet.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.written.load(Relaxed).saturating_sub(self.delivered.load(Relaxed) + self.rejected.load(Relaxed))
    }
}

/// Counts of all signals, how the collector does, and which warnings were already given.
#[derive(Debug, Default)]
pub struct Stats {
    counts: [Counts; 3],
    acknowledged: AtomicU64,
    trouble: AtomicBool,
    warned_file: AtomicBool,
    warned_network: AtomicBool,
    warned_rejected: AtomicBool,
}

impl Stats {
    /// The counts of one signal.
    #[must_use]
    pub fn of(&self, signal: Signal) -> &Counts {
        signal.of(&self.counts)
    }

    /// Says once on stderr that files cannot be written, and why.
    pub fn warn_file(&self, reason: &dyn fmt::Display) {
        if !self.warned_file.swap(true, Relaxed) {
            text::warn(&format!("telemetry or log files cannot be written ({reason}); the run continues without them"));
        }
    }

    /// Says once on stderr that a collector does not take telemetry, why, and what becomes of it.
    pub fn warn_network(&self, endpoint: &str, reason: &dyn fmt::Display, fate: &str) {
        if !self.warned_network.swap(true, Relaxed) {
            let endpoint = without_password(endpoint);
            text::warn(&format!("telemetry cannot be delivered to {endpoint} ({reason}); {fate}"));
        }
    }

    /// Says once on stderr that a collector refuses some telemetry for good, and why.
    pub fn warn_rejected(&self, endpoint: &str, reason: &dyn fmt::Display) {
        if !self.warned_rejected.swap(true, Relaxed) {
            let endpoint = without_password(endpoint);
            text::warn(&format!("{endpoint} rejected some of the telemetry ({reason}); it is still in the files"));
        }
    }

    /// Counts a request that a collector took.
    pub fn note_acknowledged(&self) {
        self.acknowledged.fetch_add(1, Relaxed);
    }

    /// Requests that a collector took.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Relaxed)
    }

    /// Notes whether the last thing heard from a collector was a failure.
    pub fn note_trouble(&self, trouble: bool) {
        self.trouble.store(trouble, Relaxed);
    }

    /// Whether it was.
    #[must_use]
    pub fn in_trouble(&self) -> bool {
        self.trouble.load(Relaxed)
    }
}
