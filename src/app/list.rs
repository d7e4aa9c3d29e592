//! The verb `list`: what of a dataset would be processed.

use super::preprocess::RunError;
use super::say;
use crate::cli::exit::ExitStatus;
use crate::cli::{Format, ListConfig};
use crate::plan::{PlanOptions, list_json, list_text, survey};
use crate::run::pool;

/// Prints the list. A dataset without scans is a list without lines, and its status says so.
///
/// # Errors
/// [`RunError`] when the folder is no dataset or a label does not exist.
pub fn run(config: &ListConfig) -> Result<ExitStatus, RunError> {
    let options = PlanOptions { skip_validation: config.skip_validation, ..PlanOptions::default() };
    let found = pool::within(config.threads, || survey(&config.dir, &config.selection, &options))??;
    say(&match config.format {
        Format::Json => format!("{:#}\n", list_json(&found)),
        Format::Text => list_text(&found),
    });
    Ok(if found.plan.units.is_empty() { ExitStatus::NothingMatches } else { ExitStatus::Success })
}
