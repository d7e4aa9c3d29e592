//! What fuzzing starts from: small inputs of every kind that a target knows, made by the builders of the other tests.

use crate::common::nifti::{File, TYPES, gzip};
use neuro_preprocess::telemetry::names;
use serde_json::json;

/// The seeds of a target.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "nifti" => images(),
        "gzip" => framings(),
        "bids_name" => names(),
        "sidecar" => sidecars(),
        "invocation" => invocations(),
        "config" => configurations(),
        "spool" => spools(),
        "tables" => tables(),
        "stages" => scans(),
        "ledger" => ledgers(),
        "transforms" => transforms(),
        "fieldmaps" => fieldmaps(),
        "templates" => templates(),
        other => panic!("{other} has no seeds"),
    }
}

/// Bytes as voxels of some type; half of these patterns are ordinary numbers in every type.
fn image(dim: &[i64], datatype: i16, bits: i16) -> File {
    let count = dim.iter().product::<i64>() as usize * bits as usize / 8;
    File::new(dim).voxels(datatype, bits, (0..count).map(|n| (n * 7 % 64) as u8).collect())
}

fn images() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = TYPES.iter().map(|t| image(&[3, 2, 2], t.code, t.bits).bytes()).collect();
    let series = image(&[3, 2, 2, 2], 4, 16);
    let turned = File { srow: [[0.0, 0.0, 2.0, 1.0], [-2.0, 0.0, 0.0, 5.0], [0.0, 2.0, 0.3, 0.0]], ..series.clone() };
    let quaternion = File { qform_code: 1, sform_code: 0, quatern: [0.1, -0.6, 0.2], ..series.clone() };
    let scaled = File { slope: 0.5, inter: -3.0, ..series.clone() };
    let unplaced = File { sform_code: 0, ..series.clone() };
    all.extend([&series, &turned, &quaternion, &scaled, &unplaced].map(File::bytes));
    all.extend([&series, &turned, &quaternion].map(|file| File { big: true, ..file.clone() }.bytes()));
    all.extend([&series, &turned, &quaternion, &scaled].map(|file| file.clone().version_2().bytes()));
    all.extend([&series, &turned].map(|file| File { big: true, ..file.clone().version_2() }.bytes()));
    all.extend([series.bytes(), turned.version_2().bytes()].map(|bytes| gzip(&bytes)));
    all.extend([b"<!DOCTYPE html>".to_vec(), b"version https://git-lfs.github.com/spec/v1".to_vec(), b"BZh9".to_vec()]);
    all
}

fn framings() -> Vec<Vec<u8>> {
    let damages = (0..5).map(|how| [how, 1, 44, 7, 90, 1 + 16 * how]);
    let mut all: Vec<Vec<u8>> =
        damages.map(|head| [&head[..], b"some voxels to compress, compress, compress"].concat()).collect();
    let whole = image(&[3, 2, 2], 2, 8).bytes();
    let (first, second) = whole.split_at(200);
    for zipped in [gzip(&whole), [gzip(first), gzip(second)].concat(), [gzip(&whole), vec![0; 5]].concat()] {
        all.push([&[255, 0, 0, 0, 0, 0], &zipped[..]].concat());
    }
    all
}

