//! The verbs `telemetry show`, `compare` and `config`: runs shown from their files, and the settings in force.

use super::{refuse, say};
use crate::cli::exit::ExitStatus;
use crate::cli::{CompareConfig, Ended, Format, InForceConfig, ShowConfig};
use crate::error::{Coded, ErrorCode};
use crate::telemetry::delivery::{self, DeliveryError};
use crate::telemetry::env::Environment;
use crate::telemetry::in_force as settings;
use crate::terminal;
use crate::trace_view::{self, Archive, Filter, Status, ViewError};
use serde_json::json;
use std::path::PathBuf;

/// Width of the lines where nobody says how wide the terminal is.
const WIDTH: usize = 80;

/// Shows what the files in `folders` tell.
///
/// # Errors
/// [`ViewError`] when there are no traces or they cannot be read.
pub fn show(folders: &[PathBuf], config: &ShowConfig) -> Result<ExitStatus, ViewError> {
    let mut archive = trace_view::read(folders)?;
    let filter = Filter {
        participants: config.participants.clone(),
        stage: config.stage.map(|stage| stage.as_str().to_owned()),
        status: config.status.map(|ended| match ended {
            Ended::Ok => Status::Ok,
            Ended::Failed => Status::Failed,
        }),
    };
    filter.apply(&mut archive);
    say(&match config.format {
        Format::Text => {
            let width = terminal::columns().unwrap_or(WIDTH);
            trace_view::to_text(&archive, config.limit, width)
        }
        Format::Json => json_text(archive, config.limit),
    });
    Ok(ExitStatus::Success)
}

/// Compares two runs, or folders of runs.
///
/// # Errors
/// When a folder has no telemetry.
pub fn compare(config: &CompareConfig) -> Result<ExitStatus, DeliveryError> {
    let mut sides = Vec::new();
    for (dir, run) in &config.runs {
        let mut archive = match trace_view::read(&delivery::folders(dir)?) {
            Ok(archive) => archive,
            Err(e) => return Ok(refuse(&e)),
        };
        if let Some(wanted) = run {
            let there: Vec<String> = archive.runs.iter().map(|run| run.id.clone()).collect();
            archive.runs.retain(|run| run.id.starts_with(wanted.as_str()));
            if archive.runs.is_empty() {
                return Ok(refuse(&NoSuchRun { wanted: wanted.clone(), there: there.join(", ") }));
            }
        }
        sides.push(archive);
    }
    let [first, second] = &sides[..] else { return Ok(ExitStatus::Usage) };
    let compared = trace_view::compare([first, second], f64::from(config.threshold) / 100.0);
    say(&match config.format {
        Format::Text => compared.text(),
        Format::Json => format!("{:#}\n", json!(compared)),
    });
    Ok(ExitStatus::Success)
}

/// A run that was named and is not there.
#[derive(Debug, thiserror::Error)]
#[error("no run there begins with {wanted:?}; there are: {there}")]
struct NoSuchRun {
    wanted: String,
    there: String,
}

impl Coded for NoSuchRun {
    fn code(&self) -> ErrorCode {
        ErrorCode::InputMissing
    }
}

/// The archive with its stages; of each run `limit` subjects, and how many there are.
fn json_text(mut archive: Archive, limit: usize) -> String {
    let stages = trace_view::stage_rows(&archive);
    let counts: Vec<usize> = archive.runs.iter().map(|run| run.subjects.len()).collect();
    for run in &mut archive.runs {
        run.subjects = trace_view::chosen(run, limit).into_iter().cloned().collect();
    }
    let mut value = json!(archive);
    value["stages"] = json!(stages);
    for (i, count) in counts.into_iter().enumerate() {
        value["runs"][i]["subjects_in_all"] = json!(count);
    }
    format!("{value:#}\n")
}

/// Prints the settings in force.
pub fn in_force(config: &InForceConfig) -> ExitStatus {
    let stated = config.stated.iter().map(|s| (s.key, s.value.clone(), s.source.clone()));
    let found = settings::gather(&config.telemetry, stated, &Environment::of_process());
    let warnings: Vec<&String> = config.notes.iter().chain(&found.warnings).collect();
    say(&match config.format {
        Format::Json => format!("{:#}\n", json!({ "settings": found.settings, "warnings": warnings })),
        Format::Text => {
            let remarks: String = warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
            found.text() + &remarks
        }
    });
    ExitStatus::Success
}
