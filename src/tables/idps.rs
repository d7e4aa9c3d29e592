//! The table of image-derived phenotypes: a row per participant-session with what was measured and what it cost, from
//! the summaries alone, so that it can be made wherever the derivatives are.
//!
//! The table is as Nipoppy's specification of such tables wants it: labels without `sub-` and `ses-`. Beside `NAME.tsv` stands
//! its data dictionary `NAME.json`, as BIDS has it for tabular files. Measures are the mean over
//! the successful scans of a kind, times their sum; `n/a` stands where nothing was measured.

use super::cell::cell;
use super::measures::describe;
use crate::bids::{Modality, without_sub};
use crate::derivatives::summary::{ScanSummary, SessionSummary, read_all};
use crate::derivatives::{DerivativeError, atomic};
use crate::vocabulary::Stage;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extracted {
    /// Rows: participant-sessions.
    pub units: usize,
    /// Those of them that failed.
    pub failed: usize,
}

/// A column: its name, its entry in the dictionary, and how its cells are made.
struct Column {
    name: String,
    about: Value,
    cell: Box<dyn Fn(&SessionSummary) -> String>,
}

/// Writes `table` (`.tsv`) and its dictionary from every summary below `output`. Without summaries nothing is written.
///
/// # Errors
/// [`DerivativeError`] when the folder cannot be read or the files not be written.
pub fn write_idps(output: &Path, table: &Path) -> Result<Extracted, DerivativeError> {
    let units = read_all(output)?;
    let failed = units.iter().filter(|unit| unit.status == "failed").count();
    if !units.is_empty() {
        let columns = columns(&units);
        atomic::Staged::write(table.to_owned(), |w| Ok(write_rows(w, &columns, &units)?))?.publish()?;
        let dictionary: Map<String, Value> = columns.into_iter().map(|c| (c.name, c.about)).collect();
        atomic::write_json(table.with_extension("json"), &dictionary)?;
    }
    Ok(Extracted { units: units.len(), failed })
}

fn write_rows(w: &mut dyn Write, columns: &[Column], units: &[SessionSummary]) -> csv::Result<()> {
    let mut table = csv::WriterBuilder::new().delimiter(b'\t').from_writer(w);
    table.write_record(columns.iter().map(|column| cell(&column.name)))?;
    for unit in units {
        table.write_record(columns.iter().map(|column| (column.cell)(unit)))?;
    }
    table.flush()?;
    Ok(())
}

fn columns(units: &[SessionSummary]) -> Vec<Column> {
    let mut columns = of_unit();
    for modality in Modality::ALL {
        columns.extend(of_modality(modality, units));
    }
    columns
}

fn column(name: &str, about: Value, cell: impl Fn(&SessionSummary) -> String + 'static) -> Column {
    Column { name: name.to_owned(), about, cell: Box::new(cell) }
}

/// Who, how it ended, and what it cost.
fn of_unit() -> Vec<Column> {
    let about = |description: &str| json!({ "Description": description });
    let failed = |unit: &SessionSummary| unit.scans.iter().filter(|scan| scan.status == "failed").count();
    let first_code = |unit: &SessionSummary| unit.scans.iter().find_map(|s| s.error.as_ref()).map(|e| e.code.clone());
    let statuses = json!({
        "success": "Every scan was processed.",
        "failed": "At least one scan failed; reason says why.",
        "skipped": "The run was stopped before all scans were processed."
    });
    vec![
        column("participant_id", about("Participant, without sub-."), |u| cell(without_sub(&u.participant_id))),
        column(
            "session_id",
            about("Session, without ses-; unnamed is Nipoppy's name for data without sessions."),
            |u| text(u.session_id.as_deref().map(|id| id.strip_prefix("ses-").unwrap_or(id))),
        ),
        column("status", json!({ "Description": "How processing ended.", "Levels": statuses }), |u| cell(&u.status)),
        column("error_code", about("Code of the first failure, explained in docs/errors.md."), move |u| {
            text(first_code(u).as_deref())
        }),
        column("reason", about("Why it failed, in words."), |u| text(u.reason.as_deref())),
        column("scans", about("Number of scans."), |u| u.scans.len().to_string()),
        column("scans_failed", about("Number of scans that failed."), move |u| failed(u).to_string()),
        column("started", about("When processing began, RFC 3339, UTC."), |u| cell(&u.started)),
        column("version", about("Version and commit of neuro-preprocess."), |u| cell(&u.version)),
        column("trace_id", about("Trace of the processing, for a tracing backend."), |u| text(u.trace_id.as_deref())),
        column("seconds", json!({ "Description": "Duration of processing, wall clock.", "Units": "s" }), |u| {
            format!("{:.3}", u.seconds)
        }),
        column(
            "peak_memory_mb",
            json!({ "Description": "Highest resident memory of the process so far; 1 MB is 10^6 bytes.", "Units": "MB" }),
            |u| format!("{:.1}", u.peak_memory_mb),
        ),
    ]
}

