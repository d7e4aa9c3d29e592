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
    after_long_help = help::examples(),
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

/// Options that exclude all others: a file of arguments, and the description of the arguments.
#[derive(Debug, Args)]
pub(super) struct BoutiquesArgs {
    // `invocation` takes it out of the arguments before they are parsed; it is here for the help.
    /// Take all arguments from this Boutiques invocation (JSON); excludes other arguments
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
    /// Process a dataset on a Slurm cluster, as an array job
    #[command(after_long_help = help::SLURM)]
    Slurm(Box<SlurmArgs>),
    /// Write a synthetic BIDS dataset with known ground truth
    #[command(after_long_help = help::SYNTH)]
    Synth(SynthArgs),
    /// Make synthetic data, process it, and show where the results are
    #[command(after_long_help = help::DEMO)]
    Demo(DemoArgs),
    /// Score derivatives against the ground truth of a synthetic dataset
    #[command(after_long_help = help::SCORE)]
    Score(ScoreArgs),
    /// Write one table of measures and resources, with a row per participant and session
    #[command(after_long_help = help::EXTRACT)]
    Extract(ExtractArgs),
    /// Write report pages and group tables again, from existing outputs
    #[command(after_long_help = help::REPORT)]
    Report(ReportArgs),
    /// Check that outputs are still what was written: missing, changed, extra
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
    /// List the scans of a dataset that would be processed, and what is left out and why
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
