//! What makes a brain mask implausible: each doubt has a type, and a sentence for people.
//!
//! A doubt is no refusal: there is a mask, but a result that rests on it should not count as a plain success.

use std::fmt;

use ndarray::{Array3, ArrayView2, Axis};

use crate::brain_belief::{Belief, DOUBTFUL, EPI_TRUSTED, Looks, TRUSTED, sides};
use crate::brain_prior::Prior;
use crate::filter::quantiles;
use crate::registration::head::HeadFit;
use crate::registration::orientation::Orientation;

/// Volumes in ml outside which a brain with its outer CSF is unusual: between those of a child of two and of a large man.
const USUAL_ML: [f64; 2] = [850.0, 2100.0];
/// Halves that differ by more of their sum than this, in percent, are unusual.
const SYMMETRIC_PERCENT: f64 = 6.0;
/// More of the brain than this, in ml, outside the field of view is said.
const OUTSIDE_ML: f64 = 5.0;
/// An EPI often leaves some of the brain out; more than this, in ml, is said.
const OUTSIDE_EPI_ML: f64 = 100.0;
/// Area in cm² over which a mask may lie on a side of the field of view without a word.
const ON_SIDE_CM2: f64 = 4.0;
/// The share in percent of the brain that may look unlike the template.
const UNLIKE_PERCENT: f64 = 25.0;
/// The level just outside the mask against that just inside, in percent, from which there is hardly an edge.
const FAINT_EDGE_PERCENT: f64 = 90.0;
/// Shells in mm from the carried surface, `[inside, outside]`, whose levels are compared.
const SHELLS_MM: [[f32; 2]; 2] = [[-6.0, -2.0], [2.0, 6.0]];

/// The six sides of the field of view, by the header's axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Low end of x.
    Left,
    /// High end of x.
    Right,
    /// Low end of y.
    Back,
    /// High end of y.
    Front,
    /// Low end of z.
    Bottom,
    /// High end of z.
    Top,
}

impl Side {
    /// One word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
            Self::Back => "back",
            Self::Front => "front",
            Self::Bottom => "bottom",
            Self::Top => "top",
        }
    }
}

/// Something about a brain mask that is not as it should be.
#[derive(Clone, Debug, PartialEq)]
pub enum Doubt {
    /// The scan resembles the template less than T1w heads do.
    Likeness {
        /// Mean local correlation.
        local: f64,
        /// What contrast it may be.
        looks: Looks,
    },
    /// The scan resembles an EPI of a head less than EPIs do.
    NotEpi {
        /// Mean local correlation with a template of that contrast.
        local: f64,
    },
    /// The head does not lie as the header says.
    Orientation {
        /// How it lies.
        found: Orientation,
        /// Score of the fit as the header says, and as found.
        scores: [f64; 2],
    },
    /// The volume is unusual.
    Volume {
        /// Volume of the mask in ml.
        ml: f64,
    },
    /// The halves differ.
    Asymmetry {
        /// Difference of the halves in percent of their sum.
        percent: f64,
    },
    /// Brain lies outside the field of view.
    CutOff {
        /// How much of the carried brain lies outside, in ml.
        ml: f64,
        /// The sides the mask lies on.
        sides: Vec<Side>,
    },
    /// Much of the brain looks unlike the template's: a large lesion, an artefact, or a fit that failed in places.
    Unlike {
        /// How much, in percent of the brain.
        percent: f64,
    },
    /// The image hardly changes where the carried brain ends.
    FaintEdge {
        /// Level outside in percent of the level inside.
        percent: f64,
    },
    /// The brain found by its surface and the carried one disagree.
    Disagreement {
        /// How much of the surface's mask lies outside the carried brain, and how much of that it lacks, in ml.
        extra_ml: f64,
        /// See `extra_ml`.
        missing_ml: f64,
    },
    /// No template could be compared, so there is nothing that says how far to trust the mask.
    NotCompared,
}

