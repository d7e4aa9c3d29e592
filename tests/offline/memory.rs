//! The memory budget, measured on the whole binary: what is resident at most stays within `--mem`, what cannot is refused
//! before it is read, and no file makes the program allocate on its word.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common::measured;
use crate::common::nifti;
use crate::common::otlp;
use crate::common::{Ran, binary, run, text};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs to the end; also the most that was resident, in bytes, as the kernel counted it.
fn measured(command: &Command) -> (Ran, u64) {
    let measured = measured::measured(command);
    (measured.ran, measured.peak)
}

/// A NIfTI-1 header of int16 voxels of 1 mm, `[nx, ny, nz, nt]`, with what stands between it and the voxels.
fn header(shape: [i16; 4]) -> Vec<u8> {
    let dim = shape[..if shape[3] > 1 { 4 } else { 3 }].iter().map(|n| i64::from(*n)).collect();
    let pixdim = [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0];
    let srow = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
    nifti::File { dim, pixdim, srow, data: Vec::new(), ..nifti::File::new(&[1; 3]) }.bytes()
}

/// A dataset without scans.
fn dataset(dir: &Path) -> PathBuf {
    let bids = dir.join("bids");
    fs::create_dir_all(&bids).unwrap();
    let description = json!({ "Name": "memory", "BIDSVersion": "1.10.0" });
    fs::write(bids.join("dataset_description.json"), description.to_string()).unwrap();
    fs::write(bids.join("task-rest_bold.json"), json!({ "RepetitionTime": 2.0, "TaskName": "rest" }).to_string())
        .unwrap();
    bids
}

fn scan(bids: &Path, participant: &str, name: &str) -> PathBuf {
    let folder = bids.join(format!("sub-{participant}/{}", if name.ends_with("bold") { "func" } else { "anat" }));
    fs::create_dir_all(&folder).unwrap();
    folder.join(format!("sub-{participant}_{name}.nii"))
}

/// An image of zeros that takes no room on the disk.
fn hollow(path: &Path, shape: [i16; 4]) {
    let mut file = File::create(path).unwrap();
    file.write_all(&header(shape)).unwrap();
    file.set_len(352 + 2 * shape.iter().map(|&n| u64::try_from(n).unwrap()).product::<u64>()).unwrap();
}

fn synth(dir: &Path, arguments: &[&str]) -> PathBuf {
    let bids = dir.join("heads");
    run(["synth", text(&bids)].iter().chain(arguments)).exits(0);
    bids
}

fn participant(bids: &Path, out: &Path, arguments: &[&str]) -> (Ran, u64) {
    measured(binary().args([text(bids), text(out), "participant", "--force", "--no-report"]).args(arguments))
}

/// What the dry run says is wrong with each scan.
fn problems(bids: &Path, out: &Path, memory: &str) -> Vec<Option<String>> {
    let arguments = [text(bids), text(out), "participant", "--dry-run", "--format", "json", "--nprocs", "2"];
    let plan = run(arguments.iter().chain(&["--mem", memory])).exits(0);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    let scans = plan["units"].as_array().unwrap().iter().flat_map(|unit| unit["scans"].as_array().unwrap());
    scans.map(|scan| scan["problem"]["message"].as_str().map(str::to_owned)).collect()
}

