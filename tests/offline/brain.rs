//! Brain extraction as a whole: on real heads, whole and changed, on what is no T1w head, and on EPI.

#![allow(clippy::unwrap_used, clippy::panic)] // The lints' exemption does not reach helpers of tests.

use imaging::brain::{Brain, BrainError, Contrast, Looks, extract_brain};
use imaging::metrics::{dice, false_volumes_ml};
use imaging::registration::brain::FixedBrain;
use imaging::rigid::{apply, compose, from_parameters, invert_rigid};
use ndarray::{Array3, ArrayView3, Axis, Slice, s};
use neuro_preprocess::error::{Coded, ErrorCode};
use neuro_preprocess::templates;
use phantom::{T1wSpec, t1w};
use std::path::Path;

type Affine = [[f64; 4]; 4];

/// A real head of `tests/data/heads`: image, mask, and where its voxels lie.
struct Head {
    image: Array3<f32>,
    reference: Array3<u8>,
    affine: Affine,
}

const HEADS: [&str; 3] = ["lh01", "lh06", "pumi"];

fn head(name: &str) -> Head {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/heads");
    let read = |kind: &str| nifti::read(&folder.join(format!("sub-{name}_{kind}.nii.gz"))).unwrap();
    let (image, mask) = (read("T1w"), read("desc-reference_mask"));
    let affine = image.header.grid().affine;
    let volume = |data: ndarray::Array4<f32>| data.index_axis_move(Axis(0), 0);
    Head { image: volume(image.data), reference: volume(mask.data).mapv(|v| u8::from(v > 0.0)), affine }
}

fn find(image: ArrayView3<f32>, affine: &Affine) -> Result<Brain, BrainError> {
    extract_brain(image, affine, Contrast::T1w, templates::head())
}

const VOXEL: [f64; 3] = [2.0; 3];

/// Pseudo-random in 0..1 from a voxel's index.
fn hash(at: (usize, usize, usize)) -> f32 {
    let mut h = (at.0 * 7_919 + at.1 * 104_729 + at.2 * 1_299_709) as u64;
    h = (h ^ (h >> 15)).wrapping_mul(0x2545_F491_4F6C_DD1D);
    (h >> 40) as f32 / (1u64 << 24) as f32
}

#[test]
fn real_heads_give_their_brain_without_a_doubt() {
    for name in HEADS {
        let head = head(name);
        let found = find(head.image.view(), &head.affine).unwrap();
        // The references put the edge up to 2 mm further out.
        let overlap = dice(found.mask.view(), head.reference.view()).unwrap();
        let (extra, missing) = false_volumes_ml(found.mask.view(), head.reference.view(), VOXEL).unwrap();
        assert!(overlap > 0.95 && extra < 40.0 && missing < 140.0, "{name}: {overlap}, {extra} ml, {missing} ml");
        assert!(found.belief.unwrap().local > 0.6 && found.doubts.is_empty(), "{name}: {:?}", found.doubts);
    }
}

/// What does not change a brain hardly changes its volume.
#[test]
fn the_volume_stays_when_little_changes() {
    let head = head("lh06");
    let volume = |image: ArrayView3<f32>, affine: &Affine| find(image, affine).unwrap().volume_ml;
    let whole = volume(head.image.view(), &head.affine);
    let near = |what: &str, found: f64, percent: f64| {
        assert!((found / whole - 1.0).abs() < percent / 100.0, "{what}: {found} ml, not {whole}");
    };
    for scale in [1.0 + 5e-6, 1.0 - 5e-6] {
        let affine = head.affine.map(|row| [row[0] * scale, row[1] * scale, row[2] * scale, row[3]]);
        near("voxel size", volume(head.image.view(), &affine), 1.0);
    }
    let mut moved = head.affine;
    (0..3).for_each(|r| moved[r][3] += head.affine[r][0]);
    near("a column less", volume(head.image.slice(s![.., .., 1..]), &moved), 1.0);
    let noisy = Array3::from_shape_fn(head.image.dim(), |at| head.image[at] + 0.8 * (hash(at) - 0.5));
    near("noise", volume(noisy.view(), &head.affine), 1.0);
    for gamma in [0.6, 1.6] {
        let image = head.image.mapv(|v| 255.0 * (v / 255.0).powf(gamma));
        near("gamma", volume(image.view(), &head.affine), 1.0);
    }
}

