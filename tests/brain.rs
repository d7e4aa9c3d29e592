//! Brain extraction as a whole, on heads made here, and on what is no head.

use imaging::brain::{BrainError, Contrast, extract_brain};
use imaging::metrics::{dice, false_volumes_ml, hd95_mm};
use ndarray::{Array3, ArrayView3, Axis};
use neuro_preprocess::error::{Coded, ErrorCode};
use phantom::{T1wSpec, t1w};

const VOXEL: [f64; 3] = [3.0; 3];
const SHAPE: (usize, usize, usize) = (80, 76, 64);

/// The middle of the head in mm from the volume's corner.
const MIDDLE: [f64; 3] = [150.0, 114.0, 96.0];

/// Pseudo-random in 0..1 from a voxel's index.
fn hash(at: (usize, usize, usize)) -> f32 {
    let mut h = (at.0 * 7_919 + at.1 * 104_729 + at.2 * 1_299_709) as u64;
    h = (h ^ (h >> 15)).wrapping_mul(0x2545_F491_4F6C_DD1D);
    (h >> 40) as f32 / (1u64 << 24) as f32
}

/// Distance in mm outside (inside: negative) an ellipsoid about the middle of the head.
fn outside(mm: [f64; 3], radii: [f64; 3]) -> f64 {
    let norm = |power: i32| {
        let share = |a: usize| (mm[a] - MIDDLE[a]) / radii[a].powi(power);
        [0, 1, 2].map(|a| share(a).powi(2)).iter().sum::<f64>().sqrt()
    };
    norm(1) * (norm(1) - 1.0) / norm(2).max(1e-9)
}

fn beyond(at: (usize, usize, usize), radii: [f64; 3]) -> f64 {
    outside([at.0 as f64 * VOXEL[0], at.1 as f64 * VOXEL[1], at.2 as f64 * VOXEL[2]], radii)
}

/// A head in voxels of that size: white and grey matter, ventricle, CSF, bone, scalp, and a neck with a cord; and its brain.
fn head(levels: [f32; 6], neck: bool, voxel: [f64; 3]) -> (Array3<f32>, Array3<u8>) {
    let [white, grey, csf, bone, scalp, noise] = levels;
    let radii = [60.0, 80.0, 64.0];
    let shape = [240.0 / voxel[0], 228.0 / voxel[1], 192.0 / voxel[2]].map(|n| n as usize);
    let place = |at: (usize, usize, usize)| [at.0 as f64 * voxel[0], at.1 as f64 * voxel[1], at.2 as f64 * voxel[2]];
    let image = Array3::from_shape_fn(shape, |at| {
        let mm = place(at);
        let d = outside(mm, radii);
        let axis = (mm[1] - 96.0).hypot(mm[2] - 96.0);
        let below = neck && mm[0] < 126.0;
        let value = match d {
            _ if outside(mm, [8.0, 25.0, 14.0]) < 0.0 => csf,
            d if d < -9.0 => white,
            d if d < 0.0 => grey,
            _ if below && axis < 9.0 => white,
            d if d < 4.0 => csf,
            d if d < 10.0 => bone,
            d if d < 19.0 => scalp,
            _ if below && axis < 55.0 => scalp,
            _ => 0.0,
        };
        let field = 1.0 + 0.2 * (mm[1] as f32 / 228.0 - 0.5) + 0.3 * (mm[2] as f32 / 192.0 - 0.5);
        (value * field + noise * (hash(at) - 0.5)).abs() + 1.0
    });
    (image, Array3::from_shape_fn(shape, |at| u8::from(outside(place(at), radii) <= 0.0)))
}

const T1W: [f32; 6] = [1000.0, 660.0, 230.0, 60.0, 600.0, 100.0];
const EPI: [f32; 6] = [800.0, 1000.0, 1200.0, 40.0, 150.0, 60.0];

#[test]
fn t1w_heads_with_and_without_a_neck_give_their_brain() {
    for neck in [true, false] {
        let (image, truth) = head(T1W, neck, VOXEL);
        let found = extract_brain(image.view(), VOXEL, Contrast::T1w).unwrap();
        let overlap = dice(found.mask.view(), truth.view()).unwrap();
        assert!(overlap > 0.99, "neck {neck}: Dice {overlap}");
        assert!(hd95_mm(found.mask.view(), truth.view(), VOXEL).unwrap() < 3.5, "neck {neck}");
        assert!(!found.already_stripped && found.centre_mm.is_some());
    }
}

/// White matter, grey matter, CSF, bone, scalp, and the width of uniform noise, √12 times its σ.
const NOISY: [f32; 6] = [1000.0, 660.0, 230.0, 60.0, 600.0, 312.0];

