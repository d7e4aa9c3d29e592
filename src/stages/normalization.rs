//! Normalisation: scales the image so that a reference intensity (white matter for T1w, the mean of the brain for bold)
//! has the same value in every scan.

use super::{Facts, Stage, StageError, Work, brain};
use crate::bids::Modality;
use imaging::normalize::{grand_mean_reference, white_matter_reference};
use crate::run::event::StageName;
use crate::telemetry::names;
use ndarray::Axis;
use rayon::prelude::*;

/// The stage.
pub struct Normalization;

impl Stage for Normalization {
    fn name(&self) -> StageName {
        StageName::Normalization
    }

    fn run(&self, work: &mut Work<'_>, facts: &mut Facts) -> Result<(), StageError> {
        let modality = work.modality();
        let products = work.products()?;
        let mask = brain(products)?.mask.view();
        let reference = match modality {
            Modality::T1w => white_matter_reference(products.reference(), mask)?,
            Modality::Bold => grand_mean_reference(products.reference(), mask)?,
        };
        facts.set(names::METHOD, reference.method);
        facts.set(names::REFERENCE_INTENSITY, reference.value);
        #[expect(clippy::cast_possible_truncation, reason = "voxels are f32")]
        let scale = reference.scale as f32;
        for mut volume in products.volumes_mut() {
            volume.axis_iter_mut(Axis(0)).into_par_iter().for_each(|mut slab| slab.mapv_inplace(|v| v * scale));
        }
        products.intensity = Some(reference);
        Ok(())
    }
}
