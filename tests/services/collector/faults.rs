//! Collectors that are absent, hang or refuse: the run ends as it would without telemetry, and nothing is lost or doubled.

use super::ledger::Ledger;
use super::study::{Study, replay, status, text, url};
use crate::common::collector::{Collector, into_files, shipped};
use crate::common::prometheus::Prometheus;
use crate::common::receiver::Receiver;
use crate::common::server::{Server, free_ports};
use crate::common::{binary, run_command};
use serde_json::Value;
use std::process::{Command, Stdio};

/// Runs to the end, checks the exit code and the last line, and that the process goes although a request may take an hour:
/// it is `--flush-timeout` that ends the wait.
#[track_caller]
fn ends_in_time(command: &mut Command, code: i32, last_line: &str) {
    let said = tempfile::NamedTempFile::new().unwrap();
    command.env("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000").stdout(said.reopen().unwrap()).stderr(Stdio::null());
    assert_eq!(Server::of(command.spawn().unwrap()).wait(), Some(code));
    let said = std::fs::read_to_string(said.path()).unwrap();
    assert!(said.lines().last().is_some_and(|last| last.starts_with(last_line)), "{said}");
}

fn over_http(command: &mut Command) -> &mut Command {
    command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
}

#[test]
fn with_no_collector_all_is_kept_and_a_replay_delivers_it_once() {
    let study = Study::new(2, 1);
    let [nobody] = free_ports();
    let out = study.path("out");
    let mut run = study.run("out");
    // Where nothing listens it is not waited for, whatever it may be.
    run.args(["--otel-endpoint", &url(nobody), "--flush-timeout", "3600"]);
    ends_in_time(&mut run, 1, "3 scans: 2 ok, 1 failed");
    let spool = Ledger::read(&out);
    let spans: usize = spool.spans.values().sum();
    assert_eq!((status(&out, "traces", "written"), status(&out, "traces", "waiting")), (spans as u64, spans as u64));
    replay(&out, nobody).exits(75);

    let Some(collector) = Collector::start(&study.path("collector"), &[shipped(), into_files()], &[]) else { return };
    let Some(prometheus) = Prometheus::start(&study.path("collector"), collector.prometheus) else { return };
    replay(&out, collector.grpc).exits(0);
    spool.is_all_in(&Ledger::read(&collector.files()));
    assert_eq!((status(&out, "traces", "delivered"), status(&out, "traces", "waiting")), (spans as u64, 0));
    prometheus.comes_to("sum(neuro_scans_processed_total{status='success'})", 2.0);
    prometheus.comes_to("sum(neuro_scans_processed_total{status='failed'})", 1.0);
    replay(&out, collector.grpc).exits(0);
    spool.is_all_in(&Ledger::read(&collector.files()));
    prometheus.comes_to("sum(neuro_scans_processed_total)", 3.0);

    let empty = study.path("empty");
    std::fs::create_dir(&empty).unwrap();
    replay(&empty, collector.grpc).exits(66);
}

/// A run into a receiver that takes nothing, then a replay into one that takes all.
fn nothing_taken(mode: &str, http: bool) {
    let study = Study::new(2, 1);
    let out = study.path("out");
    let Some(mut receiver) = Receiver::start(&study.path("receiver"), mode) else { return };
    let mut run = study.run("out");
    if http {
        over_http(&mut run);
    }
    run.args(["--otel-endpoint", &url(if http { receiver.http } else { receiver.grpc })]);
    ends_in_time(&mut run, 1, "3 scans: 2 ok, 1 failed");
    assert!(!receiver.requests().is_empty(), "the receiver was asked");
    receiver.becomes("ok");
    replay(&out, receiver.grpc).exits(0);
    Ledger::read(&out).is_all_in(&Ledger::read(&study.path("receiver")));
}

#[test]
fn a_collector_that_hangs_over_grpc() {
    nothing_taken("hang", false);
}

#[test]
fn a_collector_that_hangs_over_http() {
    nothing_taken("hang", true);
}

