//! Writes a BIDS dataset of one participant whose bold run is distorted and whose `fmap/` tells by what: T1w, bold with slice
//! times and phase encoding, fieldmap of a chosen kind, and the truth about all of it.

use super::bold::{SynthBold, bold_epi};
use super::dataset::{TRUTH, save_bold, save_t1w};
use super::epi::EpiTruth;
use super::fieldmap::{FieldmapSpec, epi_pair, gradient_echoes};
use super::fieldmap_dataset::{FieldmapDataset, FieldmapKind, FieldmapLink, LABEL};
use super::files::{self, save_image, save_json, save_text};
use super::t1w::pose;
use super::traits::{TASK, TR_SECONDS, Traits};
use super::{Kind, SynthConfig, SynthError, T1wSpec};
use imaging::distortion::PhaseEncoding;
use imaging::rigid::{Matrix4, compose, from_parameters, invert_rigid};
use ndarray::{Array3, Array4, ArrayView3, Axis};
use nifti::{Grid, Header, Voxels};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const SUB: &str = "sub-01";
/// The name that ties fieldmap and bold together.
const IDENTIFIER: &str = "fmap0";
/// Seconds per volume of EPI fieldmaps.
const PAIR_TR: f64 = 8.0;

/// What is true about a written dataset; the same is in its `derivatives/ground-truth`.
pub struct FieldmapTruth {
    /// The bold run's image.
    pub bold: PathBuf,
    /// The T1w image.
    pub t1w: PathBuf,
    /// The folder of the truth.
    pub truth: PathBuf,
    /// Images in `fmap/`.
    pub fmap: Vec<PathBuf>,
    /// The run with its field, displacement and undistorted image, on its grid.
    pub run: SynthBold,
    /// Where a point of the head in the bold run's volume 0 is in the T1w image, RAS mm.
    pub to_t1w: Matrix4,
    /// Where the head of the bold run's volume 0 is in the fieldmap (the first image of a pair), RAS mm.
    pub lies: Matrix4,
    /// Where the head of the first image of a pair is in the second; `None` for other kinds.
    pub moved: Option<Matrix4>,
}

/// Writes the dataset to `dir`, which must not hold anything.
///
/// # Errors
/// [`SynthError::Request`] if a size makes no sense, [`SynthError::NotEmpty`] if the folder holds anything,
/// [`SynthError::Folder`] or [`SynthError::Write`] if something cannot be written.
pub fn write_fieldmap_dataset(dir: &Path, dataset: &FieldmapDataset) -> Result<FieldmapTruth, SynthError> {
    let config = SynthConfig {
        dir: dir.to_owned(),
        participants: 1,
        sessions: 1,
        modalities: Kind::ALL.to_vec(),
        voxel_mm: dataset.voxel_mm,
        volumes: dataset.volumes,
        seed: dataset.seed,
    };
    super::dataset::check(&config)?;
    files::claim(dir)?;
    files::save_descriptions(&config, dir, &dir.join(TRUTH))?;
    // Each run says itself how it was encoded.
    let task = json!({ "TaskName": TASK, "RepetitionTime": TR_SECONDS, "EchoTime": 0.03 });
    save_json(&dir.join(format!("task-{TASK}_bold.json")), &task)?;
    save_text(&dir.join("README.md"), README)?;
    let ignored = "*_timeseries.tsv\n*_timeseries.json\n*_fieldmap.nii.gz\n*_fieldmap.json\n";
    save_text(&dir.join(TRUTH).join(".bidsignore"), ignored)?;
    for folder in ["anat", "func", "fmap"] {
        for dir in [dir.join(SUB).join(folder), dir.join(TRUTH).join(SUB).join(folder)] {
            fs::create_dir_all(&dir).map_err(|source| SynthError::Folder { path: dir.clone(), source })?;
        }
    }
    let anat = [dir.join(SUB).join("anat"), dir.join(TRUTH).join(SUB).join("anat")];
    let bias = Traits::of(dataset.seed, LABEL).bias;
    let t1w = T1wSpec { bias, ..T1wSpec::new(dataset.head(), dataset.scan(Kind::T1w), dataset.voxel_mm) };
    save_t1w(&anat[0], &anat[1], SUB, &t1w)?;
    let run = write_run(dir, dataset)?;
    let writer = Writer { dir, dataset, header: Header::new(run.grid.clone(), 1, None) };
    let fmap = match dataset.kind {
        FieldmapKind::Pair | FieldmapKind::Opposite => writer.pair(&run.grid)?,
        _ => writer.echoes()?,
    };
    let opposed = matches!(dataset.kind, FieldmapKind::Pair | FieldmapKind::Opposite);
    let moved = opposed.then(|| from_parameters(&dataset.pair().moved, run.centre));
    let lies = from_parameters(&dataset.lies, run.centre);
    let to_t1w = compose(&pose(t1w.scan), &invert_rigid(&pose(dataset.scan(Kind::Bold))));
    save_json(
        &dir.join(TRUTH).join(SUB).join("fmap").join(format!("{SUB}_desc-motion_fieldmap.json")),
        &json!({
            "HeadMatrix": lies,
            "HeadMatrixDescription": "RAS mm: where a point of the head in the first volume of the bold run is in the fieldmap",
            "PairMatrix": moved,
            "PairMatrixDescription": "RAS mm: where a point of the head in the first image of a pair is in the second",
        }),
    )?;
    let bold = dir.join(SUB).join("func").join(format!("{SUB}_task-{TASK}_bold.nii.gz"));
    let t1w = anat[0].join(format!("{SUB}_T1w.nii.gz"));
    Ok(FieldmapTruth { bold, t1w, truth: dir.join(TRUTH), fmap, run, to_t1w, lies, moved })
}

