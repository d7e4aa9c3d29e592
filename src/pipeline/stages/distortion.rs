//! Distortion: what the field has displaced is put back, and the run is looked at with and without: a correction that makes it
//! less like the T1w image is left out.

use super::coregistration::starts;
use super::field::{Facts, Field, FieldError, in_memory, of_readout, readout};
use super::motion_correct::Motion;
use super::validate::Series;
use crate::derivatives::measured::{Distortion, FromMap, FromPair};
use crate::pipeline::handed::{Anatomy, Handed};
use crate::plan::{FieldImage, Fieldmap, FieldmapPlan, ScanPlan};
use crate::step::{Found, StageError};
use crate::vocabulary::Fieldmaps;
use imaging::brain::Brain;
use imaging::coregistration::{Coregistration, Verdict, coregister};
use imaging::distortion::check::{Likeness, Undistorted, best_likeness};
use imaging::distortion::readout::Readout;
use imaging::distortion::shift::{Shift, carried, undistort};
use imaging::distortion::{DistortionError, PhaseEncoding};
use imaging::morphology::dilate;
use imaging::rigid::{IDENTITY, Matrix4, compose, invert_affine, to_parameters};
use ndarray::{Array3, ArrayView3, Zip};
use nifti::{Fingerprint, Grid};

/// The margin around the brain in which runs are compared with the T1w image, in voxels.
const MARGIN: f64 = 2.0;
/// The part of the likeness by which a run must be less like the T1w image to be worse: if the coregistration says so too, and by
/// itself. Within the first, both are the same: a right correction of a small distortion has been seen to change it by −0.5 to +4 %,
/// a field that lies 22 mm off by −4 %, the opposite sign by −8 %.
const LOST: [f64; 2] = [0.01, 0.02];
/// A move of the head between fieldmap and run that is looked at, mm and degrees: less is noise, more is a failure within a session.
const LEAST_MOVE_MM: f64 = 1.0;
const MOST_MOVE: (f64, f64) = (10.0, 5.0);

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

/// A way to correct a run, and how the run looks with it.
struct Trial {
    moved: Matrix4,
    hz: Array3<f32>,
    /// Where the field was measured, 0 to 1.
    measured: Array3<f32>,
    shift: Shift,
    mean: Array3<f32>,
}

/// What a run is compared with: the brain of the T1w image alone, since scalp and skull are not what is compared, and the part of
/// the run that is looked at.
struct Compared<'a> {
    anatomy: &'a Anatomy,
    plan: &'a ScanPlan,
    image: Array3<f32>,
    around: Array3<u8>,
}

impl<'a> Compared<'a> {
    fn new(anatomy: &'a Anatomy, plan: &'a ScanPlan, brain: &Brain, grid: &Grid) -> Self {
        let [grey, white, csf] = &anatomy.shares;
        let mut image = anatomy.image.clone();
        Zip::from(&mut image).and(grey).and(white).and(csf).for_each(|v, g, w, c| {
            if g + w + c < 0.5 {
                *v = 0.0;
            }
        });
        let margin = MARGIN * grid.voxel_mm.iter().product::<f64>().cbrt();
        Self { anatomy, plan, image, around: dilate(brain.mask.view(), grid.voxel_mm, margin) }
    }
}

/// A mean laid onto the T1w image.
struct Laid {
    found: Coregistration,
    likeness: f64,
}

/// Corrects what leads on in a run (its mean, its brain) and says where its signal is seen. Before the intensity field is looked
/// for, which would take piled-up signal for its own. A fieldmap that cannot be
/// used, or makes the run worse, is left out with a note.
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
            found.known.fieldmap = fieldmap.kind.images().into_iter().filter_map(print).collect();
            found.set("distortion.corrected", false);
            found.known.distortion = Some(told);
            found.odd(format!("distortion is not corrected: {why}"), &plan.id, strict)?;
            return Ok(None);
        }
    };
    found.known.fieldmap.clone_from(&field.prints);
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

