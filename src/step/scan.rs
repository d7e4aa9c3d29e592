//! One scan from its span to its place in the summary.

use super::Context;
use super::error::{Failed, StageError};
use super::found::Known;
use crate::derivatives::DerivativeError;
use crate::derivatives::ledger::DoneScan;
use crate::derivatives::save::{Saved, remove_old};
use crate::derivatives::summary::{Failure, Received, ScanSummary, SummaryFile};
use crate::error::{Coded, ErrorClass, ErrorCode};
use crate::plan::{FORMAT, ScanPlan};
use crate::telemetry::{TOLD_ELSEWHERE, names, spans};
use crate::vocabulary::{OutputLevel, RunEvent, SessionId, Stage, Status};
use std::collections::BTreeMap;
use std::time::Instant;
use tracing::{Span, error, info};

/// What is known of a scan when it is over.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: Status,
    /// Its part of the session's summary.
    pub summary: ScanSummary,
    /// What the ledger and the success marker say of it; `None` when it failed.
    pub done: Option<DoneScan>,
    /// Size of its outputs.
    bytes: u64,
    /// The trace it is in, as 32 hexadecimal digits.
    pub trace_id: Option<String>,
}

/// A scan on its way: what its pipeline opens phases and steps with.
pub struct Scan<'a> {
    cx: &'a Context<'a>,
    plan: &'a ScanPlan,
    span: Span,
    seconds: BTreeMap<Stage, f64>,
    pub(super) known: Known,
}

impl<'a> Scan<'a> {
    /// What is known of it before it is read.
    #[must_use]
    pub const fn plan(&self) -> &'a ScanPlan {
        self.plan
    }

    /// The run it is part of.
    #[must_use]
    pub const fn cx(&self) -> &'a Context<'a> {
        self.cx
    }

    pub(super) const fn span(&self) -> &Span {
        &self.span
    }

    pub(super) fn took(&mut self, stage: Stage, seconds: f64) {
        self.seconds.insert(stage, seconds);
    }
}

impl Context<'_> {
    /// Takes one scan through its pipeline below `parent`, unless its place was `refused`. Never fails: the outcome is in
    /// what it returns.
    pub fn scan(
        &self,
        (session, plan): (&SessionId, &ScanPlan),
        parent: spans::Parent<'_>,
        refused: Option<&DerivativeError>,
        pipeline: impl FnOnce(&mut Scan<'_>) -> Result<Saved, Failed>,
    ) -> Finished {
        let span = spans::scan_span(&described(plan, session), parent);
        let _entered = span.enter();
        self.publish(&RunEvent::ScanStarted {
            session: session.clone(),
            scan_id: plan.id.clone(),
            modality: plan.modality,
            format: FORMAT,
            size_mb: plan.size_mb(),
        });
        info!("scan started");
        let start = Instant::now();
        let mut scan = Scan { cx: self, plan, span: span.clone(), seconds: BTreeMap::new(), known: Known::default() };
        let ready = match refused {
            Some(e) => Err(StageError::Invalid { code: e.code(), message: e.to_string() }),
            None => remove_old(self.output, plan.modality, &plan.entities).map_err(StageError::Derivative),
        };
        let outcome = match ready {
            Ok(()) => pipeline(&mut scan),
            Err(error) => Err(Failed { stage: Stage::Load, error }),
        };
        if let Err(Failed { error: StageError::Derivative(e), .. }) = &outcome {
            self.stop_if_hopeless(e);
        }
        let last_stage = outcome.as_ref().map_or_else(|failed| failed.stage, |_| Stage::Save);
        let finished = finish(scan, outcome, start.elapsed().as_secs_f64());
        self.tell(session, plan, &finished, last_stage, &span);
        finished
    }

    /// Span attributes, the one log line and the event of the end of a scan.
    fn tell(&self, session: &SessionId, plan: &ScanPlan, done: &Finished, last_stage: Stage, span: &Span) {
        let summary = &done.summary;
        spans::record(span, names::PIPELINE_STATUS, done.status.as_str());
        spans::record(span, names::PIPELINE_DURATION, summary.seconds);
        if let (Status::Failed(code), Some(failure)) = (done.status, &summary.error) {
            spans::fail(span, code, &failure.message);
            error!(
                target: TOLD_ELSEWHERE,
                stage = failure.stage,
                error_code = failure.code,
                error_type = failure.class,
                duration_seconds = summary.seconds,
                "{}",
                failure.message
            );
        } else {
            info!(duration_seconds = summary.seconds, quality_score = summary.quality_score, "scan finished");
        }
        #[expect(clippy::cast_precision_loss, reason = "file sizes are far below 2^52")]
        let output_mb = (done.bytes > 0).then_some(done.bytes as f64 / 1e6);
        self.publish(&RunEvent::ScanFinished {
            session: session.clone(),
            scan_id: plan.id.clone(),
            modality: plan.modality,
            status: done.status,
            last_stage,
            seconds: summary.seconds,
            output_mb,
            quality_score: summary.quality_score,
            message: summary.error.as_ref().map(|e| e.message.clone()),
        });
    }
}

