//! Load: reads the file, or generates the volume of a synthetic run, into a canonical RAS+ array.

use super::validate::{Series, check_signal};
use crate::derivatives::ledger::Input;
use crate::error::ErrorCode;
use crate::plan::{ScanPlan, Source};
use crate::step::{Found, StageError};
use crate::telemetry::names;
use imaging::echoes::lit_volumes;
use ndarray::Array4;
use nifti::Header;
use std::path::Path;

/// An image as it was read.
pub struct Read {
    /// Checked, with oddities resolved.
    pub header: Header,
    /// `(nt, nz, ny, nx)`.
    pub voxels: Array4<f32>,
}

/// Reads or makes the image of a scan.
pub fn image(plan: &ScanPlan, found: &mut Found) -> Result<Read, StageError> {
    let file = match &plan.source {
        Source::File(path) => path,
        Source::Synthetic { .. } => &plan.relative,
    };
    found.set(names::FILE_PATH, file.to_string_lossy().into_owned());
    found.set(names::FILE_NAME, file.file_name().unwrap_or_default().to_string_lossy().into_owned());
    found.set(names::FILE_SIZE, usize::try_from(plan.bytes).unwrap_or(usize::MAX));
    if let Some(problem) = &plan.problem {
        return Err(StageError::Invalid { code: problem.code, message: problem.message.clone() });
    }
    let (header, voxels) = match &plan.source {
        Source::File(path) => {
            let image = nifti::read(path)?;
            image.notes.iter().for_each(|note| found.note(note.to_string()));
            found.known.input = Some(Input::File(image.fingerprint));
            (image.header, image.data)
        }
        Source::Synthetic { participant, session, seed } => {
            found.known.input = Some(Input::Synthetic(*seed));
            phantom::scan_for(participant, session.as_deref(), plan.modality.into(), *seed)
        }
    };
    describe(&header, found);
    Ok(Read { header, voxels })
}

/// The echoes of a multi-echo run besides the first, which must be of the same voxels and volumes; none for any other run.
pub fn other_echoes(
    plan: &ScanPlan,
    first: &Series,
    strict: bool,
    found: &mut Found,
) -> Result<Vec<Array4<f32>>, StageError> {
    let (Some(one), Some(Input::File(print))) = (plan.echoes.first(), found.known.input.clone()) else {
        return Ok(Vec::new());
    };
    let mut prints = vec![(one.relative.clone(), print)];
    let mut others = Vec::with_capacity(plan.echoes.len() - 1);
    for echo in &plan.echoes[1..] {
        let image = nifti::read(&echo.path)?;
        fits(&image.header, &first.header, [&echo.relative, &one.relative])?;
        let name = format!("echo {} of {}", echo.label, plan.id);
        check_signal(image.data.view(), &name)?;
        image.notes.iter().try_for_each(|note| found.odd(format!("{name}: {note}"), &plan.id, strict))?;
        let empty: Vec<usize> =
            (0..).zip(lit_volumes(image.data.view())).filter(|(_, lit)| !lit).map(|(t, _)| t).collect();
        if !empty.is_empty() {
            found.note(format!("volumes {empty:?} of {name} are empty; there the other echoes stand for it"));
        }
        prints.push((echo.relative.clone(), image.fingerprint));
        others.push(image.data);
    }
    found.known.input = Some(Input::Echoes(prints));
    Ok(others)
}

/// Refuses an echo that is not on the grid of the first.
fn fits(header: &Header, first: &Header, [of, one]: [&Path; 2]) -> Result<(), StageError> {
    /// Two headers of one acquisition differ by rounding only.
    const SAME_MM: f64 = 0.01;
    let shape = |header: &Header| {
        let [nz, ny, nx] = header.grid().shape;
        format!("{nx}x{ny}x{nz} voxels, {} volumes", header.volumes())
    };
    let (a, b) = (&header.grid().affine, &first.grid().affine);
    let apart = a.iter().flatten().zip(b.iter().flatten()).any(|(a, b)| (a - b).abs() > SAME_MM);
    let differ = if shape(header) != shape(first) {
        format!("{} has {}, but {} has {}", of.display(), shape(header), one.display(), shape(first))
    } else if apart {
        format!("{} and {} lie in different places by their headers", of.display(), one.display())
    } else {
        return Ok(());
    };
    let message = format!("{differ}; all echoes of a run need the same voxels, place and number of volumes");
    Err(StageError::Invalid { code: ErrorCode::EchoesUnfit, message })
}

fn describe(header: &Header, found: &mut Found) {
    let [nz, ny, nx] = header.grid().shape;
    let [dz, dy, dx] = header.grid().voxel_mm;
    let volumes = header.volumes();
    let shape = if volumes > 1 { format!("{nx}x{ny}x{nz}x{volumes}") } else { format!("{nx}x{ny}x{nz}") };
    found.set("image.shape", shape);
    found.set("image.voxel_size_mm", format!("{dx:.3}x{dy:.3}x{dz:.3}"));
    found.set("image.dtype", header.dtype_name());
}
