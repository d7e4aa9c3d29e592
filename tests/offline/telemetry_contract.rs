//! What runs of the binary emit is what the tables of `telemetry/names.rs` say (and with them `docs/telemetry.md`): nothing
//! that is not in a table, and nothing in a table that never comes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common::otlp;
use crate::common::{binary, run, run_command};
use neuro_preprocess::telemetry::names::{self, Kind};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Two sessions of one participant, both modalities, one run of two echoes with a fieldmap, and a participant whose image is the same everywhere.
fn dataset(dir: &Path) -> PathBuf {
    let root = dir.join("bids");
    let synth = ["synth", root.to_str().unwrap(), "--participants", "2", "--sessions", "2", "--voxel-size", "4"];
    run(synth.into_iter().chain(["--volumes", "8"])).exits(0);
    fs::remove_dir_all(root.join("sub-02/ses-02")).unwrap();
    fs::remove_dir_all(root.join("sub-02/ses-01/func")).unwrap();
    let image = root.join("sub-02/ses-01/anat/sub-02_ses-01_T1w.nii.gz");
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(fs::File::open(&image).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes[352..].fill(0);
    let mut packed = flate2::write::GzEncoder::new(fs::File::create(&image).unwrap(), flate2::Compression::fast());
    packed.write_all(&bytes).unwrap();
    packed.finish().unwrap();
    of_two_echoes(&root.join("sub-01/ses-02/func"));
    root
}

/// Makes two echoes of a run, whose slices are taken one after the other.
fn of_two_echoes(func: &Path) {
    let file = |name: &str| func.join(format!("sub-01_ses-02_task-rest{name}"));
    let image = nifti::read(&file("_bold.nii.gz")).unwrap();
    let times: Vec<f64> = (0..image.header.disk_shape()[2]).map(|slice| slice as f64 * 0.01).collect();
    for (echo, seconds, share) in [(1, 0.015, 1.0), (2, 0.035, 0.5)] {
        let to = fs::File::create(file(&format!("_echo-{echo}_bold.nii.gz"))).unwrap();
        let series = image.data.mapv(|v| v * share);
        nifti::write(to, &image.header, nifti::Voxels::Scaled(series.view())).unwrap();
        let told = json!({ "EchoTime": seconds, "RepetitionTime": image.header.tr_seconds(), "TaskName": "rest",
                           "SliceTiming": times, "PhaseEncodingDirection": "j", "TotalReadoutTime": 0.02 });
        fs::write(file(&format!("_echo-{echo}_bold.json")), told.to_string()).unwrap();
    }
    of_field(&func.with_file_name("fmap"), &image);
    ["_bold.nii.gz", "_bold.json"].iter().for_each(|name| fs::remove_file(file(name)).unwrap());
}

/// Makes a fieldmap for that run.
fn of_field(fmap: &Path, run: &nifti::Image) {
    fs::create_dir_all(fmap).unwrap();
    let file = |name: &str| fmap.join(format!("sub-01_ses-02_{name}"));
    let magnitude = run.data.slice(ndarray::s![..1, .., .., ..]);
    let field = ndarray::Array4::from_shape_fn(magnitude.dim(), |(_, _, j, i)| 20.0 * ((i + j) as f32 * 0.2).sin());
    for (name, image) in [("magnitude", magnitude), ("fieldmap", field.view())] {
        let to = fs::File::create(file(&format!("{name}.nii.gz"))).unwrap();
        nifti::write(to, &run.header, nifti::Voxels::Float(image)).unwrap();
    }
    let run = "bids::sub-01/ses-02/func/sub-01_ses-02_task-rest_echo-1_bold.nii.gz";
    fs::write(file("fieldmap.json"), json!({ "Units": "Hz", "IntendedFor": [run] }).to_string()).unwrap();
}

/// The JSON lines of all files in `logs` whose names begin so.
fn lines(logs: &Path, prefix: &str) -> Vec<Value> {
    let mut files: Vec<PathBuf> = fs::read_dir(logs).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|p| p.file_name().unwrap().to_str().unwrap().starts_with(prefix));
    assert!(!files.is_empty(), "{prefix}");
    files.iter().flat_map(|p| otlp::json_lines(p)).collect()
}