fn finish(scan: Scan<'_>, outcome: Result<Saved, Failed>, seconds: f64) -> Finished {
    let Scan { plan, known, span, .. } = scan;
    let quality = known.quality.as_ref();
    let (status, error, saved) = match outcome {
        Ok(saved) => (Status::Success, None, saved),
        Err(failed) => (Status::Failed(failed.error.code()), Some(failure(&failed)), Saved::default()),
    };
    let input = known.input.filter(|_| error.is_none());
    let without_field = known.distortion.as_ref().is_some_and(|told| told.kind.is_some() && !told.corrected);
    let (path, metadata) = (plan.relative.clone(), (*plan.metadata).clone());
    let summary = ScanSummary {
        scan_id: plan.id.clone(),
        modality: plan.modality.as_str().into(),
        status: status.as_str().into(),
        level: Some(plan.level()).filter(|level| *level != OutputLevel::Full).map(|level| level.as_str().to_owned()),
        received: received(plan, status),
        error,
        trace_id: spans::trace_id(&span),
        span_id: spans::span_id(&span),
        seconds,
        stages: scan.seconds.iter().map(|(s, v)| (s.as_str().to_owned(), *v)).collect(),
        quality_score: quality.and_then(|q| q.score),
        motion_detected: quality.map(|q| q.motion_detected),
        brain_volume_ml: known.brain_volume_ml,
        brain: known.brain,
        normalization: known.normalization,
        coregistration: known.coregistration,
        distortion: known.distortion,
        tissues: known.tissues,
        quality: quality.map(|q| q.measures.iter().map(|m| (m.name.to_owned(), m.value)).collect()).unwrap_or_default(),
        outputs: saved.files.iter().map(|f| f.path.clone()).collect(),
        files: saved.kinds.iter().map(SummaryFile::of).collect(),
        notes: known.notes,
    };
    let done = input.map(|input| DoneScan {
        path,
        input,
        metadata,
        options: plan.shaping(),
        odd: known.odd,
        without_tissues: known.without_tissues,
        without_anatomy: known.without_anatomy,
        anatomy: known.anatomy,
        beside: known.beside,
        without_field,
        outputs: saved.files,
    });
    Finished { status, trace_id: summary.trace_id.clone(), summary, done, bytes: saved.bytes }
}

/// The input of a failed scan, the first thing to look at.
fn received(plan: &ScanPlan, status: Status) -> Option<Received> {
    let Status::Failed(code) = status else { return None };
    if code.class() == ErrorClass::Cancelled {
        return None;
    }
    let header = nifti::facts(&plan.file).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let bytes = std::fs::metadata(&plan.file).ok().map(|meta| meta.len());
    Some(Received { file: plan.relative.clone(), bytes, header })
}

fn failure(failed: &Failed) -> Failure {
    let code: ErrorCode = failed.error.code();
    Failure {
        code: code.as_str().into(),
        class: code.class().as_str().into(),
        stage: failed.stage.as_str().into(),
        message: failed.error.to_string(),
        advice: code.advice().into(),
    }
}

fn described<'a>(plan: &'a ScanPlan, session: &'a SessionId) -> spans::Scan<'a> {
    let path = plan.file.as_path();
    spans::Scan { session, id: &plan.id, modality: plan.modality, format: FORMAT, path, bytes: plan.bytes }
}
