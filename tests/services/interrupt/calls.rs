//! The calls of a run that change files: their order, and one after the other refused.

use super::study::Study;
use crate::common::{Ran, run_command};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

const EIO: &str = "5";
const ESTALE: &str = "116";
const EDQUOT: &str = "122";
const EROFS: &str = "30";

/// The library of `calls.c`.
pub struct Calls {
    dir: tempfile::TempDir,
}

/// A call of a run.
#[derive(Debug)]
struct Call {
    number: usize,
    name: String,
    path: PathBuf,
    to: PathBuf,
}

impl Calls {
    /// Compiled by the C compiler, which is there because Rust links with it.
    pub fn build() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/interrupt/calls.c");
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"]).arg(dir.path().join("calls.so")).arg(source);
        run_command(cc.arg("-ldl")).exits(0);
        Self { dir }
    }

    /// Puts it into a command that writes into `out`.
    pub fn preload<'c>(&self, command: &'c mut Command, out: &Path) -> &'c mut Command {
        command.env("LD_PRELOAD", self.dir.path().join("calls.so")).env("CALLS_BELOW", out)
    }

    fn log(&self, mut command: Command, out: &Path) -> Vec<Call> {
        let log = self.dir.path().join("log");
        let _ = std::fs::remove_file(&log);
        run_command(self.preload(&mut command, out).env("CALLS_LOG", &log)).exits(0);
        let text = std::fs::read_to_string(&log).unwrap();
        let call = |line: &str| {
            let parts: Vec<&str> = line.split('\t').collect();
            Call {
                number: parts[0].parse().unwrap(),
                name: parts[1].to_owned(),
                path: parts[2].into(),
                to: parts[3].into(),
            }
        };
        text.lines().map(call).collect()
    }
}

/// Where in `calls` the first call of this kind on `path` is, from `start` on.
fn find(calls: &[Call], start: usize, name: &str, path: &Path) -> Option<usize> {
    (start..calls.len()).find(|&i| calls[i].name == name && calls[i].path == path)
}

#[test]
fn a_marker_is_written_when_all_it_stands_for_would_survive_a_loss_of_power() {
    let (study, calls) = (Study::get(), Calls::build());
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    for fresh in [true, false] {
        let mut command = study.command(&out);
        if !fresh {
            command.arg("--force");
        }
        let log = calls.log(command, &out);
        for sub in ["sub-01", "sub-02", "sub-03"] {
            let folder = out.join(sub);
            let marker = folder.join(format!("{sub}_success.json"));
            let marked = log.iter().position(|c| c.name == "rename" && c.to == marker).unwrap();
            let named: Vec<usize> = (0..marked)
                .filter(|&i| log[i].name == "rename" && log[i].to.starts_with(&folder) && log[i].to != marker)
                .collect();
            assert!(named.len() > 20, "{} renames", named.len());
            for &i in &named {
                let (file, name) = (&log[i].path, &log[i].to);
                assert!(log[..i].iter().any(|c| c.name == "fsync" && c.path == *file), "{} unsynced", name.display());
                for above in name.ancestors().skip(1).take_while(|a| a.starts_with(&out)) {
                    let synced = find(&log, i, "fsync", above);
                    assert!(synced.is_some_and(|s| s < marked), "{}: {} unsynced", name.display(), above.display());
                }
            }
            assert!(log[..marked].iter().any(|c| c.name == "fsync" && c.path == log[marked].path));
            assert!(find(&log, marked, "fsync", &folder).is_some(), "the marker may be lost");
            if !fresh {
                let removed = find(&log, 0, "unlink", &marker).unwrap();
                let synced = find(&log, removed, "fsync", &folder).unwrap();
                let changed = log.iter().position(|c| {
                    ["rename", "unlink"].contains(&&*c.name) && c.path.starts_with(&folder) && c.path != marker
                });
                assert!(synced < changed.unwrap(), "outputs are touched while the marker may come back");
            }
        }
    }
}

#[test]
fn whichever_call_fails_nothing_is_torn_and_a_rerun_completes_it() {
    let (study, calls) = (Study::get(), Calls::build());
    let dir = tempfile::tempdir().unwrap();
    let all = calls.log(study.command(&dir.path().join("all")), &dir.path().join("all"));
    let names = |calls: &mut dyn Iterator<Item = &Call>| calls.map(|c| c.name.clone()).collect::<BTreeSet<_>>();
    let kinds = names(&mut all.iter());
    // One in 37, up to one behind the last, and the first of each kind.
    let mut numbers: BTreeSet<usize> = (1..all.len() + 37).step_by(37).collect();
    numbers.extend(kinds.iter().map(|kind| all.iter().find(|c| c.name == *kind).unwrap().number));
    assert_eq!(names(&mut all.iter().filter(|c| numbers.contains(&c.number))), kinds);
    for kind in ["open", "write", "fsync", "rename", "mkdir", "unlink"] {
        assert!(kinds.contains(kind), "no {kind} in {kinds:?}");
    }
    let (all, mut codes) = (all.len(), BTreeSet::new());
    for n in numbers {
        let out = dir.path().join(n.to_string());
        let mut command = study.command(&out);
        calls.preload(&mut command, &out).env("CALLS_AT", n.to_string()).env("CALLS_ERROR", EIO);
        let ran = run_command(&mut command);
        let what = format!("EIO at call {n} of {all}:\n{}\n{}", ran.stdout, ran.stderr);
        assert!([0, 1, 73].contains(&ran.code), "{what}");
        if ran.code != 0 {
            assert!(ran.stderr.contains("dmesg") || ran.stdout.contains("dmesg"), "{what}");
        }
        codes.insert(ran.code);
        if out.exists() {
            study.assert_whole(&out, &what);
        }
        study.run(&out).exits(0);
        study.assert_complete(&out, &what);
        std::fs::remove_dir_all(&out).unwrap();
    }
    assert!(codes.contains(&1) && codes.contains(&73), "{codes:?}");
}

#[test]
fn a_disk_that_refuses_everything_ends_the_run_with_a_word_of_its_own() {
    let (study, calls) = (Study::get(), Calls::build());
    for (number, word) in [(EDQUOT, "your quota"), (EROFS, "is read-only"), (ESTALE, "was disconnected")] {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let mut command = study.command(&out);
        // In the middle of the first scan.
        calls.preload(&mut command, &out).envs([("CALLS_AT", "60"), ("CALLS_ON", "1"), ("CALLS_ERROR", number)]);
        let ran = run_command(&mut command);
        assert_given_up(&ran, word);
        study.assert_whole(&out, word);
        study.run(&out).exits(0);
        study.assert_complete(&out, word);
    }
}

/// Fails unless the run stopped at the first participant-session whose files were refused, and said why.
#[track_caller]
pub fn assert_given_up(ran: &Ran, word: &str) {
    let said = format!("{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(ran.code, 74, "{said}");
    assert!(ran.stderr.contains("the run stopped") && ran.stderr.contains(word), "{said}");
    assert!(ran.stderr.contains("NP-WRITE-FAILED"), "{said}");
    assert!(!said.contains("Ctrl-C again"), "nobody has pressed it yet: {said}");
    let few = [" 1 failed, ", " 2 failed, "].iter().any(|failed| ran.last_line().contains(failed));
    assert!(few && ran.last_line().contains("not reached"), "{said}");
}