#[test]
fn noise_of_9_percent_and_slabs_of_voxels_give_the_brain_too() {
    let cases = [
        ("noise", NOISY, [2.0; 3], (0.975, 8.0)),
        ("thick slices", T1W, [3.0, 1.2, 1.2], (0.98, 4.0)),
        ("thick sagittal slices", T1W, [1.2, 1.2, 3.0], (0.98, 4.0)),
    ];
    for (name, levels, voxel, (least, farthest)) in cases {
        let (image, truth) = head(levels, true, voxel);
        let found = extract_brain(image.view(), voxel, Contrast::T1w).unwrap();
        let overlap = dice(found.mask.view(), truth.view()).unwrap();
        let distance = hd95_mm(found.mask.view(), truth.view(), voxel).unwrap();
        assert!(overlap > least && distance < farthest, "{name}: Dice {overlap}, {distance} mm");
    }
}

#[test]
fn an_epi_gives_the_brain_and_at_most_its_bright_csf() {
    let (image, truth) = head(EPI, true, VOXEL);
    let found = extract_brain(image.view(), VOXEL, Contrast::Bold).unwrap();
    let (extra, missing) = false_volumes_ml(found.mask.view(), truth.view(), VOXEL).unwrap();
    assert!(missing < 20.0, "{missing} ml missing");
    assert!(extra < 260.0, "{extra} ml beyond the CSF");
}

#[test]
fn a_stripped_image_keeps_its_outline() {
    let (image, truth) = head(T1W, false, VOXEL);
    let stripped = &image * &truth.mapv(f32::from);
    let found = extract_brain(stripped.view(), VOXEL, Contrast::T1w).unwrap();
    assert!(found.already_stripped);
    assert_eq!(found.mask, truth);
}

#[test]
fn the_mask_is_the_same_at_any_number_of_threads_and_despite_a_few_nans() {
    let (mut image, _) = head(T1W, true, VOXEL);
    image[[2, 2, 2]] = f32::NAN;
    image[[79, 75, 63]] = f32::INFINITY;
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| extract_brain(image.view(), VOXEL, Contrast::T1w).unwrap().mask)
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn what_is_no_head_is_refused() {
    let ball = Array3::from_shape_fn(SHAPE, |at| {
        let inside = beyond(at, [70.0; 3]) < 0.0;
        (if inside { 500.0 } else { 0.0 }) + 20.0 * hash(at)
    });
    let cases = [
        ("constant", Array3::from_elem(SHAPE, 7.0)),
        ("zero", Array3::zeros(SHAPE)),
        ("nan", Array3::from_elem(SHAPE, f32::NAN)),
        ("noise", Array3::from_shape_fn(SHAPE, |at| 100.0 * hash(at))),
        ("even ball", ball),
        ("small", Array3::from_shape_fn(SHAPE, |at| if beyond(at, [25.0; 3]) < 0.0 { 500.0 } else { 5.0 * hash(at) })),
    ];
    for (name, image) in cases {
        for contrast in [Contrast::T1w, Contrast::Bold] {
            let error = extract_brain(image.view(), VOXEL, contrast).err();
            assert_eq!(error.map(|e| e.code()), Some(ErrorCode::NoBrain), "{name}");
        }
    }
    let tiny = extract_brain(Array3::zeros((3, 40, 40)).view(), VOXEL, Contrast::T1w);
    assert!(matches!(tiny, Err(BrainError::Unusable { .. })));
}

/// Every third slice along an axis, as an acquisition of 3 mm sees slices of 1 mm: weighted by a triangle of 3 mm.
fn thick(image: ArrayView3<f32>, axis: usize) -> Array3<f32> {
    let axis = Axis(axis);
    let mut shape = image.raw_dim();
    shape[axis.index()] = (image.len_of(axis) - 2) / 3;
    let mut out = Array3::zeros(shape);
    for (n, mut seen) in out.axis_iter_mut(axis).enumerate() {
        for (slice, weight) in (3 * n..).zip([1.0, 2.0, 3.0, 2.0, 1.0]) {
            seen.scaled_add(weight / 9.0, &image.index_axis(axis, slice));
        }
    }
    out
}

#[test]
fn a_thin_skull_that_thick_slices_blur_keeps_the_surface_inside() {
    for (head, axis) in [(4, 0), (6, 0), (10, 2)] {
        let made = t1w(&T1wSpec::new(head, 1, 1.0));
        let mut voxel = made.grid.voxel_mm;
        voxel[axis] *= 3.0;
        let truth = thick(made.brain.mapv(f32::from).view(), axis).mapv(|part| u8::from(part > 0.5));
        let found = extract_brain(thick(made.image.view(), axis).view(), voxel, Contrast::T1w).unwrap();
        let overlap = dice(found.mask.view(), truth.view()).unwrap();
        let (extra, _) = false_volumes_ml(found.mask.view(), truth.view(), voxel).unwrap();
        assert!(overlap > 0.95 && extra < 40.0, "head {head}, axis {axis}: Dice {overlap}, {extra} ml too much");
    }
}
