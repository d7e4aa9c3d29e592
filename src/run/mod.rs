//! Runs a plan: the pool, one unit, the stage runner, and what they say about it.
pub mod event;
pub mod faults;
