//! Synthetic heads with exact ground truth, and whole BIDS datasets of them.

mod acquisition;
mod anatomy;
mod atlas;
mod bold;
mod brain;
mod coverings;
mod dataset;
mod epi;
mod error;
mod field;
mod fieldmap;
mod fieldmap_dataset;
mod fieldmap_files;
mod files;
mod head;
mod hz_field;
mod motion;
mod networks;
mod push;
mod random;
mod raster;
mod run;
mod shapes;
mod source;
mod t1w;
mod tissue;
mod traits;
mod warp;

pub use bold::{SynthBold, bold, bold_epi, bold_grid};
pub use dataset::{DatasetSummary, scan_for, write_dataset};
pub use epi::{BoldSpec, Epi, EpiTruth, Wave, interleaved};
pub use error::SynthError;
pub use fieldmap::{EpiPair, FieldmapSpec, GradientEchoes, PairSpec, PhaseNumbers, epi_pair, gradient_echoes};
pub use fieldmap_dataset::{FieldmapDataset, FieldmapKind, FieldmapLink};
pub use fieldmap_files::{FieldmapTruth, write_fieldmap_dataset};
pub use hz_field::HzField;
pub use imaging::distortion::PhaseEncoding;
pub use motion::MotionLevel;
pub use t1w::{SynthT1w, T1wSpec, t1w};
pub use tissue::{Tissue, TissueRow};

use std::path::PathBuf;

/// The kinds of scan that can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A T1w image.
    T1w,
    /// A bold run.
    Bold,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::T1w, Self::Bold];

    /// BIDS' suffix.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::T1w => "T1w",
            Self::Bold => "bold",
        }
    }
}

/// A synthetic BIDS dataset to write.
#[derive(Clone, Debug, PartialEq)]
pub struct SynthConfig {
    /// Folder to create the dataset in; must not hold anything.
    pub dir: PathBuf,
    /// Number of participants, labelled `01`, `02`, …
    pub participants: usize,
    /// Sessions per participant, labelled `01`, …; 1 writes no session level.
    pub sessions: usize,
    /// Modalities to write.
    pub modalities: Vec<Kind>,
    /// Isotropic voxel size of the T1w images in mm; the bold series has coarser voxels.
    pub voxel_mm: f64,
    /// Volumes per bold series.
    pub volumes: usize,
    /// Seed; equal seeds give equal bytes.
    pub seed: u64,
}
