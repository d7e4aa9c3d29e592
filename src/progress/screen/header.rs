//! The header of a run: what will be done, with which resources, and where the results are.

use std::fmt::Write;
use std::path::Path;

/// What the head says.
#[derive(Debug)]
pub struct Header<'a> {
    /// Identifies the run in logs, traces and summaries.
    pub run_id: &'a str,
    /// Name of the dataset.
    pub name: &'a str,
    /// Its folder.
    pub dataset: &'a Path,
    /// Where everything is written.
    pub output: &'a Path,
    /// Scans to do, and the participant-sessions they are of.
    pub to_do: (usize, usize),
    /// Scans that an earlier run has done.
    pub already_done: usize,
    /// Threads.
    pub threads: usize,
    /// Memory to stay within, in bytes.
    pub memory: u64,
    /// Where telemetry goes.
    pub telemetry: &'a str,
}

impl Header<'_> {
    /// The lines, each cut to `columns` where there is a terminal.
    #[must_use]
    pub fn text(&self, columns: Option<usize>) -> String {
        let (scans, units) = self.to_do;
        let done = if self.already_done > 0 { format!(", {} done before", self.already_done) } else { String::new() };
        #[expect(clippy::cast_precision_loss, reason = "a size for people")]
        let memory = self.memory as f64 / 1e9;
        let lines = [
            format!("{} {}, run {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), self.run_id),
            format!("  dataset    {} ({})", self.name, self.dataset.display()),
            format!("  to do      {scans} scans of {units} participant-sessions{done}"),
            format!("  output     {}", self.output.display()),
            format!("  resources  {} threads, {memory:.1} GB of memory", self.threads),
            format!("  telemetry  {}", self.telemetry),
        ];
        let mut text = String::new();
        for line in lines {
            let line = columns.map_or(line.clone(), |columns| crate::terminal::fit(&line, columns));
            let _ = writeln!(text, "{line}"); // writing to a String cannot fail
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_terminals_get_short_lines_and_files_whole_ones() {
        let header = Header {
            run_id: "0199-aa",
            name: "A study",
            dataset: Path::new("/data/a-folder-far-down/bids"),
            output: Path::new("/out"),
            to_do: (12, 6),
            already_done: 3,
            threads: 8,
            memory: 16_000_000_000,
            telemetry: "files in /out/logs, OTLP gRPC to localhost:4317",
        };
        let whole = header.text(None);
        for part in [
            "A study (/data/a-folder-far-down/bids)",
            "12 scans of 6",
            "3 done before",
            "8 threads, 16.0 GB",
            "localhost:4317",
        ] {
            assert!(whole.contains(part), "{part}: {whole}");
        }
        let narrow = header.text(Some(40));
        assert_eq!(narrow.lines().count(), whole.lines().count());
        assert!(narrow.lines().all(|line| line.chars().count() <= 40), "{narrow}");
        assert!(narrow.contains("A study (/data/a-folder-fa…"), "{narrow}");
    }
}
