//! What of a plan is done already, and why the rest is not: each scan is compared with its entry in the ledger of its
//! session. Where the session came to its end there is a success marker besides, which says the same.
//!
//! Everything that a look at names, sizes and times can tell is compared first. Only of an image whose size is the same and
//! whose time is not the content is read, so that a dataset that was copied or moved stays done.

use super::PlanOptions;
use super::anatomy;
use super::fieldmap::FIELDMAP;
use super::units::{AnatomyPlan, AnatomySource, Echo, Plan, ScanPlan, SessionPlan};
use crate::bids::Modality;
use crate::derivatives::ledger::{DoneScan, Input, Ledger, UsedAnatomy};
use crate::derivatives::marker::{Marker, NoMarker};
use crate::derivatives::outputs::Output;
use crate::derivatives::save::SavedFile;
use crate::derivatives::summary::SessionSummary;
use crate::derivatives::verify;
use crate::vocabulary::{Reason, Resume, State};
use jiff::Timestamp;
use nifti::Fingerprint;
use rayon::prelude::*;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Says of every session, and of each of its scans, what is to become of it.
pub(super) fn decide(plan: &mut Plan, options: &PlanOptions) {
    let output = &plan.output;
    plan.units.par_iter_mut().for_each(|session| {
        let marker = Marker::read(output, &session.id, session.marker_session.as_deref());
        session.found = marker.as_ref().ok().map(|marker| marker.finished);
        let states = scan_states(output, session, &marker, options);
        session.state = session_state(output, session, &marker, &states, options);
        session.scans.iter_mut().zip(states).for_each(|(scan, state)| scan.state = state);
    });
    anatomy::follow(plan);
}

/// What is to become of each scan: the ledger says what was made of what. Where the marker cannot be trusted nothing can.
fn scan_states(
    output: &Path,
    session: &SessionPlan,
    marker: &Result<Marker, NoMarker>,
    options: &PlanOptions,
) -> Vec<State> {
    let all = |reason: Reason| vec![State::ToDo(reason); session.scans.len()];
    let ledger = Ledger::read(output, &session.id, session.marker_session.as_deref());
    let done: Vec<(&DoneScan, Timestamp)> = match (marker, &ledger) {
        (Err(NoMarker::Absent) | Ok(_), _) if options.force => return all(Reason::Forced),
        (Err(NoMarker::Absent) | Ok(_), Some(ledger)) => {
            ledger.scans.iter().map(|entry| (&entry.done, entry.finished)).collect()
        }
        (Ok(marker), None) => marker.scans.iter().map(|done| (done, marker.finished)).collect(),
        (Err(NoMarker::Absent), None) => return all(Reason::NeverDone),
        (Err(other), _) => return all(not_trusted(other)),
    };
    let state = |scan: &ScanPlan| match compare(output, scan, &done, (options.strict, options.resume)) {
        Ok((finished, touched)) => State::Kept { finished, touched },
        Err(reason) => State::ToDo(reason),
    };
    let mut states: Vec<State> = session.scans.iter().map(state).collect();
    if let (AnatomyPlan::Of(source), Some(ledger)) = (&session.anatomy, &ledger) {
        follow_anatomy(output, session, source, ledger, &mut states);
    }
    // Without a ledger there is nothing to carry over into a new summary: all or nothing stays.
    match states.iter().find(|state| !state.is_kept()) {
        Some(first) if ledger.is_none() => vec![first.clone(); states.len()],
        _ => states,
    }
}

/// Runs that were laid onto something else than the anatomy as it is now are to be done.
fn follow_anatomy(output: &Path, session: &SessionPlan, source: &AnatomySource, ledger: &Ledger, states: &mut [State]) {
    let own = source.session == session.id;
    let of_other = if own { None } else { Ledger::read(output, &source.session, source.marker_session.as_deref()) };
    let anatomy = if own { Some(ledger) } else { of_other.as_ref() }.and_then(|ledger| ledger.entry(&source.scan));
    let due =
        session.scans.iter().zip(states.iter()).any(|(scan, state)| scan.relative == source.scan && !state.is_kept());
    let now = anatomy.filter(|_| !due).map(|entry| UsedAnatomy { path: source.scan.clone(), finished: entry.finished });
    for (scan, state) in session.scans.iter().zip(states) {
        let used = ledger.entry(&scan.relative).and_then(|entry| entry.done.anatomy.clone());
        let needs = scan.modality == Modality::Bold && scan.wanted.spaces.need_anatomy();
        if needs && state.is_kept() && (now.is_none() || used != now) {
            *state = State::ToDo(Reason::Anatomy(source.scan.clone()));
        }
    }
}

