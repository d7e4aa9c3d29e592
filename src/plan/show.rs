//! The plan for people and for programs (`--dry-run`).

use super::lesions;
use super::units::{Plan, Problem, ScanPlan, SessionPlan};
use crate::derivatives::outputs::Output;
use crate::printable;
use crate::vocabulary::Stage;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;

/// Writes the plan as one JSON object: item by item, so that no text of a large dataset is in memory.
///
/// # Errors
/// When `out` takes no more.
pub fn write_json(plan: &Plan, out: impl io::Write) -> io::Result<()> {
    let mut out = io::BufWriter::new(out);
    let mut json = serde_json::Serializer::pretty(Printed(&mut out));
    let mut object = json.serialize_map(None)?;
    object.serialize_entry("version", env!("CARGO_PKG_VERSION"))?;
    object.serialize_entry("dataset", &json!({ "name": plan.name, "path": plan.root }))?;
    object.serialize_entry("output", &plan.output)?;
    object.serialize_entry("index", &Each(|| plan.images.iter().flat_map(|images| images.iter())))?;
    object.serialize_entry("skipped", &Each(|| plan.skipped.iter().map(skipped_json)))?;
    object.serialize_entry("warnings", &plan.warnings)?;
    object.serialize_entry("units", &Each(|| plan.units.iter().map(unit_json)))?;
    let totals = json!({ "units": plan.units.len(), "scans": plan.scans(), "scans_to_do": plan.scans_to_do() });
    object.serialize_entry("totals", &totals)?;
    object.end()?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Makes what would act on a terminal visible. The serializer writes whole characters.
struct Printed<W>(W);

impl<W: Write> Write for Printed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.0.write_all(printable::text(text).as_bytes())?,
            Err(_) => self.0.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A list whose items are made when they are written.
struct Each<F>(F);

impl<I: Iterator<Item: Serialize>, F: Fn() -> I> Serialize for Each<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

fn unit_json(unit: &SessionPlan) -> Value {
    json!({
        "participant": unit.id.participant,
        "session": unit.id.session,
        "done": unit.done(),
        "reason": unit.state.kind(),
        "why": unit.state.to_string(),
        "memory_mb": megabytes(unit.memory()),
        "scans": unit.scans.iter().map(scan_json).collect::<Vec<_>>(),
    })
}

fn scan_json(scan: &ScanPlan) -> Value {
    json!({
        "scan_id": scan.id,
        "path": scan.relative,
        "echoes": scan.echoes.iter().map(|echo| &echo.relative).collect::<Vec<_>>(),
        "done": scan.state.is_kept(),
        "reason": scan.state.kind(),
        "modality": scan.modality.as_str(),
        "format": super::units::FORMAT,
        "size_mb": scan.size_mb(),
        "memory_mb": megabytes(scan.memory.bytes),
        "fieldmap": scan.fieldmap.json(),
        "lesions": scan.lesions.iter().map(|lesion| &lesion.relative).collect::<Vec<_>>(),
        "stages": scan.stages().map(Stage::as_str).collect::<Vec<_>>(),
        "outputs": scan.outputs().iter().flat_map(Output::files).collect::<Vec<_>>(),
        "problem": scan.problem.as_ref().map(Problem::json),
    })
}

/// The plan as lines to read.
#[must_use]
pub fn to_text(plan: &Plan) -> String {
    let mut text = String::new();
    let to_do = plan.units.iter().filter(|u| u.to_do().next().is_some()).count();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "Dataset  {} ({})", plan.name, plan.root.display());
    let _ = writeln!(text, "Output   {}", plan.output.display());
    let _ = writeln!(
        text,
        "To do    {} scans in {to_do} participant-sessions, {} scans already done",
        plan.scans_to_do(),
        plan.scans() - plan.scans_to_do()
    );
    for warning in &plan.warnings {
        let _ = writeln!(text, "Warning  {warning}");
    }
    for unit in &plan.units {
        let _ = writeln!(text, "\n{}, up to {} MB of memory\n  {}", unit.id, megabytes(unit.memory()), unit.state);
        for scan in &unit.scans {
            // If only some scans of a session are processed again, the state of each is shown.
            if !unit.done() && scan.state.is_kept() {
                let _ = writeln!(text, "  {}: {}", printable::path(&scan.relative), scan.state);
                continue;
            }
            let stages: Vec<_> = scan.stages().map(Stage::as_str).collect();
            let _ = writeln!(
                text,
                "  {} ({:.1} MB): {}",
                printable::path(&scan.relative),
                scan.size_mb(),
                stages.join(" > ")
            );
            if let Some(line) = scan.fieldmap.told(&scan.id).or_else(|| lesions::told(scan)) {
                let _ = writeln!(text, "    {}", printable::line(&line));
            }
            if let Some(problem) = &scan.problem {
                let _ = writeln!(text, "    will fail: {}", printable::line(&problem.to_string()));
            }
            for output in scan.outputs() {
                let _ = writeln!(text, "    -> {}", output.path.display());
            }
        }
    }
    if !plan.skipped.is_empty() {
        let _ = writeln!(text, "\nLeft out:");
        for (path, reason) in &plan.skipped {
            let _ = writeln!(text, "  {}: {reason}", printable::path(path));
        }
    }
    text
}

/// A file that is left out.
pub(super) fn skipped_json((path, reason): &(PathBuf, String)) -> Value {
    json!({ "path": path.to_string_lossy(), "reason": reason })
}

pub(super) const fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}
