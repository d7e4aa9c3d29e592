//! The verb `telemetry`: delivering, showing, and saying what has been delivered of, the telemetry that runs left behind.

use super::{refuse, say, telemetry_view};
use crate::cli::exit::ExitStatus;
use crate::cli::{Format, StatusRequest, TelemetryRequest};
use crate::telemetry::delivery::{self, Checked, DeliveryError, Replayed};
use crate::telemetry::env::Environment;
use crate::telemetry::in_force;
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::path::Path;

/// Does what was asked.
pub fn run(request: &TelemetryRequest) -> ExitStatus {
    let done = match request {
        TelemetryRequest::Show(config) => delivery::folders(&config.dir)
            .map(|folders| telemetry_view::show(&folders, config).unwrap_or_else(|e| refuse(&e))),
        TelemetryRequest::Compare(config) => telemetry_view::compare(config),
        TelemetryRequest::Config(config) => return telemetry_view::in_force(config),
        TelemetryRequest::Replay { dir, config, again } => {
            delivery::replay(dir, config, *again, &progress).map(replayed)
        }
        TelemetryRequest::Status(request) => status(request),
    };
    done.unwrap_or_else(|e: DeliveryError| refuse(&e))
}

/// Counts, where runs send to, and what a store lacks of what was acknowledged.
fn status(request: &StatusRequest) -> Result<ExitStatus, DeliveryError> {
    let counts = delivery::status(&request.dir)?;
    let ways = in_force::ways(&request.config, &Environment::of_process());
    let checked = request.check.as_ref().map(|store| delivery::check(&request.dir, store)).transpose()?;
    say(&match request.format {
        Format::Json => {
            let mut value = counts.json();
            value["runs_send_to"] = json!(ways.settings);
            value["check"] = json!(checked);
            format!("{value:#}\n")
        }
        Format::Text => {
            let lacks = checked.as_ref().map(|checked| lacks(checked, &request.dir)).unwrap_or_default();
            format!("{}\na run now sends\n{}{lacks}", counts.text(), ways.text())
        }
    });
    let lacking = checked.is_some_and(|checked| !checked.lacking.is_empty());
    Ok(if lacking { ExitStatus::Interrupted } else { ExitStatus::Success })
}

/// Traces to list: who lost more has lost a disk.
const LISTED: usize = 20;

fn lacks(checked: &Checked, dir: &Path) -> String {
    let Checked { store, traces, spans, lacking } = checked;
    if lacking.is_empty() {
        return format!("\n{store} has all {spans} acknowledged spans of {traces} traces\n");
    }
    let lost: usize = lacking.iter().map(|l| l.acknowledged - l.there).sum();
    let rows: String = (lacking.iter().take(LISTED))
        .map(|l| format!("{}  {} of {} spans of {}\n", l.trace_id, l.acknowledged - l.there, l.acknowledged, l.what))
        .collect();
    let more = lacking.len().saturating_sub(LISTED);
    let more = if more > 0 { format!("and {more} traces more\n") } else { String::new() };
    format!(
        "\n{store} lacks {lost} of {spans} acknowledged spans, in {} of {traces} traces:\n{rows}{more}\
         neuro-preprocess telemetry replay {} --again sends them once more\n",
        lacking.len(),
        dir.display()
    )
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
