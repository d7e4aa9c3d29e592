//! What `SECURITY.md` promises: nothing is written outside the output, nothing from outside commands a terminal, a browser, a
//! shell or a spreadsheet, TLS is verified, no secret is left behind, and what is built in is licensed and known.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod containers;
mod escaping;
mod hostile;
mod outside;
mod secrets;
mod shells;
mod tls;
