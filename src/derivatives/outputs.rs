//! The table of outputs: what is written for a scan and what each file is called. Adding an output is adding a row.

use crate::bids::{Datatype, Entities, Modality, NameError, derivative_name, participant_dir};
use crate::vocabulary::Wanted;
use figures::PictureKind;
use imaging::segmentation::Tissue;
use std::path::{Path, PathBuf};

/// The files a scan leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutputKind {
    /// The corrected, normalised image.
    Preproc,
    /// The brain mask.
    BrainMask,
    /// The multiplicative intensity field that was divided out.
    BiasField,
    /// The mean of the aligned volumes.
    BoldRef,
    /// Motion and signal regressors, a row per volume.
    Confounds,
    /// The tissue of each voxel, in the order of BIDS' common labels.
    Segmentation,
    /// What the labels of the segmentation mean.
    LabelTable,
    /// The probability of one tissue at each voxel.
    Probability(Tissue),
    /// A picture for the reports.
    Picture(PictureKind),
    /// What goes with the pictures: histogram, layout, decisions.
    FigureData,
}

/// One row: which file, of which modality, by what name.
#[derive(Debug)]
pub struct OutputRow {
    /// What it is.
    pub kind: OutputKind,
    /// The modality that has it.
    pub modality: Modality,
    /// Entities set beside the scan's own.
    set: &'static [(&'static str, &'static str)],
    suffix: &'static str,
    extension: &'static str,
}

/// Every output of every modality. Each file also has a JSON sidecar, but for the table of labels, which explains itself, and
/// the figures of the reports, which have one for all.
///
/// Segmentation, table and probabilities are left out where the tissues cannot be told apart.
pub const OUTPUTS: &[OutputRow] = {
    use Modality::{Bold, T1w};
    use OutputKind::{
        BiasField, BoldRef, BrainMask, Confounds, FigureData, LabelTable, Picture, Preproc, Probability, Segmentation,
    };
    use PictureKind::{Carpet, Corrected, Input, Thumbnail, Tsnr};
    use Tissue::{Csf, Grey, White};
    const fn row(
        kind: OutputKind,
        modality: Modality,
        set: &'static [(&'static str, &'static str)],
        suffix: &'static str,
        extension: &'static str,
    ) -> OutputRow {
        OutputRow { kind, modality, set, suffix, extension }
    }
    &[
        row(Preproc, T1w, &[("desc", "preproc")], "T1w", ".nii.gz"),
        row(BrainMask, T1w, &[("desc", "brain")], "mask", ".nii.gz"),
        row(BiasField, T1w, &[("desc", "biasfield")], "T1w", ".nii.gz"),
        row(Segmentation, T1w, &[], "dseg", ".nii.gz"),
        row(LabelTable, T1w, &[], "dseg", ".tsv"),
        row(Probability(Grey), T1w, &[("label", "GM")], "probseg", ".nii.gz"),
        row(Probability(White), T1w, &[("label", "WM")], "probseg", ".nii.gz"),
        row(Probability(Csf), T1w, &[("label", "CSF")], "probseg", ".nii.gz"),
        row(Preproc, Bold, &[("desc", "preproc")], "bold", ".nii.gz"),
        row(BoldRef, Bold, &[], "boldref", ".nii.gz"),
        row(BrainMask, Bold, &[("desc", "brain")], "mask", ".nii.gz"),
        row(BiasField, Bold, &[("desc", "biasfield")], "boldref", ".nii.gz"),
        row(Confounds, Bold, &[("desc", "confounds")], "timeseries", ".tsv"),
        row(FigureData, T1w, &[("desc", "figures")], "T1w", ".json"),
        row(Picture(Input), T1w, &[("desc", "input")], "T1w", ".jpg"),
        row(Picture(Corrected), T1w, &[("desc", "mosaic")], "T1w", ".jpg"),
        row(Picture(PictureKind::BiasField), T1w, &[("desc", "biasfield")], "T1w", ".jpg"),
        row(Picture(Thumbnail), T1w, &[("desc", "thumbnail")], "T1w", ".jpg"),
        row(FigureData, Bold, &[("desc", "figures")], "bold", ".json"),
        row(Picture(Input), Bold, &[("desc", "input")], "bold", ".jpg"),
        row(Picture(Corrected), Bold, &[("desc", "mean")], "bold", ".jpg"),
        row(Picture(PictureKind::BiasField), Bold, &[("desc", "biasfield")], "bold", ".jpg"),
        row(Picture(Tsnr), Bold, &[("desc", "tsnr")], "bold", ".jpg"),
        row(Picture(Carpet), Bold, &[("desc", "carpet")], "bold", ".jpg"),
        row(Picture(Thumbnail), Bold, &[("desc", "thumbnail")], "bold", ".jpg"),
    ]
};

