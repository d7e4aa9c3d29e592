//! The plan for people and for programs (`--dry-run`).

use super::units::{Plan, ScanPlan, Unit};
use crate::bids::printable;
use crate::derivatives::outputs::Output;
use serde_json::{Value, json};
use std::fmt::Write;

/// The plan as one JSON object.
#[must_use]
pub fn to_json(plan: &Plan) -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "dataset": { "name": plan.name, "path": plan.root },
        "output": plan.output,
        "index": plan.index,
        "skipped": plan.skipped.iter().map(|(p, r)| json!({ "path": p.to_string_lossy(), "reason": r })).collect::<Vec<_>>(),
        "warnings": plan.warnings,
        "units": plan.units.iter().map(unit_json).collect::<Vec<_>>(),
        "totals": { "units": plan.units.len(), "scans": plan.units.iter().map(|u| u.scans.len()).sum::<usize>(), "scans_to_do": plan.scans_to_do() },
    })
}

fn unit_json(unit: &Unit) -> Value {
    json!({
        "participant": unit.id.participant,
        "session": unit.id.session,
        "done": unit.done,
        "memory_mb": megabytes(unit.memory()),
        "scans": unit.scans.iter().map(scan_json).collect::<Vec<_>>(),
    })
}

fn scan_json(scan: &ScanPlan) -> Value {
    json!({
        "scan_id": scan.id,
        "path": scan.relative,
        "modality": scan.modality.as_str(),
        "format": scan.format(),
        "size_mb": scan.size_mb(),
        "memory_mb": megabytes(scan.memory),
        "stages": scan.stages().map(super::super::run::event::StageName::as_str).collect::<Vec<_>>(),
        "outputs": scan.outputs.iter().flat_map(Output::files).collect::<Vec<_>>(),
        "problem": scan.problem.as_ref().map(|p| json!({ "code": p.code.as_str(), "message": p.message })),
    })
}

/// The plan as lines to read.
#[must_use]
pub fn to_text(plan: &Plan) -> String {
    let mut text = String::new();
    let to_do = plan.units.iter().filter(|u| !u.done).count();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "Dataset  {} ({})", plan.name, plan.root.display());
    let _ = writeln!(text, "Output   {}", plan.output.display());
    let _ = writeln!(
        text,
        "To do    {} scans in {to_do} participant-sessions, {} already done",
        plan.scans_to_do(),
        plan.units.len() - to_do
    );
    for warning in &plan.warnings {
        let _ = writeln!(text, "Warning  {warning}");
    }
    for unit in &plan.units {
        let session = unit.id.session.as_ref().map(|s| format!(" ses-{s}")).unwrap_or_default();
        let state = if unit.done { " (done)" } else { "" };
        let _ = writeln!(
            text,
            "\nsub-{}{session}{state}, up to {} MB of memory",
            unit.id.participant,
            megabytes(unit.memory())
        );
        for scan in &unit.scans {
            let stages: Vec<_> = scan.stages().map(super::super::run::event::StageName::as_str).collect();
            let _ = writeln!(text, "  {} ({:.1} MB): {}", scan.relative.display(), scan.size_mb(), stages.join(" > "));
            if let Some(problem) = &scan.problem {
                let _ = writeln!(text, "    will fail: {}: {}", problem.code, problem.message);
            }
            for output in &scan.outputs {
                let _ = writeln!(text, "    -> {}", output.path.display());
            }
        }
    }
    if !plan.skipped.is_empty() {
        let _ = writeln!(text, "\nLeft out:");
        for (path, reason) in &plan.skipped {
            let _ = writeln!(text, "  {}: {reason}", printable(path));
        }
    }
    text
}

const fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}
