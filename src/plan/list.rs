//! What a dataset holds, for people and for programs (`list`): a line per participant-session, then what is left out.

use super::dataset::Survey;
use super::lesions;
use super::show::{megabytes, skipped_json};
use super::units::{Problem, ScanPlan, SessionPlan};
use crate::bids::{Modality, Other};
use crate::printable;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The list as one JSON object.
#[must_use]
pub fn list_json(found: &Survey) -> Value {
    let plan = &found.plan;
    let scan = |s: &ScanPlan| {
        json!({
            "scan_id": s.id,
            "path": s.relative,
            "modality": s.modality.as_str(),
            "size_mb": s.size_mb(),
            "fieldmap": s.fieldmap.json(),
            "lesions": s.lesions.iter().map(|lesion| &lesion.relative).collect::<Vec<_>>(),
            "problem": s.problem.as_ref().map(Problem::json),
        })
    };
    let unit = |u: &SessionPlan| {
        json!({
            "participant": u.id.participant,
            "session": u.id.session,
            "memory_mb": megabytes(u.memory()),
            "scans": u.scans.iter().map(scan).collect::<Vec<_>>(),
        })
    };
    let other = |o: &Other| json!({ "path": o.path.to_string_lossy(), "kind": o.what, "why": o.why });
    json!({
        "dataset": { "name": plan.name, "path": plan.root },
        "units": plan.units.iter().map(unit).collect::<Vec<_>>(),
        "not_selected": found.not_selected,
        "without_scans": found.without_scans,
        "skipped": plan.skipped.iter().map(skipped_json).collect::<Vec<_>>(),
        "other_images": kinds_of(&found.others).map(|of| (of[0].what.clone(), of.len())).collect::<BTreeMap<_, _>>(),
        "left_out": found.others.iter().map(other).collect::<Vec<_>>(),
        "warnings": plan.warnings,
    })
}

/// The list as lines to read.
#[must_use]
pub fn list_text(found: &Survey) -> String {
    let (plan, mut text) = (&found.plan, String::new());
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{} ({})", plan.name, plan.root.display());
    let _ = writeln!(text, "{} scans in {} participant-sessions", plan.scans(), plan.units.len());
    for warning in &plan.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    let width = plan.units.iter().map(|u| u.id.to_string().chars().count()).max().unwrap_or(0);
    for unit in &plan.units {
        let size: f64 = unit.scans.iter().map(ScanPlan::size_mb).sum();
        let _ = writeln!(text, "  {:<width$}  {:<16}  {size:>8.1} MB", unit.id.to_string(), kinds(unit));
        for (scan, problem) in unit.scans.iter().filter_map(|s| Some((s, s.problem.as_ref()?))) {
            let reason = format!("{} will fail: {problem}", scan.relative.display());
            let _ = writeln!(text, "    {}", printable::line(&reason));
        }
        for line in unit.scans.iter().filter_map(|scan| scan.fieldmap.told(&scan.id).or_else(|| lesions::told(scan))) {
            let _ = writeln!(text, "    {}", printable::line(&line));
        }
    }
    left_out(&mut text, found);
    text
}

/// What is in the dataset and not in the list, with the reason.
fn left_out(text: &mut String, found: &Survey) {
    let mut lines: Vec<String> =
        found.plan.skipped.iter().map(|(path, why)| format!("{}: {why}", printable::path(path))).collect();
    lines.extend(found.without_scans.iter().map(|label| format!("sub-{label}: no T1w or bold scan that can be read")));
    if found.not_selected > 0 {
        lines.push(format!("{} scans that were not selected", found.not_selected));
    }
    lines.extend(found.others.chunk_by(|a, b| (&a.what, a.why) == (&b.what, b.why)).map(|of| {
        let (Other { what, why, path }, more) = (&of[0], if of.len() > 1 { " and others" } else { "" });
        format!("{what}: {}, {why} ({}{more})", of.len(), printable::path(path))
    }));
    if kinds_of(&found.others).any(|of| of.len() > 1) {
        lines.push("(--format json names each of them)".to_owned());
    }
    if !lines.is_empty() {
        let _ = writeln!(text, "left out");
    }
    for line in lines {
        let _ = writeln!(text, "  {}", printable::line(&line));
    }
}

/// Those of one kind after the other; never none.
fn kinds_of(others: &[Other]) -> impl Iterator<Item = &[Other]> {
    others.chunk_by(|a, b| a.what == b.what)
}

/// `1 T1w, 2 bold`.
fn kinds(unit: &SessionPlan) -> String {
    let mut counts: BTreeMap<Modality, usize> = BTreeMap::new();
    for scan in &unit.scans {
        *counts.entry(scan.modality).or_default() += 1;
    }
    counts.iter().map(|(modality, n)| format!("{n} {}", modality.as_str())).collect::<Vec<_>>().join(", ")
}
