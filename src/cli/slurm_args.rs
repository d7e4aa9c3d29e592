//! The verb `slurm` as it is typed, and how it becomes a request: a run on a dataset, and how to spread it.

use super::args::{RunArgs, SelectArgs};
use clap::Args;
use std::path::PathBuf;

const SPREAD: &str = "Jobs";

#[derive(Debug, Args)]
pub(super) struct SlurmArgs {
    /// A BIDS dataset, in a folder that all nodes see
    #[arg(value_name = "BIDS_DIR")]
    pub bids_dir: PathBuf,
    /// Folder for the derivatives, in a place that all nodes see
    #[arg(value_name = "OUTPUT_DIR")]
    pub output_dir: PathBuf,
    /// Submit the jobs; without it only their scripts are written
    #[arg(long, help_heading = SPREAD)]
    pub submit: bool,
    /// Participant-sessions of each task [default: 1, more where that makes over 1000 tasks]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = SPREAD)]
    pub batch: Option<u32>,
    /// Tasks that may run at the same time [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = SPREAD)]
    pub max_concurrent: Option<u32>,
    /// Partition of the jobs
    #[arg(long, value_name = "NAME", value_parser = word, help_heading = SPREAD)]
    pub partition: Option<String>,
    /// Account of the jobs
    #[arg(long, value_name = "NAME", value_parser = word, help_heading = SPREAD)]
    pub account: Option<String>,
    /// Time limit of a task, such as 30 (minutes) or 02:00:00 [default: several times the estimate]
    #[arg(long, value_name = "TIME", value_parser = word, help_heading = SPREAD)]
    pub time: Option<String>,
    /// One more option for sbatch, such as --sbatch-option=--qos=long; may be repeated
    #[arg(long, value_name = "OPTION", value_parser = sbatch_option, allow_hyphen_values = true, help_heading = SPREAD)]
    pub sbatch_option: Vec<String>,
    /// Apptainer image to run the tasks in
    #[arg(long, value_name = "FILE", help_heading = SPREAD)]
    pub image: Option<PathBuf>,
    #[command(flatten)]
    pub select: SelectArgs,
    #[command(flatten)]
    pub run: RunArgs,
}

/// A word of a script's `#SBATCH` line.
fn word(text: &str) -> Result<String, String> {
    let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '#'));
    if plain { Ok(text.to_owned()) } else { Err("write one word, without quotes".to_owned()) }
}

/// An option for a line of its own; a line break would begin a command.
fn sbatch_option(text: &str) -> Result<String, String> {
    let plain = text.starts_with('-') && !text.chars().any(char::is_control);
    if plain { Ok(text.to_owned()) } else { Err("write an option of sbatch, such as --qos=long".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_typed_can_become_a_command_of_the_script() {
        for bad in ["--qos=x\nrm -rf /", "qos=x", ""] {
            assert!(sbatch_option(bad).is_err(), "{bad:?}");
        }
        for bad in ["a b", "", "a\nb", "\"x"] {
            assert!(word(bad).is_err(), "{bad:?}");
        }
        assert_eq!(sbatch_option("--comment=two words").as_deref(), Ok("--comment=two words"));
        assert_eq!(word("01:30:00").as_deref(), Ok("01:30:00"));
    }
}
