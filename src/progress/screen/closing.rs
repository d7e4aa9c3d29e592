//! The end of a run: failures with reasons, a table of counts and places, and a line with the totals.

use crate::error::{ErrorClass, ErrorCode};
use crate::progress::tally::Counts;
use crate::terminal::{shell_word, wrap};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

/// Failures shown one by one; the rest is counted.
const SHOWN: usize = 10;

/// The last line's name for scans that another run processes.
const LEFT: &str = "left to other runs";

/// What the end says besides the counts.
#[derive(Clone, Copy, Debug)]
pub struct Closing<'a> {
    /// Scans that were to do.
    pub planned: usize,
    /// Scans an earlier run had done.
    pub already_done: usize,
    /// How long it took.
    pub seconds: f64,
    /// Where everything was written.
    pub output: &'a Path,
    /// Whether there is telemetry to be shown.
    pub telemetry: bool,
    /// Where the report is, or why there is none.
    pub report: Option<&'a str>,
    /// Width of the terminal; `None` for a file or pipe, whose lines stay whole.
    pub columns: Option<usize>,
}

impl Closing<'_> {
    /// The last lines of a run. The very last one counts the scans and says where the outputs are.
    #[must_use]
    pub fn text(&self, counts: &Counts) -> String {
        let mut text = String::new();
        failures(&mut text, counts);
        for (label, value) in self.rows(counts) {
            let _ = writeln!(text, "  {label:<12} {value}"); // writing to a String cannot fail
        }
        let stopped = counts.stopped();
        let mut parts = vec![format!("{} ok", counts.succeeded), format!("{} failed", counts.failed.len() - stopped)];
        let others = [
            (stopped, "stopped"),
            (self.not_reached(counts), "not reached"),
            (counts.left, LEFT),
            (self.already_done, "already done"),
        ];
        for (n, what) in others {
            if n > 0 {
                parts.push(format!("{n} {what}"));
            }
        }
        let (total, seconds) = (self.planned + self.already_done, self.seconds);
        let output = self.output.display();
        let _ = writeln!(text, "{total} scans: {} in {seconds:.1} s; outputs in {output}", parts.join(", "));
        self.columns.map_or(text.clone(), |columns| wrap(&text, columns))
    }

    const fn not_reached(&self, counts: &Counts) -> usize {
        self.planned.saturating_sub(counts.succeeded + counts.failed.len() + counts.left)
    }

    /// The table: how it went, and where to look.
    fn rows(&self, counts: &Counts) -> Vec<(&'static str, String)> {
        let stopped = counts.stopped();
        let mut rows =
            vec![("ok", counts.succeeded.to_string()), ("failed", (counts.failed.len() - stopped).to_string())];
        let others = [
            ("stopped", stopped),
            ("not reached", self.not_reached(counts)),
            ("other runs", counts.left),
            ("already done", self.already_done),
        ];
        rows.extend(others.into_iter().filter(|(_, n)| *n > 0).map(|(label, n)| (label, n.to_string())));
        let slowest: Vec<String> =
            counts.slowest.iter().map(|(seconds, scan)| format!("{scan} {seconds:.1} s")).collect();
        if !slowest.is_empty() {
            rows.push(("slowest", slowest.join(", ")));
        }
        rows.push(("logs", self.output.join("logs").display().to_string()));
        if self.telemetry {
            let output = shell_word(&self.output.to_string_lossy());
            rows.push(("traces", format!("neuro-preprocess telemetry show {output}")));
        }
        rows.extend(self.report.map(|report| ("report", report.to_owned())));
        let reason = counts.failed.iter().map(|(_, code, _)| code).find(|code| code.class() != ErrorClass::Cancelled);
        rows.extend(reason.map(|code| ("reasons", format!("neuro-preprocess explain {code}"))));
        if self.not_reached(counts) + stopped > 0 {
            rows.push(("remaining", "run the same command again".to_owned()));
        }
        rows
    }
}

