//! Runs as they can be told from the telemetry files they left: run, subject, scan, spans, log lines.
//!
//! [`read`] takes a folder of OTLP JSON lines, of one process or of thousands, finished or killed, and puts together what
//! belongs together. It returns plain data to be shown.

mod assemble;
mod compare;
mod files;
mod lines;
mod stages;
mod text;

pub use compare::{Comparison, Measure, compare};
pub use files::{ViewError, read, read_process};
pub use stages::{StageRow, stage_rows};
pub use text::{chosen, to_text};

use serde::Serialize;
use std::sync::Arc;

/// Everything in a folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Archive {
    /// The runs, the earliest first.
    pub runs: Vec<Run>,
    /// Lines that could not be read: the last one of a process that was killed.
    pub torn_lines: u64,
}

/// One process's work.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Run {
    /// Id of the run.
    pub id: String,
    /// `participant`, `batch` or `process`; `None` when the run did not end.
    pub command: Option<String>,
    /// Version of the program.
    pub version: String,
    /// The machine.
    pub host: String,
    /// Slurm's number of the job.
    pub job: Option<String>,
    /// Slurm's number of the array the job is a task of.
    pub array: Option<String>,
    /// First start, ns since 1970.
    pub start_ns: u64,
    /// Last end, ns since 1970.
    pub end_ns: u64,
    /// False when the run was killed, or is still going on.
    pub finished: bool,
    /// Participant-sessions, the earliest first.
    pub subjects: Vec<Subject>,
}

/// How something ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It failed.
    Failed,
    /// Its end is not in the files.
    Unfinished,
    /// All went well.
    #[default]
    Ok,
}

/// One participant and session: one trace.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Subject {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// Label without `sub-`, or its pseudonym; `None` when a killed run did not say.
    pub participant: Option<String>,
    /// Label without `ses-`.
    pub session: Option<String>,
    /// The worst of its scans.
    pub status: Status,
    /// Start, ns since 1970.
    pub start_ns: u64,
    /// End, ns since 1970.
    pub end_ns: u64,
    /// Its scans in order.
    pub scans: Vec<Scan>,
    /// Its warnings and errors in order.
    pub logs: Vec<LogLine>,
}

/// One scan.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Scan {
    /// Its id.
    pub id: Option<String>,
    /// The id of its span as 16 hexadecimal digits; `None` when it is known from log lines only.
    pub span_id: Option<String>,
    /// `T1w` or `bold`.
    pub modality: Option<String>,
    /// How it ended.
    pub status: Status,
    /// 0 to 100.
    pub quality_score: Option<f64>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// Start, ns since 1970.
    pub start_ns: u64,
    /// End, ns since 1970.
    pub end_ns: u64,
    /// Its phases with their stages, in order.
    pub spans: Vec<Span>,
}

/// Why something failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Stable code.
    pub code: String,
    /// The innermost stage that failed.
    pub stage: Option<String>,
    /// The message.
    pub message: String,
}

/// A finished step with the steps inside it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Span {
    /// Name of the span.
    pub name: Arc<str>,
    /// The `stage` label.
    pub stage: Option<Arc<str>>,
    /// Start, ns since 1970.
    pub start_ns: u64,
    /// End, ns since 1970.
    pub end_ns: u64,
    /// Whether it failed.
    pub failed: bool,
    /// What was measured of it besides its time.
    #[serde(serialize_with = "compare::as_map", skip_serializing_if = "Vec::is_empty")]
    pub measured: Vec<(Measure, f64)>,
    /// Its steps in order.
    pub children: Vec<Span>,
}

/// A warning or an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// When, ns since 1970.
    pub time_ns: u64,
    /// `WARN` or `ERROR`.
    pub level: String,
    /// The stage it came from.
    pub stage: Option<String>,
    /// The scan it is about.
    pub scan_id: Option<String>,
    /// What happened.
    pub message: String,
}

/// What of an archive is to be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Participants without `sub-`; empty for all.
    pub participants: Vec<String>,
    /// Only this stage.
    pub stage: Option<String>,
    /// Only what ended so: [`Status::Failed`] takes what is unfinished, too.
    pub status: Option<Status>,
}

impl Subject {
    /// `sub-01_ses-pre`, or what is known of it.
    #[must_use]
    pub fn name(&self) -> String {
        let participant = self.participant.as_ref().map_or_else(|| "sub-?".to_owned(), |p| format!("sub-{p}"));
        self.session.as_ref().map_or_else(|| participant.clone(), |session| format!("{participant}_ses-{session}"))
    }
}

impl Filter {
    /// Removes from `archive` what is not selected; runs without a subject are kept, to be counted.
    pub fn apply(&self, archive: &mut Archive) {
        for run in &mut archive.runs {
            run.subjects.retain(|subject| self.keeps(subject));
            if let Some(stage) = &self.stage {
                for scan in run.subjects.iter_mut().flat_map(|subject| &mut subject.scans) {
                    scan.spans = only(std::mem::take(&mut scan.spans), stage);
                }
                for subject in &mut run.subjects {
                    subject.scans.retain(|scan| !scan.spans.is_empty());
                }
                run.subjects.retain(|subject| !subject.scans.is_empty());
            }
        }
    }

    fn keeps(&self, subject: &Subject) -> bool {
        let named = self.participants.is_empty()
            || subject.participant.as_ref().is_some_and(|label| self.participants.contains(label));
        let ended = match self.status {
            None => true,
            Some(Status::Ok) => subject.status == Status::Ok,
            Some(_) => subject.status != Status::Ok,
        };
        named && ended
    }
}

/// The spans of one stage, wherever they are.
fn only(spans: Vec<Span>, stage: &str) -> Vec<Span> {
    let mut found = Vec::new();
    for mut span in spans {
        let children = std::mem::take(&mut span.children);
        if span.stage.as_deref() == Some(stage) {
            found.push(span);
        }
        found.extend(only(children, stage));
    }
    found
}

/// Seconds between two times; 0 when clocks went backwards.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "durations are far below 2^52 ns")]
pub const fn seconds(start_ns: u64, end_ns: u64) -> f64 {
    end_ns.saturating_sub(start_ns) as f64 / 1e9
}
