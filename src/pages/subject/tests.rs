//! The page as a whole, from summaries and files made here.

use super::*;
use crate::trace_view::{Scan, Subject};

fn unit(session: Option<&str>, scans: Value) -> SessionSummary {
    serde_json::from_value(json!({
        "participant_id": "sub-01", "session_id": session, "status": "failed", "run_id": "run-1", "trace_id": "abc",
        "version": "1.2.3", "started": "2026-01-01T00:00:00Z", "seconds": 3.0, "peak_memory_mb": 50.0, "scans": scans
    }))
    .unwrap()
}

fn failed() -> Value {
    json!({
        "scan_id": "sub-01_task-rest_bold", "modality": "bold", "status": "failed", "seconds": 0.1,
        "stages": { "load": 0.1 }, "quality": {}, "outputs": [], "notes": ["<script>alert(1)</script> & \"more\""],
        "error": { "code": "NP-TRUNCATED", "class": "validation", "stage": "load",
                   "message": "<b>x.nii.gz</b> ends early", "advice": "Copy it again." },
        "received": { "file": "sub-01/func/<x>.nii.gz", "bytes": 2000, "header": { "dimensions": "64 x 64 x 30 x 20" } }
    })
}

fn good() -> Value {
    json!({
        "scan_id": "sub-01_T1w", "modality": "T1w", "status": "success", "seconds": 1.0, "stages": { "load": 0.5 },
        "trace_id": "abc", "span_id": "1",
        "quality": { "cjv": 0.4, "snr_wm": 12.0 }, "quality_score": 80.0, "notes": [],
        "outputs": ["sub-01/anat/sub-01_desc-preproc_T1w.json", "sub-01/figures/sub-01_desc-figures_T1w.json",
                    "sub-01/figures/sub-01_desc-mosaic_T1w.jpg"],
        "files": [{ "kind": "preproc", "path": "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz" },
                  { "kind": "figure_data", "path": "sub-01/figures/sub-01_desc-figures_T1w.json" },
                  { "kind": "picture_corrected", "path": "sub-01/figures/sub-01_desc-mosaic_T1w.jpg" }]
    })
}

fn write(output: &Path, picture: usize) {
    let put = |path: &str, bytes: &[u8]| {
        let path = output.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let sidecar = json!({ "IntensityMethod": "<i>peak</i>", "Sources": ["bids:raw:sub-01_T1w.nii.gz"] });
    put("sub-01/anat/sub-01_desc-preproc_T1w.json", sidecar.to_string().as_bytes());
    let mut data =
        FigureData { decisions: vec![("Orientation".into(), "LAS & known".into())], ..FigureData::default() };
    (data.mosaic.width, data.mosaic.height, data.mosaic.outline) = (100, 80, "M1 1h2v1h-2v-1z".into());
    put("sub-01/figures/sub-01_desc-figures_T1w.json", &serde_json::to_vec(&data).unwrap());
    put("sub-01/figures/sub-01_desc-mosaic_T1w.jpg", &vec![7; picture]);
}

fn page(output: &Path, units: &[SessionSummary], traces: &[&Subject]) -> String {
    let description =
        serde_json::from_slice(&std::fs::read(output.join("dataset_description.json")).unwrap_or_default());
    let files = SubjectFiles { output, description: &description.unwrap_or_default(), units };
    subject_page(&files, &Places::of(units), traces).unwrap()
}

#[test]
fn whatever_is_known_is_on_the_page_and_nothing_is_markup() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 30);
    let units = [unit(Some("ses-A"), json!([good()])), unit(Some("ses-B"), json!([failed()]))];
    let span = trace_view::Span { name: "load_scan".into(), end_ns: 9, ..trace_view::Span::default() };
    let scan = Scan { span_id: Some("1".into()), spans: vec![span], end_ns: 10, ..Scan::default() };
    let trace = Subject { trace_id: "abc".into(), scans: vec![scan], ..Subject::default() };
    let html = page(dir.path(), &units, &[&trace]);
    for part in [
        "<h1>sub-01</h1>",
        "ses-A",
        "ses-B",
        "NP-TRUNCATED",
        "The file ends before its header says",
        "Copy it again.",
        "func&#x2f;&lt;x&gt;.nii.gz",
        "2000 bytes",
        "64 x 64 x 30 x 20",
        "&lt;b&gt;x.nii.gz",
        "&lt;script&gt;alert(1)",
        "LAS &amp; known",
        "&lt;i&gt;peak",
        "data:image/jpeg;base64,BwcH",
        "d=\"M1 1h2v1h-2v-1z\"",
        "load_scan",
        "Methods, to paste",
        "Coefficient of joint variation",
        "1.2.3",
    ] {
        assert!(html.contains(part), "{part} is not in\n{html}");
    }
    for part in ["<script", "http://", "onclick", "<b>x", "<i>peak"] {
        assert!(!html.contains(part), "{part}");
    }
    assert!(
        html.find("NP-TRUNCATED") < html.find("ses-A</h2>").or(html.find("id=\"session-1\"")),
        "failures come first"
    );
}

#[test]
fn the_page_does_without_what_is_not_there_and_stays_small() {
    let dir = tempfile::tempdir().unwrap();
    let units = [unit(None, json!([good()]))];
    let html = page(dir.path(), &units, &[]);
    assert!(html.contains("pictures of this scan are not in this page"), "they were deleted");
    // More pictures than there is room for: as many as fit, and no more.
    write(dir.path(), 900_000);
    let many = [unit(None, json!([good(), good(), good(), good()]))];
    let html = page(dir.path(), &many, &[]);
    assert_eq!(html.matches("data:image/jpeg").count(), 2);
    assert!(html.len() < 3_000_000, "{}", html.len());
}

#[test]
fn outlying_volumes_are_counted_and_marked() {
    let table = "trans_x\trot_x\tframewise_displacement\tstd_dvars\tglobal_signal\n\
                 0\t0\tn/a\tn/a\t100\n0.1\t0.01\t0.6\t1.0\t101\n0.2\t0\t0.1\t2.0\t99\n";
    let dir = tempfile::tempdir().unwrap();
    let scan: ScanSummary = serde_json::from_value(json!({
        "scan_id": "b", "modality": "bold", "status": "success", "seconds": 1.0, "stages": {}, "quality": {}, "notes": [],
        "outputs": [], "files": [{ "kind": "confounds", "path": "b_desc-confounds_timeseries.tsv" }]
    }))
    .unwrap();
    std::fs::write(dir.path().join("b_desc-confounds_timeseries.tsv"), table).unwrap();
    let found = motion(&ScanFiles { output: dir.path(), scan: &scan }.confounds().unwrap());
    assert_eq!((&found["moved"]["volumes"], &found["jumped"]["volumes"]), (&json!([1]), &json!([2])));
    assert_eq!(found["charts"].as_array().unwrap().len(), 5);
    assert_eq!(
        centred(&[Some(99.0), None, Some(101.0)]),
        [Some(-1.0), None, Some(1.0)].map(|v: Option<f64>| v.map(|v| 100.0 * ((100.0 + v) / 100.0 - 1.0)))
    );
    assert_eq!(motion(&Columns::new()), Value::Null);
}
