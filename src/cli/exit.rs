//! The exit statuses of the program: number, name and meaning in one table, from which the table in `docs/errors.md` is made.
//!
//! 0, 1 and 16 to 19 follow the BIDS execution specification (BEP027), the others BSD's `sysexits.h`.

use crate::error::{ErrorClass, ErrorCode};

macro_rules! exit_statuses {
    ($($name:ident $number:literal $text:literal, $meaning:literal;)*) => {
        /// How the program ended, for the shell, Nipoppy, Boutiques and schedulers. A number is never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ExitStatus { $(#[doc = $meaning] $name,)* }

        impl ExitStatus {
            /// Every status, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The number the shell sees.
            #[must_use]
            pub const fn number(self) -> u8 { match self { $(Self::$name => $number,)* } }

            /// Its short name in documents and messages.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $text,)* } }

            /// What it says, in one sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str { match self { $(Self::$name => $meaning,)* } }
        }
    };
}

exit_statuses! {
    Success 0 "ok", "Every scan is done, was done before, or is being processed by another run.";
    ScanFailed 1 "scan-failed", "The run finished, but at least one scan failed.";
    InvalidDataset 16 "invalid-dataset", "The input is not a usable BIDS dataset or Nipoppy study.";
    UnknownLevel 17 "unknown-level", "The analysis level is missing, or neither participant nor group.";
    NothingMatches 18 "nothing-matches", "A selected label does not exist, or the filters leave no scan.";
    InvocationMixed 19 "invocation-mixed", "Both an invocation file and other arguments were given.";
    Usage 64 "usage", "The command line, an environment variable or the configuration file cannot be understood.";
    BadData 65 "bad-data", "The scan is not usable: damaged, incomplete, or not what its name says.";
    NoInput 66 "no-input", "An input file or folder does not exist.";
    Internal 70 "internal", "A defect in neuro-preprocess.";
    CannotCreate 73 "cannot-create", "The output file or folder cannot be created.";
    InputOutput 74 "input-output", "Reading or writing failed during the run.";
    Interrupted 75 "interrupted", "The run was stopped before its end; run the same command again to continue.";
}

impl From<ErrorCode> for ExitStatus {
    /// The status of a run that this failure ends. A run in which single scans failed ends with
    /// [`ExitStatus::ScanFailed`] whatever their codes are.
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::InputMissing => Self::NoInput,
            ErrorCode::NotBids
            | ErrorCode::NotTheRoot
            | ErrorCode::Dicom
            | ErrorCode::DatasetInvalid
            | ErrorCode::NipoppyInvalid
            | ErrorCode::Strict => Self::InvalidDataset,
            ErrorCode::UnknownLabel | ErrorCode::NothingMatches => Self::NothingMatches,
            ErrorCode::UnknownLevel => Self::UnknownLevel,
            ErrorCode::InvocationMixed => Self::InvocationMixed,
            ErrorCode::OutputUnusable => Self::CannotCreate,
            other => match other.class() {
                ErrorClass::Request => Self::Usage,
                ErrorClass::Validation => Self::BadData,
                ErrorClass::Io => Self::InputOutput,
                ErrorClass::Cancelled => Self::Interrupted,
                ErrorClass::Internal => Self::Internal,
                ErrorClass::Processing | ErrorClass::Memory | ErrorClass::Injected => Self::ScanFailed,
            },
        }
    }
}

impl From<ExitStatus> for std::process::ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn numbers_and_names_are_unique() {
        let numbers: HashSet<_> = ExitStatus::ALL.iter().map(|s| s.number()).collect();
        let names: HashSet<_> = ExitStatus::ALL.iter().map(|s| s.as_str()).collect();
        assert_eq!((numbers.len(), names.len()), (ExitStatus::ALL.len(), ExitStatus::ALL.len()));
        assert!(ExitStatus::ALL.iter().all(|s| s.meaning().ends_with('.')));
    }

    #[test]
    fn no_failure_ends_as_success() {
        assert!(ErrorCode::ALL.iter().all(|c| ExitStatus::from(*c) != ExitStatus::Success));
    }

    #[test]
    fn requests_get_the_numbers_of_the_bids_execution_specification() {
        let number = |code| ExitStatus::from(code).number();
        assert_eq!(number(ErrorCode::NotBids), 16);
        assert_eq!(number(ErrorCode::UnknownLevel), 17);
        assert_eq!(number(ErrorCode::NothingMatches), 18);
        assert_eq!(number(ErrorCode::InvocationMixed), 19);
        assert_eq!(number(ErrorCode::ConfigInvalid), 64);
        assert_eq!(number(ErrorCode::Truncated), 65);
        assert_eq!(number(ErrorCode::InputMissing), 66);
        assert_eq!(number(ErrorCode::Panicked), 70);
        assert_eq!(number(ErrorCode::OutputUnusable), 73);
        assert_eq!(number(ErrorCode::WriteFailed), 74);
        assert_eq!(number(ErrorCode::Interrupted), 75);
        assert_eq!(number(ErrorCode::NoBrain), 1);
    }
}
