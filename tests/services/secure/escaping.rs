//! Hostile names and texts come out harmless of every way out: standard output and error, piped and on a terminal, logs,
//! telemetry, JSON, tables and pages.

use super::hostile::{self, LINK, is_harmless};
use crate::common::collector::{Collector, into_files, shipped};
use crate::common::server::{get, wait_for};
use crate::common::{Ran, binary, install, run_command};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A run with all it says checked.
#[track_caller]
fn say<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Ran {
    let ran = run_command(binary().args(args));
    is_harmless("stdout", ran.stdout.as_bytes());
    is_harmless("stderr", ran.stderr.as_bytes());
    ran
}

/// The files below `folder` that people and programs read as text.
fn texts(folder: &Path) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(folder).into_iter().map(|e| e.unwrap().into_path()).filter(|p| p.is_file());
    files.filter(|p| !p.extension().is_some_and(|e| e == "gz" || e == "jpg")).collect()
}

/// Each file is harmless, and each page is what it was meant to be to a parser of HTML that has nothing of ours.
#[track_caller]
fn all_is_harmless(out: &Path) {
    let files = texts(out);
    for kind in ["json", "jsonl", "tsv", "html"] {
        assert!(files.iter().any(|p| p.extension().is_some_and(|e| e == kind)), "no {kind} in {files:?}");
    }
    for file in &files {
        is_harmless(&file.display().to_string(), &fs::read(file).unwrap());
        if file.extension().is_some_and(|e| e == "jsonl") {
            let text = fs::read_to_string(file).unwrap();
            assert!(text.lines().all(|l| serde_json::from_str::<Value>(l).is_ok()), "{}", file.display());
        }
    }
    let python = install::python("secure", "tests/peers/requirements-secure.txt");
    let Some(python) = install::or_skip("html5lib", python) else { return };
    let pages = files.iter().filter(|p| p.extension().is_some_and(|e| e == "html"));
    let script = install::root("tests/peers/check_html.py");
    let checked = run_command(Command::new(python).arg(script).args(pages)).exits(0);
    assert!(checked.stdout.contains("pages are whole"), "{}", checked.stdout);
}

/// What reads a dataset or writes derivatives, over a dataset in which everything is hostile.
#[test]
fn a_hostile_dataset_comes_out_harmless_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = (hostile::dataset(dir.path()), dir.path().join("out \u{1b}[35m<np-injected>"));
    let (bids, out) = (bids.to_str().unwrap(), out.to_str().unwrap());
    let listed = say(["list", bids]).exits(0).stdout;
    assert!(listed.contains(r"\u001b]0;owned\u0007") && listed.contains(r"\u202e"), "{listed}");
    assert!(!listed.lines().any(|line| line.starts_with("FORGED")), "{listed}");
    let json = say(["list", bids, "--format", "json"]).exits(0).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!(json["dataset"]["path"].as_str().unwrap().contains("\u{1b}[31m"), "to a program it is what it is");
    let planned = say([bids, out, "participant", "--dry-run"]).exits(0).stdout;
    assert!(planned.contains("<np-injected>") && !planned.lines().any(|l| l.starts_with("FORGED")), "{planned}");
    say([bids, out, "participant", "--dry-run", "--format", "json"]).exits(0);
    say([bids, out, "participant", "-v", "--trace"]).exits(1);
    say([bids, out, "participant", "--debug", "--log-format", "json"]).exits(1);
    say(["telemetry", "show", out]).exits(0);
    say(["telemetry", "show", out, "--format", "json"]).exits(0);
    say(["telemetry", "status", out]).exits(0);
    say([bids, out, "group"]).exits(0);
    say(["report", out]).exits(0);
    let table = format!("{out}/idps.tsv");
    say(["extract", out, &table]).exits(0);
    all_is_harmless(Path::new(out));
}

