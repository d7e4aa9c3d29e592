//! The pool: units of work side by side, as many as there are threads and as memory admits.
//!
//! Each worker has a rayon pool of its own for the kernels of the unit it is on, so that a worker waiting for a kernel
//! never picks up another subject's work: stage times stay true, and memory is bounded by what was admitted. With fewer
//! units than threads the workers' pools are larger.

use super::waiting::Waiting;
use crate::step::cancel::Cancel;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How a run is spread over the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// Threads in all.
    pub threads: usize,
    /// Bytes the units running at the same time may be estimated to need together.
    pub memory: u64,
}

/// A pool that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {threads} threads: {source}; ask for fewer with --nprocs")]
pub struct PoolError {
    threads: usize,
    source: ThreadPoolBuildError,
}

/// Does every item once: `estimate` says what it needs, `work` does it, on a worker's thread and inside its pool of
/// kernel threads. Items are taken in order, but one that does not fit into memory now lets smaller ones pass. An item
/// that is larger than the whole budget runs alone: what must not run at all is for the plan to refuse. Stops taking
/// items when cancelled.
///
/// # Errors
/// [`PoolError`] when the system refuses the threads.
pub fn for_each<T: Sync>(
    items: &[T],
    settings: PoolSettings,
    cancel: &Cancel,
    estimate: impl Fn(&T) -> u64 + Sync,
    work: impl Fn(&T) + Sync,
) -> Result<(), PoolError> {
    if items.is_empty() {
        return Ok(());
    }
    let threads = settings.threads.max(1);
    let workers = threads.min(items.len());
    let outer = build(workers, "unit")?;
    let kernels = (0..workers)
        .map(|w| build(threads / workers + usize::from(w < threads % workers), "kernel"))
        .collect::<Result<Vec<_>, _>>()?;
    let needs: Vec<u64> = items.iter().map(&estimate).collect();
    let queue = Queue::new(&needs, settings.memory);
    outer.broadcast(|worker| {
        while let Some(next) = queue.take(cancel) {
            if let (Some(item), Some(pool)) = (items.get(next.index), kernels.get(worker.index())) {
                pool.install(|| work(item));
            }
        }
    });
    Ok(())
}

/// Does `work`, which may use as many threads as a run. They end with it, so that what they had is there for the run.
///
/// # Errors
/// [`PoolError`] when the system refuses the threads.
pub fn within<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> Result<T, PoolError> {
    Ok(build(threads.max(1), "plan")?.install(work))
}

fn build(threads: usize, name: &'static str) -> Result<ThreadPool, PoolError> {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(move |i| format!("{name}-{i}"))
        .build()
        .map_err(|source| PoolError { threads, source })
}

/// The items not yet taken and the memory not yet given away.
struct Queue {
    state: Mutex<State>,
    freed: Condvar,
}

struct State {
    waiting: Waiting,
    free: u64,
    running: usize,
}

impl Queue {
    fn new(needs: &[u64], memory: u64) -> Self {
        let state = State { waiting: Waiting::new(needs), free: memory, running: 0 };
        Self { state: Mutex::new(state), freed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next item that fits, waiting for memory if need be; `None` when there is none left or the run is cancelled.
    fn take(&self, cancel: &Cancel) -> Option<Ticket<'_>> {
        let mut state = self.lock();
        loop {
            if state.waiting.is_empty() || cancel.requested() {
                return None;
            }
            let (free, alone) = (state.free, state.running == 0);
            let fits = state.waiting.take(free);
            if let Some((index, need)) = fits.or_else(|| alone.then(|| state.waiting.take(u64::MAX)).flatten()) {
                let held = need.min(state.free);
                state.free -= held;
                state.running += 1;
                return Some(Ticket { queue: self, index, held });
            }
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// An item being worked on; dropping it gives its memory back, also when the work panicked.
struct Ticket<'q> {
    queue: &'q Queue,
    index: usize,
    held: u64,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.free += self.held;
        state.running -= 1;
        self.queue.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

    fn settings(threads: usize, memory: u64) -> PoolSettings {
        PoolSettings { threads, memory }
    }

    #[test]
    fn everything_is_done_once_within_memory() {
        let items: Vec<u64> = (0..40).map(|i| 1 + i % 5).collect();
        let (now, most, sum) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        for_each(
            &items,
            settings(4, 6),
            &Cancel::default(),
            |&n| n,
            |&n| {
                most.fetch_max(now.fetch_add(n, SeqCst) + n, SeqCst);
                std::thread::sleep(std::time::Duration::from_millis(1));
                now.fetch_sub(n, SeqCst);
                sum.fetch_add(n, SeqCst);
            },
        )
        .unwrap();
        assert_eq!(sum.load(SeqCst), items.iter().sum::<u64>());
        assert!(most.load(SeqCst) <= 6, "{most:?}");
    }

    #[test]
    fn an_item_larger_than_memory_runs_alone() {
        let running = AtomicUsize::new(0);
        for_each(
            &[10_u64, 10, 10],
            settings(3, 5),
            &Cancel::default(),
            |&n| n,
            |_| {
                assert_eq!(running.fetch_add(1, SeqCst), 0);
                std::thread::sleep(std::time::Duration::from_millis(2));
                running.fetch_sub(1, SeqCst);
            },
        )
        .unwrap();
    }

    #[test]
    fn planning_has_the_threads_of_a_run() {
        assert_eq!(within(3, rayon::current_num_threads).unwrap(), 3);
    }

    #[test]
    fn few_items_share_all_threads() {
        let seen = AtomicUsize::new(0);
        for_each(
            &[()],
            settings(3, 1),
            &Cancel::default(),
            |()| 0,
            |()| {
                seen.store(rayon::current_num_threads(), SeqCst);
            },
        )
        .unwrap();
        assert_eq!(seen.load(SeqCst), 3);
    }

    #[test]
    fn cancelling_takes_no_further_item() {
        let (cancel, taken) = (Cancel::default(), AtomicUsize::new(0));
        let work = |_: &i32| {
            taken.fetch_add(1, SeqCst);
            cancel.request();
        };
        for_each(&[0; 10], settings(1, 1), &cancel, |_| 0, work).unwrap();
        assert_eq!(taken.load(SeqCst), 1);
    }
}
