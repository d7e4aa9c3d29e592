//! The groups of arguments as they are typed; `command` puts them together. Nothing is decided here: `resolve` turns them
//! into a request.
//!
//! Help texts, value names, limits and choices live in these definitions only, so that the manual is made from them.

use super::memory::Memory;
use super::request::{Format, Level, Scenario};
use super::settings::{self, MODALITIES};

use crate::bids::Modality;
use crate::telemetry::config::LogFormat;
use crate::vocabulary::{Fieldmaps, RegistrationStart, Resume, SliceTiming, Stage};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// The value name of the analysis level; a refusal of this argument has its own exit status.
pub(super) const LEVEL: &str = "LEVEL";
const LABEL: &str = "LABEL";
const SCANS: &str = "What to process";
pub(super) const PLAIN: &str = "In place of a verb";
const RUN: &str = "How to run";
const TRIAL: &str = "Trying things out";
const OBSERVE: &str = "Telemetry and messages";

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
    #[arg(long, value_name = LABEL, num_args = 1.., help_heading = SCANS)]
    pub participant_label: Vec<String>,
    /// Sessions to process, with or without ses-; unnamed means scans without a session [default: all]
    #[arg(long, visible_alias = "session-id", value_name = LABEL, num_args = 1.., help_heading = SCANS)]
    pub session_label: Vec<String>,
    /// Tasks of the bold runs to process, with or without task- [default: all]
    #[arg(long, value_name = LABEL, num_args = 1.., help_heading = SCANS)]
    pub task_id: Vec<String>,
    /// File of the participant-sessions to process: participant, tab, session in each line, as Nipoppy's subcohorts
    #[arg(long, value_name = "FILE", help_heading = SCANS)]
    pub subcohort: Option<PathBuf>,
    /// JSON file of PyBIDS filters, per modality
    #[arg(long, value_name = "FILE", help_heading = SCANS)]
    pub bids_filter_file: Option<PathBuf>,
    /// Go on although dataset_description.json is missing or invalid
    #[arg(long, help_heading = SCANS)]
    pub skip_bids_validation: bool,
}

/// What every form that processes scans takes.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Kinds of scan to process [default: T1w bold]
    #[arg(long, value_name = "KIND", num_args = 1.., value_delimiter = ',', ignore_case = true,
          value_parser = PossibleValuesParser::new(MODALITIES).try_map(|s| settings::modality(&s)),
          help_heading = SCANS)]
    pub modalities: Vec<Modality>,
    /// Process again what is already done
    #[arg(long, help_heading = SCANS)]
    pub force: bool,
    /// How the outputs of finished scans are checked: size compares their size, verify also reads and compares their content
    /// [default: size]
    #[arg(long, value_name = "HOW", ignore_case = true,
          value_parser = PossibleValuesParser::new(settings::RESUME).try_map(|s| settings::resume(&s)),
          help_heading = SCANS)]
    pub resume: Option<Resume>,
    /// Treat anything odd about the input as an error: a scan with a repaired or guessed header or sidecar fails, and a dataset
    /// with warnings or left-out files is not processed. Finished scans are kept
    #[arg(long, help_heading = SCANS)]
    pub strict: bool,
    /// Output spaces, as fMRIPrep names them: templates such as MNI152NLin2009cAsym:res-2 and MNI152NLin6Asym; T1w, the
    /// participant's T1w image (bold runs); func, the scan's own space (always written). MNI152NLin2009cAsym is built in,
    /// others are read from TEMPLATEFLOW_HOME [default: MNI152NLin2009cAsym:res-2 func]
    #[arg(long, value_name = "SPACE", num_args = 1.., help_heading = SCANS)]
    pub output_spaces: Vec<String>,
    /// Start of the coregistration of bold runs: auto tries the headers and the centres of mass, header uses the headers only
    /// [default: auto]
    #[arg(long = "bold2anat-init", value_name = "START", ignore_case = true,
          value_parser = PossibleValuesParser::new(settings::STARTS).try_map(|s| settings::start(&s)),
          help_heading = SCANS)]
    pub bold2anat_init: Option<RegistrationStart>,
    /// Do not use these inputs: fieldmaps; slicetiming, the times of the slices
    #[arg(long, value_name = "WHAT", num_args = 1.., value_delimiter = ',', ignore_case = true,
          value_parser = PossibleValuesParser::new(settings::IGNORED), help_heading = SCANS)]
    pub ignore: Vec<String>,
    /// Use of a fieldmap that makes a bold run match the T1w image less well: auto leaves it out with a note, always uses it
    /// [default: auto]
    #[arg(long, value_name = "WHEN", ignore_case = true,
          value_parser = PossibleValuesParser::new(settings::FIELDMAPS).try_map(|s| settings::fieldmaps(&s)),
          help_heading = SCANS)]
    pub use_fieldmap: Option<Fieldmaps>,
    /// Reference time of slice timing correction, as a fraction of the time from the first slice to the last: 0 to 1, or start,
    /// middle, end [default: 0.5]
    #[arg(long, value_name = "SHARE", value_parser = SliceTiming::parse, help_heading = SCANS)]
    pub slice_time_ref: Option<SliceTiming>,
    /// Also write each echo of multi-echo runs, without motion, for tools such as tedana
    #[arg(long, help_heading = SCANS)]
    pub me_output_echos: bool,
    /// Write no report pages (index.html, sub-XX.html); the verb report makes them later
    #[arg(long, help_heading = RUN)]
    pub no_report: bool,
    /// Show what would be done, and write nothing
    #[arg(long, help_heading = RUN)]
    pub dry_run: bool,
    /// Format of the plan that --dry-run prints [default: text]
    #[arg(long, value_name = "FORMAT", value_enum, requires = "dry_run", help_heading = RUN)]
    pub format: Option<Format>,
    /// Accepted for compatibility; not used, because there are no work files
    #[arg(short = 'w', long, value_name = "DIR", help_heading = RUN)]
    pub work_dir: Option<PathBuf>,
    #[command(flatten)]
    pub resources: ResourceArgs,
    #[command(flatten)]
    pub trial: TrialArgs,
    #[command(flatten)]
    pub observe: ObserveArgs,
}

