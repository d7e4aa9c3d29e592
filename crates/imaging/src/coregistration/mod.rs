//! Rigid coregistration of a bold reference volume with the T1w image of the same head.
//!
//! 1. From each start a coarse registration by the tissues (`columns`), which sees the head from centimetres away.
//! 2. From each start, as it is and after that, boundary-based registration (`bbr`), first with wide arms and few points.
//! 3. Of the different answers the one with the deepest cost for what is in view, and a judgement of it (`accept`).
//!
//! All transforms take a point of the T1w image's world (RAS mm) to where the same tissue lies in the bold volume's world.

mod accept;
mod bbr;
mod boundary;
mod columns;
mod descent;
mod epi;
mod error;

use ndarray::ArrayView3;

pub use accept::{Caution, Verdict};
pub use error::CoregisterError;

use crate::rigid::{HEAD_RADIUS_MM, IDENTITY, Matrix4, apply, rms_deviation};
use bbr::Border;
use boundary::{BorderPoint, boundary};
use columns::HeadCells;
use descent::{Descent, Limits};
use epi::Epi;

/// Points of the border that are used, evenly taken; every which one of them suffices at first, and for judging.
const POINTS: usize = 30_000;
const FIRST_THINNING: usize = 6;
const JUDGING_THINNING: usize = 3;
/// Fewest points that say anything.
const FEWEST_POINTS: usize = 50;
/// Smallest part of the points in view that an answer can be sought with.
const LEAST_SHARE: f64 = 0.05;
/// How far from the border the bold volume is read, first and last, mm.
const DISTANCES_MM: [f64; 2] = [3.0, 2.0];
/// When the search with few points ends, and the one with all.
const ROUGHLY: Limits = Limits { steps: 20, tolerance_mm: 0.02 };
const FINALLY: Limits = Limits { steps: 60, tolerance_mm: 0.002 };
/// Candidates nearer to each other than this end at the same place, mm.
const SAME_MM: f64 = 2.0;
/// Candidates with less than this part of the best one's merit are given up.
const WORTHY: f64 = 0.5;

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// The headers are right: both scans have one world.
    Header,
    /// The centres of mass coincide. For headers that do not belong together; misleads where part of the head was scanned.
    CentreOfMass,
    /// A transform from the world of the T1w image to that of the bold volume.
    Given(Matrix4),
}

/// What coregistration needs of the T1w image; serves all bold scans of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadModel {
    points: Vec<BorderPoint>,
    cells: HeadCells,
}

impl HeadModel {
    /// From the probabilities of CSF, grey and white matter (one shape; their sum is the brain mask) and the affine of
    /// their grid. [`crate::segmentation::TissueMaps::boxed`] has them.
    ///
    /// # Errors
    /// [`CoregisterError`]: shapes differ, the affine cannot be inverted, or there is no white matter to speak of.
    pub fn new(maps: [ArrayView3<f32>; 3], affine: &Matrix4) -> Result<Self, CoregisterError> {
        let shapes = maps.each_ref().map(|map| map.dim());
        if shapes.iter().any(|shape| *shape != shapes[0]) {
            return Err(CoregisterError::Shape { shapes });
        }
        let all = boundary(maps[2], affine)?;
        if all.len() < FEWEST_POINTS {
            return Err(CoregisterError::NoBoundary { points: all.len() });
        }
        let wanted = all.len().min(POINTS);
        let points = (0..wanted).map(|n| all[n * all.len() / wanted]).collect();
        Ok(Self { points, cells: HeadCells::new(maps, affine) })
    }
}

/// A bold volume coregistered with a T1w image.
#[derive(Clone, Debug, PartialEq)]
pub struct Coregistration {
    /// Takes a point of the T1w image's world to the bold volume's world (RAS mm): what is needed to read the bold volume
    /// on a grid of the T1w image. The start with the lowest cost where the answer was not accepted.
    pub transform: Matrix4,
    /// Whether the answer was accepted, or why not.
    pub verdict: Verdict,
    /// What to look at nevertheless.
    pub cautions: Vec<Caution>,
    /// The cost (Greve and Fischl 2009) of the answer, 0 to 2; 1 is no contrast. It compares places of one pair of images,
    /// never different segmentations.
    pub cost: f64,
    /// The lowest cost of the starts as they were; infinite where none had enough in view.
    pub start_cost: f64,
    /// Part of the border of white matter inside the bold volume, 0 to 1.
    pub share: f64,
    /// How much lower the cost is than, on average, 6 mm and 6 degrees away.
    pub depth: f64,
    /// How far apart the back and the front of the border want to be (mm, root mean square over a head): mostly distortion.
    /// `None` where one of them is not in view.
    pub halves_mm: Option<f64>,
    /// The start that led to the answer, and whether by way of the coarse registration.
    pub start: (Start, bool),
}

/// An answer, or one to be.
#[derive(Clone, Copy)]
struct Candidate {
    start: (Start, bool),
    found: Descent,
}

impl Candidate {
    /// The more the contrast exceeds none, in the more of the border, the better.
    fn merit(&self) -> f64 {
        let last = self.found.last;
        if last.cost.is_finite() { (1.0 - last.cost) * last.share.sqrt() } else { f64::NEG_INFINITY }
    }
}

