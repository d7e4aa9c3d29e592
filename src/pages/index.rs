//! `index.html`: the whole dataset on one page. What failed and why comes first and needs no script; the table and the
//! distributions are drawn by `assets/index.js` from one block of data, so that thousands of scans stay a small page.

use super::gather::{Gathered, page_of};
use super::history::{HistoryRow, history};
use super::places::FEWEST;
use super::{PageError, templates};
use crate::bids::Modality;
use crate::derivatives::dataset::uri_path;
use crate::derivatives::outputs::OutputKind;
use crate::derivatives::summary::{ScanSummary, SessionSummary};
use crate::error::ErrorCode;
use crate::printable;
use crate::tables::measures::{describe, order, partial_score};
use figures::PictureKind;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Name of the quality score among the measures.
const QUALITY_SCORE: &str = "quality_score";
/// Name of the wall-clock seconds among the measures.
const SECONDS: &str = "seconds";

/// Scans named under each reason for failing; the table has them all.
const NAMED: usize = 100;
/// Scans of low quality that are shown.
const LOWEST: usize = 8;
/// A score from which on it is shown as 100, and the scan is none of low quality.
const PERFECT: f64 = 99.5;
/// Runs that are shown.
const RUNS: usize = 50;
/// Decimal places of the significand of values in the page.
const DIGITS: usize = 4;

/// One scan with the participant-session it is of.
type Row<'a> = (&'a SessionSummary, &'a ScanSummary);

/// What the template is filled with.
#[derive(Serialize)]
struct Index<'a> {
    name: &'a str,
    made: String,
    note: Option<&'a str>,
    participants: usize,
    units: Counts,
    scans: Vec<(&'static str, Counts)>,
    failures: Vec<Reason<'a>>,
    lowest: Vec<Low<'a>>,
    scored: bool,
    few: bool,
    fewest: usize,
    runs: Vec<RunRow>,
    more_runs: usize,
    data: String,
    index_style: &'static str,
    script: &'static str,
}

#[derive(Default, Serialize)]
struct Counts {
    total: usize,
    success: usize,
    failed: usize,
    skipped: usize,
}

/// Why scans failed: one code.
#[derive(Serialize)]
struct Reason<'a> {
    code: &'a str,
    meaning: Option<&'static str>,
    advice: &'a str,
    count: usize,
    scans: Vec<FailedScan<'a>>,
    more: usize,
}

#[derive(Serialize)]
struct FailedScan<'a> {
    page: String,
    scan: &'a str,
    stage: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct Low<'a> {
    page: String,
    scan: &'a str,
    score: String,
    partial: Option<String>,
    motion: Option<&'static str>,
    thumbnail: Option<String>,
}

#[derive(Serialize)]
struct RunRow {
    when: String,
    version: String,
    place: String,
    counts: HistoryRow,
    duration: String,
}

/// What the script draws from.
#[derive(Serialize)]
struct Data<'a> {
    scans: Vec<ScanData<'a>>,
    measures: Vec<MeasureData<'a>>,
}

/// A row of the table. The names of the fields are short because they are repeated for every scan.
#[derive(Serialize)]
struct ScanData<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ses: Option<&'a str>,
    scan: &'a str,
    kind: &'a str,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partial: Option<String>,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    thumb: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    motion: Option<&'static str>,
}

/// Pairs of the place of the scan in the table and its value.
type Values = Vec<(usize, f64)>;

/// The values of one measure.
#[derive(Serialize)]
struct MeasureData<'a> {
    kind: &'a str,
    name: &'a str,
    about: &'static str,
    unit: Option<&'static str>,
    values: Values,
}

/// Makes the page of everything that was gathered.
///
/// # Errors
/// [`PageError`] when the template cannot be filled.
pub fn index_page(gathered: &Gathered) -> Result<String, PageError> {
    let units = &gathered.units;
    let rows: Vec<Row<'_>> = units.iter().flat_map(|unit| unit.scans.iter().map(move |scan| (unit, scan))).collect();
    let mut runs: Vec<RunRow> = history(&gathered.archive, units).into_iter().map(run_row).collect();
    let more_runs = runs.len().saturating_sub(RUNS);
    runs.truncate(RUNS);
    let (measures, few) = distributed(measures(&rows));
    let data = Data { scans: rows.iter().map(|row| scan_data(&gathered.output, row)).collect(), measures };
    let kinds = Modality::ALL.map(Modality::as_str);
    let of_kind = |kind| counts(rows.iter().filter(|(_, scan)| scan.modality == kind).map(|(_, scan)| &scan.status));
    templates::render(
        "index.html",
        &Index {
            name: &gathered.name,
            made: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
            note: gathered.note.as_deref(),
            participants: units.iter().map(|unit| &unit.participant_id).collect::<BTreeSet<_>>().len(),
            units: counts(units.iter().map(|unit| &unit.status)),
            scans: kinds.into_iter().map(|kind| (kind, of_kind(kind))).filter(|(_, counts)| counts.total > 0).collect(),
            failures: failures(&rows),
            lowest: lowest(&gathered.output, &rows),
            scored: rows.iter().any(|(_, scan)| scan.quality_score.is_some()),
            few,
            fewest: FEWEST,
            runs,
            more_runs,
            data: embedded(&data)?,
            index_style: include_str!("assets/index.css"),
            script: include_str!("assets/index.js"),
        },
    )
}