impl Doubt {
    /// A stable short name, fit for a label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Likeness { .. } => "likeness",
            Self::NotEpi { .. } => "not_epi",
            Self::Orientation { .. } => "orientation",
            Self::Volume { .. } => "volume",
            Self::Asymmetry { .. } => "asymmetry",
            Self::CutOff { .. } => "cut_off",
            Self::Unlike { .. } => "unlike",
            Self::FaintEdge { .. } => "faint_edge",
            Self::Disagreement { .. } => "disagreement",
            Self::NotCompared => "not_compared",
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Likeness { local, looks } => write!(
                f,
                "the brain resembles the template's by {local:.2}, T1w heads by {TRUSTED} or more (none by less than \
                 {DOUBTFUL}); the image {}; look at the mask",
                looks.sentence()
            ),
            Self::NotEpi { local } => write!(
                f,
                "the brain resembles that of an EPI by {local:.2}, real runs by {EPI_TRUSTED} or more; it may be another \
                 contrast or a test object, look at the mask"
            ),
            Self::Orientation { found, scores: [labelled, best] } => write!(
                f,
                "the header's right, front and top are {found} in the head (fit {best:.2} so, {labelled:.2} as stated); \
                 the mask is right on the voxels, but correct the header before left and right are used"
            ),
            Self::Volume { ml } => write!(
                f,
                "the mask has {ml:.0} ml, brains of children and adults {} to {} ml; look at the mask and the voxel size",
                USUAL_ML[0], USUAL_ML[1]
            ),
            Self::Asymmetry { percent } => write!(
                f,
                "the mask's halves differ by {percent:.0} % of their sum, which is unusual; look for a lesion or a failed fit"
            ),
            Self::CutOff { ml, sides } => {
                let sides: Vec<_> = sides.iter().map(|s| s.as_str()).collect();
                let sides = if sides.is_empty() { "border".to_owned() } else { sides.join(", ") };
                write!(
                    f,
                    "about {ml:.0} ml of the brain lie outside the field of view ({sides}); volumes of the whole brain \
                     cannot be had from this scan"
                )
            }
            Self::Unlike { percent } => write!(
                f,
                "{percent:.0} % of the brain look unlike the template's; look for a lesion, an artefact or a failed fit"
            ),
            Self::FaintEdge { percent } => write!(
                f,
                "just outside the mask the image is at {percent:.0} % of its level inside, so the edge is a guess; look at \
                 the mask"
            ),
            Self::Disagreement { extra_ml, missing_ml } => write!(
                f,
                "the brain's own edge in the image goes {extra_ml:.0} ml beyond the template's and lacks {missing_ml:.0} ml \
                 of it; look at the mask"
            ),
            Self::NotCompared => f.write_str("the mask could not be compared with a template; look at it"),
        }
    }
}

/// The level just outside the carried brain in percent of that just inside, medians over what was seen; `None` where nothing
/// was.
pub(crate) fn edge_percent(prior: &Prior) -> Option<f64> {
    let level = |[from, to]: [f32; 2]| {
        let near = prior.distance.iter().zip(&prior.seen).zip(&prior.scan);
        let mut values: Vec<f32> =
            near.filter(|((d, s), _)| **s != 0 && **d > from && **d < to).map(|(_, v)| *v).collect();
        quantiles(&mut values, [0.5]).map(|[v]| f64::from(v))
    };
    let [inside, outside] = [level(SHELLS_MM[0])?, level(SHELLS_MM[1])?];
    Some(100.0 * outside / inside.max(1.0))
}

/// How much of the carried brain lies outside the field of view, in ml of the scan; `determinant` is that of the map.
pub(crate) fn outside_ml(prior: &Prior, determinant: f64) -> f64 {
    let outside = prior.distance.iter().zip(&prior.seen).filter(|(d, s)| **d < 0.0 && **s == 0).count();
    outside as f64 * prior.voxel_mm.powi(3) * determinant.abs() / 1000.0
}

