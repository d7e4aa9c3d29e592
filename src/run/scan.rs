//! One scan from its plan to its summary.

use super::RunContext;
use super::event::{RunEvent, StageName, Status, UnitId};
use super::runner::{Failed, StagesRun, run_stages};
use crate::derivatives::DerivativeError;
use crate::derivatives::marker::DoneScan;
use crate::derivatives::save::{Saved, remove_old};
use crate::derivatives::summary::{Failure, ScanSummary};
use crate::error::{Coded, ErrorCode};
use crate::plan::{ScanPlan, Source};
use crate::stages::{STAGES, StageError, Work};
use crate::telemetry::{names, spans};
use std::time::Instant;
use tracing::{Span, error, info};

/// What is known of a scan when it is over.
pub(super) struct Finished {
    pub status: Status,
    pub summary: ScanSummary,
    /// What the success marker says of it; `None` when it failed.
    pub done: Option<DoneScan>,
    /// Size of its outputs.
    bytes: u64,
}

impl RunContext<'_> {
    /// Takes one scan through all stages below `parent`, unless its place was `refused`. Never fails: the outcome is in what
    /// it returns.
    pub(super) fn run_scan(
        &self,
        unit: &UnitId,
        scan: &ScanPlan,
        parent: spans::Parent<'_>,
        refused: Option<&DerivativeError>,
    ) -> (Finished, Span) {
        let span = spans::scan_span(&described(scan, unit), parent);
        let entered = span.enter();
        self.publish(&RunEvent::ScanStarted {
            unit: unit.clone(),
            scan_id: scan.id.clone(),
            modality: scan.modality,
            format: scan.format(),
            size_mb: scan.size_mb(),
        });
        info!("scan started");
        let start = Instant::now();
        let mut work = Work { strict: self.strict, ..Work::new(scan, self.output) };
        let ready = match refused {
            Some(e) => Err(StageError::Invalid { code: e.code(), message: e.to_string() }),
            None => remove_old(self.output, scan.modality, &scan.entities).map_err(StageError::Derivative),
        };
        let run = match ready {
            Ok(()) => run_stages(STAGES, &mut work, &span, self),
            Err(error) => StagesRun {
                seconds: std::collections::BTreeMap::new(),
                outcome: Err(Failed { stage: StageName::Load, error }),
            },
        };
        if let Err(Failed { error: StageError::Derivative(e), .. }) = &run.outcome {
            self.stop_if_hopeless(e);
        }
        let finished = finish(scan, work, run, start.elapsed().as_secs_f64());
        self.tell(unit, scan, &finished, &span);
        drop(entered);
        (finished, span)
    }

    /// Span attributes, the one log line and the event of the end of a scan.
    fn tell(&self, unit: &UnitId, scan: &ScanPlan, done: &Finished, span: &Span) {
        let summary = &done.summary;
        spans::record(span, names::PIPELINE_STATUS, done.status.as_str());
        spans::record(span, names::PIPELINE_DURATION, summary.seconds);
        let mut last_stage = StageName::Save;
        if let (Status::Failed(code), Some(failure)) = (done.status, &summary.error) {
            last_stage = StageName::ALL.into_iter().find(|s| s.as_str() == failure.stage).unwrap_or(StageName::Load);
            spans::fail(span, code, &failure.message);
            error!(
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
            unit: unit.clone(),
            scan_id: scan.id.clone(),
            modality: scan.modality,
            status: done.status,
            last_stage,
            seconds: summary.seconds,
            output_mb,
            quality_score: summary.quality_score,
            message: summary.error.as_ref().map(|e| e.message.clone()),
        });
    }
}

fn finish(scan: &ScanPlan, work: Work<'_>, run: StagesRun, seconds: f64) -> Finished {
    let products = work.products.as_ref();
    let quality = products.and_then(|p| p.quality.as_ref());
    let (status, error) = match &run.outcome {
        Ok(()) => (Status::Success, None),
        Err(failed) => (Status::Failed(failed.error.code()), Some(failure(failed))),
    };
    let Saved { files, bytes } = work.saved.unwrap_or_default();
    let outputs = files.iter().map(|f| f.path.clone()).collect();
    let input = work.input.filter(|_| run.outcome.is_ok());
    let (path, metadata, odd) = (scan.relative.clone(), (*scan.metadata).clone(), work.odd);
    let done = input.map(|input| DoneScan { path, input, metadata, odd, outputs: files });
    let summary = ScanSummary {
        scan_id: scan.id.clone(),
        modality: scan.modality.as_str().into(),
        status: status.as_str().into(),
        error,
        seconds,
        stages: run.seconds.iter().map(|(s, v)| (s.as_str().to_owned(), *v)).collect(),
        quality_score: quality.and_then(|q| q.score),
        motion_detected: quality.map(|q| q.motion_detected),
        brain_volume_ml: products.and_then(|p| p.brain.as_ref()).map(|b| b.volume_ml),
        quality: quality.map(|q| q.measures.iter().map(|m| (m.name.to_owned(), m.value)).collect()).unwrap_or_default(),
        outputs,
        notes: work.notes,
    };
    Finished { status, summary, done, bytes }
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

fn described<'a>(scan: &'a ScanPlan, unit: &'a UnitId) -> spans::Scan<'a> {
    let path = match &scan.source {
        Source::File(path) => path.as_path(),
        Source::Synthetic { .. } => scan.relative.as_path(),
    };
    spans::Scan { unit, id: &scan.id, modality: scan.modality, format: scan.format(), path, bytes: scan.bytes }
}