#[derive(Debug, Default, Args)]
pub(super) struct ResourceArgs {
    /// Threads to use [default: SLURM_CPUS_PER_TASK, else all this process may use]
    #[arg(long, visible_aliases = ["n-cpus", "nthreads", "parallel"], value_name = "N", help_heading = RUN,
          value_parser = clap::value_parser!(u16).range(1..=settings::MOST_THREADS))]
    pub nprocs: Option<u16>,
    /// Memory limit: 8GB, 8GiB, 8000MB; a bare number is GB up to 512, MB above [default: most of
    /// what is available]
    #[arg(long, value_name = "SIZE", help_heading = RUN)]
    pub mem: Option<Memory>,
}

#[derive(Debug, Args)]
pub(super) struct TrialArgs {
    /// Make scans fail with this probability, 0 to 1, to try dashboards and alerts
    #[arg(long, value_name = "P", value_parser = fail_rate, help_heading = TRIAL)]
    pub fail_rate: Option<f64>,
    /// Make a stage take longer: load, process or save, with :SECONDS [default: 5 seconds]
    #[arg(long, value_name = "STAGE[:SECONDS]", value_parser = slow_stage, help_heading = TRIAL)]
    pub slow_stage: Option<(Stage, f64)>,
    /// Seed of the failures and of synthetic scans: the same seed gives the same run
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = TRIAL)]
    pub seed: u64,
    /// Process synthetic scans instead of the files' content
    #[arg(long, help_heading = TRIAL)]
    pub synthetic: bool,
}

