//! What the shell is given: completions, and the manual.

use super::command::command;
use clap_complete::Shell;
use std::io;
use std::path::Path;

/// The script that completes this program's arguments in a shell.
#[must_use]
pub fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), env!("CARGO_PKG_NAME"), &mut script);
    // For bash, clap_complete 4.6 writes a name with a dash in two ways, so that nothing behind a verb is completed
    // (clap-rs/clap#6421).
    String::from_utf8_lossy(&script).replace("neuro__subcmd__preprocess", "neuro__preprocess")
}

/// Writes the manual, a page for the program and one for each verb, into a folder. Returns the number of pages.
///
/// # Errors
/// When the folder cannot be made or a page not be written.
pub fn write_manual(dir: &Path) -> io::Result<usize> {
    std::fs::create_dir_all(dir)?;
    let command = command().disable_help_subcommand(true);
    let pages = pages(&command);
    clap_mangen::generate_to(command, dir)?;
    Ok(pages)
}

/// The pages of a command: its own, and those of the verbs below it that are shown.
fn pages(command: &clap::Command) -> usize {
    1 + command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(pages).sum::<usize>()
}
