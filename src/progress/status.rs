//! `logs/status.json`: how far a run is, for watchers outside of it. Its form is `docs/status.schema.json`.
//!
//! It is for this machine and its administrators: participants appear by their labels, also with `--pseudonymize`, which is
//! about what leaves the machine.

use super::live::Snapshot;
use crate::derivatives::{DerivativeError, atomic};
use crate::files;
use crate::machine::host::Process;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A file that was not refreshed for so long belongs to a run that is gone; a running one refreshes it every few seconds.
const STALE_SECONDS: f64 = 60.0;

/// Whether a run is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Scans are being worked on.
    Running,
    /// It came to its end; scans may have failed.
    Finished,
    /// It was asked to stop; once nothing is active, or the file is no longer refreshed, it is over.
    Interrupted,
}

/// The parts of the file that do not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// Identifies the run in logs, traces and summaries.
    pub run_id: String,
    /// Version of the program.
    pub version: &'static str,
    /// The machine.
    pub host: Option<String>,
    /// The process.
    pub pid: u32,
    /// The same as an identity that survives reuse of its PID ([`Process`]).
    pub process: String,
    /// The folder of the dataset.
    pub dataset: PathBuf,
    /// Scans that were done before.
    pub already_done: usize,
}

/// The file of one run.
#[derive(Debug)]
pub struct StatusFile {
    path: PathBuf,
    identity: Identity,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    identity: &'a Identity,
    state: RunState,
    started: Timestamp,
    updated: Timestamp,
    scans: Scans,
    rate_per_minute: Option<f64>,
    eta_seconds: Option<f64>,
    active: Vec<Active<'a>>,
    failures: Vec<Failure<'a>>,
}

#[derive(Serialize)]
struct Scans {
    planned: usize,
    succeeded: usize,
    failed: usize,
    skipped: usize,
    active: usize,
    waiting: usize,
}

#[derive(Serialize)]
struct Active<'a> {
    participant: &'a str,
    session: Option<&'a str>,
    scan_id: &'a str,
    since: Timestamp,
    stage: Option<&'static str>,
    stage_since: Option<Timestamp>,
}

#[derive(Serialize)]
struct Failure<'a> {
    scan_id: &'a str,
    code: &'static str,
    message: &'a str,
    at: Timestamp,
}

/// What is read of another run's file.
#[derive(Deserialize)]
struct Other {
    state: RunState,
    updated: Timestamp,
    process: String,
    active: Vec<serde::de::IgnoredAny>,
}

impl StatusFile {
    /// The file for a run in the folder `logs`: `status.json`; in a task of a Slurm array (`task`: the numbers of the array
    /// and of the task) `status-ARRAY_TASK.json`; and `status-RUN.json` while another run on the same output refreshes
    /// `status.json`.
    #[must_use]
    pub fn new(logs: &Path, identity: Identity, task: Option<(String, String)>) -> Self {
        let usual = logs.join("status.json");
        let path = match task {
            Some((array, task)) => logs.join(format!("status-{array}_{task}.json")),
            None if taken(&usual, Timestamp::now()) => logs.join(format!("status-{}.json", identity.run_id)),
            None => usual,
        };
        Self { path, identity }
    }

    /// Writes the state beside the file, then in its place.
    ///
    /// # Errors
    /// [`DerivativeError`] when the disk refuses; the file of before is then still there.
    pub fn write(&self, run: &Snapshot, state: RunState) -> Result<(), DerivativeError> {
        atomic::write_json(self.path.clone(), &self.document(run, state, Timestamp::now())).map(|_| ())
    }

    fn document<'a>(&'a self, run: &'a Snapshot, state: RunState, now: Timestamp) -> Document<'a> {
        let pace = run.pace(now);
        let active = run.active.iter().map(|a| Active {
            participant: &a.unit.participant,
            session: a.unit.session.as_deref(),
            scan_id: &a.scan_id,
            since: a.since,
            stage: a.stage().map(|(stage, _)| stage.as_str()),
            stage_since: a.stage().map(|(_, since)| since),
        });
        let failures = run.failures.iter().map(|f| Failure {
            scan_id: &f.scan_id,
            code: f.code.as_str(),
            message: &f.message,
            at: f.at,
        });
        Document {
            identity: &self.identity,
            state,
            started: run.started,
            updated: now,
            scans: Scans {
                planned: run.planned,
                succeeded: run.succeeded,
                failed: run.failed,
                skipped: run.skipped,
                active: run.active.len(),
                waiting: run.left().saturating_sub(run.active.len()),
            },
            rate_per_minute: pace.map(|p| p.per_minute),
            eta_seconds: pace.filter(|_| state == RunState::Running).map(|p| p.seconds_left),
            active: active.collect(),
            failures: failures.collect(),
        }
    }
}

/// Whether the file is that of a run which is going on at `now`, as far as can be told from here.
fn taken(path: &Path, now: Timestamp) -> bool {
    let other = files::read(path, files::SMALL).ok().and_then(|bytes| serde_json::from_slice::<Other>(&bytes).ok());
    other.is_some_and(|o| {
        let going_on = match o.state {
            RunState::Running => true,
            RunState::Interrupted => !o.active.is_empty(),
            RunState::Finished => false,
        };
        let fresh = now.duration_since(o.updated).as_secs_f64().abs() < STALE_SECONDS;
        let gone = Process::parse(&o.process).and_then(|process| process.is_alive()) == Some(false);
        going_on && fresh && !gone
    })
}

