//! The way of a T1w image.

use super::stages::save::Anatomical;
use super::stages::validate::Volume;
use super::stages::{
    bias_correction, figures, intensity, load, quality, resampling, save, skull_strip, spatial_normalization, tissues,
    validate,
};
use crate::derivatives::save::Saved;
use crate::step::{Failed, Scan, StageError};
use crate::templates::Targets;
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
    let made = process(scan, raw, cx.targets)?;
    scan.phase(Stage::Save, |p| p.own(|found| save::anatomical(cx.output, plan, &made, found)))
}

/// Everything between the file and the derivatives.
///
/// # Errors
/// As [`anatomical`].
pub fn process<'a>(scan: &mut Scan<'_>, raw: Volume, targets: &'a Targets) -> Result<Anatomical<'a>, Failed> {
    let (plan, strict) = (scan.plan(), scan.cx().strict);
    scan.phase(Stage::Process, |p| {
        let brain = p.step(Stage::SkullStrip, |found| skull_strip::t1w(&raw, plan, strict, found))?;
        let even = p.step(Stage::BiasCorrection, |found| bias_correction::t1w(raw, &brain, found))?;
        let scaled = p.step(Stage::Intensity, |found| intensity::t1w(even, &brain, found))?;
        let maps = match targets.iter().len() {
            0 => Vec::new(),
            _ => p.step(Stage::Normalization, |found| {
                spatial_normalization::t1w(&scaled, &brain, targets, (plan, strict), found)
            })?,
        };
        let tissues =
            p.step(Stage::Tissues, |found| Ok::<_, StageError>(tissues::t1w(&scaled, &brain, &maps, found)))?;
        let resampled = plan.stages().any(|stage| stage == Stage::Resampling);
        let in_templates = match resampled {
            false => Vec::new(),
            true => p.step(Stage::Resampling, |_| resampling::t1w(&scaled, &brain, tissues.as_ref(), &maps))?,
        };
        p.step(Stage::Quality, |found| {
            quality::t1w(&scaled, &brain, tissues.as_ref(), found);
            Ok::<_, StageError>(())
        })?;
        let figures = p.step(Stage::Figures, |_| {
            // Without images in the templates' spaces the fit is to be seen nevertheless.
            let seen = if resampled { Vec::new() } else { resampling::to_be_seen(&scaled, &brain, &maps)? };
            let shown = if resampled { &in_templates } else { &seen };
            Ok::<_, StageError>(figures::t1w(&scaled, &brain, tissues.as_ref(), (&maps, shown))?)
        })?;
        Ok(Anatomical { scaled, brain, tissues, maps, in_templates, figures })
    })
}
