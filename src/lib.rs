//! Preprocesses MRI scans participant by participant into BIDS derivatives, and leaves a trace of every step.
//!
//! ```text
//! command line ─ cli ─┐
//!                     ├─ plan ─ run ─ stages ─ imaging        one scan's way; arrays in, arrays out
//! bids, nipoppy, synth┘         │       ├─ figures            arrays in, pictures out
//!                               │       └─ derivatives        files that appear whole or not at all
//!                               └─ RunEvent ─ telemetry, report ─ pages
//! ```
//! [`slurm`] makes batch jobs of a plan; [`trace_view`] reads back the telemetry that runs left; [`pages`] makes HTML of it
//! and of the derivatives; [`score`] compares what a run wrote with the truth of a synthetic dataset; [`terminal`] is the
//! way to the screen, and [`printable`] what goes there. [`app`] wires these together and is the place to start reading; no module knows one to the right of
//! it (`tests/architecture.rs` holds that).

pub mod app;
pub mod bids;
pub mod cli;
pub mod derivatives;
pub mod error;
pub mod figures;
pub mod files;
pub mod machine;
pub mod nipoppy;
pub mod pages;
pub mod pipeline;
pub mod plan;
pub mod printable;
pub mod progress;
pub mod run;
pub mod score;
pub mod slurm;
pub mod step;
pub mod synth;
pub mod tables;
pub mod telemetry;
pub mod terminal;
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
                e.print_help();
                // Help and version: whoever asks for them reads to the end.
                return ExitCode::from(e.status().number());
            }
            terminal::print_marked(&e.text(), "error:", terminal::Color::Red);
            e.status()
        }
    };
    app::let_readers_finish();
    ExitCode::from(status.number())
}
