//! Quality: measures how good the scan is, on the image as it was corrected.

use super::intensity::ScaledVolume;
use super::native::ScaledSeries;
use super::tissues::Tissues;
use crate::derivatives::measured::{Measure, Quality};
use crate::step::Found;
use crate::telemetry::names;
use imaging::brain::Brain;
use imaging::confounds::Confounds;
use imaging::quality::Verdict;
use imaging::quality_bold::{bold_quality, bold_verdict};
use imaging::quality_t1w::{t1w_quality, t1w_verdict};

/// Measures a T1w image; without tissues there are fewer measures, and no high score.
pub fn t1w(scaled: &ScaledVolume, brain: &Brain, tissues: Option<&Tissues>, found: &mut Found) {
    let labels = tissues.map(|t| t.found.labels.view());
    let quality = t1w_quality(scaled.image.view(), brain.mask.view(), labels, scaled.header.grid().voxel_mm);
    told(quality.named(), &t1w_verdict(&quality), (tissues.is_none(), GHOSTS), found);
}

/// Measures a bold run.
pub fn bold(scaled: &ScaledSeries, brain: &Brain, confounds: &Confounds, found: &mut Found) {
    let quality = bold_quality(scaled.series.view(), brain.mask.view(), confounds, scaled.fit.motion.non_steady);
    told(quality.named(), &bold_verdict(&quality), (false, MOTION), found);
}

/// The highest score of a scan whose brain mask or whose map to a template is in doubt, or whose tissues cannot be told apart: it
/// is no plain success.
const DOUBTFUL_SCORE: f64 = 50.0;

/// What is noted where motion was detected: a T1w image shows only its traces.
const GHOSTS: &str = "ghosts and a bright background outside the head: the participant may have moved during the scan";
const MOTION: &str = "the participant moved more than most analyses tolerate";

fn told(
    measures: Vec<(&'static str, Option<f64>)>,
    verdict: &Verdict,
    (doubtful, motion): (bool, &str),
    found: &mut Found,
) {
    let measures = measures.into_iter().filter_map(|(name, value)| Some(Measure { name, value: value? })).collect();
    let doubtful = doubtful
        || found.known.brain.as_ref().is_some_and(|brain| !brain.doubts.is_empty())
        || found.known.coregistration.as_ref().is_some_and(|there| !there.accepted)
        || found.known.normalization.iter().any(|map| !map.doubts.is_empty());
    let score = verdict.quality_score.map(|score| if doubtful { score.min(DOUBTFUL_SCORE) } else { score });
    let quality = Quality { measures, score, motion_detected: verdict.motion_detected };
    if let Some(score) = quality.score {
        found.set_phase("processing.quality_score", score);
    }
    found.set_phase("processing.motion_detected", quality.motion_detected);
    found.phase_event(names::QUALITY_CHECK_COMPLETED);
    if quality.motion_detected {
        found.note(motion);
    }
    found.known.quality = Some(quality);
}
