//! Runs as text: a head for each, a waterfall for each subject, the stages, the failures with what the log says.

use super::stages::{StageRow, stage_rows};
use super::{Archive, Run, Scan, Span, Status, Subject, seconds};
use crate::printable;
use std::fmt::Write;

/// Width of the names in a waterfall.
const NAMES: usize = 30;
/// Width of the times in a waterfall, with a blank on either side.
const TIMES: usize = 11;
/// Least width of the bars.
const MIN_BARS: usize = 10;

/// Shows `archive`, with at most `limit` subjects of each run, in lines of `width` characters.
///
/// Which subjects: those that failed or did not end, then the slowest.
#[must_use]
pub fn to_text(archive: &Archive, limit: usize, width: usize) -> String {
    let bars = width.saturating_sub(NAMES + TIMES).max(MIN_BARS);
    let mut out = String::new();
    for run in &archive.runs {
        head(run, &mut out);
        let shown = chosen(run, limit);
        for subject in &shown {
            waterfall(subject, bars, &mut out);
        }
        if shown.len() < run.subjects.len() {
            let _ = writeln!(out, "\n{} more subjects: --limit shows more of them", run.subjects.len() - shown.len());
        }
        failures(&shown, &mut out);
        out.push('\n');
    }
    stages(&stage_rows(archive), &mut out);
    if archive.torn_lines > 0 {
        let _ = writeln!(out, "\n{} lines were cut short and left out", archive.torn_lines);
    }
    out
}

/// The subjects worth looking at first.
#[must_use]
pub fn chosen(run: &Run, limit: usize) -> Vec<&Subject> {
    let mut subjects: Vec<&Subject> = run.subjects.iter().collect();
    let length = |s: &Subject| s.end_ns.saturating_sub(s.start_ns);
    subjects.sort_by(|a, b| (a.status, length(b)).cmp(&(b.status, length(a))));
    subjects.truncate(limit);
    subjects
}

fn head(run: &Run, out: &mut String) {
    let scans = || run.subjects.iter().flat_map(|subject| &subject.scans);
    let ended = |status| scans().filter(|scan| scan.status == status).count();
    let command = run.command.as_deref().map(|c| format!(" ({c})")).unwrap_or_default();
    let _ = writeln!(
        out,
        "{}",
        clean(&format!("run {}{command}: neuro-preprocess {} on {}", run.id, run.version, run.host))
    );
    let end = if run.finished { "" } else { ", no end in the files: killed, or still running" };
    let took = seconds(run.start_ns, run.end_ns);
    let _ = writeln!(out, "  {} UTC, {took:.1} s{end}", time(run.start_ns));
    let mut parts = vec![format!("{} ok", ended(Status::Ok)), format!("{} failed", ended(Status::Failed))];
    if ended(Status::Unfinished) > 0 {
        parts.push(format!("{} unfinished", ended(Status::Unfinished)));
    }
    let _ = writeln!(out, "  {} subjects, {} scans: {}", run.subjects.len(), scans().count(), parts.join(", "));
}

fn waterfall(subject: &Subject, bars: usize, out: &mut String) {
    let status = match subject.status {
        Status::Ok => "ok",
        Status::Failed => "FAILED",
        Status::Unfinished => "unfinished",
    };
    let took = seconds(subject.start_ns, subject.end_ns);
    let _ = writeln!(out, "\n{}  {status}  {took:.3} s  trace {}", clean(&subject.name()), subject.trace_id);
    let frame = Frame { start_ns: subject.start_ns, end_ns: subject.end_ns, bars };
    for scan in &subject.scans {
        let mark = match scan.status {
            Status::Ok => "",
            Status::Failed => " ✗",
            Status::Unfinished => " …",
        };
        let id = clean(scan.id.as_deref().unwrap_or("scan"));
        frame.line(&format!("{id}{mark}"), (scan.start_ns, scan.end_ns), out);
        scan.spans.iter().for_each(|span| frame.steps(span, 1, out));
    }
}

