//! Signals, limits and full ends: nothing ends silently, nothing is left half, and each says what it was.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common::quick::make_quick;
use crate::common::{Ran, binary, pipe, run, run_command, text};
use signal_hook::consts::{SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn dataset(dir: &Path) -> PathBuf {
    let bids = dir.join("bids");
    run(["synth", text(&bids), "--participants", "1", "--voxel-size", "6", "--volumes", "6"]).exits(0);
    make_quick(&bids);
    bids
}

/// Runs a slow run, sends it the signal once its first stage is slow, and waits.
fn signalled(mut command: Command, bids: &Path, out: &Path, signal: i32) -> Ran {
    command.args([text(bids), text(out), "participant", "--modalities", "T1w", "--slow-stage", "load:2"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while lines.read_line(&mut said).unwrap() > 0 && !said.contains("slowed down") {}
    let number = signal.to_string();
    run_command(Command::new("kill").args(["-s", &number, &child.id().to_string()])).exits(0);
    lines.read_to_string(&mut said).unwrap();
    let output = child.wait_with_output().unwrap();
    Ran { stderr: said, ..Ran::of(output) }
}

#[test]
fn signals_that_end_a_process_silently_stop_a_run_with_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let bids = dir.path().join("bids");
    dataset(dir.path());
    for (signal, name) in [(SIGHUP, "SIGHUP"), (SIGXCPU, "SIGXCPU"), (SIGUSR1, "SIGUSR1"), (SIGUSR2, "SIGUSR2")] {
        let out = dir.path().join(name);
        let ran = signalled(binary(), &bids, &out, signal).exits(75);
        assert!(ran.stderr.contains(&format!("the run was stopped by {name}")), "{}", ran.stderr);
        // The same command does the rest, and all is as it should be.
        run([text(&bids), text(&out), "participant", "--modalities", "T1w"]).exits(0);
        run(["verify", text(&out)]).exits(0);
    }
    // A word about the size of files alone is none about the run.
    signalled(binary(), &bids, &dir.path().join("SIGXFSZ"), SIGXFSZ).exits(0);
    // What the caller has switched off stays so.
    let mut nohup = Command::new("nohup");
    nohup.arg(env!("CARGO_BIN_EXE_neuro-preprocess")).env_clear().env("PATH", "/usr/bin:/bin");
    nohup.env("NEURO_PREPROCESS_OUTPUT_SPACES", "func");
    signalled(nohup, &bids, &dir.path().join("nohup"), SIGHUP).exits(0);
}

/// The binary under a limit of the shell.
fn limited(limit: &str, args: &[&str]) -> Ran {
    let script = format!("ulimit {limit}; exec \"$0\" \"$@\"");
    let mut command = Command::new("bash");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_neuro-preprocess")]).args(args);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("NEURO_PREPROCESS_OUTPUT_SPACES", "func");
    run_command(&mut command)
}

#[test]
fn a_limit_of_the_shell_is_named_with_what_to_do_about_it() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = (dataset(dir.path()), dir.path().join("out"));
    let args = [text(&bids), text(&out), "participant", "--modalities", "T1w"];
    // Files of 8 kB: as on a full disk, no other can be written either.
    let sizes = limited("-f 8", &args).exits(74);
    assert!(sizes.stderr.contains("ulimit -f"), "{}", sizes.stderr);
    let open = limited("-n 14", &args).exits(1);
    assert!(open.stdout.contains("ulimit -n"), "{}", open.stdout);
    let left = walkdir::WalkDir::new(&out).into_iter().map(Result::unwrap);
    let parts: Vec<_> = left.filter(|e| e.file_name().to_string_lossy().ends_with(".part")).collect();
    assert!(parts.is_empty(), "{parts:?}");
    run(args).exits(0);
    run(["verify", text(&out)]).exits(0);
}

#[test]
fn what_standard_output_does_not_take_is_no_success() {
    let dir = tempfile::tempdir().unwrap();
    let bids = dataset(dir.path());
    let out = dir.path().join("out");
    let dry = [text(&bids), text(&out), "participant", "--dry-run", "--format", "json"];
    for args in [&["list", text(&bids)][..], &["explain"], &["--help"], &["descriptor"], &dry] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ran = Ran::of(
            binary().args(args).stdout(full).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap(),
        );
        assert_eq!(ran.code, 74, "{args:?}");
        assert!(ran.stderr.contains("standard output cannot be written: No space left"), "{args:?}: {}", ran.stderr);
    }
    // A reader that has seen enough is none of that.
    let mut child = binary().arg("explain").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(Ran::of(child.wait_with_output().unwrap()).code, 0);
}

#[test]
fn a_pipe_in_the_place_of_a_configuration_holds_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out, config) = (dataset(dir.path()), dir.path().join("out"), dir.path().join("config.toml"));
    pipe(&config);
    let refused = run([text(&bids), text(&out), "participant", "--dry-run", "--config", text(&config)]).exits(64);
    assert!(refused.stderr.contains("a pipe, and its content did not arrive"), "{}", refused.stderr);
}

#[test]
fn json_lines_are_json_whatever_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = (dataset(dir.path()), dir.path().join("out"));
    let only_json = |args: &[&str]| {
        let ran = run(args.iter().copied().chain(["--log-format", "json"]));
        assert!(!ran.stderr.is_empty(), "{args:?}");
        for line in ran.stderr.lines() {
            let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
            assert!(
                parsed.is_ok_and(|line| line["level"].is_string() && line["message"].is_string()),
                "{args:?}: {line}"
            );
        }
        ran
    };
    // A collector that is not there, which telemetry itself says; a tree; a refusal.
    let nowhere = ["--otel-endpoint", "http://127.0.0.1:1", "--flush-timeout", "0.5", "--trace", "-v"];
    let words = [text(&bids), text(&out), "participant", "--modalities", "T1w"];
    only_json(&[&words[..], &nowhere].concat());
    fs::remove_file(bids.join("dataset_description.json")).unwrap();
    let refused = only_json(&words);
    assert!(refused.code == 16 && refused.stderr.contains("NP-NOT-BIDS"), "{}", refused.stderr);
}

#[test]
fn a_table_of_more_rows_than_people_does_not_fill_the_memory() {
    let dir = tempfile::tempdir().unwrap();
    let bids = dataset(dir.path());
    fs::write(bids.join("participants.tsv"), format!("participant_id\n{}", "sub-0000001\n".repeat(1_000_001))).unwrap();
    let said = run(["list", text(&bids)]).exits(0).stdout;
    assert!(said.contains("participants.tsv has more than 1000000 rows"), "{said}");
    // A hole: nothing is on the disk.
    File::create(bids.join("sub-01/anat/sub-01_T1w.json")).unwrap().set_len(2 << 30).unwrap();
    let said = run(["list", text(&bids)]).exits(0).stdout;
    assert!(said.contains("too much for such a file"), "{said}");
}
