//! What the kernel has counted of a command when it has ended: `tests/peers/measured.py`.

use crate::common::install::root;
use crate::common::{Ran, run_command};
use serde_json::Value;
use std::process::Command;

/// A command that has ended.
pub struct Measured {
    pub ran: Ran,
    /// The most that was resident, in bytes.
    pub peak: u64,
    /// Bytes.
    pub read: u64,
    /// Bytes.
    pub written: u64,
    /// Calls for either.
    pub calls: u64,
}

/// Runs a command's program and arguments to their end, in the environment of [`crate::common::binary`].
pub fn measured(command: &Command) -> Measured {
    let found = tempfile::NamedTempFile::new().unwrap();
    let mut python = Command::new("python3");
    python.env_clear().env("PATH", "/usr/bin:/bin").arg(root("tests/peers/measured.py")).arg(found.path());
    python.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = run_command(python.arg(command.get_program()).args(command.get_args()));
    let text = std::fs::read_to_string(found.path()).unwrap();
    let found: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {}", ran.stderr));
    let of = |key: &str| found[key].as_u64().unwrap();
    let measured = Measured {
        ran: Ran { code: found["code"].as_i64().unwrap() as i32, ..ran },
        peak: of("peak"),
        read: of("read"),
        written: of("written"),
        calls: of("calls"),
    };
    assert!(measured.peak > 5_000_000, "{} bytes are too few for a process", measured.peak);
    measured
}
