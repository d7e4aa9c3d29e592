//! The way of a T1w image.

use super::stages::save::Anatomical;
use super::stages::validate::Volume;
use super::stages::{bias_correction, figures, intensity, load, quality, save, skull_strip, tissues, validate};
use crate::derivatives::save::Saved;
use crate::step::{Failed, Scan, StageError};
use crate::vocabulary::Stage;

/// Takes a T1w image from its file to its derivatives.
///
/// # Errors
/// The stage that failed, and why.
pub fn anatomical(scan: &mut Scan<'_>) -> Result<Saved, Failed> {
    let (plan, cx) = (scan.plan(), scan.cx());
    let raw = scan.phase(Stage::Load, |p| {
        let read = p.own(|found| load::image(plan, found))?;
        p.step(Stage::Validate, |found| validate::t1w(read, plan, cx.strict, found))
    })?;
    let made = process(scan, raw)?;
    scan.phase(Stage::Save, |p| p.own(|found| save::anatomical(cx.output, plan, &made, found)))
}

/// Everything between the file and the derivatives.
///
/// # Errors
/// As [`anatomical`].
pub fn process(scan: &mut Scan<'_>, raw: Volume) -> Result<Anatomical, Failed> {
    let (plan, strict) = (scan.plan(), scan.cx().strict);
    scan.phase(Stage::Process, |p| {
        let brain = p.step(Stage::SkullStrip, |found| skull_strip::t1w(&raw, plan, strict, found))?;
        let even = p.step(Stage::BiasCorrection, |found| bias_correction::t1w(raw, &brain, found))?;
        let scaled = p.step(Stage::Intensity, |found| intensity::t1w(even, &brain, found))?;
        let tissues = p.step(Stage::Tissues, |found| Ok::<_, StageError>(tissues::t1w(&scaled, &brain, found)))?;
        p.step(Stage::Quality, |found| {
            quality::t1w(&scaled, &brain, tissues.as_ref(), found);
            Ok::<_, StageError>(())
        })?;
        let figures = p.step(Stage::Figures, |_| figures::t1w(&scaled, &brain, tissues.as_ref()))?;
        Ok(Anatomical { scaled, brain, tissues, figures })
    })
}
