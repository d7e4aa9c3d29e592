//! How the participants of a synthetic dataset differ in what is not anatomy, and what they are called.

use super::motion::MotionLevel;
use super::random::seed_of;

/// The task of the bold runs, and seconds per volume.
pub(super) const TASK: &str = "rest";
pub(super) const TR_SECONDS: f64 = 2.0;

/// How one participant differs from the next in what is not anatomy.
pub(super) struct Traits {
    /// Which head.
    pub head: u64,
    /// How much they move.
    pub motion: MotionLevel,
    /// Strength of the coil field of their T1w scans.
    pub bias: f32,
    /// Volumes at the start of their bold runs that are not in steady state.
    pub non_steady: usize,
}

impl Traits {
    /// Those of the participant with this label, from the dataset's seed.
    pub(super) fn of(seed: u64, label: &str) -> Self {
        let head = seed_of(seed, &[label]);
        // The seed's own bits, so that heads, motion and fields vary independently.
        let motion = match head >> 8 & 7 {
            0..=1 => MotionLevel::Low,
            2..=5 => MotionLevel::Typical,
            _ => MotionLevel::High,
        };
        let bias = 0.3 + 0.05 * (head >> 16 & 7) as f32;
        let non_steady = if head >> 24 & 3 == 0 { 3 } else { 0 };
        Self { head, motion, bias, non_steady }
    }
}

/// The label of participant or session `number` among `count`: two digits, more if there are more than 99.
pub(super) fn label(number: usize, count: usize) -> String {
    let width = count.to_string().len().max(2);
    format!("{number:0width$}")
}