#[cfg(test)]
mod tests {
    use super::super::live::tests::{begun, ended, second};
    use super::*;
    use crate::error::ErrorCode;
    use crate::vocabulary::{Stage, Status};

    fn identity(run_id: &str) -> Identity {
        let (host, dataset) = (Some("node7".to_owned()), PathBuf::from("/data/bids"));
        let process = Process::this();
        let (pid, process) = (process.pid, process.to_string());
        Identity { run_id: run_id.into(), version: "1", host, pid, process, dataset, already_done: 2 }
    }

    #[test]
    fn runs_side_by_side_have_files_of_their_own() {
        let logs = tempfile::tempdir().unwrap();
        let name = |file: &StatusFile| file.path.file_name().unwrap().to_str().unwrap().to_owned();
        let run = Snapshot::new(1, Timestamp::now());
        let first = StatusFile::new(logs.path(), identity("a"), None);
        first.write(&run, RunState::Running).unwrap();
        let second = StatusFile::new(logs.path(), identity("b"), None);
        assert_eq!((name(&first), name(&second)), ("status.json".into(), "status-b.json".into()));
        first.write(&run, RunState::Finished).unwrap();
        assert_eq!(name(&StatusFile::new(logs.path(), identity("c"), None)), "status.json");
        let task = StatusFile::new(logs.path(), identity("d"), Some(("12".into(), "3".into())));
        assert_eq!(name(&task), "status-12_3.json");
        let taken = |path: &Path| taken(path, Timestamp::now());
        assert!(!taken(&first.path) && !taken(&logs.path().join("none")));
        first.write(&run, RunState::Interrupted).unwrap();
        assert!(!taken(&first.path), "nothing is active");
        let mut run = run;
        begun(1, Stage::Load).iter().for_each(|event| run.take(event, Timestamp::now()));
        first.write(&run, RunState::Interrupted).unwrap();
        assert!(taken(&first.path), "a scan is still being finished");
    }

    #[test]
    fn a_run_that_was_killed_does_not_hold_the_file() {
        let logs = tempfile::tempdir().unwrap();
        let file = StatusFile::new(logs.path(), identity("a"), None);
        file.write(&Snapshot::new(1, second(0)), RunState::Running).unwrap();
        let now = Timestamp::now();
        assert!(taken(&file.path, now));
        assert!(!taken(&file.path, now + jiff::SignedDuration::from_secs(61)));
        let taken_by = |process: Process| {
            let identity = Identity { process: process.to_string(), ..identity("b") };
            let file = StatusFile::new(&logs.path().join("b"), identity, Some(("1".into(), "1".into())));
            file.write(&Snapshot::new(1, second(0)), RunState::Running).unwrap();
            taken(&file.path, now)
        };
        // Our number, when another process had it; in another container nobody can tell.
        let before = Process { started: "1".into(), ..Process::this() };
        assert!(!taken_by(before.clone()));
        assert!(taken_by(Process { place: "elsewhere".into(), ..before }));
    }

    #[test]
    fn the_file_is_as_long_after_many_scans_as_after_few() {
        let file = StatusFile::new(Path::new("logs"), identity("a"), None);
        let after = |scans: u32| {
            let mut run = Snapshot::new(90_000, second(0));
            for n in 10_000..10_000 + scans {
                begun(n, Stage::Load).iter().for_each(|event| run.take(event, second(1)));
                run.take(&ended(n, Status::Failed(ErrorCode::Truncated)), second(1));
            }
            serde_json::to_vec(&file.document(&run, RunState::Finished, second(9))).unwrap().len()
        };
        let (few, many) = (after(10), after(10_000));
        assert!(many.abs_diff(few) < 50, "{few} and {many} bytes");
    }

    #[test]
    fn the_file_follows_its_schema() {
        let mut run = Snapshot::new(4, second(0));
        let failed = ended(1, Status::Failed(ErrorCode::Truncated));
        for event in begun(1, Stage::Load).iter().chain([&failed]).chain(&begun(2, Stage::Process)) {
            run.take(event, second(3));
        }
        let file = StatusFile::new(Path::new("logs"), identity("0199"), None);
        let schema = include_str!("../../docs/status.schema.json");
        let validator = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
        for state in [RunState::Running, RunState::Finished, RunState::Interrupted] {
            let value = serde_json::to_value(file.document(&run, state, second(9))).unwrap();
            let faults: Vec<String> = validator.iter_errors(&value).map(|e| e.to_string()).collect();
            assert!(faults.is_empty(), "{faults:?}\n{value:#}");
            assert_eq!(value["active"][0]["stage"], "process");
            assert_eq!(value["failures"][0]["code"], "NP-TRUNCATED");
            assert_eq!(value["eta_seconds"].is_null(), state != RunState::Running);
            assert_eq!(value["scans"]["waiting"], 2);
            assert!((value["rate_per_minute"].as_f64().unwrap() - 20.0 / 3.0).abs() < 1e-9);
        }
        for stage in Stage::ALL {
            let mut run = Snapshot::new(1, second(0));
            begun(1, *stage).iter().for_each(|event| run.take(event, second(1)));
            let value = serde_json::to_value(file.document(&run, RunState::Running, second(2))).unwrap();
            assert_eq!((&value["active"][0]["stage"], validator.is_valid(&value)), (&stage.as_str().into(), true));
        }
        let mut wrong = serde_json::to_value(file.document(&run, RunState::Running, second(9))).unwrap();
        wrong["state"] = "idle".into();
        assert!(!validator.is_valid(&wrong));
    }
}
