//! The plan: what there is, what of it is to be done, and what was done already. Nothing is read beyond headers,
//! sidecars and success markers, but for images that look moved; nothing is written.

mod dataset;
mod images;
mod list;
mod loose;
mod memory;
mod resume;
mod show;
mod units;

pub use dataset::{Survey, plan_dataset, survey};
pub use images::{Images, Indexed};
pub use list::{list_json, list_text};
pub use loose::{plan_file, plan_folder};
pub use memory::{Need, Room};
pub use resume::is_done;
pub use show::{to_text, write_json};
pub use units::{Plan, Problem, ScanPlan, Source, Unit};

use crate::bids::{BidsError, NameError};
use crate::error::{Coded, ErrorCode};
use crate::nipoppy::NipoppyError;
use std::path::PathBuf;

/// How to plan, besides what to select.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanOptions {
    /// Do again what was done.
    pub force: bool,
    /// Generate volumes from this seed instead of reading them.
    pub synthetic: Option<u64>,
    /// Take a folder that breaks BIDS rules as far as it can be understood.
    pub skip_validation: bool,
    /// Also leave tissue maps of T1w scans.
    pub tissues: bool,
    /// Also keep the index of every image of the dataset, to be written with the plan.
    pub images: bool,
    /// Look only into the folders of the participants that are asked for. Of the others nothing is said then, such as which
    /// of their files are left out.
    pub selected_only: bool,
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
    /// No outputs can be named for a scan.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There is no scan in the folder.
    #[error("there is nothing to process in {}: {why}", root.display())]
    NoScans {
        /// The folder.
        root: PathBuf,
        /// What was looked for.
        why: String,
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
            Self::Name(e) => e.code(),
            Self::NoScans { .. } => ErrorCode::NothingMatches,
            Self::NoOutput => ErrorCode::Usage,
            Self::SameOutputs(..) => ErrorCode::DatasetInvalid,
        }
    }
}
