//! What the stages have made of a scan so far, and what the files are written from.

use super::DerivativeError;
use crate::figures::{Figures, TissuePeak};
use imaging::bias::BiasField;
use imaging::brain::Brain;
use imaging::motion::MotionEstimate;
use imaging::normalize::Reference;
use imaging::tissue::Tissues;
use nifti::Header;
use ndarray::{Array3, Array4, ArrayView3, ArrayViewMut3, Axis};

/// One column of the confounds table: a name and a value per volume, `None` where it is not defined.
#[derive(Clone, Debug, PartialEq)]
pub struct Confound {
    /// fMRIPrep's name of the column, where it has one.
    pub name: String,
    /// What the column holds, for the sidecar.
    pub description: &'static str,
    /// The unit, for the sidecar; `None` for indicators.
    pub units: Option<&'static str>,
    /// One value per volume.
    pub values: Vec<Option<f64>>,
}

/// A measure of image quality.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// Its short name, lower case, as MRIQC writes it.
    pub name: &'static str,
    /// Its value; measures that are not defined for a scan are left out.
    pub value: f64,
}

/// How good a scan is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quality {
    /// All measures.
    pub measures: Vec<Measure>,
    /// 0 (unusable) to 100; `None` where nothing could be measured.
    pub score: Option<f64>,
    /// Whether the subject moved more than the documented limit.
    pub motion_detected: bool,
}

/// Everything made of one scan. Canonical RAS+ arrays throughout; see [`imaging`].
#[derive(Debug)]
pub struct Products {
    /// The input's header: writing puts arrays back into its axis order and affine.
    pub header: Header,
    /// `(nt, nz, ny, nx)`: the image as far as it is processed.
    pub image: Array4<f32>,
    /// The mean of the aligned volumes of a series, once motion is corrected; `None` for a single volume.
    pub mean: Option<Array3<f32>>,
    /// From motion correction.
    pub motion: Option<MotionEstimate>,
    /// Columns of the confounds table, from the quality stage; empty for a single volume.
    pub confounds: Vec<Confound>,
    /// From skull stripping.
    pub brain: Option<Brain>,
    /// From bias correction.
    pub bias: Option<BiasField>,
    /// From normalisation.
    pub intensity: Option<Reference>,
    /// From the quality stage: the tissues of a T1w image, where they can be told apart.
    pub tissues: Option<Tissues>,
    /// From the quality stage: where the tissues of a T1w image are among its intensities; empty where they cannot be told
    /// apart.
    pub peaks: Vec<TissuePeak>,
    /// Pictures for the reports.
    pub figures: Option<Figures>,
    /// From the quality stage.
    pub quality: Option<Quality>,
}

impl Products {
    /// The one volume that masks and fields are made from, `(nz, ny, nx)`: the mean of an aligned series, else the first
    /// volume of the image.
    #[must_use]
    pub fn reference(&self) -> ArrayView3<'_, f32> {
        self.mean.as_ref().map_or_else(|| self.image.index_axis(Axis(0), 0), |mean| mean.view())
    }

    /// The tissues.
    ///
    /// # Errors
    /// [`DerivativeError::Incomplete`] when they were not told apart.
    pub fn tissues(&self) -> Result<&Tissues, DerivativeError> {
        self.tissues.as_ref().ok_or(DerivativeError::Incomplete { what: "the tissue map" })
    }

    /// Every volume that goes through the same changes: those of the image, then the mean, each `(nz, ny, nx)`.
    pub fn volumes_mut(&mut self) -> impl Iterator<Item = ArrayViewMut3<'_, f32>> {
        self.image.outer_iter_mut().chain(self.mean.iter_mut().map(|mean| mean.view_mut()))
    }
}
