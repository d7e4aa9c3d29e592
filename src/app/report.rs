//! Reports: of what a run has done at its end, and all of them again by the verb `report` and the group level.

use super::say;
use crate::cli::exit::ExitStatus;
use crate::cli::{Input, ReportConfig, RunConfig};
use crate::derivatives::DerivativeError;
use crate::derivatives::summary::session_file;
use crate::error::{Coded, ErrorCode};
use crate::pages::{self, PageError, Written};
use crate::plan::{Plan, SessionPlan};
use crate::telemetry::Telemetry;
use crate::terminal::{Color, print_marked};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The warning when tables and reports could not be locked.
const UNCLAIMED: &str = "tables and reports were written without a lock (another run holds it, or the file system has none); \
     if another run wrote them at the same time, run neuro-preprocess report";

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Nothing was processed there.
    #[error(
        "{} has no results to summarise: run the participant level first, or name the folder that has \
         dataset_description.json and sub-*",
        path.display()
    )]
    Nothing {
        /// The folder.
        path: PathBuf,
    },
    /// The output folder cannot be read.
    #[error("cannot use {} as the output folder: {source}", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: DerivativeError,
    },
    /// A page cannot be made or written.
    #[error(transparent)]
    Page(#[from] PageError),
}

impl Coded for ReportError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Nothing { .. } => ErrorCode::InputMissing,
            Self::Unusable { .. } => ErrorCode::OutputUnusable,
            Self::Page(e) => e.code(),
        }
    }
}

/// The verb `report`.
///
/// # Errors
/// [`ReportError`].
pub fn run(config: &ReportConfig) -> Result<ExitStatus, ReportError> {
    remake(&config.derivatives, config.threads, true)
}

/// Makes the tables again, and with `report` the pages, of everything in `output`, and says so.
///
/// # Errors
/// [`ReportError`].
pub fn remake(output: &Path, threads: usize, report: bool) -> Result<ExitStatus, ReportError> {
    let path = || output.to_owned();
    if !output.exists() {
        return Err(ReportError::Nothing { path: path() });
    }
    crate::derivatives::clear(output);
    let made = if report { pages::write_dataset(output, None, threads) } else { pages::write_tables_only(output) };
    let written = made.map_err(|e| match e {
        PageError::Files(source @ DerivativeError::Access { .. }) => ReportError::Unusable { path: path(), source },
        e => e.into(),
    })?;
    if written.tables.is_empty() {
        return Err(ReportError::Nothing { path: path() });
    }
    if written.unclaimed {
        print_marked(&format!("warning: {UNCLAIMED}\n"), "warning:", Color::Yellow);
    }
    for table in &written.tables {
        say(&format!("{}: {} scans, {} failed\n", table.path.display(), table.scans, table.failed));
    }
    if let Some(place) = place(&written) {
        say(&format!("report: {place}\n"));
    }
    Ok(ExitStatus::Success)
}

/// Writes the reports of a run that is over, and returns where they are, or why they are not. What cannot be written is a
/// warning: the scans are done.
#[must_use]
pub fn after_run(config: &RunConfig, plan: &Plan, telemetry: &Telemetry) -> Option<String> {
    if config.options.no_report {
        return None;
    }
    let has_page = |unit: &SessionPlan| {
        let summary = session_file(&unit.id, unit.marker_session.as_deref(), "summary");
        pages::has_page(&plan.output, &participant_id(unit), &summary)
    };
    // A run over the whole dataset checks every page anyway.
    let whole = is_whole(config);
    let wanted = |unit: &&SessionPlan| !unit.done() || !whole && !has_page(unit);
    let participants: BTreeSet<String> = plan.units.iter().filter(wanted).map(participant_id).collect();
    let written = if whole {
        pages::write_dataset(&plan.output, Some(&participants), config.threads)
    } else {
        pages::write_participants(&plan.output, &participants, telemetry.process(), config.threads)
    };
    match written {
        Ok(written) => {
            if written.unclaimed {
                tracing::warn!("{UNCLAIMED}");
            }
            place(&written)
        }
        Err(e) => {
            let code = e.code();
            tracing::warn!(error_code = code.as_str(), "no report: {e}");
            Some(format!("not written: {e} [{code}]"))
        }
    }
}

fn participant_id(unit: &SessionPlan) -> String {
    format!("sub-{}", unit.id.participant)
}

/// Whether the run covers the whole dataset.
fn is_whole(config: &RunConfig) -> bool {
    let selection = &config.selection;
    !matches!(config.input, Input::File { .. })
        && selection.participants.is_empty()
        && selection.sessions.is_empty()
        && selection.tasks.is_empty()
        && selection.subcohort.is_empty()
        && selection.filter_file.is_none()
}

fn place(written: &Written) -> Option<String> {
    let first = written.first.as_ref()?;
    let more = match written.pages {
        pages if first.ends_with("index.html") || pages < 2 => String::new(),
        pages => format!(" and {} more", pages - 1),
    };
    Some(format!("{}{more}", first.display()))
}
