//! Failures and delays asked for, so that dashboards, alerts and error handling can be tried. Reproducible by seed.

use super::event::StageName;

/// What to break, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// Probability that a scan fails, 0 to 1.
    pub fail_rate: f64,
    /// A phase (load, process or save) that is made to take longer, by this many seconds.
    pub slow: Option<(StageName, f64)>,
    /// Seed of the choice.
    pub seed: u64,
}
