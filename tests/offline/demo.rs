//! The demo as a new user runs it: derivatives that the field's own programs accept, and telemetry that tells the same
//! story in spans, logs, metrics and summaries.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common::otlp;
use crate::common::{Ran, peer, run};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

struct Demo {
    _dir: tempfile::TempDir,
    bids: PathBuf,
    output: PathBuf,
    ran: Ran,
}

/// The normal demo, run once for all tests of this file.
fn normal() -> &'static Demo {
    static DEMO: OnceLock<Demo> = OnceLock::new();
    DEMO.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let ran = run(["demo", "normal", "-o", dir.path().to_str().unwrap()]);
        Demo { bids: dir.path().join("bids"), output: dir.path().join("derivatives"), ran, _dir: dir }
    })
}

fn summaries(output: &Path) -> Vec<Value> {
    let files = walkdir::WalkDir::new(output).sort_by_file_name().into_iter().map(|e| e.unwrap().into_path());
    let summaries = files.filter(|p| p.to_string_lossy().ends_with("_summary.json"));
    summaries.map(|p| serde_json::from_slice(&fs::read(p).unwrap()).unwrap()).collect()
}

/// `parent/child` for every span of a trace, sorted.
fn tree<'s>(spans: impl Iterator<Item = &'s otlp::Span> + Clone) -> BTreeSet<String> {
    let names: BTreeMap<&str, &str> = spans.clone().map(|s| (s.id.as_str(), s.name.as_str())).collect();
    spans.map(|s| format!("{}/{}", names.get(s.parent.as_str()).unwrap_or(&""), s.name)).collect()
}

#[test]
fn it_says_what_it_does_counts_the_scans_and_ends_with_the_command_that_opens_the_report() {
    let Demo { ran, output, .. } = normal();
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(
        lines[0].starts_with("making a synthetic dataset in ") && lines[1].starts_with("synthetic BIDS dataset in ")
    );
    assert!(lines[2].starts_with("preprocessing it into "), "{}", ran.stdout);
    assert!(lines.iter().any(|line| line.starts_with("10 scans: 10 ok, 0 failed")), "{}", ran.stdout);
    let (said, command) = (lines[lines.len() - 2], lines[lines.len() - 1]);
    assert_eq!(said, "Open the report in a browser:");
    let page = output.join("index.html");
    assert!(page.is_file() && command.ends_with(page.to_str().unwrap()), "{command}");
}

#[test]
fn the_bids_validator_finds_no_error() {
    let demo = normal();
    assert!(
        ["index.html", "sub-01.html"].iter().all(|page| demo.output.join(page).exists()),
        "no reports to pass over"
    );
    let Some(checked) = peer("check_validator.py", &[&demo.bids, &demo.output]) else { return };
    checked.exits(0);
}

#[test]
fn nibabel_opens_every_output_on_the_grid_of_its_input() {
    let demo = normal();
    let Some(checked) = peer("check_derivatives.py", &[&demo.bids, &demo.output]) else { return };
    assert_eq!(checked.exits(0).last_line(), "100 images, 0 problems");
}

#[test]
fn pybids_finds_the_same_images_and_metadata() {
    let demo = normal();
    let plan = run([
        demo.bids.to_str().unwrap(),
        demo.output.to_str().unwrap(),
        "participant",
        "--dry-run",
        "--format",
        "json",
    ]);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &plan.exits(0).stdout).unwrap();
    let Some(checked) = peer("check_index.py", &[&demo.bids, file.path()]) else { return };
    assert_eq!(checked.exits(0).last_line(), "10 images");
}

