//! What a run says about itself, as plain data. Metrics, progress, the run summary and the report are its readers.

use super::{SessionId, Stage, State, Status};
use crate::bids::Modality;
use crate::error::ErrorCode;

/// One thing that happened in a run. Times are wall-clock seconds, sizes MB of 10⁶ bytes.
#[derive(Clone, Debug)]
pub enum RunEvent {
    /// The plan is made, work begins.
    RunStarted {
        /// Identifies the run.
        run_id: String,
        /// Sessions with something to do.
        units: usize,
        /// Scans to do.
        scans: usize,
        /// Threads of the pool.
        threads: usize,
    },
    /// A session left the queue.
    SessionStarted {
        /// Which.
        session: SessionId,
        /// Why.
        why: State,
    },
    /// A scan begins.
    ScanStarted {
        /// The session it belongs to.
        session: SessionId,
        /// File name without extension.
        scan_id: String,
        /// What kind of image.
        modality: Modality,
        /// `nifti`.
        format: &'static str,
        /// Size of the file.
        size_mb: f64,
    },
    /// A stage begins; a phase first, then the steps in it.
    StageStarted {
        /// The scan it works on.
        scan_id: String,
        /// Which stage.
        stage: Stage,
    },
    /// A stage ended, well or not.
    StageFinished {
        /// The scan it worked on.
        scan_id: String,
        /// What kind of image.
        modality: Modality,
        /// Which stage.
        stage: Stage,
        /// How long it took.
        seconds: f64,
        /// Why it failed.
        error: Option<ErrorCode>,
    },
    /// A scan ended.
    ScanFinished {
        /// The session it belongs to.
        session: SessionId,
        /// File name without extension.
        scan_id: String,
        /// What kind of image.
        modality: Modality,
        /// How it ended.
        status: Status,
        /// The innermost stage where it ended: [`Stage::Save`] when it succeeded.
        last_stage: Stage,
        /// How long it took.
        seconds: f64,
        /// Size of its outputs, when it has any.
        output_mb: Option<f64>,
        /// 0 to 100, when it was measured.
        quality_score: Option<f64>,
        /// Why it failed, for people.
        message: Option<String>,
    },
    /// A session ended.
    SessionFinished {
        /// Which.
        session: SessionId,
        /// How it ended: one failed scan fails it.
        status: Status,
        /// How long it took.
        seconds: f64,
        /// The mean of its scans'.
        quality_score: Option<f64>,
    },
    /// Nothing is left to do.
    RunFinished {
        /// How long it took.
        seconds: f64,
    },
}

/// A reader of run events. Called from the worker threads, so it must be quick and must not block.
pub trait EventSink: Sync {
    /// Takes note of one event.
    fn on_event(&self, event: &RunEvent);
}
