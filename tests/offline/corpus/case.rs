//! What a case of the corpus is: a bad or odd input, how it is made, and what must come of it.

use crate::common::nifti::{File, TYPES, gzip};
use neuro_preprocess::error::ErrorCode;
use std::fs;
use std::path::{Path, PathBuf};

/// What must come of a scan.
pub enum Outcome {
    /// It is processed; a part of each note it leaves, in order.
    Accepted(&'static [&'static str], Peer),
    /// It fails alone, with this code and these parts of its message.
    Refused(ErrorCode, &'static [&'static str]),
    /// It is not taken for a scan, and listed with this reason.
    LeftOut(&'static str),
}

/// How what was read compares with nibabel.
pub enum Peer {
    /// Values, affine, voxel sizes and repetition time are the same.
    Same,
    /// These differ (`values`, `affine`, `zooms`, `tr`, or `refused`), for this reason.
    Differs(&'static str, &'static str),
}

/// Accepted, and there is nothing to say about it.
pub const FINE: Outcome = Outcome::Accepted(&[], Peer::Same);

/// Accepted with one note, read as nibabel does.
pub const fn noted(note: &'static [&'static str]) -> Outcome {
    Outcome::Accepted(note, Peer::Same)
}

/// A bad or odd scan in a dataset of many.
pub struct Case {
    /// What is wrong with it, for the table.
    pub name: &'static str,
    /// Whether it is a bold run.
    pub bold: bool,
    /// What must come of it.
    pub outcome: Outcome,
    /// Puts it into the dataset.
    pub make: Box<dyn Fn(&Spot<'_>)>,
}

/// A case with a T1w image.
pub fn t1w(name: &'static str, outcome: Outcome, make: impl Fn(&Spot<'_>) + 'static) -> Case {
    Case { name, bold: false, outcome, make: Box::new(make) }
}

/// A case with a bold run.
pub fn bold(name: &'static str, outcome: Outcome, make: impl Fn(&Spot<'_>) + 'static) -> Case {
    Case { name, bold: true, outcome, make: Box::new(make) }
}

/// A T1w image whose NIfTI file differs by `change` from a good one.
pub fn header(name: &'static str, outcome: Outcome, change: impl Fn(&mut File) + 'static) -> Case {
    t1w(name, outcome, move |s| {
        let mut file = s.head();
        change(&mut file);
        s.gz(&file.bytes());
    })
}

/// A T1w image whose uncompressed bytes differ by `change` from those of a good one.
pub fn bytes(name: &'static str, outcome: Outcome, change: impl Fn(&mut Vec<u8>) + 'static) -> Case {
    t1w(name, outcome, move |s| {
        let mut bytes = s.head().bytes();
        change(&mut bytes);
        s.gz(&bytes);
    })
}

/// A small head that can be processed: its values between 0 and 1, and where they lie.
pub struct Head {
    file: File,
    values: Vec<f64>,
}

impl Head {
    /// Of a readable image.
    pub fn of(path: &Path) -> Self {
        let image = nifti::read(path).unwrap();
        let (nt, nz, ny, nx) = image.data.dim();
        let dims = [nx, ny, nz, nt].map(|n| n as i64);
        let highest = f64::from(image.data.iter().copied().fold(0.0, f32::max));
        let values: Vec<f64> = image.data.iter().map(|v| f64::from(v.max(0.0)) / highest).collect();
        let [x, y, z, _] = image.header.grid().affine;
        let [dz, dy, dx] = image.header.grid().voxel_mm;
        let mut file = File::new(if nt == 1 { &dims[..3] } else { &dims });
        file.srow = [x, y, z];
        file.pixdim = [1.0, dx, dy, dz, if nt == 1 { 0.0 } else { 2.0 }, 0.0, 0.0, 0.0];
        let head = Self { file, values };
        Self { file: head.stored(4), ..head }
    }

    /// The image with voxels of a type, little-endian.
    pub fn stored(&self, datatype: i16) -> File {
        self.with(datatype, |v| v)
    }

    /// The same with the values, between 0 and 1, changed.
    pub fn with(&self, datatype: i16, change: impl Fn(f64) -> f64) -> File {
        let highest = if matches!(datatype, 2 | 256) { 125.0 } else { 1000.0 };
        let values = self.values.iter().map(|v| change(*v) * highest);
        let kind = TYPES.iter().find(|t| t.code == datatype).unwrap();
        self.file.clone().voxels(datatype, kind.bits, values.flat_map(kind.encode).collect())
    }
}

/// A file with the other byte order.
pub fn big_endian(mut file: File) -> File {
    file.data.chunks_mut(file.bitpix as usize / 8).for_each(<[u8]>::reverse);
    file.big = true;
    file
}

/// The two heads all cases are made of.
pub struct Heads {
    pub t1w: Head,
    pub bold: Head,
}

/// Where a case is put: a participant of a dataset.
pub struct Spot<'a> {
    pub root: &'a Path,
    /// Without `sub-`; it stands in no other case's paths.
    pub label: String,
    pub bold: bool,
    pub heads: &'a Heads,
}

impl Spot<'_> {
    /// The good image.
    pub fn head(&self) -> File {
        self.any_head().stored(4)
    }

    /// The good image, to be stored in other ways.
    pub fn any_head(&self) -> &Head {
        if self.bold { &self.heads.bold } else { &self.heads.t1w }
    }

    /// A path in the dataset, whose folder is made. `SUB` stands for the participant's folder or its name.
    pub fn at(&self, path: &str) -> PathBuf {
        let path = self.root.join(path.replace("SUB", &format!("sub-{}", self.label)));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// The scan's path, without its extension.
    fn stem(&self) -> &'static str {
        if self.bold { "SUB/func/SUB_task-rest_bold" } else { "SUB/anat/SUB_T1w" }
    }

    /// The scan's path with an extension.
    pub fn scan(&self, extension: &str) -> PathBuf {
        self.at(&format!("{}{extension}", self.stem()))
    }

    /// Writes the scan as `.nii.gz`, compressed.
    pub fn gz(&self, bytes: &[u8]) {
        fs::write(self.scan(".nii.gz"), gzip(bytes)).unwrap();
        self.usual_sidecar();
    }

    /// Writes these very bytes as `.nii.gz`.
    pub fn raw(&self, bytes: &[u8]) {
        fs::write(self.scan(".nii.gz"), bytes).unwrap();
        self.usual_sidecar();
    }

    /// Writes these very bytes as `.nii`.
    pub fn plain(&self, bytes: &[u8]) {
        fs::write(self.scan(".nii"), bytes).unwrap();
        self.usual_sidecar();
    }

    fn usual_sidecar(&self) {
        if self.bold {
            self.sidecar(br#"{"RepetitionTime": 2.0, "TaskName": "rest"}"#);
        }
    }

    /// Writes the scan's own sidecar.
    pub fn sidecar(&self, bytes: &[u8]) {
        fs::write(self.scan(".json"), bytes).unwrap();
    }

    /// A good scan with a sidecar of these bytes.
    pub fn with_sidecar(&self, bytes: &[u8]) {
        self.gz(&self.head().bytes());
        self.sidecar(bytes);
    }

    /// Writes the good scan to a path (see [`Spot::at`]).
    pub fn copy_to(&self, path: &str) {
        fs::write(self.at(path), gzip(&self.head().bytes())).unwrap();
    }
}
