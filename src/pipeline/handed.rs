//! What is handed on from the T1w image of a participant to the bold runs: always read back from the derivatives, also within
//! one run, so that a run that goes on where another ended gives the same bytes.

use crate::derivatives::ledger::{Entry, Ledger, UsedAnatomy};
use crate::derivatives::outputs::OutputKind;
use crate::error::{Coded, ErrorCode};
use crate::plan::{AnatomyPlan, AnatomySource, SessionPlan};
use crate::step::{Finished, StageError};
use crate::vocabulary::{Resolution, Space, Spaces, TemplateId};
use imaging::coregistration::{CoregisterError, HeadModel};
use imaging::filter::bounding_box;
use imaging::rigid::{IDENTITY, Matrix4, compose};
use imaging::segmentation::Tissue;
use ndarray::{Array3, Axis, s};
use nifti::{Grid, NiftiError};
use std::cell::OnceCell;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Voxels kept around the brain.
const AROUND: usize = 12;

/// What the bold runs of a session may ask of the anatomy.
pub enum Handed {
    /// No run goes beyond its own space.
    NotNeeded,
    /// There is none; why, in words that follow a colon.
    Lacking(String),
    /// There is one, read when the first run asks for it.
    There(Box<Source>),
}

/// An anatomy that is done, and its files.
pub struct Source {
    root: PathBuf,
    entry: Entry,
    /// How many T1w images there are besides.
    others: usize,
    read: OnceCell<Anatomy>,
}

/// The anatomy of a participant, as it is on disk.
pub struct Anatomy {
    /// The grid of the T1w image.
    pub grid: Grid,
    /// The corrected image around the brain, `(nz, ny, nx)`.
    pub image: Array3<f32>,
    /// From the voxels around the brain to RAS+ mm.
    pub affine: Matrix4,
    /// The shares of grey matter, white matter and CSF in the same voxels, in the order of [`Tissue::ALL`].
    pub shares: [Array3<f32>; 3],
    /// What runs are laid onto.
    pub model: HeadModel,
}

/// Why an anatomy cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum AnatomyError {
    /// An image of it.
    #[error(transparent)]
    Nifti(#[from] NiftiError),
    /// A transform of it.
    #[error("{}: {source}; remove it, and the T1w image is done again", path.display())]
    Transform {
        /// The file.
        path: PathBuf,
        /// Why.
        source: itk::ItkError,
    },
    /// It was made without something that is needed now.
    #[error("{scan} was processed without {what}; process its session again with the same --output-spaces")]
    Without {
        /// The T1w image.
        scan: String,
        /// The kind of file.
        what: &'static str,
    },
    /// Its files do not fit together.
    #[error("{}: {problem}; remove it, and the T1w image is done again", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// It has no white matter to lay a run onto.
    #[error(transparent)]
    Model(#[from] CoregisterError),
}

impl Coded for AnatomyError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Nifti(_) | Self::Transform { .. } | Self::Without { .. } | Self::Unfit { .. } => ErrorCode::NoAnatomy,
            Self::Model(e) => e.code(),
        }
    }
}

/// What there is to hand on in a session, once its T1w images are over.
pub fn anatomy(root: &Path, plan: &SessionPlan, finished: &[Finished]) -> Handed {
    let source = match &plan.anatomy {
        AnatomyPlan::NotNeeded => return Handed::NotNeeded,
        AnatomyPlan::Absent => return Handed::Lacking(format!("sub-{} has no T1w image", plan.id.participant)),
        AnatomyPlan::Of(source) => source,
    };
    let AnatomySource { session, marker_session, scan, others } = source;
    let id = scan.file_name().unwrap_or_default().to_string_lossy();
    let id = id.split_once('.').map_or(&*id, |(stem, _)| stem);
    let failed = finished.iter().find(|f| f.summary.scan_id == id).and_then(|f| f.summary.error.as_ref());
    if let Some(failure) = failed {
        return Handed::Lacking(format!("the T1w image {id} failed ({})", failure.code));
    }
    let ledger = Ledger::read(root, session, marker_session.as_deref());
    match ledger.as_ref().and_then(|ledger| ledger.entry(scan)) {
        None => Handed::Lacking(format!("the T1w image {id} is not done")),
        Some(entry) if entry.done.without_tissues => {
            Handed::Lacking(format!("the tissues of the T1w image {id} could not be told apart"))
        }
        Some(entry) => Handed::There(Box::new(Source {
            root: root.to_owned(),
            entry: entry.clone(),
            others: *others,
            read: OnceCell::new(),
        })),
    }
}

impl Source {
    /// What the ledger says of a run that was laid onto it.
    pub fn used(&self) -> UsedAnatomy {
        UsedAnatomy { path: self.entry.done.path.clone(), finished: self.entry.finished }
    }

