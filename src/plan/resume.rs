//! What of a plan is done already, and why the rest is not: each participant-session is compared with its success marker.
//!
//! Everything that a look at names, sizes and times can tell is compared first. Only of an image whose size is the same and
//! whose time is not the content is read, so that a dataset that was copied or moved stays done.

use super::PlanOptions;
use super::units::{Plan, ScanPlan, Source, Unit};
use crate::derivatives::marker::{DoneScan, Input, Marker, NoMarker};
use crate::derivatives::save::SavedFile;
use crate::derivatives::summary::UnitSummary;
use nifti::Fingerprint;
use crate::run::reason::{Reason, State};
use jiff::Timestamp;
use rayon::prelude::*;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Says of every unit what is to become of it.
pub(super) fn decide(plan: &mut Plan, options: PlanOptions) {
    let output = &plan.output;
    plan.units.par_iter_mut().for_each(|unit| {
        let marker = Marker::read(output, &unit.id, unit.marker_session.as_deref());
        unit.found = marker.as_ref().ok().map(|marker| marker.finished);
        unit.state = state(output, unit, marker, options);
    });
}

fn state(output: &Path, unit: &Unit, marker: Result<Marker, NoMarker>, options: PlanOptions) -> State {
    let marker = match marker {
        Err(NoMarker::Absent) => return State::ToDo(without_marker(output, unit)),
        _ if options.force => return State::ToDo(Reason::Forced),
        Err(NoMarker::Version(version)) => return State::ToDo(Reason::Version(version)),
        Err(NoMarker::Form) => return State::ToDo(Reason::OlderMarker),
        Err(NoMarker::Unreadable(why)) => return State::ToDo(Reason::BadMarker(why)),
        Ok(marker) => marker,
    };
    match compare(output, unit, &marker, options.strict) {
        Ok(touched) => State::Kept { finished: marker.finished, touched },
        Err(reason) => State::ToDo(reason),
    }
}

/// Whether another run has finished the unit, from the inputs there are now, since the plan was made; with `strict`, without a
/// note on them. The marker of then is not compared again, which may mean reading an image. With `--force` nothing is.
#[must_use]
pub fn done_since(output: &Path, unit: &Unit, strict: bool) -> bool {
    let marker = || Marker::read(output, &unit.id, unit.marker_session.as_deref()).ok();
    let new = |marker: &Marker| Some(marker.finished) != unit.found;
    unit.state != State::ToDo(Reason::Forced)
        && marker().filter(new).is_some_and(|marker| compare(output, unit, &marker, strict).is_ok())
}

/// What the summary of the last run tells about a unit that was not finished.
fn without_marker(output: &Path, unit: &Unit) -> Reason {
    let Some(summary) = UnitSummary::read(output, &unit.id, unit.marker_session.as_deref()) else {
        return Reason::NeverDone;
    };
    let mut codes: Vec<String> = summary.scans.into_iter().filter_map(|scan| Some(scan.error?.code)).collect();
    codes.sort();
    codes.dedup();
    if codes.is_empty() { Reason::Unfinished } else { Reason::Failed(codes) }
}

/// The inputs of another time and the same content; or the first reason to do the unit again.
fn compare(
    output: &Path,
    unit: &Unit,
    marker: &Marker,
    strict: bool,
) -> Result<Vec<(PathBuf, Option<Timestamp>)>, Reason> {
    let mut to_read = Vec::new();
    for scan in &unit.scans {
        if let Some(problem) = &scan.problem {
            return Err(Reason::WillFail(scan.relative.clone(), problem.code));
        }
        let done = marker.scans.iter().find(|done| done.path == scan.relative);
        let done = done.ok_or_else(|| Reason::NewScan(scan.relative.clone()))?;
        if strict && done.odd {
            return Err(Reason::Strict(scan.relative.clone()));
        }
        to_read.extend(input(scan, &done.input)?);
        metadata(scan, &done.metadata)?;
        outputs(output, scan, done)?;
    }
    // The part that may take long comes when nothing else is left to ask.
    to_read.into_iter().map(|(scan, file, then)| content(scan, file, then)).collect()
}

