//! The plan: what there is, what of it is to be done, and what was done already. Nothing is read beyond headers,
//! sidecars and success markers, but for images that look moved; nothing is written.

mod anatomy;
mod dataset;
mod echoes;
mod fieldmap;
mod fieldmaps;
mod images;
mod lesions;
mod list;
mod loose;
mod memory;
mod resume;
mod show;
mod units;

pub use anatomy::groups;
pub use dataset::{Survey, plan_dataset, survey};
pub use fieldmap::{EpiImage, FieldImage, FieldKind, Fieldmap, FieldmapPlan};
pub use images::{Images, Indexed};
pub use list::{list_json, list_text};
pub use loose::{plan_file, plan_folder};
pub use memory::MemoryBudget;
pub use resume::done_since;
pub use show::{to_text, write_json};
pub use units::{AnatomyPlan, AnatomySource, Echo, FORMAT, Lesion, Need, Plan, Problem, ScanPlan, SessionPlan};

use crate::bids::BidsError;
use crate::error::{Coded, ErrorCode};
use crate::nipoppy::NipoppyError;
use crate::printable;
use crate::vocabulary::{Resume, Wanted};
use std::path::{Path, PathBuf};

/// How to plan, besides what to select.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanOptions {
    /// Do again what was done.
    pub force: bool,
    /// What of an output must be as it was for a scan to be kept.
    pub resume: Resume,
    /// Take a folder that breaks BIDS rules as far as it can be understood.
    pub skip_validation: bool,
    /// What is wanted of each scan.
    pub wanted: Wanted,
    /// Also keep the index of every image of the dataset, to be written with the plan.
    pub images: bool,
    /// Read only the folders of the selected participants. Nothing is reported about the others then, such as which
    /// of their files are left out.
    pub selected_only: bool,
    /// Refuse a dataset with left-out files or other warnings.
    pub strict: bool,
}

/// A request that no plan can be made for.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The dataset or the selection is wrong.
    #[error(transparent)]
    Bids(#[from] BidsError),
    /// The study is wrong.
    #[error(transparent)]
    Nipoppy(#[from] NipoppyError),
    /// There is no scan in the folder.
    #[error("{}: {why}", root.display())]
    NoScans {
        /// The folder.
        root: PathBuf,
        /// What was looked for.
        why: String,
    },
    /// Something is left out or tolerated, with `--strict`.
    #[error("{} is refused by --strict: {}", root.display(), named(oddities))]
    Strict {
        /// The folder.
        root: PathBuf,
        /// What would only have been noted.
        oddities: Vec<String>,
    },
    /// No place to write to was named.
    #[error(
        "an output folder is needed: neuro-preprocess BIDS_DIR OUTPUT_DIR participant (only a Nipoppy study has its own)"
    )]
    NoOutput,
    /// Two files would be written to the same place.
    #[error("{} and {} would have the same outputs; rename one of them", .0.display(), .1.display())]
    SameOutputs(PathBuf, PathBuf),
}

impl Coded for PlanError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Bids(e) => e.code(),
            Self::Nipoppy(e) => e.code(),
            Self::NoScans { .. } => ErrorCode::NothingMatches,
            Self::Strict { .. } => ErrorCode::Strict,
            Self::NoOutput => ErrorCode::Usage,
            Self::SameOutputs(..) => ErrorCode::DatasetInvalid,
        }
    }
}

/// The first few of a list, and how many more there are.
fn named(oddities: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = oddities.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("; ");
    if oddities.len() > SHOWN {
        text.push_str(&format!("; and {} more (--dry-run without --strict names all)", oddities.len() - SHOWN));
    }
    text
}

/// With `--strict`, refuses a folder of which anything would be left out or tolerated.
fn be_strict(root: &Path, warnings: &[String], skipped: &[(PathBuf, String)]) -> Result<(), PlanError> {
    let left_out = skipped.iter().map(|(path, why)| format!("{}: {why}", printable::path(path)));
    let oddities: Vec<String> = warnings.iter().cloned().chain(left_out).collect();
    if oddities.is_empty() { Ok(()) } else { Err(PlanError::Strict { root: root.to_owned(), oddities }) }
}
