//! Writes a whole BIDS dataset of synthetic participants, with the truth about each scan as a derivative dataset in it.

use super::files::{self, save_image, save_json, save_text};
use super::random::seed_of;
use super::t1w::pose;
use super::traits::{TASK, TR_SECONDS, Traits, label};
use super::{BoldSpec, SynthBold, SynthConfig, SynthError, T1wSpec, bold, t1w};
use crate::Kind;
use ndarray::{Array4, Axis};
use nifti::{Header, Voxels};
use rayon::prelude::*;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where the truth goes, inside the dataset.
pub(super) const TRUTH: &str = "derivatives/ground-truth";

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetSummary {
    /// The dataset's folder.
    pub dir: PathBuf,
    /// Number of participants.
    pub participants: usize,
    /// Number of scans, T1w and bold.
    pub scans: usize,
    /// Size of the scans in bytes, without the truth.
    pub bytes: u64,
}

/// One scan to write.
struct Unit {
    participant: usize,
    session: Option<usize>,
    modality: Kind,
}

/// Writes a BIDS dataset of synthetic heads to `config.dir`, and under `derivatives/ground-truth` the truth: brain masks,
/// tissue labels, coil fields, and the motion of every volume. `progress` is told (scans done, scans in all) after each.
///
/// Equal configurations give equal bytes at any number of threads. As many scans as there are threads are in memory at
/// once, no more.
///
/// # Errors
/// [`SynthError::Request`] if there is nothing to write or a size makes no sense, [`SynthError::NotEmpty`] if the folder
/// holds anything, [`SynthError::Folder`] or [`SynthError::Write`] if something cannot be written.
pub fn write_dataset(
    config: &SynthConfig,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<DatasetSummary, SynthError> {
    check(config)?;
    files::claim(&config.dir)?;
    files::save_descriptions(config, &config.dir, &config.dir.join(TRUTH))?;
    let units = units(config);
    let done = AtomicUsize::new(0);
    let mut bytes = 0;
    // A thread that waits inside one scan may take up another: batches bound how many are in memory.
    for batch in units.chunks(rayon::current_num_threads().max(1)) {
        let sizes = batch.par_iter().map(|unit| {
            let size = write_unit(config, unit)?;
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, units.len());
            Ok(size)
        });
        bytes += sizes.collect::<Result<Vec<u64>, SynthError>>()?.iter().sum::<u64>();
    }
    Ok(DatasetSummary { dir: config.dir.clone(), participants: config.participants, scans: units.len(), bytes })
}

pub(super) fn check(config: &SynthConfig) -> Result<(), SynthError> {
    let refuse = |problem: String| Err(SynthError::Request { problem });
    if config.participants == 0 || config.sessions == 0 || config.modalities.is_empty() {
        return refuse("at least one participant, session and modality are needed".into());
    }
    if !(0.5..=8.0).contains(&config.voxel_mm) {
        return refuse(format!("a voxel size of {} mm is outside 0.5 to 8 mm", config.voxel_mm));
    }
    if config.modalities.contains(&Kind::Bold) && !(2..=5000).contains(&config.volumes) {
        return refuse(format!("{} volumes is outside 2 to 5000", config.volumes));
    }
    Ok(())
}

fn units(config: &SynthConfig) -> Vec<Unit> {
    let mut units = Vec::new();
    for participant in 1..=config.participants {
        for session in 1..=config.sessions {
            let session = (config.sessions > 1).then_some(session);
            for modality in Kind::ALL.into_iter().filter(|m| config.modalities.contains(m)) {
                units.push(Unit { participant, session, modality });
            }
        }
    }
    units
}

/// Size (mm) of bold voxels, `[dz, dy, dx]`: usual ones, coarser when the T1w's are coarse too.
fn bold_voxel(t1w_voxel: f64) -> [f64; 3] {
    let inplane = t1w_voxel.max(3.4);
    [inplane + 0.2, inplane, inplane]
}