/// Loose files may be called anything.
#[test]
fn loose_files_of_hostile_names_come_out_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let bids = hostile::dataset(dir.path());
    let (loose, out) = (hostile::loose(dir.path(), &bids), dir.path().join("out"));
    let (loose, out) = (loose.to_str().unwrap(), out.to_str().unwrap());
    let said = say(["batch", loose, "-o", out, "-v"]).exits(1);
    assert!(said.stderr.contains(r"x\u001b]0;owned\u0007\u001b[2J\u009b31m"), "{}", said.stderr);
    say(["batch", loose, "-o", out, "--dry-run"]).exits(0);
    say(["telemetry", "show", out]).exits(0);
    say(["report", out]).exits(0);
    say(["extract", out, &format!("{out}/idps.tsv")]).exits(0);
    all_is_harmless(Path::new(out));
    let table = fs::read_to_string(Path::new(out).join("group_T1w.tsv")).unwrap();
    assert!(table.contains("\t'=cmd|") || table.contains("\t\"'=cmd|"), "{table}");
    let cells = texts(Path::new(out)).into_iter().filter(|p| p.extension().is_some_and(|e| e == "tsv"));
    for cell in cells.flat_map(|p| fs::read_to_string(p).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()) {
        for cell in cell.split('\t').map(|cell| cell.trim_start_matches('"')) {
            let formula = cell.starts_with(['=', '@']) || cell.starts_with(['+', '-']) && cell.parse::<f64>().is_err();
            assert!(!formula, "{cell:?} is a formula");
        }
    }
}

/// Whoever reads telemetry with other tools gets it as harmless: attributes and messages, and labels for Prometheus.
#[test]
fn what_a_collector_takes_is_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let bids = hostile::dataset(dir.path());
    let loose = hostile::loose(dir.path(), &bids);
    let place = dir.path().join("collector");
    let Some(collector) = Collector::start(&place, &[shipped(), into_files()], &[]) else { return };
    let endpoint = format!("http://127.0.0.1:{}", collector.grpc);
    for (n, args) in [vec![bids.to_str().unwrap()], vec!["batch", loose.to_str().unwrap(), "-o"]].iter().enumerate() {
        let out = dir.path().join(format!("out {n} \u{1b}[2J"));
        let level = if n == 0 { "participant" } else { "-v" };
        let mut run = binary();
        run.args(args).args([out.to_str().unwrap(), level, "--otel-endpoint", &endpoint]);
        run_command(run.env("OTEL_RESOURCE_ATTRIBUTES", "site=a%1B%5B2J").env("BAGGAGE", "who=%1B%5B2J")).exits(1);
    }
    for signal in ["traces", "logs", "metrics"] {
        let lines = crate::common::otlp::json_lines_so_far(&collector.files().join(format!("{signal}.jsonl")));
        let mut texts = 0;
        lines.iter().for_each(|line| {
            each_text(line, &mut |text| {
                texts += 1;
                is_harmless(signal, text.as_bytes());
            })
        });
        assert!(texts > 100, "{signal}: {texts} texts");
    }
    let metrics = || get(&format!("http://127.0.0.1:{}/metrics", collector.prometheus)).unwrap_or_default();
    wait_for("Prometheus' view", || metrics().contains("neuro_"));
    let scraped = metrics();
    is_harmless("Prometheus' view", scraped.as_bytes());
}

fn each_text(value: &Value, look: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => look(text),
        Value::Array(items) => items.iter().for_each(|item| each_text(item, look)),
        Value::Object(fields) => fields.iter().for_each(|(key, item)| {
            look(key);
            each_text(item, look);
        }),
        _ => {}
    }
}