/// One file a scan will leave, relative to the output folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// What it is.
    pub kind: OutputKind,
    /// Where, relative to the output folder.
    pub path: PathBuf,
    /// Its JSON sidecar, where it has one.
    pub sidecar: Option<PathBuf>,
}

impl Output {
    /// The file and its sidecar.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.path).chain(&self.sidecar)
    }
}

/// The JSON sidecar of an output: its name with another extension.
#[must_use]
pub fn sidecar_of(output: &Path) -> Option<PathBuf> {
    let name = output.file_name()?.to_str()?;
    let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
    Some(output.with_file_name(format!("{stem}.json")))
}

impl OutputKind {
    /// Whether it is a map of the tissues, or goes with one.
    #[must_use]
    pub const fn is_of_tissues(self) -> bool {
        matches!(self, Self::Segmentation | Self::LabelTable | Self::Probability(_))
    }

    /// Its name in summaries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Preproc => "preproc",
            Self::BrainMask => "brain_mask",
            Self::BiasField => "bias_field",
            Self::BoldRef => "boldref",
            Self::Confounds => "confounds",
            Self::Segmentation => "dseg",
            Self::LabelTable => "dseg_labels",
            Self::Probability(Tissue::Grey) => "probseg_gm",
            Self::Probability(Tissue::White) => "probseg_wm",
            Self::Probability(Tissue::Csf) => "probseg_csf",
            Self::Picture(PictureKind::Input) => "picture_input",
            Self::Picture(PictureKind::Corrected) => "picture_corrected",
            Self::Picture(PictureKind::BiasField) => "picture_bias_field",
            Self::Picture(PictureKind::Tsnr) => "picture_tsnr",
            Self::Picture(PictureKind::Carpet) => "picture_carpet",
            Self::Picture(PictureKind::Thumbnail) => "picture_thumbnail",
            Self::FigureData => "figure_data",
        }
    }

    /// Whether it is there for the reports.
    #[must_use]
    pub const fn is_figure(self) -> bool {
        matches!(self, Self::Picture(_) | Self::FigureData)
    }

    const fn has_sidecar(self) -> bool {
        !matches!(self, Self::LabelTable) && !self.is_figure()
    }
}

/// The files a scan of this modality and these entities will leave.
///
/// # Errors
/// When the entities lack a participant.
pub fn outputs_of(modality: Modality, entities: &Entities, _wanted: Wanted) -> Result<Vec<Output>, NameError> {
    let datatype = match modality {
        Modality::T1w => Datatype::Anat,
        Modality::Bold => Datatype::Func,
    };
    let folder = participant_dir(entities, datatype)?;
    let figures = folder.parent().unwrap_or(Path::new("")).join("figures");
    OUTPUTS
        .iter()
        .filter(|row| row.modality == modality)
        .map(|row| {
            let name = |extension| derivative_name(entities, row.set, row.suffix, extension);
            let sidecar = if row.kind.has_sidecar() { Some(folder.join(name(".json")?)) } else { None };
            let folder = if row.kind.is_figure() { &figures } else { &folder };
            Ok(Output { kind: row.kind, path: folder.join(name(row.extension)?), sidecar })
        })
        .collect()
}
