//! Figures and pages of whole runs: the pictures are there, small, the same at any number of threads; the page of a
//! participant has them; and every measure of quality that it shows is computed a second time by NumPy and SciPy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

fn folder(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("figures").join(name);
    let _ = std::fs::remove_dir_all(&root);
    std::fs::create_dir_all(&root).unwrap();
    root
}

fn run(paths: &[&Path], options: &[&str]) -> common::Ran {
    common::run(paths.iter().map(|p| p.as_os_str()).chain(options.iter().map(OsStr::new)))
}

/// Two participants, made once: the dataset and its derivatives.
fn made() -> &'static (PathBuf, PathBuf) {
    static MADE: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();
    MADE.get_or_init(|| {
        let root = folder("synthetic");
        let (raw, output) = (root.join("bids"), root.join("derivatives"));
        let synth = ["--participants", "2", "--seed", "41", "--voxel-size", "2", "--volumes", "24"];
        run(&[Path::new("synth"), &raw], &synth).exits(0);
        run(&[&raw, &output, Path::new("participant")], &["--nprocs", "2"]).exits(0);
        (raw, output)
    })
}

/// The pages of participants in `output`, by their file names.
fn pages(output: &Path) -> BTreeMap<String, String> {
    let names = std::fs::read_dir(output).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let names = names.filter(|name| name.starts_with("sub-") && name.ends_with(".html"));
    names.map(|name| (name.clone(), std::fs::read_to_string(output.join(name)).unwrap())).collect()
}

fn figures(output: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = walkdir::WalkDir::new(output).into_iter().map(|e| e.unwrap().into_path());
    let files = files.filter(|p| p.is_file() && p.parent().unwrap().ends_with("figures"));
    files.map(|p| (p.strip_prefix(output).unwrap().to_owned(), std::fs::read(&p).unwrap())).collect()
}

#[test]
fn every_scan_leaves_its_pictures() {
    let found = figures(&made().1);
    let names: Vec<String> = found.keys().map(|p| p.to_string_lossy().into_owned()).collect();
    let t1w = [
        "biasfield_T1w.jpg",
        "figures_T1w.json",
        "input_T1w.jpg",
        "mosaic_T1w.jpg",
        "thumbnail_T1w.jpg",
        "tissues_T1w.jpg",
    ];
    let bold = ["biasfield", "carpet", "figures", "input", "mean", "thumbnail", "tsnr"];
    for participant in ["01", "02"] {
        for name in t1w {
            let path = format!("sub-{participant}/figures/sub-{participant}_desc-{name}");
            assert!(names.contains(&path), "{path} is not among {names:#?}");
        }
        let of_bold = names.iter().filter(|n| n.contains(&format!("sub-{participant}_task-rest_desc-"))).count();
        assert_eq!(of_bold, bold.len(), "{names:#?}");
    }
    for (path, bytes) in &found {
        let most = if path.to_string_lossy().contains("thumbnail") { 4000 } else { 200_000 };
        assert!(bytes.len() <= most, "{} has {} bytes", path.display(), bytes.len());
    }
}

#[test]
fn threads_change_nothing() {
    let (raw, output) = made();
    let other = folder("threads");
    run(&[raw, &other, Path::new("participant")], &["--nprocs", "1", "--participant-label", "01"]).exits(0);
    let one = figures(&other);
    let two = figures(output);
    assert!(one.len() == 13 && one.iter().all(|(path, bytes)| two[path] == *bytes));
}

#[test]
fn the_page_of_a_participant_shows_what_was_left() {
    let found = pages(&made().1);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["sub-01.html", "sub-02.html"]);
    for (participant, html) in &found {
        assert!(html.len() < 3_000_000, "{participant}: {} bytes", html.len());
        assert_eq!(html.matches("data:image/jpeg;base64,").count(), 4 + 5, "pictures of {participant}");
        for part in ["make_figures", "Framewise displacement, mm", "WM ", "Orientation", "Smith SM (2002)"] {
            assert!(html.contains(part), "{part} is not on the page of {participant}");
        }
        // Of two scans nothing is said about their place among all.
        assert!(!html.contains("higher than"), "{participant}");
        assert!(!html.contains("<script") && !html.contains("src=\"http") && !html.contains("undefined"));
    }
}

#[test]
fn numpy_finds_the_same_measures_of_quality() {
    let Some(checked) = common::peer("check_quality.py", &[&made().1]) else { return };
    let ran = checked.exits(0);
    assert!(ran.last_line().ends_with("66 measures, 0 problems"), "{}", ran.stdout);
}

#[test]
fn real_scans_have_pages() {
    let output = folder("real");
    for name in ["studyforrest_T1w_1mm.nii.gz", "studyforrest_bold_short.nii.gz"] {
        let Some(scan) = common::shared(&format!("data/{name}")) else { return };
        run(&[Path::new("process"), &scan, Path::new("-o"), &output], &[]).exits(0);
    }
    let found = pages(&output);
    assert!(found.values().all(|html| html.contains("data:image/jpeg") && html.len() < 1_000_000));
}
