//! `expected.md`, made from the table: what each case must come to, to read and to see in a diff.

use super::Group;
use super::case::{Outcome, Peer};
use super::datasets::{End, Run};
use neuro_preprocess::cli::exit::ExitStatus;
use neuro_preprocess::error::ErrorCode;
use std::fmt::Write as _;
use std::path::Path;

const HEAD: &str = "\
# Broken and odd inputs

<!-- Made by tests/corpus from its table: edit there. -->

`tests/corpus` makes every input below and runs the program on it. The test fails when the outcome, code, exit status or
message differs, when anything panics, hangs or changes the input, and when a good scan beside the bad ones does not finish.

- **refused**: the scan fails alone, with the code and a message that names it ([errors.md](../../../docs/errors.md)). The
  run continues and exits with 1. For datasets and requests, the last column is the exit status.
- **noted**: the scan is processed, and its log, summary and report carry a note. Notes on a dataset are warnings of the run.
  With `--strict` a note is an error with the code `NP-STRICT`: the scan fails, or the dataset is refused before anything is
  processed (exit 16).
- **left out**: not treated as a scan. `list`, `--dry-run` and the log give the reason; with `--strict` the dataset is refused
  (exit 16).
- **fine**: processed; nothing had to be repaired or guessed.

Accepted inputs are compared with nibabel: every voxel, the affine, voxel sizes and repetition time are equal, unless the row
says otherwise.
";

/// Compares the document with the table, or writes it anew.
pub fn compare(groups: &[Group], runs: &[Run]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/offline/corpus/expected.md");
    let expected = text(groups, runs);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = found.lines().zip(expected.lines()).find(|(a, b)| a != b);
    assert!(
        found == expected,
        "tests/offline/corpus/expected.md is stale, first at {differs:?}; UPDATE_DOCS=1 writes it"
    );
}

fn text(groups: &[Group], runs: &[Run]) -> String {
    let mut text = HEAD.to_owned();
    let total = groups.iter().map(|g| g.cases.len()).sum::<usize>() + runs.len();
    let mut counts = [("refused", 0), ("noted", 0), ("left out", 0), ("fine", 0)];
    let mut tables = String::new();
    for group in groups {
        write!(tables, "\n## {}\n\n| Input | Outcome | Code | What it says |\n|---|---|---|---|\n", group.title)
            .unwrap();
        for case in &group.cases {
            let (outcome, code, says) = of_scan(&case.outcome);
            row(&mut tables, &mut counts, &[case.name, outcome, &code, &says]);
        }
    }
    tables.push_str(
        "\n## Datasets and requests\n\n| Input | Outcome | Code | What it says | Exit |\n|---|---|---|---|---|\n",
    );
    for run in runs {
        let (outcome, code, says, exit) = match &run.end {
            End::Fine => ("fine", String::new(), String::new(), 0),
            End::Warns(says) => ("noted", String::new(), quoted(says), 0),
            End::Refused(code, exit, says) => ("refused", coded(*code), quoted(says), *exit),
        };
        row(&mut tables, &mut counts, &[run.name.as_str(), outcome, &code, &says, &exit.to_string()]);
    }
    let counts: Vec<String> = counts.iter().map(|(what, n)| format!("{n} {what}")).collect();
    let strict = ExitStatus::from(ErrorCode::Strict).number();
    assert_eq!(strict, 16, "the text above says so");
    writeln!(text, "\n{total} cases: {}. 0 panics, 0 hangs, 0 silent acceptances.", counts.join(", ")).unwrap();
    text + &tables
}

/// Outcome, code and what is said.
fn of_scan(outcome: &Outcome) -> (&'static str, String, String) {
    match outcome {
        Outcome::Refused(code, says) => ("refused", coded(*code), parts(says)),
        Outcome::LeftOut(says) => ("left out", String::new(), quoted(says)),
        Outcome::Accepted(notes, peer) => {
            let differs = match peer {
                Peer::Same => String::new(),
                Peer::Differs("refused", why) => format!(" (nibabel does not read it: {why})"),
                Peer::Differs(what, why) => format!(" ({what} other than nibabel's: {why})"),
            };
            (if notes.is_empty() { "fine" } else { "noted" }, String::new(), parts(notes) + &differs)
        }
    }
}

fn coded(code: ErrorCode) -> String {
    format!("`{code}`")
}

fn quoted(says: &str) -> String {
    format!("… {says} …")
}

fn parts(says: &[&str]) -> String {
    if says.is_empty() { String::new() } else { quoted(&says.join(" … ").replace("SUB", "sub-01")) }
}

fn row(text: &mut String, counts: &mut [(&str, usize)], cells: &[&str]) {
    counts.iter_mut().filter(|(what, _)| *what == cells[1]).for_each(|(_, n)| *n += 1);
    let cells: Vec<String> = cells.iter().map(|c| c.replace('|', "\\|").replace('<', "&lt;")).collect();
    writeln!(text, "| {} |", cells.join(" | ")).unwrap();
}