fn names() -> Vec<Vec<u8>> {
    [
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/ses-BL/func/sub-01_ses-BL_task-rest_acq-x_ce-y_rec-z_dir-AP_run-01_echo-2_part-mag_chunk-1_bold.nii",
        "sub-2mo+x/ses-A/anat/sub-2mo+x_ses-A_FLAIR.nii.gz",
        "sub-01/func/sub-01_task-rest_bold.NII.GZ",
        "sub-01/anat/._sub-01_T1w.nii",
        "sub-01/anat/sub-02_T1w.mgz",
        "sub-01/anat/sub-01_run-a_T2w.nii",
        "sub-01_task-rest_desc-x_label-y_run-1",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

fn sidecars() -> Vec<Vec<u8>> {
    let parts = |list: [&str; 5]| list.join("\0").into_bytes();
    vec![
        parts(["", r#"{"RepetitionTime": 2.0, "TaskName": "rest"}"#, "", "", ""]),
        parts([
            r#"{"Name": "x", "BIDSVersion": "1.8.0", "DatasetType": "raw"}"#,
            r#"{"EchoTime": 0.03}"#,
            r#"{"RepetitionTime": 2000}"#,
            "",
            "",
        ]),
        parts([
            "",
            r#"{"RepetitionTime": 2}"#,
            r#"{"RepetitionTime": 1.5}"#,
            r#"{"RepetitionTime": 0}"#,
            r#"{"SliceTiming": [0, 1e-1, null, true]}"#,
        ]),
        parts(["", "[1]", "{\"a\": NaN}", "\u{feff}{}", "{\"RepetitionTime\": \"2\\u0041\"}"]),
        parts([r#"{"Name": "", "BIDSVersion": 1, "DatasetType": "derivative"}"#, "", "", "", ""]),
    ]
}

fn invocations() -> Vec<Vec<u8>> {
    let whole = json!({
        "bids_dir": "b", "output_dir": "o", "analysis_level": "participant", "participant_label": ["01", "sub-02"],
        "session_label": ["A"], "modalities": ["T1w"], "nprocs": 2, "mem": "4GB", "force": true, "verbose": false, "fail_rate": 0.5,
        "otel_endpoint": "http://localhost:4317", "flush_timeout": 1.5, "log_format": "json", "dry_run": true, "format": "json"
    });
    let least = json!({ "bids_dir": "/", "output_dir": "/o", "analysis_level": "group" });
    vec![whole.to_string().into(), least.to_string().into(), b"[]".to_vec(), b"{\"bids_dir\": null}".to_vec()]
}

fn configurations() -> Vec<Vec<u8>> {
    [
        "[run]\nnprocs = 3\nmem = \"4GB\"\nno_report = true\nmodalities = [\"bold\", \"T1w\"]\nstrict = true\n\
         no-report = false\nskip-bids-validation = true\n",
        "[observability]\nno-telemetry = false\notel-endpoint = \"https://c.example:4317\"\nflush-timeout = 2.5\n\
         no-subject-metrics = true\npseudonymize = false\npseudonymize-key = \"/k\"\ntrace = true\nlog-format = \"json\"\n\
         verbosity = \"debug\"\n",
        "run.mem = '8GiB'\n# a comment\n[observabilty]\n",
        "[run]\nnproc = 1\nmem = 0x10\nno-report = 1979-05-27T07:32:00Z\nmodalities = [[], {a = inf}]\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// A run on a machine of this name, with its escapes.
pub fn spool_of_host(host: &str) -> Vec<u8> {
    let first = String::from_utf8(spools().swap_remove(0)).unwrap();
    first.replace(r#""stringValue":"h""#, &format!(r#""stringValue":"{host}""#)).into_bytes()
}

/// One run with a participant, whose scan failed: whole, partly sent, and killed.
fn spools() -> Vec<Vec<u8>> {
    let resource = json!({ "attributes": [
        { "key": names::SERVICE_INSTANCE_ID, "value": { "stringValue": "r1" } }, { "key": names::HOST_NAME, "value": { "stringValue": "h" } },
        { "key": names::RESOURCE_RUN_ID, "value": { "stringValue": "r1" } }, { "key": names::SERVICE_VERSION, "value": { "stringValue": "1" } }
    ] });
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let span = |id: u64, parent: u64, name: &str, attributes: serde_json::Value, code: u8| {
        json!({
            "traceId": trace, "spanId": format!("{id:016x}"), "name": name, "kind": 1, "flags": 257,
            "parentSpanId": if parent == 0 { String::new() } else { format!("{parent:016x}") },
            "startTimeUnixNano": (1_700_000_000_000_000_000 + id).to_string(), "endTimeUnixNano": "1700000009000000000",
            "attributes": attributes, "status": { "code": code, "message": "no brain" }
        })
    };
    let said = |key: &str, text: &str| json!([{ "key": key, "value": { "stringValue": text } }]);
    let spans = json!([
        span(1, 0, names::PREPROCESS_SUBJECT, said(names::PARTICIPANT_ID, "01"), 0),
        span(2, 1, names::PREPROCESS_SCAN, said(names::SCAN_ID, "sub-01_T1w"), 2),
        span(3, 2, "process_scan", json!([]), 2),
        span(4, 3, "skull_strip", said(names::STAGE, "skull_strip"), 2),
        span(5, 2, "load", json!([{ "key": "processing.quality_score", "value": { "doubleValue": 7.5 } }]), 0)
    ]);
    let traces = json!({ "resourceSpans": [{ "resource": &resource, "scopeSpans": [{ "scope": { "name": "s" }, "spans": spans }] }] });
    let ended = json!({ "resourceSpans": [{ "resource": &resource, "scopeSpans": [{ "spans": [
        span(9, 0, names::PREPROCESS_RUN, said(names::RUN_COMMAND, "participant"), 0)
    ] }] }] });
    let record = json!({
        "timeUnixNano": "1700000001000000000", "severityText": "ERROR", "severityNumber": 17, "traceId": trace,
        "spanId": "0000000000000004", "body": { "stringValue": "no brain" }, "attributes": said(names::LOG_SCAN_ID, "sub-01_T1w")
    });
    let logs = json!({ "resourceLogs": [{ "resource": &resource, "scopeLogs": [{ "logRecords": [record] }] }] });
    let point = json!({ "asDouble": 1.5, "timeUnixNano": "1700000001000000000", "attributes": [] });
    let metrics = json!({ "resourceMetrics": [{ "resource": &resource, "scopeMetrics": [{ "metrics": [
        { "name": "m", "gauge": { "dataPoints": [&point] } },
        { "name": "s", "sum": { "dataPoints": [&point], "aggregationTemporality": 2, "isMonotonic": true } },
        { "name": "h", "histogram": { "aggregationTemporality": 2, "dataPoints": [
            { "count": "1", "sum": 1.5, "bucketCounts": ["0", "1"], "explicitBounds": [1.0], "timeUnixNano": "7" }] } }
    ] }] }] });
    let cursor = format!("{:020} {:020} {:020} {:020}\n", 0, 3, 0, 1);
    vec![
        format!("{traces}\n{ended}\n\0{logs}\n\0{metrics}\n\0").into(),
        format!("{traces}\n\0{logs}\n\0{metrics}\n\0{cursor}").into(),
        format!("{ended}\n{{\"resourceSp").into(),
    ]
}

fn tables() -> Vec<Vec<u8>> {
    let parts = |list: [&str; 4]| list.join("\0").into_bytes();
    vec![
        parts([
            "participant_id\tvisit_id\tsession_id\tdatatype\n01\tBL\tBL\t\"['anat','func']\"\n02\tBL\t\tNA\n",
            "participant_id\tvisit_id\tsession_id\tin_bids\n01\tBL\tBL\tTrue\n02\tBL\tunnamed\tFalse\n",
            "01\tA\r\nsub-02\tses-B\n\n03\n",
            r#"{"t1w": {"session": "01", "acquisition": null}, "bold": {"task": ["rest", "*"], "run": 1}}"#,
        ]),
        parts(["participant_id,session_id\n1,2\n", "", "01 A\n", r#"{"bold": {"run": "<Query.NONE: 1>"}}"#]),
        parts(["participant_id\tsession_id\nsub-01\tses-1\n", "", "\u{feff}01\n", r#"{"t1": {}}"#]),
    ]
}

/// A bright ball, noise, stripes and nearly nothing, as either modality.
fn scans() -> Vec<Vec<u8>> {
    let ball: Vec<u8> = (0..12_i32 * 12 * 12)
        .map(|n| [n % 12, n / 12 % 12, n / 144].map(|x| (2 * x - 11).pow(2)).iter().sum::<i32>())
        .map(|far| if far < 70 { 120 + (far % 60) as u8 } else { (far % 7) as u8 })
        .collect();
    let noise: Vec<u8> = (0..400_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let patterns = [ball, noise, [[0; 9], [200; 9]].concat(), [vec![0; 90], vec![1]].concat()];
    let heads = [[0, 4, 4, 4, 0, 1, 1, 1, 0], [1, 4, 4, 4, 0, 2, 2, 2, 0], [0, 4, 4, 4, 0, 5, 3, 4, 1]];
    heads.iter().flat_map(|head| patterns.iter().map(|pattern| [&head[..], pattern].concat())).collect()
}

/// What a run leaves of a session with one scan.
fn ledgers() -> Vec<Vec<u8>> {
    let done = json!({
        "path": "sub-01/anat/sub-01_T1w.nii",
        "input": { "file": { "bytes": 8, "modified": "2026-01-02T03:04:05Z", "xxh3": "0".repeat(32) } },
        "metadata": { "EchoTime": 0.003 },
        "odd": false,
        "without_tissues": true,
        "outputs": [
            { "path": "sub-01/anat/sub-01_desc-brain_mask.json", "bytes": 2, "xxh3": "0".repeat(32) },
            { "path": "../../etc/passwd", "bytes": 1, "xxh3": "" },
        ],
    });
    let summary = json!({
        "scan_id": "sub-01_T1w", "modality": "T1w", "status": "success", "seconds": 1.0, "stages": {}, "quality": {},
        "outputs": [], "files": [], "notes": [],
    });
    let mut entry = done.clone();
    entry["finished"] = json!("2026-01-02T03:04:05Z");
    entry["summary"] = summary.clone();
    let version = env!("CARGO_PKG_VERSION");
    let ledger = json!({ "form": 6, "participant_id": "sub-01", "version": version, "scans": [entry] });
    let marker = json!({
        "status": "success", "form": 7, "participant_id": "sub-01", "version": version,
        "finished": "2026-01-02T03:04:05Z", "scans": [done],
    });
    let of_session = json!({
        "participant_id": "sub-01", "status": "failed", "run_id": "x", "version": version, "started": "x", "seconds": 1.0,
        "peak_memory_mb": 1.0, "scans": [summary],
    });
    let parts = |list: [String; 3]| list.join("\0").into_bytes();
    let [ledger, marker, of_session] = [ledger, marker, of_session].map(|value| value.to_string());
    vec![
        parts([ledger.clone(), marker, of_session.clone()]),
        parts([ledger, String::new(), of_session]),
        parts([String::new(), "{}".to_owned(), String::new()]),
    ]
}

fn transforms() -> Vec<Vec<u8>> {
    let turn = [[0.0, -1.0, 0.0, 4.5], [1.0, 0.0, 0.0, -2.0], [0.0, 0.0, 1.0, 0.25], [0.0, 0.0, 0.0, 1.0]];
    let field = ndarray::Array4::from_shape_fn((2, 3, 2, 3), |(z, y, x, c)| (z + 2 * y + x) as f32 * 0.5 - c as f32);
    let (mut text, mut both) = (Vec::new(), Vec::new());
    itk::write_text(&mut text, &[turn, turn]).unwrap();
    itk::write_h5(&mut both, &[itk::StepView::Affine(&turn), itk::StepView::Field(&turn, field.view())]).unwrap();
    vec![text, both, b"#Insight Transform File V1.0\n".to_vec()]
}

fn fieldmaps() -> Vec<Vec<u8>> {
    let parts = |list: [&str; 4]| list.join("\0").into_bytes();
    vec![
        parts([
            r#"{"RepetitionTime": 2, "PhaseEncodingDirection": "j", "TotalReadoutTime": 0.03, "B0FieldSource": "a"}"#,
            r#"{"PhaseEncodingDirection": "j", "TotalReadoutTime": 0.03, "B0FieldIdentifier": "a"}"#,
            r#"{"PhaseEncodingDirection": "j-", "TotalReadoutTime": "0.03", "B0FieldIdentifier": ["a", "b"]}"#,
            "{}",
        ]),
        parts([
            r#"{"RepetitionTime": 2, "PhaseEncodingDirection": "j-", "EffectiveEchoSpacing": 0.0005}"#,
            "",
            "",
            r#"{"EchoTime1": 0.004, "EchoTime2": 0.006, "IntendedFor": "func/sub-01_task-a_bold.nii", "Units": "rad"}"#,
        ]),
        parts([
            r#"{"RepetitionTime": 2, "PhaseEncodingDirection": "i", "ReconMatrixPE": 4, "WaterFatShift": 12.1}"#,
            r#"{"PhaseEncodingDirection": "A>>P", "IntendedFor": ["bids::sub-01/func/sub-01_task-a_bold.nii"]}"#,
            "",
            r#"{"EchoTime1": 0.006, "EchoTime2": 0.006}"#,
        ]),
    ]
}

/// An image, then its mask; the first byte says where the one ends, in fours.
fn templates() -> Vec<Vec<u8>> {
    let (head, mask) = (image(&[4, 3, 2], 2, 8).bytes(), image(&[4, 3, 2], 2, 8).bytes());
    let cut = u8::try_from(head.len() / 4).unwrap();
    let other = image(&[3, 3, 2], 4, 16).bytes();
    vec![[&[cut], &head[..], &mask[..]].concat(), [&[cut], &head[..], &other[..]].concat()]
}
