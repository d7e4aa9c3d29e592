//! The page of one participant: every session and scan, from the summaries, figures, sidecars and traces on disk.

mod charts;
mod correlation;
mod distortion;
mod files;
mod methods;
mod quality;
mod waterfall;

use super::index::sign_of_motion;
use super::places::Places;
use super::{PageError, templates};
use crate::derivatives::outputs::OutputKind;
use crate::derivatives::summary::{Failure, Received, ScanSummary, SessionSummary};
use crate::error::ErrorCode;
use crate::printable;
use crate::tables::measures::partial_score;
use crate::trace_view;
use charts::{Chart, histogram, over_time};
use figures::{CarpetPart, DIVERGING, FigureData, PictureKind, RATIOS, SCALE, TemplateMosaic};
use files::{Columns, ScanFiles};
use methods::{Ran, paragraph, references};
use quality::number;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Most bytes of pictures in a page; those of further scans stay in their folder. As text they take a third more.
const ROOM: usize = 2_000_000;
/// Limits above which fMRIPrep marks a volume as an outlier of motion: framewise displacement in mm, standardised DVARS.
const FD_LIMIT_MM: f64 = 0.5;
const DVARS_LIMIT: f64 = 1.5;

/// What the page of a participant is made from.
#[derive(Clone, Copy, Debug)]
pub struct SubjectFiles<'a> {
    /// The folder of the derivatives.
    pub output: &'a Path,
    /// Its `dataset_description.json`; null when there is none.
    pub description: &'a Value,
    /// The summaries of this participant, a session each, in their order.
    pub units: &'a [SessionSummary],
}

/// The page of a participant, to be written to `OUTPUT/sub-XX.html`.
///
/// `places` are those of all participants. `traces` are whatever subjects the telemetry files hold: those of the
/// participant are found by the trace ids of its summaries.
///
/// # Errors
/// [`PageError`] when a file is there but cannot be read.
pub fn subject_page(
    files: &SubjectFiles<'_>,
    places: &Places,
    traces: &[&trace_view::Subject],
) -> Result<String, PageError> {
    let mut room = ROOM;
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut sessions = Vec::new();
    for unit in files.units {
        let mut scans = Vec::new();
        for scan in &unit.scans {
            let files = ScanFiles { output: files.output, scan };
            // A scan that was kept is in the trace of an earlier run.
            let trace = scan.trace_id.as_ref().and_then(|id| traces.iter().find(|trace| trace.trace_id == *id));
            let bars = trace.map(|trace| waterfall::bars(trace, scan)).unwrap_or_default();
            let (mut shown, text) = of_scan(&files, places, &unit.version, &mut room)?;
            shown["bars"] = json!(bars);
            if let Some(text) = text {
                texts.entry(text).or_default().push(scan.scan_id.clone());
            }
            scans.push(shown);
        }
        sessions.push(of_unit(unit, scans));
    }
    let participant = files.units.first().map_or("", |u| u.participant_id.as_str());
    let all: String = texts.keys().map(String::as_str).collect();
    let page = json!({
        "participant": participant,
        "sessions": sessions,
        "failures": failures(files.units),
        "methods": texts.iter().map(|(text, scans)| json!({ "text": text, "scans": scans })).collect::<Vec<_>>(),
        "references": references(&all),
        "dataset": dataset(files.description),
        "scale": SCALE.map(css).join(", "),
        "diverging": DIVERGING.map(css).join(", "),
    });
    templates::render("subject.html", &page)
}

fn css([r, g, b]: [u8; 3]) -> String {
    format!("rgb({r} {g} {b})")
}

fn of_unit(unit: &SessionSummary, scans: Vec<Value>) -> Value {
    json!({
        "session": unit.session_id,
        "status": unit.status,
        "run_id": unit.run_id,
        "trace_id": unit.trace_id,
        "version": unit.version,
        "started": unit.started,
        "seconds": format!("{:.2}", unit.seconds),
        "memory_mb": format!("{:.0}", unit.peak_memory_mb),
        "scans": scans,
    })
}

