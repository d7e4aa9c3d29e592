//! What a stage cost besides time: processors, memory, bytes read and written.
//!
//! Each worker has a pool of threads of its own for what it works on, so the threads of the pool in which a stage runs are the
//! stage's. Linux counts for each thread, in `/proc`; the files are opened once for a pool and read at the begin and at the end.
//! Where there is no `/proc`, nothing is measured.

use std::cell::OnceCell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, OnceLock};

/// What something cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Time of processors, user and system, s.
    pub cpu_seconds: f64,
    /// Peak of the resident memory of the process meanwhile, bytes: exact where this raised it, else the larger of begin and end.
    pub peak_memory: u64,
    /// Bytes that were read, from files, cached or not.
    pub read: u64,
    /// Bytes that were written.
    pub written: u64,
    /// Threads it could use.
    pub threads: usize,
}

/// The counts of a pool at some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reading {
    cpu_ns: u64,
    read: u64,
    written: u64,
    resident: u64,
    peak: u64,
}

/// What is being measured; [`Scope::cost`] ends it.
#[derive(Debug)]
pub struct Scope {
    meter: Arc<Meter>,
    begin: Reading,
}

impl Scope {
    /// Begins to measure the threads of the pool that this is called in, or of the calling thread alone where it is in none.
    #[must_use]
    pub fn begin() -> Option<Self> {
        let meter = Meter::of_this_pool()?;
        let begin = meter.read()?;
        Some(Self { meter, begin })
    }

    /// What it cost since.
    #[must_use]
    pub fn cost(&self) -> Option<Cost> {
        let (begin, end) = (self.begin, self.meter.read()?);
        #[expect(clippy::cast_precision_loss, reason = "53 bits of nanoseconds are a hundred days")]
        let cpu_seconds = end.cpu_ns.saturating_sub(begin.cpu_ns) as f64 / 1e9;
        let raised = end.peak > begin.peak;
        Some(Cost {
            cpu_seconds,
            peak_memory: if raised { end.peak } else { begin.resident.max(end.resident) },
            read: end.read.saturating_sub(begin.read),
            written: end.written.saturating_sub(begin.written),
            threads: self.meter.threads.len(),
        })
    }
}

/// The open files of a pool's threads.
#[derive(Debug)]
struct Meter {
    threads: Vec<Thread>,
    /// `/proc/self/status`.
    process: File,
}

#[derive(Debug)]
struct Thread {
    /// Nanoseconds on a processor, then other numbers.
    schedstat: File,
    /// Bytes; not everywhere.
    io: Option<File>,
}

thread_local! {
    /// One meter for all threads of a pool.
    static METER: OnceCell<Arc<OnceLock<Option<Arc<Meter>>>>> = const { OnceCell::new() };
}

impl Meter {
    fn of_this_pool() -> Option<Arc<Self>> {
        let known = METER.with(|meter| meter.get().and_then(|shared| shared.get().cloned()));
        known.unwrap_or_else(|| {
            let shared = Arc::<OnceLock<Option<Arc<Self>>>>::default();
            let join = || {
                METER.with(|meter| meter.set(Arc::clone(&shared)).ok()); // whoever has one keeps it
                thread_id()
            };
            let ids: Option<Vec<String>> = if rayon::current_thread_index().is_some() {
                rayon::broadcast(|_| join()).into_iter().collect()
            } else {
                join().map(|id| vec![id])
            };
            let made = ids.and_then(|ids| Self::open(&ids)).map(Arc::new);
            shared.get_or_init(|| made).clone()
        })
    }

    fn open(ids: &[String]) -> Option<Self> {
        let open = |id: &String, name: &str| File::open(format!("/proc/self/task/{id}/{name}")).ok();
        let threads = ids.iter().map(|id| Some(Thread { schedstat: open(id, "schedstat")?, io: open(id, "io") }));
        Some(Self { threads: threads.collect::<Option<_>>()?, process: File::open("/proc/self/status").ok()? })
    }

