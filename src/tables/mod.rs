//! The tables of a whole dataset: a row per scan (`group_*.tsv`), or per participant and session (`extract`).

mod cell;
pub mod group;
pub mod idps;
pub mod measures;