/// Finds where the head of `model` lies in a bold volume.
///
/// `bold` is a reference volume after motion correction (a mean, or one volume), with its affine. Tries all `starts`;
/// with none [`Start::Header`] and [`Start::CentreOfMass`]. The same bytes at any number of threads.
///
/// # Errors
/// [`CoregisterError`]: the volume is empty, its affine cannot be inverted, or no start has the head in view.
pub fn coregister(
    bold: ArrayView3<f32>,
    bold_affine: &Matrix4,
    model: &HeadModel,
    starts: &[Start],
) -> Result<Coregistration, CoregisterError> {
    let epi = Epi::new(bold, bold_affine)?;
    let centre = model.cells.centre;
    let [few, some] = [FIRST_THINNING, JUDGING_THINNING]
        .map(|thinning| model.points.iter().step_by(thinning).copied().collect::<Vec<BorderPoint>>());
    let border = Border { epi: &epi, points: &model.points, distance_mm: DISTANCES_MM[1], centre };
    let rough = Border { points: &few, distance_mm: DISTANCES_MM[0], ..border };
    let starts = if starts.is_empty() { &[Start::Header, Start::CentreOfMass] } else { starts };
    let starts: Vec<(Start, Matrix4)> = starts.iter().map(|start| (*start, placed(*start, &epi, centre))).collect();
    let best = distinct(candidates(&starts, &epi, model, &rough), centre)
        .into_iter()
        .map(|c| Candidate { found: border.align(&c.found.transform, FINALLY), ..c })
        .reduce(|best, c| if c.merit() > best.merit() { c } else { best });
    let at_starts = starts.iter().map(|(_, transform)| (border.at(transform).cost, *transform));
    let (start_cost, kept) =
        at_starts.reduce(|a, b| if b.0 < a.0 { b } else { a }).unwrap_or((f64::INFINITY, IDENTITY));
    let Some(best) = best.filter(|best| best.found.last.cost.is_finite()) else {
        let share = starts.iter().map(|(_, transform)| border.at(transform).share).fold(0.0, f64::max);
        return Err(CoregisterError::NotInView { share });
    };
    let Descent { transform, last } = best.found;
    let near = Border { points: &some, ..border };
    let depth = accept::depth(&near, &transform);
    let halves_mm = accept::halves_mm(&near, &transform);
    let verdict = accept::verdict(last.share, last.cost, depth);
    let accepted = verdict == Verdict::Accepted;
    Ok(Coregistration {
        transform: if accepted { transform } else { kept },
        verdict,
        cautions: accept::cautions(last.share, last.cost, halves_mm),
        cost: last.cost,
        start_cost,
        share: last.share,
        depth,
        halves_mm,
        start: best.start,
    })
}

/// The transform of a start; `centre` is that of the brain in the T1w image.
fn placed(start: Start, epi: &Epi, centre: [f64; 3]) -> Matrix4 {
    match start {
        Start::Header => IDENTITY,
        Start::Given(transform) => transform,
        Start::CentreOfMass => {
            let mut transform = IDENTITY;
            let to = epi.centre_of_mass();
            transform.iter_mut().zip(to.iter().zip(centre)).for_each(|(row, (to, from))| row[3] = to - from);
            transform
        }
    }
}

/// Where each start leads with few points and wide arms, as it is and by way of the coarse registration.
fn candidates(starts: &[(Start, Matrix4)], epi: &Epi, model: &HeadModel, rough: &Border<'_>) -> Vec<Candidate> {
    let blurred = HeadCells::blurred(epi);
    let mut begins: Vec<((Start, bool), Matrix4)> = Vec::new();
    for (start, transform) in starts {
        let coarse = model.cells.align(&blurred, transform);
        for (by_way, from) in [(false, *transform), (true, coarse)] {
            if !begins.iter().any(|(_, other)| is_same(other, &from, model.cells.centre)) {
                begins.push(((*start, by_way), from));
            }
        }
    }
    begins.into_iter().map(|(start, from)| Candidate { start, found: rough.align(&from, ROUGHLY) }).collect()
}

/// Whether two transforms take the head to nearly the same place.
fn is_same(a: &Matrix4, b: &Matrix4, centre: [f64; 3]) -> bool {
    rms_deviation(a, b, apply(b, centre), HEAD_RADIUS_MM) < SAME_MM
}

/// The candidates worth following, best first, without those near a better one.
fn distinct(mut candidates: Vec<Candidate>, centre: [f64; 3]) -> Vec<Candidate> {
    candidates.sort_by(|a, b| b.merit().total_cmp(&a.merit()));
    let mut kept: Vec<Candidate> = Vec::new();
    for c in candidates {
        let worthy = kept.first().is_none_or(|best| c.merit() >= WORTHY * best.merit());
        if worthy && !kept.iter().any(|k| is_same(&k.found.transform, &c.found.transform, centre)) {
            kept.push(c);
        }
    }
    kept
}

#[cfg(test)]
mod tests;
