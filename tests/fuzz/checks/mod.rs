//! What is fuzzed, and what has to hold: one function for each target, which takes any bytes and panics where a promise is
//! broken. The targets of cargo-fuzz (`tests/fuzz/targets`) call them with what libFuzzer makes up, and `tests/offline/fuzz.rs`
//! with the seeds and with every input that once broke one.
//!
//! All take plain bytes, so that seeds and findings can be written by hand; where a check needs several files they are
//! divided by a zero byte.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken promise stops the check")]

mod bids;
#[path = "../../common/nifti.rs"]
#[allow(clippy::duplicate_mod, reason = "cargo-fuzz builds these checks as a crate of their own")]
mod build;
mod command_line;
mod folders;
mod images;
mod spool;
mod stages;
mod written;

pub use bids::{bids_name, sidecar, tables};
pub use command_line::{config, invocation};
pub use folders::{fieldmaps, templates};
pub use images::{gzip, nifti};
pub use spool::spool;
pub use stages::stages;
pub use written::{ledger, transforms};

use std::path::PathBuf;
use tempfile::TempDir;

/// A target's name and check.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 13] = [
    ("nifti", nifti),
    ("gzip", gzip),
    ("bids_name", bids_name),
    ("sidecar", sidecar),
    ("invocation", invocation),
    ("config", config),
    ("spool", spool),
    ("tables", tables),
    ("stages", stages),
    ("ledger", ledger),
    ("transforms", transforms),
    ("fieldmaps", fieldmaps),
    ("templates", templates),
];

/// What needs threads gets the calling one: the same input then goes the same way each time, and no time is lost to waiting
/// for another thread. The calling thread must stay to the end of the process.
#[allow(dead_code, reason = "threads of tests end before the process")]
pub fn one_thread() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
    pool.build_global().expect("the first pool of the process");
}

thread_local! {
    /// A folder below `TMPDIR`, which had better be in memory: all checks but one read files.
    static FOLDER: TempDir = tempfile::tempdir().expect("a folder for files");
}

/// A path in the folder of this thread.
fn place(name: &str) -> PathBuf {
    FOLDER.with(|folder| folder.path().join(name))
}

/// A file in the folder of this thread; its own folder is made.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = place(name);
    if std::fs::write(&path, bytes).is_err() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }
    path
}

/// The parts of `bytes` between zero bytes; the last may hold some.
fn parts<const N: usize>(bytes: &[u8]) -> [&[u8]; N] {
    let mut rest = bytes.splitn(N, |b| *b == 0);
    std::array::from_fn(|_| rest.next().unwrap_or_default())
}

/// Fails on text that would do something to a terminal.
#[track_caller]
fn printable(text: &str) {
    let odd = text.chars().find(|c| c.is_control() && !"\n\t".contains(*c));
    assert!(odd.is_none(), "{odd:?} would reach the terminal: {text:?}");
}