const README: &str = "# A synthetic head with a fieldmap\n\n\
    No person was scanned. The bold run is distorted along phase encoding by the field of the head, its slices are taken at \
    their times, and `fmap/` tells of the field. `derivatives/ground-truth` holds what is true: the field in Hz and the \
    displacement in voxels on the grid of the run, its first volume without and with distortion but without noise, the \
    motion of head and fieldmap.\n";

/// Writes the bold run and what is true about it.
fn write_run(dir: &Path, dataset: &FieldmapDataset) -> Result<SynthBold, SynthError> {
    let (spec, epi) = dataset.bold();
    let made = bold_epi(&spec, &epi);
    let [raw, truth] = [dir.join(SUB).join("func"), dir.join(TRUTH).join(SUB).join("func")];
    let mut own = encoding(dataset.direction, dataset.readout_s, &made.grid);
    own.insert("FlipAngle".into(), json!(80));
    if let Some(times) = &epi.slice_times {
        own.insert("SliceTiming".into(), json!(times));
    }
    if dataset.link == FieldmapLink::Identifier {
        own.insert("B0FieldSource".into(), json!(IDENTIFIER));
        if dataset.kind == FieldmapKind::Opposite {
            own.insert("B0FieldIdentifier".into(), json!(IDENTIFIER));
        }
    }
    save_bold(&raw, &truth, SUB, &spec, &made, Value::Object(own))?;
    if let Some(epi) = &made.epi {
        save_truth(&truth, epi, &made.grid)?;
    }
    Ok(made)
}

/// Writes field, displacement and images of volume 0 on the grid of the run.
fn save_truth(dir: &Path, truth: &EpiTruth, grid: &Grid) -> Result<(), SynthError> {
    let header = Header::new(grid.clone(), 1, None);
    let stem = format!("{SUB}_task-{TASK}");
    for (name, image, what, units) in [
        ("desc-hz_fieldmap", &truth.hz, "Field of the head as it lies in the first volume", "Hz"),
        (
            "desc-shift_fieldmap",
            &truth.shift,
            "How far along the axis of phase encoding the signal of a voxel is seen",
            "voxel",
        ),
        ("desc-undistorted_boldref", &truth.undistorted, "First volume without field and noise", "arbitrary"),
        ("desc-distorted_boldref", &truth.distorted, "First volume with field, without noise", "arbitrary"),
    ] {
        let image = image.view().insert_axis(Axis(0));
        save_image(&dir.join(format!("{stem}_{name}.nii.gz")), &header, Voxels::Float(image))?;
        save_json(&dir.join(format!("{stem}_{name}.json")), &json!({ "Description": what, "Units": units }))?;
    }
    Ok(())
}

/// What a sidecar says of phase encoding.
fn encoding(direction: PhaseEncoding, readout_s: f64, grid: &Grid) -> Map<String, Value> {
    let gaps = (grid.shape[direction.array_axis()].max(2) - 1) as f64;
    let mut own = Map::new();
    own.insert("PhaseEncodingDirection".into(), json!(direction.to_string()));
    own.insert("TotalReadoutTime".into(), json!(readout_s));
    own.insert("EffectiveEchoSpacing".into(), json!(readout_s / gaps));
    own
}

