//! Bias correction: estimates the slow intensity field in the brain and divides every volume by it.

use super::{Facts, Stage, StageError, Work, brain};
use imaging::bias::{divide_by_field, estimate_bias};
use crate::run::event::StageName;
use crate::telemetry::names;

/// The stage.
pub struct BiasCorrection;

impl Stage for BiasCorrection {
    fn name(&self) -> StageName {
        StageName::BiasCorrection
    }

    fn run(&self, work: &mut Work<'_>, facts: &mut Facts) -> Result<(), StageError> {
        let products = work.products()?;
        let voxel_mm = products.header.grid().voxel_mm;
        let found = estimate_bias(products.reference(), brain(products)?.mask.view(), voxel_mm)?;
        facts.set(names::BIAS_ITERATIONS, found.iterations.iter().sum::<usize>());
        facts.set(names::BIAS_CV_BEFORE, found.cv_before);
        facts.set(names::BIAS_CV_AFTER, found.cv_after);
        for volume in products.volumes_mut() {
            divide_by_field(volume, found.field.view());
        }
        let converged = found.converged;
        products.bias = Some(found);
        if !converged {
            work.notes.push("the bias field was still changing when the iterations ended".into());
        }
        Ok(())
    }
}
