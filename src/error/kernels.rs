//! The codes of failures in the crates below, which have typed errors and know nothing of codes.

use super::{Coded, ErrorCode};
use figures::FigureError;
use imaging::bias::BiasError;
use imaging::brain::BrainError;
use imaging::coregistration::CoregisterError;
use imaging::distortion::DistortionError;
use imaging::echoes::EchoError;
use imaging::intensity::IntensityError;
use imaging::motion::MotionError;
use imaging::normalization::NormalizationError;
use nifti::{HeaderFault, NiftiError};
use phantom::SynthError;

/// Errors that all have one code.
macro_rules! coded {
    ($($error:ty => $code:ident;)*) => {
        $(impl Coded for $error {
            fn code(&self) -> ErrorCode {
                ErrorCode::$code
            }
        })*
    };
}

coded! {
    BiasError => BiasFailed;
    BrainError => NoBrain;
    CoregisterError => CoregistrationFailed;
    DistortionError => Panicked;
    EchoError => EchoesUnfit;
    FigureError => Panicked;
    MotionError => MotionFailed;
    IntensityError => NormalizationFailed;
    NormalizationError => RegistrationFailed;
}

impl Coded for NiftiError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Missing { .. } => ErrorCode::InputMissing,
            Self::Read { .. } => ErrorCode::ReadFailed,
            Self::NotMaterialised { .. } => ErrorCode::NotMaterialised,
            Self::NotNifti { .. } => ErrorCode::NotNifti,
            Self::Truncated { .. } => ErrorCode::Truncated,
            Self::CorruptGzip { .. } => ErrorCode::CorruptGzip,
            Self::TrailingData { .. } => ErrorCode::TrailingData,
            Self::Header { fault, .. } => match fault {
                HeaderFault::Malformed => ErrorCode::BadHeader,
                HeaderFault::Dimensions => ErrorCode::WrongDimensions,
                HeaderFault::DataType => ErrorCode::UnsupportedType,
                HeaderFault::Orientation => ErrorCode::BadOrientation,
            },
            Self::NonFinite { .. } => ErrorCode::NonFinite,
            Self::Memory { .. } => ErrorCode::OutOfMemory,
            Self::Shape { .. } => ErrorCode::Panicked,
            Self::Write(_) => ErrorCode::WriteFailed,
        }
    }
}

impl Coded for SynthError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Request { .. } => ErrorCode::Usage,
            Self::NotEmpty { .. } | Self::Folder { .. } => ErrorCode::OutputUnusable,
            Self::Write { source, .. } => source.code(),
        }
    }
}