/// The scans of one kind; only measures that some scan has.
fn of_modality(modality: Modality, units: &[SessionSummary]) -> Vec<Column> {
    let kind = modality.as_str();
    let all: Vec<&ScanSummary> = units.iter().flat_map(|unit| of_kind(unit, kind)).collect();
    if all.is_empty() {
        return Vec::new();
    }
    let prefix = kind.to_ascii_lowercase();
    let name = |what: &str| format!("{prefix}_{what}");
    let seconds =
        |what: &str| json!({ "Description": format!("{what} of the {kind} scans, wall clock."), "Units": "s" });
    let averaged = |description: &str| format!("{description} Mean over the {kind} scans.");
    let mut columns = vec![
        column(&name("scans"), json!({ "Description": format!("Number of {kind} scans.") }), move |u| {
            of_kind(u, kind).count().to_string()
        }),
        column(&name("quality_score"), json!({ "Description": averaged("0 (unusable) to 100 (no fault found).") }), {
            move |u| mean(of_kind(u, kind).map(|s| s.quality_score))
        }),
        column(
            &name("brain_volume_ml"),
            json!({ "Description": averaged("Volume of the brain mask."), "Units": "ml" }),
            move |u| mean(of_kind(u, kind).map(|s| s.brain_volume_ml)),
        ),
        column(
            &name("scans_with_motion"),
            json!({ "Description": format!("Number of {kind} scans with more motion than the limit in docs/methods.md.") }),
            move |u| of_kind(u, kind).filter(|s| s.motion_detected == Some(true)).count().to_string(),
        ),
    ];
    for (at, (volume, description, _)) in all.iter().find_map(|s| s.tissues).iter().flat_map(|v| v.named()).enumerate()
    {
        let about = json!({ "Description": averaged(description), "Units": "ml" });
        columns.push(column(&name(volume), about, move |u| {
            mean(of_kind(u, kind).map(|s| s.tissues.map(|tissues| tissues.named()[at].2)))
        }));
    }
    if all.iter().any(|scan| scan.distortion.is_some()) {
        columns.extend(of_distortion(kind, &name));
    }
    // The volume of the brain has its column already.
    let measures: BTreeSet<&String> = all.iter().flat_map(|s| s.quality.keys()).filter(|m| *m != "brain_ml").collect();
    for measure in measures {
        let (description, units) = describe(measure);
        let mut about = json!({ "Description": averaged(description) });
        if let Some(units) = units {
            about["Units"] = units.into();
        }
        let measure = measure.clone();
        columns.push(column(&name(&measure), about, move |u| {
            mean(of_kind(u, kind).map(|s| s.quality.get(&measure).copied()))
        }));
    }
    columns.push(column(&name("seconds"), seconds("Duration"), move |u| sum(of_kind(u, kind).map(|s| s.seconds))));
    for stage in Stage::ALL.iter().filter(|stage| stage.applies_to(modality)) {
        let key = stage.as_str();
        columns.push(column(&name(&format!("seconds_{key}")), seconds(&format!("Duration of the stage {key}")), {
            move |u| sum(of_kind(u, kind).filter_map(|s| s.stages.get(key).copied()))
        }));
    }
    columns
}

/// Whether distortion was corrected, by what, and how far signal was displaced.
fn of_distortion(kind: &'static str, name: &dyn Fn(&str) -> String) -> [Column; 3] {
    let told =
        move |unit: &SessionSummary| of_kind(unit, kind).filter_map(|scan| scan.distortion.clone()).collect::<Vec<_>>();
    let largest = "Largest displacement of signal along phase encoding in the brain, where a fieldmap tells.";
    [
        column(
            &name("scans_distortion_corrected"),
            json!({ "Description": format!("Number of {kind} scans whose distortion was corrected.") }),
            move |u| told(u).iter().filter(|told| told.corrected).count().to_string(),
        ),
        column(
            &name("distortion_kind"),
            json!({ "Description": "What the fieldmaps were made from: phase difference, two phases, fieldmap, opposite phase encoding." }),
            move |u| {
                let kinds: BTreeSet<String> = told(u).into_iter().filter_map(|told| told.kind).collect();
                let kinds: Vec<String> = kinds.into_iter().collect();
                text((!kinds.is_empty()).then(|| kinds.join(", ")).as_deref())
            },
        ),
        column(&name("distortion_largest_mm"), json!({ "Description": largest, "Units": "mm" }), move |u| {
            let largest = told(u).iter().filter_map(|told| told.largest_mm()).reduce(f64::max);
            largest.map_or_else(|| "n/a".to_owned(), |mm| format!("{mm:.6}"))
        }),
    ]
}

