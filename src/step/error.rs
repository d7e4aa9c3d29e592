//! Why a stage refused a scan.

use crate::derivatives::DerivativeError;
use crate::error::{Coded, ErrorCode};
use crate::vocabulary::Stage;
use figures::FigureError;
use imaging::bias::BiasError;
use imaging::brain::BrainError;
use imaging::coregistration::CoregisterError;
use imaging::distortion::DistortionError;
use imaging::echoes::EchoError;
use imaging::intensity::IntensityError;
use imaging::motion::MotionError;
use imaging::normalization::NormalizationError;
use nifti::NiftiError;
use thiserror::Error;

/// A failure that ends one scan.
#[derive(Debug, Error)]
pub enum StageError {
    /// The file cannot be read as an image.
    #[error(transparent)]
    Nifti(#[from] NiftiError),
    /// The image is readable but not what it should be.
    #[error("{message}")]
    Invalid {
        /// The code of the rule it breaks.
        code: ErrorCode,
        /// What is wrong, where.
        message: String,
    },
    /// Something odd about the input, with `--strict`.
    #[error("{scan} is refused by --strict: {notes}")]
    Strict {
        /// The scan.
        scan: String,
        /// What would only have been noted.
        notes: String,
    },
    /// No brain was found.
    #[error(transparent)]
    Brain(#[from] BrainError),
    /// No bias field was found.
    #[error(transparent)]
    Bias(#[from] BiasError),
    /// The volumes could not be aligned.
    #[error(transparent)]
    Motion(#[from] MotionError),
    /// The brain could not be registered to a template.
    #[error("{template}: {source}")]
    Registration {
        /// The template.
        template: String,
        /// Why.
        source: NormalizationError,
    },
    /// The echoes of a run could not be combined.
    #[error(transparent)]
    Echoes(#[from] EchoError),
    /// The distortion of a run could not be undone with a field that fits it, which would be a defect.
    #[error(transparent)]
    Distortion(#[from] DistortionError),
    /// The run could not be laid onto the T1w image.
    #[error(transparent)]
    Coregistration(#[from] CoregisterError),
    /// No reference intensity was found.
    #[error(transparent)]
    Normalize(#[from] IntensityError),
    /// A picture could not be made.
    #[error(transparent)]
    Figure(#[from] FigureError),
    /// An output could not be written.
    #[error(transparent)]
    Derivative(#[from] DerivativeError),
    /// A failure on purpose.
    #[error("failed on purpose (--fail-rate)")]
    Injected,
    /// The run was asked to stop.
    #[error("the run was stopped before this scan was done; run the same command again to go on")]
    Interrupted,
    /// A defect stopped the scan.
    #[error("a defect stopped this scan: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
    },
}

/// A failure and the stage it happened in.
#[derive(Debug)]
pub struct Failed {
    /// The innermost stage that failed.
    pub stage: Stage,
    /// Why.
    pub error: StageError,
}

impl Coded for StageError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Nifti(e) => e.code(),
            Self::Invalid { code, .. } => *code,
            Self::Strict { .. } => ErrorCode::Strict,
            Self::Brain(e) => e.code(),
            Self::Bias(e) => e.code(),
            Self::Motion(e) => e.code(),
            Self::Registration { source, .. } => source.code(),
            Self::Echoes(e) => e.code(),
            Self::Distortion(e) => e.code(),
            Self::Coregistration(e) => e.code(),
            Self::Normalize(e) => e.code(),
            Self::Figure(e) => e.code(),
            Self::Derivative(e) => e.code(),
            Self::Injected => ErrorCode::InjectedFailure,
            Self::Interrupted => ErrorCode::Interrupted,
            Self::Panicked { .. } => ErrorCode::Panicked,
        }
    }
}
