//! Sampling traces in the Collector: what failed is kept whole, and a tenth of the rest.

use super::study::{Study, replay, url};
use crate::common::collector::{Collector, into_files, shipped};
use crate::common::install::root;
use crate::common::otlp::{all_lines, each, json_lines_so_far};
use crate::common::run_command;
use crate::common::server::{comes_about, wait_for};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};

const WHOLE: usize = 40;
const BROKEN: usize = 10;
/// How often each trace of the run is there again under another id, read from a spool.
const COPIES: usize = 39;

/// The ids of the spans of each trace, and whether one of them failed.
type Traces = BTreeMap<String, (BTreeSet<String>, bool)>;

fn traces(lines: &[Value]) -> Traces {
    let mut traces = Traces::new();
    for span in each(lines, ["resourceSpans", "scopeSpans", "spans"]) {
        let (spans, failed) = traces.entry(span["traceId"].as_str().unwrap().to_owned()).or_default();
        assert!(spans.insert(span["spanId"].as_str().unwrap().to_owned()), "a span twice");
        *failed |= span["status"]["code"] == 2;
    }
    traces
}

/// The line with other trace ids, the same for the same id.
fn copied(line: &Value, copy: usize) -> Value {
    let mut line = line.clone();
    let spans = line.pointer_mut("/resourceSpans/0/scopeSpans/0/spans").unwrap();
    for span in spans.as_array_mut().unwrap() {
        let half = |part: u8| {
            let mut hasher = DefaultHasher::new();
            (span["traceId"].as_str(), copy, part).hash(&mut hasher);
            hasher.finish()
        };
        span["traceId"] = format!("{:016x}{:016x}", half(0), half(1)).into();
    }
    line
}

#[test]
fn every_trace_with_an_error_is_kept_whole_and_a_tenth_of_the_others() {
    let study = Study::new(WHOLE, BROKEN);
    let Some(tempo) = Collector::start(&study.path("tempo"), &[shipped(), into_files()], &[]) else { return };
    let (to_tempo, to_loki) = (url(tempo.http), url(tempo.http));
    let set = [("TEMPO_ENDPOINT", to_tempo.as_str()), ("LOKI_ENDPOINT", to_loki.as_str())];
    let configs = [shipped(), root("configs/otel-collector-tail-sampling.yaml")];
    let Some(collector) = Collector::start(&study.path("collector"), &configs, &set) else { return };
    run_command(study.run("out").args(["--otel-endpoint", &url(collector.grpc)])).exits(1);
    replay(&study.path("out"), collector.grpc).exits(0);

    let mut lines = all_lines(&study.path("out/logs"), "traces");
    let copies: Vec<Value> = (0..COPIES).flat_map(|c| lines.iter().map(move |l| copied(l, c))).collect();
    let mut text = String::new();
    copies.iter().for_each(|l| writeln!(text, "{l}").unwrap());
    std::fs::write(study.path("copies"), text).unwrap();
    std::fs::rename(study.path("copies"), collector.spool().join("traces-copies.jsonl")).unwrap();
    lines.extend(copies);
    let sent = traces(&lines);
    let (failed, others): (Vec<_>, Vec<_>) = sent.iter().partition(|(_, (_, failed))| *failed);
    assert_eq!(failed.len(), BROKEN * (COPIES + 1));

    let decided = |labels| collector.own_metric("otelcol_processor_tail_sampling_global_count_traces_sampled", labels);
    wait_for("a decision on every trace", || decided("sampled=") >= sent.len() as f64);
    let file = tempo.files().join("traces.jsonl");
    let kept = || if file.exists() { traces(&json_lines_so_far(&file)) } else { Traces::new() };
    wait_for("what is kept to be passed on", || kept().len() as f64 >= decided("sampled=\"true\""));
    // A trace may come in several lines; one that never becomes whole is named below.
    comes_about(|| kept().iter().all(|(id, (spans, _))| sent.get(id).is_none_or(|(all, _)| spans.len() >= all.len())));
    let kept = kept();
    for (id, trace) in &kept {
        assert_eq!(Some(trace), sent.get(id), "trace {id} is not whole");
    }
    for (id, _) in &failed {
        assert!(kept.contains_key(*id), "trace {id} has an error and is not there");
    }
    // Of 1600 traces and a few without an error: fewer than 5.5 % or more than 15 % less than once in 10⁹ times.
    let share = (kept.len() - failed.len()) as f64 / others.len() as f64;
    assert!((0.055..0.15).contains(&share), "{share} of {} traces without an error are kept", others.len());
    println!("{} traces, {} with an error: all of these and {share:.3} of the others kept", sent.len(), failed.len());
}
