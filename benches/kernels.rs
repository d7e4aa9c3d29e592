//! Times of the kernels on synthetic scans: a T1w of 1 mm and a bold run of 64 × 64 × 36 × 40, each made once.
//!
//! `cargo bench --bench kernels`, or `cargo bench --bench kernels -- motion` for some of them. `RAYON_NUM_THREADS` sets the
//! number of threads. What peers need for the same work is in `benches/peers`.

use criterion::{BatchSize, Criterion};
use imaging::bias::{divide_by_field, estimate_bias};
use imaging::brain::{Contrast, extract_brain};
use imaging::intensity::white_matter_reference;
use imaging::motion::{estimate_motion, resample_in_place};
use imaging::quality_t1w::t1w_quality;
use imaging::segmentation::{estimate_shares, segment_tissues};
use ndarray::{Array3, Array4, ArrayView3, Axis};
use neuro_preprocess::templates;
use nifti::{Header, Voxels};
use phantom::{BoldSpec, MotionLevel, SynthT1w, T1wSpec, bold, t1w};
use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let mut criterion =
        Criterion::default().sample_size(10).measurement_time(Duration::from_secs(3)).configure_from_args();
    let head = t1w(&T1wSpec::new(1, 1, 1.0));
    files(&mut criterion, &head)?;
    anatomical(&mut criterion, &head)?;
    functional(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}

/// Reading and writing the T1w as gzipped int16.
fn files(criterion: &mut Criterion, head: &SynthT1w) -> Outcome {
    let header = Header::new(head.grid.clone(), 1, None);
    let voxels = Voxels::Scaled(head.image.view().insert_axis(Axis(0)));
    let mut file = tempfile::Builder::new().suffix(".nii.gz").tempfile()?;
    nifti::write(&mut file, &header, voxels)?;
    criterion.bench_function("nifti/read", |b| b.iter(|| nifti::read(black_box(file.path()))));
    criterion.bench_function("nifti/write", |b| {
        b.iter_batched(Vec::new, |to| nifti::write(to, &header, black_box(voxels)), BatchSize::PerIteration);
    });
    Ok(())
}

/// The stages of a T1w scan, each on what the one before it made.
fn anatomical(criterion: &mut Criterion, head: &SynthT1w) -> Outcome {
    let (raw, voxel_mm) = (head.image.view(), head.grid.voxel_mm);
    let strip = |image| extract_brain(image, &head.grid.affine, Contrast::T1w, templates::head());
    criterion.bench_function("t1w/brain", |b| b.iter(|| strip(black_box(raw))));
    let brain = strip(raw)?.mask;
    let field = |image: ArrayView3<f32>| estimate_bias(image, brain.view(), voxel_mm);
    criterion.bench_function("t1w/bias", |b| b.iter(|| field(black_box(raw))));
    let mut even: Array3<f32> = head.image.clone();
    divide_by_field(even.view_mut(), field(raw)?.field.view());
    let (image, mask) = (even.view(), brain.view());
    criterion.bench_function("t1w/reference", |b| b.iter(|| white_matter_reference(black_box(image), mask)));
    let segment = |image| segment_tissues(image, mask, voxel_mm, None);
    criterion.bench_function("t1w/tissues", |b| b.iter(|| segment(black_box(image))));
    let found = segment(image)?;
    let shares = |image| estimate_shares(image, mask, voxel_mm, None, &found);
    criterion.bench_function("t1w/shares", |b| b.iter(|| shares(black_box(image))));
    let quality = |image| t1w_quality(image, mask, Some(found.labels.view()), voxel_mm);
    criterion.bench_function("t1w/quality", |b| b.iter(|| quality(black_box(image))));
    Ok(())
}

/// Motion of a bold run: estimated, and undone.
fn functional(criterion: &mut Criterion) -> Outcome {
    let run = bold(&BoldSpec {
        head: 1,
        scan: 1,
        voxel_mm: [3.8, 3.4, 3.4],
        volumes: 40,
        non_steady: 0,
        tr_seconds: 2.0,
        motion: MotionLevel::Typical,
    });
    let (series, affine) = (run.series, run.grid.affine);
    criterion.bench_function("bold/motion", |b| b.iter(|| estimate_motion(black_box(series.view()), affine)));
    let motion = estimate_motion(series.view(), affine)?;
    let resample = |mut series: Array4<f32>| resample_in_place(&mut series, affine, &motion).map(|()| series);
    criterion.bench_function("bold/resample", |b| {
        b.iter_batched(|| series.clone(), resample, BatchSize::PerIteration);
    });
    Ok(())
}
