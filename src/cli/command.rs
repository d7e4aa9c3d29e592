//! The whole command line: the forms without a verb, and all verbs.

use super::args::{
    DatasetArgs, DemoArgs, ExtractArgs, OutputArg, PLAIN, ReportArgs, RunArgs, ScoreArgs, SynthArgs, VerifyArgs,
};
use super::help;
use super::help_args::{BundleArgs, CompletionsArgs, ExplainArgs, ListArgs, ManArgs};
use super::slurm_args::SlurmArgs;
use super::telemetry_args::TelemetryVerb;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use std::path::PathBuf;

/// Preprocess T1w and BOLD scans into BIDS derivatives, with a trace of every step.
#[derive(Debug, Parser)]
#[command(
    name = "neuro-preprocess",
    bin_name = "neuro-preprocess",
    version = concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("NEURO_PREPROCESS_COMMIT"), ")"),
    override_usage = help::USAGE,
    after_help = help::SHORT,
    after_long_help = help::EXAMPLES,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub verb: Option<Verb>,
    #[command(flatten)]
    pub dataset: DatasetArgs,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub boutiques: BoutiquesArgs,
}

/// What stands alone: a caller's file of arguments, and the description of the arguments.
#[derive(Debug, Args)]
pub(super) struct BoutiquesArgs {
    // `invocation` takes it out of the arguments before they are parsed; it is here for the help.
    /// Take all arguments from this Boutiques invocation (JSON); goes with no other argument
    #[arg(long, value_name = "FILE", exclusive = true, help_heading = PLAIN)]
    pub invocation: Option<PathBuf>,
    /// Print the Boutiques descriptor, as BIDS apps do; same as: descriptor
    #[arg(long, exclusive = true, help_heading = PLAIN)]
    pub bids_exec_spec: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Process one scan, in a BIDS dataset or not
    #[command(after_long_help = help::PROCESS)]
    Process {
        /// The scan, .nii or .nii.gz
        #[arg(value_name = "SCAN")]
        scan: PathBuf,
        #[command(flatten)]
        output: OutputArg,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Process every scan in a folder, in a BIDS dataset or not
    #[command(after_long_help = help::BATCH)]
    Batch {
        /// The folder that holds the scans, at any depth
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        #[command(flatten)]
        output: OutputArg,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Spread a dataset over the nodes of a Slurm cluster, as an array job
    #[command(after_long_help = help::SLURM)]
    Slurm(Box<SlurmArgs>),
    /// Write a synthetic BIDS dataset with known ground truth
    #[command(after_long_help = help::SYNTH)]
    Synth(SynthArgs),
    /// Make data, process it, and say where to look at the result
    #[command(after_long_help = help::DEMO)]
    Demo(DemoArgs),
    /// Score derivatives against the ground truth of a synthetic dataset
    #[command(after_long_help = help::SCORE)]
    Score(ScoreArgs),
    /// Write one table of what a run measured and used, a row per participant and session
    #[command(after_long_help = help::EXTRACT)]
    Extract(ExtractArgs),
    /// Make the report pages and group tables of derivatives again, from what is there
    #[command(after_long_help = help::REPORT)]
    Report(ReportArgs),
    /// Hold derivatives against what was written: what is missing, changed or extra
    #[command(after_long_help = help::VERIFY)]
    Verify(VerifyArgs),
    /// Print the Boutiques descriptor of the forms for datasets
    #[command(after_long_help = help::DESCRIPTOR)]
    Descriptor,
    /// Write the Nipoppy bundles of this version, to be installed by: nipoppy pipeline install
    #[command(after_long_help = help::BUNDLE)]
    Bundle(BundleArgs),
    /// Show, deliver or inspect the telemetry that runs left in their output folders
    #[command(subcommand, after_long_help = help::TELEMETRY)]
    Telemetry(TelemetryVerb),
    /// Say what of a dataset would be processed, and what is left out and why
    #[command(after_long_help = help::LIST)]
    List(ListArgs),
    /// Explain an error code or an exit status: what happened, usual causes, what to do
    #[command(after_long_help = help::EXPLAIN)]
    Explain(ExplainArgs),
    /// Print the script that completes this program's arguments in a shell
    #[command(after_long_help = help::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Write the manual pages into a folder
    #[command(after_long_help = help::MAN)]
    Man(ManArgs),
}

/// The definition of the command line, for documents made from it.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}
