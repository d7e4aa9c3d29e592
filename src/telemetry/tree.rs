//! `--trace`: every finished trace as a tree on stderr, for looking at one run without any backend.

use opentelemetry::trace::{SpanId, Status, TraceId};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Collects spans until the root of their trace ends, then prints them.
#[derive(Debug, Default)]
pub struct TreeExporter {
    pending: Mutex<HashMap<TraceId, Vec<SpanData>>>,
}

impl SpanExporter for TreeExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for span in batch {
            let trace = span.span_context.trace_id();
            let is_root = span.parent_span_id == SpanId::INVALID || span.parent_span_is_remote;
            let spans = pending.entry(trace).or_default();
            spans.push(span);
            // With a remote parent several roots share one trace; each prints what ended with it.
            if is_root && let Some(spans) = pending.remove(&trace) {
                crate::terminal::print(&render(spans));
            }
        }
        Ok(())
    }
}

/// The tree of the spans of one trace, children in order of their start.
fn render(mut spans: Vec<SpanData>) -> String {
    spans.sort_by_key(|s| (s.start_time, s.end_time));
    let known: Vec<SpanId> = spans.iter().map(|s| s.span_context.span_id()).collect();
    let mut out = String::new();
    for root in spans.iter().filter(|s| !known.contains(&s.parent_span_id)) {
        out.push_str(&format!("trace {}\n{}\n", root.span_context.trace_id(), label(root)));
        branch(&spans, root.span_context.span_id(), "", &mut out);
    }
    out
}

fn branch(spans: &[SpanData], parent: SpanId, indent: &str, out: &mut String) {
    let children: Vec<&SpanData> = spans.iter().filter(|s| s.parent_span_id == parent).collect();
    for (i, child) in children.iter().enumerate() {
        let (fork, below) = if i + 1 == children.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        out.push_str(&format!("{indent}{fork}{}\n", label(child)));
        branch(spans, child.span_context.span_id(), &format!("{indent}{below}"), out);
    }
}

fn label(span: &SpanData) -> String {
    let seconds = span.end_time.duration_since(span.start_time).unwrap_or(Duration::ZERO).as_secs_f64();
    let wanted = [super::names::PARTICIPANT_ID, super::names::SESSION_ID, super::names::SCAN_ID];
    let ids = wanted.iter().filter_map(|key| span.attributes.iter().find(|kv| kv.key.as_str() == *key));
    let mut text = format!("{} {seconds:.3} s", span.name);
    for id in ids {
        text.push_str(&format!(" {}={}", id.key, id.value));
    }
    if let Status::Error { description } = &span.status {
        text.push_str(&format!(" ERROR {description}"));
    }
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanContext, SpanKind, TraceFlags, TraceState};
    use std::time::UNIX_EPOCH;

    fn span(name: &'static str, id: u64, parent: u64, start: u64, end: u64) -> SpanData {
        SpanData {
            span_context: SpanContext::new(
                TraceId::from(7u128),
                SpanId::from(id),
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            ),
            parent_span_id: SpanId::from(parent),
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: UNIX_EPOCH + Duration::from_millis(start),
            end_time: UNIX_EPOCH + Duration::from_millis(end),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: Status::Unset,
            instrumentation_scope: Default::default(),
        }
    }

    #[test]
    fn children_hang_below_their_parents_in_order() {
        let mut failed = span("load_scan", 2, 1, 0, 250);
        failed.status = Status::error("cut\nshort");
        let spans = vec![
            span("validate_data", 4, 2, 100, 200),
            span("save_scan", 3, 1, 300, 900),
            failed,
            span("preprocess_scan", 1, 0, 0, 1000),
        ];
        let expected = "trace 00000000000000000000000000000007\npreprocess_scan 1.000 s\n├─ load_scan 0.250 s ERROR cut short\n│  └─ validate_data 0.100 s\n└─ save_scan 0.600 s\n";
        assert_eq!(render(spans), expected);
    }
}
