//! The runs a dataset has seen: from the telemetry they left, and where there is none from the summaries, which know the
//! last run of each participant-session.

use crate::derivatives::summary::SessionSummary;
use crate::trace_view::{Archive, Run, Status, seconds};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One run, or the tasks of one Slurm array together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HistoryRow {
    /// First start, seconds since 1970.
    pub start: f64,
    /// Last end, seconds since 1970.
    pub end: f64,
    /// Slurm's number of the job or array.
    pub job: Option<String>,
    /// Tasks of the array; 0 for a run of its own.
    pub tasks: usize,
    /// The machines.
    pub hosts: BTreeSet<String>,
    /// The versions of the program.
    pub versions: BTreeSet<String>,
    /// Participant-sessions that went well.
    pub succeeded: usize,
    /// Participant-sessions that failed.
    pub failed: usize,
    /// Participant-sessions without a recorded end, or that were not reached.
    pub unfinished: usize,
    /// Whether every process came to its end.
    pub finished: bool,
}

impl HistoryRow {
    /// Wall-clock seconds from the first start to the last end.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        (self.end - self.start).max(0.0)
    }

    fn merge(&mut self, other: Self) {
        self.start = self.start.min(other.start);
        self.end = self.end.max(other.end);
        self.tasks += other.tasks;
        self.hosts.extend(other.hosts);
        self.versions.extend(other.versions);
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.unfinished += other.unfinished;
        self.finished &= other.finished;
    }
}

/// The runs, the latest first; the tasks of an array are one row.
#[must_use]
pub fn history(archive: &Archive, units: &[SessionSummary]) -> Vec<HistoryRow> {
    let mut rows: BTreeMap<&str, HistoryRow> = BTreeMap::new();
    let mut add = |key, row: HistoryRow| match rows.get_mut(key) {
        Some(known) => known.merge(row),
        None => drop(rows.insert(key, row)),
    };
    for run in &archive.runs {
        add(run.array.as_ref().unwrap_or(&run.id), of_run(run));
    }
    let traced: BTreeSet<&str> = archive.runs.iter().map(|run| run.id.as_str()).collect();
    for unit in units.iter().filter(|unit| !traced.contains(unit.run_id.as_str())) {
        add(&unit.run_id, of_summary(unit));
    }
    let mut rows: Vec<HistoryRow> = rows.into_values().collect();
    rows.sort_by(|a, b| b.start.total_cmp(&a.start));
    rows
}

fn of_run(run: &Run) -> HistoryRow {
    let count = |status| run.subjects.iter().filter(|subject| subject.status == status).count();
    HistoryRow {
        start: seconds(0, run.start_ns),
        end: seconds(0, run.end_ns),
        job: run.array.clone().or_else(|| run.job.clone()),
        tasks: usize::from(run.array.is_some()),
        hosts: BTreeSet::from([run.host.clone()]),
        versions: BTreeSet::from([run.version.clone()]),
        succeeded: count(Status::Ok),
        failed: count(Status::Failed),
        unfinished: count(Status::Unfinished),
        finished: run.finished,
    }
}

/// What one participant-session tells of its run.
fn of_summary(unit: &SessionSummary) -> HistoryRow {
    let start = unit.started.parse().map_or(0.0, |started: Timestamp| started.as_duration().as_secs_f64());
    let is = |status| usize::from(unit.status == status);
    HistoryRow {
        start,
        end: start + unit.seconds,
        versions: BTreeSet::from([unit.version.clone()]),
        succeeded: is("success"),
        failed: is("failed"),
        unfinished: is("skipped"),
        finished: true,
        ..HistoryRow::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace_view::Subject;
    use serde_json::json;

    fn run(id: &str, array: Option<&str>, start: u64, statuses: &[Status]) -> Run {
        let subjects = statuses.iter().map(|status| Subject { status: *status, ..Subject::default() }).collect();
        let (start_ns, end_ns) = (start * 1_000_000_000, (start + 5) * 1_000_000_000);
        let array = array.map(str::to_owned);
        Run { id: id.into(), host: id.into(), array, start_ns, end_ns, finished: true, subjects, ..Run::default() }
    }

    #[test]
    fn tasks_are_one_row_and_runs_without_telemetry_are_known_by_their_summaries() {
        let runs = vec![
            run("a", Some("77"), 100, &[Status::Ok]),
            run("b", Some("77"), 110, &[Status::Failed]),
            run("c", None, 200, &[Status::Ok, Status::Unfinished]),
        ];
        let unit = |run: &str, status: &str, started: &str| {
            serde_json::from_value(json!({
                "participant_id": "sub-01", "status": status, "run_id": run, "version": "1", "seconds": 7.0,
                "started": started, "peak_memory_mb": 1.0, "scans": []
            }))
            .unwrap()
        };
        let units = [
            unit("c", "success", "1970-01-01T00:03:20Z"),
            unit("d", "success", "1970-01-01T00:00:10Z"),
            unit("d", "failed", "1970-01-01T00:00:12Z"),
        ];
        let rows = history(&Archive { runs, torn_lines: 0 }, &units);
        let told: Vec<_> = rows.iter().map(|r| (r.start, r.seconds(), r.succeeded, r.failed, r.unfinished)).collect();
        assert_eq!(told, [(200.0, 5.0, 1, 0, 1), (100.0, 15.0, 1, 1, 0), (10.0, 9.0, 1, 1, 0)]);
        assert_eq!((rows[1].tasks, rows[1].hosts.len(), rows[1].job.as_deref()), (2, 2, Some("77")));
        assert_eq!((rows[2].tasks, rows[2].hosts.len()), (0, 0));
    }
}
