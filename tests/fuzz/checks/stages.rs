//! The way of a scan: every stage but the last, on small images of any content.

use super::{place, printable};
use ndarray::Array4;
use neuro_preprocess::bids::{Entities, Modality};
use neuro_preprocess::derivatives::products::Products;
use neuro_preprocess::pipeline::stages::{Facts, STAGES, Work};
use neuro_preprocess::plan::{Need, ScanPlan, Source};
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
    let scan = ScanPlan {
        id: "sub-01".to_owned(),
        modality,
        source: Source::File("scan.nii".into()),
        relative: "scan.nii".into(),
        entities: Entities::parse("sub-01").unwrap(),
        metadata: Arc::new(Map::from_iter([("RepetitionTime".to_owned(), json!(2.0))])),
        problem: None,
        bytes: 0,
        memory: Need::default(),
        tissues: true,
    };
    let output = place("out");
    let mut work = Work::new(&scan, &output);
    work.products = Some(Products {
        header,
        image,
        mean: None,
        motion: None,
        confounds: Vec::new(),
        brain: None,
        bias: None,
        intensity: None,
        tissues: None,
        peaks: Vec::new(),
        figures: None,
        quality: None,
    });
    // Without loading and saving.
    for stage in &STAGES[1..STAGES.len() - 1] {
        if !stage.name().applies_to(modality) {
            continue;
        }
        if let Err(e) = stage.run(&mut work, &mut Facts::default()) {
            return printable(&e.to_string());
        }
        let products = work.products().unwrap();
        assert!(products.image.iter().all(|v| v.is_finite()), "{:?} made voxels that are no numbers", stage.name());
        let measures = products.quality.iter().flat_map(|quality| &quality.measures);
        measures.for_each(|m| assert!(m.value.is_finite(), "{} is {}", m.name, m.value));
    }
}
