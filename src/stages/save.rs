//! Save: writes the derivatives of the scan, whole or not at all.

use super::{Facts, Stage, StageError, Work};
use crate::derivatives::save::save_scan;
use crate::derivatives::sidecar::SidecarContext;
use crate::run::event::StageName;
use crate::telemetry::names;

/// The stage.
pub struct Save;

impl Stage for Save {
    fn name(&self) -> StageName {
        StageName::Save
    }

    #[expect(clippy::cast_precision_loss, reason = "file sizes are far below 2^52")]
    fn run(&self, work: &mut Work<'_>, facts: &mut Facts) -> Result<(), StageError> {
        let (scan, output) = (work.scan, work.output);
        let source = scan.relative.to_string_lossy();
        let cx = SidecarContext {
            modality: scan.modality,
            source: &source,
            metadata: &scan.metadata,
            entities: &scan.entities,
        };
        let saved = save_scan(output, &scan.outputs(), &cx, work.products()?)?;
        let first = saved.files.first().map(|f| output.join(&f.path).to_string_lossy().into_owned());
        facts.set(names::OUTPUT_PATH, first.unwrap_or_default());
        facts.set(names::OUTPUT_SIZE_MB, saved.bytes as f64 / 1e6);
        let voxels = work.products()?.image.len();
        facts.set(names::COMPRESSION_RATIO, voxels as f64 * 2.0 / saved.bytes.max(1) as f64);
        work.saved = Some(saved);
        Ok(())
    }
}
