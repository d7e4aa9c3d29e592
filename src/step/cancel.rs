//! Stopping before the end: the first signal lets each worker drop its scan at the next stage, a second SIGINT or SIGTERM ends
//! the process at once. A run whose outputs cannot be written any more stops itself in the same way, as if the first had come.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ};
use signal_hook::flag;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Exit status of a process that was told twice to stop: run again to go on.
const STATUS_AFTER_SECOND_SIGNAL: i32 = 75;
/// How often a sleeping worker looks whether it should stop.
const POLL: Duration = Duration::from_millis(20);

/// The signals that ask a run to stop, and what each says. Without a handler each ends a process where it is.
const ASKING: [(i32, &str); 6] = [
    (SIGINT, "SIGINT (Ctrl-C)"),
    (SIGTERM, "SIGTERM"),
    (SIGHUP, "SIGHUP: the terminal or the connection was closed"),
    (SIGXCPU, "SIGXCPU: the limit of processor time is reached (ulimit -t)"),
    (SIGUSR1, "SIGUSR1, as schedulers send it before the time is over"),
    (SIGUSR2, "SIGUSR2, as schedulers send it before the time is over"),
];
/// Those that people send twice when they mean it. The system sends others again by itself: SIGXCPU every second, SIGHUP from
/// terminal and shell.
const INSISTING: [i32; 2] = [SIGINT, SIGTERM];

/// From now on writing beyond the limit of a file's size (`ulimit -f`) fails with an error that says so, as on a full disk, and does
/// not end the process.
pub fn outlive_file_limits() {
    let _ = flag::register(SIGXFSZ, Arc::default()); // not to be had: it ends the process, as it would have
}

/// Whether the run is to stop. Clones share the answer.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    asked: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
    hopeless: Arc<OnceLock<String>>,
}

impl Cancel {
    /// Listens to signals from now on. `ignored` are those that the caller has switched off, as `nohup` does SIGHUP; they stay so.
    ///
    /// # Errors
    /// When the system does not let signals be caught; the run can go on without.
    pub fn on_signals(ignored: &dyn Fn(i32) -> bool) -> std::io::Result<Self> {
        let cancel = Self::default();
        for (signal, _) in ASKING {
            let insisting = INSISTING.contains(&signal);
            if !insisting && ignored(signal) {
                continue;
            }
            // Order matters: the shutdown is armed only once the flag is set, that is from the signal after that on.
            if insisting {
                flag::register_conditional_shutdown(signal, STATUS_AFTER_SECOND_SIGNAL, Arc::clone(&cancel.asked))?;
            }
            let number = usize::try_from(signal).unwrap_or_default();
            flag::register_usize(signal, Arc::clone(&cancel.signal), number)?;
            flag::register(signal, Arc::clone(&cancel.asked))?;
        }
        Ok(cancel)
    }

    /// The last signal that asked to stop, in words.
    #[must_use]
    pub fn asked_by(&self) -> Option<&'static str> {
        let number = self.signal.load(Ordering::Acquire);
        ASKING.iter().find(|(signal, _)| usize::try_from(*signal) == Ok(number)).map(|(_, said)| *said)
    }

    /// Whether to stop, for whatever reason.
    #[must_use]
    pub fn requested(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// Asks to stop.
    pub fn request(&self) {
        self.asked.store(true, Ordering::Release);
    }

    /// Stops because it is no use to go on; the first reason stays.
    pub fn give_up(&self, why: &str) {
        let _ = self.hopeless.set(why.to_owned()); // fails when there is a reason already
        self.request(); // who asks now is not the first
    }

    /// Why the run gave up, if it did.
    #[must_use]
    pub fn gave_up(&self) -> Option<&str> {
        self.hopeless.get().map(String::as_str)
    }

    /// Sleeps, but not past a request to stop.
    pub fn sleep(&self, duration: Duration) {
        let end = Instant::now() + duration;
        while !self.requested() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(POLL));
        }
    }
}
