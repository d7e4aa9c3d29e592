//! Tests with other programs: servers, a cluster, containers, browsers, terminals, and runs that are killed. Mostly they wait, so
//! `tests/run.sh` runs them beside all others.
//!
//! A new file is named below and found by `cargo test --release --test services FILE::`.

#[path = "../common/mod.rs"]
mod common;

mod apptainer;
mod boutiques;
mod collector;
mod dashboards;
mod dicom;
mod interrupt;
mod nipoppy;
mod nipoppy_inside;
mod pages;
mod secure;
mod slurm;
mod stack;
mod terminal;
mod wheel;
