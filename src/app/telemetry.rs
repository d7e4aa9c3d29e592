//! The verb `telemetry`: delivering, showing, and saying what has been delivered of, the telemetry that runs left behind.

use super::{refuse, say, telemetry_view};
use crate::cli::exit::ExitStatus;
use crate::cli::{Format, TelemetryRequest};
use crate::telemetry::delivery::{self, DeliveryError, Replayed};
use std::io::{IsTerminal, Write};

/// Does what was asked.
pub fn run(request: &TelemetryRequest) -> ExitStatus {
    let done = match request {
        TelemetryRequest::Show(config) => delivery::folders(&config.dir)
            .map(|folders| telemetry_view::show(&folders, config).unwrap_or_else(|e| refuse(&e))),
        TelemetryRequest::Config(config) => return telemetry_view::in_force(config),
        TelemetryRequest::Replay { dir, config } => delivery::replay(dir, config, &progress).map(replayed),
        TelemetryRequest::Status { dir, format } => delivery::status(dir).map(|status| {
            say(&match format {
                Format::Json => format!("{:#}\n", status.json()),
                Format::Text => status.text(),
            });
            ExitStatus::Success
        }),
    };
    done.unwrap_or_else(|e: DeliveryError| refuse(&e))
}

/// What is left is no error: the same command goes on with it.
fn replayed(outcome: Replayed) -> ExitStatus {
    say(&format!("{outcome}\n"));
    if outcome.complete() { ExitStatus::Success } else { ExitStatus::Interrupted }
}

/// Bytes of the files that are through, of all there are to send.
fn progress(done: u64, total: u64) {
    if std::io::stderr().is_terminal() && total > 0 {
        let end = if done >= total { "\n" } else { "" };
        let _ = write!(std::io::stderr(), "\rtelemetry: {} %{end}", done.saturating_mul(100) / total);
    }
}
