//! What is going on in a run right now, gathered from its events: for the screen and for `status.json`.

use crate::error::ErrorCode;
use crate::vocabulary::{EventSink, RunEvent, SessionId, Stage, Status};
use jiff::Timestamp;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Failures that are kept to be shown; the log has all of them.
const KEPT: usize = 5;

/// Takes note of every event of a run.
#[derive(Debug)]
pub struct Live {
    state: Mutex<Snapshot>,
}

/// The state of a run at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When the run began.
    pub started: Timestamp,
    /// Scans to do in this run.
    pub planned: usize,
    /// Scans all of whose outputs are written.
    pub succeeded: usize,
    /// Scans that failed, those stopped on request among them.
    pub failed: usize,
    /// Scans left to other runs.
    pub skipped: usize,
    /// What is being worked on, in the order of its beginning.
    pub active: Vec<Active>,
    /// The last failures, the oldest first.
    pub failures: VecDeque<Failure>,
}

/// A scan that is being worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Active {
    /// Participant and session.
    pub unit: SessionId,
    /// File name without extension.
    pub scan_id: String,
    /// When work on it began.
    pub since: Timestamp,
    /// The stages it is in, with their beginning: a phase, and the step in it.
    stages: Vec<(Stage, Timestamp)>,
}

/// A scan that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// File name without extension.
    pub scan_id: String,
    /// Why.
    pub code: ErrorCode,
    /// Why, for people.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// How fast a run goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Scans that ended, per minute.
    pub per_minute: f64,
    /// Seconds until the last scan ends, if all goes on like this.
    pub seconds_left: f64,
}

impl Live {
    /// For a run of `planned` scans that begins now.
    #[must_use]
    pub fn new(planned: usize) -> Self {
        Self { state: Mutex::new(Snapshot::new(planned, Timestamp::now())) }
    }

    /// The state now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl EventSink for Live {
    fn on_event(&self, event: &RunEvent) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).take(event, Timestamp::now());
    }
}

impl Snapshot {
    /// A run of `planned` scans that begins at `started`.
    #[must_use]
    pub fn new(planned: usize, started: Timestamp) -> Self {
        let (active, failures) = (Vec::new(), VecDeque::new());
        Self { started, planned, succeeded: 0, failed: 0, skipped: 0, active, failures }
    }

    /// Takes note of an event that happens at `now`.
    pub fn take(&mut self, event: &RunEvent, now: Timestamp) {
        match event {
            RunEvent::ScanStarted { session: unit, scan_id, .. } => {
                let (unit, scan_id) = (unit.clone(), scan_id.clone());
                self.active.push(Active { unit, scan_id, since: now, stages: Vec::new() });
            }
            RunEvent::StageStarted { scan_id, stage } => {
                if let Some(active) = self.active.iter_mut().find(|a| a.scan_id == *scan_id) {
                    active.stages.push((*stage, now));
                }
            }
            RunEvent::StageFinished { scan_id, .. } => {
                if let Some(active) = self.active.iter_mut().find(|a| a.scan_id == *scan_id) {
                    active.stages.pop();
                }
            }
            RunEvent::ScanFinished { scan_id, status, message, .. } => {
                self.active.retain(|active| active.scan_id != *scan_id);
                self.ended(scan_id, *status, message.as_deref().unwrap_or_default(), now);
            }
            RunEvent::RunStarted { .. }
            | RunEvent::SessionStarted { .. }
            | RunEvent::SessionFinished { .. }
            | RunEvent::RunFinished { .. } => {}
        }
    }

    fn ended(&mut self, scan_id: &str, status: Status, message: &str, at: Timestamp) {
        match status {
            Status::Success => self.succeeded += 1,
            Status::Failed(code) => {
                self.failed += 1;
                self.failures.push_back(Failure { scan_id: scan_id.into(), code, message: message.into(), at });
                if self.failures.len() > KEPT {
                    self.failures.pop_front();
                }
            }
            Status::Skipped => self.skipped += 1,
        }
    }

    /// Scans that ended, well or not.
    #[must_use]
    pub const fn done(&self) -> usize {
        self.succeeded + self.failed
    }

