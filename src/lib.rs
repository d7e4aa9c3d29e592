//! Preprocesses MRI scans participant by participant into BIDS derivatives, and leaves a trace of every step.
//!
//! ```text
//! command line ─ cli ─┐
//!                     ├─ plan ─ run ─ pipeline ─ imaging      one scan's way; arrays in, arrays out
//! bids, nipoppy, synth┘         │        ├─ figures           arrays in, pictures out
//!                               │        └─ derivatives       files that appear whole or not at all
//!                               └─ step ─ RunEvent ─ telemetry, progress ─ tables, pages
//! ```
//! [`pipeline`] is the way itself, a function for each kind of scan; [`step`] opens its spans, measures, catches panics and
//! tells of it in [`RunEvent`](vocabulary::RunEvent)s. [`vocabulary`] has the words that all share: stages, sessions, reasons,
//! events. `slurm` makes batch jobs of a plan; [`trace_view`] reads back the telemetry that runs left; `pages` makes HTML of it
//! and of the derivatives; `score` compares what a run wrote with the truth of a synthetic dataset. `app` wires these together
//! and is the place to start reading. No module knows one that comes later (`tests/offline/architecture.rs` holds that); what must
//! know none of them is a crate of its own: `imaging` and `nifti`, in `crates/`.

mod app;
pub mod bids;
pub mod cli;
pub mod derivatives;
pub mod error;
mod files;
pub mod machine;
pub mod nipoppy;
mod pages;
pub mod pipeline;
pub mod plan;
mod printable;
mod progress;
mod run;
mod score;
mod slurm;
pub mod step;
mod tables;
pub mod telemetry;
pub mod templates;
mod terminal;
pub mod trace_view;
pub mod vocabulary;

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the program with its arguments, the first of which is its name, and returns its exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let status = match cli::parse(args, &|name| std::env::var(name).ok()) {
        Ok(request) => app::run(request),
        Err(e) => {
            if e.to_stdout() {
                // Help and version: whoever asks for them reads to the end.
                terminal::said(e.print_help());
                return app::concluded(e.status()).into();
            }
            terminal::print_marked(&e.text(), "error:", terminal::Color::Red);
            e.status()
        }
    };
    let status = app::concluded(status);
    app::let_readers_finish();
    status.into()
}
