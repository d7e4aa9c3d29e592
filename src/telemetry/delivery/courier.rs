//! Takes files to the collector, one request at a time: what has been acknowledged is written down before the next is
//! sent, what was not is tried again, later and later.

use super::files::{Cursor, SpoolFile};
use super::link::{Answer, Link};
use super::request::{self, Request};
use crate::telemetry::env::Environment;
use crate::telemetry::routes::{Routes, Target, address};
use crate::telemetry::stats::{Signal, Stats};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

/// Wait after the first failure; doubled with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Longest wait between two tries, unless the collector asks for more.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A file on its way.
#[derive(Debug)]
pub struct Parcel {
    /// The file.
    pub file: SpoolFile,
    /// How far it is.
    pub cursor: Cursor,
    /// Whether the items are those of this run, for its counts.
    pub own: bool,
    /// Lines of the next request: halved when a request is refused, to find the line that is to blame.
    max_lines: usize,
}

impl Parcel {
    /// Goes on where the cursor beside the file is.
    #[must_use]
    pub fn new(file: SpoolFile, own: bool) -> Self {
        let (cursor, _) = file.cursor();
        Self { file, cursor, own, max_lines: usize::MAX }
    }
}

/// What became of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Some of the file went through.
    Moved,
    /// There is nothing to send in it now.
    AtEnd,
    /// The collector does not take anything now; see [`Courier::next_try`].
    Blocked,
}

/// The way of one signal.
#[derive(Debug)]
struct Lane {
    link: Link,
    url: String,
    failures: u32,
    /// Not to be tried before.
    opens: Option<Instant>,
    /// The collector itself named that time.
    ordered: bool,
    stopped: bool,
}

/// The ways of all signals.
#[derive(Debug)]
pub struct Courier {
    /// Items that collectors took.
    pub delivered: u64,
    /// Items that they refused for good.
    pub rejected: u64,
    lanes: [Option<Lane>; 3],
    stats: Arc<Stats>,
}

impl Courier {
    /// Prepares the ways that `routes` names. A target that cannot be used is struck from the routes, with a warning.
    pub fn new(routes: &mut Routes, env: &Environment, stats: &Arc<Stats>, warnings: &mut Vec<String>) -> Self {
        let mut lane = |signal: Signal, target: &mut Option<Target>| {
            let wanted = target.take()?;
            let link = Link::new(&wanted, env, signal)
                .map_err(|e| warnings.push(format!("telemetry is not sent: {e}")))
                .ok()?;
            let url = target.insert(wanted).url.clone();
            Some(Lane { link, url, failures: 0, opens: None, ordered: false, stopped: false })
        };
        let lanes = [
            lane(Signal::Traces, &mut routes.traces.target),
            lane(Signal::Metrics, &mut routes.metrics.target),
            lane(Signal::Logs, &mut routes.logs.target),
        ];
        warnings.dedup(); // one certificate that cannot be read concerns all three signals
        Self { delivered: 0, rejected: 0, lanes, stats: Arc::clone(stats) }
    }

    /// Whether there is a way for anything.
    #[must_use]
    pub fn has_way(&self) -> bool {
        self.lanes.iter().flatten().any(|lane| !lane.stopped)
    }

    /// Whether there is a way for this signal.
    #[must_use]
    pub fn takes(&self, signal: Signal) -> bool {
        signal.of(&self.lanes).as_ref().is_some_and(|lane| !lane.stopped)
    }