    fn read(&self) -> Option<Reading> {
        let mut sum = Reading::default();
        let mut buffer = [0; 4096];
        for thread in &self.threads {
            sum.cpu_ns += text(&thread.schedstat, &mut buffer)?.split_ascii_whitespace().next()?.parse::<u64>().ok()?;
            if let Some(io) = thread.io.as_ref().and_then(|io| text(io, &mut buffer)) {
                sum.read += value(io, "rchar:").unwrap_or(0);
                sum.written += value(io, "wchar:").unwrap_or(0);
            }
        }
        let status = text(&self.process, &mut buffer)?;
        let kilobytes = |key| value(status, key).unwrap_or(0).saturating_mul(1024);
        (sum.resident, sum.peak) = (kilobytes("VmRSS:"), kilobytes("VmHWM:"));
        Some(sum)
    }
}

/// The number of the calling thread, which `std` does not tell.
fn thread_id() -> Option<String> {
    Some(std::fs::read_link("/proc/thread-self").ok()?.file_name()?.to_str()?.to_owned())
}

/// A file of `/proc`, read anew from its begin.
fn text<'b>(file: &File, buffer: &'b mut [u8]) -> Option<&'b str> {
    let length = file.read_at(buffer, 0).ok()?;
    std::str::from_utf8(buffer.get(..length)?).ok()
}

/// The number behind a key at the begin of a line.
fn value(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;
    use std::io::{Read, Write};
    use std::time::{Duration, Instant};

    fn busy(time: Duration) {
        let begun = Instant::now();
        let mut x = 1_u64;
        while begun.elapsed() < time {
            for _ in 0..1000 {
                x = black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
            }
        }
    }

    fn pool(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
    }

    /// Time on processors, of `work` in a pool.
    fn cpu(pool: &rayon::ThreadPool, work: impl FnOnce() + Send) -> (f64, usize) {
        pool.install(|| {
            let scope = Scope::begin().unwrap();
            work();
            let cost = scope.cost().unwrap();
            (cost.cpu_seconds, cost.threads)
        })
    }

    #[test]
    fn the_threads_of_a_pool_count_and_those_of_others_do_not() {
        let (ours, others) = (pool(2), pool(1));
        let time = Duration::from_millis(200);
        let (alone, threads) = cpu(&ours, || std::thread::sleep(time));
        assert!(alone < 0.1 && threads == 2, "{alone} s asleep");
        let (beside, _) = cpu(&ours, || others.install(|| busy(time)));
        assert!(beside < 0.1, "{beside} s while others work");
        let begun = Instant::now();
        let (both, _) = cpu(&ours, || {
            rayon::join(|| busy(time), || busy(time));
        });
        // On a busy machine each gets a part of a processor only.
        assert!(both > 0.02 && both < 2.0 * begun.elapsed().as_secs_f64() + 0.1, "{both} s of two");
    }

    #[test]
    fn bytes_and_memory_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x");
        let cost = pool(1).install(|| {
            let scope = Scope::begin().unwrap();
            File::create(&file).unwrap().write_all(&vec![7; 3_000_000]).unwrap();
            let mut back = Vec::new();
            File::open(&file).unwrap().read_to_end(&mut back).unwrap();
            black_box(vec![1_u8; 80_000_000]);
            scope.cost().unwrap()
        });
        assert!(cost.peak_memory > 1_000_000, "{cost:?}");
        // Some sandboxes do not count bytes.
        if cost.written > 0 {
            let about = |bytes: u64| (3_000_000..3_200_000).contains(&bytes);
            assert!(about(cost.written) && about(cost.read), "{cost:?}");
        }
    }

    #[test]
    fn a_thread_in_no_pool_is_measured_alone_and_scopes_nest() {
        std::thread::spawn(|| {
            let outer = Scope::begin().unwrap();
            let inner = Scope::begin().unwrap();
            busy(Duration::from_millis(50));
            let (inner, outer) = (inner.cost().unwrap(), outer.cost().unwrap());
            assert_eq!((inner.threads, outer.threads), (1, 1));
            assert!(outer.cpu_seconds >= inner.cpu_seconds && inner.cpu_seconds > 0.0);
        })
        .join()
        .unwrap();
    }
}
