//! The real Apptainer, and our image built by it.
#![allow(dead_code, reason = "each test file uses its own part")]

use crate::common::install::{or_skip, root};
use crate::common::{Ran, run_command};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The folder of the `apptainer` command, installed on first use; `None` where that is not possible, which is said.
pub fn folder() -> Option<PathBuf> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let script = root("tests/peers/install_apptainer.sh");
    FOLDER
        .get_or_init(|| {
            let ran = run_command(Command::new("bash").arg(script));
            or_skip("Apptainer", if ran.code == 0 { Ok(PathBuf::from(ran.last_line())) } else { Err(ran.stderr) })
        })
        .clone()
}

/// The program `apptainer`.
pub fn program() -> Option<PathBuf> {
    Some(folder()?.join("apptainer"))
}

/// `PATH` with `apptainer` in front, for programs that call it.
pub fn path() -> Option<String> {
    Some(format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", folder()?.display()))
}

/// Runs one of the scripts in `containers/` with Apptainer.
pub fn containers(script: &str, args: &[&str]) -> Option<Ran> {
    let mut bash = Command::new("bash");
    bash.arg(root("containers").join(script)).args(args).env("APPTAINER", program()?);
    // What Cargo tells this test would make Cargo, called by the script, compile crates anew.
    let of_cargo = ["CARGO_PKG_", "CARGO_MANIFEST_", "OUT_DIR", "NEURO_PREPROCESS_"];
    for (name, _) in std::env::vars().filter(|(name, _)| of_cargo.iter().any(|start| name.starts_with(start))) {
        bash.env_remove(name);
    }
    Some(run_command(&mut bash))
}

/// Our image, built from the present source by `containers/build_all.sh`: the one that needs no registry.
pub fn image() -> Option<PathBuf> {
    static IMAGE: OnceLock<Option<PathBuf>> = OnceLock::new();
    IMAGE
        .get_or_init(|| {
            containers("build_all.sh", &["neuro-preprocess-scratch"])?.exits(0);
            Some(root("target/containers/neuro-preprocess-scratch.sif"))
        })
        .clone()
}