    /// The corrected T1w image, relative to the output folder.
    pub fn image(&self) -> Option<&Path> {
        self.entry.summary.file(OutputKind::Preproc)
    }

    /// The T1w image's name.
    pub fn id(&self) -> &str {
        &self.entry.summary.scan_id
    }

    /// How many T1w images there are besides.
    pub const fn others(&self) -> usize {
        self.others
    }

    /// The anatomy, read on first use.
    pub fn anatomy(&self) -> Result<&Anatomy, AnatomyError> {
        match self.read.get() {
            Some(read) => Ok(read),
            None => {
                let read = self.read()?;
                Ok(self.read.get_or_init(|| read))
            }
        }
    }

    /// Refuses spaces that the T1w image was not brought to when it was processed.
    pub fn has(&self, spaces: &Spaces) -> Result<(), AnatomyError> {
        let known = |space: &Space| match space {
            Space::Template(id, _) => {
                let unsaid = Space::Template(id.clone(), Resolution::Unsaid).to_string();
                self.file(OutputKind::ToTemplate, Some(&unsaid)).map(drop)
            }
            Space::T1w | Space::Func => Ok(()),
        };
        spaces.beyond_own().try_for_each(known)
    }

    /// The map of points of a template to the T1w image.
    pub fn to_t1w(&self, template: &TemplateId) -> Result<itk::Composite, AnatomyError> {
        let space = Space::Template(template.clone(), Resolution::Unsaid).to_string();
        let path = self.file(OutputKind::ToTemplate, Some(&space))?;
        let failed = |source| AnatomyError::Transform { path: path.clone(), source };
        let file = std::fs::File::open(&path).map_err(|e| failed(e.into()))?;
        itk::read_h5(std::io::BufReader::new(file)).map_err(failed)
    }

    fn file(&self, kind: OutputKind, space: Option<&str>) -> Result<PathBuf, AnatomyError> {
        let file = self.entry.summary.file_in(kind, space).map(|path| self.root.join(path));
        file.ok_or_else(|| AnatomyError::Without { scan: self.id().to_owned(), what: kind.as_str() })
    }

    fn volume(&self, kind: OutputKind, grid: Option<&Grid>) -> Result<(Array3<f32>, Grid), AnatomyError> {
        let path = self.file(kind, None)?;
        let image = nifti::read(&path)?;
        let there = image.header.grid().clone();
        let fits = grid.is_none_or(|grid| grid.shape == there.shape) && image.data.len_of(Axis(0)) == 1;
        if !fits {
            return Err(AnatomyError::Unfit { path, problem: "it lies on another grid than the brain mask".into() });
        }
        Ok((image.data.index_axis_move(Axis(0), 0), there))
    }

    fn read(&self) -> Result<Anatomy, AnatomyError> {
        let (mask, grid) = self.volume(OutputKind::BrainMask, None)?;
        let voxels = around(&bounding_box(mask.mapv(|v| u8::from(v > 0.5)).view()), grid.shape);
        drop(mask);
        let [z, y, x] = voxels.clone();
        let part = |kind| -> Result<Array3<f32>, AnatomyError> {
            let (volume, _) = self.volume(kind, Some(&grid))?;
            Ok(volume.slice(s![z.clone(), y.clone(), x.clone()]).to_owned())
        };
        let image = part(OutputKind::Preproc)?;
        let [grey, white, csf] = Tissue::ALL.map(|tissue| part(OutputKind::Probability(tissue)));
        let shares = [grey?, white?, csf?];
        let affine = of_part(&grid.affine, &voxels);
        let [grey, white, csf] = shares.each_ref().map(|share| share.view());
        let model = HeadModel::new([csf, grey, white], &affine)?;
        Ok(Anatomy { grid, image, affine, shares, model })
    }
}

/// Somewhat more than a box, within the volume.
fn around(inner: &[Range<usize>; 3], shape: [usize; 3]) -> [Range<usize>; 3] {
    std::array::from_fn(|a| inner[a].start.saturating_sub(AROUND)..(inner[a].end + AROUND).min(shape[a]))
}

/// From the voxels of a part of a volume to the world.
#[expect(clippy::cast_precision_loss, reason = "an extent of an image")]
fn of_part(affine: &Matrix4, voxels: &[Range<usize>; 3]) -> Matrix4 {
    let mut shift = IDENTITY;
    (0..3).for_each(|axis| shift[axis][3] = voxels[2 - axis].start as f64);
    compose(affine, &shift)
}

impl From<AnatomyError> for StageError {
    fn from(e: AnatomyError) -> Self {
        Self::Invalid { code: e.code(), message: e.to_string() }
    }
}