/// The sides of the volume on which a mask lies over more than a little.
pub(crate) fn sides_touched(mask: &Array3<u8>, voxel_mm: [f64; 3]) -> Vec<Side> {
    let all = [[Side::Bottom, Side::Top], [Side::Back, Side::Front], [Side::Left, Side::Right]];
    let mut out = Vec::new();
    for (axis, [low, high]) in all.into_iter().enumerate() {
        let n = mask.shape()[axis];
        let area: f64 = (0..3).filter(|a| *a != axis).map(|a| voxel_mm[a]).product::<f64>() / 100.0;
        let touched = |plane: ArrayView2<u8>| plane.iter().filter(|m| **m != 0).count() as f64 * area > ON_SIDE_CM2;
        if n > 0 {
            out.extend(touched(mask.index_axis(Axis(axis), 0)).then_some(low));
            out.extend(touched(mask.index_axis(Axis(axis), n - 1)).then_some(high));
        }
    }
    out
}

/// What is known of a carried brain when doubts are raised.
pub(crate) struct Findings<'a> {
    pub prior: &'a Prior,
    pub head: &'a HeadFit,
    pub belief: &'a Belief,
    pub volume_ml: f64,
    pub outside_ml: f64,
    pub sides: Vec<Side>,
    pub edge_percent: Option<f64>,
}

/// The doubts about a carried brain.
pub(crate) fn doubts(f: Findings<'_>) -> Vec<Doubt> {
    let mut out = Vec::new();
    let Belief { local, unlike, .. } = *f.belief;
    if local < TRUSTED {
        out.push(Doubt::Likeness { local, looks: f.belief.looks() });
    }
    if f.head.orientation != Orientation::AS_LABELLED {
        let scores = [f.head.score_as_labelled, f.head.score];
        out.push(Doubt::Orientation { found: f.head.orientation, scores });
    }
    if !(USUAL_ML[0]..=USUAL_ML[1]).contains(&(f.volume_ml + f.outside_ml)) {
        out.push(Doubt::Volume { ml: f.volume_ml });
    }
    let [left, right] = sides(f.prior);
    let percent = 100.0 * (left - right).abs() / (left + right).max(1.0);
    if percent > SYMMETRIC_PERCENT {
        out.push(Doubt::Asymmetry { percent });
    }
    if f.outside_ml > OUTSIDE_ML {
        out.push(Doubt::CutOff { ml: f.outside_ml, sides: f.sides });
    }
    if 100.0 * unlike > UNLIKE_PERCENT && local >= TRUSTED {
        out.push(Doubt::Unlike { percent: 100.0 * unlike });
    }
    if let Some(percent) = f.edge_percent.filter(|p| *p > FAINT_EDGE_PERCENT) {
        out.push(Doubt::FaintEdge { percent });
    }
    out
}

/// The doubts about the mask of an EPI: `local` is its likeness to a template of that contrast.
pub(crate) fn epi_doubts(
    local: f64,
    head: &HeadFit,
    volume_ml: f64,
    outside_ml: f64,
    sides: Vec<Side>,
    disagreement: Option<Doubt>,
) -> Vec<Doubt> {
    // Where the template does not fit, nothing that follows from its place means anything.
    if local < EPI_TRUSTED {
        return vec![Doubt::NotEpi { local }];
    }
    let mut out = Vec::new();
    if head.orientation != Orientation::AS_LABELLED {
        out.push(Doubt::Orientation { found: head.orientation, scores: [head.score_as_labelled, head.score] });
    }
    if !(USUAL_ML[0]..=USUAL_ML[1]).contains(&(volume_ml + outside_ml)) {
        out.push(Doubt::Volume { ml: volume_ml });
    }
    if outside_ml > OUTSIDE_EPI_ML {
        out.push(Doubt::CutOff { ml: outside_ml, sides });
    }
    out.extend(disagreement);
    out
}
