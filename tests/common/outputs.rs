//! An output folder as it is compared with another: everything below it but `logs/`, which is about the run and not about the
//! data, without the times, durations, memory, ids and places of the run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each file below an output folder, with what is compared of it.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Every file below an output folder but the logs, as it is compared.
pub fn files(out: &Path) -> Files {
    paths(out).into_iter().map(|path| (path.clone(), normalised(&out.join(path)))).collect()
}

/// Every file below an output folder but the logs, relative to it, in order.
pub fn paths(out: &Path) -> Vec<PathBuf> {
    let below = |path: &Path| path.strip_prefix(out).unwrap().to_owned();
    let entries = walkdir::WalkDir::new(out).into_iter().filter_entry(|e| below(e.path()) != Path::new("logs"));
    let files = entries.map(Result::unwrap).filter(|e| !e.file_type().is_dir());
    let mut paths: Vec<PathBuf> = files.map(|e| below(e.path())).collect();
    paths.sort();
    paths
}

/// A file without what belongs to the run that wrote it.
pub fn normalised(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let json = || serde_json::from_slice::<Value>(&bytes).unwrap();
    let text = || String::from_utf8(bytes.clone()).unwrap();
    if name.ends_with("_summary.json") {
        let of_the_run = ["run_id", "trace_id", "span_id", "started", "seconds", "stages", "peak_memory_mb"];
        without(json(), &of_the_run).into_bytes()
    } else if name.ends_with("_ledger.json") {
        without(json(), &["finished", "trace_id", "span_id", "seconds", "stages"]).into_bytes()
    } else if name.ends_with("_success.json") {
        without(json(), &["finished"]).into_bytes()
    } else if name == "dataset_description.json" {
        without(json(), &["SourceDatasets", "DatasetLinks"]).into_bytes()
    } else if name.starts_with("group_") && name.ends_with(".tsv") {
        without_column(&text(), "seconds").into_bytes()
    } else if name == "index.html" {
        index(&text()).into_bytes()
    } else if name.ends_with(".html") {
        let timed =
            ["role=\"row\"", "highest memory of the process", "<dt>Trace</dt>", "<dt>Dataset</dt>", "<p>Gathered "];
        lines_without(&text(), &timed).into_bytes()
    } else {
        bytes
    }
}

/// JSON without the members of these names, at any depth; each is there.
fn without(mut value: Value, names: &[&str]) -> String {
    fn remove(value: &mut Value, name: &str) -> usize {
        match value {
            Value::Object(map) => {
                let found = usize::from(map.shift_remove(name).is_some());
                found + map.values_mut().map(|v| remove(v, name)).sum::<usize>()
            }
            Value::Array(list) => list.iter_mut().map(|v| remove(v, name)).sum(),
            _ => 0,
        }
    }
    for name in names {
        assert!(remove(&mut value, name) > 0, "{name} is not there any more");
    }
    value.to_string()
}

fn without_column(table: &str, name: &str) -> String {
    let at = table.lines().next().unwrap().split('\t').position(|title| title == name).unwrap();
    let kept = |line: &str| {
        let cells: Vec<&str> = line.split('\t').enumerate().filter(|(i, _)| *i != at).map(|(_, cell)| cell).collect();
        cells.join("\t") + "\n"
    };
    table.lines().map(kept).collect()
}

fn lines_without(page: &str, parts: &[&str]) -> String {
    page.lines()
        .filter(|line| !parts.iter().any(|part| line.contains(part)))
        .map(|line| line.to_owned() + "\n")
        .collect()
}

/// The report of the dataset without its table of runs, and its data without durations.
fn index(page: &str) -> String {
    let (before, runs) = page.split_once("<section id=\"runs\"").unwrap();
    let page = before.to_owned() + runs.split_once("</section>").unwrap().1;
    let (head, rest) = page.split_once("id=\"data\">").unwrap();
    let (data, tail) = rest.split_once("</script>").unwrap();
    let mut data: Value = serde_json::from_str(data).unwrap();
    data["measures"].as_array_mut().unwrap().retain(|measure| measure["name"] != "seconds");
    lines_without(head, &["<p>Gathered "]) + &without(data, &["seconds"]) + tail
}
