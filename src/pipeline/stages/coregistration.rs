//! Coregistration: lays a bold run onto the T1w image of its participant, and says how far that is to be believed.

use super::intensity::Fit;
use super::native::ScaledSeries;
use super::validate::Series;
use crate::derivatives::measured::Coregistered;
use crate::pipeline::handed::{Anatomy, Source};
use crate::plan::ScanPlan;
use crate::step::{Found, StageError};
use crate::vocabulary::RegistrationStart;
use imaging::brain::Brain;
use imaging::confounds::tissue_masks::{Shares, TissueMasks, tissue_masks};
use imaging::coregistration::{Coregistration, Start, Verdict, coregister};
use imaging::resampling::Places;
use imaging::rigid::{compose, invert_affine};
use ndarray::{Array3, Zip};

/// A run that lies on a T1w image.
pub struct OnAnatomy<'a> {
    /// The T1w image's files.
    pub source: &'a Source,
    /// What is read of them.
    pub anatomy: &'a Anatomy,
    /// Where the run lies.
    pub found: Coregistration,
}

/// Registers the mean of a run to the anatomy; `None`, with a note, if that fails and no requested space needs it.
pub fn fit<'a>(
    source: &'a Source,
    fit: &Fit,
    raw: &Series,
    (plan, strict): (&ScanPlan, bool),
    found: &mut Found,
) -> Result<Option<OnAnatomy<'a>>, StageError> {
    found.known.anatomy = Some(source.used());
    match lay(source, fit, raw, (plan, strict), found) {
        Ok(there) => Ok(Some(there)),
        Err(e @ StageError::Strict { .. }) => Err(e),
        Err(e) if strict || plan.wanted.asked => Err(e),
        Err(e) => {
            without(&e.to_string(), found);
            Ok(None)
        }
    }
}

/// As [`fit`]. A doubtful result is noted, and an error with `--strict`.
fn lay<'a>(
    source: &'a Source,
    fit: &Fit,
    raw: &Series,
    (plan, strict): (&ScanPlan, bool),
    found: &mut Found,
) -> Result<OnAnatomy<'a>, StageError> {
    source.has(&plan.wanted.spaces)?;
    let anatomy = source.anatomy()?;
    let there = coregister(fit.mean.view(), &raw.header.grid().affine, &anatomy.model, starts(plan.wanted.start))?;
    let told = told(source, &there);
    found.set("coregistration.accepted", told.accepted);
    found.set("coregistration.cost", told.cost);
    found.set("coregistration.share", told.share);
    found.set("coregistration.depth", told.depth);
    if source.others() > 0 {
        found.note(format!("of {} T1w images the first by name was taken, {}", source.others() + 1, source.id()));
    }
    let doubt = (!told.accepted).then(|| there.verdict.to_string());
    let doubts: Vec<String> = doubt.into_iter().chain(there.cautions.iter().map(ToString::to_string)).collect();
    doubts.iter().for_each(|doubt| found.note(format!("registered to {}: {doubt}", source.id())));
    found.known.coregistration = Some(told);
    if strict && !doubts.is_empty() {
        return Err(StageError::Strict { scan: plan.id.clone(), notes: doubts.join("; ") });
    }
    Ok(OnAnatomy { source, anatomy, found: there })
}

/// Where the search begins.
pub const fn starts(of: RegistrationStart) -> &'static [Start] {
    match of {
        RegistrationStart::Auto => &[Start::Header, Start::CentreOfMass],
        RegistrationStart::Header => &[Start::Header],
    }
}

impl OnAnatomy<'_> {
    /// The voxels of the run that hold nothing but white matter or fluid, as the T1w image shows them: what confounds are measured in.
    pub fn tissues(&self, scaled: &ScaledSeries, brain: &Brain, found: &mut Found) -> Option<TissueMasks> {
        let [grey, white, csf] = self.anatomy.shares.each_ref().map(|share| share.view());
        let shares = Shares { grey, white, csf, affine: self.anatomy.affine };
        let to_t1w = invert_affine(&self.found.transform)?;
        let masks = tissue_masks(&shares, brain.mask.view(), &scaled.header.grid().affine, &to_t1w)?;
        if masks.relaxed {
            found.note(
                "few voxels are pure white matter or fluid: the masks of their confounds include voxels with some grey \
                 matter, or are empty",
            );
        }
        Some(masks)
    }
}

impl OnAnatomy<'_> {
    /// The tissue that most of each voxel of the run is, as the T1w image shows it: 1 grey matter, 2 white matter, 3 fluid; 4 in the
    /// brain of the run where the T1w image has none.
    pub fn labels(&self, scaled: &ScaledSeries, brain: &Brain) -> Option<Array3<u8>> {
        const LEAST: f32 = 0.5;
        let grid = scaled.header.grid();
        let to_t1w = invert_affine(&self.found.transform)?;
        let map = compose(&invert_affine(&self.anatomy.affine)?, &compose(&to_t1w, &grid.affine));
        let places = Places::of(grid.shape, &map);
        let [grey, white, csf] = self.anatomy.shares.each_ref().map(|share| places.linear(share.view(), false));
        let mut labels = Array3::zeros(brain.mask.dim());
        Zip::from(&mut labels).and(&brain.mask).and(&grey).and(&white).and(&csf).for_each(|label, mask, g, w, c| {
            *label = match (*mask, g + w + c < LEAST) {
                (0, _) => 0,
                (_, true) => 4,
                _ if g >= w && g >= c => 1,
                _ if w >= c => 2,
                _ => 3,
            };
        });
        Some(labels)
    }
}

/// Notes that there is nothing to lay a run onto, so that it stays in its own space.
pub fn without(why: &str, found: &mut Found) {
    found.note(format!("outputs are in the run's own space only: {why}"));
    found.known.without_anatomy = true;
}

fn told(source: &Source, there: &Coregistration) -> Coregistered {
    let (start, by_tissues) = there.start;
    Coregistered {
        t1w: source.id().to_owned(),
        accepted: there.verdict == Verdict::Accepted,
        cost: there.cost,
        start_cost: Some(there.start_cost).filter(|cost| cost.is_finite()),
        share: there.share,
        depth: there.depth,
        halves_mm: there.halves_mm,
        start: match start {
            Start::Header => "header",
            Start::CentreOfMass => "centre of mass",
            Start::Given(_) => "given",
        }
        .to_owned(),
        by_tissues,
        doubts: there.cautions.iter().map(|caution| caution.kind().to_owned()).collect(),
    }
}
