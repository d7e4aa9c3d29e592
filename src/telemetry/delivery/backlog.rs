//! What earlier, now dead processes left in a folder: claimed one process at a time, so that several senders share it.

use super::claim::{BEAT, Claim};
use super::courier::{Courier, Parcel, Step};
use super::files::{self, Cursor, SpoolFile};
use crate::telemetry::stats::Stats;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The claim of the process whose files are being sent. Shared, so that it can be given back while a request hangs.
pub type Held = Arc<Mutex<Option<Claim>>>;

/// The backlog of one folder.
#[derive(Debug)]
pub struct Backlog {
    dir: PathBuf,
    waiting: VecDeque<(String, Vec<SpoolFile>)>,
    parcels: VecDeque<Parcel>,
    held: Held,
    touched: Instant,
    stats: Arc<Stats>,
    /// Whether what was acknowledged is sent once more, where that does no harm.
    again: bool,
    /// Bytes that went through.
    pub bytes: u64,
}

impl Backlog {
    /// Looks for files in `dir` that are not sent to their end.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn find(dir: &Path, held: Held, stats: &Arc<Stats>, again: bool) -> io::Result<Self> {
        let sets = files::list(dir)?.into_iter().map(|(stem, files)| {
            let wanted = files.into_iter().filter(|(file, sent)| !sent || again && file.signal.may_repeat());
            (stem, wanted.map(|(file, _)| file).collect::<Vec<_>>())
        });
        Ok(Self {
            dir: dir.to_owned(),
            waiting: sets.filter(|(_, files)| !files.is_empty()).collect(),
            parcels: VecDeque::new(),
            held,
            touched: Instant::now(),
            stats: Arc::clone(stats),
            again,
            bytes: 0,
        })
    }

    /// Sends some of it. [`Step::AtEnd`] when nothing is left that may be sent: the files of living processes are theirs.
    pub fn step(&mut self, courier: &mut Courier) -> Step {
        loop {
            self.touch();
            if self.parcels.is_empty() && !self.open_next() {
                return Step::AtEnd;
            }
            if let Some(step) = self.step_in_set(courier) {
                return step;
            }
        }
    }

    /// One step with the first file that can make one; `None` when there was only tidying up to do.
    fn step_in_set(&mut self, courier: &mut Courier) -> Option<Step> {
        for _ in 0..self.parcels.len() {
            let parcel = self.parcels.front_mut()?;
            let before = parcel.cursor.offset;
            match courier.step(parcel, true) {
                Step::Moved => {
                    self.bytes += parcel.cursor.offset - before;
                    return Some(Step::Moved);
                }
                Step::AtEnd => {
                    let _ = parcel.file.close(&parcel.cursor).map_err(|e| self.stats.warn_file(&e));
                    self.parcels.pop_front();
                    return None;
                }
                Step::Blocked if !courier.takes(parcel.file.signal) => {
                    self.parcels.pop_front();
                    return None;
                }
                Step::Blocked => self.parcels.rotate_left(1),
            }
        }
        Some(Step::Blocked)
    }

    /// Claims the next process's files; false when there is none left.
    fn open_next(&mut self) -> bool {
        self.hold(None);
        while let Some((stem, files)) = self.waiting.pop_front() {
            let claim = Claim::take(&self.dir, &stem).map_err(|e| self.stats.warn_file(&e)).ok().flatten();
            if claim.is_none() {
                continue;
            }
            self.hold(claim);
            // Looked at only now: whoever had the claim before may have gone on meanwhile.
            let repeats = |file: &SpoolFile| self.again && file.signal.may_repeat();
            let wanted = files.into_iter().filter(|file| repeats(file) || !file.cursor().1);
            self.parcels = wanted.map(|file| Parcel::new(file, false)).collect();
            for parcel in self.parcels.iter_mut().filter(|p| self.again && p.file.signal.may_repeat()) {
                parcel.cursor = Cursor::default();
            }
            if !self.parcels.is_empty() {
                return true;
            }
            self.hold(None);
        }
        false
    }

    fn hold(&self, claim: Option<Claim>) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = claim;
    }

    fn touch(&mut self) {
        if self.touched.elapsed() < BEAT {
            return;
        }
        self.touched = Instant::now();
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_some_and(|claim| !claim.touch()) {
            self.parcels.clear(); // somebody took over after a long sleep of ours
        }
    }
}
