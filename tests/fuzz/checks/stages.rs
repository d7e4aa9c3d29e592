//! The way of a scan: every stage but the last, on small images of any content.

use super::{place, printable};
use ndarray::Array4;
use neuro_preprocess::bids::{Entities, Modality};
use neuro_preprocess::derivatives::save::Saved;
use neuro_preprocess::error::ErrorCode;
use neuro_preprocess::pipeline::handed::Handed;
use neuro_preprocess::pipeline::stages::load::Read;
use neuro_preprocess::pipeline::stages::validate;
use neuro_preprocess::pipeline::{anatomical, functional};
use neuro_preprocess::plan::{Need, ScanPlan};
use neuro_preprocess::step::{Context, cancel::Cancel};
use neuro_preprocess::telemetry::spans;
use neuro_preprocess::templates::Targets;
use neuro_preprocess::vocabulary::{Faults, Reason, SessionId, Stage, State, Wanted};
use nifti::{Grid, Header};
use serde_json::{Map, json};
use std::sync::Arc;

/// Voxel sizes in millimetres: ordinary ones, and the last two the limits of what a reader lets through.
const SIZES_MM: [f64; 8] = [1.0, 2.0, 3.0, 0.5, 0.1, 12.0, 1e-6, 1e6];
/// Intensities are bytes times one of these.
const SCALES: [f32; 8] = [1.0, -1.0, 1000.0, 1e-30, 1e30, 1e-3, 256.0, 0.1];

/// Any image comes through all stages or is refused with words, whatever is in it, and what comes out is finite. Input: the
/// modality, three extents, volumes, three voxel sizes, a scale, then the voxels, again and again until all are filled.
pub fn stages(bytes: &[u8]) {
    let Some(([kind, nx, ny, nz, nt, dx, dy, dz, scale], pattern)) = bytes.split_first_chunk::<9>() else { return };
    if pattern.is_empty() {
        return;
    }
    let modality = if kind % 2 == 0 { Modality::T1w } else { Modality::Bold };
    let volumes = if modality == Modality::T1w { 1 } else { 6 + usize::from(nt % 4) };
    let extent = |n: &u8| 8 + usize::from(n % 12);
    let size = |n: &u8| SIZES_MM[usize::from(n % 8)];
    let shape = [extent(nz), extent(ny), extent(nx)];
    let voxel_mm = [size(dz), size(dy), size(dx)];
    let (times, phase) = (SCALES[usize::from(scale % 8)], usize::from(scale / 8));
    let mut at = 0;
    // A step that grows now and then keeps patterns from repeating in each line.
    let values = || {
        at += 1;
        f32::from(pattern[(at + phase * (at / 97)) % pattern.len()]) * times
    };
    let image = Array4::from_shape_simple_fn((volumes, shape[0], shape[1], shape[2]), values);
    let affine = [
        [voxel_mm[2], 0.0, 0.0, 0.0],
        [0.0, voxel_mm[1], 0.0, 0.0],
        [0.0, 0.0, voxel_mm[0], 0.0],
        [0.0, 0.0, 0.0, 1.0],
    ];
    let header = Header::new(Grid { shape, voxel_mm, affine }, volumes, Some(2.0));
    goes_through(modality, header, image);
}

fn goes_through(modality: Modality, header: Header, image: Array4<f32>) {
    let plan = ScanPlan {
        id: "sub-01".to_owned(),
        modality,
        file: "scan.nii".into(),
        echoes: Vec::new(),
        fieldmap: neuro_preprocess::plan::FieldmapPlan::default(),
        lesions: Vec::new(),
        relative: "scan.nii".into(),
        entities: Entities::parse("sub-01").unwrap(),
        metadata: Arc::new(Map::from_iter([("RepetitionTime".to_owned(), json!(2.0))])),
        oddities: Vec::new(),
        problem: None,
        bytes: 0,
        memory: Need::default(),
        wanted: Wanted::default(),
        state: State::ToDo(Reason::NeverDone),
    };
    let (output, remote, cancel) = (place("out"), spans::Context::default(), Cancel::default());
    let targets = Targets::default();
    let cx = Context {
        run_id: "fuzz",
        output: &output,
        targets: &targets,
        faults: Faults::default(),
        strict: false,
        cancel: &cancel,
        sinks: &[],
        run_span: None,
        remote: &remote,
    };
    let session = SessionId { participant: "01".to_owned(), session: None };
    let read = Read { header, voxels: image };
    // Without loading and saving.
    let done = cx.scan((&session, &plan), spans::Parent::Remote(&remote), None, |scan| {
        match modality {
            Modality::T1w => {
                let raw =
                    scan.phase(Stage::Load, |p| p.step(Stage::Validate, |f| validate::t1w(read, &plan, false, f)))?;
                let made = anatomical::process(scan, raw, &targets)?;
                assert!(made.scaled.image.iter().all(|v| v.is_finite()), "voxels that are no numbers");
            }
            Modality::Bold => {
                let raw =
                    scan.phase(Stage::Load, |p| p.step(Stage::Validate, |f| validate::bold(read, &plan, false, f)))?;
                let made = functional::process(scan, (raw, Vec::new()), &Handed::NotNeeded)?;
                let mean = made.scaled.fit.mean.iter().all(|v| v.is_finite());
                assert!(mean && made.scaled.series.iter().all(|v| v.is_finite()), "voxels that are no numbers");
            }
        }
        Ok(Saved::default())
    });
    done.summary.quality.iter().for_each(|(name, value)| assert!(value.is_finite(), "{name} is {value}"));
    if let Some(failure) = done.summary.error {
        assert_ne!(failure.code, ErrorCode::Panicked.as_str(), "{}", failure.message);
        printable(&failure.message);
    }
}