    /// Scans that have not ended.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.planned.saturating_sub(self.done() + self.skipped)
    }

    /// How fast it goes; `None` until the first scan has ended.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "numbers of scans are far below 2^52")]
    pub fn pace(&self, now: Timestamp) -> Option<Pace> {
        let seconds = seconds_between(self.started, now);
        if self.done() == 0 || seconds <= 0.0 {
            return None;
        }
        let per_second = self.done() as f64 / seconds;
        Some(Pace { per_minute: per_second * 60.0, seconds_left: self.left() as f64 / per_second })
    }
}

impl Active {
    /// The innermost stage it is in, and since when; between stages, the last one's phase or none.
    #[must_use]
    pub fn stage(&self) -> Option<(Stage, Timestamp)> {
        self.stages.last().copied()
    }
}

/// Seconds from one moment to a later one; 0 when the clock was set back in between.
#[must_use]
pub fn seconds_between(earlier: Timestamp, later: Timestamp) -> f64 {
    later.duration_since(earlier).as_secs_f64().max(0.0)
}

/// A time for people: `12 s`, `4:05`, `2:03:04`.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of at least 0")]
pub fn clock(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest} s"),
        (0, _) => format!("{minutes}:{rest:02}"),
        _ => format!("{hours}:{minutes:02}:{rest:02}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bids::Modality;

    /// The second `n` of a run.
    pub fn second(n: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + n).unwrap()
    }

    pub fn begun(n: u32, stage: Stage) -> [RunEvent; 2] {
        let (scan_id, unit) = (format!("sub-{n:02}_T1w"), SessionId { participant: format!("{n:02}"), session: None });
        let (modality, format, size_mb) = (Modality::T1w, "nifti", 1.0);
        [
            RunEvent::ScanStarted { session: unit, scan_id: scan_id.clone(), modality, format, size_mb },
            RunEvent::StageStarted { scan_id, stage },
        ]
    }

    pub fn ended(n: u32, status: Status) -> RunEvent {
        RunEvent::ScanFinished {
            session: SessionId { participant: format!("{n:02}"), session: None },
            scan_id: format!("sub-{n:02}_T1w"),
            modality: Modality::T1w,
            status,
            last_stage: Stage::Save,
            seconds: 2.0,
            output_mb: None,
            quality_score: Some(80.0),
            message: matches!(status, Status::Failed(_)).then(|| "it is broken".to_owned()),
        }
    }

    #[test]
    fn events_become_a_state_with_stages_and_a_pace() {
        let mut run = Snapshot::new(4, second(0));
        assert_eq!(run.pace(second(9)), None);
        for event in begun(1, Stage::Process).iter().chain(&begun(2, Stage::Load)) {
            run.take(event, second(1));
        }
        let scan_id = "sub-01_T1w".to_owned();
        run.take(&RunEvent::StageStarted { scan_id: scan_id.clone(), stage: Stage::SkullStrip }, second(5));
        assert_eq!(run.active[0].stage(), Some((Stage::SkullStrip, second(5))));
        let (modality, stage) = (Modality::T1w, Stage::SkullStrip);
        run.take(&RunEvent::StageFinished { scan_id, modality, stage, seconds: 1.0, error: None }, second(6));
        assert_eq!(run.active[0].stage(), Some((Stage::Process, second(1))));
        run.take(&ended(1, Status::Success), second(10));
        assert_eq!((run.active.len(), run.done(), run.left()), (1, 1, 3));
        assert_eq!(run.pace(second(10)), Some(Pace { per_minute: 6.0, seconds_left: 30.0 }));
    }

    #[test]
    fn the_last_failures_are_kept() {
        let mut run = Snapshot::new(9, second(0));
        for n in 1..=7 {
            run.take(&ended(n, Status::Failed(ErrorCode::Truncated)), second(i64::from(n)));
        }
        let ids: Vec<&str> = run.failures.iter().map(|f| f.scan_id.as_str()).collect();
        assert_eq!(
            (run.failed, ids.len(), ids[4], run.failures[4].message.as_str()),
            (7, 5, "sub-07_T1w", "it is broken")
        );
    }

    #[test]
    fn times_are_short() {
        let shown = [0.4, 59.4, 61.0, 3600.0, 7384.0].map(clock);
        assert_eq!(shown, ["0 s", "59 s", "1:01", "1:00:00", "2:03:04"]);
    }
}
