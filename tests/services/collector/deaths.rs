//! `kill -9`: of the Collector in the middle of a run, of a receiver, and of the program itself.

use super::ledger::Ledger;
use super::study::{Study, replay, status, text, url};
use crate::common::collector::{Collector, into_files, shipped};
use crate::common::receiver::Receiver;
use crate::common::run_command;
use crate::common::server::{free_ports, wait_for};
use std::path::Path;
use std::process::Stdio;

#[test]
fn a_collector_killed_in_the_middle_of_many_scans_loses_and_doubles_nothing() {
    let study = Study::new(20, 160);
    let out = study.path("out");
    let Some(mut collector) = Collector::start(&study.path("collector"), &[shipped(), into_files()], &[]) else {
        return;
    };
    // Long enough for the Collector to be killed meanwhile, on any machine.
    let mut run = study.run("out");
    run.args(["--slow-stage", "save:1", "--otel-endpoint", &url(collector.grpc)]);
    let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("spans at the Collector", || !Ledger::read(&collector.files()).spans.is_empty());
    assert!(run.try_wait().unwrap().is_none(), "the run is over before the Collector could be killed");
    collector.kill();
    // What the Collector wrote down and died before it could say so is sent again, as OTLP has it: the program cannot know.
    let unanswered = unanswered(&collector.files(), &out);
    collector.restart();
    assert_eq!(run.wait().unwrap().code(), Some(1));
    replay(&out, collector.grpc).exits(0);
    let (spool, mut arrived) = (Ledger::read(&out), Ledger::read(&collector.files()));
    assert_eq!(spool.sum("neuro.scans.processed", "status=success"), 20.0);
    assert_eq!(spool.sum("neuro.scans.processed", "status=failed"), 160.0);
    if unanswered > 0 {
        let twice: usize = arrived.spans.values().chain(arrived.logs.values()).map(|n| n - 1).sum();
        assert!(twice <= unanswered, "{twice} items are there twice, {unanswered} were not answered for");
        arrived.spans.values_mut().chain(arrived.logs.values_mut()).for_each(|n| *n = 1);
    }
    spool.is_all_in(&arrived);
}

/// Spans and log records that are in the Collector's files and that the program does not know to be delivered.
fn unanswered(collector: &Path, out: &Path) -> usize {
    let arrived = Ledger::read(collector);
    let unknown =
        |arrived: usize, signal| arrived - usize::try_from(status(out, signal, "delivered")).unwrap().min(arrived);
    unknown(arrived.spans.len(), "traces") + unknown(arrived.logs.len(), "logs")
}

#[test]
fn what_the_collector_could_not_pass_on_survives_its_death() {
    let study = Study::new(2, 1);
    let Some(mut receiver) = Receiver::start(&study.path("receiver"), "503") else { return };
    let (tempo, loki) = (url(receiver.http), url(receiver.http));
    let set = [("TEMPO_ENDPOINT", tempo.as_str()), ("LOKI_ENDPOINT", loki.as_str())];
    let Some(mut collector) = Collector::start(&study.path("collector"), &[shipped()], &set) else { return };
    run_command(study.run("out").args(["--otel-endpoint", &url(collector.grpc)])).exits(1);
    wait_for("the Collector to try", || receiver.requests().len() > 1);
    collector.kill();
    receiver.becomes("ok");
    collector.restart();
    let (spool, passed_on) = (Ledger::read(&study.path("out")), || Ledger::read(&study.path("receiver")));
    wait_for("the Collector to pass on what it has", || {
        let there = passed_on();
        there.spans.len() >= spool.spans.len() && there.logs.len() >= spool.logs.len()
    });
    spool.has_items_of(&passed_on());
}

#[test]
fn a_receiver_that_dies_without_an_answer_gets_the_rest_later() {
    let study = Study::new(4, 2);
    let out = study.path("out");
    let Some(mut receiver) = Receiver::start(&study.path("receiver"), "die:2") else { return };
    run_command(study.run("out").args(["--otel-endpoint", &url(receiver.grpc)])).exits(1);
    receiver.dies();
    receiver.becomes("ok");
    replay(&out, receiver.grpc).exits(0);
    Ledger::read(&out).is_all_in(&Ledger::read(&study.path("receiver")));
}

#[test]
fn what_had_ended_when_the_program_was_killed_is_readable_by_the_collector() {
    let study = Study::new(200, 0);
    let out = study.path("out");
    let [nobody] = free_ports();
    let mut run = study.run("out");
    let run = run.args(["--otel-endpoint", &url(nobody)]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut run = run.spawn().unwrap();
    let logs = out.join("logs");
    wait_for("spans in the spool", || logs.exists() && Ledger::read(&logs).spans.len() > 25);
    run.kill().unwrap();
    run.wait().unwrap();

    let spool = Ledger::read(&out);
    let marked = std::fs::read_dir(&out).unwrap().filter(|f| {
        let name = f.as_ref().unwrap().file_name().into_string().unwrap();
        out.join(&name).join(format!("{name}_success.json")).exists()
    });
    let scans = spool.spans.keys().filter(|id| id.contains("\"preprocess_scan\"")).count();
    assert!(scans >= marked.count(), "every scan that was finished has its span");

    let set = [("OTELCOL_SPOOL", text(&logs))];
    let Some(collector) = Collector::start(&study.path("collector"), &[shipped(), into_files()], &set) else { return };
    wait_for("the Collector to have read the spool", || {
        let there = Ledger::read(&collector.files());
        there.spans.len() >= spool.spans.len()
            && there.logs.len() >= spool.logs.len()
            && there.sums.len() >= spool.sums.len()
    });
    spool.is_all_in(&Ledger::read(&collector.files()));

    // The same is delivered by a replay, and by the next run on the output folder.
    let Some(receiver) = Receiver::start(&study.path("receiver"), "ok") else { return };
    replay(&out, receiver.grpc).exits(0);
    spool.is_all_in(&Ledger::read(&study.path("receiver")));
}