/// The time a waterfall spans, and the characters it has for that.
struct Frame {
    start_ns: u64,
    end_ns: u64,
    bars: usize,
}

impl Frame {
    fn steps(&self, span: &Span, depth: usize, out: &mut String) {
        let mark = if span.failed { " ✗" } else { "" };
        self.line(&format!("{}{}{mark}", "  ".repeat(depth), clean(&span.name)), (span.start_ns, span.end_ns), out);
        span.children.iter().for_each(|child| self.steps(child, depth + 1, out));
    }

    fn line(&self, name: &str, (start, end): (u64, u64), out: &mut String) {
        let name: String = match name.chars().count() {
            n if n <= NAMES => format!("{name:<NAMES$}"),
            // The end of a scan's id tells it from the others.
            n => "…".chars().chain(name.chars().skip(n - NAMES + 1)).collect(),
        };
        let (from, to) = (self.place(start), self.place(end));
        let bar = "█".repeat(to.saturating_sub(from).max(1));
        let from = from.min(self.bars.saturating_sub(1));
        let _ = writeln!(out, "{name} {:>7.3} s {}{bar}", seconds(start, end), " ".repeat(from));
    }

    /// The character at which a time stands.
    fn place(&self, time_ns: u64) -> usize {
        let whole = u128::from(self.end_ns.saturating_sub(self.start_ns)).max(1);
        let part = u128::from(time_ns.saturating_sub(self.start_ns)) * self.bars as u128;
        usize::try_from((part + whole / 2) / whole).unwrap_or(self.bars).min(self.bars)
    }
}

fn failures(subjects: &[&Subject], out: &mut String) {
    for subject in subjects.iter().filter(|s| s.status != Status::Ok || !s.logs.is_empty()) {
        let _ = writeln!(out, "\n{}", clean(&subject.name()));
        for scan in &subject.scans {
            failure(scan, out);
        }
        for line in &subject.logs {
            let place: Vec<&str> = line.scan_id.iter().chain(&line.stage).map(String::as_str).collect();
            let place = if place.is_empty() { String::new() } else { format!("{}: ", place.join(" ")) };
            let _ = writeln!(
                out,
                "  {} {:<5} {}",
                clock(line.time_ns),
                line.level,
                clean(&format!("{place}{}", line.message))
            );
        }
    }
}

fn failure(scan: &Scan, out: &mut String) {
    if let Some(failure) = &scan.failure {
        let stage = failure.stage.as_ref().map(|s| format!(" in {s}")).unwrap_or_default();
        let id = scan.id.as_deref().unwrap_or("scan");
        let _ = writeln!(out, "  failed{stage}: {}", clean(&format!("{id}: {} [{}]", failure.message, failure.code)));
    }
}

fn stages(rows: &[StageRow], out: &mut String) {
    let _ = writeln!(
        out,
        "{:<16} {:>7} {:>7} {:>9} {:>9} {:>9} {:>9}",
        "stage", "count", "failed", "p50 s", "p95 s", "p99 s", "max s"
    );
    for r in rows {
        let (count, failed) = (r.count, r.failed);
        let _ = writeln!(
            out,
            "{:<16} {count:>7} {failed:>7} {:>9.3} {:>9.3} {:>9.3} {:>9.3}",
            clean(&r.stage),
            r.p50,
            r.p95,
            r.p99,
            r.max
        );
    }
}

/// Text from a file, made safe for a terminal.
fn clean(text: &str) -> String {
    printable::line(text).into_owned()
}

fn moment(time_ns: u64) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(i128::from(time_ns)).unwrap_or_default()
}

fn time(time_ns: u64) -> String {
    moment(time_ns).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn clock(time_ns: u64) -> String {
    moment(time_ns).strftime("%H:%M:%S%.3f").to_string()
}
