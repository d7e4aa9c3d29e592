//! Opposed polarities: fields that are known, found again.

use super::super::PhaseEncoding;
use super::super::phantom::{Motion, Phantom, Scan};
use super::super::shift::Shift;
use super::*;
use ndarray::Axis;

const READOUT_S: f64 = 0.035;
const MOVED: Motion = Motion { mm: [1.2, 1.0, -1.4], degrees: [-0.9, 0.8, 0.7] };

fn direction(text: &str) -> PhaseEncoding {
    text.parse().unwrap()
}

/// A pair of scans of the head, the second moved and brighter.
fn scans(phantom: &Phantom, first: PhaseEncoding, motion: Motion, seconds: [f64; 2]) -> [Array3<f32>; 2] {
    let scan = Scan { direction: first, readout_s: seconds[0], motion: Motion::NONE, gain: 1.0, noise: 0.02 };
    let other = Scan { direction: first.reversed(), readout_s: seconds[1], motion, gain: 1.1, ..scan };
    [phantom.epi(&scan, 11), phantom.epi(&other, 12)]
}

fn estimated(
    phantom: &Phantom,
    images: &[Array3<f32>; 2],
    first: PhaseEncoding,
    seconds: [f64; 2],
    motion: bool,
) -> Pepolar {
    let epi = |n: usize, direction| Epi { image: images[n].view(), direction, readout_s: seconds[n] };
    estimate(&epi(0, first), &epi(1, first.reversed()), phantom.voxel_mm, motion).unwrap()
}

/// Mean and 95 % quantile of the error in the brain in voxels of the first image, the constant removed; the constant; and
/// the voxels of the whole volume that fold.
fn errors(phantom: &Phantom, found: &Pepolar, first: PhaseEncoding) -> (f32, f32, f32, usize) {
    let in_brain = phantom.hz.iter().zip(&found.hz).zip(&phantom.brain).filter(|(_, b)| **b != 0);
    let mut errors: Vec<f32> = in_brain.map(|((t, f), _)| (f - t) * READOUT_S as f32).collect();
    let constant = crate::filter::quantiles(&mut errors, [0.5]).unwrap()[0];
    let mut sizes: Vec<f32> = errors.iter().map(|e| (e - constant).abs()).collect();
    let mean = sizes.iter().sum::<f32>() / sizes.len() as f32;
    let high = crate::filter::quantiles(&mut sizes, [0.95]).unwrap()[0];
    let shift = Shift::new(found.hz.view(), None, first, READOUT_S).unwrap();
    let folds = shift.jacobian.iter().filter(|j| **j <= 0.0 || **j >= 2.0).count();
    (mean, high, constant, folds)
}

#[test]
fn without_motion_the_shift_is_found_to_a_hundredth_of_a_voxel() {
    let phantom = Phantom::new([36, 64, 64], 1);
    let j = direction("j");
    let images = scans(&phantom, j, Motion::NONE, [READOUT_S; 2]);
    let found = estimated(&phantom, &images, j, [READOUT_S; 2], false);
    let (mean, high, constant, folds) = errors(&phantom, &found, j);
    assert!(mean < 0.02 && high < 0.05 && constant.abs() < 0.02 && folds == 0, "{mean} {high} {constant} {folds}");
    assert!(found.facts.after.correlation > 0.97 && found.facts.before.correlation < 0.9, "{:?}", found.facts);
    assert!((found.facts.gain * 1.1 - 1.0).abs() < 0.01 && found.facts.motion == IDENTITY);
}

#[test]
fn with_motion_it_is_found_up_to_a_constant_and_so_is_the_motion() {
    let phantom = Phantom::new([36, 64, 64], 2);
    let j = direction("j");
    let images = scans(&phantom, j, MOVED, [READOUT_S; 2]);
    let found = estimated(&phantom, &images, j, [READOUT_S; 2], true);
    let (mean, high, constant, folds) = errors(&phantom, &found, j);
    assert!(mean < 0.03 && high < 0.08 && folds == 0, "{mean} {high} {folds}");
    let facts = found.facts;
    // Half of the motion along phase encoding that was not guessed.
    let along = MOVED.mm[1] - facts.translation_mm[1];
    let half = -0.5 * along as f32 / 3.3;
    assert!((constant - half).abs() < 0.08 && along.abs() < 1.5 * MOVED.mm[1], "{constant} {half}");
    assert!((facts.translation_mm[0] - 1.2).abs() < 0.2 && (facts.translation_mm[2] + 1.4).abs() < 0.2, "{facts:?}");
    assert!(facts.rotation_deg.iter().zip(MOVED.degrees).all(|(a, b)| (a - b).abs() < 0.35), "{facts:?}");
}

#[test]
fn the_control_points_are_those_of_the_field() {
    let phantom = Phantom::new([20, 30, 34], 7);
    for first in [direction("j-"), direction("i")] {
        let images = scans(&phantom, first, MOVED, [READOUT_S; 2]);
        let found = estimated(&phantom, &images, first, [READOUT_S; 2], true);
        let (nz, ny, nx) = found.hz.dim();
        let lattice = super::super::lattice::Lattice::new([nz, ny, nx], KNOTS);
        let mut values = vec![0.0; nz * ny * nx];
        lattice.values(found.coefficients.as_slice().unwrap(), &mut values);
        assert_eq!(found.coefficients.shape(), lattice.controls());
        let apart = values.iter().zip(&found.hz).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 0.01, "{first}: {apart} Hz");
    }
}