#[test]
fn what_the_validator_does_not_ask_for_is_there() {
    let description = fs::read(normal().output.join("dataset_description.json")).unwrap();
    let description: Value = serde_json::from_slice(&description).unwrap();
    for key in ["Name", "BIDSVersion", "GeneratedBy", "SourceDatasets", "DatasetLinks"] {
        assert!(!description[key].is_null(), "{key}");
    }
    assert_eq!(description["GeneratedBy"][0]["Version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn every_summary_is_as_its_schema_says() {
    let schema = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/summary.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_slice(&schema).unwrap()).unwrap();
    let all = summaries(&normal().output);
    assert_eq!(all.len(), 5);
    for summary in all {
        let errors: Vec<String> =
            schema.iter_errors(&summary).map(|e| format!("{e} at {}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}

#[test]
fn each_participant_has_one_trace_with_the_tree_of_the_contract() {
    let spans = otlp::spans(&normal().output.join("logs"));
    let expected: BTreeSet<String> = [
        "/preprocess_subject",
        "preprocess_subject/preprocess_scan",
        "preprocess_scan/load_scan",
        "load_scan/validate_data",
        "preprocess_scan/process_scan",
        "process_scan/skull_strip",
        "process_scan/bias_correction",
        "process_scan/motion_correct",
        "process_scan/normalization",
        "process_scan/spatial_normalization",
        "process_scan/segment_tissues",
        "process_scan/coregister",
        "process_scan/resample",
        "process_scan/quality_check",
        "process_scan/make_figures",
        "preprocess_scan/save_scan",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect();
    let run = spans.iter().find(|s| s.name == "preprocess_run").unwrap();
    for summary in summaries(&normal().output) {
        let of_trace = spans.iter().filter(|s| summary["trace_id"] == s.trace.as_str());
        assert_eq!(tree(of_trace.clone()), expected, "both modalities together have every span");
        assert_eq!(of_trace.clone().count(), 1 + 13 + 13, "one subject, 13 spans of the T1w and 13 of the bold");
        let root = of_trace.clone().find(|s| s.parent.is_empty()).unwrap();
        assert_eq!(
            root.attribute("participant_id").map(|p| format!("sub-{p}")).as_deref(),
            summary["participant_id"].as_str()
        );
        assert_eq!(root.links, [run.id.as_str()]);
        assert_eq!(root.attribute("run.id"), run.attribute("run.id"));
        for process in of_trace.filter(|s| s.name == "process_scan") {
            assert!(process.events.contains(&"quality_check_completed".to_owned()));
            assert!(process.attribute("processing.quality_score").is_some());
        }
    }
    assert_eq!(spans.iter().map(|s| &s.trace).collect::<BTreeSet<_>>().len(), 6, "five subjects and the run");
}

#[test]
fn every_log_line_of_a_scan_carries_its_trace_id() {
    let output = &normal().output;
    for summary in summaries(output) {
        let participant = summary["participant_id"].as_str().unwrap();
        let lines = otlp::json_lines(&output.join(format!("logs/{participant}.jsonl")));
        assert!(lines.len() > 20, "{participant}: {} lines", lines.len());
        for line in &lines {
            assert_eq!(line["trace_id"], summary["trace_id"], "{line}");
        }
        let in_otlp =
            otlp::logs(&output.join("logs")).iter().filter(|(_, t, _)| summary["trace_id"] == t.as_str()).count();
        assert_eq!(in_otlp, lines.len(), "{participant}: the same lines as OTLP");
    }
    let strays =
        otlp::logs(&output.join("logs")).into_iter().filter(|(_, trace, scan)| scan.is_some() && trace.is_empty());
    assert_eq!(strays.count(), 0);
}

#[test]
fn failures_are_told_the_same_way_by_spans_logs_and_metrics() {
    let dir = tempfile::tempdir().unwrap();
    // A demo takes the data that is there: as many scans as its own, but small, and none that is brought to a template.
    let bids = dir.path().join("bids");
    let small = ["--participants", "10", "--modalities", "bold", "--voxel-size", "6", "--volumes", "6"];
    run([&["synth", bids.to_str().unwrap()], &small[..]].concat()).exits(0);
    let demo = || run(["demo", "failures", "-o", dir.path().to_str().unwrap()]).exits(1);
    let failed = |ran: &Ran| -> BTreeSet<String> {
        ran.stdout.lines().filter(|l| l.starts_with("FAILED")).map(str::to_owned).collect()
    };
    let first = demo();
    let n = failed(&first).len();
    assert!((3..=7).contains(&n), "about half of ten fail: {}", first.stdout);
    assert!(first.stdout.contains(&format!("\n10 scans: {} ok, {n} failed", 10 - n)), "{}", first.stdout);
    let logs = dir.path().join("derivatives/logs");
    let error_spans = otlp::spans(&logs).iter().filter(|s| s.name == "preprocess_scan" && s.failed).count();
    let error_logs = otlp::logs(&logs).iter().filter(|(severity, ..)| severity == "ERROR").count();
    let processed = |status: &str| {
        otlp::total(&logs, "neuro.scans.processed", |a| otlp::attribute(a, "status").as_deref() == Some(status))
    };
    let errors = otlp::total(&logs, "neuro.errors", |_| true);
    #[allow(clippy::cast_precision_loss, reason = "ten scans")]
    let n_f64 = n as f64;
    assert_eq!((error_spans, error_logs), (n, n));
    assert_eq!((errors, processed("failed"), processed("success")), (n_f64, n_f64, 10.0 - n_f64));
    let summaries = summaries(&dir.path().join("derivatives"));
    let in_summaries =
        summaries.iter().flat_map(|s| s["scans"].as_array().unwrap()).filter(|s| s["status"] == "failed").count();
    assert_eq!(in_summaries, n);
    fs::remove_dir_all(&logs).unwrap();
    assert_eq!(failed(&demo()), failed(&first), "the seed decides what fails");
}
