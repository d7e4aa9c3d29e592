//! BIDS: what is in a dataset and what its files are called.
//!
//! [`index`] walks a dataset once; [`Index::select`] selects scans, [`Index::metadata`] what the sidecars
//! say of a scan; [`derivative_name`] and [`participant_dir`] name what is made from it.

mod dataset;
mod entities;
mod error;
mod filter;
mod index;
mod instead;
mod json;
mod label;
mod names;
mod nearest;
mod other;
mod participants;
mod scan;
mod select;
mod sidecar;
mod skip;
mod values;
mod walk;

pub use dataset::{Check, DatasetDescription};
pub use entities::{Entities, EntityError, long_key, short_key};
pub use error::{BidsError, LabelKind, UnknownLabel};
pub use filter::Filter;
pub use index::{Index, Participant, index, index_of};
pub(crate) use instead::dicom_below;
pub(crate) use json::read_object;
pub use label::{Label, LabelError, without_sub};
pub use names::{NameError, derivative_name, participant_dir};
pub use other::Other;
pub(crate) use scan::split_extension;
pub use scan::{Datatype, Extension, ScanFile, Suffix};
pub use skip::{SkipReason, Skipped};
pub use values::tidy;

use std::collections::HashSet;

/// The kinds of image this tool preprocesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Modality {
    /// T1-weighted anatomical image, 3-D.
    T1w,
    /// BOLD functional series, 4-D.
    Bold,
}

impl Modality {
    /// Every modality.
    pub const ALL: [Self; 2] = [Self::T1w, Self::Bold];

    /// The BIDS suffix, also the `modality` label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::T1w => "T1w",
            Self::Bold => "bold",
        }
    }
}

/// The selection from a dataset. Empty lists mean everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Participant labels, without `sub-`.
    pub participants: Vec<String>,
    /// Session labels, without `ses-`; `unnamed` means scans without a session.
    pub sessions: Vec<String>,
    /// Tasks of bold runs, without `task-`; other scans are not concerned.
    pub tasks: Vec<String>,
    /// Participant-sessions as pairs of labels; a session that is absent or `unnamed` means scans without one.
    pub subcohort: Vec<(String, Option<String>)>,
    /// Modalities to process.
    pub modalities: Vec<Modality>,
    /// A PyBIDS-style filter file.
    pub filter_file: Option<std::path::PathBuf>,
}

impl Selection {
    /// The labels of the only participants whose scans can be selected; `None` when they can be anybody's. A filter file and
    /// tasks need the whole dataset: a section or a task that fits none of its scans is an error.
    #[must_use]
    pub fn only_participants(&self) -> Option<HashSet<&str>> {
        let named = self.participants.iter().map(|label| without_sub(label));
        let listed = self.subcohort.iter().map(|(label, _)| without_sub(label));
        let labels: HashSet<&str> = named.chain(listed).collect();
        let whole = self.filter_file.is_some() || self.checks_tasks();
        (!labels.is_empty() && !whole).then_some(labels)
    }

    /// Whether a task that no run has is an error. Not with a subcohort, as in the tasks of an array job: its participants
    /// may lack what others have.
    fn checks_tasks(&self) -> bool {
        !self.tasks.is_empty() && self.subcohort.is_empty()
    }
}
