//! The stack: its definitions, its scripts, and the documentation that tells of them, tried with the real Collector,
//! Prometheus and Loki, as programs and in images. What stands where Tempo and Grafana stand is in `tests/peers/stack`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says where")]

#[path = "../common/apptainer.rs"]
mod apptainer;
#[path = "../common/collector.rs"]
#[allow(dead_code, reason = "only the program is used here")]
mod collector;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/loki.rs"]
#[allow(dead_code, reason = "only the program is used here")]
mod loki;
#[path = "../common/prometheus.rs"]
#[allow(dead_code, reason = "only the program is used here")]
mod prometheus;
#[path = "../common/server.rs"]
#[allow(dead_code, reason = "only the ports are used here")]
mod server;

mod definitions;
mod digests;
mod images;
mod programs;
mod site;
