//! What has been delivered of the spool files in a folder, and what is waiting.

use super::files::{self, SpoolFile};
use super::request;
use crate::telemetry::stats::Signal;
use serde_json::{Value, json};
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

/// Counts of one signal. Items are spans, log records or metric points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Files.
    pub files: u64,
    /// Items that a collector took.
    pub delivered: u64,
    /// Items that a collector refused for good.
    pub rejected: u64,
    /// Items that are still to be sent.
    pub waiting: u64,
    /// Lines that cannot be read, because their writer was killed.
    pub torn: u64,
    /// Time of the first item that waits, nanoseconds since 1970; 0 when none does.
    pub oldest: u64,
}

impl Count {
    /// Items in the files.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.delivered + self.rejected + self.waiting
    }

    fn oldest_text(&self) -> Option<String> {
        let nanos = i128::from(self.oldest);
        let time = jiff::Timestamp::from_nanosecond(nanos).ok().filter(|_| self.oldest > 0)?;
        Some(format!("{time:.0}"))
    }
}

/// Counts of all signals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The folders looked at.
    pub folders: Vec<PathBuf>,
    counts: [Count; 3],
}

impl Status {
    /// Counts everything in these folders.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn of(folders: Vec<PathBuf>) -> io::Result<Self> {
        let mut status = Self::default();
        for folder in &folders {
            status.add_folder(folder)?;
        }
        Ok(Self { folders, ..status })
    }

    fn add_folder(&mut self, folder: &Path) -> io::Result<()> {
        for (file, _) in files::list(folder)?.into_values().flatten() {
            add_file(&file, file.signal.of_mut(&mut self.counts))?;
        }
        Ok(())
    }

    /// The counts by signal.
    pub fn signals(&self) -> impl Iterator<Item = (Signal, &Count)> {
        Signal::ALL.into_iter().zip(&self.counts)
    }

    /// Items of all signals that wait.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.counts.iter().map(|c| c.waiting).sum()
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let signals = self.signals().map(|(signal, c)| {
            let row = json!({
                "files": c.files, "written": c.written(), "delivered": c.delivered, "waiting": c.waiting,
                "rejected": c.rejected, "torn_lines": c.torn, "oldest_waiting": c.oldest_text(),
            });
            (signal.as_str().to_owned(), row)
        });
        json!({ "folders": self.folders, "signals": serde_json::Map::from_iter(signals) })
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text =
            String::from("signal    files    written  delivered    waiting   rejected  torn lines  oldest waiting\n");
        for (signal, c) in self.signals() {
            let oldest = c.oldest_text().unwrap_or_else(|| "-".to_owned());
            let (name, written) = (signal.as_str(), c.written());
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{name:<8}{:>7} {written:>10} {:>10} {:>10} {:>10} {:>11}  {oldest}",
                c.files, c.delivered, c.waiting, c.rejected, c.torn
            );
        }
        text
    }
}

/// Only what lies behind the cursor has to be read; the rest was counted when it was sent.
fn add_file(file: &SpoolFile, count: &mut Count) -> io::Result<()> {
    let (cursor, sent) = file.cursor();
    count.files += 1;
    count.delivered += cursor.delivered;
    count.rejected += cursor.rejected;
    count.torn += cursor.torn;
    if sent {
        return Ok(());
    }
    let mut offset = cursor.offset;
    loop {
        let chunk = request::read(file, offset, usize::MAX, true)?;
        if chunk.end == offset {
            return Ok(());
        }
        offset = chunk.end;
        count.torn += chunk.torn;
        if let Some(request) = chunk.request {
            count.waiting += request.items();
            let time = request.time();
            if time > 0 && (count.oldest == 0 || time < count.oldest) {
                count.oldest = time;
            }
        }
    }
}