fn of_kind<'u>(unit: &'u SessionSummary, kind: &'static str) -> impl Iterator<Item = &'u ScanSummary> {
    unit.scans.iter().filter(move |scan| scan.modality == kind)
}

/// A cell of text, `n/a` where there is none.
fn text(value: Option<&str>) -> String {
    value.map_or_else(|| "n/a".to_owned(), cell)
}

fn mean(values: impl Iterator<Item = Option<f64>>) -> String {
    let (total, n) = values.flatten().fold((0.0, 0_u32), |(total, n), v| (total + v, n + 1));
    if n == 0 { "n/a".to_owned() } else { format!("{:.6}", total / f64::from(n)) }
}

fn sum(values: impl Iterator<Item = f64>) -> String {
    let (total, n) = values.fold((0.0, 0_u32), |(total, n), v| (total + v, n + 1));
    if n == 0 { "n/a".to_owned() } else { format!("{total:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::SessionId;

    fn scan(kind: &str, status: &str, quality: &[(&str, f64)], seconds: f64) -> Value {
        json!({
            "scan_id": "x", "modality": kind, "status": status, "seconds": seconds, "stages": { "load": seconds / 2.0 },
            "quality": quality.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect::<Map<_, _>>(),
            "outputs": [], "notes": []
        })
    }

    fn write(output: &Path, participant: &str, session: Option<&str>, status: &str, scans: &[Value]) {
        let summary = json!({
            "participant_id": format!("sub-{participant}"), "session_id": session.map(|s| format!("ses-{s}")),
            "status": status, "reason": (status == "failed").then_some("NP-X: a\tb"), "run_id": "r", "version": "1",
            "started": "2026-01-01T00:00:00Z", "seconds": 3.0, "peak_memory_mb": 50.0, "scans": scans
        });
        let unit = SessionId { participant: participant.into(), session: None };
        serde_json::from_value::<SessionSummary>(summary).unwrap().write(output, &unit, session).unwrap();
    }

    #[test]
    fn a_row_per_participant_session_with_means_and_sums() {
        let dir = tempfile::tempdir().unwrap();
        let (output, table) = (dir.path().join("out"), dir.path().join("idp/idps.tsv"));
        std::fs::create_dir(&output).unwrap();
        assert_eq!(write_idps(&output, &table).unwrap(), Extracted { units: 0, failed: 0 });
        assert!(!table.exists(), "a table of nothing");

        let mut runs =
            [scan("bold", "success", &[("tsnr", 40.0)], 1.0), scan("bold", "success", &[("tsnr", 60.0)], 2.0)];
        runs[0]["distortion"] = json!({ "corrected": true, "kind": "two phases", "shift_mm": [-2.0, 0.1, 3.0, -7.5] });
        runs[1]["distortion"] = json!({ "corrected": false, "why": "no fieldmap names this run" });
        write(&output, "01", Some("A"), "success", &runs);
        write(&output, "02", None, "failed", &[scan("T1w", "failed", &[], 0.5)]);
        assert_eq!(write_idps(&output, &table).unwrap(), Extracted { units: 2, failed: 1 });

        let mut reader = csv::ReaderBuilder::new().delimiter(b'\t').from_path(&table).unwrap();
        let header = reader.headers().unwrap().clone();
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        let cell = |row: usize, name: &str| rows[row][header.iter().position(|h| h == name).unwrap()].to_owned();
        assert_eq!([cell(0, "participant_id"), cell(0, "session_id")], ["01", "A"]);
        assert_eq!([cell(0, "bold_scans"), cell(0, "bold_tsnr")], ["2", "50.000000"]);
        assert_eq!([cell(0, "bold_seconds"), cell(0, "bold_seconds_load")], ["3.000", "1.500"]);
        assert_eq!([cell(0, "bold_scans_distortion_corrected"), cell(0, "bold_distortion_kind")], ["1", "two phases"]);
        assert_eq!([cell(0, "bold_distortion_largest_mm"), cell(1, "bold_distortion_kind")], ["7.500000", "n/a"]);
        assert_eq!([cell(0, "t1w_scans"), cell(0, "t1w_quality_score")], ["0", "n/a"], "no T1w scan was there");
        assert_eq!([cell(1, "session_id"), cell(1, "reason")], ["n/a", r"NP-X: a\tb"]);
        assert_eq!([cell(1, "scans_failed"), cell(1, "bold_tsnr")], ["1", "n/a"]);

        let dictionary: Value = serde_json::from_slice(&std::fs::read(table.with_extension("json")).unwrap()).unwrap();
        let described: Vec<&String> = dictionary.as_object().unwrap().keys().collect();
        assert_eq!(described, header.iter().collect::<Vec<_>>());
        assert!(dictionary.as_object().unwrap().values().all(|v| v["Description"].as_str().unwrap().ends_with('.')));
    }
}
