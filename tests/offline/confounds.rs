//! The confounds table with the tissues: as the programs that fMRIPrep uses compute it, and as nilearn reads it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common;
use imaging::confounds::confounds;
use imaging::confounds::nuisance::nuisance;
use imaging::confounds::tissue_masks::TissueMasks;
use imaging::motion::MotionEstimate;
use imaging::rigid::from_parameters;
use ndarray::{Array3, Array4};
use neuro_preprocess::bids::{Entities, Modality};
use neuro_preprocess::derivatives::outputs::{OutputKind, outputs_of};
use neuro_preprocess::derivatives::save::{Content, File, save};
use neuro_preprocess::derivatives::sidecar::columns;
use neuro_preprocess::pipeline::stages::confounds::table;
use neuro_preprocess::vocabulary::Wanted;
use std::f64::consts::TAU;
use std::fs;
use std::path::Path;

const SHAPE: (usize, usize, usize, usize) = (90, 14, 18, 16);
const TR: f64 = 2.2;
const SKIP: usize = 2;

/// A ball around the middle of the volume with so many voxels in between.
fn shell(from: f64, to: f64) -> Array3<u8> {
    let (_, nz, ny, nx) = SHAPE;
    Array3::from_shape_fn((nz, ny, nx), |(k, j, i)| {
        let square = |at: usize, n: usize| (at as f64 - (n as f64 - 1.0) / 2.0).powi(2);
        u8::from((from..to).contains(&(square(k, nz) + square(j, ny) + square(i, nx)).sqrt()))
    })
}

/// Numbers between −1 and 1, the same every time.
fn numbers() -> impl FnMut() -> f64 {
    let mut state = 7_u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

/// Voxels that drift, share a pulse, a breath and jumps as their place has it, and are noisy.
fn series() -> Array4<f32> {
    let mut next = numbers();
    let jumps: Vec<f64> = (0..SHAPE.0).map(|_| next()).collect();
    Array4::from_shape_fn(SHAPE, |(t, k, j, i)| {
        let (time, [z, y, x]) = (t as f64 * TR, [k, j, i].map(|n| n as f64 * 0.4));
        let wave = |hertz: f64, place: f64| (TAU * hertz * time + place).sin() * place.cos();
        let shared = 9.0 * wave(0.17, z + x) + 6.0 * wave(0.05, y - z) + 5.0 * jumps[t] * (x + y).sin();
        (1000.0 + 40.0 * z + 0.1 * time * x + shared + 8.0 * next()) as f32
    })
}

fn motion() -> MotionEstimate {
    let mut next = numbers();
    let scale = |at: usize, v: f64| if at < 3 { 0.1 * v } else { 0.001 * v };
    let mut parameters: Vec<[f64; 6]> = (0..SHAPE.0).map(|_| std::array::from_fn(|at| scale(at, next()))).collect();
    parameters[40][1] += 0.9;
    let matrices = parameters.iter().map(|p| from_parameters(p, [0.0; 3])).collect();
    MotionEstimate {
        parameters,
        matrices,
        centre: [0.0; 3],
        reference: 3,
        non_steady: SKIP,
        unaligned: Vec::new(),
        iterations: Vec::new(),
    }
}

/// Writes what the peer reads, and the table as a run writes it.
fn write(folder: &Path, parts: &TissueMasks, brain: &Array3<u8>) {
    let (series, motion) = (series(), motion());
    let found = confounds(series.view(), brain.view(), &motion);
    let courses = nuisance(series.view(), brain.view(), SKIP, Some(TR), Some(parts));
    let made = table(&motion, &found, &courses);
    let entities = Entities::from_pairs([("sub", "01"), ("task", "rest")]).unwrap();
    let all = outputs_of(Modality::Bold, &entities, &Wanted::default()).unwrap();
    let named = |kind| all.iter().find(|output| output.kind == kind).unwrap().clone();
    let file = File { output: named(OutputKind::Confounds), content: Content::Table(&made), sidecar: columns(&made) };
    let saved = save(folder, &[file]).unwrap();
    let beside = folder.join(saved.files[0].path.parent().unwrap());
    // nilearn goes by the name of the image alone.
    fs::write(folder.join(&named(OutputKind::Preproc).path), "").unwrap();
    let (nt, nz, ny, nx) = SHAPE;
    let told = serde_json::json!({ "shape": [nt, nz, ny, nx], "tr": TR, "skip": SKIP });
    fs::write(beside.join("run.json"), told.to_string()).unwrap();
    let voxels: Vec<u8> = series.iter().flat_map(|v| v.to_le_bytes()).collect();
    fs::write(beside.join("series.bin"), voxels).unwrap();
    let masks = [("brain", brain), ("t1w", &parts.brain), ("csf", &parts.csf), ("wm", &parts.white_matter)];
    for (name, mask) in masks.into_iter().chain([("csf_wm", &parts.csf_wm)]) {
        fs::write(beside.join(format!("{name}.bin")), mask.iter().copied().collect::<Vec<_>>()).unwrap();
    }
}

#[test]
fn nipype_and_nilearn_find_the_same_confounds() {
    let folder = tempfile::tempdir().unwrap();
    let (csf, white_matter) = (shell(0.0, 2.3), shell(3.0, 4.5));
    let csf_wm = &csf | &white_matter;
    let parts = TissueMasks { csf, white_matter, csf_wm, brain: shell(0.0, 6.3), relaxed: false };
    write(folder.path(), &parts, &shell(0.0, 5.9));
    let Some(peer) = common::peer("check_confounds.py", &[&folder.path().join("sub-01/func")]) else { return };
    println!("{}", peer.exits(0).stdout);
}
