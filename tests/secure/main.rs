//! What `SECURITY.md` promises: nothing is written outside the output, nothing from outside commands a terminal, a browser, a
//! shell or a spreadsheet, TLS is verified, no secret is left behind, and what is built in is licensed and known.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

#[path = "../common/collector.rs"]
mod collector;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/otlp.rs"]
mod otlp;
#[path = "../common/quick.rs"]
mod quick;
#[path = "../common/receiver.rs"]
mod receiver;
#[path = "../common/server.rs"]
mod server;
#[path = "../collector/study.rs"]
#[allow(dead_code, reason = "the tests of delivery use more of it")]
mod study;

mod containers;
mod escaping;
mod hostile;
mod outside;
mod secrets;
mod shells;
mod tls;
