//! Keeps the screen and `status.json` up to date while a run goes on, and says what happens when it is asked to stop.

use super::board::board;
use super::lines::Lines;
use crate::derivatives::DerivativeError;
use crate::progress::live::{Live, Snapshot, clock, seconds_between};
use crate::progress::status::{RunState, StatusFile};
use crate::terminal;
use jiff::Timestamp;
use std::fmt::Write;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How often a request to stop is looked for.
const LOOK: Duration = Duration::from_millis(20);
/// Looks from one drawing of the screen to the next.
const DRAW: u32 = 5;
/// Seconds after which `status.json` is written at the latest.
const REFRESH: f64 = 2.0;
/// Seconds between two writings of it at least, however fast scans end.
const REST: f64 = 0.5;
/// Scans named when a run is asked to stop.
const NAMED: usize = 8;

/// How a run is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Lines at the bottom of a terminal that are drawn anew.
    Board,
    /// A line for every scan that ends.
    Lines,
    /// Nothing but what is logged.
    Nothing,
}

impl View {
    /// The view for standard error as it is: a board where the cursor can be moved. `silent` shows nothing.
    #[must_use]
    pub fn fitting(silent: bool) -> Self {
        match (silent, terminal::size()) {
            (true, _) => Self::Nothing,
            (false, Some(_)) => Self::Board,
            (false, None) => Self::Lines,
        }
    }
}

/// Watches one run.
pub struct Watch<'a> {
    /// Where the state of the run comes from.
    pub live: &'a Live,
    /// The lines, which must be among the readers of the run's events.
    pub lines: &'a Lines,
    /// How it is shown.
    pub view: View,
    /// The file for watchers outside.
    pub status: &'a StatusFile,
    /// Once the run stops before its end, what to press to end it at once.
    pub stopping: &'a (dyn Fn() -> Option<&'static str> + Sync),
    /// Told once when the file cannot be written.
    pub complain: &'a (dyn Fn(&DerivativeError) + Sync),
}

impl Watch<'_> {
    /// Does `work`, and keeps everything up to date until it is done. The screen is clean afterwards.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        match self.view {
            View::Lines => self.lines.switch_on(),
            View::Board => self.lines.switch_on_failures(),
            View::Nothing => {}
        }
        let (end, ended) = channel::<()>();
        std::thread::scope(|scope| {
            let watcher = std::thread::Builder::new().name("watch".to_owned());
            let started = watcher.spawn_scoped(scope, move || {
                let mut keeper = Keeper { watch: self, stopped: false, written: None, complained: false };
                let mut looks = 0;
                while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                    looks += 1;
                    if looks % DRAW == 0 || !keeper.stopped && (self.stopping)().is_some() {
                        keeper.tick(false);
                    }
                }
                keeper.tick(true);
            });
            // At the limit of threads the run continues without progress.
            if let Err(e) = started {
                terminal::print(&format!(
                    "warning: no thread for the screen and status.json ({e}); ulimit -u has the limit\n"
                ));
            }
            let result = work();
            drop(end);
            result
        })
    }
}

/// What the watching thread remembers from one look to the next.
struct Keeper<'a> {
    watch: &'a Watch<'a>,
    stopped: bool,
    /// When the file was written, by a monotonic clock, and how many scans had ended then.
    written: Option<(Instant, usize)>,
    complained: bool,
}

impl Keeper<'_> {
    fn tick(&mut self, over: bool) {
        let (run, now) = (self.watch.live.snapshot(), Timestamp::now());
        if !self.stopped
            && let Some(key) = (self.watch.stopping)()
        {
            self.stop(&run, now, key, over);
        }
        if self.watch.view == View::Board && !self.stopped {
            let lines =
                if over { Vec::new() } else { terminal::size().map(|size| board(&run, now, size)).unwrap_or_default() };
            terminal::show(lines);
        }
        if !over {
            self.watch.lines.keep_alive(&run, now);
        }
        let due = self.written.is_none_or(|(at, done)| {
            let age = at.elapsed().as_secs_f64();
            age >= REFRESH || age >= REST && done != run.done()
        });
        if over || due {
            let state = if self.stopped { RunState::Interrupted } else { RunState::Running };
            self.write(&run, if over && !self.stopped { RunState::Finished } else { state });
        }
    }

    /// Leaves a clean screen, because the next request ends the process where it is; from here on there are lines only.
    fn stop(&mut self, run: &Snapshot, now: Timestamp, key: &str, over: bool) {
        self.stopped = true;
        self.written = None;
        terminal::show(Vec::new());
        if self.watch.view != View::Nothing && !over {
            terminal::print(&terminal::wrapped(&stopping(run, now, key)));
            self.watch.lines.switch_on();
        }
    }

    fn write(&mut self, run: &Snapshot, state: RunState) {
        self.written = Some((Instant::now(), run.done()));
        if let Err(e) = self.watch.status.write(run, state)
            && !self.complained
        {
            self.complained = true;
            (self.watch.complain)(&e);
        }
    }
}

/// What a run that stops before its end still does, and what it leaves.
fn stopping(run: &Snapshot, now: Timestamp, key: &str) -> String {
    let mut text = format!("stopping after the current stages ({key} stops at once)\n");
    for active in run.active.iter().take(NAMED) {
        let stage = active.stage().map_or("", |(stage, _)| stage.as_str());
        let time = clock(seconds_between(active.stage().map_or(active.since, |(_, since)| since), now));
        let _ = writeln!(text, "  finishing {} {stage}, {time} so far", active.scan_id); // a String takes everything
    }
    if run.active.len() > NAMED {
        let _ = writeln!(text, "  and {} more", run.active.len() - NAMED);
    }
    let _ =
        writeln!(text, "  {} of {} scans remain; run the same command again to process them", run.left(), run.planned);
    text
}

#[cfg(test)]
mod tests {
    use super::super::super::live::tests::{begun, ended, second};
    use super::*;
    use crate::vocabulary::{Stage, Status};

    #[test]
    fn a_request_to_stop_names_what_is_finished_and_what_remains() {
        let mut run = Snapshot::new(20, second(0));
        run.take(&ended(1, Status::Success), second(2));
        for event in (2..12).flat_map(|n| begun(n, Stage::BiasCorrection)) {
            run.take(&event, second(3));
        }
        let said = stopping(&run, second(7), "Ctrl-C again");
        assert!(said.contains("  finishing sub-02_T1w bias_correction, 4 s so far\n"), "{said}");
        assert!(
            said.ends_with("  and 2 more\n  19 of 20 scans remain; run the same command again to process them\n"),
            "{said}"
        );
        assert!(said.lines().all(|line| line.len() <= 80), "{said}");
    }
}
