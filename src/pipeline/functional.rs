//! The way of a bold run.

use super::handed::Handed;
use super::stages::save::Functional;
use super::stages::validate::Series;
use super::stages::{
    bias_correction, confounds, coregistration, distortion, echoes, figures, intensity, load, motion_correct, native,
    quality, save, skull_strip, slice_timing, spaces, validate,
};
use crate::derivatives::save::Saved;
use crate::error::ErrorCode;
use crate::plan::ScanPlan;
use crate::step::{Failed, Scan, StageError};
use crate::vocabulary::{OutputLevel, Stage};
use ndarray::Array4;

/// Takes a bold run from its file to its derivatives.
///
/// # Errors
/// The stage that failed, and why.
pub fn functional(scan: &mut Scan<'_>, anatomy: &Handed) -> Result<Saved, Failed> {
    let (plan, cx) = (scan.plan(), scan.cx());
    let raw = scan.phase(Stage::Load, |p| {
        p.own(|_| has_anatomy(plan, anatomy))?;
        let read = p.own(|found| load::image(plan, found))?;
        let first = p.step(Stage::Validate, |found| validate::bold(read, plan, cx.strict, found))?;
        let others = p.own(|found| echoes::read_others(plan, &first, cx.strict, found))?;
        Ok((first, others))
    })?;
    let made = process(scan, raw, anatomy)?;
    scan.phase(Stage::Save, |p| p.own(|found| save::functional(cx.output, plan, &made, found)))
}

/// Refuses a run that is to be brought to spaces for which there is no anatomy.
fn has_anatomy(plan: &ScanPlan, anatomy: &Handed) -> Result<(), StageError> {
    let Handed::Lacking(why) = anatomy else { return Ok(()) };
    if plan.problem.is_some() || !plan.wanted.asked || !plan.wanted.spaces.need_anatomy() {
        return Ok(());
    }
    let spaces: Vec<String> = plan.wanted.spaces.beyond_own().map(ToString::to_string).collect();
    let message = format!(
        "{} needs a T1w image for the output spaces {}: {why}; fix that, or use --output-spaces func",
        plan.id,
        spaces.join(", ")
    );
    Err(StageError::Invalid { code: ErrorCode::NoAnatomy, message })
}

/// Everything between the file and the derivatives: first all is estimated, then the volumes are brought once to each space.
/// `others` are the echoes of a multi-echo run besides the first.
///
/// # Errors
/// As [`functional`].
pub fn process<'a>(
    scan: &mut Scan<'_>,
    (mut raw, mut others): (Series, Vec<Array4<f32>>),
    anatomy: &'a Handed,
) -> Result<Functional<'a>, Failed> {
    let (plan, cx) = (scan.plan(), scan.cx());
    scan.phase(Stage::Process, |p| {
        let motion = p.step(Stage::MotionCorrect, |found| motion_correct::fit(&raw, found))?;
        if plan.stages().any(|stage| stage == Stage::SliceTiming) {
            p.step(Stage::SliceTiming, |found| {
                slice_timing::bold(&mut raw, &mut others, &motion, (plan, cx.strict), found)
            })?;
        }
        let motion = p.own(|_| motion_correct::averaged(&raw, motion))?;
        let brain = p.step(Stage::SkullStrip, |found| skull_strip::bold(&motion, &raw, plan, cx.strict, found))?;
        let (raw, motion, echoes) = match others.len() {
            0 => (raw, motion, None),
            _ => p.step(Stage::EchoCombination, |found| {
                let (raw, motion, echoes) = echoes::combine((raw, others), motion, &brain, plan, found)?;
                Ok::<_, StageError>((raw, motion, Some(echoes)))
            })?,
        };
        let (mut brain, mut motion, mut echoes) = (brain, motion, echoes);
        let undone = match plan.fieldmap.used() {
            Some(_) => p.step(Stage::Distortion, |found| {
                distortion::bold(&mut motion, &mut brain, &raw, anatomy, (plan, cx.strict), found)
            })?,
            None => p.own(|found| distortion::without(&plan.fieldmap, (plan, cx.strict), found).map(|()| None))?,
        };
        let even = p.step(Stage::BiasCorrection, |found| bias_correction::bold(motion, &raw, &brain, found))?;
        let mut fit = p.step(Stage::Intensity, |found| intensity::bold(even, &brain, found))?;
        fit.shift = undone.as_ref().map(|undone| undone.shift.clone());
        if let (Some(echoes), Some(shift)) = (&mut echoes, &fit.shift) {
            p.own(|_| echoes.undistort(shift).map_err(StageError::from))?;
        }
        let on_anatomy = match anatomy {
            Handed::There(source) => p.step(Stage::Coregistration, |found| {
                coregistration::fit(source, &fit, &raw, (plan, cx.strict), found)
            })?,
            Handed::Lacking(why) => {
                p.own(|found| {
                    coregistration::without(why, found);
                    Ok::<_, StageError>(())
                })?;
                None
            }
            Handed::NotNeeded => None,
        };
        let level = plan.wanted.level;
        let in_spaces = match on_anatomy.as_ref().filter(|_| level > OutputLevel::Minimal) {
            Some(there) => p.step(Stage::Resampling, |found| {
                spaces::bold(&raw, &fit, (&brain, echoes.as_ref()), there, (plan, cx.output, cx.targets), found)
            })?,
            None => Vec::new(),
        };
        let affine = raw.header.grid().affine;
        let echoes = p.own(|_| echoes.map(|echoes| echoes.in_own_space(affine, &fit)).transpose())?;
        let scaled = p.own(|_| native::bold(raw, fit))?;
        let confounds = p.step(Stage::Quality, |found| {
            let measured = confounds::of(&scaled, &brain);
            quality::bold(&scaled, &brain, &measured, found);
            if level < OutputLevel::Full {
                return Ok(Vec::new());
            }
            let tissues = on_anatomy.as_ref().and_then(|there| there.tissues(&scaled, &brain, found));
            Ok::<_, StageError>(confounds::columns(&scaled, &brain, &measured, tissues.as_ref()))
        })?;
        let figures = p.step(Stage::Figures, |_| {
            figures::bold(&scaled, &brain, (on_anatomy.as_ref(), &in_spaces, undone.as_ref()), cx.targets)
        })?;
        Ok(Functional { scaled, brain, undone, echoes, on_anatomy, in_spaces, confounds, figures })
    })
}
