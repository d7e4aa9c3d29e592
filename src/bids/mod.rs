//! BIDS: what is in a dataset and what its files are called.

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

/// What of a dataset was asked for. Empty lists mean everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Participant labels, without `sub-`.
    pub participants: Vec<String>,
    /// Session labels, without `ses-`; `unnamed` means scans without a session.
    pub sessions: Vec<String>,
    /// Modalities to process.
    pub modalities: Vec<Modality>,
    /// A PyBIDS-style filter file.
    pub filter_file: Option<std::path::PathBuf>,
}