    /// `host:port` of the collectors.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        let mut all: Vec<String> = self.lanes.iter().flatten().filter_map(|lane| address(&lane.url)).collect();
        all.dedup();
        all
    }

    /// Whether the last thing heard on some way was a failure.
    #[must_use]
    pub fn in_trouble(&self) -> bool {
        self.lanes.iter().flatten().any(|lane| lane.failures > 0)
    }

    /// When the next way opens; `None` when none is closed for a time.
    #[must_use]
    pub fn next_try(&self) -> Option<Instant> {
        self.lanes.iter().flatten().filter(|lane| !lane.stopped).filter_map(|lane| lane.opens).min()
    }

    /// Opens the ways that are closed only out of our own patience: there is no time left for it.
    pub fn hurry(&mut self) {
        for lane in self.lanes.iter_mut().flatten().filter(|lane| !lane.ordered) {
            (lane.opens, lane.failures) = (None, lane.failures.min(1));
        }
    }

    /// Sends the next lines of a file, if its way is open. `ended`: nobody writes to it any more.
    pub fn step(&mut self, parcel: &mut Parcel, ended: bool) -> Step {
        let signal = parcel.file.signal;
        let Some(lane) = signal.of_mut(&mut self.lanes).as_mut() else { return Step::Blocked };
        if lane.stopped || lane.opens.is_some_and(|time| time > Instant::now()) {
            return Step::Blocked;
        }
        let chunk = match request::read(&parcel.file, parcel.cursor.offset, parcel.max_lines, ended) {
            Ok(chunk) => chunk,
            Err(e) => {
                self.stats.warn_file(&e);
                lane.stopped = true;
                return Step::Blocked;
            }
        };
        if chunk.end == parcel.cursor.offset {
            return Step::AtEnd;
        }
        let mut next = Cursor { offset: chunk.end, torn: parcel.cursor.torn + chunk.torn, ..parcel.cursor };
        if let Some(request) = &chunk.request {
            match lane.send(signal, request, &self.stats) {
                Outcome::Blocked => return Step::Blocked,
                Outcome::Refused(_) if chunk.lines > 1 => {
                    parcel.max_lines = chunk.lines / 2;
                    return Step::Moved;
                }
                Outcome::Refused(reason) => {
                    self.stats.warn_rejected(&lane.url, &reason);
                    next.rejected += request.items();
                }
                Outcome::Taken { rejected } => {
                    let rejected = rejected.min(request.items());
                    next.delivered += request.items().saturating_sub(rejected);
                    next.rejected += rejected;
                    parcel.max_lines = parcel.max_lines.saturating_mul(2);
                }
            }
        }
        let (delivered, rejected) = (next.delivered - parcel.cursor.delivered, next.rejected - parcel.cursor.rejected);
        self.delivered += delivered;
        self.rejected += rejected;
        if parcel.own {
            let counts = self.stats.of(signal);
            counts.delivered.fetch_add(delivered, Relaxed);
            counts.rejected.fetch_add(rejected, Relaxed);
        }
        parcel.cursor = next;
        if let Err(e) = parcel.file.save(&next) {
            // Going on would send it again next time: better late than twice.
            self.stats.warn_file(&e);
            lane.stopped = true;
        }
        Step::Moved
    }
}

/// [`Answer`] after it was taken to heart.
enum Outcome {
    Taken { rejected: u64 },
    Refused(String),
    Blocked,
}

impl Lane {
    fn send(&mut self, signal: Signal, request: &Request, stats: &Stats) -> Outcome {
        match self.link.send(signal, request) {
            Answer::Taken { rejected, reason } => {
                (self.failures, self.opens, self.ordered) = (0, None, false);
                stats.note_acknowledged();
                if rejected > 0 {
                    stats.warn_rejected(&self.url, &reason);
                }
                Outcome::Taken { rejected }
            }
            Answer::Refused(reason) => {
                (self.failures, self.opens, self.ordered) = (0, None, false);
                Outcome::Refused(reason)
            }
            Answer::Stop(reason) => {
                self.stopped = true;
                stats.warn_network(&self.url, &reason, "nothing more is sent in this run; the files keep it");
                Outcome::Blocked
            }
            Answer::Later { after, reason } => {
                self.failures = self.failures.saturating_add(1);
                self.ordered = after.is_some();
                self.opens = Instant::now().checked_add(after.unwrap_or_else(|| jittered(wait(self.failures))));
                stats.warn_network(&self.url, &reason, "it is kept and sent again later");
                Outcome::Blocked
            }
        }
    }
}

fn wait(failures: u32) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled.min(LONGEST_WAIT)
}

/// Between half of `wait` and all of it, so that many processes do not come back at once.
fn jittered(wait: Duration) -> Duration {
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
    wait / 2 + wait / 2 * (nanos / 1000 % 1000) / 1000
}

#[cfg(test)]
#[path = "courier_tests.rs"]
mod tests;