/// The MB that a refusal asks for.
fn asked(message: &str) -> u64 {
    message.split("give it ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn the_peak_stays_within_the_budget_at_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let bids = synth(dir.path(), &["--participants", "2", "--voxel-size", "2", "--volumes", "30"]);
    for threads in ["1", "2", "8"] {
        let out = dir.path().join(threads);
        let (ran, peak) = participant(&bids, &out, &["--nprocs", threads, "--mem", "256MB"]);
        ran.exits(0);
        let summary = fs::read(out.join("sub-02/sub-02_summary.json")).unwrap();
        let own = serde_json::from_slice::<Value>(&summary).unwrap()["peak_memory_mb"].as_f64().unwrap();
        assert!(peak <= 256_000_000, "{threads} threads: {peak}");
        assert!(own <= 256.0 && own > 20.0, "{threads} threads: {own} MB by its own account");
    }
}

#[test]
fn with_what_a_refusal_asks_for_the_scan_runs_within_it() {
    runs_within_what_is_asked_for("1", &["--nprocs", "12"], "256MB");
}

#[test]
fn with_what_a_refusal_asks_for_the_scan_comes_to_a_template_within_it() {
    runs_within_what_is_asked_for("2", &["--nprocs", "2", "--output-spaces", "MNI152NLin2009cAsym:res-2"], "256MB");
}

fn runs_within_what_is_asked_for(voxel_size: &str, options: &[&str], too_little: &str) {
    let dir = tempfile::tempdir().unwrap();
    let bids = synth(dir.path(), &["--participants", "1", "--voxel-size", voxel_size, "--modalities", "T1w"]);
    let (out, threads) = (dir.path().join("out"), options);
    let (refused, peak) = participant(&bids, &out, &[threads, &["--mem", too_little]].concat());
    let refused = refused.exits(1);
    assert!(refused.stdout.contains("NP-OUT-OF-MEMORY") && peak < 64_000_000, "{peak} {}", refused.stdout);
    let summary: Value = serde_json::from_slice(&fs::read(out.join("sub-01/sub-01_summary.json")).unwrap()).unwrap();
    let enough = asked(summary["scans"][0]["error"]["message"].as_str().unwrap());
    let (ran, peak) = participant(&bids, &out, &[threads, &["--mem", &format!("{enough}MB")]].concat());
    ran.exits(0);
    assert!(peak <= enough * 1_000_000 && 2 * peak > enough * 1_000_000, "{peak} of {enough} MB");
}

#[test]
fn what_cannot_fit_is_refused_beforehand_and_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = (
        synth(dir.path(), &["--participants", "1", "--voxel-size", "4", "--modalities", "T1w"]),
        dir.path().join("out"),
    );
    fs::write(bids.join("task-rest_bold.json"), json!({ "RepetitionTime": 1.0, "TaskName": "rest" }).to_string())
        .unwrap();
    for participant in ["05", "06", "07"] {
        hollow(&scan(&bids, participant, "task-rest_bold"), [96, 96, 60, 1200]);
    }
    let found = problems(&bids, &out, "1GB");
    assert_eq!((found.len(), found.iter().flatten().count()), (4, 3), "{found:?}");
    let message = found.iter().flatten().next().unwrap();
    let enough = asked(message);
    // 2.65 GB of voxels.
    assert!(message.contains("1000 MB (--mem)") && (2660..2900).contains(&enough), "{message}");
    assert_eq!(problems(&bids, &out, &format!("{enough}MB")).iter().flatten().count(), 0);
    // A refusal asks for 24 MB more than it must have.
    assert_eq!(problems(&bids, &out, &format!("{}MB", enough - 26)).iter().flatten().count(), 3);

    let (ran, peak) = participant(&bids, &out, &["--nprocs", "2", "--mem", "1GB"]);
    let ran = ran.exits(1);
    assert!(ran.last_line().starts_with("4 scans: 1 ok, 3 failed"), "{}", ran.stdout);
    assert!(peak < 128_000_000, "{peak}");
}

/// Start and end of each scan's reading in a run's traces.
fn readings(out: &Path) -> Vec<(u128, u128)> {
    let lines = otlp::all_lines(&out.join("logs"), "traces");
    let time = |span: &Value, key: &str| span[key].as_str().unwrap().parse().unwrap();
    otlp::each(&lines, ["resourceSpans", "scopeSpans", "spans"])
        .filter(|span| span["name"] == "load_scan")
        .map(|span| (time(span, "startTimeUnixNano"), time(span, "endTimeUnixNano")))
        .collect()
}

