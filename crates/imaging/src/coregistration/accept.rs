//! Whether an answer is right, from what is known without the truth.
//!
//! How far the answer moved tells nothing: after signal loss a right one moves by centimetres, and most wrong ones move
//! little. What tells is how deep the cost lies at the answer, against places a finger's breadth away, and how much of the
//! head it was judged by. The limits kept 67 to 71 of 74 right and none of 160 wrong answers of three heads, whole and in part.

use std::fmt;

use super::bbr::Border;
use super::boundary::BorderPoint;
use super::descent::Limits;
use crate::rigid::{HEAD_RADIUS_MM, Matrix4, apply, compose, from_parameters, rms_deviation};

/// An answer needs more of the border in view than this, 0 to 1,
const LEAST_SHARE: f64 = 0.12;
/// and a cost below this, or so deep.
const LARGEST_COST: f64 = 0.85;
const LEAST_DEPTH: f64 = 0.15;
/// How far the neighbours are that make the depth: mm along each axis, and radians about it.
const NEIGHBOUR: [f64; 2] = [6.0, 0.104_719_755];
/// A neighbour that has too little in view has the cost of no contrast.
const NO_CONTRAST: f64 = 1.0;
/// Cautions: less in view, a higher cost, halves further apart (mm).
const LITTLE_SHARE: f64 = 0.25;
const HIGH_COST: f64 = 0.75;
const FAR_APART_MM: f64 = 3.0;
/// How far each half is followed.
const NEARLY: Limits = Limits { steps: 30, tolerance_mm: 0.02 };

/// Whether the answer was taken, and if not why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was.
    Accepted,
    /// Too little of the border of white matter is inside the bold volume.
    TooLittleInView,
    /// The bold volume hardly shows the border where the answer puts it.
    NoContrast,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => "the border of white matter shows in the bold volume",
            Self::TooLittleInView => {
                "too little of the brain is inside the bold volume to judge the answer: the start was kept, check the pictures"
            }
            Self::NoContrast => {
                "the bold volume hardly shows the border of white matter: the start was kept, \
                 check that both scans are of one head, and the pictures"
            }
        })
    }
}

/// What to look at even though the answer was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caution {
    /// Less than a quarter of the border is in view.
    PartInView,
    /// The contrast along the border is weak.
    WeakContrast,
    /// The back and the front of the head want to be more than 3 mm apart: distortion that is not corrected.
    HalvesDisagree,
}

impl Caution {
    /// Its short name.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::PartInView => "part_in_view",
            Self::WeakContrast => "weak_contrast",
            Self::HalvesDisagree => "halves_disagree",
        }
    }
}

impl fmt::Display for Caution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PartInView => "only part of the brain is inside the bold volume: check the alignment in the pictures",
            Self::WeakContrast => {
                "grey and white matter differ little in the bold volume: check the alignment in the pictures"
            }
            Self::HalvesDisagree => {
                "the back and the front of the brain fit at different places: the bold volume is distorted, \
                 correct it with a field map if there is one"
            }
        })
    }
}

/// Judges an answer by the part of the border in view, the cost and its depth.
pub(super) fn verdict(share: f64, cost: f64, depth: f64) -> Verdict {
    if share <= LEAST_SHARE {
        Verdict::TooLittleInView
    } else if cost < LARGEST_COST || depth > LEAST_DEPTH {
        Verdict::Accepted
    } else {
        Verdict::NoContrast
    }
}

/// What to look at.
pub(super) fn cautions(share: f64, cost: f64, halves_mm: Option<f64>) -> Vec<Caution> {
    let all = [
        (share < LITTLE_SHARE, Caution::PartInView),
        (cost > HIGH_COST, Caution::WeakContrast),
        (halves_mm.is_some_and(|mm| mm > FAR_APART_MM), Caution::HalvesDisagree),
    ];
    all.into_iter().filter(|(applies, _)| *applies).map(|(_, caution)| caution).collect()
}

/// How much lower the cost is at `transform` than, on average, at twelve places around it.
pub(super) fn depth(border: &Border<'_>, transform: &Matrix4) -> f64 {
    let centre = apply(transform, border.centre);
    let around = (0..12).map(|n| {
        let (axis, sign) = (n / 2, if n % 2 == 0 { 1.0 } else { -1.0 });
        let mut step = [0.0; 6];
        step[axis] = sign * NEIGHBOUR[axis / 3];
        border.at(&compose(&from_parameters(&step, centre), transform)).cost
    });
    let mean = around.map(|cost| if cost.is_finite() { cost } else { NO_CONTRAST }).sum::<f64>() / 12.0;
    mean - border.at(transform).cost
}

/// How far apart (mm, root mean square over a head) the back half and the front half of the border want to be; `None`
/// where one of them has too little in view.
pub(super) fn halves_mm(border: &Border<'_>, transform: &Matrix4) -> Option<f64> {
    let middle = border.points.iter().map(|p| p.at[1]).sum::<f64>() / border.points.len().max(1) as f64;
    let (back, front): (Vec<BorderPoint>, Vec<BorderPoint>) = border.points.iter().partition(|p| p.at[1] < middle);
    let [back, front] = [back, front].map(|points| Border { points: &points, ..*border }.align(transform, NEARLY));
    let seen = back.last.cost.is_finite() && front.last.cost.is_finite();
    let centre = apply(transform, border.centre);
    seen.then(|| rms_deviation(&back.transform, &front.transform, centre, HEAD_RADIUS_MM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_by_view_cost_and_depth() {
        assert_eq!(verdict(0.9, 0.5, 0.3), Verdict::Accepted);
        assert_eq!(verdict(0.9, 0.95, 0.2), Verdict::Accepted);
        assert_eq!(verdict(0.9, 0.84, 0.0), Verdict::Accepted);
        assert_eq!(verdict(0.9, 0.95, 0.1), Verdict::NoContrast);
        assert_eq!(verdict(0.12, 0.5, 0.3), Verdict::TooLittleInView);
        assert!(cautions(0.9, 0.5, Some(2.0)).is_empty());
        let all = vec![Caution::PartInView, Caution::WeakContrast, Caution::HalvesDisagree];
        assert_eq!(cautions(0.2, 0.8, Some(3.1)), all);
    }
}
