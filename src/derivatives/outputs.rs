//! The table of outputs: what is written for a scan and what each file is called. Adding an output is adding a row.

use crate::bids::{Datatype, Entities, Modality, NameError, derivative_name, participant_dir};
use crate::vocabulary::{OutputLevel, Resolution, Space, TemplateId, Wanted};
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
    /// The map of points of the reference volume to each volume as it was scanned.
    HeadMotion,
    /// The map of points of the T1w image to the reference volume of a run.
    Coregistration,
    /// The tissue of each voxel, in the order of BIDS' common labels.
    Segmentation,
    /// What the labels of the segmentation mean.
    LabelTable,
    /// The probability of one tissue at each voxel.
    Probability(Tissue),
    /// The map of points of a template to the scan, by which images of the scan are brought to the template.
    ToTemplate,
    /// The map of points of the scan to a template.
    FromTemplate,
    /// T2* of each voxel of a multi-echo run, s.
    T2Star,
    /// The signal of each voxel of a multi-echo run at echo time 0.
    S0,
    /// The field at each voxel of a run, Hz.
    Field,
    /// Control points of the spline that the field was made smooth with, Hz.
    FieldCoefficients,
    /// The map of points of a run to its fieldmap.
    ToFieldmap,
    /// An echo of a multi-echo run without motion; which, in the order of echo times.
    Echo(usize),
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
        BiasField, BoldRef, BrainMask, Confounds, FigureData, HeadMotion, LabelTable, Picture, Preproc, Probability,
        Segmentation,
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
        row(
            HeadMotion,
            Bold,
            &[("from", "orig"), ("to", "boldref"), ("mode", "image"), ("desc", "hmc")],
            "xfm",
            ".txt",
        ),
        row(FigureData, T1w, &[("desc", "figures")], "T1w", ".json"),
        row(Picture(Input), T1w, &[("desc", "input")], "T1w", ".jpg"),
        row(Picture(Corrected), T1w, &[("desc", "mosaic")], "T1w", ".jpg"),
        row(Picture(PictureKind::BiasField), T1w, &[("desc", "biasfield")], "T1w", ".jpg"),
        row(Picture(PictureKind::Tissues), T1w, &[("desc", "tissues")], "T1w", ".jpg"),
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

/// The map between a run and the T1w image it was laid onto.
const COREGISTRATION: OutputRow = OutputRow {
    kind: OutputKind::Coregistration,
    modality: Modality::Bold,
    set: &[("from", "boldref"), ("to", "T1w"), ("mode", "image"), ("desc", "coreg")],
    suffix: "xfm",
    extension: ".txt",
};

/// The pictures that there are for each space a scan is brought to: the scan there, what it was brought to, and of a T1w image
/// how volumes differ.
fn pictures_in(modality: Modality, space: &Space) -> Vec<OutputRow> {
    let row = |kind, set| OutputRow {
        kind: OutputKind::Picture(kind),
        modality,
        set,
        suffix: modality.as_str(),
        extension: ".jpg",
    };
    let other: &[_] = if *space == Space::T1w { &[("desc", "T1w")] } else { &[("desc", "template")] };
    let mut rows = vec![row(PictureKind::OnTemplate, &[("desc", "mosaic")]), row(PictureKind::Template, other)];
    if modality == Modality::T1w {
        rows.push(row(PictureKind::Jacobian, &[("desc", "jacobian")]));
    }
    rows
}