/// An image whose content has to be looked at, and what it was.
type ToRead<'a> = (&'a ScanPlan, &'a Path, &'a Fingerprint);

fn input<'a>(scan: &'a ScanPlan, done: &'a Input) -> Result<Option<ToRead<'a>>, Reason> {
    let (file, then) = match (&scan.source, done) {
        (Source::File(file), Input::File(then)) => (file, then),
        (Source::Synthetic { seed, .. }, Input::Synthetic(was)) if seed == was => return Ok(None),
        (now, was) => {
            let now = if let Source::Synthetic { seed, .. } = now { Some(*seed) } else { None };
            let was = if let Input::Synthetic(seed) = was { Some(*seed) } else { None };
            return Err(Reason::Generated { scan: scan.relative.clone(), was, now });
        }
    };
    let meta = std::fs::metadata(file).map_err(|e| Reason::InputUnreadable(scan.relative.clone(), e.to_string()))?;
    if meta.len() != then.bytes {
        return Err(Reason::InputSize { scan: scan.relative.clone(), was: then.bytes, now: meta.len() });
    }
    let trusted = then.modified.is_some() && nifti::modified(&meta) == then.modified;
    Ok((!trusted).then_some((scan, file.as_path(), then)))
}

fn content(scan: &ScanPlan, file: &Path, then: &Fingerprint) -> Result<(PathBuf, Option<Timestamp>), Reason> {
    match Fingerprint::of(file) {
        Ok(now) if now.xxh3 == then.xxh3 => Ok((scan.relative.clone(), now.modified)),
        Ok(_) => Err(Reason::InputContent(scan.relative.clone())),
        Err(e) => Err(Reason::InputUnreadable(scan.relative.clone(), e.to_string())),
    }
}

fn metadata(scan: &ScanPlan, then: &Map<String, Value>) -> Result<(), Reason> {
    let now = &scan.metadata;
    let same = |key: &String| match (then.get(key), now.get(key)) {
        (Some(then), Some(now)) => same(then, now),
        _ => false,
    };
    match then.keys().chain(now.keys()).find(|key| !same(key)) {
        None => Ok(()),
        Some(key) => Err(Reason::Metadata {
            scan: scan.relative.clone(),
            key: key.clone(),
            was: then.get(key).map(Value::to_string),
            now: now.get(key).map(Value::to_string),
        }),
    }
}

/// Whether two values mean the same: 2 and 2.0 do.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

fn outputs(output: &Path, scan: &ScanPlan, done: &DoneScan) -> Result<(), Reason> {
    let outputs = scan.outputs();
    for (wanted, file) in outputs.iter().flat_map(|o| o.files().map(move |file| (o, file))) {
        let Some(made) = done.outputs.iter().find(|made| made.path == *file) else {
            return Err(if wanted.kind.is_of_tissues() {
                Reason::Tissues
            } else {
                Reason::OutputMissing(file.clone())
            });
        };
        is_there(output, made)?;
    }
    Ok(())
}

fn is_there(output: &Path, made: &SavedFile) -> Result<(), Reason> {
    let meta = std::fs::metadata(output.join(&made.path));
    let now = meta.map_err(|_| Reason::OutputMissing(made.path.clone()))?.len();
    if now == made.bytes {
        return Ok(());
    }
    Err(Reason::OutputSize { output: made.path.clone(), was: made.bytes, now })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn another_way_of_writing_a_value_is_no_change() {
        let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert!(same(&parsed(r#"{"a": [2, {"b": 1e3}], "c": null}"#), &parsed(r#"{"c":null,"a":[2.0,{"b":1000}]}"#)));
        for (a, b) in [
            (json!(2), json!(2.5)),
            (json!([1]), json!([1, 2])),
            (json!({"a": 1}), json!({"b": 1})),
            (json!(1), json!("1")),
            (json!(9_007_199_254_740_993_u64), json!(1)),
        ] {
            assert!(!same(&a, &b), "{a} {b}");
        }
    }
}
