//! Lines on standard error where there is no terminal to draw on: for every scan that ends, for sessions that are processed
//! again without a request, and a sign of life when no scan ends for a while.

use crate::error::ErrorClass;
use crate::progress::live::{Snapshot, clock, seconds_between};
use crate::terminal::{self, Color};
use crate::vocabulary::{EventSink, RunEvent, Status};
use jiff::Timestamp;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// Seconds without a line after which one is written although no scan has ended.
const SILENCE: f64 = 5.0;

/// What is shown.
const NOTHING: u8 = 0;
const FAILURES: u8 = 1;
const ALL: u8 = 2;

/// Prints a line per scan: how many of how many, which, how it ended, how long it took.
#[derive(Debug)]
pub struct Lines {
    total: usize,
    done: AtomicUsize,
    shown: AtomicU8,
    last: Mutex<Timestamp>,
}

impl Lines {
    /// For a run of `total` scans; silent until switched [`on`](Self::switch_on).
    #[must_use]
    pub fn new(total: usize) -> Self {
        let last = Mutex::new(Timestamp::now());
        Self { total, done: AtomicUsize::new(0), shown: AtomicU8::new(NOTHING), last }
    }

    /// Writes lines from now on.
    pub fn switch_on(&self) {
        // Whatever was shown until now was no silence.
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Timestamp::now();
        self.shown.store(ALL, Relaxed);
    }

    /// Writes lines of failed scans only from now on: above a board, which shows the others.
    pub fn switch_on_failures(&self) {
        self.shown.store(FAILURES, Relaxed);
    }

    fn shows(&self, least: u8) -> bool {
        self.shown.load(Relaxed) >= least
    }

    /// Writes a line about `run` when there was none for a while.
    pub fn keep_alive(&self, run: &Snapshot, now: Timestamp) {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if self.shows(ALL) && seconds_between(last, now) >= SILENCE {
            self.print(&sign_of_life(run, now), now);
        }
    }

    fn print(&self, line: &str, now: Timestamp) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = now;
        terminal::print_marked(&terminal::wrapped(&format!("{line}\n")), "failed", Color::Red);
    }
}

impl EventSink for Lines {
    fn on_event(&self, event: &RunEvent) {
        if let RunEvent::SessionStarted { session: unit, why } = event
            && why.is_surprise()
            && self.shows(ALL)
        {
            self.print(&format!("{unit} {why}"), Timestamp::now());
        }
        let RunEvent::ScanFinished { scan_id, status, seconds, quality_score, message, .. } = event else { return };
        let n = self.done.fetch_add(1, Relaxed) + 1;
        let line = match status {
            Status::Success => {
                let quality = quality_score.map(|q| format!(", quality {q:.0}")).unwrap_or_default();
                format!("[{n}/{}] {scan_id} ok in {seconds:.1} s{quality}", self.total)
            }
            Status::Failed(code) if code.class() == ErrorClass::Cancelled => {
                format!("[{n}/{}] {scan_id} stopped after {seconds:.1} s", self.total)
            }
            Status::Failed(code) => format!("[{n}/{}] {scan_id} failed after {seconds:.1} s: {code}", self.total),
            Status::Skipped => {
                let why = message.as_deref().unwrap_or("skipped");
                format!("[{n}/{}] {scan_id} skipped: {why}", self.total)
            }
        };
        let failed = matches!(status, Status::Failed(code) if code.class() != ErrorClass::Cancelled);
        if self.shows(if failed { FAILURES } else { ALL }) {
            self.print(&line, Timestamp::now());
        }
    }
}

/// `[3/10] 2 at work (sub-04_T1w skull_strip 12 s, …), 1 failed, 4.1 scans/min, about 1:05 left`.
fn sign_of_life(run: &Snapshot, now: Timestamp) -> String {
    let mut parts = vec![format!("{} at work", run.active.len())];
    if let Some(longest) = run.active.first() {
        let (stage, since) = longest.stage().map_or(("", longest.since), |(stage, since)| (stage.as_str(), since));
        let more = if run.active.len() > 1 { ", …" } else { "" };
        let time = clock(seconds_between(since, now));
        parts[0] += &format!(" ({} {stage} {time}{more})", longest.scan_id);
    }
    if run.failed > 0 {
        parts.push(format!("{} failed", run.failed));
    }
    if let Some(pace) = run.pace(now) {
        parts.push(format!("{:.1} scans/min", pace.per_minute));
        parts.push(format!("about {} left", clock(pace.seconds_left)));
    }
    format!("[{}/{}] {}", run.done(), run.planned, parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::super::live::tests::{begun, ended, second};
    use super::*;
    use crate::error::ErrorCode;
    use crate::vocabulary::Stage;

    #[test]
    fn a_sign_of_life_says_where_it_is() {
        let mut run = Snapshot::new(4, second(0));
        assert_eq!(sign_of_life(&run, second(5)), "[0/4] 0 at work");
        run.take(&ended(1, Status::Failed(ErrorCode::NoBrain)), second(10));
        for event in begun(2, Stage::SkullStrip).iter().chain(&begun(3, Stage::Load)) {
            run.take(event, second(20));
        }
        let said = sign_of_life(&run, second(30));
        assert_eq!(said, "[1/4] 2 at work (sub-02_T1w skull_strip 10 s, …), 1 failed, 2.0 scans/min, about 1:30 left");
    }
}
