//! The memory of a run: what it may use, who says so, and what the program itself has taken already.

use crate::cli::RunConfig;
use crate::machine::limits::memory_limit;
use crate::machine::process;
use crate::plan::MemoryBudget;
use std::path::Path;

/// Part of the memory that is there a run may use when nothing was said.
const SHARE: f64 = 0.85;
/// What is assumed to be there where the system does not tell.
const UNKNOWN: u64 = 4_000_000_000;

/// The memory budget of a run: `--mem`, but at most the limit of the process;
/// without `--mem` most of the available memory. The note says when `--mem` was too large.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of memory"
)]
pub(super) fn room(config: &RunConfig) -> (MemoryBudget, Option<String>) {
    let hard = memory_limit(Path::new("/"), &|name| std::env::var(name).ok(), config.threads);
    let room = |limit: u64, by: String| {
        let taken = process::resident_memory_bytes();
        MemoryBudget { limit, by, taken, threads: config.threads }
    };
    let Some(asked) = config.memory_bytes else {
        let free = process::available_memory_bytes().unwrap_or(UNKNOWN);
        let (there, by) = match hard {
            Some(hard) if hard.bytes < free => (hard.bytes, format!("of the limit of {}", hard.by)),
            _ => (free, "of what the machine has free".to_owned()),
        };
        let percent = SHARE * 100.0;
        return (room((there as f64 * SHARE) as u64, format!("{percent:.0} % {by}")), None);
    };
    match hard {
        Some(hard) if hard.bytes < asked => {
            let mb = |bytes: u64| bytes / 1_000_000;
            let note = format!(
                "--mem asks for {} MB, but {} allows {} MB; the run keeps to that",
                mb(asked),
                hard.by,
                mb(hard.bytes)
            );
            (room(hard.bytes, hard.by), Some(note))
        }
        _ => (room(asked, "--mem".to_owned()), None),
    }
}
