//! The thread that sends what this process writes to its spool, and then what earlier ones left beside it.
//!
//! The spool is its only queue: nothing is handed over in memory, so a slow collector costs no memory and no time of the
//! run. Without a collector the thread only keeps the claim on the files fresh.

use super::backlog::{Backlog, Held};
use super::claim::{BEAT, Claim};
use super::courier::{Courier, Parcel, Step};
use super::files::SpoolFile;
use crate::telemetry::routes;
use crate::telemetry::stats::Stats;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the files are looked at for new lines: requests become larger by it.
const POLL: Duration = Duration::from_millis(500);
/// Wait at the end when nothing listens at the collector's address.
const ABSENT: Duration = Duration::from_millis(300);

/// The sender as the run sees it.
#[derive(Debug)]
pub struct Sender {
    /// Takes the time until which the thread may go on.
    end: mpsc::Sender<Instant>,
    thread: Option<JoinHandle<()>>,
    own: Held,
    earlier: Held,
    addresses: Vec<String>,
    stats: Arc<Stats>,
}

impl Sender {
    /// Starts the thread. `files` are the first segments of this process's spool in `dir`, `claim` the claim on them.
    #[must_use]
    pub fn start(courier: Courier, dir: PathBuf, files: Vec<SpoolFile>, claim: Claim, stats: &Arc<Stats>) -> Self {
        let (end, ended) = mpsc::channel();
        let (own, earlier): (Held, Held) = (Arc::new(Mutex::new(Some(claim))), Held::default());
        let addresses = courier.addresses();
        let parcels =
            files.into_iter().filter(|f| courier.takes(f.signal)).map(|f| (Parcel::new(f, true), None)).collect();
        let worker = Worker {
            courier,
            dir,
            parcels,
            backlog: None,
            own: Arc::clone(&own),
            earlier: Arc::clone(&earlier),
            stats: Arc::clone(stats),
        };
        let thread = std::thread::Builder::new().name("telemetry-send".into()).spawn(move || worker.run(&ended));
        let thread = thread.map_err(|e| stats.warn_network("the collector", &e, "it is kept")).ok();
        Self { end, thread, own, earlier, addresses, stats: Arc::clone(stats) }
    }

    /// Waits for the rest to be sent, after the last line was written: at most `timeout`, at most two fifths of it
    /// without an acknowledgement, and hardly at all when nothing listens. Returns whether everything was.
    #[must_use]
    pub fn finish(self, timeout: Duration) -> bool {
        let begun = Instant::now();
        let silent = self.stats.acknowledged() == 0 || self.stats.in_trouble();
        let absent = silent && !self.addresses.is_empty() && !self.addresses.iter().any(|a| routes::listens(a));
        let timeout = if absent { timeout.min(ABSENT) } else { timeout };
        let _ = self.end.send(begun + timeout); // a thread that is gone needs no word
        let (mut heard, mut count) = (begun, self.stats.acknowledged());
        while self.thread.as_ref().is_some_and(|t| !t.is_finished()) {
            let now = self.stats.acknowledged();
            if now != count {
                (heard, count) = (Instant::now(), now);
            }
            let patience = if absent { timeout } else { timeout.mul_f64(0.4) };
            if begun.elapsed() >= timeout || heard.elapsed() >= patience {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let done = self.thread.is_some_and(|t| t.is_finished());
        if let Some(address) = self.addresses.first().filter(|_| !done) {
            self.stats.warn_network(address, &"not all in time", "neuro-preprocess telemetry replay sends the rest");
        }
        for held in [&self.own, &self.earlier] {
            held.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        done
    }
}

/// The sender from inside.
struct Worker {
    courier: Courier,
    dir: PathBuf,
    /// Our own files, and how many bytes had been written when the end was last reached: asking a shared file system
    /// twice a second would be a burden to it.
    parcels: Vec<(Parcel, Option<u64>)>,
    backlog: Option<Backlog>,
    own: Held,
    earlier: Held,
    stats: Arc<Stats>,
}

impl Worker {
    fn run(mut self, ended: &mpsc::Receiver<Instant>) {
        let mut end: Option<Instant> = None;
        let mut touched = Instant::now();
        loop {
            if touched.elapsed() >= BEAT {
                touched = Instant::now();
                self.touch();
            }
            let moved = self.step_own(end.is_some());
            let backlog = self.step_backlog(end.is_some());
            self.stats.note_trouble(self.courier.in_trouble());
            let moved = moved || backlog == Step::Moved;
            if let Some(end) = end
                && !moved
                && (self.is_done(backlog) || self.courier.next_try().is_some_and(|time| time > end))
            {
                return;
            }
            match ended.recv_timeout(if moved { Duration::ZERO } else { self.pause(end.is_some()) }) {
                Ok(time) => {
                    end = Some(time);
                    self.courier.hurry();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// One step with every file of our own; true when one got on.
    fn step_own(&mut self, ended: bool) -> bool {
        let mut moved = false;
        let courier = &mut self.courier;
        let stats = &self.stats;
        self.parcels.retain_mut(|(parcel, seen)| {
            let written = stats.of(parcel.file.signal).bytes.load(Relaxed);
            if *seen == Some(written) && !ended {
                return true;
            }
            // Asked before reading: once the next file is there, nothing is added to this one.
            let next = parcel.file.next();
            let full = next.path().exists();
            match courier.step(parcel, ended || full) {
                Step::Moved => moved = true,
                Step::AtEnd if full || ended => {
                    let _ = parcel.file.close(&parcel.cursor).map_err(|e| stats.warn_file(&e));
                    if !full {
                        return false;
                    }
                    *parcel = Parcel::new(next, true);
                    moved = true;
                }
                Step::AtEnd => *seen = Some(written),
                Step::Blocked => {}
            }
            true
        });
        moved
    }

    /// What earlier runs left comes after our own, and only once the collector has proved to be there.
    fn step_backlog(&mut self, ended: bool) -> Step {
        let proved = self.stats.acknowledged() > 0 || ended && self.parcels.is_empty();
        if !proved || !self.courier.has_way() {
            return Step::Blocked;
        }
        if self.backlog.is_none() {
            self.backlog = Backlog::find(&self.dir, Arc::clone(&self.earlier), &self.stats, false)
                .map_err(|e| self.stats.warn_file(&e))
                .ok();
        }
        self.backlog.as_mut().map_or(Step::AtEnd, |backlog| backlog.step(&mut self.courier))
    }

    fn is_done(&self, backlog: Step) -> bool {
        let own = self.parcels.iter().any(|(p, _)| self.courier.takes(p.file.signal));
        !own && (backlog == Step::AtEnd || !self.courier.has_way())
    }

    /// Until there may be something to do again.
    fn pause(&self, ending: bool) -> Duration {
        if !self.courier.has_way() {
            return if ending { Duration::ZERO } else { BEAT };
        }
        let retry = self.courier.next_try().map(|time| time.saturating_duration_since(Instant::now()));
        let poll = if ending { Duration::from_millis(20) } else { POLL };
        retry.map_or(poll, |retry| retry.clamp(Duration::from_millis(5), poll))
    }

    fn touch(&self) {
        if let Some(claim) = &*self.own.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = claim.touch(); // our own files stay ours: nobody else writes them
        }
    }
}