fn write_unit(config: &SynthConfig, unit: &Unit) -> Result<u64, SynthError> {
    let participant = label(unit.participant, config.participants);
    let session = unit.session.map(|s| label(s, config.sessions));
    let traits = Traits::of(config.seed, &participant);
    let scan = seed_of(config.seed, &[&participant, session.as_deref().unwrap_or(""), unit.modality.as_str()]);
    let datatype = match unit.modality {
        Kind::T1w => "anat",
        Kind::Bold => "func",
    };
    let (mut folder, mut stem) = (PathBuf::from(format!("sub-{participant}")), format!("sub-{participant}"));
    if let Some(session) = session {
        folder.push(format!("ses-{session}"));
        stem = format!("{stem}_ses-{session}");
    }
    folder.push(datatype);
    let (raw, truth) = (config.dir.join(&folder), config.dir.join(TRUTH).join(&folder));
    for dir in [&raw, &truth] {
        fs::create_dir_all(dir).map_err(|source| SynthError::Folder { path: dir.clone(), source })?;
    }
    match unit.modality {
        Kind::T1w => {
            let spec = T1wSpec { bias: traits.bias, ..T1wSpec::new(traits.head, scan, config.voxel_mm) };
            save_t1w(&raw, &truth, &stem, &spec)
        }
        Kind::Bold => {
            let spec = BoldSpec {
                head: traits.head,
                scan,
                voxel_mm: bold_voxel(config.voxel_mm),
                volumes: config.volumes,
                non_steady: traits.non_steady,
                tr_seconds: TR_SECONDS,
                motion: traits.motion,
            };
            save_bold(&raw, &truth, &stem, &spec, &bold(&spec), json!({ "FlipAngle": 80 }))
        }
    }
}

/// Writes a T1w image and its truth.
pub(super) fn save_t1w(raw: &Path, truth: &Path, stem: &str, spec: &T1wSpec) -> Result<u64, SynthError> {
    let made = t1w(spec);
    let header = Header::new(made.grid, 1, None);
    let whole = made.image.mapv(|v| v as i16);
    let bytes = save_image(&raw.join(format!("{stem}_T1w.nii.gz")), &header, Voxels::Labels(whole.view()))?;
    save_json(&raw.join(format!("{stem}_T1w.json")), &files::scanner(json!({ "EchoTime": 0.003, "FlipAngle": 9 })))?;
    save_image(&truth.join(format!("{stem}_desc-brain_mask.nii.gz")), &header, Voxels::Mask(made.brain.view()))?;
    save_image(&truth.join(format!("{stem}_dseg.nii.gz")), &header, Voxels::Mask(made.labels.view()))?;
    let field = made.bias.view().insert_axis(Axis(0));
    save_image(&truth.join(format!("{stem}_desc-bias_T1w.nii.gz")), &header, Voxels::Scaled(field))?;
    let noise = json!({
        "Description": "Multiplicative coil field of the scan of the same name",
        "SkullStripped": false,
        "NoiseStandardDeviation": made.sigma,
        "HeadMatrix": pose(spec.scan),
        "HeadMatrixDescription": files::HEAD_MATRIX,
    });
    save_json(&truth.join(format!("{stem}_desc-bias_T1w.json")), &noise)?;
    Ok(bytes)
}

/// Writes a run and its truth; `own` is what its sidecar says of itself.
pub(super) fn save_bold(
    raw: &Path,
    truth: &Path,
    stem: &str,
    spec: &BoldSpec,
    made: &SynthBold,
    own: Value,
) -> Result<u64, SynthError> {
    let header = Header::new(made.grid.clone(), spec.volumes, Some(spec.tr_seconds));
    let stem = format!("{stem}_task-{TASK}");
    let bytes = save_image(&raw.join(format!("{stem}_bold.nii.gz")), &header, Voxels::Scaled(made.series.view()))?;
    save_json(&raw.join(format!("{stem}_bold.json")), &files::scanner(own))?;
    save_image(&truth.join(format!("{stem}_desc-brain_mask.nii.gz")), &header, Voxels::Mask(made.brain.view()))?;
    save_text(&truth.join(format!("{stem}_desc-motion_timeseries.tsv")), &files::motion_table(&made.motion))?;
    save_json(&truth.join(format!("{stem}_desc-motion_timeseries.json")), &files::motion_sidecar(made, spec))?;
    Ok(bytes)
}

