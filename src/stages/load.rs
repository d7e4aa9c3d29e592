//! Load: reads the file, or generates the volume of a synthetic run, into a canonical RAS+ array.

use super::{Facts, Stage, StageError, Work};
use crate::derivatives::marker::Input;
use crate::derivatives::products::Products;
use nifti::Header;
use crate::plan::Source;
use crate::run::event::StageName;
use crate::synth;
use crate::telemetry::names;

/// The stage.
pub struct Load;

impl Stage for Load {
    fn name(&self) -> StageName {
        StageName::Load
    }

    fn run(&self, work: &mut Work<'_>, facts: &mut Facts) -> Result<(), StageError> {
        let file = match &work.scan.source {
            Source::File(path) => path,
            Source::Synthetic { .. } => &work.scan.relative,
        };
        facts.set(names::FILE_PATH, file.to_string_lossy().into_owned());
        facts.set(names::FILE_NAME, file.file_name().unwrap_or_default().to_string_lossy().into_owned());
        facts.set(names::FILE_SIZE, usize::try_from(work.scan.bytes).unwrap_or(usize::MAX));
        if let Some(problem) = &work.scan.problem {
            return Err(StageError::Invalid { code: problem.code, message: problem.message.clone() });
        }
        let (header, image) = match &work.scan.source {
            Source::File(path) => {
                let image = nifti::read(path)?;
                work.notes.extend(image.notes.iter().map(ToString::to_string));
                work.input = Some(Input::File(image.fingerprint));
                (image.header, image.data)
            }
            Source::Synthetic { participant, session, seed } => {
                work.input = Some(Input::Synthetic(*seed));
                synth::scan_for(participant, session.as_deref(), work.modality(), *seed)
            }
        };
        describe(&header, facts);
        work.products = Some(Products {
            header,
            image,
            mean: None,
            motion: None,
            confounds: Vec::new(),
            brain: None,
            bias: None,
            intensity: None,
            tissues: None,
            peaks: Vec::new(),
            figures: None,
            quality: None,
        });
        Ok(())
    }
}

fn describe(header: &Header, facts: &mut Facts) {
    let [nz, ny, nx] = header.grid().shape;
    let [dz, dy, dx] = header.grid().voxel_mm;
    let volumes = header.volumes();
    let shape = if volumes > 1 { format!("{nx}x{ny}x{nz}x{volumes}") } else { format!("{nx}x{ny}x{nz}") };
    facts.set(names::IMAGE_SHAPE, shape);
    facts.set(names::IMAGE_VOXEL_SIZE_MM, format!("{dx:.3}x{dy:.3}x{dz:.3}"));
    facts.set(names::IMAGE_DTYPE, header.dtype_name());
}
