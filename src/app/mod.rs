//! The application: one request, from the resolved command line to the exit code.

mod budget;
mod bundle;
mod demo;
mod explain;
mod extract;
mod last_words;
mod list;
mod preprocess;
mod report;
mod shown;
mod slurm;
mod telemetry;
mod telemetry_view;
mod verify;

pub use last_words::let_readers_finish;

use crate::cli::exit::ExitStatus;
use crate::cli::{Format, Request, RunConfig, ScoreConfig, descriptor, shell};
use crate::derivatives::DerivativeError;
use crate::error::Coded;
use crate::printable::line;
use crate::score::score;
use crate::step::cancel::outlive_file_limits;
use crate::telemetry::config::LogFormat;
use crate::terminal::{self, say};
use phantom::{SynthConfig, write_dataset};
use std::io::{IsTerminal, Write};
use std::path::Path;

/// Does what was asked.
#[must_use]
pub fn run(request: Request) -> ExitStatus {
    outlive_file_limits();
    let format = match &request {
        Request::Run(config) => Some(config.telemetry.log_format),
        Request::Demo(config) => Some(config.telemetry.log_format),
        _ => None,
    };
    if format == Some(LogFormat::Json) {
        crate::telemetry::only_json_lines();
    }
    match request {
        Request::Run(config) => preprocess(&config),
        Request::Slurm(config) => slurm::run(&config).unwrap_or_else(|e| refuse(&e)),
        Request::Synth(config) => synth(&config),
        Request::Demo(config) => demo::run(&config),
        Request::Score(config) => scored(&config),
        Request::Extract(config) => extract::run(&config).unwrap_or_else(|e| refuse(&e)),
        Request::Verify(config) => verify::run(&config).unwrap_or_else(|e| refuse(&e)),
        Request::Report(config) => report::run(&config).unwrap_or_else(|e| refuse(&e)),
        Request::Descriptor => {
            say(&format!("{:#}\n", descriptor::dataset()));
            ExitStatus::Success
        }
        Request::Bundle(dir) => bundle::run(&dir).unwrap_or_else(|e| refuse(&e)),
        Request::Telemetry(request) => telemetry::run(&request),
        Request::List(config) => list::run(&config).unwrap_or_else(|e| refuse(&e)),
        Request::Explain(topic) => {
            say(&explain::text(topic));
            ExitStatus::Success
        }
        Request::Completions(shell) => {
            say(&shell::completions(shell));
            ExitStatus::Success
        }
        Request::Manual(dir) => manual(&dir),
    }
}

/// The status in the end. What standard output did not take makes a failure of a success: a list that is cut short would be taken
/// for a whole one.
#[must_use]
pub fn concluded(status: ExitStatus) -> ExitStatus {
    let Some(why) = terminal::unsaid() else { return status };
    terminal::print(&format!(
        "error: standard output cannot be written: {why}; make room where it goes, then ask again\n"
    ));
    if status == ExitStatus::Success { ExitStatus::InputOutput } else { status }
}

fn preprocess(config: &RunConfig) -> ExitStatus {
    preprocess::run(config).unwrap_or_else(|e| refuse(&e))
}

fn synth(config: &SynthConfig) -> ExitStatus {
    let progress = |done: usize, total: usize| {
        if std::io::stderr().is_terminal() {
            let _ = write!(
                std::io::stderr(),
                "\rsynthetic scans: {done} of {total}{}",
                if done == total { "\n" } else { "" }
            );
        }
    };
    match write_dataset(config, &progress) {
        Ok(_) => {
            say(&format!("synthetic BIDS dataset in {}\n", config.dir.display()));
            ExitStatus::Success
        }
        Err(e) => refuse(&e),
    }
}

/// Scores derivatives; a scan that lacks something is a failed one.
fn scored(config: &ScoreConfig) -> ExitStatus {
    match score(&config.derivatives, config.truth.as_deref()) {
        Err(e) => refuse(&e),
        Ok(scores) => {
            say(&match config.format {
                Format::Json => format!("{:#}\n", scores.json()),
                Format::Text => scores.text(),
            });
            if scores.complete() { ExitStatus::Success } else { ExitStatus::ScanFailed }
        }
    }
}

fn manual(dir: &Path) -> ExitStatus {
    match shell::write_manual(dir) {
        Ok(pages) => {
            say(&format!("{pages} pages in {}\n", dir.display()));
            ExitStatus::Success
        }
        Err(e) => refuse(&DerivativeError::Write { path: dir.to_owned(), source: e.into() }),
    }
}

/// Says why a request was refused: what is wrong, what to do, and the code to look up.
fn refuse(error: &dyn Coded) -> ExitStatus {
    let code = error.code();
    terminal::print(&format!("error: {}\n  what to do: {} [{code}]\n", line(&error.to_string()), code.advice()));
    ExitStatus::from(code)
}