/// A small scan for a participant and session, for trying a pipeline without data: the header it would be read with, and
/// the array `(nt, nz, ny, nx)`. T1w at 3 mm, bold at 4 mm with 16 volumes. The same labels and seed give the same scan,
/// and the same participant has the same head in every session.
#[must_use]
pub fn scan_for(participant: &str, session: Option<&str>, modality: Kind, seed: u64) -> (Header, Array4<f32>) {
    let traits = Traits::of(seed, participant);
    let scan = seed_of(seed, &[participant, session.unwrap_or(""), modality.as_str()]);
    match modality {
        Kind::T1w => {
            let made = t1w(&T1wSpec { bias: traits.bias, ..T1wSpec::new(traits.head, scan, 3.0) });
            (Header::new(made.grid, 1, None), made.image.insert_axis(Axis(0)))
        }
        Kind::Bold => {
            let made = bold(&BoldSpec {
                head: traits.head,
                scan,
                voxel_mm: [4.0; 3],
                volumes: 16,
                non_steady: traits.non_steady,
                tr_seconds: TR_SECONDS,
                motion: traits.motion,
            });
            (Header::new(made.grid, 16, Some(TR_SECONDS)), made.series)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn config(dir: &Path) -> SynthConfig {
        SynthConfig {
            dir: dir.to_owned(),
            participants: 2,
            sessions: 1,
            modalities: Kind::ALL.to_vec(),
            voxel_mm: 8.0,
            volumes: 3,
            seed: 5,
        }
    }

    fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = walkdir::WalkDir::new(dir).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file());
        files.map(|e| (e.path().strip_prefix(dir).unwrap().to_owned(), fs::read(e.path()).unwrap())).collect()
    }

    fn write_on(threads: usize, dir: &Path) -> DatasetSummary {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| write_dataset(&config(dir), &|_, _| {})).unwrap()
    }

    #[test]
    fn a_dataset_is_whole_readable_and_the_same_at_any_thread_count() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let summary = write_on(1, a.path());
        write_on(4, b.path());
        assert_eq!((summary.participants, summary.scans), (2, 4));
        let files = contents(a.path());
        assert!(files == contents(b.path()), "bytes differ between 1 and 4 threads");
        assert!(files.keys().all(|f| f.extension().is_none_or(|e| e != "part")));
        let t1w = nifti::read(&a.path().join("sub-01/anat/sub-01_T1w.nii.gz")).unwrap();
        assert_eq!(t1w.data.dim(), (1, 32, 32, 22));
        let bold = nifti::read(&a.path().join("sub-02/func/sub-02_task-rest_bold.nii.gz")).unwrap();
        assert_eq!((bold.data.dim().0, bold.header.tr_seconds()), (3, Some(TR_SECONDS)));
        let truth = a.path().join(TRUTH).join("sub-01/anat/sub-01_desc-brain_mask.nii.gz");
        let ml = nifti::read(&truth).unwrap().data.sum() * 0.512;
        assert!((1000.0..1700.0).contains(&ml), "brain of {ml} ml");
        let json = &files[&PathBuf::from(TRUTH).join("sub-01/func/sub-01_task-rest_desc-motion_timeseries.json")];
        let json: serde_json::Value = serde_json::from_slice(json).unwrap();
        assert_eq!(json["Matrices"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn what_cannot_be_written_is_refused_before_anything_is() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("mine.txt"), "keep").unwrap();
        let refused = write_dataset(&config(dir.path()), &|_, _| {}).unwrap_err();
        assert!(matches!(refused, SynthError::NotEmpty { .. } | SynthError::Folder { .. }), "{refused}");
        assert_eq!(contents(dir.path()).len(), 1);
        let empty = dir.path().join("new");
        for wrong in [
            SynthConfig { participants: 0, ..config(&empty) },
            SynthConfig { voxel_mm: f64::NAN, ..config(&empty) },
            SynthConfig { volumes: 1, ..config(&empty) },
        ] {
            let refused = write_dataset(&wrong, &|_, _| {}).unwrap_err();
            assert!(matches!(refused, SynthError::Request { .. }), "{refused}");
        }
        assert!(!empty.exists());
    }

    #[test]
    fn scans_follow_from_their_labels() {
        let scan = |session| scan_for("01", session, Kind::Bold, 0).1;
        let first = scan(None);
        assert_eq!(first, scan(None));
        assert_ne!(first, scan(Some("1")));
    }
}
