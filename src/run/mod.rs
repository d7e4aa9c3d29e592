//! Runs a plan: the pool, one unit, one scan, the stage runner, and what they say about it.

pub mod cancel;
pub mod event;
pub mod faults;
pub mod limits;
pub mod pool;
pub mod process;
pub mod reason;
mod runner;
mod scan;
mod turn;
mod unit;
mod waiting;

pub use runner::run_stages;
pub use unit::RunContext;
