//! The group level: one table per modality, a row per scan, from the summaries alone, so that separate jobs can be
//! gathered after the fact.

use super::cell::cell;
use crate::bids::Modality;
use crate::derivatives::summary::{ScanSummary, SessionSummary};
use crate::derivatives::{DerivativeError, atomic::Staged};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A table that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupTable {
    /// Where.
    pub path: PathBuf,
    /// Its scans.
    pub scans: usize,
    /// Those of them that failed.
    pub failed: usize,
}

/// Writes `group_T1w.tsv` and `group_bold.tsv` of `units` for the modalities that have scans.
///
/// # Errors
/// [`DerivativeError`] when the folder cannot be written to.
pub fn write_tables(output: &Path, units: &[SessionSummary]) -> Result<Vec<GroupTable>, DerivativeError> {
    let mut tables = Vec::new();
    for modality in Modality::ALL {
        let rows: Vec<(&SessionSummary, &ScanSummary)> = units
            .iter()
            .flat_map(|u| u.scans.iter().map(move |s| (u, s)))
            .filter(|(_, s)| s.modality == modality.as_str())
            .collect();
        if rows.is_empty() {
            continue;
        }
        let path = output.join(format!("group_{}.tsv", modality.as_str()));
        Staged::write(path.clone(), |w| Ok(write_rows(w, &rows)?))?.publish()?;
        let failed = rows.iter().filter(|(_, s)| s.status == "failed").count();
        tables.push(GroupTable { path, scans: rows.len(), failed });
    }
    Ok(tables)
}

/// Columns about the distortion of bold runs, where one was thought of.
const DISTORTION: [&str; 3] = ["distortion_corrected", "distortion_kind", "distortion_largest_mm"];

/// Their cells.
fn distortion(scan: &ScanSummary) -> [String; 3] {
    let none = || "n/a".to_owned();
    let Some(told) = &scan.distortion else { return [none(), none(), none()] };
    let largest = told.largest_mm().map_or_else(none, |mm| format!("{mm:.6}"));
    [told.corrected.to_string(), told.kind.as_deref().map_or_else(none, cell), largest]
}

fn write_rows(w: &mut dyn std::io::Write, rows: &[(&SessionSummary, &ScanSummary)]) -> csv::Result<()> {
    let measures: BTreeSet<&str> = rows.iter().flat_map(|(_, s)| s.quality.keys().map(String::as_str)).collect();
    let mut table = csv::WriterBuilder::new().delimiter(b'\t').from_writer(w);
    let fixed = [
        "participant_id",
        "session_id",
        "scan_id",
        "status",
        "error_code",
        "seconds",
        "quality_score",
        "brain_volume_ml",
    ];
    let volumes = rows.iter().find_map(|(_, s)| s.tissues).map_or_else(Vec::new, |v| v.named().map(|v| v.0).to_vec());
    let distorted = rows.iter().any(|(_, scan)| scan.distortion.is_some());
    let of_distortion = if distorted { DISTORTION.as_slice() } else { &[] };
    let header =
        fixed.into_iter().chain(volumes.iter().copied()).chain(of_distortion.iter().copied()).map(str::to_owned);
    table.write_record(header.chain(measures.iter().map(|m| cell(m))))?;
    let number = |v: Option<f64>| v.map_or_else(|| "n/a".to_owned(), |v| format!("{v:.6}"));
    for (unit, scan) in rows {
        let code = scan.error.as_ref().map_or("n/a", |e| e.code.as_str());
        let mut row = vec![
            cell(&unit.participant_id),
            unit.session_id.as_deref().map_or_else(|| "n/a".into(), cell),
            cell(&scan.scan_id),
            cell(&scan.status),
            cell(code),
            format!("{:.3}", scan.seconds),
            number(scan.quality_score),
            number(scan.brain_volume_ml),
        ];
        let tissues = scan.tissues.map(|tissues| tissues.named());
        row.extend((0..volumes.len()).map(|at| number(tissues.map(|tissues| tissues[at].2))));
        row.extend(distorted.then(|| distortion(scan)).into_iter().flatten());
        row.extend(measures.iter().map(|m| number(scan.quality.get(*m).copied())));
        table.write_record(row)?;
    }
    table.flush()?;
    Ok(())
}