/// Says why a run stays as distorted as it is; noted only where there are fieldmaps.
pub fn without(planned: &FieldmapPlan, found: &mut Found) {
    let FieldmapPlan::Without { why, there } = planned else { return };
    found.known.distortion = Some(Distortion { why: Some(why.to_string()), ..Distortion::default() });
    if *there {
        found.note(format!("distortion is not corrected: {why}"));
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
    if let Some([reversed, before, after]) = told.likeness {
        found.set("distortion.likeness_before", before);
        found.set("distortion.likeness", after);
        found.set("distortion.likeness_reversed", reversed);
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
    } else {
        unchecked(&field, fieldmap, told);
    }
    run.measure(&trial, brain, told)?;
    if plan.wanted.fieldmaps == Fieldmaps::Always
        && let Some(why) = told.why.take()
    {
        told.doubts.push(format!("corrected as --use-fieldmap always says, although {why}"));
    }
    told.corrected = told.why.is_none();
    if let [first, ..] = fieldmap.others.as_slice() {
        let many = fieldmap.others.len();
        told.doubts.push(format!(
            "{} fieldmaps are for this run; the first was taken, not {first}{}",
            many + 1,
            if many > 1 { " and others" } else { "" }
        ));
    }
    Ok((field, trial))
}

/// A run with what is said of its encoding, in the axes of its array.
struct Run<'a> {
    raw: &'a Series,
    motion: &'a Motion,
    direction: PhaseEncoding,
    readout: f64,
}

impl Run<'_> {
    fn with(&self, field: &Field, moved: Matrix4) -> Result<Trial, DistortionError> {
        let grid = self.raw.header.grid();
        let nowhere = DistortionError::VoxelSize { mm: grid.voxel_mm };
        let (hz, measured) = field.on(grid, &moved).ok_or(nowhere)?;
        let mean = self.motion.mean.view();
        let shift = Shift::new(hz.view(), Some(mean), self.direction, self.readout)?;
        Ok(Trial { moved, hz, measured, mean: undistort(mean, &shift)?, shift })
    }

    /// The mean laid onto the T1w image, and how alike both are there.
    fn laid(&self, mean: ArrayView3<'_, f32>, on: &Compared<'_>) -> Option<Laid> {
        let affine = &self.raw.header.grid().affine;
        let found = coregister(mean, affine, &on.anatomy.model, starts(on.plan.wanted.start)).ok()?;
        let likeness = self.likeness(mean, &found, on)?;
        Some(Laid { found, likeness })
    }

    /// Mutual information of a mean with the T1w image it was laid onto, in the brain and around it.
    fn likeness(&self, mean: ArrayView3<'_, f32>, there: &Coregistration, on: &Compared<'_>) -> Option<f64> {
        let image = Undistorted { image: on.image.view(), affine: &on.anatomy.affine };
        best_likeness((mean, &self.raw.header.grid().affine), &image, on.around.view(), &there.transform).ok()
    }

    /// What the shift is like in the brain.
    fn measure(&self, trial: &Trial, brain: &Brain, told: &mut Distortion) -> Result<(), DistortionError> {
        let facts = trial.shift.facts(brain.mask.view())?;
        let mm = self.raw.header.grid().voxel_mm[trial.shift.axis()];
        let [low, middle, high] = facts.quantiles.map(|v| f64::from(v) * mm);
        told.shift_mm = Some([low, middle, high, f64::from(facts.largest) * mm]);
        told.jacobian = Some(facts.jacobian.map(f64::from));
        told.folded_share = Some(facts.steep_share);
        let inside = brain.mask.iter().zip(&trial.measured).filter(|(m, _)| **m > 0);
        let (all, known) =
            inside.fold((0_u32, 0_u32), |(all, known), (_, share)| (all + 1, known + u32::from(*share >= 0.5)));
        told.extrapolated_share = Some(1.0 - f64::from(known) / f64::from(all.max(1)));
        Ok(())
    }
}

/// Compares the run with the T1w image: as it was, corrected, corrected the other way round; and corrected by a field that moved
/// with the head, where that fits better.
fn checked(run: &Run<'_>, field: &Field, mut trial: Trial, on: &Compared<'_>, told: &mut Distortion) -> Trial {
    let (before, after) = rayon::join(|| run.laid(run.motion.mean.view(), on), || run.laid(trial.mean.view(), on));
    let (Some(before), Some(mut after)) = (before, after) else {
        told.doubts
            .push("the run could not be laid onto the T1w image, so that nothing says whether it is right".into());
        return trial;
    };
    if let Some((other, laid)) = moved(run, field, &after, on)
        && laid.likeness > after.likeness
        && laid.found.cost < after.found.cost
    {
        let (mm, degrees) = size(&other.moved, run.motion.estimate.centre);
        told.moved = Some([mm, degrees]);
        (trial, after) = (other, laid);
    }
    let reversed = reversed(run, &trial).and_then(|mean| run.likeness(mean.view(), &after.found, on));
    told.cost = Some([before.found.cost, after.found.cost]);
    let Some(reversed) = reversed else { return trial };
    let likeness = Likeness { reversed, uncorrected: before.likeness, corrected: after.likeness };
    told.likeness = Some([likeness.reversed, likeness.uncorrected, likeness.corrected]);
    told.why = worse(&likeness, [&before.found, &after.found]);
    if told.why.is_none() && !likeness.confirms() {
        told.doubts.push(format!(
            "the run is not clearly more like the T1w image for the correction (likeness {:.4} with it, {:.4} without, {:.4} \
             with the opposite sign)",
            likeness.corrected, likeness.uncorrected, likeness.reversed
        ));
    }
    trial
}

