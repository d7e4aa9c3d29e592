//! What the program can be asked to do, resolved: nothing in here is to be checked again.

use super::exit::ExitStatus;
use super::options::Options;
pub use super::values::Format;
use crate::bids::Selection;
use crate::error::ErrorCode;
use crate::telemetry::config::TelemetryConfig;
use crate::vocabulary::Stage;
use clap::ValueEnum;
use phantom::SynthConfig;
use std::path::PathBuf;

/// What the program is asked to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Process scans, or summarise a group.
    Run(RunConfig),
    /// Submit a run to a cluster.
    Slurm(SlurmConfig),
    /// Write a synthetic dataset.
    Synth(SynthConfig),
    /// Make data, process it, show where the results are.
    Demo(DemoConfig),
    /// Compare derivatives with the truth of a synthetic dataset.
    Score(ScoreConfig),
    /// Write one table of what runs measured and used.
    Extract(ExtractConfig),
    /// Compare derivatives with their ledgers.
    Verify(VerifyConfig),
    /// Make the reports of what runs left again.
    Report(ReportConfig),
    /// Print the Boutiques descriptor.
    Descriptor,
    /// Write the Nipoppy bundles into a folder.
    Bundle(PathBuf),
    /// Show, deliver or inspect telemetry that runs left behind.
    Telemetry(TelemetryRequest),
    /// Say what of a dataset would be processed.
    List(ListConfig),
    /// Explain a code, or list all.
    Explain(Option<Topic>),
    /// Print the completions for a shell.
    Completions(clap_complete::Shell),
    /// Write the manual into a folder.
    Manual(PathBuf),
}

/// Where the scans come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A BIDS dataset, or a Nipoppy study (told apart by `nipoppy::is_study`).
    Bids {
        /// Its root.
        dir: PathBuf,
    },
    /// One scan, in a dataset or not.
    File {
        /// The `.nii` or `.nii.gz` file.
        path: PathBuf,
    },
    /// Every scan in a folder, in a dataset or not.
    Folder {
        /// The folder.
        dir: PathBuf,
    },
}

/// The analysis level of BIDS apps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Process the scans of each participant.
    Participant,
    /// Summarise what has been processed.
    Group,
}

/// What a demonstration shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// A few participants, all well
    Normal,
    /// Some scans fail
    Failures,
    /// One stage is slow
    Slow,
    /// Many participants at once
    Concurrent,
}

/// A run, with everything resolved: options, environment, configuration file, defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct RunConfig {
    /// Where the scans come from; exists.
    pub input: Input,
    /// Folder for the derivatives, outside the input; `None` only for a Nipoppy study, which has a place for it.
    pub output: Option<PathBuf>,
    /// Process scans or summarise a group.
    pub level: Level,
    /// Which scans; `modalities` is never empty.
    pub selection: Selection,
    /// Threads to use, at least 1.
    pub threads: usize,
    /// Memory to stay within, in bytes.
    pub memory_bytes: Option<u64>,
    /// What the options say. Threads, memory, modalities and telemetry stand here resolved.
    pub options: Options,
    /// Telemetry and messages.
    pub telemetry: TelemetryConfig,
    /// Remarks for the start of the run: what was understood, what was left out.
    pub notes: Vec<String>,
}

/// A dataset to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListConfig {
    /// A BIDS dataset or Nipoppy study; exists.
    pub dir: PathBuf,
    /// Which scans; `modalities` is never empty.
    pub selection: Selection,
    /// Threads to use, at least 1.
    pub threads: usize,
    /// Go on without a valid `dataset_description.json`.
    pub skip_validation: bool,
    /// Form of the list.
    pub format: Format,
}

/// A run to be spread over a Slurm cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct SlurmConfig {
    /// What each task does, of its own part. Its `memory_bytes` are those of a task.
    pub run: RunConfig,
    /// Also send the jobs.
    pub submit: bool,
    /// Participant-sessions of a task; `None` for one, or as many as keep the array within Slurm's limit.
    pub batch: Option<usize>,
    /// Tasks that may run at the same time.
    pub max_concurrent: Option<usize>,
    /// Processors of a task, at least 1.
    pub cpus: usize,
    /// Time limit of a task as `sbatch` takes it.
    pub time: Option<String>,
    /// More options for `sbatch`, each whole.
    pub options: Vec<String>,
    /// The Apptainer image to run in; exists.
    pub image: Option<PathBuf>,
    /// The configuration file named, for the tasks to read too.
    pub config_file: Option<PathBuf>,
    /// The file with the key of the pseudonyms named; the key itself is never in a script.
    pub key_file: Option<PathBuf>,
}