/// Every object in `value` that has the member `key`, at any depth.
fn with_member<'v>(value: &'v Value, key: &str, found: &mut Vec<&'v Value>) {
    match value {
        Value::Object(map) => {
            if map.contains_key(key) {
                found.push(value);
            }
            map.values().for_each(|v| with_member(v, key, found));
        }
        Value::Array(list) => list.iter().for_each(|v| with_member(v, key, found)),
        _ => {}
    }
}

fn all<'v>(lines: &'v [Value], key: &str) -> Vec<&'v Value> {
    let mut found = Vec::new();
    lines.iter().for_each(|line| with_member(line, key, &mut found));
    found
}

fn keys(attributes: &Value) -> impl Iterator<Item = String> {
    attributes.as_array().into_iter().flatten().map(|a| a["key"].as_str().unwrap().to_owned())
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

#[test]
fn a_run_emits_what_is_documented_and_all_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = (dataset(dir.path()), dir.path().join("out"));
    let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut command = binary();
    command.env_remove("NEURO_PREPROCESS_OUTPUT_SPACES");
    command.args([bids.to_str().unwrap(), out.to_str().unwrap(), "participant", "--slow-stage", "load:0.1"]);
    command.env("TRACEPARENT", caller).env("TRACESTATE", "vendor=7").env("BAGGAGE", "site=north");
    command.env("USER", "tester").env("SLURM_JOB_ID", "1").env("SLURM_ARRAY_JOB_ID", "2");
    command.env("SLURM_ARRAY_TASK_ID", "3").env("SLURMD_NODENAME", "n1").env("APPTAINER_CONTAINER", "/x/np.sif");
    run_command(&mut command).exits(1);
    let logs = out.join("logs");
    let traces = lines(&logs, "traces-");
    let jobs = dir.path().join("jobs");
    run(["slurm", bids.to_str().unwrap(), jobs.to_str().unwrap()]).exits(0);
    spans_are_in_the_tables(&[traces.clone(), lines(&jobs.join("logs"), "traces-")].concat());
    context_is_carried(&traces);
    metrics_are_in_the_tables(&lines(&logs, "metrics-"));
    log_lines_are_in_the_tables(&logs);
    // What this machine cannot show: being in Docker, below Nipoppy, below Boutiques.
    let elsewhere = [names::CONTAINER_ID, names::NIPOPPY_PROCESS_PID, names::BOUTIQUES_PROCESS_PID];
    let resource: BTreeSet<String> = keys(&all(&traces, "resource")[0]["resource"]["attributes"]).collect();
    let here = |set: BTreeSet<String>| -> BTreeSet<String> {
        set.into_iter().filter(|key| !elsewhere.contains(&key.as_str())).collect()
    };
    assert_eq!(here(resource), here(set(names::RESOURCE)), "left is emitted");
}

fn spans_are_in_the_tables(traces: &[Value]) {
    let spans = all(traces, "spanId").into_iter().filter(|s| s.get("name").is_some()).collect::<Vec<_>>();
    let (mut found, mut attributes, mut events) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for span in spans {
        found.insert(span["name"].as_str().unwrap().to_owned());
        attributes.extend(keys(&span["attributes"]).filter(|key| !key.starts_with(names::BAGGAGE_PREFIX)));
        for event in span["events"].as_array().into_iter().flatten() {
            events.insert(event["name"].as_str().unwrap().to_owned());
            attributes.extend(keys(&event["attributes"]));
        }
    }
    assert_eq!(found, set(&names::spans()), "left is emitted");
    assert_eq!(attributes, set(&names::attributes()), "left is emitted");
    assert_eq!(events, set(names::EVENTS), "left is emitted");
}

