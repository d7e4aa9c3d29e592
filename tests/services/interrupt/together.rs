//! Several runs on one output at once.

use super::calls::Calls;
use super::study::{SCANS, Study};
use crate::common::server::Server;
use crate::common::{Ran, run, run_command};
use std::path::Path;
use std::process::Stdio;

/// Starts `n` runs together and waits for them.
fn together(study: &Study, out: &Path, n: usize) -> Vec<Ran> {
    let start = |_| study.command(out).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let runs: Vec<_> = (0..n).map(start).collect();
    runs.into_iter().map(|run| Ran::of(run.wait_with_output().unwrap())).collect()
}

/// The number before ` WORD` in the last line.
fn counted(ran: &Ran, word: &str) -> usize {
    let line = ran.last_line();
    let before = line.split([',', ':']).find_map(|part| {
        part.trim().strip_suffix(word).or_else(|| part.trim().split_once(&format!("{word} in ")).map(|(n, _)| n))
    });
    before.map_or(0, |n| n.trim().parse().unwrap())
}

#[test]
fn runs_side_by_side_share_the_work_and_all_of_it_is_done_once() {
    let study = Study::get();
    for n in [2, 4] {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let runs: Vec<Ran> = together(study, &out, n).into_iter().map(|ran| ran.exits(0)).collect();
        let lines: Vec<&str> = runs.iter().map(Ran::last_line).collect();
        let done: usize = runs.iter().map(|ran| counted(ran, "ok")).sum();
        assert_eq!(done, SCANS, "{lines:#?}");
        for ran in &runs {
            let all = counted(ran, "ok") + counted(ran, "left to other runs") + counted(ran, "already done");
            assert_eq!(all, SCANS, "{}", ran.stdout);
        }
        study.assert_complete(&out, &format!("{n} runs: {lines:#?}"));
        let again = study.run(&out).exits(0);
        assert_eq!(counted(&again, "already done"), SCANS, "{}", again.stdout);
    }
}

#[test]
fn what_another_run_holds_is_left_to_it_until_it_is_gone() {
    let study = Study::get();
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut slow = study.command(&out);
    slow.args(["--participant-label", "02", "--slow-stage", "load:3600"]);
    let claim = out.join(".neuro-preprocess/sub-02.lock");
    let claimed = || std::fs::read(&claim).is_ok_and(|by| !by.is_empty());
    let mut holder = Server::start(&mut slow, &dir.path().join("said"), claimed);
    let mut other = study.command(&out);
    let other = run_command(other.args(["--participant-label", "02"])).exits(0);
    assert!(other.last_line().starts_with("2 scans: 0 ok, 0 failed, 2 left to other runs"), "{}", other.stdout);
    let named = format!("another run is processing it, process {} on ", holder.id());
    assert!(other.stderr.contains(&named), "{}", other.stderr);
    holder.kill();
    let last = study.run(&out).exits(0);
    assert_eq!(counted(&last, "ok"), SCANS, "{}", last.stdout);
    study.assert_complete(&out, "after the holder was killed");
}

#[test]
fn a_file_system_without_locks_is_used_with_a_warning() {
    const EOPNOTSUPP: &str = "95";
    let (study, calls) = (Study::get(), Calls::build());
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut command = study.command(&out);
    let ran = run_command(calls.preload(&mut command, &out).env("CALLS_FLOCK", EOPNOTSUPP)).exits(0);
    assert_eq!(ran.stderr.matches("without locks").count(), 1, "{}", ran.stderr);
    study.assert_complete(&out, "without locks");
}

#[test]
fn group_tables_written_by_many_at_once_are_whole() {
    let study = Study::get();
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    study.run(&out).exits(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| run([study.bids.as_path(), &out, Path::new("group")]).exits(0));
        }
    });
    study.assert_complete(&out, "four group levels");
}
