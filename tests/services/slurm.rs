//! `neuro-preprocess slurm` on a real three-node cluster: nodes are lost, tasks are sent back, and still each subject is
//! done once, and everything is found from the submission's trace.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common;
use crate::common::apptainer;
use crate::common::otlp;
use crate::common::quick;
use crate::common::slurm::{Cluster, texts};
use crate::common::{Ran, run, run_command};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn dataset(dir: &Path, participants: &str) -> (PathBuf, PathBuf) {
    let bids = dir.join("bids");
    let size = ["--modalities", "T1w", "--voxel-size", "6", "--participants", participants];
    run([&["synth", bids.to_str().unwrap()], &size[..]].concat()).exits(0);
    quick::make_quick(&bids);
    (bids, dir.join("out"))
}

/// `neuro-preprocess slurm BIDS OUT MORE` with this cluster in reach.
fn submit(cluster: &Cluster, bids: &Path, out: &Path, more: &[&str]) -> Ran {
    let mut command = cluster.command(env!("CARGO_BIN_EXE_neuro-preprocess"));
    run_command(command.arg("slurm").arg(bids).arg(out).args(more))
}

fn summaries(out: &Path) -> Vec<Value> {
    texts(out, "_summary.json").iter().map(|text| serde_json::from_str(text).unwrap()).collect()
}

fn rows(out: &Path) -> usize {
    fs::read_to_string(out.join("group_T1w.tsv")).unwrap().lines().count() - 1
}

#[test]
fn sixty_subjects_survive_a_lost_node_and_a_requeued_task() {
    let Some(mut cluster) = Cluster::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = dataset(dir.path(), "60");
    // Waiting costs nothing: each task is on its node for a while.
    let more = ["--submit", "--batch", "3", "--nprocs", "1", "--slow-stage", "process:1.5"];
    let said = submit(&cluster, &bids, &out, &more).exits(0).stdout;
    assert!(said.starts_with("60 participant-sessions submitted: array job "), "{said}");
    let on = |node: &str| cluster.queue(&["-t", "R", "-w", node]).into_iter().next();
    cluster.wait("tasks on every node", || ["n1", "n2", "n3"].iter().all(|node| on(node).is_some()));
    let done = || texts(&out, "_success.json").len();
    cluster.wait("the first subjects", || done() >= 3);

    let preempted = on("n1").unwrap();
    cluster.run(&["scontrol", "requeue", &preempted]).exits(0);
    let timed_out = on("n3").unwrap();
    cluster.terminate(&timed_out);
    // Between two tasks there may be nothing on it.
    cluster.wait("a task on the node that will be lost", || on("n2").is_some());
    assert!(cluster.lose("n2") > 0, "nothing was on the node when it was lost");
    cluster.drain();

    let summaries = summaries(&out);
    assert_eq!((summaries.len(), done(), rows(&out)), (60, 60, 60));
    assert!(summaries.iter().all(|s| s["status"] == "success"));
    let log = |task: &str| texts(&out.join("logs"), &format!("{task}.log")).concat();
    for task in [&preempted, &timed_out] {
        let log = log(task);
        // Between two scans nothing is interrupted.
        let stopped = log.contains("NP-INTERRUPTED") || log.contains("stopped by SIGTERM");
        assert!(stopped && log.matches("; outputs in").count() == 2, "{task}:\n{log}");
    }

    // The last attempt of each subject is the one its summary names; each is the root of a trace of its own, linked to
    // the run of its task, which is a child of the submission. Attempts that were cut short are there beside it.
    let spans = otlp::spans_of_all(&out.join("logs"));
    let submissions: Vec<_> = spans.iter().filter(|s| s.name == "submit_jobs").collect();
    assert_eq!(submissions.len(), 1);
    let traces: BTreeSet<&str> = summaries.iter().map(|s| s["trace_id"].as_str().unwrap()).collect();
    assert_eq!(traces.len(), 60);
    for trace in traces {
        let roots: Vec<_> = spans.iter().filter(|s| s.trace == trace && s.name == "preprocess_subject").collect();
        assert_eq!(roots.len(), 1, "{trace}");
        assert!(!roots[0].failed && roots[0].parent.is_empty());
        assert_eq!(roots[0].linked_traces, [submissions[0].trace.as_str()]);
    }
    let runs: Vec<_> = spans.iter().filter(|s| s.name == "preprocess_run").collect();
    assert!(runs.len() >= 20 && runs.iter().all(|s| s.parent == submissions[0].id && s.trace == submissions[0].trace));
    let well = spans.iter().filter(|s| s.name == "preprocess_subject" && !s.failed).count();
    assert_eq!(well, 60, "no subject was done twice");
    let nodes: BTreeSet<String> = otlp::resources(&out.join("logs"))
        .iter()
        .filter_map(|r| otlp::attribute(r, "slurm.array.task.id").and(otlp::attribute(r, "slurm.node")))
        .collect();
    assert_eq!(nodes.into_iter().collect::<Vec<_>>(), ["n1", "n2", "n3"]);

    let again = submit(&cluster, &bids, &out, &["--submit"]).exits(0).stdout;
    assert_eq!(again, "all 60 participant-sessions are done: nothing to submit\n");
}

