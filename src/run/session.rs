//! One participant-session of a run: its trace, its ledger, its summary and its marker.

use super::turn::{Taken, Turn, leave, turn};
use crate::derivatives::DerivativeError;
use crate::derivatives::atomic::sync_names;
use crate::derivatives::ledger::{DoneScan, Entry, Ledger};
use crate::derivatives::marker::Marker;
use crate::derivatives::summary::{ScanSummary, SessionSummary, session_file};
use crate::error::Coded;
use crate::machine::process::peak_memory_bytes;
use crate::pipeline;
use crate::plan::{ScanPlan, SessionPlan};
use crate::step::{Context, Finished};
use crate::telemetry::{names, spans};
use crate::vocabulary::{RunEvent, Status};
use std::path::PathBuf;
use std::time::Instant;
use tracing::{Span, error, info};

/// Does one session, unless another run has it. Never fails: the outcome is in the events, the summary and the marker.
pub fn run_session(cx: &Context<'_>, plan: &SessionPlan) {
    cx.publish(&RunEvent::SessionStarted { session: plan.id.clone(), why: plan.state.clone() });
    match turn(cx, plan) {
        Ok(Turn::Skipped(why)) => leave(cx, plan, &why),
        Ok(Turn::Claimed(taken)) => work(cx, plan, Ok(taken)),
        Err(e) => {
            cx.stop_if_hopeless(&e);
            work(cx, plan, Err(e));
        }
    }
}

/// Does a session that is this run's, or fails its scans because their places cannot be written to.
fn work(cx: &Context<'_>, plan: &SessionPlan, taken: Result<Taken, DerivativeError>) {
    let started = jiff::Timestamp::now();
    let start = Instant::now();
    let subject = cx.run_span.map(|run| spans::subject_span(&plan.id, cx.run_id, run));
    say_why(plan, subject.as_ref());
    let session = plan.marker_session.as_deref();
    // The claim is held until the end.
    let (_claim, mut ledger, refused) = match taken {
        Ok(Taken { claim, ledger }) => (claim, ledger, None),
        Err(e) => (None, Ledger::new(&plan.id, session), Some(e)),
    };
    let mut unwritten = None;
    let parent = subject.as_ref().map_or(spans::Parent::Remote(cx.remote), spans::Parent::Subject);
    let finished = pipeline::session(cx, plan, parent, refused.as_ref(), |scan| {
        if let Err(e) = enter(cx, plan, &mut ledger, scan) {
            cx.stop_if_hopeless(&e);
            unwritten.get_or_insert(e);
        }
    });
    let statuses: Vec<Status> = finished.iter().map(|f| f.status).collect();
    let mut status = SessionSummary::status_of(&statuses);
    let seconds = start.elapsed().as_secs_f64();
    let entered = subject.as_ref().map(Span::enter);
    let trace_id =
        subject.as_ref().and_then(spans::trace_id).or_else(|| finished.first().and_then(|f| f.trace_id.clone()));
    let summary = summary(cx, plan, scans(plan, &finished, &ledger), status, trace_id, (started, seconds));
    let concluded = unwritten.map_or_else(|| conclude(cx, plan, &summary, &ledger, status), Err);
    if let Err(e) = concluded {
        cx.stop_if_hopeless(&e);
        error!(error_code = e.code().as_str(), "{e}");
        status = Status::Failed(e.code());
    }
    if let (Status::Failed(code), Some(span)) = (status, &subject) {
        spans::fail(span, code, summary.reason.as_deref().unwrap_or(code.meaning()));
    }
    drop(entered);
    let quality_score = mean(summary.scans.iter().filter_map(|scan| scan.quality_score));
    cx.publish(&RunEvent::SessionFinished { session: plan.id.clone(), status, seconds, quality_score });
}

/// The reason on the subject's span, and in a line of the log.
fn say_why(plan: &SessionPlan, subject: Option<&Span>) {
    let _entered = subject.map(Span::enter);
    if let Some(span) = subject {
        spans::record(span, names::UNIT_REASON, plan.state.kind());
    }
    info!(reason = plan.state.kind(), "participant-session started: {}", plan.state);
}

/// Enters a finished scan into the ledger, once its outputs would survive a loss of power; a failed one leaves no entry.
fn enter(cx: &Context<'_>, plan: &SessionPlan, ledger: &mut Ledger, scan: &Finished) -> Result<(), DerivativeError> {
    let Some(done) = &scan.done else { return Ok(()) };
    sync_names(cx.output, scan.summary.outputs.iter().map(PathBuf::as_path))?;
    ledger.scans.push(Entry { done: done.clone(), finished: jiff::Timestamp::now(), summary: scan.summary.clone() });
    // Whatever was done first: equal outputs have equal ledgers.
    ledger.scans.sort_by(|a, b| a.done.path.cmp(&b.done.path));
    ledger.write(cx.output, &plan.id, plan.marker_session.as_deref())
}

/// What the summary says of each scan of the plan, in its order: what became of it now, or what the ledger has of it.
fn scans(plan: &SessionPlan, finished: &[Finished], ledger: &Ledger) -> Vec<ScanSummary> {
    let now = |id: &str| finished.iter().find(|f| f.summary.scan_id == id).map(|f| &f.summary);
    let of = |scan: &ScanPlan| now(&scan.id).or_else(|| Some(&ledger.entry(&scan.relative)?.summary));
    plan.scans.iter().filter_map(of).cloned().collect()
}

/// Writes the summary and, when all went well, the marker, once everything it stands for would survive a loss of power.
fn conclude(
    cx: &Context<'_>,
    plan: &SessionPlan,
    summary: &SessionSummary,
    ledger: &Ledger,
    status: Status,
) -> Result<(), DerivativeError> {
    let session = plan.marker_session.as_deref();
    summary.write(cx.output, &plan.id, session)?;
    let done = plan.scans.iter().map(|scan| ledger.entry(&scan.relative).map(|entry| entry.done.clone()));
    let (Status::Success, Some(scans)) = (status, done.collect::<Option<Vec<DoneScan>>>()) else { return Ok(()) };
    let written = session_file(&plan.id, session, "summary");
    sync_names(cx.output, [written.as_path()])?;
    Marker::new(&plan.id, session, scans).write(cx.output, &plan.id, session)
}

fn summary(
    cx: &Context<'_>,
    plan: &SessionPlan,
    scans: Vec<ScanSummary>,
    status: Status,
    trace_id: Option<String>,
    (started, seconds): (jiff::Timestamp, f64),
) -> SessionSummary {
    let reasons: Vec<String> =
        scans.iter().filter_map(|scan| scan.error.as_ref()).map(|e| format!("{}: {}", e.code, e.message)).collect();
    #[expect(clippy::cast_precision_loss, reason = "memory is far below 2^52 bytes")]
    SessionSummary {
        participant_id: format!("sub-{}", plan.id.participant),
        session_id: plan.marker_session.as_ref().map(|s| format!("ses-{s}")),
        status: status.as_str().into(),
        reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
        run_id: cx.run_id.into(),
        trace_id,
        version: concat!(env!("CARGO_PKG_VERSION"), "+", env!("NEURO_PREPROCESS_COMMIT")).into(),
        started: format!("{started:.3}"),
        seconds,
        peak_memory_mb: peak_memory_bytes() as f64 / 1e6,
        scans,
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0_u32), |(s, n), v| (s + v, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}
