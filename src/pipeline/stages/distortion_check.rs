//! Whether a run is better for the correction of its distortion: it is laid onto the T1w image with and without, and looked at there.

use super::coregistration::starts;
use super::field::Field;
use super::motion_correct::Motion;
use super::validate::Series;
use crate::derivatives::measured::{Costs, Distortion, Likenesses};
use crate::pipeline::handed::Anatomy;
use crate::plan::ScanPlan;
use imaging::brain::Brain;
use imaging::coregistration::{Coregistration, Verdict, coregister};
use imaging::distortion::check::{Likeness, Undistorted, best_likeness};
use imaging::distortion::shift::{Shift, undistort};
use imaging::distortion::{DistortionError, PhaseEncoding};
use imaging::morphology::dilate;
use imaging::rigid::{Matrix4, compose, invert_affine, to_parameters};
use ndarray::{Array3, ArrayView3, Zip};
use nifti::Grid;

/// The margin around the brain in which runs are compared with the T1w image, in voxels.
const MARGIN: f64 = 2.0;
/// The part of the likeness by which a run must be less like the T1w image to be worse: if the coregistration says so too, and by
/// itself. Within the first, both are the same: a right correction of a small distortion has been seen to change it by −0.5 to +4 %,
/// a field that lies 22 mm off by −4 %, the opposite sign by −8 %.
const LOST: [f64; 2] = [0.01, 0.02];
/// A move of the head between fieldmap and run that is looked at, mm and degrees: less is noise, more is a failure within a session.
const LEAST_MOVE_MM: f64 = 1.0;
const MOST_MOVE: (f64, f64) = (10.0, 5.0);

/// A way to correct a run, and how the run looks with it.
pub struct Trial {
    /// From the world of the run to that of the fieldmap.
    pub moved: Matrix4,
    /// The field on the grid of the run, Hz.
    pub hz: Array3<f32>,
    /// Where it was measured, 0 to 1.
    pub measured: Array3<f32>,
    /// Where signal is seen.
    pub shift: Shift,
    /// The mean of the run, corrected.
    pub mean: Array3<f32>,
}

/// What a run is compared with: the brain of the T1w image alone, since scalp and skull are not what is compared, and the part of
/// the run that is looked at.
pub struct Compared<'a> {
    anatomy: &'a Anatomy,
    plan: &'a ScanPlan,
    image: Array3<f32>,
    around: Array3<u8>,
}

impl<'a> Compared<'a> {
    pub fn new(anatomy: &'a Anatomy, plan: &'a ScanPlan, brain: &Brain, grid: &Grid) -> Self {
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

/// A run with its encoding, in the axes of its array.
pub struct Run<'a> {
    /// The run.
    pub raw: &'a Series,
    /// Its motion and mean.
    pub motion: &'a Motion,
    /// Its phase encoding.
    pub direction: PhaseEncoding,
    /// Its readout time, s.
    pub readout: f64,
}

impl Run<'_> {
    pub fn with(&self, field: &Field, moved: Matrix4) -> Result<Trial, DistortionError> {
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
    pub fn measure(&self, trial: &Trial, brain: &Brain, told: &mut Distortion) -> Result<(), DistortionError> {
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
pub fn checked(run: &Run<'_>, field: &Field, mut trial: Trial, on: &Compared<'_>, told: &mut Distortion) -> Trial {
    let affine = &field.header.grid().affine;
    let ((before, after), there) = rayon::join(
        || rayon::join(|| run.laid(run.motion.mean.view(), on), || run.laid(trial.mean.view(), on)),
        || coregister(field.image.view(), affine, &on.anatomy.model, starts(on.plan.wanted.start)).ok(),
    );
    let (Some(before), Some(mut after)) = (before, after) else {
        told.doubts
            .push("the run could not be laid onto the T1w image, so that nothing says whether it is right".into());
        return trial;
    };
    if let Some((other, laid)) = there.and_then(|there| moved(run, (field, &there), &after, on))
        && laid.likeness > after.likeness
        && laid.found.cost < after.found.cost
    {
        let (mm, degrees) = size(&other.moved, run.motion.estimate.centre);
        told.moved = Some([mm, degrees]);
        (trial, after) = (other, laid);
    }
    let reversed = reversed(run, &trial).and_then(|mean| run.likeness(mean.view(), &after.found, on));
    told.cost = Some(Costs { corrected: after.found.cost, uncorrected: before.found.cost });
    let Some(reversed) = reversed else { return trial };
    let likeness = Likeness { reversed, uncorrected: before.likeness, corrected: after.likeness };
    let Likeness { reversed, uncorrected, corrected } = likeness;
    told.likeness = Some(Likenesses { corrected, uncorrected, reversed });
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
    if (likeness.reversed - likeness.corrected) / likeness.uncorrected > LOST[1] {
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
fn moved(
    run: &Run<'_>,
    (field, there): (&Field, &Coregistration),
    after: &Laid,
    on: &Compared<'_>,
) -> Option<(Trial, Laid)> {
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
