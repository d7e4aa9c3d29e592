//! One unit of work: a participant-session, its trace, its marker and its summary.

use super::cancel::Cancel;
use super::event::{EventSink, RunEvent, Status};
use super::faults::Faults;
use super::process::peak_memory_bytes;
use super::scan::Finished;
use super::turn::Turn;
use crate::derivatives::DerivativeError;
use crate::derivatives::atomic::sync_names;
use crate::derivatives::claim::Claim;
use crate::derivatives::marker::{DoneScan, Marker};
use crate::derivatives::summary::{UnitSummary, unit_file};
use crate::error::Coded;
use crate::plan::Unit;
use crate::telemetry::{names, spans};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tracing::{Span, error, info};

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

    /// Does one unit, unless another run has it. Never fails: the outcome is in the events, the summary and the marker.
    pub fn run_unit(&self, unit: &Unit) {
        self.publish(&RunEvent::UnitStarted { unit: unit.id.clone(), why: unit.state.clone() });
        match self.turn(unit) {
            Ok(Turn::Theirs(why)) => self.leave(unit, &why),
            Ok(Turn::Ours(claim)) => self.do_unit(unit, Ok(claim)),
            Err(e) => {
                self.stop_if_hopeless(&e);
                self.do_unit(unit, Err(e));
            }
        }
    }

    /// Does a unit that is this run's, or fails its scans because their places cannot be written to.
    fn do_unit(&self, unit: &Unit, ready: Result<Option<Claim>, DerivativeError>) {
        let started = jiff::Timestamp::now();
        let start = Instant::now();
        let subject = self.run_span.map(|run| spans::subject_span(&unit.id, self.run_id, run));
        self.say_why(unit, subject.as_ref());
        let refused = ready.as_ref().err();
        let mut finished = Vec::with_capacity(unit.scans.len());
        let mut trace_id = subject.as_ref().and_then(spans::trace_id);
        for scan in &unit.scans {
            let parent = subject.as_ref().map_or(spans::Parent::Remote(self.remote), spans::Parent::Subject);
            let (done, span) = self.run_scan(&unit.id, scan, parent, refused);
            trace_id = trace_id.or_else(|| spans::trace_id(&span));
            finished.push(done);
        }
        let statuses: Vec<Status> = finished.iter().map(|f| f.status).collect();
        let mut status = UnitSummary::status_of(&statuses);
        let seconds = start.elapsed().as_secs_f64();
        let summary = self.summary(unit, &finished, status, trace_id, (started, seconds));
        let entered = subject.as_ref().map(Span::enter);
        if let Err(e) = self.conclude(unit, &summary, &finished, status) {
            self.stop_if_hopeless(&e);
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

    /// The reason on the subject's span, and in a line of the log.
    fn say_why(&self, unit: &Unit, subject: Option<&Span>) {
        let _entered = subject.map(Span::enter);
        if let Some(span) = subject {
            spans::record(span, names::UNIT_REASON, unit.state.kind());
        }
        info!(reason = unit.state.kind(), "participant-session started: {}", unit.state);
    }

    /// Writes the summary and, when all went well, the marker, once everything it stands for would survive a loss of power.
    fn conclude(
        &self,
        unit: &Unit,
        summary: &UnitSummary,
        finished: &[Finished],
        status: Status,
    ) -> Result<(), DerivativeError> {
        let session = unit.marker_session.as_deref();
        summary.write(self.output, &unit.id, session)?;
        let done: Option<Vec<DoneScan>> = finished.iter().map(|f| f.done.clone()).collect();
        let (Status::Success, Some(scans)) = (status, done) else { return Ok(()) };
        let written = unit_file(&unit.id, session, "summary");
        let outputs = summary.scans.iter().flat_map(|scan| &scan.outputs);
        sync_names(self.output, outputs.chain([&written]).map(PathBuf::as_path))?;
        Marker::new(&unit.id, session, scans).write(self.output, &unit.id, session)
    }

    /// Ends the run when nothing more can be written.
    pub(super) fn stop_if_hopeless(&self, e: &DerivativeError) {
        if e.is_hopeless() {
            self.cancel.give_up(&e.to_string());
        }
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

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0_u32), |(s, n), v| (s + v, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}
