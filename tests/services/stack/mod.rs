//! The stack: its definitions, its scripts, and the documentation that tells of them, tried with the real Collector,
//! Prometheus and Loki, as programs and in images. What stands where Tempo and Grafana stand is in `tests/peers/stack`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says where")]

mod definitions;
mod digests;
mod images;
mod programs;
mod site;
