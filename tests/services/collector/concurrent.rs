//! The whole stack under many processes at once: shipped configurations, real Collector, Prometheus and Loki, and a second
//! Collector in Tempo's place.

use super::ledger::Ledger;
use super::study::{Study, replay, url};
use crate::common::collector::{Collector, into_files, shipped};
use crate::common::loki::Loki;
use crate::common::otlp::{all_lines, each, json_lines, json_lines_so_far};
use crate::common::prometheus::Prometheus;
use crate::common::run_command;
use crate::common::server::{free_ports, peak_memory, wait_for};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Stdio};

const WHOLE: usize = 52;
const BROKEN: usize = 8;
const PROCESSES: usize = 4;
const ALL_LINES: &str = "{service_name=\"neuro-preprocess\"}";

#[test]
fn sixty_scans_of_four_processes_are_all_there_though_the_collector_is_restarted() {
    let study = Study::new(WHOLE, BROKEN);
    let Some(tempo) = Collector::start(&study.path("tempo"), &[shipped(), into_files()], &[]) else { return };
    let Some(loki) = Loki::start(&study.path("loki")) else { return };
    let (to_tempo, to_loki) = (url(tempo.http), loki.endpoint());
    let set = [("TEMPO_ENDPOINT", to_tempo.as_str()), ("LOKI_ENDPOINT", to_loki.as_str())];
    let Some(mut collector) = Collector::start(&study.path("collector"), &[shipped()], &set) else { return };
    let Some(prometheus) = Prometheus::start(&study.path("collector"), collector.prometheus) else { return };

    let mut running: Vec<Child> = (0..PROCESSES).map(|n| start(&study, n, collector.grpc)).collect();
    let mut memory = BTreeMap::<u32, u64>::new();
    wait_for("some scans in the totals", || {
        watch(&running, &mut memory);
        prometheus.number("sum(neuro_scans_processed_total)") >= Some(10.0)
    });
    let before = collector.peak_memory();
    collector.stop();
    assert!(running.iter_mut().any(|run| run.try_wait().unwrap().is_none()), "over before the Collector was stopped");
    collector.restart();
    wait_for("the runs to end", || {
        watch(&running, &mut memory);
        running.iter_mut().all(|run| run.try_wait().unwrap().is_some())
    });
    let out = study.path("out");
    replay(&out, collector.grpc).exits(0);

    let (spool, passed_on) = (Ledger::read(&out), || Ledger::read(&tempo.files()));
    wait_for("every span at Tempo's place", || passed_on().spans.len() >= spool.spans.len());
    spool.has_spans_of(&passed_on());
    assert_eq!(traces_with_a_subject(&tempo.files()).len(), WHOLE + BROKEN);
    prometheus.comes_to("sum(neuro_scans_processed_total)", 60.0);
    prometheus.comes_to("sum(neuro_scans_processed_total{status='failed'})", 8.0);
    prometheus.comes_to("sum(neuro_processing_duration_seconds_count)", 60.0);
    let lines: usize = spool.logs.values().sum();
    loki.comes_to(ALL_LINES, lines as f64);
    for participant in [&study.participants[0], &study.participants[WHOLE]] {
        lines_by_trace_id(&loki, &out, participant);
    }
    let most = memory.values().max().unwrap() / 1000;
    let collectors = (before / 1000, collector.peak_memory() / 1000);
    println!("{} spans, {lines} lines; peak MB: a run {most}, the Collector {collectors:?}", spool.spans.len());
}