#[test]
fn in_a_container_only_the_rest_is_sent_and_signals_get_through() {
    let Some(cluster) = Cluster::start() else { return };
    let (Some(image), Some(path)) = (apptainer::image(), apptainer::path()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = dataset(dir.path(), "3");
    let (input, output) = (bids.to_str().unwrap(), out.to_str().unwrap());
    run([input, output, "participant", "--participant-label", "01"]).exits(0);
    let mut command = cluster.command(env!("CARGO_BIN_EXE_neuro-preprocess"));
    command.args(["slurm", input, output, "--submit", "--slow-stage", "process:4", "--image"]).arg(&image);
    command.env("PATH", path).env("OTEL_RESOURCE_ATTRIBUTES", "site=here");
    let said = run_command(&mut command).exits(0).stdout;
    assert!(said.starts_with("2 participant-sessions submitted"), "{said}");
    let started = || texts(&out.join("logs"), "_1.log").concat().contains("slowed down");
    cluster.wait("the first task in its container", started);
    let task = cluster.queue(&["-t", "R"]).into_iter().find(|id| id.ends_with("_1")).unwrap();
    cluster.terminate(&task);
    cluster.drain();
    let log = texts(&out.join("logs"), "_1.log").concat();
    assert!(log.contains("NP-INTERRUPTED") && log.contains("1 scans: 1 ok"), "{log}");
    assert_eq!((texts(&out, "_success.json").len(), rows(&out)), (3, 3));
    let resources = otlp::resources(&out.join("logs"));
    let has = |r: &&Value, key: &str, value: &str| otlp::attribute(r, key).as_deref() == Some(value);
    let tasks = resources.iter().filter(|r| has(r, "container.runtime.name", "apptainer")).collect::<Vec<_>>();
    assert!(tasks.len() >= 3, "two tasks, one of them twice: {}", tasks.len());
    for resource in tasks {
        assert!(has(&resource, "site", "here") && otlp::attribute(resource, "slurm.array.task.id").is_some());
    }
}

#[test]
fn without_slurm_the_scripts_are_written_and_the_failure_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = dataset(dir.path(), "2");
    let (input, output) = (bids.to_str().unwrap(), out.to_str().unwrap());
    let shown = run(["slurm", input, output, "--dry-run", "--max-concurrent", "1", "--partition", "p"]).exits(0).stdout;
    assert!(shown.contains("#SBATCH --array=1-2%1\n") && shown.contains("#SBATCH --partition=p\n"), "{shown}");
    let key = dir.path().join("key");
    fs::write(&key, "0123456789abcdef0123456789abcdef").unwrap();
    let hidden = ["slurm", input, output, "--dry-run", "--pseudonymize", "--pseudonymize-key", key.to_str().unwrap()];
    let shown = run(hidden).exits(0).stdout;
    assert!(shown.contains(" --pseudonymize ") && shown.contains(&format!("--pseudonymize-key={}", key.display())));
    assert!(!shown.contains("0123456789abcdef"), "the key itself is in no script");
    assert!(!out.exists(), "a dry run writes nothing");
    let mut command = common::binary();
    command.env("PATH", dir.path()).args(["slurm", input, output, "--submit"]);
    let refused = run_command(&mut command).exits(74);
    let named = refused.stderr.contains("NP-SUBMIT-FAILED") && refused.stderr.contains("sbatch was not found");
    assert!(named && refused.stderr.matches("sbatch").count() == 1, "{}", refused.stderr);
    let said = run(["slurm", input, output]).exits(0).stdout;
    assert!(said.starts_with("2 participant-sessions to submit: sh "), "{said}");
    let script = said.trim().rsplit(' ').next().unwrap();
    assert!(fs::read_to_string(script).unwrap().contains("afterany"));
    assert_eq!(run(["slurm", input, output, "--participant-label", "99"]).code, 18);
    assert_eq!(run(["slurm", input, output, "--partition", "a b"]).code, 64);
}