fn counts<'a>(statuses: impl Iterator<Item = &'a String>) -> Counts {
    let mut counts = Counts::default();
    for status in statuses {
        counts.total += 1;
        match status.as_str() {
            "success" => counts.success += 1,
            "failed" => counts.failed += 1,
            _ => counts.skipped += 1,
        }
    }
    counts
}

/// The reasons, the most frequent first.
fn failures<'a>(rows: &[Row<'a>]) -> Vec<Reason<'a>> {
    let mut by_code: BTreeMap<&str, Reason<'a>> = BTreeMap::new();
    for (unit, scan) in rows {
        let Some(error) = &scan.error else { continue };
        let reason = by_code.entry(&error.code).or_insert_with(|| Reason {
            code: &error.code,
            meaning: ErrorCode::named(&error.code).map(ErrorCode::meaning),
            advice: &error.advice,
            count: 0,
            scans: Vec::new(),
            more: 0,
        });
        reason.count += 1;
        if reason.scans.len() < NAMED {
            let (page, stage) = (page_of(&unit.participant_id), error.stage.as_str());
            reason.scans.push(FailedScan { page, scan: &scan.scan_id, stage, message: &error.message });
        } else {
            reason.more += 1;
        }
    }
    let mut reasons: Vec<Reason<'a>> = by_code.into_values().collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.count));
    reasons
}

/// The successful scans with the lowest scores, those without a fault left out.
fn lowest<'a>(output: &Path, rows: &[Row<'a>]) -> Vec<Low<'a>> {
    let mut scored: Vec<(f64, &Row<'a>)> = rows
        .iter()
        .filter(|(_, scan)| scan.status == "success")
        .filter_map(|row| Some((row.1.quality_score?, row)))
        .filter(|(score, _)| *score < PERFECT)
        .collect();
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let low = |(score, (unit, scan)): (f64, &Row<'a>)| Low {
        page: page_of(&unit.participant_id),
        scan: &scan.scan_id,
        score: format!("{score:.0}"),
        partial: partial_score(scan),
        motion: sign_of_motion(scan),
        thumbnail: thumbnail(output, scan),
    };
    scored.into_iter().take(LOWEST).map(low).collect()
}

/// What shows that the head moved: in a bold run the motion itself, in a T1w image only the ghosts that motion leaves.
pub(super) fn sign_of_motion(scan: &ScanSummary) -> Option<&'static str> {
    let sign = if scan.modality == Modality::Bold.as_str() { "motion" } else { "ghosts" };
    (scan.motion_detected == Some(true)).then_some(sign)
}

/// The small picture of a scan as a relative link, where it is still there: figures may have been deleted or archived.
fn thumbnail(output: &Path, scan: &ScanSummary) -> Option<String> {
    let path = scan.file(OutputKind::Picture(PictureKind::Thumbnail))?;
    output.join(path).is_file().then(|| uri_path(path))
}

fn scan_data<'a>(output: &Path, (unit, scan): &Row<'a>) -> ScanData<'a> {
    ScanData {
        sub: &unit.participant_id,
        ses: unit.session_id.as_deref(),
        scan: &scan.scan_id,
        kind: &scan.modality,
        status: &scan.status,
        code: scan.error.as_ref().map(|error| error.code.as_str()),
        why: scan.error.as_ref().map(|error| error.message.as_str()),
        score: scan.quality_score.map(short),
        partial: partial_score(scan),
        seconds: short(scan.seconds),
        thumb: thumbnail(output, scan),
        notes: &scan.notes,
        motion: sign_of_motion(scan),
    }
}

