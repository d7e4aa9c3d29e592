//! Multi-echo runs: which files are echoes of one run, and the one scan they are together.

use super::units::{Echo, Need, Problem, ScanPlan};
use crate::bids::{Entities, Modality};
use crate::error::ErrorCode;
use serde_json::{Value, json};
use std::sync::Arc;

/// Longer than any echo time in seconds; more is milliseconds.
const LONGEST_S: f64 = 1.0;

/// Makes one scan of all echoes of a run, in the place of the first. One echo alone, and what has none, stays as it is.
pub(super) fn together(scans: Vec<ScanPlan>) -> Vec<ScanPlan> {
    let mut runs: Vec<(Option<Entities>, Vec<ScanPlan>)> = Vec::with_capacity(scans.len());
    for scan in scans {
        let run = of_run(&scan);
        match runs.iter_mut().find(|(other, _)| run.is_some() && *other == run) {
            Some((_, echoes)) => echoes.push(scan),
            None => runs.push((run, vec![scan])),
        }
    }
    let mut made: Vec<ScanPlan> = Vec::with_capacity(runs.len());
    for (run, mut scans) in runs {
        match run {
            Some(run) if scans.len() > 1 => made.extend(multi_echo(run, scans)),
            _ => made.append(&mut scans),
        }
    }
    refuse_same_outputs(&mut made);
    made
}

/// The entities of the run that a scan is an echo of.
fn of_run(scan: &ScanPlan) -> Option<Entities> {
    let is_echo = scan.modality == Modality::Bold;
    scan.entities.get("echo").filter(|_| is_echo)?;
    Entities::from_pairs(scan.entities.iter().filter(|(key, _)| *key != "echo")).ok()
}

/// The echoes of a run as one scan: that with the shortest echo time, with what is of all.
fn multi_echo(run: Entities, mut scans: Vec<ScanPlan>) -> Option<ScanPlan> {
    let time = |scan: &ScanPlan| scan.metadata.get("EchoTime").and_then(Value::as_f64);
    scans.sort_by(|a, b| {
        let of = |scan| time(scan).unwrap_or(f64::INFINITY);
        of(a).total_cmp(&of(b)).then_with(|| a.relative.cmp(&b.relative))
    });
    let problem = scans.iter().find_map(|scan| scan.problem.clone());
    let problem = problem.or_else(|| wrong_times(&scans, time)).or_else(|| differing(&scans));
    let echoes: Vec<Echo> = scans.iter().filter_map(|scan| echo(scan, time(scan).unwrap_or_default())).collect();
    let bytes = scans.iter().map(|scan| scan.bytes).sum();
    let memory = memory(&scans);
    // What only some sidecars say holds for all.
    let shared: Vec<(&str, Value)> = SHARED
        .iter()
        .filter_map(|key| Some((*key, scans.iter().find_map(|scan| scan.metadata.get(*key))?.clone())))
        .collect();
    let mut oddities: Vec<String> = scans.iter().flat_map(|scan| scan.oddities.clone()).collect();
    oddities.sort();
    oddities.dedup();
    let first = scans.into_iter().next()?;
    let mut metadata = (*first.metadata).clone();
    metadata.remove("EchoTime");
    metadata.extend(shared.into_iter().map(|(key, value)| (key.to_owned(), value)));
    metadata.insert("EchoTimes".into(), json!(echoes.iter().map(|echo| echo.seconds).collect::<Vec<_>>()));
    let id = format!("{}_{}", run.as_str(), first.modality.as_str());
    Some(ScanPlan {
        id,
        entities: run,
        metadata: Arc::new(metadata),
        oddities,
        problem,
        bytes,
        memory,
        echoes,
        ..first
    })
}

fn echo(scan: &ScanPlan, seconds: f64) -> Option<Echo> {
    let label = scan.entities.get("echo")?.to_owned();
    Some(Echo { path: scan.file.clone(), relative: scan.relative.clone(), label, seconds })
}

/// Echo times that are missing, no seconds, or twice the same.
fn wrong_times(scans: &[ScanPlan], time: impl Fn(&ScanPlan) -> Option<f64>) -> Option<Problem> {
    let said = |scan: &ScanPlan| match scan.metadata.get("EchoTime") {
        None => Some(format!("{} has no EchoTime in its sidecar that is one", scan.id)),
        Some(value) => match value.as_f64() {
            Some(t) if t > 0.0 && t <= LONGEST_S => None,
            Some(ms) if ms > LONGEST_S && ms < 1000.0 => {
                let seconds = ms / 1000.0;
                Some(format!(
                    "EchoTime of {} is {value}, which looks like milliseconds; write seconds ({seconds})",
                    scan.id
                ))
            }
            Some(_) => Some(format!("EchoTime of {} is {value} in its sidecar; write seconds", scan.id)),
            None => Some(format!("EchoTime of {} is {value} in its sidecar; write a number, without quotes", scan.id)),
        },
    };
    let same = || {
        let pair = scans.windows(2).find(|pair| time(&pair[0]) == time(&pair[1]))?;
        Some(format!("{} and {} have the same EchoTime", pair[0].id, pair[1].id))
    };
    let message = scans.iter().find_map(said).or_else(same)?;
    let message = format!("{message}. The {} echoes of the run cannot be combined without it", scans.len());
    Some(Problem { code: ErrorCode::EchoesUnfit, message })
}

/// What cannot differ from echo to echo, because they are taken together.
const SHARED: [&str; 5] =
    ["RepetitionTime", "VolumeTiming", "SliceTiming", "SliceEncodingDirection", "PhaseEncodingDirection"];

fn differing(scans: &[ScanPlan]) -> Option<Problem> {
    let differs = |key: &str| {
        let mut told = scans.iter().filter_map(|scan| Some((&scan.id, scan.metadata.get(key)?)));
        let (one, value) = told.next()?;
        let (other, _) = told.find(|(_, other)| *other != value)?;
        Some(format!("{key} in the sidecars of {one} and {other} differs; echoes of one run have the same"))
    };
    let message = SHARED.iter().find_map(|key| differs(key))?;
    Some(Problem { code: ErrorCode::EchoesUnfit, message })
}

/// All echoes are in memory at once; sums for each echo, weights and what was fitted besides.
fn memory(scans: &[ScanPlan]) -> Need {
    /// Bytes for each voxel of a volume and each echo: two sums, a weight.
    const OF_ECHO: u64 = 20;
    let first = scans.first().map(|scan| scan.memory).unwrap_or_default();
    let voxels: u64 = scans.iter().map(|scan| scan.memory.voxels).sum();
    let others = (voxels - first.voxels) * 4;
    // What a thread has at hand is more than 14 bytes for each voxel of a volume.
    let sums = first.per_thread / 14 * OF_ECHO * scans.len() as u64;
    Need { bytes: first.bytes + others + sums, voxels, ..first }
}

/// A run and the combination of echoes that would have its name.
fn refuse_same_outputs(scans: &mut [ScanPlan]) {
    for at in 0..scans.len() {
        if scans[at].echoes.is_empty() {
            continue;
        }
        let same = |other: &ScanPlan| other.echoes.is_empty() && other.id == scans[at].id;
        let Some(other) = scans.iter().find(|other| same(other)).map(|other| other.relative.clone()) else { continue };
        let message = format!(
            "the combination of {} and its other echoes would have the outputs of {}; remove or rename one",
            scans[at].relative.display(),
            other.display()
        );
        scans[at].problem.get_or_insert(Problem { code: ErrorCode::DuplicateScan, message });
    }
}
