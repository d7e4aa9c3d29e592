//! The stages of a scan's way, one file each. A stage takes the [`Work`] as the stages before it left it, does one thing,
//! and says what it found as plain [`Facts`]; spans, durations, counts and error logs come from the stage runner.
//!
//! Adding a stage is a file here, a name in [`StageName`] and a line in [`STAGES`].

mod bias_correction;
mod error;
mod facts;
mod figures;
mod load;
mod motion_correct;
mod normalization;
mod quality;
mod save;
mod skull_strip;
mod validate;

pub use error::StageError;
pub use facts::{Fact, Facts};

use crate::bids::Modality;
use crate::derivatives::marker::Input;
use crate::derivatives::products::Products;
use crate::derivatives::save::Saved;
use imaging::brain::Brain;
use crate::plan::ScanPlan;
use crate::run::event::StageName;
use std::path::Path;

/// A step of a scan's way.
pub trait Stage: Sync {
    /// Which step it is.
    fn name(&self) -> StageName;

    /// Does the step.
    ///
    /// # Errors
    /// A [`StageError`] that says what is wrong with this scan; the scan ends there.
    fn run(&self, work: &mut Work<'_>, facts: &mut Facts) -> Result<(), StageError>;
}

/// Every stage, in order.
pub static STAGES: &[&dyn Stage] = &[
    &load::Load,
    &validate::Validate,
    &motion_correct::MotionCorrect,
    &skull_strip::SkullStrip,
    &bias_correction::BiasCorrection,
    &normalization::Normalization,
    &quality::QualityCheck,
    &figures::MakeFigures,
    &save::Save,
];

/// One scan on its way.
#[derive(Debug)]
pub struct Work<'a> {
    /// What is known of it from the plan.
    pub scan: &'a ScanPlan,
    /// The folder its outputs are written below.
    pub output: &'a Path,
    /// What was made of it; `None` until it is loaded.
    pub products: Option<Products>,
    /// Whether what is odd about the input makes it fail.
    pub strict: bool,
    /// What was odd and what was done about it, for people.
    pub notes: Vec<String>,
    /// Whether something was odd about the input, which `strict` refuses; known when it is validated.
    pub odd: bool,
    /// Where the voxels came from; `None` until it is loaded.
    pub input: Option<Input>,
    /// What was written.
    pub saved: Option<Saved>,
}

impl<'a> Work<'a> {
    /// A scan before its first stage.
    #[must_use]
    pub const fn new(scan: &'a ScanPlan, output: &'a Path) -> Self {
        Self { scan, output, products: None, strict: false, notes: Vec::new(), odd: false, input: None, saved: None }
    }

    /// What kind of image it is.
    #[must_use]
    pub const fn modality(&self) -> Modality {
        self.scan.modality
    }

    /// The products, once the scan is loaded.
    ///
    /// # Errors
    /// [`StageError::OutOfOrder`] before that.
    pub fn products(&mut self) -> Result<&mut Products, StageError> {
        self.products.as_mut().ok_or(StageError::OutOfOrder { needs: "the loaded image" })
    }
}

/// The brain of a scan that has been skull stripped.
fn brain(products: &Products) -> Result<&Brain, StageError> {
    products.brain.as_ref().ok_or(StageError::OutOfOrder { needs: "the brain mask" })
}
