//! What a run says about itself, as plain data. Metrics, progress, the run summary and the report are its readers.

use super::reason::State;
use crate::bids::Modality;
use crate::error::ErrorCode;

/// The parts of a scan's way that get a span, a duration and a count. The order is the order of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StageName {
    /// Reading the file (phase).
    Load,
    /// Checking what was read.
    Validate,
    /// Everything between loading and saving (phase).
    Process,
    /// Aligning the volumes of a bold run.
    MotionCorrect,
    /// Finding the brain.
    SkullStrip,
    /// Estimating the slow intensity field.
    BiasCorrection,
    /// Scaling to a reference intensity.
    Normalization,
    /// Measuring the quality.
    Quality,
    /// Drawing the pictures of the reports.
    Figures,
    /// Writing the derivatives (phase).
    Save,
}

impl StageName {
    /// Every stage in order.
    pub const ALL: [Self; 10] = [
        Self::Load,
        Self::Validate,
        Self::Process,
        Self::MotionCorrect,
        Self::SkullStrip,
        Self::BiasCorrection,
        Self::Normalization,
        Self::Quality,
        Self::Figures,
        Self::Save,
    ];

    /// The `stage` label and log field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Validate => "validate",
            Self::Process => "process",
            Self::MotionCorrect => "motion_correct",
            Self::SkullStrip => "skull_strip",
            Self::BiasCorrection => "bias_correction",
            Self::Normalization => "normalization",
            Self::Quality => "quality",
            Self::Figures => "figures",
            Self::Save => "save",
        }
    }

    /// Whether scans of this modality go through the stage.
    #[must_use]
    pub const fn applies_to(self, modality: Modality) -> bool {
        !matches!((self, modality), (Self::MotionCorrect, Modality::T1w))
    }

    /// The phase a stage belongs to: `load`, `process` or `save`.
    #[must_use]
    pub const fn phase(self) -> Self {
        match self {
            Self::Load | Self::Validate => Self::Load,
            Self::Save => Self::Save,
            _ => Self::Process,
        }
    }
}

/// How a scan or a unit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// All outputs are written.
    Success,
    /// Failed; the code says why.
    Failed(ErrorCode),
    /// Was already done, or not reached before the run was stopped.
    Skipped,
}

impl Status {
    /// The `status` label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed(_) => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// The participant and session a unit of work is for, without `sub-` and `ses-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnitId {
    /// Participant label, or the file's stem for a scan outside BIDS.
    pub participant: String,
    /// Session label where there is one.
    pub session: Option<String>,
}

/// `sub-01 ses-A`.
impl std::fmt::Display for UnitId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sub-{}", self.participant)?;
        self.session.iter().try_for_each(|session| write!(f, " ses-{session}"))
    }
}

/// One thing that happened in a run. Times are wall-clock seconds, sizes MB of 10⁶ bytes.
#[derive(Clone, Debug)]
pub enum RunEvent {
    /// The plan is made, work begins.
    RunStarted {
        /// Identifies the run.
        run_id: String,
        /// Units of work to do.
        units: usize,
        /// Their scans.
        scans: usize,
        /// Threads of the pool.
        threads: usize,
    },
    /// A unit left the queue.
    UnitStarted {
        /// Which.
        unit: UnitId,
        /// Why.
        why: State,
    },
    /// A scan begins.
    ScanStarted {
        /// The unit it belongs to.
        unit: UnitId,
        /// File name without extension.
        scan_id: String,
        /// What kind of image.
        modality: Modality,
        /// `nifti` or `synthetic`.
        format: &'static str,
        /// Size of the file.
        size_mb: f64,
    },
    /// A stage begins; a phase first, then the steps in it.
    StageStarted {
        /// The scan it works on.
        scan_id: String,
        /// Which stage.
        stage: StageName,
    },
    /// A stage ended, well or not.
    StageFinished {
        /// The scan it worked on.
        scan_id: String,
        /// What kind of image.
        modality: Modality,
        /// Which stage.
        stage: StageName,
        /// How long it took.
        seconds: f64,
        /// Why it failed.
        error: Option<ErrorCode>,
    },
    /// A scan ended.
    ScanFinished {
        /// The unit it belongs to.
        unit: UnitId,
        /// File name without extension.
        scan_id: String,
        /// What kind of image.
        modality: Modality,
        /// How it ended.
        status: Status,
        /// The innermost stage where it ended: [`StageName::Save`] when it succeeded.
        last_stage: StageName,
        /// How long it took.
        seconds: f64,
        /// Size of its outputs, when it has any.
        output_mb: Option<f64>,
        /// 0 to 100, when it was measured.
        quality_score: Option<f64>,
        /// Why it failed, for people.
        message: Option<String>,
    },
    /// A unit ended.
    UnitFinished {
        /// Which.
        unit: UnitId,
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
