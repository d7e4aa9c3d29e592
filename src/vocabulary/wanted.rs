//! What a run is asked to leave besides what it always leaves.

use super::Spaces;
use std::sync::Arc;

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The spaces in which outputs are wanted; shared by all scans of a run.
    pub spaces: Arc<Spaces>,
    /// Whether somebody named them, so that one that cannot be had is a failure; of those that are the default only what can be
    /// had is made, with a note.
    pub asked: bool,
}
