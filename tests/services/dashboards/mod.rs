//! The dashboards, alerts and documented queries: written as they should be, and every query asked of the real servers after
//! a demo that fails.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod files;
mod lint;
mod live;
mod rules;