/// Failed scans, with what the table of errors knows about their code.
fn failures(units: &[SessionSummary]) -> Vec<Value> {
    let of = |scan: &ScanSummary, error: &Failure| {
        json!({
            "scan_id": scan.scan_id,
            "stage": error.stage,
            "code": error.code,
            "message": error.message,
            "meaning": ErrorCode::named(&error.code).map(ErrorCode::meaning),
            "advice": error.advice,
            "received": scan.received.as_ref().map(received),
        })
    };
    units.iter().flat_map(|u| &u.scans).filter_map(|scan| Some(of(scan, scan.error.as_ref()?))).collect()
}

/// The rows that describe the file of a failed scan.
fn received(found: &Received) -> Vec<(String, String)> {
    let size = found.bytes.map_or_else(|| "not there".to_owned(), |bytes| format!("{bytes} bytes"));
    let mut rows = vec![("File".to_owned(), printable::path(&found.file)), ("Size".to_owned(), size)];
    rows.extend(found.header.iter().map(|(name, value)| (format!("Header: {name}"), value.clone())));
    if found.header.is_empty() {
        rows.push(("Header".to_owned(), "none that can be read".to_owned()));
    }
    rows
}

/// What one scan shows, and what its methods text is.
fn of_scan(
    files: &ScanFiles<'_>,
    places: &Places,
    version: &str,
    room: &mut usize,
) -> Result<(Value, Option<String>), PageError> {
    let scan = files.scan;
    let preproc = match files.sidecar(OutputKind::Preproc)? {
        // A run without its series tells the same beside its reference.
        none if none.is_empty() => files.sidecar(OutputKind::BoldRef)?,
        there => there,
    };
    let mask = files.sidecar(OutputKind::BrainMask)?;
    let bias = files.sidecar(OutputKind::BiasField)?;
    let tissues = files.sidecar(OutputKind::Segmentation)?;
    let figures = files.figures()?;
    let text = figures.as_ref().map(|figures| {
        let ran = Ran {
            modality: &scan.modality,
            preproc: &preproc,
            mask: &mask,
            bias: &bias,
            tissues: &tissues,
            coregistration: scan.coregistration.as_ref(),
            distortion: scan.distortion.as_ref(),
            normalized: scan.normalization.first(),
            level: scan.level.as_deref(),
            figures,
        };
        paragraph(&ran, version)
    });
    let confounds = files.confounds()?;
    let mut shown = json!({
        "id": scan.scan_id,
        "status": scan.status,
        "seconds": format!("{:.2}", scan.seconds),
        "score": scan.quality_score.map(|v| format!("{v:.0}")),
        "partial": partial_score(scan),
        "level": scan.level,
        "left_out": left_out(scan),
        "sign_of_motion": sign_of_motion(scan),
        "brain_volume_ml": scan.brain_volume_ml.map(number),
        "tissue_volumes": scan.tissues.map(|t| [t.gm_volume_ml, t.wm_volume_ml, t.csf_volume_ml].map(number)),
        "notes": scan.notes,
        "quality": quality::rows(scan, places),
        "stages": scan.stages.iter().map(|(name, s)| json!([name, format!("{s:.3}")])).collect::<Vec<_>>(),
        "outputs": scan.outputs,
        "sources": preproc.get("Sources"),
        "parameters": [parameters("Image", &preproc), parameters("Brain mask", &mask), parameters("Bias field", &bias)],
        "motion": motion(&confounds),
        "correlation": correlation::matrix(&confounds),
        "carpet": files.picture(PictureKind::Carpet, room)?,
    });
    shown["distortion"] = distortion::shown(files, figures.as_ref(), room)?;
    if let Some(figures) = figures {
        shown["viewer"] = viewer(files, &figures, room)?;
        shown["templates"] = templates(files, &figures, room)?;
        shown["histogram"] = json!(histogram(&figures.histogram, 180.0));
        shown["bias_cv"] = json!([number(100.0 * figures.bias.cv_before), number(100.0 * figures.bias.cv_after)]);
        shown["bias_window"] = json!(figures.bias.window.map(|v| number(f64::from(v))));
        shown["tsnr_window"] = json!(figures.tsnr_window.map(|w| w.map(|v| number(f64::from(v)))));
        shown["carpet_parts"] = json!(carpet_parts(&figures));
        shown["decisions"] = json!(figures.decisions);
    }
    Ok((shown, text))
}

