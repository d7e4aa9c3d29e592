//! The real Apptainer, and our image built by it.

use crate::common::install::{once, or_skip, root, script, without_cargo};
use crate::common::{Ran, run_command};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use xxhash_rust::xxh3::xxh3_128;

/// The folder of the `apptainer` command, installed on first use; `None` where that is not possible, which is said.
pub fn folder() -> Option<PathBuf> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(|| or_skip("Apptainer", script("install_apptainer.sh", &[]))).clone()
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
    Some(run_command(without_cargo(&mut bash)))
}

/// Our image, built from the present source by `containers/build_all.sh`: the one that needs no registry. It is built once
/// for all test programs, and again when something that it is made of is another.
pub fn image() -> Option<PathBuf> {
    static IMAGE: OnceLock<Option<PathBuf>> = OnceLock::new();
    IMAGE
        .get_or_init(|| {
            containers("static.sh", &[])?.exits(0);
            let parts = [
                "containers/neuro-preprocess-scratch.def",
                "containers/build_all.sh",
                "target/containers/neuro-preprocess",
            ];
            let parts: Vec<u8> = parts.iter().flat_map(|part| fs::read(root(part)).unwrap()).collect();
            let folder = once("image", &format!("{:032x}\n", xxh3_128(&parts)), |folder| {
                containers("build_all.sh", &["neuro-preprocess-scratch"]).unwrap().exits(0);
                let image = "neuro-preprocess-scratch.sif";
                fs::copy(root("target/containers").join(image), folder.join(image)).unwrap();
                Ok(())
            });
            Some(folder.unwrap().join("neuro-preprocess-scratch.sif"))
        })
        .clone()
}
