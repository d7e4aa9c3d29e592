//! The files around the images of a synthetic dataset: descriptions, tables, sidecars; each written whole or not at all.

use super::t1w::pose;
use super::traits::{TASK, TR_SECONDS, Traits, label};
use super::{BoldSpec, SynthBold, SynthConfig, SynthError, Tissue};
use crate::Kind;
use nifti::{Header, NiftiError, Voxels};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;

/// The version of the standard the dataset follows.
const BIDS_VERSION: &str = "1.10.0";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Creates the folder, or takes an empty one.
pub(super) fn claim(dir: &Path) -> Result<(), SynthError> {
    let fail = |source| SynthError::Folder { path: dir.to_owned(), source };
    fs::create_dir_all(dir).map_err(fail)?;
    match fs::read_dir(dir).map_err(fail)?.next() {
        None => Ok(()),
        Some(_) => Err(SynthError::NotEmpty { dir: dir.to_owned() }),
    }
}

/// Writes what the dataset and its truth say about themselves.
pub(super) fn save_descriptions(config: &SynthConfig, raw: &Path, truth: &Path) -> Result<(), SynthError> {
    fs::create_dir_all(truth).map_err(|source| SynthError::Folder { path: truth.to_owned(), source })?;
    save_json(&raw.join("dataset_description.json"), &description("Synthetic heads", "raw"))?;
    save_json(
        &truth.join("dataset_description.json"),
        &description("Ground truth of the synthetic heads", "derivative"),
    )?;
    save_text(&raw.join("README.md"), &readme(config))?;
    save_text(&truth.join("README.md"), TRUTH_README)?;
    // The standard has no name for head motion yet; this is the one fMRIPrep uses.
    save_text(&truth.join(".bidsignore"), "*_timeseries.tsv\n*_timeseries.json\n")?;
    save_json(&truth.join("desc-brain_mask.json"), &json!({ "Type": "Brain" }))?;
    save_text(&raw.join("participants.tsv"), &participants(config))?;
    save_json(&raw.join("participants.json"), &participants_sidecar())?;
    if config.modalities.contains(&Kind::Bold) {
        // One sidecar at the top that every run inherits.
        let task =
            json!({ "TaskName": TASK, "RepetitionTime": TR_SECONDS, "EchoTime": 0.03, "PhaseEncodingDirection": "j" });
        save_json(&raw.join(format!("task-{TASK}_bold.json")), &task)?;
    }
    if config.modalities.contains(&Kind::T1w) {
        save_text(&truth.join("dseg.tsv"), &label_table())?;
    }
    Ok(())
}

fn description(name: &str, kind: &str) -> Value {
    let mut description = json!({
        "Name": name,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": kind,
        "License": "CC0",
        "Authors": ["neuro-preprocess"],
        "GeneratedBy": [{
            "Name": "neuro-preprocess",
            "Version": VERSION,
            "Description": "neuro-preprocess synth",
        }],
    });
    if kind == "derivative" {
        description["SourceDatasets"] = json!([{ "URL": "bids::../.." }]);
    }
    description
}

fn readme(config: &SynthConfig) -> String {
    let SynthConfig { participants, sessions, voxel_mm, volumes, seed, .. } = config;
    format!(
        "# Synthetic heads\n\n\
         Made by `neuro-preprocess synth` {VERSION}; no person was scanned. The scans are for trying, testing and \
         scoring preprocessing: everything about them is known.\n\n\
         {participants} participants, {sessions} session(s), T1w at {voxel_mm} mm, {volumes} volumes per bold run, seed {seed}. \
         Equal settings give equal bytes.\n\n\
         `derivatives/ground-truth` holds the truth: brain masks, tissue labels, coil fields, head motion. All slices of \
         a bold volume are acquired at once, so there is no SliceTiming.\n"
    )
}

const TRUTH_README: &str = "# Ground truth\n\n\
    - `*_desc-brain_mask`: parenchyma, ventricles and the fluid between the gyri, cut at the foramen magnum; for bold, \
    in its first volume.\n\
    - `*_dseg`: the tissue at each voxel's centre, see `dseg.tsv`.\n\
    - `*_desc-bias_T1w`: the multiplicative coil field.\n\
    - `*_desc-motion_timeseries`: six rigid parameters per volume relative to the first; the JSON has them as matrices.\n";

