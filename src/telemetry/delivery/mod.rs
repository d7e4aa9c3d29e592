//! Delivery: sending what was written to the spool, behind the back of the run, and saying what has been sent.
//!
//! ```text
//! spool file ─ request ─► courier ─ link ─► collector      cursor beside the file: what was acknowledged
//!    ▲ claim: who may                 │
//!  sender (this run) · backlog (earlier runs) · replay (by hand)
//! ```
//! Everything reaches the collector at least once; a request is doubled only when its acknowledgement was lost, be it
//! on the way or between arriving here and being written down.

mod backlog;
mod check;
pub(super) mod claim;
pub(super) mod courier;
pub(super) mod files;
mod link;
mod proxy;
mod request;
pub(super) mod sender;
mod settings;
mod status;

pub use check::{Checked, Lack};
pub use status::{Count, Status};

use super::config::TelemetryConfig;
use super::env::Environment;
use super::routes::{self, Routes};
use super::stack::Found;
use super::stats::Stats;
use super::{text, variables};
use crate::error::{Coded, ErrorCode};
use backlog::{Backlog, Held};
use courier::{Courier, Step};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long [`replay`] goes on without an acknowledgement.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same while nothing listens at the collector's address.
const PATIENCE_ABSENT: Duration = Duration::from_secs(2);

/// Why nothing could be delivered or said.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// No spool file below the folder.
    #[error("no telemetry in or below {}: a run leaves traces-*.jsonl, metrics-*.jsonl and logs-*.jsonl there", .0.display())]
    NothingThere(PathBuf),
    /// Nobody to send to.
    #[error("no collector to send to: none is configured, and {0}; add --endpoint URL")]
    NoCollector(String),
    /// A store cannot be asked.
    #[error(transparent)]
    Store(#[from] check::CheckError),
    /// The files cannot be read.
    #[error("the telemetry in {} cannot be read: {source}", dir.display())]
    Unreadable {
        /// The folder.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Coded for DeliveryError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NothingThere(_) => ErrorCode::InputMissing,
            Self::NoCollector(_) => ErrorCode::Usage,
            Self::Store(_) => ErrorCode::ReadFailed,
            Self::Unreadable { .. } => ErrorCode::ReadFailed,
        }
    }
}

/// What a replay did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    delivered: u64,
    rejected: u64,
    /// After it.
    status: Status,
}

impl Replayed {
    /// True when nothing is left to send.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.status.waiting() == 0
    }
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} items delivered", self.delivered)?;
        if self.rejected > 0 {
            write!(f, ", {} rejected", self.rejected)?;
        }
        for (signal, count) in self.status.signals().filter(|(_, count)| count.waiting > 0) {
            write!(f, ", {} items of {} waiting", count.waiting, signal.as_str())?;
        }
        Ok(())
    }
}

/// Sends what no collector has taken yet of the spool files in or below `dir`: an output folder, its logs folder, or a
/// folder of outputs. Files of processes that live are left to them. `progress` takes bytes done and bytes in all.
///
/// Where to, and how, is decided as for a run, from `config` and the `OTEL_*` environment. `again`: also spans and log records
/// that were acknowledged, for a store that lost them; metrics never, because they would be counted twice.
///
/// # Errors
/// When there is nothing to send or no collector. A partial delivery is not an error.
pub fn replay(
    dir: &Path,
    config: &TelemetryConfig,
    again: bool,
    progress: &dyn Fn(u64, u64),
) -> Result<Replayed, DeliveryError> {
    let before = status(dir)?;
    let (env, mut warnings) = variables::checked(&Environment::of_process());
    let stats = Arc::new(Stats::default());
    let mut routes = Routes::decide(config, &env);
    warnings.append(&mut routes.warnings);
    let mut courier = Courier::new(&mut routes, &env, &stats, &mut warnings);
    warnings.iter().for_each(|warning| text::warn(warning));
    if !courier.has_way() {
        let why = match routes.stack {
            Some(Found::Nothing(why)) => why,
            _ => "what is configured cannot be used".to_owned(),
        };
        return Err(DeliveryError::NoCollector(why));
    }
    let total = before.folders.iter().map(|folder| bytes_waiting(folder, again)).sum();
    let mut done = 0;
    for folder in &before.folders {
        let held = Held::default();
        let found = Backlog::find(folder, Arc::clone(&held), &stats, again);
        let mut backlog = found.map_err(|source| DeliveryError::Unreadable { dir: folder.clone(), source })?;
        let all = send(&mut backlog, &mut courier, &|bytes| progress(done + bytes, total));
        done += backlog.bytes;
        if !all {
            break;
        }
    }
    Ok(Replayed { delivered: courier.delivered, rejected: courier.rejected, status: status(dir)? })
}

/// Sends a folder's backlog; false when the collector made it pointless to go on.
fn send(backlog: &mut Backlog, courier: &mut Courier, progress: &dyn Fn(u64)) -> bool {
    let mut heard = Instant::now();
    loop {
        match backlog.step(courier) {
            Step::AtEnd => return courier.has_way(),
            Step::Moved => {
                heard = Instant::now();
                progress(backlog.bytes);
            }
            Step::Blocked => {
                let listens = || courier.addresses().iter().any(|a| routes::listens(a));
                let patience = if listens() { PATIENCE } else { PATIENCE_ABSENT };
                let Some(next) = courier.next_try().filter(|next| *next < heard + patience) else { return false };
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        }
    }
}

fn bytes_waiting(folder: &Path, again: bool) -> u64 {
    let sets = files::list(folder).unwrap_or_default();
    let wanted = sets.into_values().flatten().filter(|(file, sent)| !sent || again && file.signal.may_repeat());
    let left = wanted.map(|(file, _)| {
        let size = std::fs::metadata(file.path()).map_or(0, |m| m.len());
        size.saturating_sub(if again && file.signal.may_repeat() { 0 } else { file.cursor().0.offset })
    });
    left.sum()
}

/// The folders with spool files: `dir` itself, its `logs`, or else those of the outputs below it.
///
/// # Errors
/// When there are none.
pub fn folders(dir: &Path) -> Result<Vec<PathBuf>, DeliveryError> {
    let found = files::folders(dir);
    if found.is_empty() { Err(DeliveryError::NothingThere(dir.to_owned())) } else { Ok(found) }
}

/// Counts what is delivered and what waits in the spool files of [`folders`].
///
/// # Errors
/// When there are none, or they cannot be read.
pub fn status(dir: &Path) -> Result<Status, DeliveryError> {
    let folders = folders(dir)?;
    Status::of(folders).map_err(|source| DeliveryError::Unreadable { dir: dir.to_owned(), source })
}

/// Asks the Tempo at `store` for every trace of which spans in [`folders`] were acknowledged.
///
/// # Errors
/// When there are none, they cannot be read, or it is no Tempo that answers.
pub fn check(dir: &Path, store: &str) -> Result<Checked, DeliveryError> {
    Ok(check::check(&folders(dir)?, store, &Environment::of_process())?)
}
