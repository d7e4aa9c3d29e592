//! Runs a plan: the pool of sessions, whose turn each is, and what is written of it besides its outputs.

pub mod pool;
mod session;
mod turn;
mod waiting;

pub use session::run_session;
