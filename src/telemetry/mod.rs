//! Telemetry.
pub mod config;
