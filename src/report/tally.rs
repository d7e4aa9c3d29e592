//! Counts what happened, for the last lines of a run and its exit code.

use crate::error::{ErrorClass, ErrorCode};
use crate::run::event::{EventSink, RunEvent, Status};
use std::fmt::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Failures shown one by one; the rest is counted.
const SHOWN: usize = 10;

/// Takes note of every scan that ends.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Counts>);

/// How many scans ended how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// All outputs written.
    pub succeeded: usize,
    /// Failed scans: id, code, message.
    pub failed: Vec<(String, ErrorCode, String)>,
    /// Units whose outputs are there but whose marker or summary could not be written.
    pub unmarked: Vec<(String, ErrorCode)>,
}

impl Tally {
    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl EventSink for Tally {
    fn on_event(&self, event: &RunEvent) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            RunEvent::ScanFinished { scan_id, status, message, .. } => match status {
                Status::Success => counts.succeeded += 1,
                Status::Failed(code) => {
                    counts.failed.push((scan_id.clone(), *code, message.clone().unwrap_or_default()))
                }
                Status::Skipped => {}
            },
            // The unit's own failure, not one of its scans'.
            RunEvent::UnitFinished { unit, status: Status::Failed(code @ ErrorCode::WriteFailed), .. } => {
                let name = format!("sub-{}", unit.participant);
                if !counts.failed.iter().any(|f| f.1 == ErrorCode::WriteFailed && f.0.starts_with(&name)) {
                    counts.unmarked.push((name, *code));
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

    /// Whether the run was stopped before it was through.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        self.failed.iter().any(|(_, code, _)| code.class() == ErrorClass::Cancelled)
    }

    /// The last lines of a run. The very last one counts the scans and says where to look.
    #[must_use]
    pub fn text(&self, planned: usize, already_done: usize, seconds: f64, output: &Path) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        for (scan, code, message) in self.failed.iter().take(SHOWN) {
            let _ = writeln!(text, "FAILED {scan}: {message} [{code}]\n       {}", code.advice());
        }
        if self.failed.len() > SHOWN {
            let _ = writeln!(text, "FAILED {} more", self.failed.len() - SHOWN);
        }
        for (unit, code) in &self.unmarked {
            let _ = writeln!(
                text,
                "FAILED {unit}: its marker or summary could not be written [{code}]\n       {}",
                code.advice()
            );
        }
        let not_reached = planned.saturating_sub(self.succeeded + self.failed.len());
        let mut parts = vec![format!("{} ok", self.succeeded), format!("{} failed", self.failed.len())];
        if not_reached > 0 {
            parts.push(format!("{not_reached} not reached"));
        }
        if already_done > 0 {
            parts.push(format!("{already_done} already done"));
        }
        let total = planned + already_done;
        let _ =
            writeln!(text, "{total} scans: {} in {seconds:.1} s; outputs in {}", parts.join(", "), output.display());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_and_says_where_to_look() {
        let failed = vec![("sub-01_T1w".into(), ErrorCode::Truncated, "x.nii.gz ends early".into())];
        let counts = Counts { succeeded: 3, failed, unmarked: vec![] };
        let text = counts.text(5, 2, 1.25, Path::new("out"));
        assert!(text.starts_with("FAILED sub-01_T1w: x.nii.gz ends early [NP-TRUNCATED]\n"));
        assert!(
            text.ends_with("7 scans: 3 ok, 1 failed, 1 not reached, 2 already done in 1.2 s; outputs in out\n"),
            "{text}"
        );
        assert!(counts.any_failed() && !counts.interrupted());
    }
}
