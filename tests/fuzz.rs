//! Fuzzing: every seed and every input that once broke a promise is tried again, and each target is fuzzed for some seconds.
//! What has to hold is in `tests/fuzz/checks`; how to fuzz for longer, in `docs/fuzzing.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says where")]

#[path = "common/nifti.rs"]
mod build;
#[path = "fuzz/checks/mod.rs"]
mod checks;
mod common;
#[path = "fuzz/findings.rs"]
mod findings;
#[path = "fuzz/seeds.rs"]
mod seeds;

use checks::TARGETS;
use common::install;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What cargo-fuzz is installed as; a newer one may want other options.
const CARGO_FUZZ: &str = "0.13.2";
/// Seconds of each target.
const SECONDS: u32 = 4;
/// Nothing may take more memory than this, in MB: inputs have a few kilobytes, and deflate makes of those a few megabytes.
const MEMORY_MB: u32 = 1024;
/// No single allocation either, in MB.
const ALLOCATION_MB: u32 = 256;
/// Seconds after which an input counts as a hang, on a busy machine, too.
const HANG_S: u32 = 60;

fn try_all(inputs: impl Iterator<Item = (&'static str, Vec<u8>)>) {
    for (name, bytes) in inputs {
        let (_, check) = TARGETS.iter().find(|(target, _)| *target == name).expect("a target of that name");
        // Says which input it was, should it fail.
        println!("{name}: {}", bytes.escape_ascii());
        check(&bytes);
    }
}

#[test]
fn seeds_keep_every_promise() {
    try_all(TARGETS.iter().flat_map(|(name, _)| seeds::of(name).into_iter().map(|bytes| (*name, bytes))));
}

#[test]
fn what_once_broke_a_promise_keeps_it_now() {
    try_all(findings::all().into_iter());
}

/// `.cache/fuzz/seeds/TARGET`, for fuzzing by hand, too.
fn write_seeds() -> PathBuf {
    let root = install::root(".cache/fuzz/seeds");
    for (name, _) in TARGETS {
        let folder = root.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for (n, bytes) in seeds::of(name).into_iter().enumerate() {
            std::fs::write(folder.join(format!("{n:02}")), bytes).unwrap();
        }
    }
    root
}

/// cargo-fuzz, built without optimisation, for it only starts others.
fn cargo_fuzz() -> Result<PathBuf, String> {
    let folder = install::once("fuzz/tool", CARGO_FUZZ, |folder| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["install", "cargo-fuzz", "--locked", "--debug", "--force", "--version", CARGO_FUZZ, "--root"]);
        install::must(cargo.arg(folder).env_remove("CARGO_TARGET_DIR"))
    })?;
    Ok(folder.join("bin/cargo-fuzz"))
}

/// The folder of the built targets. Without a sanitizer, so that a stable toolchain will do.
fn build_targets(cargo_fuzz: &Path) -> PathBuf {
    let target_dir = install::root("target/fuzz-none");
    std::fs::copy(install::root("Cargo.lock"), install::root("tests/fuzz/Cargo.lock")).unwrap();
    let mut cargo = Command::new(cargo_fuzz);
    cargo.args(["fuzz", "build", "--sanitizer", "none", "--fuzz-dir"]).arg(install::root("tests/fuzz"));
    cargo.arg("--target-dir").arg(&target_dir).env_remove("RUSTFLAGS");
    install::must(&mut cargo).unwrap();
    let built = std::fs::read_dir(&target_dir).unwrap().map(|entry| entry.unwrap().path());
    built.map(|path| path.join("release")).find(|path| path.join(TARGETS[0].0).is_file()).expect("targets are built")
}

#[test]
fn nothing_is_found_in_a_few_seconds() {
    let seeds = write_seeds();
    let Some(cargo_fuzz) = install::or_skip("cargo-fuzz", cargo_fuzz()) else { return };
    let built = build_targets(&cargo_fuzz);
    for (name, _) in TARGETS {
        let scratch = tempfile::tempdir().unwrap();
        let [corpus, temporary] = ["corpus", "tmp"].map(|part| scratch.path().join(part));
        std::fs::create_dir(&corpus).unwrap();
        std::fs::create_dir(&temporary).unwrap();
        let mut fuzzer = Command::new(built.join(name));
        fuzzer.arg(&corpus).arg(seeds.join(name)).env("TMPDIR", &temporary);
        fuzzer.arg(format!("-artifact_prefix={}/", scratch.path().display()));
        fuzzer.args([format!("-max_total_time={SECONDS}"), format!("-timeout={HANG_S}")]);
        fuzzer.args([format!("-rss_limit_mb={MEMORY_MB}"), format!("-malloc_limit_mb={ALLOCATION_MB}")]);
        fuzzer.arg("-print_final_stats=1");
        let ended = fuzzer.output().unwrap();
        let told = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{name}: {told}\ninput: {}", finding(scratch.path()));
        let executions = told.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
        let executions: u64 = executions.expect("a count of executions").trim().parse().unwrap();
        assert!(executions > seeds::of(name).len() as u64, "{name} was hardly fuzzed: {told}");
    }
}

/// The input that libFuzzer left, as it can be put into `findings.rs`.
fn finding(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let inputs = files.filter(|path| path.is_file()).map(|path| std::fs::read(path).unwrap());
    inputs.map(|bytes| format!("b\"{}\"", bytes.escape_ascii())).collect()
}
