//! Distortion: what the field has displaced is put back, and the run is looked at with and without: a correction that makes it
//! less like the T1w image is left out.

use super::distortion_check::{Compared, Run, Trial, checked};
use super::field::{Facts, Field, FieldError, in_memory, of_readout, readout};
use super::motion_correct::Motion;
use super::validate::Series;
use crate::derivatives::measured::{Distortion, FromMap, FromPair};
use crate::pipeline::handed::Handed;
use crate::plan::{FieldImage, Fieldmap, FieldmapPlan, ScanPlan};
use crate::step::{Found, StageError};
use crate::vocabulary::Fieldmaps;
use imaging::brain::Brain;
use imaging::distortion::readout::Readout;
use imaging::distortion::shift::{Shift, carried};
use imaging::rigid::{IDENTITY, Matrix4};
use ndarray::Array3;
use nifti::Fingerprint;

/// Displacement in the brain beyond what EPI has, mm.
const LONG_MM: f64 = 30.0;
/// Correlation of two images of opposite phase encoding, not corrected, above which they are the same image.
const SAME: f64 = 0.999;

/// What is known of a run's distortion.
pub struct Undone {
    /// The field where it was measured.
    pub field: Field,
    /// From the world of the run to that of the fieldmap.
    pub moved: Matrix4,
    /// The field on the grid of the run, Hz, `(nz, ny, nx)`.
    pub hz: Array3<f32>,
    /// Where the signal of each voxel is seen.
    pub shift: Shift,
    /// The mean of the run before and after.
    pub means: [Array3<f32>; 2],
}

/// Corrects what leads on in a run (its mean, its brain) and says where its signal is seen. Before the intensity field is looked
/// for, which would take piled-up signal for its own. A fieldmap that cannot be used, or makes the run worse, is left out with a note.
pub fn bold(
    motion: &mut Motion,
    brain: &mut Brain,
    raw: &Series,
    anatomy: &Handed,
    (plan, strict): (&ScanPlan, bool),
    found: &mut Found,
) -> Result<Option<Undone>, StageError> {
    let Some(fieldmap) = plan.fieldmap.used() else { return Ok(None) };
    found.set("distortion.kind", fieldmap.kind.as_str());
    let mut told = told(fieldmap);
    let tried = tried(fieldmap, raw, motion, brain, anatomy, (plan, &mut told));
    let (field, trial) = match tried {
        Ok(tried) => tried,
        Err(why) => {
            told.why = Some(why.to_string());
            let print = |image: &FieldImage| Some((image.relative.clone(), Fingerprint::of(&image.path).ok()?));
            found.known.beside = fieldmap.kind.images().into_iter().filter_map(print).collect();
            found.set("distortion.corrected", false);
            found.known.distortion = Some(told);
            found.odd(format!("distortion is not corrected: {why}"), &plan.id, strict)?;
            return Ok(None);
        }
    };
    found.known.beside.clone_from(&field.prints);
    field.notes.iter().try_for_each(|note| found.odd(note.clone(), &plan.id, strict))?;
    report(&told, found);
    let left_out = told.why.clone();
    told.doubts.iter().for_each(|doubt| found.note(format!("distortion: {doubt}")));
    found.known.distortion = Some(told);
    if let Some(why) = left_out {
        found.odd(format!("distortion is not corrected: {why}"), &plan.id, strict)?;
        return Ok(None);
    }
    let before = apply_to(motion, brain, raw, &trial, found)?;
    let Trial { moved, hz, shift, mean: after, .. } = trial;
    Ok(Some(Undone { field, moved, hz, shift, means: [before, after] }))
}

/// Says why a run stays as distorted as it is; noted only where there are fieldmaps, and odd where one is for it.
pub fn without(planned: &FieldmapPlan, (plan, strict): (&ScanPlan, bool), found: &mut Found) -> Result<(), StageError> {
    let FieldmapPlan::Without { why, there, wrong } = planned else { return Ok(()) };
    found.known.distortion = Some(Distortion { why: Some(why.to_string()), ..Distortion::default() });
    let note = format!("distortion is not corrected: {why}");
    match (wrong, there) {
        (true, _) => found.odd(note, &plan.id, strict),
        (false, true) => {
            found.note(note);
            Ok(())
        }
        (false, false) => Ok(()),
    }
}

/// What is known of a fieldmap before it is read.
fn told(fieldmap: &Fieldmap) -> Distortion {
    Distortion {
        kind: Some(fieldmap.kind.as_str().to_owned()),
        fieldmap: Some(fieldmap.id.clone()),
        by: Some(fieldmap.by.to_owned()),
        files: fieldmap.kind.images().iter().map(|image| image.relative.to_string_lossy().into_owned()).collect(),
        direction: Some(fieldmap.direction.to_string()),
        ..Distortion::default()
    }
}

/// Attributes of the stage's span.
fn report(told: &Distortion, found: &mut Found) {
    found.set("distortion.corrected", told.corrected);
    if let Some([.., largest]) = told.shift_mm {
        found.set("distortion.largest_mm", largest);
    }
    if let Some(likeness) = told.likeness {
        found.set("distortion.likeness_before", likeness.uncorrected);
        found.set("distortion.likeness", likeness.corrected);
        found.set("distortion.likeness_reversed", likeness.reversed);
    }
}

