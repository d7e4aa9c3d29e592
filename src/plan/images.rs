//! Every image of a dataset with its metadata, for those who ask for the plan as JSON. A sidecar may have many kilobytes, so
//! they are read when an image is written and forgotten after it.

use crate::bids::{Index, ScanFile};
use rayon::prelude::*;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::path::PathBuf;

/// Images whose sidecars are read at the same time.
const TOGETHER: usize = 512;

/// The images of a dataset, whether they are processed or not.
#[derive(Debug)]
pub struct Images {
    index: Index,
    selected: HashSet<PathBuf>,
}

/// An image of the dataset as the index sees it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Indexed {
    /// Path relative to the dataset.
    pub path: PathBuf,
    /// `anat` or `func`.
    pub datatype: &'static str,
    /// BIDS suffix.
    pub suffix: &'static str,
    /// `.nii` or `.nii.gz`.
    pub extension: &'static str,
    /// Entities in the order of the name.
    pub entities: Map<String, Value>,
    /// Metadata after inheritance; empty when a sidecar is broken.
    pub metadata: Map<String, Value>,
    /// Whether this run will process it.
    pub selected: bool,
}

impl Images {
    /// Those of `index`, of which `selected` are processed, by their paths relative to the dataset.
    pub(super) const fn new(index: Index, selected: HashSet<PathBuf>) -> Self {
        Self { index, selected }
    }

    /// One after the other, in the order of the index.
    pub fn iter(&self) -> impl Iterator<Item = Indexed> {
        let read = |files: &[ScanFile]| files.par_iter().map(|file| self.indexed(file)).collect::<Vec<_>>();
        self.index.scans.chunks(TOGETHER).flat_map(read)
    }

    fn indexed(&self, file: &ScanFile) -> Indexed {
        Indexed {
            path: file.path.clone(),
            datatype: file.datatype.as_str(),
            suffix: file.suffix.as_str(),
            extension: file.extension.as_str(),
            entities: file.entities.iter().map(|(k, v)| (k.to_owned(), Value::from(v))).collect(),
            metadata: self.index.metadata(file).unwrap_or_default(),
            selected: self.selected.contains(&file.path),
        }
    }
}
