//! What becomes of telemetry that is sent: real Collector, real Prometheus, a receiver that misbehaves, and their deaths.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

#[path = "../common/collector.rs"]
mod collector;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/loki.rs"]
mod loki;
#[path = "../common/otlp.rs"]
mod otlp;
#[path = "../common/prometheus.rs"]
mod prometheus;
#[path = "../common/quick.rs"]
mod quick;
#[path = "../common/receiver.rs"]
mod receiver;
#[path = "../common/server.rs"]
mod server;

mod concurrent;
mod configs;
mod deaths;
mod faults;
mod ledger;
mod live;
mod many;
mod sampling;
mod study;
