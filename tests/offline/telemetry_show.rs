//! `telemetry show` tells a run from its files: finished, failed, killed, in pieces, and large. `telemetry config` says
//! what is in force.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common::{binary, run, run_command, text};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Participants with a small T1w image each; the image of the last is cut short.
fn processed(dir: &Path, participants: usize) -> PathBuf {
    let (bids, out) = (dir.join("bids"), dir.join("out"));
    let n = participants.to_string();
    run(["synth", text(&bids), "--participants", &n, "--modalities", "T1w", "--voxel-size", "4"]).exits(0);
    let broken = bids.join(format!("sub-{participants:02}/anat/sub-{participants:02}_T1w.nii.gz"));
    let whole = fs::read(&broken).unwrap();
    fs::write(&broken, &whole[..whole.len() / 2]).unwrap();
    run([text(&bids), text(&out), "participant"]).exits(1);
    out
}

fn shown(folder: &Path, options: &[&str]) -> Value {
    let args = ["telemetry", "show", text(folder), "--format", "json"];
    serde_json::from_str(&run(args.iter().chain(options)).exits(0).stdout).unwrap()
}

fn file(logs: &Path, prefix: &str) -> PathBuf {
    let mut names = fs::read_dir(logs).unwrap().map(|f| f.unwrap().path());
    names.find(|p| p.file_name().unwrap().to_str().unwrap().starts_with(prefix)).unwrap()
}

