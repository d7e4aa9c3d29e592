//! Load: reads the file into a canonical RAS+ array.

use crate::derivatives::ledger::Input;
use crate::plan::ScanPlan;
use crate::step::{Found, StageError};
use crate::telemetry::names;
use ndarray::Array4;
use nifti::Header;

/// An image as it was read.
pub struct Read {
    /// Checked, with oddities resolved.
    pub header: Header,
    /// `(nt, nz, ny, nx)`.
    pub voxels: Array4<f32>,
}

/// Reads the image of a scan.
pub fn image(plan: &ScanPlan, found: &mut Found) -> Result<Read, StageError> {
    let file = &plan.file;
    found.set(names::FILE_PATH, file.to_string_lossy().into_owned());
    found.set(names::FILE_NAME, file.file_name().unwrap_or_default().to_string_lossy().into_owned());
    found.set(names::FILE_SIZE, usize::try_from(plan.bytes).unwrap_or(usize::MAX));
    if let Some(problem) = &plan.problem {
        return Err(StageError::Invalid { code: problem.code, message: problem.message.clone() });
    }
    let image = nifti::read(file)?;
    image.notes.iter().for_each(|note| found.note(note.to_string()));
    found.known.input = Some(Input::File(image.fingerprint));
    describe(&image.header, found);
    Ok(Read { header: image.header, voxels: image.data })
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
