//! Synthetic heads with exact ground truth, and whole BIDS datasets of them.

mod acquisition;
mod anatomy;
mod bold;
mod brain;
mod cortex;
mod coverings;
mod dataset;
mod error;
mod field;
mod files;
mod head;
mod motion;
mod networks;
mod random;
mod raster;
mod shapes;
mod t1w;
mod tissue;
mod traits;

pub use bold::{BoldSpec, SynthBold, bold};
pub use dataset::{DatasetSummary, scan_for, write_dataset};
pub use error::SynthError;
pub use motion::MotionLevel;
pub use t1w::{SynthT1w, T1wSpec, t1w};
pub use tissue::{Tissue, TissueRow};

use crate::bids::Modality;
use std::path::PathBuf;

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
    pub modalities: Vec<Modality>,
    /// Isotropic voxel size of the T1w images in mm; the bold series has coarser voxels.
    pub voxel_mm: f64,
    /// Volumes per bold series.
    pub volumes: usize,
    /// Seed; equal seeds give equal bytes.
    pub seed: u64,
}
