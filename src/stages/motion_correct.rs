//! Motion correction of a bold run: estimate, resample once, and leave the mean volume.

use super::{Facts, Stage, StageError, Work};
use imaging::confounds::framewise_displacement;
use imaging::motion;
use crate::run::event::StageName;
use crate::telemetry::names;

/// The stage.
pub struct MotionCorrect;

impl Stage for MotionCorrect {
    fn name(&self) -> StageName {
        StageName::MotionCorrect
    }

    #[expect(clippy::cast_precision_loss, reason = "a count of volumes")]
    fn run(&self, work: &mut Work<'_>, facts: &mut Facts) -> Result<(), StageError> {
        let products = work.products()?;
        let affine = products.header.grid().affine;
        let estimate = motion::estimate_motion(products.image.view(), affine)?;
        motion::resample_in_place(&mut products.image, affine, &estimate)?;
        let skip: Vec<usize> = (0..estimate.non_steady).chain(estimate.unaligned.iter().copied()).collect();
        products.mean = Some(motion::mean_volume(products.image.view(), &skip));
        let fd: Vec<f64> = framewise_displacement(&estimate.parameters).into_iter().flatten().collect();
        facts.set(names::FD_MEAN_MM, fd.iter().sum::<f64>() / fd.len().max(1) as f64);
        facts.set(names::FD_MAX_MM, fd.iter().copied().fold(0.0, f64::max));
        facts.set(names::N_VOLUMES, products.image.dim().0);
        let unaligned = estimate.unaligned.clone();
        products.motion = Some(estimate);
        if !unaligned.is_empty() {
            work.notes.push(format!("volumes {unaligned:?} could not be aligned and have their neighbour's motion"));
        }
        Ok(())
    }
}