#[derive(Debug, Default, Args)]
pub(super) struct ObserveArgs {
    /// Send traces, metrics and logs to this collector, such as http://localhost:4317
    #[arg(long, value_name = "URL", value_parser = settings::endpoint, conflicts_with = "no_telemetry", help_heading = OBSERVE)]
    pub otel_endpoint: Option<String>,
    /// W3C trace context to continue; wins over the TRACEPARENT variable
    #[arg(long, value_name = "CONTEXT", conflicts_with = "no_telemetry", help_heading = OBSERVE)]
    pub traceparent: Option<String>,
    /// Print finished traces as a tree
    #[arg(long, conflicts_with = "no_telemetry", help_heading = OBSERVE)]
    pub trace: bool,
    /// No traces, no metrics; only messages
    #[arg(long, help_heading = OBSERVE)]
    pub no_telemetry: bool,
    /// Longest wait for the collector at the end of the run; 0 to 3600 [default: 5]
    #[arg(long, value_name = "SECONDS", value_parser = settings::seconds, conflicts_with = "no_telemetry", help_heading = OBSERVE)]
    pub flush_timeout: Option<Duration>,
    /// No metrics of single participants
    #[arg(long, help_heading = OBSERVE)]
    pub no_subject_metrics: bool,
    /// Replace labels, scan names and paths by keyed hashes in all telemetry that can be sent
    #[arg(long, help_heading = OBSERVE)]
    pub pseudonymize: bool,
    /// File with the key of the hashes, at least 16 bytes [default: the variable NEURO_PREPROCESS_PSEUDONYM_KEY
    /// holds the key itself]
    #[arg(long, value_name = "FILE", help_heading = OBSERVE)]
    pub pseudonymize_key: Option<PathBuf>,
    /// Format of the messages on standard error [default: text]
    #[arg(long, value_name = "FORMAT", help_heading = OBSERVE,
          value_parser = PossibleValuesParser::new(settings::LOG_FORMATS).try_map(|s| settings::log_format(&s)))]
    pub log_format: Option<LogFormat>,
    /// Also log the start and end of each stage
    #[arg(short, long, help_heading = OBSERVE)]
    pub verbose: bool,
    /// Also log stage parameters
    #[arg(long, help_heading = OBSERVE)]
    pub debug: bool,
    /// Log errors only
    #[arg(short, long, conflicts_with_all = ["verbose", "debug"], help_heading = OBSERVE)]
    pub quiet: bool,
    /// Configuration file [default: neuro-preprocess/config.toml in XDG_CONFIG_HOME or ~/.config]
    #[arg(long, value_name = "FILE", help_heading = OBSERVE)]
    pub config: Option<PathBuf>,
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
          value_parser = PossibleValuesParser::new(MODALITIES).try_map(|s| settings::modality(&s)))]
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
    pub resources: ResourceArgs,
    #[command(flatten)]
    pub observe: ObserveArgs,
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
          value_parser = clap::value_parser!(u16).range(1..=settings::MOST_THREADS))]
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
          value_parser = clap::value_parser!(u16).range(1..=settings::MOST_THREADS))]
    pub nprocs: Option<u16>,
}

fn fail_rate(text: &str) -> Result<f64, String> {
    number_within(text, 0.0, 1.0)
}

fn voxel_size(text: &str) -> Result<f64, String> {
    number_within(text, 0.7, 6.0)
}

fn number_within(text: &str, low: f64, high: f64) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|x| (low..=high).contains(x));
    number.ok_or_else(|| format!("write a number from {low} to {high}"))
}

/// `load`, `process` or `save`, and the seconds it shall take longer.
fn slow_stage(text: &str) -> Result<(Stage, f64), String> {
    let (name, seconds) = text.split_once(':').unwrap_or((text, "5"));
    let stage = Stage::PHASES.into_iter().find(|s| s.as_str() == name);
    let stage = stage.ok_or("the stage is load, process or save, such as process:10")?;
    let seconds = number_within(seconds, 0.0, 3600.0).map_err(|e| format!("after the colon, {e} (seconds)"))?;
    Ok((stage, seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_no_fault_in_the_definitions() {
        super::super::command::command().debug_assert();
    }

    #[test]
    fn slow_stages_are_phases_with_seconds() {
        assert_eq!(slow_stage("load"), Ok((Stage::Load, 5.0)));
        assert_eq!(slow_stage("save:0.5"), Ok((Stage::Save, 0.5)));
        for bad in ["skull_strip", "load:", "load:x", "load:-1", "load:nan", "load:1:2", ""] {
            assert!(slow_stage(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_are_probabilities() {
        assert_eq!(fail_rate("0.25"), Ok(0.25));
        for bad in ["-0.1", "1.1", "nan", "inf", "20%", ""] {
            assert!(fail_rate(bad).is_err(), "{bad}");
        }
    }
}