/// What a scan that was made at a lower level has not.
fn left_out(scan: &ScanSummary) -> Option<&'static str> {
    match (scan.level.as_deref()?, scan.modality.as_str()) {
        ("minimal", "bold") => Some("the preprocessed series, the images in output spaces and the confounds table"),
        ("minimal", _) => Some("the images in template spaces"),
        _ => Some("the confounds table"),
    }
}

/// The pictures made of slices, which are shown one at a time in the same place.
fn viewer(files: &ScanFiles<'_>, figures: &FigureData, room: &mut usize) -> Result<Value, PageError> {
    let (before, corrected) = match files.scan.modality.as_str() {
        "bold" => ("Mean before bias correction", "Mean after bias correction"),
        _ => ("Before bias correction", "After bias correction"),
    };
    let mut pictures = Vec::new();
    for (name, kind) in [
        (corrected, PictureKind::Corrected),
        (before, PictureKind::Input),
        ("Tissues", PictureKind::Tissues),
        ("Bias field", PictureKind::BiasField),
        ("Temporal SNR", PictureKind::Tsnr),
    ] {
        if let Some(source) = files.picture(kind, room)? {
            pictures.push(json!({ "name": name, "source": source }));
        }
    }
    Ok(json!({ "pictures": pictures, "mosaic": figures.mosaic }))
}

/// The name of the space of the T1w image.
const T1W_SPACE: &str = "T1w";

/// The scan in the space of each template, or on the T1w image, and what it was brought to, in the same place.
fn templates(files: &ScanFiles<'_>, figures: &FigureData, room: &mut usize) -> Result<Value, PageError> {
    let mut shown = Vec::new();
    for TemplateMosaic { template, mosaic } in &figures.templates {
        let mut pictures = Vec::new();
        let on_anatomy = template.as_str() == T1W_SPACE;
        let other = if on_anatomy { "T1w image" } else { "Template" };
        for (name, kind) in [
            ("Scan", PictureKind::OnTemplate),
            (other, PictureKind::Template),
            ("Volume against the template", PictureKind::Jacobian),
        ] {
            if let Some(source) = files.picture_in(kind, Some(template), room)? {
                pictures.push(json!({ "name": name, "source": source }));
            }
        }
        let fit = files.scan.normalization.iter().find(|fit| fit.template == *template);
        let fit = fit.map(|fit| {
            json!({ "likeness": format!("{:.2}", fit.likeness), "overlap": format!("{:.3}", fit.mask_overlap),
                    "origin": fit.origin, "volume_ratio": format!("{:.2}", fit.volume_ratio),
                    "ratios": files.scan.file_in(OutputKind::Picture(PictureKind::Jacobian), Some(template))
                        .map(|_| RATIOS) })
        });
        let laid = files.scan.coregistration.as_ref().filter(|_| on_anatomy).map(|laid| {
            json!({ "t1w": laid.t1w, "accepted": laid.accepted, "cost": format!("{:.2}", laid.cost),
                    "share": format!("{:.0}", 100.0 * laid.share),
                    "halves": laid.halves_mm.map(|mm| format!("{mm:.1}")) })
        });
        let bold = files.scan.modality == "bold";
        let outline = bold.then_some("Outline of white matter");
        shown.push(json!({ "template": template, "pictures": pictures, "mosaic": mosaic, "fit": fit, "laid": laid,
                           "outline": outline, "bold": bold }));
    }
    Ok(Value::Array(shown))
}