/// A demonstration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoConfig {
    /// What to show.
    pub scenario: Scenario,
    /// Folder for the data and the results.
    pub dir: PathBuf,
    /// Threads to use, at least 1.
    pub threads: usize,
    /// Memory to stay within, in bytes.
    pub memory_bytes: Option<u64>,
    /// Telemetry and messages.
    pub telemetry: TelemetryConfig,
    /// Remarks for the start of the run.
    pub notes: Vec<String>,
}

/// A comparison with the truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScoreConfig {
    /// The derivatives; exists.
    pub derivatives: PathBuf,
    /// The truth, where it is not to be looked for; exists.
    pub truth: Option<PathBuf>,
    /// Form of the result.
    pub format: Format,
}

/// A table to make from derivatives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtractConfig {
    /// The derivatives; exists.
    pub derivatives: PathBuf,
    /// The table to write, a name that ends in `.tsv`.
    pub table: PathBuf,
}

/// Derivatives to compare with their ledgers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyConfig {
    /// The derivatives; exists.
    pub derivatives: PathBuf,
    /// Threads to use, at least 1.
    pub threads: usize,
    /// Form of what is printed.
    pub format: Format,
}

/// Reports to make from derivatives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportConfig {
    /// The derivatives; exists.
    pub derivatives: PathBuf,
    /// Threads to use, at least 1.
    pub threads: usize,
}

/// What to do with the telemetry in output folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TelemetryRequest {
    /// Send what no collector has taken yet.
    Replay {
        /// An output folder, its logs folder, or a folder of outputs; exists.
        dir: PathBuf,
        /// Where to send it.
        config: TelemetryConfig,
        /// Also spans and log lines that were acknowledged.
        again: bool,
    },
    /// Say what has been delivered and what is waiting.
    Status(StatusRequest),
    /// Show runs.
    Show(ShowConfig),
    /// Compare two runs.
    Compare(CompareConfig),
    /// Say which settings are in force.
    Config(InForceConfig),
}

/// What to say about deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusRequest {
    /// An output folder, its logs folder, or a folder of outputs; exists.
    pub dir: PathBuf,
    /// Form of the answer.
    pub format: Format,
    /// Where runs send to.
    pub config: TelemetryConfig,
    /// A Tempo to ask whether it has what was acknowledged.
    pub check: Option<String>,
}

/// Two runs to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompareConfig {
    /// Each one's folder, which exists, and the beginning of its id where the folder holds several.
    pub runs: [(PathBuf, Option<String>); 2],
    /// Smallest change in per cent that counts.
    pub threshold: u16,
    /// Form of what is printed.
    pub format: Format,
}

/// Runs to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShowConfig {
    /// The output folder, or the folder of the files; exists.
    pub dir: PathBuf,
    /// Participants without `sub-`; empty for all.
    pub participants: Vec<String>,
    /// Only this stage.
    pub stage: Option<Stage>,
    /// Only what ended so.
    pub status: Option<Ended>,
    /// Participant-sessions to show of each run.
    pub limit: usize,
    /// Form of the result.
    pub format: Format,
}

/// Settings to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForceConfig {
    /// Telemetry as a run would have it.
    pub telemetry: TelemetryConfig,
    /// The settings of the section `[observability]` with their sources.
    pub stated: Vec<Stated>,
    /// Form of the result.
    pub format: Format,
    /// Remarks.
    pub notes: Vec<String>,
}

/// What is to be explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// A failure.
    Code(ErrorCode),
    /// The way the program ended.
    Exit(ExitStatus),
    /// The program was ended from outside, by the signal of this number.
    Signal(u8),
}

/// A setting and who said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    /// Key of the configuration file; the option is `--` and the key, but for the verbosity.
    pub key: &'static str,
    /// As it was written; of an option without a value `true`. `None` when the default is in force.
    pub value: Option<String>,
    /// `option`, `environment NAME`, `file PATH` or `default`.
    pub source: String,
}

/// How a participant-session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Ended {
    /// All of its scans succeeded
    Ok,
    /// A scan failed, or the run was killed before the end
    Failed,
}
