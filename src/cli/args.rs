//! The groups of arguments as they are typed; `command` puts them together. Nothing is decided here: `resolve` turns them
//! into a request. The options of runs are in the table of `options`.
//!
//! Help texts, value names, limits and choices live in these definitions only, so that the manual is made from them.

use super::request::{Format, Level, Scenario};
use super::row::form;
use super::table::WHAT;
use super::typed::Typed;
use super::values::{self, MODALITIES, MOST_THREADS, number_within};

use crate::bids::Modality;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use std::ffi::OsString;
use std::path::PathBuf;

/// The value name of the analysis level; a refusal of this argument has its own exit status.
pub(super) const LEVEL: &str = "LEVEL";
const LABEL: &str = "LABEL";
pub(super) const PLAIN: &str = "In place of a verb";

/// What every form that processes scans takes.
pub(super) type RunArgs = Typed<{ form::RUN }>;

#[derive(Debug, Args)]
pub(super) struct OutputArg {
    /// Folder for the derivatives; created when missing
    #[arg(short = 'o', long = "output", visible_alias = "output-dir", value_name = "DIR")]
    pub output: PathBuf,
}

/// The forms without a verb.
#[derive(Debug, Args)]
pub(super) struct DatasetArgs {
    /// A BIDS dataset, or a Nipoppy study (a folder with .nipoppy inside)
    #[arg(value_name = "BIDS_DIR")]
    pub bids_dir: Option<PathBuf>,
    /// Folder for the derivatives; created when missing; not needed for a Nipoppy study
    #[arg(value_name = "OUTPUT_DIR")]
    pub output_dir: Option<PathBuf>,
    /// participant processes scans, group summarises what is there
    #[arg(id = "analysis_level", value_name = LEVEL, value_enum)]
    pub level: Option<Level>,
    // Accepted only for a better error message: clap would report an unknown subcommand.
    #[arg(hide = true)]
    pub extra: Vec<OsString>,
    #[command(flatten)]
    pub select: SelectArgs,
    /// One scan; same as: process FILE -o DIR
    #[arg(long, value_name = "FILE", help_heading = PLAIN)]
    pub input: Option<PathBuf>,
    /// A folder of scans; same as: batch DIR -o DIR
    #[arg(long, value_name = "DIR", help_heading = PLAIN)]
    pub input_dir: Option<PathBuf>,
    /// Folder for the derivatives, with --input or --input-dir
    #[arg(
        short = 'o',
        long,
        visible_alias = "output-dir",
        value_name = "DIR",
        help_heading = PLAIN
    )]
    pub output: Option<PathBuf>,
}

/// Which scans of a dataset.
#[derive(Debug, Args)]
pub(super) struct SelectArgs {
    /// Participants to process, with or without sub-, separated by spaces or commas [default: all]
    #[arg(long, value_name = LABEL, num_args = 1.., help_heading = WHAT)]
    pub participant_label: Vec<String>,
    /// Sessions to process, with or without ses-; unnamed means scans without a session [default: all]
    #[arg(long, visible_alias = "session-id", value_name = LABEL, num_args = 1.., help_heading = WHAT)]
    pub session_label: Vec<String>,
    /// Tasks of the bold runs to process, with or without task- [default: all]
    #[arg(long, value_name = LABEL, num_args = 1.., help_heading = WHAT)]
    pub task_id: Vec<String>,
    /// File of the participant-sessions to process: participant, tab, session in each line, as Nipoppy's subcohorts
    #[arg(long, value_name = "FILE", help_heading = WHAT)]
    pub subcohort: Option<PathBuf>,
    /// JSON file of PyBIDS filters, per modality
    #[arg(long, value_name = "FILE", help_heading = WHAT)]
    pub bids_filter_file: Option<PathBuf>,
    #[command(flatten)]
    pub settings: Typed<{ form::SELECT }>,
}

#[derive(Debug, Args)]
pub(super) struct SynthArgs {
    /// Folder to create the dataset in; must be new or empty
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Number of participants
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub participants: u32,
    /// Sessions per participant; with 1 there is no session level
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub sessions: u32,
    /// Kinds of scan to write [default: T1w bold]
    #[arg(long, value_name = "KIND", num_args = 1.., value_delimiter = ',', ignore_case = true,
          value_parser = PossibleValuesParser::new(MODALITIES).try_map(|s| values::modality(&s)))]
    pub modalities: Vec<Modality>,
    /// Voxel size of the T1w images in mm, 0.7 to 6; bold has coarser voxels
    #[arg(long, value_name = "MM", default_value_t = 2.0, value_parser = voxel_size)]
    pub voxel_size: f64,
    /// Volumes of each bold series
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(6..=5000))]
    pub volumes: u32,
    /// Seed: the same seed gives the same bytes
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// What to show
    #[arg(value_name = "SCENARIO", value_enum, default_value_t = Scenario::Normal)]
    pub scenario: Scenario,
    /// Folder for the data and the results
    #[arg(short = 'o', long, value_name = "DIR", default_value = "neuro-preprocess-demo")]
    pub output: PathBuf,
    #[command(flatten)]
    pub settings: Typed<{ form::DEMO }>,
}

#[derive(Debug, Args)]
pub(super) struct ScoreArgs {
    /// The derivatives, of this program or of another with the same BIDS names
    #[arg(value_name = "DERIVATIVES")]
    pub derivatives: PathBuf,
    /// Folder of the ground truth [default: derivatives/ground-truth of the dataset that DERIVATIVES names as its source]
    #[arg(long, value_name = "DIR")]
    pub truth: Option<PathBuf>,
    /// Format of the scores
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub(super) struct ExtractArgs {
    /// The derivatives of this program, of any number of runs
    #[arg(value_name = "DERIVATIVES")]
    pub derivatives: PathBuf,
    /// The table to write, .tsv; its data dictionary is written beside it, .json
    #[arg(value_name = "TABLE")]
    pub table: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// The derivatives of this program, of any number of runs
    #[arg(value_name = "OUTPUT_DIR")]
    pub derivatives: PathBuf,
    /// Threads to use [default: SLURM_CPUS_PER_TASK, else all this process may use]
    #[arg(long, visible_aliases = ["n-cpus", "nthreads", "parallel"], value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=MOST_THREADS))]
    pub nprocs: Option<u16>,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The derivatives of this program, of any number of runs
    #[arg(value_name = "OUTPUT_DIR")]
    pub derivatives: PathBuf,
    /// Format of the result
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: Format,
    /// Same as: --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Threads to use [default: SLURM_CPUS_PER_TASK, else all this process may use]
    #[arg(long, visible_aliases = ["n-cpus", "nthreads", "parallel"], value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=MOST_THREADS))]
    pub nprocs: Option<u16>,
}

fn voxel_size(text: &str) -> Result<f64, String> {
    number_within(text, 0.7, 6.0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn clap_finds_no_fault_in_the_definitions() {
        super::super::command::command().debug_assert();
    }
}
