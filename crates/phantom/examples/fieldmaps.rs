//! Prints how near fieldmaps and slice timing come to the truth of ten heads: voxels of displacement in the brain, the
//! constant removed, and the share of a wave that slice timing leaves.

#[path = "measure/mod.rs"]
mod measure;

use measure::{Errors, VOXEL_MM, gradient, pepolar, slices};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let show = |e: Errors| format!("{:.3} / {:.3} / {:+.3}", e.mean, e.high, e.constant);
    println!("mean / 95 % / constant, voxels; slice timing: share of the wave");
    println!("| head | pair, moved | pair, still | phase difference | two phases | Hz | 0.05 Hz | 0.095 Hz |");
    println!("|---|---|---|---|---|---|---|---|");
    for head in 1..=10 {
        let [one, two, hz] = gradient(head)?.map(show);
        let pairs = [true, false].map(|moves| pepolar(head, moves).map(show));
        let [moved, still] = pairs;
        let [slow, fast] = [0.05, 0.095].map(|hertz| slices(head, hertz, VOXEL_MM, 60));
        println!("| {head} | {} | {} | {one} | {two} | {hz} | {:.4} | {:.4} |", moved?, still?, slow?, fast?);
    }
    Ok(())
}
