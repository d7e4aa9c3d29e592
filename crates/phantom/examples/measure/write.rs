//! Phases, magnitudes and pairs of EPI images of a few heads as NIfTI files, with what is true about them; and the methods run on
//! such files, as other programs are.

use super::measure::{ECHO_TIMES, READOUT_S, pair_of, spec};
use imaging::distortion::pepolar::{Epi, estimate};
use imaging::distortion::unwrap::unwrap;
use imaging::distortion::{PhaseEncoding, head_mask};
use ndarray::{Array3, Axis};
use nifti::{Grid, Header, Voxels};
use phantom::{FieldmapSpec, gradient_echoes};
use std::fs::{File, create_dir_all};
use std::path::Path;
use std::time::Instant;

type Written = Result<(), Box<dyn std::error::Error>>;

fn save(folder: &Path, name: &str, image: &Array3<f32>, grid: &Grid) -> Written {
    save_as(&folder.join(format!("{name}.nii.gz")), image, grid)
}

fn save_as(path: &Path, image: &Array3<f32>, grid: &Grid) -> Written {
    let header = Header::new(grid.clone(), 1, None);
    nifti::write(File::create(path)?, &header, Voxels::Float(image.view().insert_axis(Axis(0))))?;
    Ok(())
}

/// A folder for each head and kind of field: `phase-MS`, `truth-MS` (unwrapped), `magnitude`, `head` (mask), `hz`, `brain`; of each
/// pair, still or moved, `first`, `second`, `hz`, `brain`.
pub fn all(folder: &Path) -> Written {
    for (head, steep) in [(1, false), (2, false), (3, false), (1, true), (2, true), (3, true)] {
        let kind = if steep { "steep" } else { "smooth" };
        let folder = folder.join(format!("{kind}-{head}"));
        create_dir_all(&folder)?;
        for (ms, apart) in [("2.46", 0.00246), ("4.92", 0.00492), ("9.84", 0.00984)] {
            let made = gradient_echoes(&FieldmapSpec { steep, ..spec(head) }, [ECHO_TIMES[0], ECHO_TIMES[0] + apart]);
            let truth = made.measured.mapv(|hz| hz * (std::f64::consts::TAU * apart) as f32);
            save(&folder, &format!("phase-{ms}"), &made.difference, &made.grid)?;
            save(&folder, &format!("truth-{ms}"), &truth, &made.grid)?;
            save(&folder, "magnitude", &made.magnitude[0], &made.grid)?;
            save(&folder, "hz", &made.hz, &made.grid)?;
            save(&folder, "brain", &made.brain.mapv(f32::from), &made.grid)?;
            save(&folder, "head", &head_mask(made.magnitude[0].view())?.mapv(f32::from), &made.grid)?;
        }
        for (moves, name) in [(false, "still"), (true, "moved")] {
            let (made, _) = pair_of(head, steep, moves)?;
            for (n, which) in ["first", "second"].into_iter().enumerate() {
                let mean = made.images[n].mean_axis(Axis(0)).unwrap_or_default();
                save(&folder, &format!("{name}-{which}"), &mean, &made.grid)?;
            }
            save(&folder, &format!("{name}-hz"), &made.truths[0].hz, &made.grid)?;
            save(&folder, &format!("{name}-brain"), &made.brain.mapv(f32::from), &made.grid)?;
        }
    }
    Ok(())
}

fn load(path: &str) -> Result<(Array3<f32>, Grid), Box<dyn std::error::Error>> {
    let image = nifti::read(Path::new(path))?;
    Ok((image.data.index_axis_move(Axis(0), 0), image.header.grid().clone()))
}

/// Unwraps a phase with its magnitude inside a mask; says how long the step took.
pub fn unwrap_file([phase, magnitude, mask, out]: &[String; 4]) -> Written {
    let ((phase, grid), (magnitude, _), (mask, _)) = (load(phase)?, load(magnitude)?, load(mask)?);
    let start = Instant::now();
    let found = unwrap(phase.view(), magnitude.view(), mask.mapv(|v| u8::from(v > 0.0)).view())?;
    println!("core {:.4}", start.elapsed().as_secs_f64());
    save_as(Path::new(out), &found.phase, &grid)
}

/// Estimates the field, Hz, from two images of opposite phase encoding (`j-`, `j`); says how long the step took.
pub fn pair_files([first, second, out]: &[String; 3]) -> Written {
    let ((first, grid), (second, _)) = (load(first)?, load(second)?);
    let direction: PhaseEncoding = "j-".parse()?;
    let epi = |image, direction| Epi { image, direction, readout_s: READOUT_S };
    let start = Instant::now();
    let pair = [epi(first.view(), direction), epi(second.view(), direction.reversed())];
    let found = estimate(&pair[0], &pair[1], grid.voxel_mm, true)?;
    println!("core {:.4}", start.elapsed().as_secs_f64());
    save_as(Path::new(out), &found.hz, &grid)
}