/// What is typed is repeated in messages; it may come from a glob.
#[test]
fn arguments_come_back_harmless() {
    let hostile = format!("no{}such", hostile::SEQUENCES);
    for args in [
        vec![hostile.as_str()],
        vec![&hostile, "out", "participant"],
        vec!["bids", "out", &hostile],
        vec!["bids", "out", "participant", &hostile],
        vec!["explain", &hostile],
        vec!["bids", "out", "participant", "--participant-label", &hostile],
        vec!["bids", "out", "participant", "--mem", &hostile],
        vec!["bids", "out", "participant", "--otel-endpoint", &hostile],
        vec!["process", &hostile, "-o", "out"],
        vec!["list", &hostile],
        vec!["report", &hostile],
        vec!["extract", &hostile, "x.tsv"],
        vec!["score", &hostile],
        vec!["telemetry", "show", &hostile],
        vec!["--invocation", &hostile],
        vec![&*format!("--{hostile}")],
    ] {
        let ran = say(&args);
        assert!(ran.code != 0 && !ran.stderr.is_empty(), "{args:?}: {ran:?}");
    }
}

/// On a terminal only this program's own commands arrive: its colours, and what redraws its lines.
#[test]
fn a_terminal_gets_no_commands_but_our_own() {
    let dir = tempfile::tempdir().unwrap();
    let bids = hostile::dataset(dir.path());
    let loose = hostile::loose(dir.path(), &bids);
    let out = dir.path().join("out");
    for args in [
        vec![bids.to_str().unwrap(), out.to_str().unwrap(), "participant", "--slow-stage", "process:1"],
        vec!["batch", loose.to_str().unwrap(), "-o", out.to_str().unwrap(), "--slow-stage", "process:1"],
        vec!["list", bids.to_str().unwrap()],
        vec!["no such \u{1b}[2J folder", "out", "participant"],
    ] {
        let program = env!("CARGO_BIN_EXE_neuro-preprocess");
        let mut python = Command::new("python3");
        python.arg(install::root("tests/peers/on_a_terminal.py")).arg(program).args(&args).env_clear();
        let path = std::env::var_os("PATH").unwrap();
        let seen = run_command(python.env("TERM", "xterm-256color").env("PATH", path)).stdout;
        is_harmless(&format!("the terminal of {args:?}"), without_own_commands(&seen).as_bytes());
        let redrawn = seen.contains("A\r\u{1b}[J") && seen.contains("\u{1b}[1;31mfailed\u{1b}[0m");
        assert!(redrawn || !args.contains(&"--slow-stage"), "it was no terminal: {seen}");
    }
}

fn without_own_commands(seen: &str) -> String {
    let mut plain = seen.replace("\r\n", "\n");
    for color in ["\u{1b}[0m", "\u{1b}[1;31m", "\u{1b}[33m", "\u{1b}[32m", "\u{1b}[2m"] {
        plain = plain.replace(color, "");
    }
    for rows in 1..60 {
        plain = plain.replace(&format!("\u{1b}[{rows}A\r\u{1b}[J"), "");
    }
    plain
}

/// The checks themselves can fail.
#[test]
fn what_is_not_harmless_is_found() {
    for bad in ["a\u{1b}[0m", "a\rb", "\u{9b}", "\u{202e}", "\u{200b}"] {
        assert!(std::panic::catch_unwind(|| is_harmless("x", bad.as_bytes())).is_err(), "{bad:?}");
    }
    is_harmless("x", "├─ é\n\t█ ✗".as_bytes());
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("page.html");
    let python = install::python("secure", "tests/peers/requirements-secure.txt");
    let Some(python) = install::or_skip("html5lib", python) else { return };
    let link = format!("<a href=\"{LINK}\">");
    for bad in ["<np-injected>", "<p onclick=np()>", &link, "<script>np()</script>", "<img src=http://x/y>"] {
        fs::write(&page, format!("<!doctype html><title>x</title><script>own</script><p>{bad}")).unwrap();
        let script = install::root("tests/peers/check_html.py");
        let checked = run_command(Command::new(&python).arg(script).arg(&page));
        assert!(checked.code == 1 && checked.stdout.contains("page.html"), "{bad}: {checked:?}");
    }
}
