//! The dashboards, alerts and documented queries: written as they should be, and every query asked of the real servers after
//! a demo that fails.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

#[path = "../common/collector.rs"]
#[allow(dead_code, reason = "this test uses its own part")]
mod collector;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/loki.rs"]
#[allow(dead_code, reason = "this test uses its own part")]
mod loki;
#[path = "../common/otlp.rs"]
#[allow(dead_code, reason = "this test uses its own part")]
mod otlp;
#[path = "../common/prometheus.rs"]
#[allow(dead_code, reason = "this test uses its own part")]
mod prometheus;
#[path = "../common/server.rs"]
#[allow(dead_code, reason = "this test uses its own part")]
mod server;

mod files;
mod lint;
mod live;
mod rules;