#[test]
fn a_run_with_a_failure_is_told_in_full() {
    let dir = tempfile::tempdir().unwrap();
    let out = processed(dir.path(), 3);
    let all = run(["telemetry", "show", text(&out)]).exits(0).stdout;
    for part in [
        "3 subjects, 3 scans: 2 ok, 1 failed",
        "sub-03  FAILED",
        "sub-03_T1w ✗",
        "    validate_data",
        "  failed in load: sub-03_T1w: ",
        "ERROR sub-03_T1w load: ",
        "skull_strip            2       0",
    ] {
        assert!(all.contains(part), "{part:?} is not in\n{all}");
    }
    assert!(all.lines().all(|line| !line.contains('█') || line.chars().count() <= 80), "wider than a terminal:\n{all}");
    assert!(all.find("sub-03  FAILED") < all.find("sub-01  ok"), "failures come first");

    let json = shown(&out, &[]);
    let found = &json["runs"][0];
    assert_eq!(
        (&found["finished"], &found["command"], &found["subjects_in_all"]),
        (&true.into(), &"participant".into(), &3.into())
    );
    let failed = &found["subjects"][0];
    assert_eq!((&failed["status"], &failed["scans"][0]["failure"]["stage"]), (&"failed".into(), &"load".into()));
    // The same reason and the same trace as the run's own summary gives.
    let summary: Value = serde_json::from_slice(&fs::read(out.join("sub-03/sub-03_summary.json")).unwrap()).unwrap();
    assert_eq!(failed["trace_id"], summary["trace_id"]);
    assert_eq!(failed["scans"][0]["failure"]["message"], summary["scans"][0]["error"]["message"]);
    let good = found["subjects"].as_array().unwrap().iter().find(|s| s["participant"] == "01").unwrap();
    let summary: Value = serde_json::from_slice(&fs::read(out.join("sub-01/sub-01_summary.json")).unwrap()).unwrap();
    assert_eq!(good["scans"][0]["quality_score"], summary["scans"][0]["quality_score"]);
    let steps = good["scans"][0]["spans"].as_array().unwrap();
    assert_eq!(
        steps.iter().map(|s| s["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["load_scan", "process_scan", "save_scan"]
    );

    let only = |options: &[&str]| {
        let json = shown(&out, options);
        json["runs"][0]["subjects"].as_array().unwrap().iter().map(|s| s["participant"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(only(&["--status", "failed"]), ["03"]);
    assert_eq!(only(&["--participant", "sub-02"]), ["02"]);
    assert_eq!(only(&["--limit", "1"]), ["03"]);
    assert_eq!(only(&["--stage", "save"]).len(), 2);
    let stages = shown(&out, &["--stage", "save"])["stages"].clone();
    assert_eq!((stages.as_array().unwrap().len(), &stages[0]["count"]), (1, &2.into()));
    run(["telemetry", "show", text(&out), "--stage", "cooking"]).exits(64);
    run(["telemetry", "show", text(&dir.path().join("bids"))]).exits(66);
    run(["telemetry", "show", text(&dir.path().join("absent"))]).exits(66);
}

#[test]
fn files_in_pieces_and_torn_lines_tell_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let logs = processed(dir.path(), 2).join("logs");
    let whole = shown(&logs, &[]);
    let traces = file(&logs, "traces-");
    let lines = fs::read_to_string(&traces).unwrap();
    let middle = lines[..lines.len() / 2].rfind('\n').unwrap() + 1;
    let (first, second) = lines.split_at(middle);
    fs::write(&traces, first).unwrap();
    let piece = traces.to_str().unwrap().replace(".jsonl", ".1.jsonl");
    fs::write(&piece, format!("{second}{{\"resourceSpans\":[{{\"resour")).unwrap();
    let mut pieces = shown(&logs, &[]);
    assert_eq!(pieces["torn_lines"].take(), 1);
    pieces["torn_lines"] = json!(0);
    assert_eq!(pieces, whole);
}

#[test]
fn what_a_killed_run_had_done_is_there_with_its_names() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = (dir.path().join("bids"), dir.path().join("out"));
    run(["synth", text(&bids), "--participants", "1", "--modalities", "T1w", "--voxel-size", "4"]).exits(0);
    let args = [text(&bids), text(&out), "participant", "--slow-stage", "save:600"];
    let mut child = binary().args(args).stdout(std::process::Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    let logs = out.join("logs");
    let processed =
        || logs.exists() && fs::read_to_string(file(&logs, "traces-")).is_ok_and(|t| t.contains("\"process_scan\""));
    while !processed() {
        assert!(begun.elapsed() < Duration::from_secs(300), "the scan was never processed");
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();
    let json = shown(&out, &[]);
    let subject = &json["runs"][0]["subjects"][0];
    assert_eq!((&json["runs"][0]["finished"], &subject["status"]), (&false.into(), &"unfinished".into()));
    assert_eq!((&subject["participant"], &subject["scans"][0]["id"]), (&"01".into(), &"sub-01_T1w".into()));
    let names: Vec<_> = subject["scans"][0]["spans"].as_array().unwrap().iter().map(|s| &s["name"]).collect();
    assert_eq!(names, ["load_scan", "process_scan"]);
    let said = run(["telemetry", "show", text(&out), "--status", "failed"]).exits(0).stdout;
    assert!(said.contains("sub-01  unfinished") && said.contains("1 unfinished") && said.contains("killed"), "{said}");
}

#[test]
fn two_runs_are_compared_scan_by_scan() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, first, second) = (dir.path().join("bids"), dir.path().join("first"), dir.path().join("second"));
    run(["synth", text(&bids), "--participants", "3", "--modalities", "T1w", "--voxel-size", "6"]).exits(0);
    run([text(&bids), text(&first), "participant", "--no-report"]).exits(0);
    run([text(&bids), text(&second), "participant", "--no-report", "--slow-stage", "save:3"]).exits(0);
    let said = run(["telemetry", "compare", text(&first), text(&second)]).exits(0).stdout;
    let save = said.lines().find(|l| l.starts_with("save ") && l.contains(" s  ")).unwrap_or_else(|| panic!("{said}"));
    assert!(save.contains("slower, 3 pairs"), "{said}");
    for measure in ["CPU s", "peak MB", "read MB", "written MB", "output MB"] {
        assert!(said.contains(measure), "{measure} is not compared:\n{said}");
    }
    let json = run(["telemetry", "compare", text(&first), text(&second), "--format", "json"]).exits(0).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    let output = |row: &&Value| row["stage"] == "save" && row["measure"] == "output_mb";
    let output = json["rows"].as_array().unwrap().iter().find(output).unwrap();
    assert_eq!((&output["verdict"], &output["ratio"]), (&"same".into(), &1.0.into()), "the outputs are the same");
    let id = json["sides"][0]["runs"][0].as_str().unwrap();
    let same = format!("{}@{id}", text(&first));
    run(["telemetry", "compare", &same, text(&second)]).exits(0);
    let wrong = run(["telemetry", "compare", &format!("{}@none", text(&first)), text(&second)]).exits(66).stderr;
    assert!(wrong.contains(&format!("there are: {id}")), "{wrong}");
}

/// One line as a run writes it.
fn span(
    trace: usize,
    id: usize,
    parent: usize,
    name: &str,
    attributes: &[(&str, &str)],
    (start, end): (u64, u64),
) -> String {
    let list = |pairs: &[(&str, &str)]| -> Value {
        pairs.iter().map(|(k, v)| json!({ "key": k, "value": { "stringValue": v } })).collect()
    };
    let parent = if parent == 0 { String::new() } else { format!("{parent:016x}") };
    let span = json!({ "traceId": format!("{trace:032x}"), "spanId": format!("{id:016x}"), "parentSpanId": parent,
        "name": name, "startTimeUnixNano": start.to_string(), "endTimeUnixNano": end.to_string(),
        "attributes": list(attributes), "status": {} });
    let resource = list(&[("neuro.run.id", "run-1"), ("service.version", "1"), ("host.name", "h")]);
    json!({ "resourceSpans": [{ "resource": { "attributes": resource }, "scopeSpans": [{ "spans": [span] }] }] })
        .to_string()
}

#[test]
fn ten_thousand_subjects_are_counted_and_the_slowest_shown() {
    let dir = tempfile::tempdir().unwrap();
    let mut lines = String::new();
    for i in 1..=10_000_usize {
        let (label, id, at) = (format!("{i:05}"), i * 10, i as u64 * 1_000_000_000);
        let who = [("participant_id", label.as_str())];
        let save = (at, at + i as u64 * 1_000_000);
        writeln!(lines, "{}", span(i, id + 2, id + 1, "save_scan", &[("stage", "save")], save)).unwrap();
        writeln!(lines, "{}", span(i, id + 1, id, "preprocess_scan", &who, save)).unwrap();
        writeln!(lines, "{}", span(i, id, 0, "preprocess_subject", &who, save)).unwrap();
    }
    fs::write(dir.path().join("traces-h-1-1.jsonl"), lines).unwrap();
    let said = run(["telemetry", "show", text(dir.path()), "--limit", "3"]).exits(0).stdout;
    assert!(said.contains("10000 subjects, 10000 scans: 10000 ok, 0 failed"), "{said}");
    assert!(said.contains("9997 more subjects"), "{said}");
    assert!(
        said.contains("sub-10000  ok  10.000 s") && said.contains("sub-09998") && !said.contains("sub-09997"),
        "{said}"
    );
    assert!(said.contains("save               10000       0     5.000     9.500     9.900    10.000"), "{said}");
}

#[test]
fn a_submission_is_a_run_without_subjects() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = (dir.path().join("bids"), dir.path().join("out"));
    run(["synth", text(&bids), "--participants", "1", "--modalities", "T1w", "--voxel-size", "6"]).exits(0);
    run(["slurm", text(&bids), text(&out)]).exits(0);
    let json = shown(&out, &[]);
    let found = &json["runs"][0];
    assert_eq!(found["command"], "slurm", "{json}");
    assert_eq!((&found["finished"], found["subjects"].as_array().unwrap().len()), (&json!(true), 0), "{json}");
    let said = run(["telemetry", "show", text(&out)]).exits(0).stdout;
    assert!(!said.contains("unfinished") && !said.contains("sub-?"), "{said}");
}

#[test]
fn settings_name_their_source_and_hide_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("c.toml");
    fs::write(&config, "[observability]\ntrace = true\nverbosity = \"debug\"\n").unwrap();
    let mut command = binary();
    command.args(["telemetry", "config", "--format", "json", "--config", text(&config)]);
    command.args(["--otel-endpoint", "http://me:geheim@127.0.0.1:4318"]);
    command.env("NEURO_PREPROCESS_NO_SUBJECT_METRICS", "1").env("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "2000");
    command.env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20geheim").env("OTEL_TRACES_SAMPLER", "sometimes");
    command.env("OTEL_BSP_MAX_QUEUE_SIZE", "9").env("OTEL_METRICS_EXPORTER", "none");
    let said = run_command(&mut command).exits(0).stdout;
    assert!(!said.contains("geheim"), "{said}");
    let json: Value = serde_json::from_str(&said).unwrap();
    let of = |name: &str| {
        let found = json["settings"].as_array().unwrap().iter().find(|s| s["name"] == name);
        let found = found.unwrap_or_else(|| panic!("{name} is not in {said}"));
        (found["value"].as_str().unwrap().to_owned(), found["source"].as_str().unwrap().to_owned())
    };
    let is = |value: &str, source: &str| (value.to_owned(), source.to_owned());
    let file = format!("file {}", config.display());
    assert_eq!(of("trace"), is("true", &file));
    assert_eq!(of("verbosity"), is("debug", &file));
    assert_eq!(of("otel-endpoint"), is("http://…@127.0.0.1:4318", "option"));
    assert_eq!(of("no-subject-metrics"), is("1", "environment NEURO_PREPROCESS_NO_SUBJECT_METRICS"));
    assert_eq!(of("log-format"), is("text", "default"));
    assert_eq!(of("logs"), is("files, OTLP HTTP to http://…@127.0.0.1:4318/v1/logs", "otel-endpoint"));
    assert_eq!(of("metrics"), is("off", "environment OTEL_METRICS_EXPORTER"));
    assert_eq!(of("OTEL_EXPORTER_OTLP_TIMEOUT (logs)"), is("2000", "environment OTEL_EXPORTER_OTLP_LOGS_TIMEOUT"));
    assert_eq!(of("OTEL_EXPORTER_OTLP_TIMEOUT (traces)"), is("10000", "default"));
    let headers = is("authorization (values hidden)", "environment OTEL_EXPORTER_OTLP_HEADERS");
    assert_eq!(of("OTEL_EXPORTER_OTLP_HEADERS (traces)"), headers);
    assert_eq!(of("OTEL_TRACES_SAMPLER"), is("parentbased_always_on", "default"));
    let warnings = json["warnings"].to_string();
    assert!(warnings.contains("OTEL_TRACES_SAMPLER: \\\"sometimes\\\" is not one of"), "{warnings}");
    assert!(warnings.contains("OTEL_BSP_MAX_QUEUE_SIZE has no effect"), "{warnings}");
}
