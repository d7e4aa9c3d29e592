//! What a run shows: its parts put together from the plan, for the screen and for `status.json`.

use crate::machine::host::{self, Process};
use crate::plan::Plan;
use crate::progress::live::Live;
use crate::progress::screen::{Closing, Header, Lines, View, Watch};
use crate::progress::status::{Identity, StatusFile};
use crate::progress::tally::Counts;
use crate::telemetry::config::{LogFormat, TelemetryConfig, Verbosity};
use crate::terminal;
use std::io::IsTerminal;

/// What is kept up to date of one run.
pub(super) struct Shown {
    /// What is going on.
    pub live: Live,
    /// A line per scan.
    pub lines: Lines,
    status: StatusFile,
}

impl Shown {
    /// For a run of what is to do of `plan`.
    pub fn new(plan: &Plan, run_id: &str) -> Self {
        let process = Process::this();
        let identity = Identity {
            run_id: run_id.to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            host: host::name(),
            pid: process.pid,
            process: process.to_string(),
            dataset: plan.root.clone(),
            already_done: already_done(plan),
        };
        let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        let task = variable("SLURM_ARRAY_JOB_ID").zip(variable("SLURM_ARRAY_TASK_ID"));
        let status = StatusFile::new(&plan.output.join("logs"), identity, task);
        Self { live: Live::new(plan.scans_to_do()), lines: Lines::new(plan.scans_to_do()), status }
    }

    /// Who keeps it up to date.
    pub fn watch<'a>(&'a self, view: View, stopping: &'a (dyn Fn() -> Option<&'static str> + Sync)) -> Watch<'a> {
        let complain =
            &|e: &crate::derivatives::DerivativeError| tracing::warn!("{e}; status.json of this run is out of date");
        Watch { live: &self.live, lines: &self.lines, view, status: &self.status, stopping, complain }
    }
}

/// How a run is shown. JSON lines are for programs, and the log has a line for each scan anyway.
pub(super) fn view(telemetry: &TelemetryConfig) -> View {
    View::fitting(telemetry.verbosity == Verbosity::Quiet || telemetry.log_format == LogFormat::Json)
}

/// Prints the head of a run of so many threads and bytes of memory.
pub(super) fn header(plan: &Plan, run_id: &str, (threads, memory): (usize, u64), telemetry: &str) {
    let header = Header {
        run_id,
        name: &plan.name,
        dataset: &plan.root,
        output: &plan.output,
        to_do: (plan.scans_to_do(), plan.units.iter().filter(|unit| !unit.done()).count()),
        already_done: already_done(plan),
        threads,
        memory,
        telemetry,
    };
    terminal::print(&header.text(terminal::size().map(|(_, columns)| columns)));
}

/// The last lines of a run that took `seconds`, for standard output: whether it left telemetry, and where its report is or
/// why there is none.
pub(super) fn closing(plan: &Plan, seconds: f64, counts: &Counts, (telemetry, report): (bool, Option<&str>)) -> String {
    let closing = Closing {
        planned: plan.scans_to_do(),
        already_done: already_done(plan),
        seconds,
        output: &plan.output,
        telemetry,
        report,
        columns: terminal::size().map(|(_, columns)| columns).filter(|_| std::io::stdout().is_terminal()),
    };
    closing.text(counts)
}

/// Scans that an earlier run has done.
fn already_done(plan: &Plan) -> usize {
    plan.scans() - plan.scans_to_do()
}