/// The field and the best way to use it, with what was measured of it.
fn tried(
    fieldmap: &Fieldmap,
    raw: &Series,
    motion: &Motion,
    brain: &Brain,
    anatomy: &Handed,
    (plan, told): (&ScanPlan, &mut Distortion),
) -> Result<(Field, Trial), FieldError> {
    let direction = in_memory(fieldmap.direction, &raw.header)?;
    let readout = readout(&fieldmap.readout, direction, motion.mean.dim())?;
    of_run(&readout, told);
    let field = Field::read(fieldmap, raw, motion)?;
    let run = Run { raw, motion, direction, readout: readout.seconds };
    let mut trial = run.with(&field, IDENTITY)?;
    of_field(&field, told);
    if let Handed::There(source) = anatomy
        && let Ok(anatomy) = source.anatomy()
    {
        trial = checked(&run, &field, trial, &Compared::new(anatomy, plan, brain, raw.header.grid()), told);
        let confirmed = told.likeness.is_some_and(|likeness| likeness.corrected > likeness.uncorrected);
        if fieldmap.other_session && told.why.is_none() && !confirmed {
            told.why =
                Some("the fieldmap is of another session, and the run is not more like the T1w image for it".into());
        }
    } else {
        unchecked(&field, fieldmap, told);
    }
    if let Facts::Pair(facts) = &field.facts
        && facts.before.correlation > SAME
    {
        told.why = Some("both images of opposite phase encoding are the same: one of them may be mislabelled".into());
    }
    run.measure(&trial, brain, told)?;
    if plan.wanted.fieldmaps == Fieldmaps::Always
        && let Some(why) = told.why.take()
    {
        told.doubts.push(format!("corrected as --use-fieldmap always says, although {why}"));
    }
    told.corrected = told.why.is_none();
    let others = fieldmap.others.iter().map(|(name, why)| match why {
        None => format!("{name} is for this run as well, and was not taken"),
        Some(why) => format!("{name} is for this run as well, but cannot be used: {why}"),
    });
    told.doubts.extend(others);
    if fieldmap.other_session {
        told.doubts.push("the fieldmap is of another session, in which the head lay elsewhere".into());
    }
    if told.shift_mm.is_some_and(|[.., largest]| largest > LONG_MM) {
        told.doubts.push(format!(
            "signal would be displaced by more than {LONG_MM} mm: is the readout time of {:.4} s right?",
            run.readout
        ));
    }
    Ok((field, trial))
}

/// Without a T1w image only a pair of images says whether its own field is right.
fn unchecked(field: &Field, fieldmap: &Fieldmap, told: &mut Distortion) {
    told.doubts.push("it was not compared with a T1w image".into());
    if let Facts::Pair(facts) = &field.facts
        && facts.after.correlation <= facts.before.correlation
    {
        told.why = Some(format!(
            "the two images are no more alike for it (correlation {:.3}, {:.3} before)",
            facts.after.correlation, facts.before.correlation
        ));
    } else if fieldmap.other_session {
        told.why = Some(
            "the fieldmap is of another session, and there was no T1w image at hand to say where the head lay".into(),
        );
    }
}

fn of_run(readout: &Readout, told: &mut Distortion) {
    told.readout_s = Some(readout.seconds);
    told.doubts.extend(of_readout(readout));
}

fn of_field(field: &Field, told: &mut Distortion) {
    match &field.facts {
        Facts::Map(facts) => {
            told.from_map = Some(FromMap {
                wrapped_share: facts.wrapped_share,
                cycles_removed: facts.cycles_removed,
                median_hz: facts.median_hz,
                residual_hz: facts.residual_hz,
            });
        }
        Facts::Pair(facts) => {
            told.from_pair = Some(FromPair {
                gain: facts.gain,
                translation_mm: facts.translation_mm,
                rotation_deg: facts.rotation_deg,
                correlation: [facts.before.correlation, facts.after.correlation],
                relative_rms: [facts.before.relative_rms, facts.after.relative_rms],
            });
        }
    }
}

/// Puts mean and brain back in place; returns the mean as it was.
#[expect(clippy::cast_precision_loss, reason = "a count of voxels")]
fn apply_to(
    motion: &mut Motion,
    brain: &mut Brain,
    raw: &Series,
    trial: &Trial,
    found: &mut Found,
) -> Result<Array3<f32>, StageError> {
    let shift = &trial.shift;
    let mask = carried(brain.mask.mapv(f32::from).view(), shift)?.mapv(|share| u8::from(share >= 0.5));
    brain.volume_ml =
        mask.iter().filter(|m| **m > 0).count() as f64 * raw.header.grid().voxel_mm.iter().product::<f64>() / 1000.0;
    brain.mask = mask;
    found.known.brain_volume_ml = Some(brain.volume_ml);
    Ok(std::mem::replace(&mut motion.mean, trial.mean.clone()))
}