/// What went wrong, and what to do about each kind of failure once. A scan that was stopped on request did not fail.
fn failures(text: &mut String, counts: &Counts) {
    let failed = || counts.failed.iter().filter(|(_, code, _)| code.class() != ErrorClass::Cancelled);
    for (scan, code, message) in failed().take(SHOWN) {
        let _ = writeln!(text, "FAILED {scan}: {} [{code}]", without_name(message, scan));
    }
    let more = failed().count().saturating_sub(SHOWN);
    if more > 0 {
        let _ = writeln!(text, "FAILED {more} more");
    }
    for (unit, code) in &counts.unmarked {
        let _ = writeln!(text, "FAILED {unit}: its marker or summary could not be written [{code}]");
    }
    let codes = failed().take(SHOWN).map(|(_, code, _)| *code).chain(counts.unmarked.iter().map(|(_, code)| *code));
    for code in codes.collect::<BTreeSet<ErrorCode>>() {
        let _ = writeln!(text, "  what to do: {} [{code}]", code.advice());
    }
}

/// The message without the name of its scan, which the line begins with.
fn without_name<'a>(message: &'a str, scan: &str) -> &'a str {
    message.strip_prefix(scan).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closing() -> Closing<'static> {
        let output = Path::new("out");
        Closing { planned: 6, already_done: 2, seconds: 1.25, output, telemetry: true, report: None, columns: None }
    }

    fn counts() -> Counts {
        let failed = [(1, ErrorCode::Truncated, "x.nii.gz ends early"), (2, ErrorCode::Interrupted, "stopped")];
        let failed = failed.map(|(n, code, why)| (format!("sub-{n:02}_T1w"), code, why.to_owned())).to_vec();
        let slowest = vec![(9.0, "sub-03_T1w".to_owned()), (2.25, "sub-04_T1w".to_owned())];
        Counts { succeeded: 3, left: 0, failed, unmarked: vec![], slowest }
    }

    #[test]
    fn the_last_line_counts_and_says_where_to_look() {
        let text = closing().text(&counts());
        assert!(text.starts_with("FAILED sub-01_T1w: x.nii.gz ends early [NP-TRUNCATED]\n"));
        let last = "8 scans: 3 ok, 1 failed, 1 stopped, 1 not reached, 2 already done in 1.2 s; outputs in out\n";
        assert!(text.ends_with(last), "{text}");
        assert_eq!(text.matches("FAILED").count(), 1, "stopped is not failed: {text}");
        let failed = ["sub-01_T1w", "sub-02_T1w"]
            .map(|scan| (scan.to_owned(), ErrorCode::NoSignal, format!("{scan}: every voxel is 0")));
        let twice = closing().text(&Counts { failed: failed.to_vec(), ..Counts::default() });
        assert!(twice.starts_with("FAILED sub-01_T1w: every voxel is 0 [NP-NO-SIGNAL]\n"), "{twice}");
        assert_eq!(twice.matches(ErrorCode::NoSignal.advice()).count(), 1, "{twice}");
        let text = closing().text(&Counts { succeeded: 4, left: 2, ..Counts::default() });
        let last = "8 scans: 4 ok, 0 failed, 2 left to other runs, 2 already done in 1.2 s; outputs in out\n";
        assert!(text.ends_with(last) && text.contains("  other runs   2\n"), "{text}");
    }

    #[test]
    fn the_table_says_how_it_went_and_what_to_look_at() {
        let text = closing().text(&counts());
        for line in [
            "  ok           3\n",
            "  failed       1\n",
            "  stopped      1\n",
            "  not reached  1\n",
            "  already done 2\n",
            "  slowest      sub-03_T1w 9.0 s, sub-04_T1w 2.2 s\n",
            "  logs         out/logs\n",
            "  traces       neuro-preprocess telemetry show out\n",
            "  reasons      neuro-preprocess explain NP-TRUNCATED\n",
            "  remaining    run the same command again\n",
        ] {
            assert!(text.contains(line), "{line:?} is not in\n{text}");
        }
        let report = Closing { report: Some("out/index.html"), columns: Some(36), ..closing() };
        let text = report.text(&Counts { succeeded: 6, ..Counts::default() });
        assert!(
            text.contains("  report       out/index.html\n")
                && text.contains("  traces       neuro-preprocess\n    telemetry show out\n"),
            "{text}"
        );
        let silent = Closing { output: Path::new("my out"), telemetry: false, ..closing() };
        assert!(!silent.text(&counts()).contains("telemetry show"));
        let told = Closing { telemetry: true, ..silent }.text(&counts());
        assert!(told.contains("  traces       neuro-preprocess telemetry show 'my out'\n"), "{told}");
        assert!(!text.contains("stopped") && !text.contains("reasons") && !text.contains("remaining"), "{text}");
    }
}
