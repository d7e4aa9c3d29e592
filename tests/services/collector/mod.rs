//! What becomes of telemetry that is sent: real Collector, real Prometheus, a receiver that misbehaves, and their deaths.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod concurrent;
mod configs;
mod deaths;
mod faults;
mod ledger;
mod live;
mod many;
mod sampling;
pub mod study;