#[test]
fn a_collector_that_is_unavailable_over_grpc() {
    nothing_taken("503", false);
}

#[test]
fn a_collector_that_answers_503_over_http() {
    nothing_taken("503", true);
}

#[test]
fn a_collector_that_names_a_time_is_not_asked_before() {
    for http in [false, true] {
        let study = Study::new(4, 0);
        let Some(receiver) = Receiver::start(&study.path("receiver"), "429:2") else { return };
        let mut run = study.run("out");
        if http {
            over_http(&mut run);
        }
        // One scan at a time, so that the run lasts longer than the second the receiver asks for.
        run.args(["--otel-endpoint", &url(if http { receiver.http } else { receiver.grpc }), "--slow-stage", "save:1"]);
        ends_in_time(&mut run, 0, "4 scans: 4 ok");
        replay(&study.path("out"), receiver.grpc).exits(0);
        Ledger::read(&study.path("out")).is_all_in(&Ledger::read(&study.path("receiver")));
        let requests = receiver.requests();
        for (n, refused) in requests.iter().enumerate().filter(|(_, r)| r["answer"] == "429") {
            let same = |r: &&Value| r["signal"] == refused["signal"];
            let again = requests[n + 1..].iter().find(same).unwrap_or_else(|| panic!("never again: {requests:?}"));
            let pause = again["time"].as_f64().unwrap() - refused["time"].as_f64().unwrap();
            assert!(pause >= 1.0, "asked again after {pause} s: {requests:?}");
        }
        assert!(requests.iter().any(|r| r["answer"] == "429"));
    }
}

#[test]
fn what_a_collector_refuses_for_good_is_counted_and_not_sent_again() {
    for http in [false, true] {
        let study = Study::new(2, 1);
        let out = study.path("out");
        let Some(receiver) = Receiver::start(&study.path("receiver"), "partial") else { return };
        let mut run = study.run("out");
        if http {
            over_http(&mut run);
        }
        run.args(["--otel-endpoint", &url(if http { receiver.http } else { receiver.grpc })]);
        ends_in_time(&mut run, 1, "3 scans: 2 ok, 1 failed");
        replay(&out, receiver.grpc).exits(0);
        let (spool, arrived) = (Ledger::read(&out), Ledger::read(&study.path("receiver")));
        let requests = receiver.requests();
        for (signal, there, arrived) in [("traces", &spool.spans, &arrived.spans), ("logs", &spool.logs, &arrived.logs)]
        {
            let of_signal = requests.iter().filter(|r| r["signal"] == signal);
            let refused: u64 = of_signal.map(|r| r["refused"].as_u64().unwrap()).sum();
            assert!(refused > 0);
            assert_eq!(there.len() - arrived.len(), usize::try_from(refused).unwrap(), "{signal}");
            assert!(arrived.iter().all(|(id, n)| *n == 1 && there.contains_key(id)), "{signal}: {arrived:?}");
            assert_eq!((status(&out, signal, "rejected"), status(&out, signal, "waiting")), (refused, 0), "{signal}");
        }
        spool.has_sums_of(&arrived);
    }
}

#[test]
fn telemetry_that_is_off_sends_nothing() {
    let study = Study::new(1, 0);
    let Some(receiver) = Receiver::start(&study.path("receiver"), "ok") else { return };
    let endpoint = url(receiver.grpc);
    let run = |output: &str, (name, value): (&str, &str)| {
        run_command(study.run(output).env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint).env(name, value)).exits(0);
    };
    run("out", ("NEURO_PREPROCESS_NO_TELEMETRY", "true"));
    run("out2", ("OTEL_SDK_DISABLED", "true"));
    assert_eq!(receiver.requests(), Vec::<Value>::new());
    let mut nothing = binary();
    nothing.args(["telemetry", "replay", text(&study.path("out")), "--endpoint", &endpoint]);
    run_command(&mut nothing).exits(66);
}