/// Wherever a brain lies and however it is turned, its affine map to another ends at the same place.
#[test]
fn an_affine_map_does_not_depend_on_where_it_starts() {
    let (fixed, moving) = (head("lh01"), head("lh06"));
    let fixed = FixedBrain::new(fixed.image.view(), &fixed.affine, fixed.reference.view()).unwrap();
    let align = |affine: &Affine| fixed.align(moving.image.view(), affine, moving.reference.view()).unwrap().fit.matrix;
    let plain = align(&moving.affine);
    for start in 0..16 {
        let drawn = |n| f64::from(hash((start, n, 7)));
        // An axis and an angle up to 45°, and a shift up to 40 mm.
        let axis = [0, 1, 2].map(|n| drawn(n) - 0.5);
        let length = axis.iter().map(|v| v * v).sum::<f64>().sqrt();
        let angle = 45f64.to_radians() * drawn(3);
        let [rx, ry, rz] = axis.map(|v| v / length * angle);
        let shift = [4, 5, 6].map(|n| 80.0 * (drawn(n) - 0.5) / 3f64.sqrt());
        let turn = from_parameters(&[shift[0], shift[1], shift[2], rx, ry, rz], [0.0, -20.0, 20.0]);
        let back = invert_rigid(&turn);
        let found = compose(&back, &align(&compose(&turn, &moving.affine)));
        for corner in 0..8 {
            let at = [0, 1, 2].map(|axis| if corner >> axis & 1 == 0 { -70.0 } else { 70.0 });
            let apart =
                apply(&found, at).iter().zip(apply(&plain, at)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
            assert!(apart < 0.05, "start {start}: {apart} mm at {at:?}");
        }
    }
}

#[test]
fn values_may_come_as_they_are() {
    let head = head("pumi");
    let plain = find(head.image.view(), &head.affine).unwrap();
    let same = |what: &str, image: Array3<f32>| {
        let found = find(image.view(), &head.affine).unwrap();
        let overlap = dice(found.mask.view(), plain.mask.view()).unwrap();
        assert!(overlap > 0.98, "{what}: {overlap}");
    };
    same("an offset", head.image.mapv(|v| v + 1000.0));
    same("z scores", head.image.mapv(|v| (v - 60.0) / 45.0));
    same("background that is no number", head.image.mapv(|v| if v < 8.0 { f32::NAN } else { v }));
    let mut outlier = head.image.clone();
    outlier[[40, 30, 30]] = 1e9;
    same("one bright voxel", outlier);
}

#[test]
fn a_stripped_image_keeps_its_outline() {
    let head = head("lh06");
    let stripped = &head.image * &head.reference.mapv(f32::from);
    let found = find(stripped.view(), &head.affine).unwrap();
    assert!(found.already_stripped.is_some());
    assert!(dice(found.mask.view(), head.reference.view()).unwrap() > 0.995);
    assert!(found.doubts.is_empty(), "{:?}", found.doubts);
}

#[test]
fn a_header_that_is_upside_down_is_seen_and_said() {
    let head = head("lh06");
    let turned = head.image.slice(s![..;-1, ..;-1, ..]);
    let found = find(turned, &head.affine).unwrap();
    assert!(found.doubts.iter().any(|doubt| doubt.kind() == "orientation"), "{:?}", found.doubts);
    let back = found.mask.slice(s![..;-1, ..;-1, ..]);
    assert!(dice(back, head.reference.view()).unwrap() > 0.95);
}

#[test]
fn a_field_of_view_that_cuts_the_brain_is_said() {
    let head = head("pumi");
    let top = head.reference.axis_iter(Axis(0)).rposition(|slice| slice.iter().any(|v| *v != 0)).unwrap();
    let cut = head.image.slice_axis(Axis(0), Slice::from(..top - 8));
    let found = find(cut, &head.affine).unwrap();
    assert!(found.doubts.iter().any(|doubt| doubt.kind() == "cut_off"), "{:?}", found.doubts);
    assert!(dice(found.mask.view(), head.reference.slice_axis(Axis(0), Slice::from(..top - 8))).unwrap() > 0.93);
}

#[test]
fn another_contrast_is_refused_with_what_it_looks_like() {
    let head = head("lh06");
    // Where a T1w image is bright a T2w one is dark, and the reverse.
    let mask = head.reference.mapv(f32::from);
    let inverted = Array3::from_shape_fn(head.image.dim(), |at| {
        if mask[at] > 0.0 { 260.0 - head.image[at] } else { 0.5 * head.image[at] }
    });
    match find(inverted.view(), &head.affine) {
        Err(BrainError::NotT1w { looks, .. }) => assert_eq!(looks, Looks::T2w),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_mask_is_the_same_at_any_number_of_threads_and_despite_a_few_nans() {
    let mut head = head("pumi");
    head.image[[2, 2, 2]] = f32::NAN;
    head.image[[60, 75, 63]] = f32::INFINITY;
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| find(head.image.view(), &head.affine).unwrap().mask)
    };
    assert_eq!(with(1), with(3));
}

/// A grid of 3 mm around the middle of the room.
const SHAPE: (usize, usize, usize) = (80, 76, 64);
const GRID: Affine = [[3.0, 0.0, 0.0, -96.0], [0.0, 3.0, 0.0, -114.0], [0.0, 0.0, 3.0, -120.0], [0.0, 0.0, 0.0, 1.0]];

/// The radius at which a voxel lies when an ellipsoid of these radii in mm has the radius 1.
fn radius(at: (usize, usize, usize), [z, y, x]: [f64; 3]) -> f64 {
    let d = |v: usize, middle: f64, r: f64| (3.0 * v as f64 - middle) / r;
    (d(at.0, 120.0, z).powi(2) + d(at.1, 114.0, y).powi(2) + d(at.2, 96.0, x).powi(2)).sqrt()
}

#[test]
fn what_is_no_head_is_refused() {
    let water = Array3::from_shape_fn(SHAPE, |at| match radius(at, [66.0, 84.0, 70.0]) {
        r if r < 0.9 => 500.0 + 20.0 * hash(at),
        r if r < 1.0 => 800.0,
        _ => 5.0 * hash(at),
    });
    let ball =
        Array3::from_shape_fn(SHAPE, |at| (if radius(at, [70.0; 3]) < 1.0 { 500.0 } else { 0.0 }) + 20.0 * hash(at));
    let small = Array3::from_shape_fn(SHAPE, |at| if radius(at, [25.0; 3]) < 1.0 { 500.0 } else { 5.0 * hash(at) });
    let cases = [
        ("constant", Array3::from_elem(SHAPE, 7.0)),
        ("zero", Array3::zeros(SHAPE)),
        ("nan", Array3::from_elem(SHAPE, f32::NAN)),
        ("noise", Array3::from_shape_fn(SHAPE, |at| 100.0 * hash(at))),
        ("water", water),
        ("even ball", ball),
        ("small", small),
    ];
    for (name, image) in cases {
        let error = find(image.view(), &GRID).err();
        assert_eq!(error.map(|e| e.code()), Some(ErrorCode::NoBrain), "{name}");
    }
    let tiny = find(Array3::zeros((3, 40, 40)).view(), &GRID);
    assert!(matches!(tiny, Err(BrainError::Unusable { .. })));
}

/// White matter, grey matter, CSF, bone, scalp of an EPI.
#[test]
fn an_epi_gives_the_brain_and_at_most_its_bright_csf() {
    let radii = [60.0, 80.0, 64.0];
    let image = Array3::from_shape_fn(SHAPE, |at| {
        let r = radius(at, radii);
        let value = match r {
            r if r < 0.85 => 800.0,
            r if r < 1.0 => 1000.0,
            r if r < 1.06 => 1200.0,
            r if r < 1.15 => 40.0,
            r if r < 1.28 => 150.0,
            _ => 0.0,
        };
        (value + 60.0 * (hash(at) - 0.5)).abs() + 1.0
    });
    let truth = Array3::from_shape_fn(SHAPE, |at| u8::from(radius(at, radii) <= 1.0));
    let found = extract_brain(image.view(), &GRID, Contrast::Bold, templates::head()).unwrap();
    let (extra, missing) = false_volumes_ml(found.mask.view(), truth.view(), [3.0; 3]).unwrap();
    assert!(missing < 20.0 && extra < 260.0, "{missing} ml missing, {extra} ml beyond the CSF");
}

#[test]
fn a_synthetic_head_gives_its_brain() {
    let made = t1w(&T1wSpec::new(4, 1, 2.0));
    let found = find(made.image.view(), &made.grid.affine).unwrap();
    let overlap = dice(found.mask.view(), made.brain.view()).unwrap();
    assert!(overlap > 0.95, "Dice {overlap}, {:?}", found.doubts);
}