fn participants(config: &SynthConfig) -> String {
    let mut table = String::from("participant_id\tmotion\tcoil_field\n");
    for number in 1..=config.participants {
        let label = label(number, config.participants);
        let traits = Traits::of(config.seed, &label);
        // Writing to a String cannot fail.
        let _ = writeln!(table, "sub-{label}\t{}\t{:.2}", traits.motion.as_str(), traits.bias);
    }
    table
}

fn participants_sidecar() -> Value {
    json!({
        "participant_id": { "Description": "Label of the synthetic participant" },
        "motion": {
            "Description": "How much the head moves during bold runs",
            "Levels": { "low": "little", "typical": "as usual", "high": "much" },
        },
        "coil_field": { "Description": "Range of the coil field of the T1w scans inside the brain (0.4 is 40 %)" },
    })
}

fn label_table() -> String {
    let mut table = String::from("index\tname\tabbreviation\n");
    for row in Tissue::TABLE {
        let _ = writeln!(table, "{}\t{}\t{}", row.tissue as u8, row.name, row.abbreviation);
    }
    table
}

/// The sidecar of a scan: its own fields, and those of the scanner that does not exist.
pub(super) fn scanner(own: Value) -> Value {
    let mut sidecar = json!({
        "Manufacturer": "neuro-preprocess",
        "ManufacturersModelName": "synthetic head",
        "SoftwareVersions": VERSION,
        "MagneticFieldStrength": 3,
    });
    if let (Some(sidecar), Value::Object(own)) = (sidecar.as_object_mut(), own) {
        sidecar.extend(own);
    }
    sidecar
}

/// The motion of every volume as a table, millimetres and radians.
pub(super) fn motion_table(motion: &[[f64; 6]]) -> String {
    let mut table = String::from("trans_x\ttrans_y\ttrans_z\trot_x\trot_y\trot_z\n");
    for p in motion {
        let cells = p.map(|v| format!("{v:.6}"));
        let _ = writeln!(table, "{}", cells.join("\t"));
    }
    table
}

/// What the columns of [`motion_table`] mean, and the same motion as matrices.
pub(super) fn motion_sidecar(run: &SynthBold, spec: &BoldSpec) -> Value {
    let column = |text: &str, units: &str| json!({ "Description": text, "Units": units });
    json!({
        "SamplingFrequency": 1.0 / spec.tr_seconds,
        "StartTime": 0,
        "trans_x": column("Shift to the right", "mm"),
        "trans_y": column("Shift to the front", "mm"),
        "trans_z": column("Shift to the top", "mm"),
        "rot_x": column("Rotation about x, applied first", "rad"),
        "rot_y": column("Rotation about y", "rad"),
        "rot_z": column("Rotation about z, applied last", "rad"),
        "MotionLevel": spec.motion.as_str(),
        "NonSteadyStateVolumes": spec.non_steady,
        "NoiseStandardDeviation": run.sigma,
        "RotationCentre": run.centre,
        "Matrices": run.matrices,
        "MatricesDescription":
            "One per volume, RAS mm: where a point of the head in the first volume is in this one",
        "HeadMatrix": pose(spec.scan),
        "HeadMatrixDescription": HEAD_MATRIX,
    })
}

/// What the matrix of a scan's head is.
pub(super) const HEAD_MATRIX: &str =
    "RAS mm: where a point of the drawn head is in the scan, of a run in its first volume";

/// Writes JSON, indented, with a line end.
pub(super) fn save_json(path: &Path, value: &Value) -> Result<(), SynthError> {
    save_text(path, &format!("{value:#}\n"))
}

/// Writes text.
pub(super) fn save_text(path: &Path, text: &str) -> Result<(), SynthError> {
    save(path, |file| file.write_all(text.as_bytes()).map_err(NiftiError::Write))?;
    Ok(())
}

/// Writes an image; its size in bytes.
pub(super) fn save_image(path: &Path, header: &Header, voxels: Voxels<'_>) -> Result<u64, SynthError> {
    save(path, |file| nifti::write(file, header, voxels))
}

/// Writes a file under a temporary name beside it, flushes it to the disk, and gives it its name.
fn save<T>(path: &Path, fill: impl FnOnce(&mut BufWriter<File>) -> Result<T, NiftiError>) -> Result<T, SynthError> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let written = (|| {
        let mut file = BufWriter::new(File::create(&part)?);
        let done = fill(&mut file)?;
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&part, path)?;
        Ok(done)
    })();
    written.map_err(|source| {
        // The first error is the one worth telling.
        let _ = fs::remove_file(&part);
        SynthError::Write { path: path.to_owned(), source }
    })
}
