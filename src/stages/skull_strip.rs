//! Skull stripping: finds the brain in the image, or in the mean volume of a series.

use super::{Facts, Stage, StageError, Work};
use crate::bids::Modality;
use imaging::brain::{Contrast, extract_brain};
use crate::run::event::StageName;
use crate::telemetry::names;

/// The stage.
pub struct SkullStrip;

impl Stage for SkullStrip {
    fn name(&self) -> StageName {
        StageName::SkullStrip
    }

    fn run(&self, work: &mut Work<'_>, facts: &mut Facts) -> Result<(), StageError> {
        let contrast = match work.modality() {
            Modality::T1w => Contrast::T1w,
            Modality::Bold => Contrast::Bold,
        };
        let products = work.products()?;
        let found = extract_brain(products.reference(), products.header.grid().voxel_mm, contrast)?;
        facts.set(names::BRAIN_VOLUME_ML, found.volume_ml);
        facts.set(names::METHOD, found.method);
        let already_stripped = found.already_stripped;
        products.brain = Some(found);
        if already_stripped {
            work.notes.push("the image has no skull any more; its own background is used as the mask".into());
        }
        Ok(())
    }
}