/// The tissues beside a carpet: name, and where its rows begin and end, in percent from the top.
fn carpet_parts(figures: &FigureData) -> Vec<Value> {
    let all: usize = figures.carpet.iter().map(|part| part.rows).sum();
    let mut begin = 0;
    let mut place = |part: &CarpetPart| {
        #[expect(clippy::cast_precision_loss, reason = "a few hundred rows")]
        let percent = |rows: usize| 100.0 * rows as f64 / all.max(1) as f64;
        let from = percent(begin);
        begin += part.rows;
        json!({ "name": part.name, "from": format!("{from:.2}"), "height": format!("{:.2}", percent(part.rows)) })
    };
    figures.carpet.iter().map(&mut place).collect()
}

/// The charts of a bold run, and its outlying volumes in words; nothing without confounds.
fn motion(confounds: &Columns) -> Value {
    let column = |name: &str| confounds.get(name).map_or(&[][..], Vec::as_slice);
    let degrees = |name: &str| -> Vec<Option<f64>> { column(name).iter().map(|v| v.map(f64::to_degrees)).collect() };
    let rotations = ["rot_x", "rot_y", "rot_z"].map(degrees);
    let (fd, dvars) = (column("framewise_displacement"), column("std_dvars"));
    let above = |values: &[Option<f64>], limit: f64| -> Vec<usize> {
        values.iter().enumerate().filter(|(_, v)| v.is_some_and(|v| v > limit)).map(|(t, _)| t).collect()
    };
    let (moved, jumped) = (above(fd, FD_LIMIT_MM), above(dvars, DVARS_LIMIT));
    let translations = [("right", column("trans_x")), ("front", column("trans_y")), ("up", column("trans_z"))];
    let turns = [("nod", &rotations[0][..]), ("tilt", &rotations[1][..]), ("turn", &rotations[2][..])];
    let charts: Vec<Chart> = [
        over_time("Framewise displacement, mm", 120.0, &[("FD", fd)], Some(FD_LIMIT_MM), &moved),
        over_time("DVARS, standardised", 120.0, &[("DVARS", dvars)], Some(DVARS_LIMIT), &jumped),
        over_time("Translation of the head, mm", 130.0, &translations, None, &[]),
        over_time("Rotation of the head, degrees", 130.0, &turns, None, &[]),
        over_time("Global signal", 100.0, &[("mean of the brain", &centred(column("global_signal")))], None, &[]),
    ]
    .into_iter()
    .flatten()
    .collect();
    let counted =
        |volumes: &[usize]| json!({ "n": volumes.len(), "volumes": volumes.iter().take(60).collect::<Vec<_>>() });
    if charts.is_empty() {
        return Value::Null;
    }
    json!({ "charts": charts, "volumes": fd.len(), "moved": counted(&moved), "jumped": counted(&jumped) })
}

/// Percent of the mean, around it.
fn centred(values: &[Option<f64>]) -> Vec<Option<f64>> {
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    #[expect(clippy::cast_precision_loss, reason = "a count of volumes")]
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    values.iter().map(|v| v.map(|v| 100.0 * (v / mean - 1.0)).filter(|v| v.is_finite())).collect()
}

/// The entries of a sidecar that are plain values, as text.
fn parameters(title: &str, sidecar: &Map<String, Value>) -> Value {
    let plain = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let entries: Vec<(&String, String)> =
        sidecar.iter().filter(|(k, _)| *k != "Sources").map(|(k, v)| (k, plain(v))).collect();
    json!({ "title": title, "entries": entries })
}

/// What the dataset is called and made from, and in which container; nothing when its description cannot be read.
fn dataset(found: &Value) -> Value {
    json!({ "name": found["Name"], "container": found["GeneratedBy"][0]["Container"],
            "source": found["SourceDatasets"][0]["URL"] })
}

#[cfg(test)]
mod tests;
