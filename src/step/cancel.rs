//! Stopping before the end: the first SIGINT or SIGTERM lets each worker drop its scan at the next stage, the second ends
//! the process at once. A run whose outputs cannot be written any more stops itself in the same way, as if the first had come.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Exit status of a process that was told twice to stop: run again to go on.
const STATUS_AFTER_SECOND_SIGNAL: i32 = 75;
/// How often a sleeping worker looks whether it should stop.
const POLL: Duration = Duration::from_millis(20);

/// Whether the run is to stop. Clones share the answer.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    asked: Arc<AtomicBool>,
    hopeless: Arc<OnceLock<String>>,
}

impl Cancel {
    /// Listens to SIGINT and SIGTERM from now on.
    ///
    /// # Errors
    /// When the system does not let signals be caught; the run can go on without.
    pub fn on_signals() -> std::io::Result<Self> {
        let cancel = Self::default();
        for signal in [SIGINT, SIGTERM] {
            // Order matters: the shutdown is armed only once the flag is set, that is from the signal after that on.
            flag::register_conditional_shutdown(signal, STATUS_AFTER_SECOND_SIGNAL, Arc::clone(&cancel.asked))?;
            flag::register(signal, Arc::clone(&cancel.asked))?;
        }
        Ok(cancel)
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