#[test]
fn every_direction_finds_the_same_field_whichever_image_is_first() {
    let phantom = Phantom::new([32, 36, 36], 3);
    for first in PhaseEncoding::ALL {
        let images = scans(&phantom, first, Motion { mm: [0.5, 0.0, 0.0], degrees: [0.0; 3] }, [READOUT_S; 2]);
        let found = estimated(&phantom, &images, first, [READOUT_S; 2], true);
        let (mean, _, _, folds) = errors(&phantom, &found, first);
        assert!(mean < 0.05 && folds == 0, "{first}: {mean} {folds}");
        let along = if first.axis() == 0 { 0.0 } else { 0.5 };
        assert!((found.facts.translation_mm[0] - along).abs() < 0.15, "{first}: {:?}", found.facts);
    }
}

#[test]
fn a_flipped_grid_with_toggled_signs_gives_the_flipped_field() {
    let phantom = Phantom::new([24, 48, 48], 4);
    let j = direction("j");
    let mut images = scans(&phantom, j, Motion::NONE, [READOUT_S; 2]);
    let found = estimated(&phantom, &images, j, [READOUT_S; 2], false);
    images.iter_mut().for_each(|image| image.invert_axis(Axis(1)));
    let mut flipped = estimated(&phantom, &images, j.reversed(), [READOUT_S; 2], false);
    flipped.hz.invert_axis(Axis(1));
    let apart = found.hz.iter().zip(&flipped.hz).zip(&phantom.brain).filter(|(_, b)| **b != 0);
    let worst = apart.map(|((a, b), _)| (a - b).abs() * READOUT_S as f32).fold(0.0, f32::max);
    assert!(worst < 0.3 && errors(&phantom, &flipped, j).0 < 0.03, "{worst}");
}

#[test]
fn readout_times_may_differ() {
    let phantom = Phantom::new([36, 64, 64], 5);
    let j = direction("j");
    for seconds in [[READOUT_S, 0.021], [READOUT_S, 0.05]] {
        let images = scans(&phantom, j, Motion::NONE, seconds);
        let found = estimated(&phantom, &images, j, seconds, false);
        let (mean, _, constant, folds) = errors(&phantom, &found, j);
        assert!(mean < 0.03 && constant.abs() < 0.03 && folds == 0, "{seconds:?}: {mean} {constant} {folds}");
    }
}

#[test]
fn one_thread_finds_the_same_bits_as_two() {
    let phantom = Phantom::new([16, 32, 32], 6);
    let j = direction("j-");
    let images = scans(&phantom, j, MOVED, [READOUT_S; 2]);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| estimated(&phantom, &images, j, [READOUT_S; 2], true))
    };
    let (one, two) = (on(1), on(2));
    assert_eq!(one.hz, two.hz);
    assert_eq!(one.facts, two.facts);
}

#[test]
fn what_is_no_pair_is_refused_and_odd_images_break_nothing() {
    let (j, i) = (direction("j"), direction("i"));
    let image = Array3::from_shape_fn((3, 12, 5), |(k, j, i)| (k + j * 2 + i * 3) as f32);
    let epi = |direction| Epi { image: image.view(), direction, readout_s: READOUT_S };
    let voxel = [3.0; 3];
    assert_eq!(estimate(&epi(j), &epi(j), voxel, true).unwrap_err(), DistortionError::SamePolarity { direction: j });
    assert_eq!(
        estimate(&epi(j), &epi(i), voxel, true).unwrap_err(),
        DistortionError::OtherAxis { first: j, second: i }
    );
    assert!(matches!(estimate(&epi(i), &epi(i.reversed()), voxel, true), Err(DistortionError::TooSmall { .. })));
    assert!(estimate(&epi(j), &epi(j.reversed()), [0.0, 1.0, 1.0], true).is_err());
    let slow = Epi { readout_s: 35.0, ..epi(j) };
    assert!(matches!(estimate(&slow, &epi(j.reversed()), voxel, true), Err(DistortionError::Readout { .. })));
    for value in [0.0, f32::NAN, -1.0] {
        let nothing = Array3::from_elem(image.dim(), value);
        let empty = Epi { image: nothing.view(), direction: j.reversed(), readout_s: READOUT_S };
        assert!(matches!(estimate(&epi(j), &empty, voxel, true), Err(DistortionError::Empty { .. })), "{value}");
    }
    // Equal everywhere, a single slice, hardly any voxels: no shift, no panic.
    for shape in [(1, 8, 1), (2, 9, 3), (1, 64, 64), (5, 8, 5)] {
        let odd = Array3::from_shape_fn(shape, |(k, j, i)| ((k * 5 + j * 3 + i * 7) % 11) as f32);
        let epi = |direction| Epi { image: odd.view(), direction, readout_s: READOUT_S };
        let found = estimate(&epi(j), &epi(j.reversed()), voxel, true);
        assert!(found.is_ok_and(|found| found.hz.iter().all(|v| v.is_finite())), "{shape:?}");
    }
}
