//! Counts what happened, for the last lines of a run and its exit code.

use crate::error::{ErrorClass, ErrorCode};
use crate::vocabulary::{EventSink, RunEvent, SessionId, Status};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// How many of the slowest scans are kept.
const SLOWEST: usize = 3;

/// Takes note of every scan that ends.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    counts: Counts,
    /// Units that are being worked on and of which a scan could not be written.
    unwritten: HashSet<SessionId>,
}

/// How many scans ended how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// All outputs written.
    pub succeeded: usize,
    /// Skipped: another run is processing them.
    pub left: usize,
    /// Failed scans: id, code, message.
    pub failed: Vec<(String, ErrorCode, String)>,
    /// Units whose outputs are there but whose marker or summary could not be written.
    pub unmarked: Vec<(String, ErrorCode)>,
    /// The scans that took longest, in seconds, the slowest first.
    pub slowest: Vec<(f64, String)>,
}

impl Tally {
    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).counts.clone()
    }
}

impl EventSink for Tally {
    fn on_event(&self, event: &RunEvent) {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Taken { counts, unwritten } = &mut *taken;
        match event {
            RunEvent::ScanFinished { session: unit, scan_id, status, message, seconds, .. } => {
                match status {
                    Status::Success => counts.succeeded += 1,
                    Status::Failed(code) => {
                        if *code == ErrorCode::WriteFailed {
                            unwritten.insert(unit.clone());
                        }
                        counts.failed.push((scan_id.clone(), *code, message.clone().unwrap_or_default()));
                    }
                    Status::Skipped => {
                        counts.left += 1;
                        return;
                    }
                }
                counts.took(*seconds, scan_id);
            }
            // The unit's own failure, not one of its scans'.
            RunEvent::SessionFinished {
                session: unit, status: Status::Failed(code @ ErrorCode::WriteFailed), ..
            } => {
                let told = unwritten.remove(unit);
                if !told {
                    counts.unmarked.push((format!("sub-{}", unit.participant), *code));
                }
            }
            _ => {}
        }
    }
}

impl Counts {
    /// Whether anything failed.
    #[must_use]
    pub fn any_failed(&self) -> bool {
        !self.failed.is_empty() || !self.unmarked.is_empty()
    }

    /// Scans among the failed that were only stopped on request.
    #[must_use]
    pub fn stopped(&self) -> usize {
        self.failed.iter().filter(|(_, code, _)| code.class() == ErrorClass::Cancelled).count()
    }

    fn took(&mut self, seconds: f64, scan_id: &str) {
        let place = self.slowest.partition_point(|(other, _)| *other >= seconds);
        if place < SLOWEST {
            self.slowest.insert(place, (seconds, scan_id.to_owned()));
            self.slowest.truncate(SLOWEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::live::tests::ended;
    use super::*;

    #[test]
    fn the_slowest_are_kept_in_order() {
        let mut counts = Counts::default();
        for (seconds, scan) in [(1.0, "a"), (5.0, "b"), (2.0, "c"), (4.0, "d"), (0.5, "e")] {
            counts.took(seconds, scan);
        }
        let kept: Vec<&str> = counts.slowest.iter().map(|(_, scan)| scan.as_str()).collect();
        assert_eq!(kept, ["b", "d", "c"]);
    }

    #[test]
    fn a_unit_without_marker_is_told_from_one_whose_scan_was_not_written() {
        let failed = Status::Failed(ErrorCode::WriteFailed);
        let unit = |label: &str, session: Option<&str>| RunEvent::SessionFinished {
            session: SessionId { participant: label.into(), session: session.map(str::to_owned) },
            status: failed,
            seconds: 1.0,
            quality_score: None,
        };
        let tally = Tally::default();
        // The scan is of sub-10.
        for event in [ended(10, failed), unit("1", None), unit("10", Some("A")), unit("10", None)] {
            tally.on_event(&event);
        }
        let write_failed = |name: &str| (name.to_owned(), ErrorCode::WriteFailed);
        assert_eq!(tally.counts().unmarked, [write_failed("sub-1"), write_failed("sub-10")]);
        assert_eq!(tally.counts().failed.len(), 1);
    }

    #[test]
    fn scans_that_were_stopped_are_told_from_those_that_failed() {
        let tally = Tally::default();
        for status in [Status::Success, Status::Failed(ErrorCode::NoBrain), Status::Failed(ErrorCode::Interrupted)] {
            tally.on_event(&ended(1, status));
        }
        let counts = tally.counts();
        assert_eq!((counts.succeeded, counts.failed.len(), counts.stopped()), (1, 2, 1));
        assert!(counts.any_failed());
    }
}