/// One file a scan will leave, relative to the output folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// What it is.
    pub kind: OutputKind,
    /// The template's space it is in, or is a map to; `None` for the scan's own.
    pub space: Option<Space>,
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

    /// The least level at which a scan of this modality has it.
    fn level(&self, modality: Modality) -> OutputLevel {
        use OutputKind::{Confounds, Echo, Picture, Preproc, T2Star};
        let of_bold = modality == Modality::Bold;
        let elsewhere = self.space.is_some();
        match self.kind {
            Confounds => OutputLevel::Full,
            Preproc | Echo(_) if of_bold => OutputLevel::Resampling,
            T2Star if elsewhere => OutputLevel::Resampling,
            kind if elsewhere && kind.is_resampled() => OutputLevel::Resampling,
            // Those of a run on a template are made of its series there.
            Picture(_) if of_bold && matches!(self.space, Some(Space::Template(..))) => OutputLevel::Resampling,
            _ => OutputLevel::Minimal,
        }
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
    /// Whether it is also written in each output space.
    #[must_use]
    pub const fn is_resampled(self) -> bool {
        matches!(self, Self::Preproc | Self::BoldRef | Self::BrainMask | Self::Segmentation | Self::Probability(_))
    }

    /// Whether a run has it only where it was laid onto an anatomy.
    #[must_use]
    pub const fn is_of_anatomy(self) -> bool {
        matches!(self, Self::Coregistration)
    }

    /// Whether a run has it only where its distortion was corrected.
    #[must_use]
    pub const fn is_of_field(self) -> bool {
        matches!(
            self,
            Self::Field
                | Self::FieldCoefficients
                | Self::ToFieldmap
                | Self::Picture(PictureKind::Distorted | PictureKind::Undistorted)
        )
    }

    /// Whether it is a map of the tissues, or goes with one.
    #[must_use]
    pub const fn is_of_tissues(self) -> bool {
        matches!(
            self,
            Self::Segmentation | Self::LabelTable | Self::Probability(_) | Self::Picture(PictureKind::Tissues)
        )
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
            Self::HeadMotion => "xfm_head_motion",
            Self::Coregistration => "xfm_to_boldref",
            Self::Segmentation => "dseg",
            Self::LabelTable => "dseg_labels",
            Self::Probability(Tissue::Grey) => "probseg_gm",
            Self::Probability(Tissue::White) => "probseg_wm",
            Self::Probability(Tissue::Csf) => "probseg_csf",
            Self::T2Star => "t2star",
            Self::S0 => "s0",
            Self::Echo(_) => "echo",
            Self::Field => "fieldmap",
            Self::FieldCoefficients => "fieldmap_coefficients",
            Self::ToFieldmap => "xfm_to_fieldmap",
            Self::Picture(PictureKind::Distorted) => "picture_distorted",
            Self::Picture(PictureKind::Undistorted) => "picture_undistorted",
            Self::ToTemplate => "xfm_to_template",
            Self::FromTemplate => "xfm_from_template",
            Self::Picture(PictureKind::Input) => "picture_input",
            Self::Picture(PictureKind::Corrected) => "picture_corrected",
            Self::Picture(PictureKind::BiasField) => "picture_bias_field",
            Self::Picture(PictureKind::Tissues) => "picture_tissues",
            Self::Picture(PictureKind::Tsnr) => "picture_tsnr",
            Self::Picture(PictureKind::Carpet) => "picture_carpet",
            Self::Picture(PictureKind::OnTemplate) => "picture_on_template",
            Self::Picture(PictureKind::Template) => "picture_template",
            Self::Picture(PictureKind::Jacobian) => "picture_jacobian",
            Self::Picture(PictureKind::Thumbnail) => "picture_thumbnail",
            Self::FigureData => "figure_data",
        }
    }

    /// Whether it is a map of points.
    #[must_use]
    pub const fn is_transform(self) -> bool {
        matches!(
            self,
            Self::ToTemplate | Self::FromTemplate | Self::HeadMotion | Self::Coregistration | Self::ToFieldmap
        )
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
pub fn outputs_of(modality: Modality, entities: &Entities, wanted: &Wanted) -> Result<Vec<Output>, NameError> {
    let rows = || OUTPUTS.iter().filter(|row| row.modality == modality);
    let mut outputs: Vec<Output> = rows().map(|row| row.output(entities, None)).collect::<Result<_, _>>()?;
    // The T1w image is in its own space already.
    let there = |space: &&Space| modality == Modality::Bold || matches!(space, Space::Template(..));
    for space in wanted.spaces.beyond_own().filter(there) {
        for row in rows().filter(|row| row.kind.is_resampled()) {
            outputs.push(row.output(entities, Some(space))?);
        }
    }
    let mut pictured: Vec<Space> = Vec::new();
    if modality == Modality::Bold && wanted.spaces.need_anatomy() {
        outputs.push(COREGISTRATION.output(entities, None)?);
        pictured.push(Space::T1w);
    }
    for template in wanted.spaces.templates() {
        if modality == Modality::T1w {
            outputs.extend(transforms(entities, template)?);
        }
        pictured.push(Space::Template(template.clone(), Resolution::Unsaid));
    }
    for space in &pictured {
        for row in pictures_in(modality, space) {
            outputs.push(row.output(entities, Some(space))?);
        }
    }
    outputs.retain(|output| output.level(modality) <= wanted.level);
    Ok(outputs)
}

/// What the combination of the echoes `labels`, the shortest echo time first, leaves besides the files of any run, by fMRIPrep's
/// names.
///
/// # Errors
/// When the entities lack a participant.
pub fn outputs_of_echoes(entities: &Entities, wanted: &Wanted, labels: &[&str]) -> Result<Vec<Output>, NameError> {
    let row = |kind, set, suffix| OutputRow { kind, modality: Modality::Bold, set, suffix, extension: ".nii.gz" };
    let mut outputs = vec![
        row(OutputKind::T2Star, &[("space", "boldref")], "T2starmap").output(entities, None)?,
        row(OutputKind::S0, &[("space", "boldref")], "S0map").output(entities, None)?,
    ];
    for space in wanted.spaces.beyond_own() {
        outputs.push(row(OutputKind::T2Star, &[], "T2starmap").output(entities, Some(space))?);
    }
    for (echo, label) in labels.iter().enumerate().filter(|_| wanted.echoes) {
        let with_echo = entities.iter().chain([("echo", *label)]);
        let with_echo = Entities::from_pairs(with_echo)?;
        outputs.push(row(OutputKind::Echo(echo), &[("desc", "preproc")], "bold").output(&with_echo, None)?);
    }
    outputs.retain(|output| output.level(Modality::Bold) <= wanted.level);
    Ok(outputs)
}

/// What the correction of a run's distortion leaves besides, by fMRIPrep's names: `id` is the fieldmap's.
///
/// # Errors
/// When the entities lack a participant.
pub fn outputs_of_field(entities: &Entities, id: &str) -> Result<Vec<Output>, NameError> {
    let set = |desc| [("fmapid", id), ("desc", desc)];
    let file = |kind, datatype, set: &[(&str, &str)], suffix, extension| {
        let folder = participant_dir(entities, datatype)?;
        let name = |extension| derivative_name(entities, set, suffix, extension);
        let sidecar = Some(folder.join(name(".json")?));
        Ok::<_, NameError>(Output { kind, space: None, path: folder.join(name(extension)?), sidecar })
    };
    let picture = |kind, set| OutputRow {
        kind: OutputKind::Picture(kind),
        modality: Modality::Bold,
        set,
        suffix: "bold",
        extension: ".jpg",
    };
    Ok(vec![
        file(OutputKind::Field, Datatype::Fmap, &set("preproc"), "fieldmap", ".nii.gz")?,
        file(
            OutputKind::ToFieldmap,
            Datatype::Func,
            &[("from", "boldref"), ("to", id), ("mode", "image")],
            "xfm",
            ".txt",
        )?,
        picture(PictureKind::Distorted, &[("desc", "distorted")]).output(entities, None)?,
        picture(PictureKind::Undistorted, &[("desc", "undistorted")]).output(entities, None)?,
        file(OutputKind::FieldCoefficients, Datatype::Fmap, &set("coeff"), "fieldmap", ".nii.gz")?,
    ])
}

/// The folder of a scan's images.
fn folder_of(modality: Modality, entities: &Entities) -> Result<PathBuf, NameError> {
    let datatype = match modality {
        Modality::T1w => Datatype::Anat,
        Modality::Bold => Datatype::Func,
    };
    participant_dir(entities, datatype)
}

impl OutputRow {
    /// The output of a scan by this row, in its own space or another.
    fn output(&self, entities: &Entities, space: Option<&Space>) -> Result<Output, NameError> {
        let folder = folder_of(self.modality, entities)?;
        let figures = folder.parent().unwrap_or(Path::new("")).join("figures");
        let of_space = space.map(Space::entities).unwrap_or_default();
        let mut set: Vec<(&str, &str)> = of_space.iter().map(|(key, label)| (*key, label.as_str())).collect();
        set.extend(self.set);
        let name = |extension| derivative_name(entities, &set, self.suffix, extension);
        let sidecar = if self.kind.has_sidecar() { Some(folder.join(name(".json")?)) } else { None };
        let folder = if self.kind.is_figure() { &figures } else { &folder };
        Ok(Output { kind: self.kind, space: space.cloned(), path: folder.join(name(self.extension)?), sidecar })
    }
}

/// The maps between a T1w image and a template, by fMRIPrep's names.
fn transforms(entities: &Entities, template: &TemplateId) -> Result<[Output; 2], NameError> {
    let folder = folder_of(Modality::T1w, entities)?;
    let label = template.label();
    let output = |kind, from: &str, to: &str| {
        let set = [("from", from), ("to", to), ("mode", "image")];
        let name = |extension| derivative_name(entities, &set, "xfm", extension);
        let space = Some(Space::Template(template.clone(), Resolution::Unsaid));
        Ok::<_, NameError>(Output {
            kind,
            space,
            path: folder.join(name(".h5")?),
            sidecar: Some(folder.join(name(".json")?)),
        })
    };
    Ok([output(OutputKind::ToTemplate, "T1w", &label)?, output(OutputKind::FromTemplate, &label, "T1w")?])
}

/// Whether a file of the folder of a scan's images is an output of the scan that it has only where that was asked for: one in
/// another space than its own, whichever, a map to one, an echo.
#[must_use]
pub fn is_in_other_space(modality: Modality, entities: &Entities, file: &str) -> bool {
    const OF_SPACE: [&str; 9] = ["space", "cohort", "res", "from", "to", "mode", "label", "desc", "fmapid"];
    const OF_ECHOES: [&str; 2] = ["T2starmap", "S0map"];
    let Some((stem, _)) = file.split_once('.') else { return false };
    let Some((pairs, suffix)) = stem.rsplit_once('_') else { return false };
    let Ok(found) = Entities::parse(pairs) else { return false };
    let of_bold = modality == Modality::Bold;
    let is_echo = of_bold
        && (suffix, found.get("desc")) == ("bold", Some("preproc"))
        && found.get("echo").is_some()
        && entities.get("echo").is_none();
    let is_field = of_bold && suffix == "fieldmap" && found.get("fmapid").is_some();
    let is_distorted = of_bold && suffix == "bold" && matches!(found.get("desc"), Some("distorted" | "undistorted"));
    let known = OUTPUTS.iter().any(|row| row.modality == modality && row.suffix == suffix)
        || suffix == "xfm"
        || of_bold && OF_ECHOES.contains(&suffix)
        || is_field
        || is_distorted;
    let elsewhere = is_field
        || is_distorted
        || found.get("space").is_some()
        || suffix == "xfm" && found.get("mode") == Some("image")
        || is_echo;
    let own: Vec<_> = found.iter().filter(|(key, _)| !(OF_SPACE.contains(key) || is_echo && *key == "echo")).collect();
    known && elsewhere && own.iter().copied().eq(entities.iter())
}
