//! What a run is asked to leave besides what it always leaves.

/// What was asked for: nothing can be, so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {}
