//! Which reports are written when. A run over a whole dataset makes all of it; a task of many makes the pages of its own
//! participants and leaves the rest to the group level, because an index remade by each of 10,000 tasks would be read and
//! written 10,000 times.

use super::PageError;
use super::gather::{Gathered, page_of};
use super::index::index_page;
use super::subject::{SubjectFiles, subject_page};
use crate::derivatives::atomic::write_text;
use crate::derivatives::claim::Claim;
use crate::derivatives::summary::{SessionSummary, read_all};
use crate::tables::group::{GroupTable, write_tables};
use rayon::ThreadPoolBuilder;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The page to open first; `None` when there was nothing to report.
    pub first: Option<PathBuf>,
    /// Pages of participants.
    pub pages: usize,
    /// The tables of the group level.
    pub tables: Vec<GroupTable>,
    /// Whether another run may have written tables and index at the same time, from less than there is now.
    pub unclaimed: bool,
}

/// Remakes tables, `index.html` and pages of participants from what is in `output`, with `threads` threads; of the pages
/// only those of `participants`, by their ids with `sub-`, where they are named, and those that are not there or older than
/// their results ([`has_page`]). Without a summary nothing is written.
///
/// # Errors
/// The first [`PageError`]; whatever could be written is there.
pub fn write_dataset(
    output: &Path,
    participants: Option<&BTreeSet<String>>,
    threads: usize,
) -> Result<Written, PageError> {
    // From reading to writing, so that of two runs the last to write knows all.
    let claim = Claim::on_reports(output);
    let gathered = Gathered::read(output)?;
    if gathered.units.is_empty() {
        return Ok(Written::default());
    }
    let index = output.join("index.html");
    let tables = write_tables(output, &gathered.units);
    let pages = write_subjects(&gathered, participants, threads);
    let first = index_page(&gathered).and_then(|page| Ok(write_text(index.clone(), &page)?));
    // Only now, so that one file that cannot be written costs none of the others.
    Ok(Written { tables: tables?, pages: pages?, first: first.map(|_| Some(index))?, unclaimed: claim.is_none() })
}

/// Makes the pages of `participants` only; `process` tells which files of telemetry this process wrote.
///
/// # Errors
/// As [`write_dataset`].
pub fn write_participants(
    output: &Path,
    participants: &BTreeSet<String>,
    process: Option<&str>,
    threads: usize,
) -> Result<Written, PageError> {
    let gathered = Gathered::read_some(output, participants, process)?;
    let pages = write_subjects(&gathered, None, threads)?;
    let first = gathered.units.first().map(|unit| output.join(page_of(&unit.participant_id)));
    Ok(Written { first, pages, ..Written::default() })
}

/// Writes the tables of the group level and no page.
///
/// # Errors
/// As [`write_dataset`].
pub fn write_tables_only(output: &Path) -> Result<Written, PageError> {
    let claim = Claim::on_reports(output);
    let tables = write_tables(output, &read_all(output)?)?;
    Ok(Written { tables, unclaimed: claim.is_none(), ..Written::default() })
}

/// Whether a participant, by its id with `sub-`, has a page that was made after `summary`, the file with the results of one
/// of its participant-sessions relative to `output`: a run that was stopped makes none.
#[must_use]
pub fn has_page(output: &Path, participant: &str, summary: &Path) -> bool {
    let made = |file: &Path| std::fs::metadata(output.join(file)).and_then(|meta| meta.modified()).ok();
    made(page_of(participant).as_ref()).is_some_and(|page| made(summary).is_some_and(|summary| page >= summary))
}

fn write_subjects(gathered: &Gathered, ids: Option<&BTreeSet<String>>, threads: usize) -> Result<usize, PageError> {
    let path = |participant: &str| gathered.output.join(page_of(participant));
    let outdated = |unit: &SessionSummary| !has_page(&gathered.output, &unit.participant_id, &unit.file());
    let wanted = |units: &&[SessionSummary]| {
        ids.is_none_or(|ids| ids.contains(&units[0].participant_id)) || units.iter().any(outdated)
    };
    let chosen: Vec<&[SessionSummary]> = gathered.participants().filter(wanted).collect();
    let traces = gathered.subjects();
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|e| PageError::Threads(e.to_string()))?;
    let write = |units: &&[SessionSummary]| -> Result<(), PageError> {
        // Scans that were kept are in the traces of earlier runs.
        let ids: BTreeSet<&str> =
            units.iter().flat_map(|unit| &unit.scans).filter_map(|scan| scan.trace_id.as_deref()).collect();
        let traces: Vec<_> = ids.iter().filter_map(|id| traces.get(id).copied()).collect();
        let files = SubjectFiles { output: &gathered.output, description: &gathered.description, units };
        let page = subject_page(&files, &gathered.places, &traces)?;
        write_text(path(&units[0].participant_id), &page)?;
        Ok(())
    };
    // Each page is tried, also after one could not be written.
    let results: Vec<Result<(), PageError>> = pool.install(|| chosen.par_iter().map(write).collect());
    results.into_iter().collect::<Result<Vec<()>, PageError>>().map(|written| written.len())
}
