//! Prints how near fieldmaps and slice timing come to the truth of ten heads: voxels of displacement in the brain, the
//! constant removed, and the share of a wave that slice timing leaves; and of three of them with smooth and with steep fields,
//! how many voxels of head and brain are unwrapped to the wrong cycle. `fieldmaps --write FOLDER` writes what other programs need to be
//! measured on the same,
//! and `--unwrap` and `--pair` run one step on files, as those do.

#[path = "measure/mod.rs"]
mod measure;
#[path = "measure/write.rs"]
mod write;

use measure::{Errors, VOXEL_MM, gradient, pepolar, slices, unwrapped};
use std::path::Path;

fn show(e: Errors) -> String {
    format!("{:.3} / {:.3} / {:+.3}", e.mean, e.high, e.constant)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((mode, files)) = arguments.split_first() {
        return match mode.as_str() {
            "--write" => write::all(Path::new(files.first().ok_or("--write needs a folder")?)),
            "--unwrap" => write::unwrap_file(files.try_into()?),
            "--pair" => write::pair_files(files.try_into()?),
            _ => Err("--write FOLDER, --unwrap PHASE MAGNITUDE MASK OUT or --pair FIRST SECOND OUT".into()),
        };
    }
    println!("mean / 95 % / constant, voxels; slice timing: share of the wave");
    println!("| head | pair, moved | pair, still | phase difference | two phases | Hz | 0.05 Hz | 0.095 Hz |");
    println!("|---|---|---|---|---|---|---|---|");
    for head in 1..=10 {
        let [one, two, hz] = gradient(head)?.map(show);
        let [moved, still] = [true, false].map(|moves| pepolar(head, false, moves).map(|(e, _)| show(e)));
        let [slow, fast] = [0.05, 0.095].map(|hertz| slices(head, hertz, VOXEL_MM, 60));
        println!("| {head} | {} | {} | {one} | {two} | {hz} | {:.4} | {:.4} |", moved?, still?, slow?, fast?);
    }
    println!(
        "\nphase differences: voxels of head and brain unwrapped to the wrong cycle (share wrapped), then errors at the shortest; pairs: folds"
    );
    println!(
        "| head | field | 2.46 ms | 4.92 ms | 9.84 ms | phase difference | pair, moved | folds | pair, still | folds |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (head, steep) in [(1, false), (2, false), (3, false), (1, true), (2, true), (3, true)] {
        let mut row = format!("| {head} | {} |", if steep { "steep" } else { "smooth" });
        let mut errors = Vec::new();
        for apart in [0.00246, 0.00492, 0.00984] {
            let found = unwrapped(head, steep, apart)?;
            let [in_head, in_brain] = found.wrong;
            row += &format!(" {in_head}, {in_brain} ({:.2} %) |", 100.0 * found.wrapped);
            errors.push(found.errors);
        }
        row += &format!(" {} |", show(errors[0]));
        for moves in [true, false] {
            let (error, folds) = pepolar(head, steep, moves)?;
            row += &format!(" {} | {folds} |", show(error));
        }
        println!("{row}");
    }
    Ok(())
}
