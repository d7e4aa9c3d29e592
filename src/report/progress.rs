//! One line on stderr for every scan that ends.

use crate::run::event::{EventSink, RunEvent, Status};
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Prints a line per scan: how many of how many, which, how it ended, how long it took.
#[derive(Debug)]
pub struct Progress {
    total: usize,
    done: AtomicUsize,
    out: Mutex<std::io::Stderr>,
}

impl Progress {
    /// For a run of `total` scans.
    #[must_use]
    pub fn new(total: usize) -> Self {
        Self { total, done: AtomicUsize::new(0), out: Mutex::new(std::io::stderr()) }
    }
}

impl EventSink for Progress {
    fn on_event(&self, event: &RunEvent) {
        let RunEvent::ScanFinished { scan_id, status, seconds, quality_score, .. } = event else { return };
        let n = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let line = match status {
            Status::Success => {
                let quality = quality_score.map(|q| format!(", quality {q:.0}")).unwrap_or_default();
                format!("[{n}/{}] {scan_id} ok in {seconds:.1} s{quality}", self.total)
            }
            Status::Failed(code) => format!("[{n}/{}] {scan_id} failed after {seconds:.1} s: {code}", self.total),
            Status::Skipped => format!("[{n}/{}] {scan_id} skipped", self.total),
        };
        if let Ok(mut out) = self.out.lock() {
            // Whoever read stderr may be gone; that must not stop the run.
            let _ = writeln!(out, "{line}");
        }
    }
}
