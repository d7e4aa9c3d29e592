//! Fieldmaps and slice timing come as near to the truth as is asked of them. Ten heads: `cargo run --release --example
//! fieldmaps -p neuro-preprocess-phantom`.

#![allow(clippy::unwrap_used)] // The lints' exemption does not reach helpers of tests.

#[path = "../../crates/phantom/examples/measure/mod.rs"]
mod measure;

#[test]
fn a_pair_of_opposite_polarity_tells_of_the_field() {
    // Two of the hardest among them.
    for head in [1, 2, 16] {
        let (moved, folds) = measure::pepolar(head, false, true).unwrap();
        assert!(moved.mean <= 0.03 && moved.high <= 0.1 && folds == 0, "{head}: {moved:?} {folds}");
    }
}

#[test]
fn phases_tell_of_the_field() {
    for found in measure::gradient(1).unwrap() {
        assert!(found.mean <= 0.02 && found.constant.abs() < 0.02, "{found:?}");
    }
}

#[test]
fn steep_fields_are_unwrapped_and_found_too() {
    for head in 1..=3 {
        let smooth = measure::unwrapped(head, false, 0.00246).unwrap();
        assert!(smooth.wrong == [0, 0] && smooth.errors.mean <= 0.02, "{head}: {smooth:?}");
        let steep = measure::unwrapped(head, true, 0.00246).unwrap();
        assert!(steep.wrong[0] <= 3 && steep.errors.mean <= 0.04, "{head}: {steep:?}");
    }
    // Of longer differences, of which a quarter is wrapped, only noise outside the brain may be whole cycles off.
    let long = measure::unwrapped(1, false, 0.00984).unwrap();
    assert!(long.wrapped > 0.2 && long.wrong[1] <= 10, "{long:?}");
    let (pair, folds) = measure::pepolar(3, true, true).unwrap();
    assert!(pair.mean <= 0.08 && folds == 0, "{pair:?} {folds}");
}

#[test]
fn slice_timing_leaves_a_hundredth_of_slow_waves() {
    for hertz in [0.05, 0.095] {
        let left = measure::slices(1, hertz, [6.0; 3], 40).unwrap();
        assert!(left <= 0.01, "{hertz} Hz: {left}");
    }
}