/// What is to become of a session, from what becomes of its scans.
fn session_state(
    output: &Path,
    session: &SessionPlan,
    marker: &Result<Marker, NoMarker>,
    scans: &[State],
    options: &PlanOptions,
) -> State {
    let marker = match marker {
        Err(NoMarker::Absent) => return State::ToDo(without_marker(output, session)),
        _ if options.force => return State::ToDo(Reason::Forced),
        Err(other) => return State::ToDo(not_trusted(other)),
        Ok(marker) => marker,
    };
    let touched = |state: &State| match state {
        State::Kept { touched, .. } => touched.clone(),
        State::ToDo(_) => Vec::new(),
    };
    scans
        .iter()
        .find(|state| !state.is_kept())
        .cloned()
        .unwrap_or_else(|| State::Kept { finished: marker.finished, touched: scans.iter().flat_map(touched).collect() })
}

fn not_trusted(marker: &NoMarker) -> Reason {
    match marker {
        NoMarker::Absent => Reason::Unfinished,
        NoMarker::Version(version) => Reason::Version(version.clone()),
        NoMarker::Form => Reason::OlderMarker,
        NoMarker::Unreadable(why) => Reason::BadMarker(why.clone()),
    }
}

/// Whether another run has finished the session, from the inputs there are now, since the plan was made; with `strict`,
/// without a note on them. The marker of then is not compared again, which may mean reading an image. With `--force` nothing
/// is.
#[must_use]
pub fn done_since(output: &Path, session: &SessionPlan, strict: bool) -> bool {
    let marker = || Marker::read(output, &session.id, session.marker_session.as_deref()).ok();
    let new = |marker: &Marker| Some(marker.finished) != session.found;
    let same = |marker: &Marker| {
        let done: Vec<_> = marker.scans.iter().map(|done| (done, marker.finished)).collect();
        session.scans.iter().all(|scan| compare(output, scan, &done, (strict, Resume::Size)).is_ok())
    };
    session.state != State::ToDo(Reason::Forced) && marker().filter(new).is_some_and(|marker| same(&marker))
}

/// What the summary of the last run tells about a session that was not finished.
fn without_marker(output: &Path, session: &SessionPlan) -> Reason {
    let label = session.marker_session.as_deref();
    let Some(summary) = SessionSummary::read(output, &session.id, label) else {
        let begun = Ledger::read(output, &session.id, label).is_some();
        return if begun { Reason::Unfinished } else { Reason::NeverDone };
    };
    let mut codes: Vec<String> = summary.scans.into_iter().filter_map(|scan| Some(scan.error?.code)).collect();
    codes.sort();
    codes.dedup();
    if codes.is_empty() { Reason::Unfinished } else { Reason::Failed(codes) }
}

/// When the scan was done, with those of its inputs that have another time and the same content; or the first reason to do it
/// again.
fn compare(
    output: &Path,
    scan: &ScanPlan,
    done: &[(&DoneScan, Timestamp)],
    (strict, resume): (bool, Resume),
) -> Result<(Timestamp, Vec<Touched>), Reason> {
    if let Some(problem) = &scan.problem {
        return Err(Reason::WillFail(scan.relative.clone(), problem.code));
    }
    let done = done.iter().find(|(done, _)| done.path == scan.relative);
    let (done, finished) = *done.ok_or_else(|| Reason::NewScan(scan.relative.clone()))?;
    if strict && done.odd {
        return Err(Reason::Strict(scan.relative.clone()));
    }
    let mut to_read = input(scan, &done.input)?;
    options(scan, &done.options)?;
    metadata(scan, &done.metadata)?;
    to_read.extend(beside(scan, done)?);
    outputs(output, scan, done)?;
    if resume == Resume::Verify
        && let Some(changed) = done.outputs.iter().find(|made| verify::compare(output, made).is_some())
    {
        return Err(Reason::OutputContent(changed.path.clone()));
    }
    // The part that may take long comes when nothing else is left to ask.
    let touched = to_read.into_iter().map(content).collect::<Result<_, _>>()?;
    Ok((finished, touched))
}

/// An input whose modification time differs and whose content is what it was: path, time now.
type Touched = (PathBuf, Option<Timestamp>);

/// An image whose content has to be looked at: its path in the dataset, the file, what it was.
type ToRead<'a> = (&'a Path, &'a Path, &'a Fingerprint);