/// Why the run is worse for the correction, if it is: clearly less like the T1w image, a little less by both measures, or clearly of
/// the wrong sign.
fn worse(likeness: &Likeness, [before, after]: [&Coregistration; 2]) -> Option<String> {
    let numbers = format!(
        "likeness with the T1w image {:.4} with it, {:.4} without, {:.4} with the opposite sign; cost of the coregistration \
         {:.3} with it, {:.3} without",
        likeness.corrected, likeness.uncorrected, likeness.reversed, after.cost, before.cost
    );
    if likeness.prefers_reversed() && likeness.reversed > likeness.uncorrected {
        return Some(format!(
            "the opposite sign fits better, so that PhaseEncodingDirection or the fieldmap may be wrong ({numbers})"
        ));
    }
    let lost = 1.0 - likeness.corrected / likeness.uncorrected;
    let dearer = after.cost - before.cost;
    let worse = lost > LOST[1] || lost > LOST[0] && dearer > 0.0;
    worse.then(|| format!("the run is less like the T1w image for it ({numbers})"))
}

/// The mean with the shift turned round about its own mean, so that the head stays where it was laid.
fn reversed(run: &Run<'_>, trial: &Trial) -> Option<Array3<f32>> {
    let weight = |mean: &Array3<f32>| mean.iter().map(|v| f64::from(v.max(0.0))).sum::<f64>();
    let sum: f64 =
        trial.shift.voxels.iter().zip(&run.motion.mean).map(|(u, w)| f64::from(*u) * f64::from(w.max(0.0))).sum();
    let middle = sum / weight(&run.motion.mean).max(f64::MIN_POSITIVE);
    let seconds = run.readout * run.direction.sign();
    #[expect(clippy::cast_possible_truncation, reason = "voxels are f32")]
    let centre = (middle / seconds) as f32;
    let hz = trial.hz.mapv(|hz| 2.0 * centre - hz);
    let shift = Shift::new(hz.view(), Some(run.motion.mean.view()), run.direction, run.readout).ok()?;
    undistort(run.motion.mean.view(), &shift).ok()
}

/// The correction by a field that lies where the image of the fieldmap lies on the T1w image, if that is a small way off.
fn moved(run: &Run<'_>, field: &Field, after: &Laid, on: &Compared<'_>) -> Option<(Trial, Laid)> {
    let affine = &field.header.grid().affine;
    let there = coregister(field.image.view(), affine, &on.anatomy.model, starts(on.plan.wanted.start)).ok()?;
    if there.verdict != Verdict::Accepted || after.found.verdict != Verdict::Accepted {
        return None;
    }
    let moved = compose(&there.transform, &invert_affine(&after.found.transform)?);
    let (mm, degrees) = size(&moved, run.motion.estimate.centre);
    if mm < LEAST_MOVE_MM || mm > MOST_MOVE.0 || degrees > MOST_MOVE.1 {
        return None;
    }
    let trial = run.with(field, moved).ok()?;
    let laid = run.laid(trial.mean.view(), on)?;
    Some((trial, laid))
}

/// How far a rigid transform moves the middle of the head, mm, and turns it, degrees.
fn size(moved: &Matrix4, centre: [f64; 3]) -> (f64, f64) {
    let [x, y, z, a, b, c] = to_parameters(moved, centre);
    let length = |v: [f64; 3]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
    (length([x, y, z]), length([a, b, c]).to_degrees())
}

/// Without a T1w image only a pair of images says whether its own field is right.
fn unchecked(field: &Field, fieldmap: &Fieldmap, told: &mut Distortion) {
    if let Facts::Pair(facts) = &field.facts
        && facts.after.correlation <= facts.before.correlation
    {
        told.why = Some(format!(
            "the two images are no more alike for it (correlation {:.3}, {:.3} before)",
            facts.after.correlation, facts.before.correlation
        ));
    } else if fieldmap.other_session {
        told.why =
            Some("the fieldmap is of another session, and there is no T1w image to say where the head lay".into());
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