/// One of the processes, with its share of the participants and an output folder of its own. It takes long enough for the
/// Collector to be restarted meanwhile, on any machine.
fn start(study: &Study, n: usize, port: u16) -> Child {
    let share = study.participants.iter().skip(n).step_by(PROCESSES);
    let mut run = study.run(&format!("out/{n}"));
    run.env("OTEL_METRIC_EXPORT_INTERVAL", "2000").args(["--slow-stage", "save:1.5"]);
    run.args(["--otel-endpoint", &url(port), "--participant-label"]).args(share);
    run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn watch(running: &[Child], memory: &mut BTreeMap<u32, u64>) {
    for run in running {
        if let Some(now) = peak_memory(run.id()) {
            memory.insert(run.id(), now);
        }
    }
}

/// The traces that have the span of a participant.
fn traces_with_a_subject(files: &Path) -> BTreeSet<String> {
    let lines = json_lines_so_far(&files.join("traces.jsonl"));
    let spans = each(&lines, ["resourceSpans", "scopeSpans", "spans"]);
    spans.filter(|s| s["name"] == "preprocess_subject").map(|s| s["traceId"].to_string()).collect()
}

/// `LogQL` finds by a trace id what the participant's own log file has.
fn lines_by_trace_id(loki: &Loki, out: &Path, participant: &str) {
    let name = format!("sub-{participant}.jsonl");
    let file = walkdir::WalkDir::new(out).into_iter().map(Result::unwrap).find(|f| f.file_name() == name.as_str());
    let own = json_lines(file.unwrap().path());
    let trace = own[0]["trace_id"].as_str().unwrap();
    let query = format!("{ALL_LINES} | trace_id=\"{trace}\" | participant_id=\"{participant}\"");
    let mut found = loki.lines(&query);
    let message = |l: &Value| l["message"].as_str().unwrap().to_owned();
    let mut own: Vec<String> = own.iter().map(message).collect();
    own.sort();
    found.sort();
    assert_eq!(found, own, "{query}");
}

#[test]
fn a_spool_of_thirty_hours_ago_is_taken_whole_beside_what_is_there_now() {
    let study = Study::new(2, 0);
    let Some(loki) = Loki::start(&study.path("loki")) else { return };
    let to_loki = loki.endpoint();
    let set = [("LOKI_ENDPOINT", to_loki.as_str())];
    let Some(collector) = Collector::start(&study.path("collector"), &[shipped()], &set) else { return };
    let Some(prometheus) = Prometheus::start(&study.path("collector"), collector.prometheus) else { return };
    let [nobody] = free_ports();
    run_command(study.run("offline").args(["--otel-endpoint", &url(nobody)])).exits(0);
    run_command(study.run("out").args(["--otel-endpoint", &url(collector.grpc)])).exits(0);
    let count = |path: &str| Ledger::read(&study.path(path)).logs.values().sum::<usize>() as f64;
    loki.comes_to(ALL_LINES, count("out"));
    prometheus.comes_to("sum(neuro_scans_processed_total)", 2.0);

    for signal in ["logs", "metrics"] {
        let mut lines = all_lines(&study.path("offline/logs"), signal);
        lines.iter_mut().for_each(make_older);
        let text: String = lines.iter().map(|l| format!("{l}\n")).collect();
        std::fs::write(study.path("aged"), text).unwrap();
        std::fs::rename(study.path("aged"), collector.spool().join(format!("{signal}-aged.jsonl"))).unwrap();
    }
    loki.comes_to(ALL_LINES, count("out") + count("offline"));
    prometheus.comes_to("sum(neuro_scans_processed_total)", 4.0);
    assert_eq!(prometheus.number("count(neuro_process_memory_bytes)"), Some(1.0), "only the process of now");
}

/// Sets every time in a line of a spool thirty hours back.
fn make_older(value: &mut Value) {
    const AGE: u64 = 30 * 3600 * 1_000_000_000;
    match value {
        Value::Array(list) => list.iter_mut().for_each(make_older),
        Value::Object(map) => map.iter_mut().for_each(|(key, v)| match v.as_str().map(str::parse::<u64>) {
            Some(Ok(time)) if key.ends_with("UnixNano") => *v = (time - AGE).to_string().into(),
            _ => make_older(v),
        }),
        _ => {}
    }
}
