//! Boutiques invocations and the configuration file, by way of the command line.

use super::file;
use neuro_preprocess::cli;
use std::ffi::OsString;

/// An invocation becomes a request or is refused with words.
pub fn invocation(bytes: &[u8]) {
    let path = file("invocation.json", bytes);
    parsed(["np".into(), "--invocation".into(), path.into()]);
}

/// A configuration file becomes settings or is refused with words.
pub fn config(bytes: &[u8]) {
    let path = file("config.toml", bytes);
    parsed(["np".into(), "telemetry".into(), "config".into(), "--config".into(), path.into()]);
}

/// Parses a command line without an environment.
pub(super) fn parsed(words: impl IntoIterator<Item = OsString>) {
    match cli::parse(words, &|_| None) {
        Ok(request) => drop(format!("{request:?}")),
        Err(e) => {
            assert_ne!(e.status().number(), 70, "a fault of this program: {e:?}");
            assert!(!e.text().is_empty());
        }
    }
}