/// The label of a direction in a RAS image: from where to where the index of a minus-free direction falls.
fn dir_label(direction: PhaseEncoding) -> &'static str {
    match (direction.axis(), direction.is_negative()) {
        (0, false) => "LR",
        (0, true) => "RL",
        (1, false) => "PA",
        (1, true) => "AP",
        (_, false) => "FH",
        (_, true) => "HF",
    }
}

/// Writes the files of `fmap/`.
struct Writer<'a> {
    dir: &'a Path,
    dataset: &'a FieldmapDataset,
    header: Header,
}

impl Writer<'_> {
    /// The gradient echoes, as the dataset wants them.
    fn echoes(&self) -> Result<Vec<PathBuf>, SynthError> {
        let FieldmapDataset { kind, echo_times: times, phase_numbers: numbers, .. } = self.dataset;
        let made = gradient_echoes(&self.dataset.fieldmap(), *times);
        let whole = |image: &Array3<f32>| image.mapv(|v| v as i16);
        let echo = |n: usize| json!({ "EchoTime": times[n] });
        let mut files = Vec::new();
        match kind {
            FieldmapKind::Hertz => {
                files.push(self.whole("magnitude", whole(&made.magnitude[0]).view(), echo(0))?);
                let hz = made.measured.view().insert_axis(Axis(0));
                files.push(self.save("fieldmap", Voxels::Scaled(hz), json!({ "Units": "Hz" }))?);
            }
            _ => {
                for n in 0..2 {
                    files.push(self.whole(
                        &format!("magnitude{}", n + 1),
                        whole(&made.magnitude[n]).view(),
                        echo(n),
                    )?);
                }
            }
        }
        if *kind == FieldmapKind::TwoPhases {
            for n in 0..2 {
                files.push(self.whole(&format!("phase{}", n + 1), numbers.of(made.phase[n].view()).view(), echo(n))?);
            }
        } else if *kind == FieldmapKind::PhaseDifference {
            let both = json!({ "EchoTime1": times[0], "EchoTime2": times[1] });
            files.push(self.whole("phasediff", numbers.of(made.difference.view()).view(), both)?);
        }
        Ok(files)
    }

    /// One EPI image or two.
    fn pair(&self, grid: &Grid) -> Result<Vec<PathBuf>, SynthError> {
        let pair = self.dataset.pair();
        let spec = FieldmapSpec { noise: 1.0, ..self.dataset.fieldmap() };
        let made = epi_pair(&spec, &pair);
        let first = usize::from(self.dataset.kind == FieldmapKind::Opposite);
        let mut files = Vec::new();
        for n in first..2 {
            let mut own = encoding(made.directions[n], pair.readout_s[n], grid);
            own.insert("EchoTime".into(), json!(0.06));
            own.insert("RepetitionTime".into(), json!(PAIR_TR));
            let name = format!("dir-{}_epi", dir_label(made.directions[n]));
            files.push(self.series(&name, &made.images[n], Value::Object(own))?);
        }
        Ok(files)
    }

    fn series(&self, name: &str, image: &Array4<f32>, own: Value) -> Result<PathBuf, SynthError> {
        let header = Header::new(self.header.grid().clone(), image.len_of(Axis(0)), Some(PAIR_TR));
        self.save_as(name, &header, Voxels::Scaled(image.view()), own)
    }

    fn whole(&self, name: &str, image: ArrayView3<i16>, own: Value) -> Result<PathBuf, SynthError> {
        self.save(name, Voxels::Labels(image), own)
    }

    fn save(&self, name: &str, voxels: Voxels<'_>, own: Value) -> Result<PathBuf, SynthError> {
        self.save_as(name, &self.header, voxels, own)
    }

    /// An image and its sidecar, tied to the bold run.
    fn save_as(&self, name: &str, header: &Header, voxels: Voxels<'_>, own: Value) -> Result<PathBuf, SynthError> {
        let mut sidecar = files::scanner(own);
        let run = format!("func/{SUB}_task-{TASK}_bold.nii.gz");
        match self.dataset.link {
            FieldmapLink::Uri => sidecar["IntendedFor"] = json!([format!("bids::{SUB}/{run}")]),
            FieldmapLink::Relative => sidecar["IntendedFor"] = json!(run),
            FieldmapLink::Identifier => sidecar["B0FieldIdentifier"] = json!(IDENTIFIER),
            FieldmapLink::None => {}
        }
        let folder = self.dir.join(SUB).join("fmap");
        let path = folder.join(format!("{SUB}_{name}.nii.gz"));
        save_image(&path, header, voxels)?;
        save_json(&folder.join(format!("{SUB}_{name}.json")), &sidecar)?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests;
