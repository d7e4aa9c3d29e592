//! Reads what a run wrote as OTLP JSON lines, with nothing of the program's own code.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A finished span.
#[derive(Debug)]
pub struct Span {
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub name: String,
    pub failed: bool,
    pub events: Vec<String>,
    pub links: Vec<String>,
    pub linked_traces: Vec<String>,
    attributes: Value,
}

impl Span {
    /// An attribute as text.
    pub fn attribute(&self, key: &str) -> Option<String> {
        attribute(&self.attributes, key)
    }
}

/// The value of an attribute in OTLP's list of keys and values.
pub fn attribute(list: &Value, key: &str) -> Option<String> {
    let value = &list.as_array()?.iter().find(|a| a["key"] == key)?["value"];
    let (_, value) = value.as_object()?.iter().next()?;
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// The lines of the one file of a signal below `logs`.
fn lines(logs: &Path, signal: &str) -> Vec<Value> {
    let files = files(logs, signal);
    assert_eq!(files.len(), 1, "one {signal} file per process: {files:?}");
    json_lines(&files[0])
}

fn files(logs: &Path, signal: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(logs).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|p| p.file_name().unwrap().to_str().unwrap().starts_with(&format!("{signal}-")));
    files.retain(|p| p.extension().is_some_and(|e| e == "jsonl"));
    files
}

/// A file of one JSON value per line.
pub fn json_lines(path: &Path) -> Vec<Value> {
    values(path, &fs::read_to_string(path).unwrap())
}

/// The whole lines of such a file that another process is still writing: the last may be there by half.
pub fn json_lines_so_far(path: &Path) -> Vec<Value> {
    let bytes = fs::read(path).unwrap();
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    values(path, std::str::from_utf8(&bytes[..whole]).unwrap())
}

fn values(path: &Path, text: &str) -> Vec<Value> {
    text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{}: {e}: {l}", path.display()))).collect()
}

/// The items of every line, below the resources and scopes they are listed under.
pub fn each<'v>(lines: &'v [Value], path: [&'static str; 3]) -> impl Iterator<Item = &'v Value> {
    let list = |v: &'v Value, key: &str| v[key].as_array().into_iter().flatten();
    let [resource, scope, item] = path;
    lines.iter().flat_map(move |l| list(l, resource)).flat_map(move |r| list(r, scope)).flat_map(move |s| list(s, item))
}

/// Every span of the one run that wrote there.
pub fn spans(logs: &Path) -> Vec<Span> {
    spans_in(&lines(logs, "traces"))
}

/// Every span of every process that wrote there. One that was killed may have left half a line at the end.
pub fn spans_of_all(logs: &Path) -> Vec<Span> {
    spans_in(&all_lines(logs, "traces"))
}

/// The whole lines of every process of a signal below `logs`.
pub fn all_lines(logs: &Path, signal: &str) -> Vec<Value> {
    files(logs, signal).iter().flat_map(|file| json_lines_so_far(file)).collect()
}

/// The resource attributes of the one run that wrote there.
pub fn resource(logs: &Path) -> Value {
    lines(logs, "traces")[0]["resourceSpans"][0]["resource"]["attributes"].clone()
}

/// The resource attributes of each process that wrote there.
pub fn resources(logs: &Path) -> Vec<Value> {
    let firsts = files(logs, "logs").into_iter().filter_map(|file| {
        let line = json_lines_so_far(&file).into_iter().next()?;
        Some(line["resourceLogs"][0]["resource"]["attributes"].clone())
    });
    firsts.collect()
}

fn spans_in(lines: &[Value]) -> Vec<Span> {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let names = |v: &Value, key: &str| v.as_array().unwrap().iter().map(|e| text(&e[key])).collect();
    each(lines, ["resourceSpans", "scopeSpans", "spans"])
        .map(|s| Span {
            trace: text(&s["traceId"]),
            id: text(&s["spanId"]),
            parent: text(&s["parentSpanId"]),
            name: text(&s["name"]),
            failed: s["status"]["code"] == 2,
            events: names(&s["events"], "name"),
            links: names(&s["links"], "spanId"),
            linked_traces: names(&s["links"], "traceId"),
            attributes: s["attributes"].clone(),
        })
        .collect()
}

/// Every log record of a run: severity, trace id, scan id.
pub fn logs(logs: &Path) -> Vec<(String, String, Option<String>)> {
    let lines = lines(logs, "logs");
    each(&lines, ["resourceLogs", "scopeLogs", "logRecords"])
        .map(|r| {
            let text = |key: &str| r[key].as_str().unwrap_or_default().to_owned();
            (text("severityText"), text("traceId"), attribute(&r["attributes"], "scan_id"))
        })
        .collect()
}

/// The sum over a run of a counter's increments, over the points whose attributes `keep` accepts.
pub fn total(logs: &Path, counter: &str, keep: impl Fn(&Value) -> bool) -> f64 {
    let lines = lines(logs, "metrics");
    let number =
        |p: &Value| p["asInt"].as_str().map_or_else(|| p["asDouble"].as_f64().unwrap_or(0.0), |t| t.parse().unwrap());
    each(&lines, ["resourceMetrics", "scopeMetrics", "metrics"])
        .filter(|m| m["name"] == counter)
        .flat_map(|m| m["sum"]["dataPoints"].as_array().unwrap())
        .filter(|p| keep(&p["attributes"]))
        .map(number)
        .sum()
}
