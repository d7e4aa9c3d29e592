//! The trace of a scan as bars: a row per span, indented by its depth.

use crate::derivatives::summary::ScanSummary;
use crate::trace_view::{Scan, Span, Subject, seconds};
use serde::Serialize;

/// One bar; left end and width in percent of the scan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Bar {
    pub name: String,
    pub depth: usize,
    pub left: f64,
    pub width: f64,
    pub seconds: String,
    pub failed: bool,
}

/// The bars of a scan, found by its span: its name may be a pseudonym in the trace.
pub(super) fn bars(subject: &Subject, scan: &ScanSummary) -> Vec<Bar> {
    let found = subject.scans.iter().find(|traced| traced.span_id.is_some() && traced.span_id == scan.span_id);
    let Some(scan) = found else { return Vec::new() };
    let mut bars = Vec::new();
    scan.spans.iter().for_each(|span| add(scan, span, 0, &mut bars));
    bars
}

fn add(scan: &Scan, span: &Span, depth: usize, bars: &mut Vec<Bar>) {
    let whole = seconds(scan.start_ns, scan.end_ns).max(1e-9);
    let percent = |s: f64| (1000.0 * (100.0 * s / whole).clamp(0.0, 100.0)).round() / 1000.0;
    let took = seconds(span.start_ns, span.end_ns);
    bars.push(Bar {
        name: span.name.to_string(),
        depth,
        left: percent(seconds(scan.start_ns, span.start_ns)),
        width: percent(took),
        seconds: format!("{took:.3}"),
        failed: span.failed,
    });
    span.children.iter().for_each(|child| add(scan, child, depth + 1, bars));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_lie_where_the_spans_are() {
        let span = |name: &str, start_ns, end_ns, children| Span {
            name: name.into(),
            start_ns,
            end_ns,
            children,
            ..Span::default()
        };
        let inner = span("skull_strip", 1_500_000_000, 2_000_000_000, vec![]);
        let scan = Scan {
            span_id: Some("00f067aa0ba902b7".into()),
            start_ns: 1_000_000_000,
            end_ns: 3_000_000_000,
            spans: vec![span("process_scan", 1_500_000_000, 3_000_000_000, vec![inner])],
            ..Scan::default()
        };
        let subject = Subject { scans: vec![Scan::default(), scan], ..Subject::default() };
        let of = |span: Option<&str>| -> ScanSummary {
            serde_json::from_value(serde_json::json!({
                "scan_id": "x", "modality": "T1w", "status": "success", "seconds": 1.0, "stages": {}, "quality": {},
                "span_id": span, "outputs": [], "notes": []
            }))
            .unwrap()
        };
        let found = bars(&subject, &of(Some("00f067aa0ba902b7")));
        let told: Vec<_> = found.iter().map(|b| (b.name.as_str(), b.depth, b.left, b.width)).collect();
        assert_eq!(told, [("process_scan", 0, 25.0, 75.0), ("skull_strip", 1, 25.0, 25.0)]);
        assert_eq!(found[1].seconds, "0.500");
        assert!(bars(&subject, &of(Some("1"))).is_empty() && bars(&subject, &of(None)).is_empty());
    }
}