/// Every measure that a successful scan has, score and duration first, related ones together.
fn measures<'a>(rows: &[Row<'a>]) -> Vec<MeasureData<'a>> {
    let mut found: BTreeMap<(&str, usize, &str), Values> = BTreeMap::new();
    for (place, (_, scan)) in rows.iter().enumerate().filter(|(_, (_, scan))| scan.status == "success") {
        for (name, value) in measured(scan) {
            let order = match name {
                QUALITY_SCORE => 0,
                SECONDS => 1,
                other => 2 + order(other),
            };
            found.entry((&scan.modality, order, name)).or_default().push((place, short(value)));
        }
    }
    let data = |((kind, _, name), values)| {
        let (about, unit) = match name {
            QUALITY_SCORE => ("0 (unusable) to 100 (no fault found).", None),
            SECONDS => ("Duration of processing, wall clock.", Some("s")),
            _ => describe(name),
        };
        MeasureData { kind, name, about, unit, values }
    };
    found.into_iter().map(data).collect()
}

/// Those of enough scans to be drawn, and whether there are others.
fn distributed(measures: Vec<MeasureData<'_>>) -> (Vec<MeasureData<'_>>, bool) {
    let all = measures.len();
    let enough: Vec<_> = measures.into_iter().filter(|measure| measure.values.len() >= FEWEST).collect();
    let few = enough.len() < all;
    (enough, few)
}

/// Everything of a scan that has a distribution; finite numbers only.
fn measured(scan: &ScanSummary) -> impl Iterator<Item = (&str, f64)> {
    let score = scan.quality_score.map(|score| (QUALITY_SCORE, score));
    let measures = scan.quality.iter().map(|(name, value)| (name.as_str(), *value));
    score.into_iter().chain([(SECONDS, scan.seconds)]).chain(measures).filter(|(_, value)| value.is_finite())
}

/// The value to five significant digits, which is what a person can tell apart.
fn short(value: f64) -> f64 {
    format!("{value:.DIGITS$e}").parse().unwrap_or(value)
}

fn run_row(run: HistoryRow) -> RunRow {
    #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970")]
    let when = jiff::Timestamp::from_second(run.start as i64).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let join = |words: &BTreeSet<String>| words.iter().cloned().collect::<Vec<_>>().join(", ");
    let hosts = if run.hosts.len() > 3 { format!("{} machines", run.hosts.len()) } else { join(&run.hosts) };
    let job = match (&run.job, run.tasks) {
        (None, _) => String::new(),
        (Some(job), 0) => format!("Slurm job {job}"),
        (Some(job), tasks) => format!("Slurm array {job}, {tasks} tasks"),
    };
    let place = [hosts, job].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
    RunRow {
        when: when.strftime("%Y-%m-%d %H:%M").to_string(),
        version: join(&run.versions),
        place,
        duration: duration(run.seconds()),
        counts: run,
    }
}

/// `1 h 02 min`, `3 min 04 s`, `5.6 s`.
fn duration(seconds: f64) -> String {
    let whole = seconds.round();
    let (hours, minutes, rest) = ((whole / 3600.0).floor(), (whole / 60.0).floor() % 60.0, whole % 60.0);
    if whole >= 3600.0 {
        format!("{hours} h {minutes:02} min")
    } else if whole >= 60.0 {
        format!("{minutes} min {rest:02} s")
    } else {
        format!("{seconds:.1} s")
    }
}

/// JSON that is safe in a `script` element: nothing in it ends the element or a line of script.
fn embedded(data: &impl Serialize) -> Result<String, PageError> {
    let failed = |e: serde_json::Error| PageError::Template { page: "index.html", message: e.to_string() };
    let json = serde_json::to_string(data).map_err(failed)?;
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        match (c, printable::line(c.encode_utf8(&mut [0; 4]))) {
            ('<' | '>' | '&', _) => safe.push_str(&format!("\\u{:04x}", u32::from(c))),
            // A second backslash: the script, too, gets the number and not the character.
            (_, Cow::Owned(shown)) => {
                safe.push_str(&shown.replace('\\', "\\\\"));
            }
            _ => safe.push(c),
        }
    }
    Ok(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_never_ends_its_element() {
        let text = "</script><script>alert(1)</script>&amp;<!-- \\u202e\"";
        let safe = embedded(&text).unwrap();
        assert!(!safe.contains(['<', '>', '&']), "{safe}");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
    }

    #[test]
    fn what_turns_the_direction_is_shown_by_its_number() {
        let safe = embedded(&"a\u{2028}b\u{202e}c\\\u{9b}é\u{e0041}").unwrap();
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), r"a\u2028b\u202ec\\u009bé\udb40\udc41");
    }

    #[test]
    fn durations_and_values_are_short() {
        assert_eq!([duration(0.04), duration(59.7), duration(3724.0)], ["0.0 s", "1 min 00 s", "1 h 02 min"]);
        assert_eq!([short(1234.5678), short(0.000_123_456_7), short(0.0)], [1234.6, 0.000_123_46, 0.0]);
    }
}
