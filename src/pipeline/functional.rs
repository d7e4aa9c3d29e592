//! The way of a bold run.

use super::stages::save::Functional;
use super::stages::validate::Series;
use super::stages::{
    bias_correction, confounds, figures, intensity, load, motion_correct, quality, save, skull_strip, validate,
};
use crate::derivatives::save::Saved;
use crate::step::{Failed, Scan, StageError};
use crate::vocabulary::Stage;

/// Takes a bold run from its file to its derivatives.
///
/// # Errors
/// The stage that failed, and why.
pub fn functional(scan: &mut Scan<'_>) -> Result<Saved, Failed> {
    let (plan, cx) = (scan.plan(), scan.cx());
    let raw = scan.phase(Stage::Load, |p| {
        let read = p.own(|found| load::image(plan, found))?;
        p.step(Stage::Validate, |found| validate::bold(read, plan, cx.strict, found))
    })?;
    let made = process(scan, raw)?;
    scan.phase(Stage::Save, |p| p.own(|found| save::functional(cx.output, plan, &made, found)))
}

/// Everything between the file and the derivatives.
///
/// # Errors
/// As [`functional`].
pub fn process(scan: &mut Scan<'_>, raw: Series) -> Result<Functional, Failed> {
    let (plan, strict) = (scan.plan(), scan.cx().strict);
    scan.phase(Stage::Process, |p| {
        let aligned = p.step(Stage::MotionCorrect, |found| motion_correct::align(raw, found))?;
        let brain = p.step(Stage::SkullStrip, |found| skull_strip::bold(&aligned, plan, strict, found))?;
        let even = p.step(Stage::BiasCorrection, |found| bias_correction::bold(aligned, &brain, found))?;
        let scaled = p.step(Stage::Intensity, |found| intensity::bold(even, &brain, found))?;
        let confounds = p.step(Stage::Quality, |found| {
            let measured = confounds::of(&scaled, &brain);
            quality::bold(&scaled, &brain, &measured, found);
            Ok::<_, StageError>(confounds::columns(&scaled, &brain, &measured, None))
        })?;
        let figures = p.step(Stage::Figures, |_| figures::bold(&scaled, &brain))?;
        Ok(Functional { scaled, brain, confounds, figures })
    })
}
