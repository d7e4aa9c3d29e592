//! The dashboards, alerts and documented queries: written as they should be, and every query asked of the real servers after
//! a demo that fails.
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
#[path = "../common/server.rs"]
mod server;

mod files;
mod lint;
mod live;
mod rules;
