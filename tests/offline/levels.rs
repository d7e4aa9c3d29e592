//! How much is left (`--level`) and how well brains are registered (`--fast`): a real person through the whole program.

#![allow(clippy::unwrap_used, clippy::panic)] // The lints' exemption does not reach helpers of tests.

use crate::common::outputs::{files, paths};
use crate::common::{Ran, binary, run_command, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const SPACE: &str = "MNI152NLin2009cAsym";

/// A T1w image of one real person, with a run or without.
fn dataset(folder: &Path, with_run: bool) -> PathBuf {
    let bids = folder.join("bids");
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/heads");
    let link = |folder: &str, name: &str| {
        let folder = bids.join("sub-01").join(folder);
        fs::create_dir_all(&folder).unwrap();
        symlink(real.join(format!("sub-pumi_{name}")), folder.join(format!("sub-01_{name}"))).unwrap();
    };
    link("anat", "T1w.nii.gz");
    if with_run {
        link("func", "task-rest_bold.nii.gz");
        link("func", "task-rest_bold.json");
    }
    fs::write(bids.join("dataset_description.json"), r#"{"Name": "one person", "BIDSVersion": "1.10.0"}"#).unwrap();
    bids
}

fn run(bids: &Path, out: &Path, more: &[&str]) -> Ran {
    let mut command = binary();
    command.env_remove("NEURO_PREPROCESS_OUTPUT_SPACES");
    command.args([text(bids), text(out), "participant"]).args(more);
    run_command(&mut command)
}

fn summary(out: &Path, modality: &str) -> Value {
    let summary: Value = serde_json::from_slice(&fs::read(out.join("sub-01/sub-01_summary.json")).unwrap()).unwrap();
    summary["scans"].as_array().unwrap().iter().find(|scan| scan["modality"] == modality).unwrap().clone()
}

/// Why the dry run would do each scan, T1w first; `kept` where it would not.
fn reasons(bids: &Path, out: &Path, more: &[&str]) -> Vec<String> {
    let plan = run(bids, out, &[&["--dry-run", "--format", "json"], more].concat()).exits(0).stdout;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let scans = plan["units"].as_array().unwrap().iter().flat_map(|unit| unit["scans"].as_array().unwrap());
    scans.map(|scan| scan["reason"].as_str().unwrap().to_owned()).collect()
}

/// Names of the images, tables and transforms of the scans.
fn names(out: &Path) -> BTreeSet<String> {
    let of_scans = |path: &PathBuf| {
        let folder = path.parent().unwrap().file_name().and_then(|name| name.to_str()).unwrap_or_default();
        ["anat", "func"].contains(&folder) && path.extension().is_none_or(|e| e != "json")
    };
    let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().strip_prefix("sub-01_").unwrap().to_owned();
    paths(out).into_iter().filter(of_scans).map(name).collect()
}

fn set(names: &[String]) -> BTreeSet<String> {
    names.iter().cloned().collect()
}

/// What fMRIPrep has at each level, by our names.
fn expected() -> [BTreeSet<String>; 3] {
    let tissues = |space: &str| {
        let probability = |tissue: &str| format!("{space}label-{tissue}_probseg.nii.gz");
        ["GM", "WM", "CSF"].map(probability).into_iter().chain([format!("{space}dseg.nii.gz")]).collect::<Vec<_>>()
    };
    let fixed = [
        "desc-preproc_T1w.nii.gz",
        "desc-brain_mask.nii.gz",
        "desc-biasfield_T1w.nii.gz",
        "dseg.tsv",
        "task-rest_boldref.nii.gz",
        "task-rest_desc-brain_mask.nii.gz",
        "task-rest_desc-biasfield_boldref.nii.gz",
        "task-rest_from-orig_to-boldref_mode-image_desc-hmc_xfm.txt",
        "task-rest_from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt",
    ];
    let maps = [format!("from-T1w_to-{SPACE}_mode-image_xfm.h5"), format!("from-{SPACE}_to-T1w_mode-image_xfm.h5")];
    let mut minimal = set(&fixed.map(str::to_owned));
    minimal.extend(maps.into_iter().chain(tissues("")));
    let mut resampling = minimal.clone();
    let there = format!("space-{SPACE}_res-2_");
    resampling.extend(tissues(&there));
    resampling.extend([format!("{there}desc-preproc_T1w.nii.gz"), format!("{there}desc-brain_mask.nii.gz")]);
    resampling.insert("task-rest_desc-preproc_bold.nii.gz".to_owned());
    for space in [there, "space-T1w_".to_owned()] {
        let run = ["desc-preproc_bold", "boldref", "desc-brain_mask"];
        resampling.extend(run.map(|what| format!("task-rest_{space}{what}.nii.gz")));
    }
    let mut full = resampling.clone();
    full.insert("task-rest_desc-confounds_timeseries.tsv".to_owned());
    [minimal, resampling, full]
}

#[test]
fn each_level_leaves_its_files_and_a_higher_one_adds_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let bids = dataset(folder.path(), true);
    let (out, whole) = (folder.path().join("out"), folder.path().join("whole"));
    let spaces = ["--output-spaces", "MNI152NLin2009cAsym:res-2", "T1w", "func"];
    let at = |level: &'static str| [&spaces[..], &["--level", level]].concat();
    let [minimal, resampling, full] = expected();

    run(&bids, &out, &at("minimal")).exits(0);
    assert_eq!(names(&out), minimal);
    let (t1w, bold) = (summary(&out, "T1w"), summary(&out, "bold"));
    assert_eq!([&t1w["level"], &bold["level"]], ["minimal", "minimal"]);
    assert!(t1w["stages"]["spatial_normalization"].is_number() && t1w["stages"]["resampling"].is_null(), "{t1w}");
    assert!(bold["stages"]["coregistration"].is_number() && bold["stages"]["resampling"].is_null(), "{bold}");
    // What is measured of a run does not depend on what is written of it.
    let measured = bold["quality"].clone();
    assert!(measured["fd_mean"].is_number() && measured["dvars_nstd"].is_number(), "{measured}");
    let reference = fs::read(out.join("sub-01/func/sub-01_task-rest_boldref.json")).unwrap();
    let reference: Value = serde_json::from_slice(&reference).unwrap();
    for key in ["IntensityReference", "IntensityTarget", "StartTime", "SliceTimingCorrected"] {
        assert!(!reference[key].is_null(), "{key} is needed to make the series from what is there: {reference}");
    }
    page_of_a_minimal_run(&out);
    run_command(binary().args(["verify", text(&out)])).exits(0);
    let table = folder.path().join("idps.tsv");
    run_command(binary().args(["extract", text(&out), text(&table)])).exits(0);
    assert!(fs::read_to_string(table).unwrap().contains("fd_mean"));
    assert_eq!(reasons(&bids, &out, &at("minimal")), ["kept", "kept"]);
    assert_eq!(reasons(&bids, &out, &at("full")), ["output", "output"]);

    run(&bids, &out, &at("resampling")).exits(0);
    assert_eq!(names(&out), resampling);
    let (t1w, bold) = (summary(&out, "T1w"), summary(&out, "bold"));
    assert_eq!(
        (&t1w["level"], &bold["level"]),
        (&Value::Null, &json!("resampling")),
        "of the T1w image nothing is left out"
    );
    assert_eq!(bold["quality"], measured);
    assert_eq!(reasons(&bids, &out, &at("full")), ["kept", "output"]);

    run(&bids, &out, &at("full")).exits(0);
    assert_eq!(names(&out), full);
    // A lower level takes nothing away that is there, unless all is done again.
    assert_eq!(reasons(&bids, &out, &at("minimal")), ["kept", "kept"]);

    run(&bids, &whole, &spaces).exits(0);
    assert_eq!(summary(&whole, "bold")["quality"], measured);
    let (steps, once) = (files(&out), files(&whole));
    assert!(steps.keys().eq(once.keys()), "{:?} {:?}", steps.keys(), once.keys());
    for (name, bytes) in &once {
        // It tells the history of the folder.
        if name != Path::new("index.html") {
            assert!(steps[name] == *bytes, "{}", name.display());
        }
    }
    run(&bids, &whole, &[&at("minimal")[..], &["--force"]].concat()).exits(0);
    assert_eq!(names(&whole), minimal, "nothing old is left to look like new");
}

/// It says what is not there, shows how the brain fits the template, and has no picture without a source.
fn page_of_a_minimal_run(out: &Path) {
    let page = fs::read_to_string(out.join("sub-01.html")).unwrap();
    let said =
        "Made at level minimal: without the preprocessed series, the images in output spaces and the confounds table";
    assert!(
        page.contains(said) && page.contains("Made at level minimal: without the images in template spaces"),
        "{page}"
    );
    for heading in [format!("In the space of {SPACE}"), "In the space of T1w".to_owned()] {
        assert_eq!(page.matches(&heading).count(), 1, "{heading}");
    }
    assert!(page.contains("Volume against the template") && page.contains("Carpet"));
    for source in page.split("<img ").skip(1) {
        let source = source.split("src=\"").nth(1).unwrap();
        assert!(source.starts_with("data:image/jpeg;base64,/9j/"), "{}", &source[..40]);
    }
    assert_eq!(page.matches("Nothing was resampled to another space").count(), 2);
    assert!(!page.contains("The confounds table also has") && !page.contains("were sampled once, by cubic B-splines"));
}

#[test]
fn the_fast_recipe_is_told_by_what_it_made_and_is_not_taken_for_the_default() {
    let folder = tempfile::tempdir().unwrap();
    let bids = dataset(folder.path(), false);
    let (out, fast) = (folder.path().join("out"), folder.path().join("fast"));
    run(&bids, &out, &[]).exits(0);
    run(&bids, &fast, &["--fast"]).exits(0);
    let [usual, quick] = [&out, &fast].map(|out| summary(out, "T1w")["normalization"][0].clone());
    assert_eq!((&usual["recipe"], &quick["recipe"]), (&json!("default"), &json!("fast")));
    let of = |fit: &Value, key: &str| fit[key].as_f64().unwrap();
    assert_eq!(of(&usual, "affine_correlation"), of(&quick, "affine_correlation"), "the affine is the same");
    assert!(of(&quick, "mask_overlap") > 0.96 && of(&quick, "folds") == 0.0, "{quick}");
    assert_eq!(quick["doubts"], json!([]));
    let sidecar = |out: &Path| -> Value {
        let name = format!("sub-01/anat/sub-01_from-T1w_to-{SPACE}_mode-image_xfm.json");
        serde_json::from_slice(&fs::read(out.join(name)).unwrap()).unwrap()
    };
    let (usual, quick) = (sidecar(&out), sidecar(&fast));
    assert_eq!((&usual["Recipe"], &quick["Recipe"]), (&json!("default"), &json!("fast")));
    let finest = |sidecar: &Value| sidecar["Levels"].as_array().unwrap().last().unwrap()["TemplateVoxels"].clone();
    assert_eq!((finest(&usual), finest(&quick)), (json!(1), json!(2)));
    let page = fs::read_to_string(fast.join("sub-01.html")).unwrap();
    assert!(page.contains("in the faster of two recipes") && page.contains("fast recipe; volumes change"), "{page}");

    // Each is kept as itself; the other is another result, unless no template is asked for.
    assert_eq!(reasons(&bids, &fast, &["--fast"]), ["kept"]);
    assert_eq!(reasons(&bids, &fast, &["--sloppy"]), ["kept"], "fMRIPrep's word for it");
    assert_eq!(reasons(&bids, &fast, &[]), ["option"]);
    assert_eq!(reasons(&bids, &out, &["--fast"]), ["option"]);
    assert_eq!(reasons(&bids, &out, &["--fast", "--output-spaces", "func"]), ["kept"]);
    let mut by_variable = binary();
    by_variable.env_remove("NEURO_PREPROCESS_OUTPUT_SPACES").env("NEURO_PREPROCESS_FAST", "yes");
    let plan = run_command(by_variable.args([text(&bids), text(&fast), "participant", "--dry-run"])).exits(0);
    assert!(plan.stdout.contains("already done"), "{}", plan.stdout);
}
