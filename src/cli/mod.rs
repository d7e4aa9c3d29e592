//! The command line: raw arguments → one immutable [`Request`], with every check that can be made before work begins.

mod args;
mod command;
mod config_file;
pub mod descriptor;
mod error;
pub mod exit;
mod foreign;
mod help;
mod help_args;
mod invocation;
mod layers;
mod memory;
pub mod options;
mod paths;
mod request;
mod resolve;
mod resolve_run;
mod resolve_slurm;
mod resolve_telemetry;
pub mod row;
pub mod shell;
mod slurm_args;
mod small_file;
mod subcohort;
pub mod table;
mod telemetry_args;
pub mod typed;
pub mod values;

pub use command::command;
pub use error::{CliError, Refusal};
pub use request::*;

use clap::FromArgMatches as _;
use std::ffi::OsString;

/// Turns the arguments (the program's name first) and the environment into a request.
///
/// Nothing is written; only the existence of paths, the configuration file and an invocation are read.
///
/// # Errors
/// Help and version, as text for standard output, and everything that is wrong with the arguments, as text for
/// standard error with the exit status to end with.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Request, CliError> {
    let mut args = with_dashes(args);
    if let Some(file) = invocation::asked_for(&args)? {
        args = invocation::arguments(&file)?;
    }
    let foreign::Translated { args, notes } = foreign::translate(args)?;
    let matches = command().try_get_matches_from(args)?;
    let cli = command::Cli::from_arg_matches(&matches)?;
    let mut request = resolve::resolve(cli, env)?;
    match &mut request {
        Request::Run(run) => run.notes.extend(notes),
        Request::Slurm(slurm) => slurm.run.notes.extend(notes),
        _ => {}
    }
    Ok(request)
}

/// Other BIDS apps write options with underscores (`--participant_label`): both spellings are the same option here.
fn with_dashes(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut options_over = false;
    let each = args.into_iter().map(|arg| {
        options_over |= arg == "--";
        match arg.to_str() {
            Some(text) if !options_over && text.starts_with("--") => {
                let (name, value) = text.split_at(text.find('=').unwrap_or(text.len()));
                OsString::from(name.replace('_', "-") + value)
            }
            _ => arg,
        }
    });
    each.collect()
}