fn context_is_carried(traces: &[Value]) {
    let spans = all(traces, "spanId");
    let run = spans.iter().find(|s| s["name"] == names::PREPROCESS_RUN).unwrap();
    assert_eq!(
        (&run["traceId"], &run["parentSpanId"]),
        (&"0af7651916cd43dd8448eb211c80319c".into(), &"b7ad6b7169203331".into())
    );
    assert_eq!(run["traceState"], "vendor=7");
    assert_eq!(otlp::attribute(&run["attributes"], "baggage.site").as_deref(), Some("north"));
    let run_id = otlp::attribute(&run["attributes"], names::RUN_ID);
    let subjects: Vec<_> = spans.iter().filter(|s| s["name"] == names::PREPROCESS_SUBJECT).collect();
    assert_eq!(subjects.len(), 3);
    for subject in subjects {
        assert_eq!(subject["links"][0]["spanId"], run["spanId"]);
        assert_eq!(otlp::attribute(&subject["attributes"], names::RUN_ID), run_id);
    }
    let count = |key| otlp::attribute(&run["attributes"], key).unwrap();
    let counts = [names::RUN_UNITS, names::RUN_SCANS, names::RUN_SUCCEEDED, names::RUN_FAILED, names::RUN_SKIPPED];
    assert_eq!(counts.map(count), ["3", "5", "4", "1", "0"]);
}

fn metrics_are_in_the_tables(lines: &[Value]) {
    let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for metric in all(lines, "unit") {
        let table = names::METRICS.iter().find(|m| m.instrument == metric["name"].as_str().unwrap());
        let table = table.unwrap_or_else(|| panic!("{} is in no table", metric["name"]));
        assert_eq!(
            (metric["unit"].as_str(), metric["description"].as_str()),
            (Some(table.unit), Some(table.description))
        );
        let kind = ["sum", "gauge", "histogram"].into_iter().find(|k| metric.get(k).is_some()).unwrap();
        let expected = match table.kind {
            Kind::Counter | Kind::UpDownCounter => "sum",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        assert_eq!(kind, expected, "{}", table.instrument);
        let counted = (table.kind == Kind::Counter, metric[kind].get("isMonotonic") == Some(&Value::Bool(true)));
        assert_eq!(counted.0, counted.1, "{}", table.instrument);
        for point in metric[kind]["dataPoints"].as_array().unwrap() {
            labels.entry(table.instrument.to_owned()).or_default().extend(keys(&point["attributes"]));
            if kind == "histogram" {
                let bounds: Vec<f64> = serde_json::from_value(point["explicitBounds"].clone()).unwrap();
                assert_eq!(bounds, table.buckets, "{}", table.instrument);
            }
        }
    }
    let documented: BTreeMap<String, BTreeSet<String>> =
        names::METRICS.iter().map(|m| (m.instrument.to_owned(), set(m.labels))).collect();
    assert_eq!(labels, documented, "left is emitted");
}

fn log_lines_are_in_the_tables(logs: &Path) {
    let run: Vec<Value> = lines(logs, "run-");
    let fields: BTreeSet<String> = run.iter().flat_map(|l| l.as_object().unwrap().keys().cloned()).collect();
    let known: BTreeSet<String> = set(names::LOG_FIELDS).union(&set(names::LOG_EVENT_FIELDS)).cloned().collect();
    assert_eq!(fields, known, "left is emitted");
    // OTLP has the time, level, message and ids in places of their own.
    let records = lines(logs, "logs-");
    let sent: BTreeSet<String> = all(&records, "severityText").iter().flat_map(|r| keys(&r["attributes"])).collect();
    let own = [names::LOG_TIMESTAMP, names::LOG_LEVEL, names::LOG_MESSAGE, names::LOG_TRACE_ID, names::LOG_SPAN_ID];
    assert_eq!(sent, known.into_iter().filter(|f| !own.contains(&f.as_str())).collect(), "left is sent");
    assert_eq!(all(&records, "severityText").len(), run.len());
}
