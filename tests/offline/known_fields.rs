//! Fieldmaps and slice timing come as near to the truth as is asked of them. Ten heads: `cargo run --release --example
//! fieldmaps -p neuro-preprocess-phantom`.

#![allow(clippy::unwrap_used)] // The lints' exemption does not reach helpers of tests.

#[path = "../../crates/phantom/examples/measure/mod.rs"]
mod measure;

#[test]
fn a_pair_of_opposite_polarity_tells_of_the_field() {
    // Two of the hardest among them.
    for head in [1, 2, 16] {
        let moved = measure::pepolar(head, true).unwrap();
        assert!(moved.mean <= 0.03 && moved.high <= 0.1, "{head}: {moved:?}");
    }
}

#[test]
fn phases_tell_of_the_field() {
    for found in measure::gradient(1).unwrap() {
        assert!(found.mean <= 0.02 && found.constant.abs() < 0.02, "{found:?}");
    }
}

#[test]
fn slice_timing_leaves_a_hundredth_of_slow_waves() {
    for hertz in [0.05, 0.095] {
        let left = measure::slices(1, hertz, [6.0; 3], 40).unwrap();
        assert!(left <= 0.01, "{hertz} Hz: {left}");
    }
}
