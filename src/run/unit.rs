//! One unit of work: a participant-session, its trace, its marker and its summary.

use super::cancel::Cancel;
use super::event::{EventSink, RunEvent, Status};
use super::faults::Faults;
use super::process::peak_memory_bytes;
use super::scan::Finished;
use crate::derivatives::marker::Marker;
use crate::derivatives::summary::UnitSummary;
use crate::error::Coded;
use crate::plan::{ScanPlan, Unit};
use crate::telemetry::spans;
use std::path::Path;
use std::time::Instant;
use tracing::{Span, error};

/// What every unit of a run shares.
pub struct RunContext<'a> {
    /// Identifies the run in traces, logs and summaries.
    pub run_id: &'a str,
    /// The folder everything is written below.
    pub output: &'a Path,
    /// Failures and delays that were asked for.
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

impl RunContext<'_> {
    /// Tells every reader.
    pub fn publish(&self, event: &RunEvent) {
        for sink in self.sinks {
            sink.on_event(event);
        }
    }

    /// Does one unit. Never fails: the outcome is in the events, the summary and the marker.
    pub fn run_unit(&self, unit: &Unit) {
        self.publish(&RunEvent::UnitStarted { unit: unit.id.clone() });
        let started = jiff::Timestamp::now();
        let start = Instant::now();
        let session = unit.marker_session.as_deref();
        let subject = self.run_span.map(|run| spans::subject_span(&unit.id, self.run_id, run));
        // Removed first: from here on the outputs may be of two runs.
        let removed = Marker::remove(self.output, &unit.id, session);
        let mut finished = Vec::with_capacity(unit.scans.len());
        let mut trace_id = subject.as_ref().and_then(spans::trace_id);
        for scan in &unit.scans {
            let parent = subject.as_ref().map_or(spans::Parent::Remote(self.remote), spans::Parent::Subject);
            let (done, span) = self.run_scan(&unit.id, scan, parent);
            trace_id = trace_id.or_else(|| spans::trace_id(&span));
            finished.push(done);
        }
        let statuses: Vec<Status> = finished.iter().map(|f| f.status).collect();
        let mut status = UnitSummary::status_of(&statuses);
        let seconds = start.elapsed().as_secs_f64();
        let summary = self.summary(unit, &finished, status, trace_id, (started, seconds));
        let entered = subject.as_ref().map(Span::enter);
        let written =
            removed.and_then(|()| summary.write(self.output, &unit.id, session)).and_then(|()| match status {
                Status::Success => marker(unit, &summary).write(self.output, &unit.id, session),
                _ => Ok(()),
            });
        if let Err(e) = written {
            error!(error_code = e.code().as_str(), "{e}");
            status = Status::Failed(e.code());
        }
        if let (Status::Failed(code), Some(span)) = (status, &subject) {
            spans::fail(span, code, summary.reason.as_deref().unwrap_or(code.meaning()));
        }
        drop(entered);
        let quality_score = mean(finished.iter().filter_map(|f| f.summary.quality_score));
        self.publish(&RunEvent::UnitFinished { unit: unit.id.clone(), status, seconds, quality_score });
    }

    fn summary(
        &self,
        unit: &Unit,
        finished: &[Finished],
        status: Status,
        trace_id: Option<String>,
        (started, seconds): (jiff::Timestamp, f64),
    ) -> UnitSummary {
        let reasons: Vec<String> = finished
            .iter()
            .filter_map(|f| f.summary.error.as_ref())
            .map(|e| format!("{}: {}", e.code, e.message))
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "memory is far below 2^52 bytes")]
        UnitSummary {
            participant_id: format!("sub-{}", unit.id.participant),
            session_id: unit.marker_session.as_ref().map(|s| format!("ses-{s}")),
            status: status.as_str().into(),
            reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
            run_id: self.run_id.into(),
            trace_id,
            version: concat!(env!("CARGO_PKG_VERSION"), "+", env!("NEURO_PREPROCESS_COMMIT")).into(),
            started: format!("{started:.3}"),
            seconds,
            peak_memory_mb: peak_memory_bytes() as f64 / 1e6,
            scans: finished.iter().map(|f| f.summary.clone()).collect(),
        }
    }
}

fn marker(unit: &Unit, summary: &UnitSummary) -> Marker {
    Marker {
        status: "success".into(),
        participant_id: summary.participant_id.clone(),
        session_id: summary.session_id.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        inputs: unit.scans.iter().map(ScanPlan::input).collect(),
        outputs: summary.scans.iter().flat_map(|s| s.outputs.clone()).collect(),
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0_u32), |(s, n), v| (s + v, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}