/// The files of a scan that have to be read to know whether they are what they were.
fn input<'a>(scan: &'a ScanPlan, done: &'a Input) -> Result<Vec<ToRead<'a>>, Reason> {
    let files: Vec<ToRead<'a>> = match done {
        Input::File(then) if scan.echoes.is_empty() => vec![(&scan.relative, &scan.file, then)],
        Input::Echoes(then) if !scan.echoes.is_empty() => {
            let of = |echo: &'a Echo| {
                let then = then.iter().find(|(path, _)| *path == echo.relative).map(|(_, then)| then);
                let then = then.ok_or_else(|| Reason::NewScan(echo.relative.clone()))?;
                Ok((echo.relative.as_path(), echo.path.as_path(), then))
            };
            scan.echoes.iter().map(of).collect::<Result<_, _>>()?
        }
        _ => return Err(Reason::NewScan(scan.relative.clone())),
    };
    not_trusted_yet(files)
}

/// The files besides its own (those of its fieldmap, masks of lesions) that have to be read to know whether they are what they
/// were. One that could not be read then counts as new once it can.
fn beside<'a>(scan: &'a ScanPlan, done: &'a DoneScan) -> Result<Vec<ToRead<'a>>, Reason> {
    let of = |(relative, path): (&'a Path, &'a Path)| match done.beside.iter().find(|(then, _)| then == relative) {
        Some((_, then)) => Some(Ok((relative, path, then))),
        None => std::fs::File::open(path).is_ok().then(|| Err(Reason::NewScan(relative.to_owned()))),
    };
    let images = scan.fieldmap.used().map(|fieldmap| fieldmap.kind.images()).unwrap_or_default();
    let images = images.into_iter().map(|image| (image.relative.as_path(), image.path.as_path()));
    // Lesions matter only where the brain is brought to a template.
    let matter = !scan.wanted.spaces.templates().is_empty();
    let lesions =
        scan.lesions.iter().filter(|_| matter).map(|lesion| (lesion.relative.as_path(), lesion.path.as_path()));
    not_trusted_yet(images.chain(lesions).filter_map(of).collect::<Result<_, _>>()?)
}

fn not_trusted_yet(files: Vec<ToRead<'_>>) -> Result<Vec<ToRead<'_>>, Reason> {
    files
        .into_iter()
        .filter_map(|file| is_trusted(file).map(|trusted| (!trusted).then_some(file)).transpose())
        .collect()
}

/// Whether a file can be taken for what it was without reading it.
fn is_trusted((scan, file, then): ToRead<'_>) -> Result<bool, Reason> {
    let meta = std::fs::metadata(file).map_err(|e| Reason::InputUnreadable(scan.to_owned(), e.to_string()))?;
    if meta.len() != then.bytes {
        return Err(Reason::InputSize { scan: scan.to_owned(), was: then.bytes, now: meta.len() });
    }
    Ok(then.modified.is_some() && nifti::modified(&meta) == then.modified)
}

fn content((scan, file, then): ToRead<'_>) -> Result<Touched, Reason> {
    match Fingerprint::of(file) {
        Ok(now) if now.xxh3 == then.xxh3 => Ok((scan.to_owned(), now.modified)),
        Ok(_) => Err(Reason::InputContent(scan.to_owned())),
        Err(e) => Err(Reason::InputUnreadable(scan.to_owned(), e.to_string())),
    }
}

/// The first key whose values differ in two maps.
fn differing<'a>(then: &'a Map<String, Value>, now: &'a Map<String, Value>) -> Option<&'a String> {
    let same = |key: &String| match (then.get(key), now.get(key)) {
        (Some(then), Some(now)) => same(then, now),
        _ => false,
    };
    then.keys().chain(now.keys()).find(|key| !same(key))
}

fn options(scan: &ScanPlan, then: &Map<String, Value>) -> Result<(), Reason> {
    let now = scan.shaping();
    let Some(key) = differing(then, &now) else { return Ok(()) };
    Err(Reason::Option {
        scan: scan.relative.clone(),
        key: key.clone(),
        was: then.get(key).map(Value::to_string),
        now: now.get(key).map(Value::to_string),
    })
}

fn metadata(scan: &ScanPlan, then: &Map<String, Value>) -> Result<(), Reason> {
    let now = &scan.metadata;
    match differing(then, now) {
        None => Ok(()),
        Some(key) if key == FIELDMAP => Err(Reason::Fieldmap(scan.relative.clone())),
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
    // A scan whose tissues could not be told apart is done without their maps, and runs of its participant in their own space.
    let without = |output: &&Output| {
        done.without_tissues && output.kind.is_of_tissues()
            || done.without_anatomy && (output.space.is_some() || output.kind.is_of_anatomy())
            || done.without_field && output.kind.is_of_field()
    };
    let expected = outputs.iter().filter(|output| !without(output));
    for file in expected.flat_map(Output::files) {
        let made = done.outputs.iter().find(|made| made.path == *file);
        let made = made.ok_or_else(|| Reason::OutputMissing(file.clone()))?;
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
