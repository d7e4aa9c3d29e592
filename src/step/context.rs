//! What every session of a run shares.

use super::cancel::Cancel;
use crate::derivatives::DerivativeError;
use crate::telemetry::spans;
use crate::templates::Targets;
use crate::vocabulary::{EventSink, Faults, RunEvent};
use std::path::Path;
use tracing::Span;

/// The run, as its sessions and scans see it.
pub struct Context<'a> {
    /// Identifies the run in traces, logs and summaries.
    pub run_id: &'a str,
    /// The folder everything is written below.
    pub output: &'a Path,
    /// The templates that scans are brought to.
    pub targets: &'a Targets,
    /// Failures and delays on purpose.
    pub faults: Faults,
    /// Whether what is odd about a scan's input makes it fail.
    pub strict: bool,
    /// Whether to stop.
    pub cancel: &'a Cancel,
    /// The readers of the run's events.
    pub sinks: &'a [&'a dyn EventSink],
    /// The run's span, which every subject's trace links to; `None` for a lone file, whose scan is the root.
    pub run_span: Option<&'a Span>,
    /// The trace the caller is in.
    pub remote: &'a spans::Context,
}

impl Context<'_> {
    /// Tells every reader.
    pub fn publish(&self, event: &RunEvent) {
        for sink in self.sinks {
            sink.on_event(event);
        }
    }

    /// Ends the run when nothing more can be written.
    pub fn stop_if_hopeless(&self, e: &DerivativeError) {
        if e.is_hopeless() {
            self.cancel.give_up(&e.to_string());
        }
    }
}
