//! How near the derivatives come to the truth: a synthetic dataset is made, processed and scored. The limits guard what is
//! achieved, with some margin; `docs/methods.md` has the accuracy over more heads. Beside them second opinions: the same
//! numbers computed by NumPy and SciPy, and the bias field by SimpleITK.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common;
use crate::common::Ran;
use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// How much more residual non-uniformity (percent) ours may have than N4 of SimpleITK, which is given the true mask.
const BIAS_MARGIN: &str = "0.8";

/// A dataset, its derivatives and their scores.
struct Made {
    raw: PathBuf,
    derivatives: PathBuf,
    truth: PathBuf,
    scores: PathBuf,
    json: Value,
}

/// Made once for all tests of this file, in Cargo's own folder for such data. No method was tuned on this seed.
fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("accuracy");
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(&root).unwrap();
        let (raw, derivatives) = (root.join("bids"), root.join("derivatives"));
        let synth = ["--participants", "3", "--seed", "300", "--voxel-size", "2", "--volumes", "30"];
        run(&["synth".as_ref(), raw.as_ref()], &synth).exits(0);
        run(&[raw.as_ref(), derivatives.as_ref(), "participant".as_ref()], &["--no-telemetry"]).exits(0);
        let scored = score(&derivatives, &[]).exits(0);
        let scores = root.join("scores.json");
        std::fs::write(&scores, &scored.stdout).unwrap();
        let json = serde_json::from_str(&scored.stdout).unwrap();
        Made { truth: raw.join("derivatives/ground-truth"), raw, derivatives, scores, json }
    })
}

fn run(paths: &[&OsStr], options: &[&str]) -> Ran {
    common::run(paths.iter().copied().chain(options.iter().map(OsStr::new)))
}

fn score(derivatives: &Path, options: &[&OsStr]) -> Ran {
    let args: [&OsStr; 4] = ["score".as_ref(), derivatives.as_ref(), "--format".as_ref(), "json".as_ref()];
    common::run(args.into_iter().chain(options.iter().copied()))
}

#[test]
fn derivatives_are_as_near_to_the_truth_as_they_were() {
    let summary = &made().json["summary"];
    let value = |modality: &str, measure: &str, which: &str| {
        let value = summary[modality]["measures"][measure][which].as_f64();
        value.unwrap_or_else(|| panic!("{modality} has no {which} {measure}:\n{summary:#}"))
    };
    assert_eq!((&summary["T1w"]["complete"], &summary["bold"]["complete"]), (&3.into(), &3.into()));
    // Of higher is better, lower limits; of lower is better, upper ones.
    let limits = [
        ("T1w", "dice", "mean", 0.975),
        ("T1w", "dice", "worst", 0.97),
        ("T1w", "field_r", "worst", 0.98),
        ("T1w", "field_residual_percent", "mean", 1.6),
        ("T1w", "field_residual_percent", "worst", 2.0),
        ("T1w", "cjv_excess_percent", "worst", 1.8),
        ("T1w", "false_positive_ml", "worst", 25.0),
        ("T1w", "grey_dice", "worst", 0.9),
        ("T1w", "white_dice", "worst", 0.92),
        ("T1w", "csf_dice", "worst", 0.65),
        ("bold", "dice", "worst", 0.915),
        ("bold", "motion_rms_mean_mm", "worst", 0.05),
        ("bold", "motion_rms_max_mm", "worst", 0.2),
    ];
    for (modality, measure, which, limit) in limits {
        let found = value(modality, measure, which);
        let higher = measure.ends_with("dice") || measure == "field_r";
        assert!(if higher { found >= limit } else { found <= limit }, "{modality} {which} {measure}: {found}, {limit}");
    }
    let white = value("T1w", "white_matter_level", "worst");
    assert!((white - 1.0).abs() < 0.03, "white matter at {white} of its level");
}

#[test]
fn numpy_and_scipy_find_the_same_scores() {
    let Made { raw, derivatives, truth, scores, .. } = made();
    let Some(peer) = common::peer("check_score.py", &[raw, derivatives, truth, scores]) else { return };
    assert!(peer.exits(0).stdout.contains("60 measures, 0 problems"));
}

#[test]
fn the_bias_field_is_about_as_good_as_that_of_simpleitk_with_the_true_mask() {
    let Made { raw, truth, scores, .. } = made();
    let Some(peer) = common::peer("check_bias.py", &[raw, truth, scores, Path::new(BIAS_MARGIN)]) else { return };
    println!("{}", peer.exits(0).stdout);
}

#[test]
fn what_is_missing_is_named_and_the_rest_is_scored() {
    let Made { derivatives, truth, .. } = made();
    let dir = tempfile::tempdir().unwrap();
    score(dir.path(), &[]).exits(66);
    let empty = score(dir.path(), &["--truth".as_ref(), dir.path().as_ref()]).exits(18);
    assert!(empty.stderr.contains("NP-NOTHING-MATCHES"), "{}", empty.stderr);

    let anat = Path::new("sub-01/anat");
    std::fs::create_dir_all(dir.path().join(anat)).unwrap();
    for name in ["sub-01_desc-brain_mask.nii.gz", "sub-01_desc-preproc_T1w.nii.gz"] {
        std::fs::copy(derivatives.join(anat).join(name), dir.path().join(anat).join(name)).unwrap();
    }
    let json: Value =
        serde_json::from_str(&score(dir.path(), &["--truth".as_ref(), truth.as_ref()]).exits(1).stdout).unwrap();
    let scans = json["scans"].as_array().unwrap();
    assert_eq!(scans.len(), 6);
    // Another tool's scan: no bias field, no sidecar that says a level, but mask and contrast.
    let first = &scans[0];
    assert_eq!(first["measures"]["dice"], made().json["scans"][0]["measures"]["dice"]);
    assert!(first["measures"]["cjv_excess_percent"].is_f64() && first["measures"].get("white_matter_level").is_none());
    let problems = |scan: &Value| scan["problems"].to_string();
    assert!(problems(first).contains("derivative missing") && problems(first).contains("desc-biasfield"), "{first}");
    assert!(
        scans[1..].iter().all(|s| problems(s).contains("desc-brain_mask") && s["measures"] == serde_json::json!({}))
    );

    let other = score(derivatives, &["--truth".as_ref(), dir.path().as_ref()]).exits(1);
    assert!(other.stdout.contains("truth missing"), "{}", other.stdout);
}
