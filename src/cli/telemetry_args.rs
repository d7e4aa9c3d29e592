//! The verb `telemetry` as it is typed: what to do with the telemetry that runs left in their output folders.

use super::request::{Ended, Format};
use super::row::form;
use super::typed::Typed;
use super::{help, values};
use crate::vocabulary::Stage;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum TelemetryVerb {
    /// Send what no collector has taken yet, and nothing twice
    #[command(after_long_help = help::REPLAY)]
    Replay(ReplayArgs),
    /// Say what has been delivered and what is waiting
    #[command(after_long_help = help::STATUS)]
    Status(StatusArgs),
    /// Show what runs did, from the files they left: waterfalls, stages, failures
    #[command(after_long_help = help::TELEMETRY_SHOW)]
    Show(ShowArgs),
    /// Compare two runs stage by stage, from the files they left: what got slower or larger
    #[command(after_long_help = help::COMPARE)]
    Compare(CompareArgs),
    /// Say which settings of telemetry are in force, and where each comes from
    #[command(after_long_help = help::TELEMETRY_CONFIG)]
    Config(ConfigArgs),
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// An output folder, its logs folder, or a folder of many outputs
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Collector to send to, such as http://localhost:4317 [default: as for a run]
    #[arg(long, visible_alias = "otel-endpoint", value_name = "URL", value_parser = values::endpoint)]
    pub endpoint: Option<String>,
    /// Also spans and log lines that were taken before, for a store that lost them; metrics never
    #[arg(long)]
    pub again: bool,
    /// Configuration file [default: neuro-preprocess/config.toml in XDG_CONFIG_HOME or ~/.config]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// An output folder, its logs folder, or a folder of many outputs
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Ask this Tempo, such as http://127.0.0.1:3200, whether it has all that was taken
    #[arg(long, value_name = "URL", value_parser = values::endpoint)]
    pub check: Option<String>,
    /// Configuration file [default: neuro-preprocess/config.toml in XDG_CONFIG_HOME or ~/.config]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Form of the answer
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// An output folder, its logs folder, or a folder of many outputs
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Only these participants, with or without sub- [default: all]
    #[arg(long, visible_alias = "participant-label", value_name = "LABEL", num_args = 1.., value_delimiter = ',')]
    pub participant: Vec<String>,
    /// Only this stage, such as motion_correct
    #[arg(long, value_name = "STAGE",
          value_parser = PossibleValuesParser::new(Stage::ALL.iter().map(|stage| stage.as_str())).map(stage))]
    pub stage: Option<Stage>,
    /// Only participant-sessions that ended so
    #[arg(long, value_name = "STATUS", value_enum)]
    pub status: Option<Ended>,
    /// Participant-sessions to show of each run: those that failed first, then the slowest
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub limit: usize,
    /// Form of what is printed
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// An output folder, its logs folder, or a folder of many outputs; FOLDER@RUN for one run of several in it
    #[arg(value_name = "RUN1")]
    pub first: PathBuf,
    /// The same for what it is compared with
    #[arg(value_name = "RUN2")]
    pub second: PathBuf,
    /// Smallest change in per cent that counts as one
    #[arg(long, value_name = "PERCENT", default_value_t = 10)]
    pub threshold: u16,
    /// Form of what is printed
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// Form of what is printed
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: Format,
    #[command(flatten)]
    pub settings: Typed<{ form::OBSERVE }>,
}

/// The stage of that name; the parser lets no other through.
fn stage(name: String) -> Stage {
    Stage::ALL.iter().copied().find(|stage| stage.as_str() == name).unwrap_or(Stage::Process)
}
