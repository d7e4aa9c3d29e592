//! The whole way through the real Nipoppy, as `docs/04-nipoppy-integration.md` tells it: every command of the document,
//! but for the sections on containers and clusters, is run in one empty folder, and every line it shows must be there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common;
use crate::common::console::{Step, environment, section, steps, try_steps};
use crate::common::run_command;
use std::path::Path;
use std::process::Command;

/// The trace of whoever calls Nipoppy.
const CALLER: &str = "0af7651916cd43dd8448eb211c80319c";
const DOCUMENT: &str = "docs/04-nipoppy-integration.md";
/// Sections that need more programs: `tests/services/nipoppy_inside.rs` tries them.
const ELSEWHERE: [&str; 2] = ["## With a container", "## On a cluster"];

#[test]
fn the_document_is_right() {
    let Some(peers) = common::nipoppy() else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = tempfile::tempdir().unwrap();
    let mut environment = environment(dir.path(), &format!("{}:/usr/bin:/bin", peers.display()));
    environment.push(("TRACEPARENT", format!("00-{CALLER}-b7ad6b7169203331-01")));
    let text = std::fs::read_to_string(root.join(DOCUMENT)).unwrap();
    let text = ELSEWHERE.iter().fold(text, |text, heading| text.replace(section(&text, heading), ""));
    let steps = steps(&text);
    for verb in ["process", "run", "extract", "track-processing", "pipeline validate", "pipeline install"] {
        assert!(steps.iter().any(|s| s.command.starts_with(&format!("nipoppy {verb}"))), "{verb} is not tried");
    }
    try_steps(&steps, dir.path(), &environment);
    the_table_is_described(dir.path());
    the_table_is_read_by_nipoppy(dir.path(), peers);
    the_trace_of_the_caller_goes_on(dir.path());
}

/// Nipoppy's own reader of such tables, which knows participants and sessions by the labels of the study.
fn the_table_is_read_by_nipoppy(dir: &Path, peers: &Path) {
    let read = "import sys, nipoppy
table = ('neuro-preprocess', sys.argv[1], 'idp/neuro-preprocess_idps.tsv')
read = nipoppy.NipoppyDataRetriever('study').get_derivatives([table])
print(len(read), *(round(read.loc[('01', '02'), f't1w_{name}_volume_ml']) for name in ('gm', 'wm', 'csf', 'intracranial')))";
    let mut python = Command::new(peers.join("python"));
    python.args(["-c", read, env!("CARGO_PKG_VERSION")]).current_dir(dir);
    let ran = run_command(&mut python).exits(0);
    let numbers: Vec<i32> = ran.last_line().split(' ').map(|word| word.parse().unwrap()).collect();
    let [rows, grey, white, fluid, whole] = numbers[..] else { panic!("{numbers:?}") };
    assert!(rows == 6 && grey > 300 && white > 300 && fluid > 50, "{numbers:?}");
    assert!((grey + white + fluid - whole).abs() <= 2, "{numbers:?}");
}

/// Without a container the variables of whoever called Nipoppy reach the program: each of its runs is in that trace.
fn the_trace_of_the_caller_goes_on(dir: &Path) {
    let logs = std::fs::read_dir(dir.join("study/derivatives/neuro-preprocess/0.1.0/output/logs")).unwrap();
    let traces = logs.map(|f| f.unwrap().path()).filter(|p| p.to_string_lossy().contains("/traces-"));
    let texts: Vec<String> = traces.map(|p| std::fs::read_to_string(p).unwrap()).collect();
    assert_eq!(texts.len(), 7, "six sessions, one of them twice");
    assert!(texts.iter().all(|text| text.contains(CALLER)));
}

/// Every column has its entry in the data dictionary, and each cell is a value or `n/a`.
fn the_table_is_described(dir: &Path) {
    let table = dir.join("study/derivatives/neuro-preprocess/0.1.0/idp/neuro-preprocess_idps.tsv");
    let dictionary: serde_json::Value =
        serde_json::from_slice(&std::fs::read(table.with_extension("json")).unwrap()).unwrap();
    let mut reader = csv::ReaderBuilder::new().delimiter(b'\t').from_path(&table).unwrap();
    let header = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 6);
    for name in &header {
        let about = dictionary[name]["Description"].as_str().unwrap_or_else(|| panic!("{name} is not described"));
        assert_ne!(about, "A measure of quality.", "{name}");
    }
    let column = |name: &str| header.iter().position(|h| h == name).unwrap_or_else(|| panic!("{name}"));
    let number = |row: &csv::StringRecord, name: &str| row[column(name)].parse::<f64>().unwrap();
    for row in &rows {
        assert!((800.0..2000.0).contains(&number(row, "t1w_brain_volume_ml")), "{row:?}");
        assert!((0.0..=100.0).contains(&number(row, "t1w_quality_score")), "{row:?}");
        assert!(number(row, "peak_memory_mb") > 1.0 && number(row, "seconds") > 0.0, "{row:?}");
        assert_eq!(row[column("trace_id")].len(), 32);
        let without_bold = &row[0] == "02" && &row[1] == "02";
        assert_eq!(&row[column("bold_fd_mean")] == "n/a", without_bold, "{row:?}");
    }
}

#[test]
fn steps_are_read_with_what_they_show() {
    let text = "$ no\n```console\n$ a b # exit 3\nout\nmore\n$ c # why\n```\n```text\n$ no\n```\n";
    let step = |command: &str, code, shown: &[&str]| Step {
        command: command.into(),
        code,
        shown: shown.iter().map(|s| (*s).to_owned()).collect(),
    };
    assert_eq!(steps(text), [step("a b", 3, &["out", "more"]), step("c", 0, &[])]);
}

#[test]
fn a_section_ends_where_the_next_begins() {
    let text = "# T\n\n## A\none\n### a\n\n## B\ntwo\n";
    assert_eq!([section(text, "## A"), section(text, "## B")], ["## A\none\n### a\n", "## B\ntwo\n"]);
}
