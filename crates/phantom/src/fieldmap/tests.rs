//! Fieldmaps say what the field is.

use super::*;
use imaging::distortion::phase::{phase_difference, phase_in_radians};
use imaging::distortion::unwrap::unwrap;

fn spec(head: u64) -> FieldmapSpec {
    FieldmapSpec { head, scan: head + 100, voxel_mm: [5.2, 5.0, 5.0], lies: [0.0; 6], noise: 0.02, steep: false }
}

/// Mean and largest distance of two arrays in a mask.
fn apart(a: &Array3<f32>, b: &Array3<f32>, mask: &Array3<u8>) -> (f32, f32) {
    let in_mask = a.iter().zip(b).zip(mask).filter(|(_, m)| **m != 0);
    let sizes: Vec<f32> = in_mask.map(|((a, b), _)| (a - b).abs()).collect();
    (sizes.iter().sum::<f32>() / sizes.len() as f32, sizes.iter().copied().fold(0.0, f32::max))
}

#[test]
fn phases_unwrap_to_the_field() {
    // The longer the difference, the more of it wraps.
    for (times, wraps) in [([0.00492, 0.00738], 0.0), ([0.0046, 0.0095], 0.005)] {
        let made = gradient_echoes(&spec(3), times);
        let per_hz = TAU * (times[1] - times[0]) as f32;
        let found = unwrap(made.difference.view(), made.magnitude[0].view(), made.brain.view()).unwrap();
        let hz = found.phase.mapv(|v| v / per_hz);
        let (mean, _) = apart(&hz, &made.hz, &made.brain);
        assert!(mean < 4.0 && found.wrapped_share >= wraps, "{mean} Hz, {} wrapped", found.wrapped_share);
        assert!(apart(&made.measured, &made.hz, &made.brain).0 < 4.0);
    }
}

#[test]
fn noise_of_the_phase_goes_with_one_over_the_magnitude() {
    let made = gradient_echoes(&spec(4), [0.005, 0.0075]);
    let noise = |low: f32, high: f32| {
        let all = made.measured.iter().zip(&made.hz).zip(&made.magnitude[0]);
        let of: Vec<f32> = all.filter(|(_, m)| (low..high).contains(*m)).map(|((a, b), _)| (a - b).powi(2)).collect();
        (of.iter().sum::<f32>() / of.len() as f32).sqrt()
    };
    let (dim, bright) = (noise(180.0, 240.0), noise(720.0, 960.0));
    assert!((2.5..6.5).contains(&(dim / bright)), "{dim} {bright}");
}

#[test]
fn whole_numbers_are_read_back() {
    let made = gradient_echoes(&spec(5), [0.005, 0.0075]);
    for (numbers, range) in [(PhaseNumbers::Signed, -4096..=4094), (PhaseNumbers::Unsigned, 0..=4095)] {
        let read = made.phase.each_ref().map(|phase| {
            let whole = numbers.of(phase.view());
            assert!(whole.iter().all(|v| range.contains(&i32::from(*v))));
            let (radians, scale) = phase_in_radians(whole.mapv(f32::from).view()).unwrap();
            assert!(scale.known && radians.iter().zip(phase).all(|(a, b)| wrapped(a - b).abs() < 0.002));
            radians
        });
        let difference = phase_difference(read[0].view(), read[1].view()).unwrap();
        assert!(difference.iter().zip(&made.difference).all(|(a, b)| wrapped(a - b).abs() < 0.004));
    }
}

#[test]
fn pairs_are_distorted_in_opposite_ways_and_the_field_moves_with_the_head() {
    let j: PhaseEncoding = "j".parse().unwrap();
    let pair = PairSpec { volumes: 1, moved: [0.0; 6], gain: 1.0, ..PairSpec::new(8, j, 0.03) };
    let made = epi_pair(&FieldmapSpec { noise: 0.0, ..spec(6) }, &pair);
    let [a, b] = &made.truths;
    assert!(a.hz == b.hz && a.shift.iter().zip(&b.shift).all(|(a, b)| *a == -b));
    assert_eq!(made.directions[1], j.reversed());
    let sum = |image: &Array3<f32>| image.iter().map(|v| f64::from(*v)).sum::<f64>();
    // What leaves or enters at the ends of the lines is little.
    assert!((sum(&a.distorted) / sum(&b.distorted) - 1.0).abs() < 0.01);
    assert!((sum(&a.distorted) / sum(&a.undistorted) - 1.0).abs() < 0.01);
    let moved = epi_pair(&spec(6), &PairSpec::new(8, j, 0.03));
    assert!(apart(&moved.truths[1].hz, &moved.truths[0].hz, &moved.brain).0 > 0.5);
    let sizes = PairSpec::new(8, j, 0.03).moved.map(f64::abs);
    assert!(sizes[..3].iter().all(|v| (1.0..2.0).contains(v)) && sizes[3..].iter().all(|v| *v < 0.022));
}

#[test]
fn scans_are_the_same_at_any_number_of_threads() {
    let on = |n| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        pool.install(|| {
            let pair = PairSpec::new(7, "i-".parse().unwrap(), 0.03);
            (gradient_echoes(&spec(7), [0.005, 0.0075]), epi_pair(&spec(7), &pair))
        })
    };
    let (one, three) = (on(1), on(3));
    assert!(one.0.phase == three.0.phase && one.0.magnitude == three.0.magnitude);
    assert!(one.1.images == three.1.images);
}
