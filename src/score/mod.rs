//! Scores derivatives against the truth that a synthetic dataset carries: masks, fields, contrast and motion.
//!
//! Only names and formats of BIDS derivatives are assumed, so that the output of another tool, laid out with the same
//! names, is scored by the same rule. The truth comes from `derivatives/ground-truth` of the raw dataset (`synth` writes
//! it). `find` says which scans there are and where their files lie, `t1w` and `bold` compare, `measure` is the table of
//! what is measured, `report` makes text and JSON of it.

mod bold;
mod compare;
mod find;
mod measure;
mod report;
mod t1w;

pub use measure::Measure;

use crate::bids::{Modality, NameError};
use crate::error::{Coded, ErrorCode};
use nifti::NiftiError;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How one scan's derivatives compare with the truth.
#[derive(Debug)]
pub struct ScanScore {
    /// The scan's name, such as `sub-01_T1w`.
    pub scan: String,
    /// What it is.
    pub modality: Modality,
    /// What could be measured.
    pub measures: BTreeMap<Measure, f64>,
    /// What could not, and why.
    pub problems: Vec<Problem>,
}

/// The scores of a derivative dataset.
#[derive(Debug)]
pub struct Scores {
    /// The derivatives, as given.
    pub derivatives: PathBuf,
    /// The truth they were compared with.
    pub truth: PathBuf,
    /// Every scan that has a truth or a derivative, T1w first, in the order of their names.
    pub scans: Vec<ScanScore>,
}

impl Scores {
    /// Whether every scan has its derivatives and its truth, and all measures could be taken.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.scans.iter().all(|s| s.problems.is_empty())
    }
}

/// Why a scan lacks measures.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A file of the derivatives is not there.
    #[error("derivative missing: {}", .0.display())]
    NoDerivative(PathBuf),
    /// A file of the truth is not there.
    #[error("truth missing: {}", .0.display())]
    NoTruth(PathBuf),
    /// The raw dataset, whose image the ideal is made from, is not known or lacks the scan.
    #[error("raw image missing: {}", .0.display())]
    NoRaw(PathBuf),
    /// An image cannot be read.
    #[error(transparent)]
    Image(#[from] NiftiError),
    /// The derivative has another grid than the truth.
    #[error("{} is not on the grid of the truth; resample it to the scan it was made from", .0.display())]
    Grid(PathBuf),
    /// A table or sidecar does not hold what its name says.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The images are there, but too empty to be compared.
    #[error("{0} cannot be measured: too few usable voxels")]
    Empty(&'static str),
    /// A file cannot be named.
    #[error(transparent)]
    Name(#[from] NameError),
}

/// Why nothing was scored.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// The truth was not given and cannot be found.
    #[error("no ground truth for {}: {why}; name its folder with --truth", derivatives.display())]
    NoTruth {
        /// The derivatives.
        derivatives: PathBuf,
        /// Where it was looked for.
        why: String,
    },
    /// There is nothing to compare.
    #[error("neither {} nor {} has a brain mask named as BIDS derivatives are", derivatives.display(), truth.display())]
    NoScans {
        /// The derivatives.
        derivatives: PathBuf,
        /// The truth.
        truth: PathBuf,
    },
}

impl Coded for ScoreError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NoTruth { .. } => ErrorCode::InputMissing,
            Self::NoScans { .. } => ErrorCode::NothingMatches,
        }
    }
}

/// Scores the derivatives in `derivatives` against `truth`, which is found through the derivatives' description where it
/// is not given. One scan at a time is in memory.
///
/// # Errors
/// [`ScoreError`] where there is no truth or no scan at all. What a single scan lacks is in its [`ScanScore`].
pub fn score(derivatives: &Path, truth: Option<&Path>) -> Result<Scores, ScoreError> {
    let truth = truth.map_or_else(|| find::truth_of(derivatives), |t| Ok(t.to_owned()))?;
    let roots = find::Roots::new(derivatives, &truth);
    let scans: Vec<ScanScore> = find::scans(&roots)
        .into_iter()
        .map(|scan| match scan.modality {
            Modality::T1w => t1w::score(&roots, &scan),
            Modality::Bold => bold::score(&roots, &scan),
        })
        .collect();
    let derivatives = derivatives.to_owned();
    if scans.is_empty() {
        return Err(ScoreError::NoScans { derivatives, truth });
    }
    Ok(Scores { derivatives, truth, scans })
}
