//! Telemetry that runs left: shown, and counted for delivery.

use super::{file, parts, place, printable};
use neuro_preprocess::telemetry::delivery::Status;
use neuro_preprocess::trace_view::{self, Filter};

/// Whatever is in the files, they can be shown, as text without control characters and as JSON, and counted. Input: lines of
/// spans, lines of logs, lines of metrics, and the cursor beside the spans.
pub fn spool(bytes: &[u8]) {
    let [traces, logs, metrics, cursor] = parts(bytes);
    file("logs/traces-h-1-2.jsonl", traces);
    file("logs/logs-h-1-2.jsonl", logs);
    file("logs/metrics-h-1-2.jsonl", metrics);
    let beside = "logs/traces-h-1-2.jsonl.ack";
    if cursor.is_empty() {
        drop(std::fs::remove_file(place(beside)))
    } else {
        drop(file(beside, cursor))
    }
    let mut archive = trace_view::read(&[place("logs")]).expect("the files are there");
    printable(&trace_view::to_text(&archive, usize::MAX, 80));
    let _ = serde_json::to_string(&archive).expect("an archive is JSON");
    Filter { stage: Some("load".to_owned()), ..Filter::default() }.apply(&mut archive);
    printable(&trace_view::to_text(&archive, 1, 20));
    let status = Status::of(vec![place("logs")]).expect("the files can be read");
    let _ = (status.text(), status.json().to_string(), status.waiting());
}
