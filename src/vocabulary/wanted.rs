//! What a run is asked to leave besides what it always leaves.

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Maps of the tissues of T1w images.
    pub tissues: bool,
}
