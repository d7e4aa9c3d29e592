//! The verb `telemetry` as it is typed: what to do with the telemetry that runs left in their output folders.

use super::{Format, help, settings};
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
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// An output folder, its logs folder, or a folder of many outputs
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Collector to send to, such as http://localhost:4317 [default: as for a run]
    #[arg(long, visible_alias = "otel-endpoint", value_name = "URL", value_parser = settings::endpoint)]
    pub endpoint: Option<String>,
    /// Configuration file [default: neuro-preprocess/config.toml in XDG_CONFIG_HOME or ~/.config]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// An output folder, its logs folder, or a folder of many outputs
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Form of the answer
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: Format,
}