#[test]
fn two_units_are_at_work_only_where_both_fit() {
    let dir = tempfile::tempdir().unwrap();
    let bids = dataset(dir.path());
    for participant in ["01", "02"] {
        // Refused once they are read, for they are empty: here it is the reading that counts.
        hollow(&scan(&bids, participant, "T1w"), [160, 256, 256, 1]);
    }
    let together = |memory: &str| {
        let out = dir.path().join(memory);
        let slow = ["--nprocs", "2", "--slow-stage", "load:3", "--mem", memory];
        let (ran, peak) = participant(&bids, &out, &slow);
        assert!(ran.exits(1).stdout.contains("NP-NO-SIGNAL"));
        let times = readings(&out);
        let [(a0, a1), (b0, b1)] = times[..] else { panic!("{times:?}") };
        (a0 < b1 && b0 < a1, peak)
    };
    let (both, peak) = together("400MB");
    assert!(!both && peak < 400_000_000, "{peak}");
    assert!(together("1GB").0);
}

#[test]
fn the_limit_of_the_address_space_counts_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = (dataset(dir.path()), dir.path().join("out"));
    hollow(&scan(&bids, "01", "task-rest_bold"), [96, 96, 60, 1200]);
    let line = format!(
        "ulimit -v 3000000; exec {} {} {} participant --nprocs 2 --mem 64GB",
        env!("CARGO_BIN_EXE_neuro-preprocess"),
        text(&bids),
        text(&out)
    );
    let (ran, _) = measured(Command::new("/bin/sh").arg("-c").arg(line));
    let ran = ran.exits(1);
    assert!(ran.stdout.contains("NP-OUT-OF-MEMORY"), "{}", ran.stdout);
    let summary = fs::read_to_string(out.join("sub-01/sub-01_summary.json")).unwrap();
    assert!(summary.contains("ulimit -v"), "{summary}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_bomb_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let small: [i16; 4] = [32, 32, 32, 1];
    let huge: [i16; 4] = [400, 400, 400, 400];
    let zeros = gzip(&vec![0; 1 << 20]);
    // The image, then a gigabyte of zeros in a megabyte; a header of 51 GB before the same; a header of 51 GB and nothing.
    let whole = [header(small), vec![0; 2 << 15]].concat();
    let behind = [gzip(&whole), zeros.repeat(1024)].concat();
    let within = [gzip(&header(huge)), zeros.repeat(51_200)].concat();
    let promised = gzip(&header(huge));
    let cases = [
        ("behind", behind, "NP-TRAILING-DATA"),
        ("within", within, "NP-OUT-OF-MEMORY"),
        ("promised", promised, "NP-TRUNCATED"),
    ];
    for (name, bytes, code) in cases {
        let (file, out) = (dir.path().join(format!("{name}_T1w.nii.gz")), dir.path().join(name));
        fs::write(&file, bytes).unwrap();
        let (ran, peak) =
            measured(binary().args(["process", text(&file), "-o", text(&out), "--nprocs", "2", "--mem", "1GB"]));
        let ran = ran.exits(1);
        assert!(ran.stdout.contains(code), "{name}: {}", ran.stdout);
        assert!(peak < 64_000_000, "{name}: {peak}");
    }
}

#[test]
fn text_files_beyond_all_bounds_are_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = (dataset(dir.path()), dir.path().join("out"));
    let image = scan(&bids, "01", "T1w");
    hollow(&image, [32, 32, 32, 1]);
    let large = |path: &Path| File::create(path).unwrap().set_len(5 << 30).unwrap();
    large(&image.with_extension("json"));
    let (ran, peak) = participant(&bids, &out, &[]);
    assert!(ran.exits(1).stdout.contains("NP-BAD-SIDECAR") && peak < 64_000_000, "{peak}");
    let (ran, peak) = measured(binary().args(["process", text(&image), "-o", text(&out)]));
    assert!(ran.exits(1).stdout.contains("NP-BAD-SIDECAR") && peak < 64_000_000, "{peak}");
    let other = dir.path().join("other");
    large(&other);
    for option in ["--config", "--subcohort"] {
        let (ran, peak) = participant(&bids, &out, &[option, text(&other)]);
        assert!(ran.code > 1 && ran.stderr.contains("bytes") && peak < 64_000_000, "{option} {peak} {}", ran.stderr);
    }
}
