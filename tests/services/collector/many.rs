//! A job array: many short processes, some at the same time, into one output folder and one Collector.

use super::ledger::Ledger;
use super::study::{Study, WAITS, text, url};
use crate::common::collector::{Collector, into_files, shipped};
use crate::common::prometheus::Prometheus;
use crate::common::{binary, run_command};
use std::sync::atomic::{AtomicUsize, Ordering};

const WHOLE: usize = 20;
const BROKEN: usize = 280;

#[test]
fn the_totals_of_three_hundred_processes_are_exact() {
    let study = Study::new(WHOLE, BROKEN);
    let Some(collector) = Collector::start(&study.path("collector"), &[shipped(), into_files()], &[]) else { return };
    let Some(prometheus) = Prometheus::start(&study.path("collector"), collector.prometheus) else { return };
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some(participant) = study.participants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut one = binary();
                    one.args([text(&study.path("bids")), text(&study.path("out")), "participant", "--nprocs", "1"]);
                    one.args(["--participant-label", participant, "--otel-endpoint", &url(collector.grpc)]);
                    let ran = run_command(one.args(WAITS));
                    assert!([0, 1].contains(&ran.code), "{ran:?}");
                    failed.fetch_add(usize::from(ran.code == 1), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(failed.into_inner(), BROKEN);
    Ledger::read(&study.path("out")).is_all_in(&Ledger::read(&collector.files()));
    prometheus.comes_to("sum(neuro_scans_processed_total)", 300.0);
    prometheus.comes_to("sum(neuro_scans_processed_total{status='failed'})", 280.0);
    prometheus.comes_to("sum(neuro_errors_total)", 280.0);
    prometheus.comes_to("sum(neuro_processing_duration_seconds_count)", 300.0);
    prometheus.comes_to("count(neuro_scans_processed_total{status='success',modality='T1w'})", 1.0);
    assert_eq!(
        collector.own_metric("otelcol_deltatocumulative_datapoints", "error="),
        0.0,
        "the Collector dropped points"
    );
}
