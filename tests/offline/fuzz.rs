//! Fuzzing: every seed and every input that once broke a promise is tried again, and each target gets some inputs made up from
//! its seeds. That needs no fuzzer; the test that builds the targets of libFuzzer takes minutes and is run when asked for.
//! What has to hold is in `tests/fuzz/checks`; how to fuzz for longer, in `tests/fuzz/README.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says where")]

#[path = "../fuzz/checks/mod.rs"]
mod checks;
#[path = "../fuzz/findings.rs"]
mod findings;
#[path = "../fuzz/seeds.rs"]
pub mod seeds;

use crate::common::{install, run_command};
use checks::TARGETS;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Seconds after which a target has lost its way.
const SECONDS: u32 = 600;
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
    written_seeds();
    try_all(TARGETS.iter().flat_map(|(name, _)| seeds::of(name).into_iter().map(|bytes| (*name, bytes))));
}

#[test]
fn what_once_broke_a_promise_keeps_it_now() {
    try_all(findings::all().into_iter());
}

/// `.cache/fuzz/seeds`, with a folder for each target; for fuzzing by hand, too.
fn written_seeds() -> &'static Path {
    static SEEDS: OnceLock<PathBuf> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let root = install::root(".cache/fuzz/seeds");
        let _ = std::fs::remove_dir_all(&root);
        for (name, _) in TARGETS {
            let folder = root.join(name);
            std::fs::create_dir_all(&folder).unwrap();
            for (n, bytes) in seeds::of(name).into_iter().enumerate() {
                std::fs::write(folder.join(format!("{n:02}")), bytes).unwrap();
            }
        }
        root
    })
}

/// The folder of the built targets.
fn build_targets() -> Result<PathBuf, String> {
    let mut bash = Command::new("bash");
    let built = run_command(install::without_cargo(bash.arg(install::root("tests/fuzz/build.sh"))));
    // The code for a crate that cannot be had; what cannot be built is no reason to skip.
    if built.code == 69 { Err(built.stderr) } else { Ok(built.exits(0).last_line().into()) }
}

/// Inputs made up from the seeds, each time the same: bytes changed, cut out, doubled, and the end of one seed behind the
/// beginning of another.
#[test]
fn made_up_inputs_keep_every_promise() {
    for (name, check) in TARGETS {
        let seeds = seeds::of(name);
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for _ in 0..made_up(name).div_ceil(5) {
            let bytes = changed(&seeds, &mut random);
            let kept = std::panic::catch_unwind(|| check(&bytes));
            assert!(kept.is_ok(), "{name} broke on b\"{}\"", bytes.escape_ascii());
        }
    }
}

/// Xorshift: numbers that are the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end.max(1) as u64).unwrap()
    }
}

/// One of the seeds with up to four changes.
fn changed(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        let end = bytes.len().min(at + 1 + random.below(8));
        match random.below(6) {
            _ if bytes.is_empty() => bytes.push(0),
            0 => bytes[at] = [0, 1, 127, 128, 255, b'"', b'/', b'\n'][random.below(8)],
            1 => bytes[at] ^= 1 << random.below(8),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            4 => bytes.truncate(at),
            _ => {
                let other = &seeds[random.below(seeds.len())];
                bytes.truncate(at);
                bytes.extend(&other[random.below(other.len())..]);
            }
        }
    }
    bytes
}

/// How many inputs are made up: as many as an idle core tries in about three seconds.
fn made_up(target: &str) -> usize {
    match target {
        "bids_name" => 100_000,
        "nifti" => 10_000,
        "invocation" => 6_000,
        "gzip" => 3_000,
        "tables" | "ledger" | "fieldmaps" => 500,
        "stages" => 100,
        _ => 1_000,
    }
}

#[test]
#[ignore = "builds the program once more, with libFuzzer: minutes"]
fn nothing_is_found_in_a_few_seconds() {
    let seeds = written_seeds();
    let Some(built) = install::or_skip("libfuzzer-sys", build_targets()) else { return };
    for (name, _) in TARGETS {
        let scratch = tempfile::tempdir().unwrap();
        let [corpus, temporary] = ["corpus", "tmp"].map(|part| scratch.path().join(part));
        std::fs::create_dir(&corpus).unwrap();
        std::fs::create_dir(&temporary).unwrap();
        // First the empty input and every seed, whatever the limits are.
        let wanted = 1 + seeds::of(name).len() + made_up(name);
        let mut fuzzer = Command::new(built.join(name));
        fuzzer.arg(&corpus).arg(seeds.join(name)).env("TMPDIR", &temporary);
        fuzzer.arg(format!("-artifact_prefix={}/", scratch.path().display()));
        fuzzer.args([format!("-runs={wanted}"), format!("-max_total_time={SECONDS}"), format!("-timeout={HANG_S}")]);
        fuzzer.args([format!("-rss_limit_mb={MEMORY_MB}"), format!("-malloc_limit_mb={ALLOCATION_MB}")]);
        fuzzer.arg("-print_final_stats=1");
        let ended = fuzzer.output().unwrap();
        let told = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{name}: {told}\ninput: {}", finding(scratch.path()));
        let executions = told.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
        let executions: usize = executions.expect("a count of executions").trim().parse().unwrap();
        assert!(executions >= wanted, "{name} was hardly fuzzed: {told}");
    }
}

#[test]
fn the_document_names_every_target() {
    let document = std::fs::read_to_string(install::root("tests/fuzz/README.md")).unwrap();
    let table = document.split("\n\n").find(|part| part.starts_with("| target |")).unwrap();
    let named: BTreeSet<&str> = table.lines().skip(2).map(|row| row.split('`').nth(1).unwrap()).collect();
    assert_eq!(named, TARGETS.iter().map(|(name, _)| *name).collect());
}

/// The input that libFuzzer left, as it can be put into `findings.rs`.
fn finding(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let inputs = files.filter(|path| path.is_file()).map(|path| std::fs::read(path).unwrap());
    inputs.map(|bytes| format!("b\"{}\"", bytes.escape_ascii())).collect()
}
