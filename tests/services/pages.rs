//! The reports: which are made when, from what, and how they do in a real browser.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common;
use crate::common::browser;
use crate::common::{run, run_command, text};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The demo in which half of the scans fail, run once for all tests of this file.
fn demo() -> &'static Path {
    static DEMO: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, output) = DEMO.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("derivatives");
        let ran = run(["demo", "failures", "-o", text(dir.path())]).exits(1);
        let line = format!("  report       {}\n", output.join("index.html").display());
        assert!(ran.stdout.contains(&line), "{}", ran.stdout);
        (dir, output)
    });
    output
}

/// The reports in a folder, by their names.
fn reports(output: &Path) -> Vec<String> {
    let names = fs::read_dir(output).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".html") || name.ends_with(".tsv")).collect();
    names.sort();
    names
}

fn summaries(output: &Path) -> Vec<Value> {
    let files = walkdir::WalkDir::new(output).sort_by_file_name().into_iter().map(|e| e.unwrap().into_path());
    let summaries = files.filter(|p| p.to_string_lossy().ends_with("_summary.json"));
    summaries.map(|p| serde_json::from_slice(&fs::read(p).unwrap()).unwrap()).collect()
}

/// The data block of an index, as a browser would read it.
fn data(output: &Path) -> Value {
    let page = fs::read_to_string(output.join("index.html")).unwrap();
    let start = page.split_once("id=\"data\">").unwrap().1;
    serde_json::from_str(start.split_once("</script>").unwrap().0).unwrap()
}

fn write_summary(output: &Path, participant: &str, summary: &Value) {
    fs::create_dir_all(output.join(participant)).unwrap();
    fs::write(output.join(participant).join(format!("{participant}_summary.json")), summary.to_string()).unwrap();
}

/// `participants` made of the summaries and small pictures of the demo, each with values of its own.
fn many(participants: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let real = summaries(demo());
    for n in 0..participants {
        let mut summary = real[n % real.len()].clone();
        let (old, new) = (summary["participant_id"].as_str().unwrap().to_owned(), format!("sub-{:04}", n + 1));
        let mut words: Value = serde_json::from_str(&summary.to_string().replace(&old, &new)).unwrap();
        // The golden ratio spreads the values without two alike.
        let factor = 0.5 + (n as f64 * 0.618_033_988_75).fract();
        for scan in words["scans"].as_array_mut().unwrap() {
            scan["seconds"] = json!(scan["seconds"].as_f64().unwrap() * factor);
            if let Some(score) = scan["quality_score"].as_f64() {
                scan["quality_score"] = json!(score * factor / 1.5);
            }
            for value in scan["quality"].as_object_mut().unwrap().values_mut() {
                *value = json!(value.as_f64().unwrap() * factor);
            }
        }
        summary = words;
        write_summary(dir.path(), &new, &summary);
        for path in summary["scans"].as_array().unwrap().iter().flat_map(|s| s["outputs"].as_array().unwrap()) {
            let path = path.as_str().unwrap();
            if path.contains("desc-thumbnail") {
                let copy = dir.path().join(path);
                fs::create_dir_all(copy.parent().unwrap()).unwrap();
                fs::copy(demo().join(path.replace(&new, &old)), copy).unwrap();
            }
        }
    }
    run(["report", text(dir.path())]).exits(0);
    dir
}

/// Enough participants for distributions.
fn some() -> &'static Path {
    static SOME: OnceLock<tempfile::TempDir> = OnceLock::new();
    SOME.get_or_init(|| many(12)).path()
}

#[test]
fn both_pages_are_drawn_silent_accessible_and_printable_in_light_and_dark() {
    browser::check("looks", demo(), "looks");
}

#[test]
fn the_table_sorts_filters_and_leads_to_the_participants_and_back() {
    browser::check("table", demo(), "table");
}

#[test]
fn the_group_page_needs_no_mouse() {
    browser::check("keyboard", some(), "keyboard");
}

#[test]
fn a_dot_follows_the_pointer_and_leads_to_its_participant() {
    browser::check("dots", some(), "dots");
}

#[test]
fn every_control_of_a_participants_page_works_by_keyboard() {
    browser::check("subject", demo(), "subject");
}

#[test]
fn hundreds_and_thousands_of_participants_stay_one_small_page() {
    for (participants, most) in [(500, 1_000_000), (2_000, 3_000_000)] {
        let dir = many(participants);
        let size = fs::metadata(dir.path().join("index.html")).unwrap().len();
        assert!(size <= most, "{participants} participants: {size} bytes");
        assert_eq!(data(dir.path())["scans"].as_array().unwrap().len(), 2 * participants);
        browser::check("many", dir.path(), &format!("many-{participants}"));
    }
}

#[test]
fn names_and_messages_that_are_markup_do_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let evil =
        "</script><script>taken=1</script><img src=x onerror=taken=2>\u{2028}<b class=evil>\"'`${taken=3}{{7*7}}";
    for mut summary in summaries(demo()) {
        let participant = summary["participant_id"].as_str().unwrap().to_owned();
        summary["session_id"] = json!(evil);
        summary["version"] = json!(evil);
        summary["run_id"] = json!(evil);
        summary["reason"] = json!(evil);
        for scan in summary["scans"].as_array_mut().unwrap() {
            scan["scan_id"] = json!(format!("{participant} {evil}"));
            scan["notes"] = json!([evil]);
            if scan["status"] == "failed" {
                scan["error"] = json!({ "code": evil, "class": evil, "stage": evil, "message": evil, "advice": evil });
            }
        }
        write_summary(dir.path(), &participant, &summary);
    }
    fs::write(dir.path().join("dataset_description.json"), json!({ "Name": evil }).to_string()).unwrap();
    run(["report", text(dir.path())]).exits(0);
    browser::check("hostile", dir.path(), "hostile");
}

#[test]
fn a_part_of_a_dataset_makes_its_own_pages_and_the_report_makes_the_rest_from_outputs_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = (dir.path().join("bids"), dir.path().join("out"));
    run(["synth", text(&bids), "--participants", "3", "--modalities", "T1w", "--voxel-size", "4"]).exits(0);
    let part = |label: &str, more: &[&str]| {
        let words = [text(&bids), text(&out), "participant", "--participant-label", label];
        run(words.iter().chain(more)).exits(0)
    };
    let ran = part("01", &[]);
    assert!(ran.stdout.contains(&format!("  report       {}\n", out.join("sub-01.html").display())), "{}", ran.stdout);
    part("02", &["--no-report"]);
    assert_eq!(reports(&out), ["sub-01.html"]);
    run([text(&bids), text(&out), "group", "--no-report"]).exits(0);
    assert_eq!(reports(&out), ["group_T1w.tsv", "sub-01.html"]);
    let group = run([text(&bids), text(&out), "group"]).exits(0);
    assert!(group.stdout.contains("group_T1w.tsv: 2 scans, 0 failed\n"), "{}", group.stdout);
    assert!(group.last_line().ends_with("index.html"), "{}", group.stdout);
    assert_eq!(reports(&out), ["group_T1w.tsv", "index.html", "sub-01.html", "sub-02.html"]);

    // The rest of the dataset: a whole run. The index leads to no page that is not there.
    fs::remove_file(out.join("sub-01.html")).unwrap();
    let page = fs::File::options().write(true).open(out.join("sub-02.html")).unwrap();
    page.set_len(0).unwrap();
    page.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap(); // before its results
    run([text(&bids), text(&out), "participant"]).exits(0);
    assert!(fs::metadata(out.join("sub-02.html")).unwrap().len() > 0);
    let whole = ["group_T1w.tsv", "index.html", "sub-01.html", "sub-02.html", "sub-03.html"];
    assert_eq!(reports(&out), whole);
    let runs = |page: &str| page.split_once("id=\"runs\"").unwrap().1.matches("<th scope=\"row\">").count();
    let page = fs::read_to_string(out.join("index.html")).unwrap();
    assert_eq!(runs(&page), 3, "one row for each run");
    assert!(!page.contains("did not end"), "the run that writes the page is over by then");

    // Elsewhere, without the data or the telemetry, the summaries tell the same.
    fs::remove_dir_all(&bids).unwrap();
    fs::remove_dir_all(out.join("logs")).unwrap();
    let before = data(&out);
    reports(&out).iter().for_each(|name| fs::remove_file(out.join(name)).unwrap());
    run(["report", text(&out), "--nprocs", "2"]).exits(0);
    assert_eq!((reports(&out), data(&out)), (whole.map(str::to_owned).to_vec(), before));
    assert_eq!(runs(&fs::read_to_string(out.join("index.html")).unwrap()), 3);
    let nothing = run(["report", text(dir.path())]).exits(66).stderr;
    assert!(nothing.contains("has no results to summarise") && nothing.contains("Check the path"), "{nothing}");
    run(["report", text(&dir.path().join("absent"))]).exits(66);
}

#[test]
fn a_report_that_cannot_be_written_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = (dir.path().join("bids"), dir.path().join("out"));
    run(["synth", text(&bids), "--participants", "1", "--modalities", "T1w", "--voxel-size", "4"]).exits(0);
    fs::create_dir_all(out.join("index.html/in-the-way")).unwrap();
    let ran = run([text(&bids), text(&out), "participant"]).exits(0);
    assert!(ran.stdout.contains("report       not written: ") && ran.stdout.contains("index.html"), "{}", ran.stdout);
    assert!(ran.last_line().starts_with("1 scans: 1 ok, 0 failed"), "{}", ran.stdout);
    assert!(out.join("sub-01.html").is_file(), "the other pages are there");
    run(["report", text(&out)]).exits(74);
}

#[test]
fn one_scan_alone_has_its_page() {
    let dir = tempfile::tempdir().unwrap();
    let (bids, out) = (dir.path().join("bids"), dir.path().join("out"));
    run(["synth", text(&bids), "--participants", "1", "--modalities", "T1w", "--voxel-size", "4"]).exits(0);
    run(["process", text(&bids.join("sub-01/anat/sub-01_T1w.nii.gz")), "-o", text(&out)]).exits(0);
    assert_eq!(reports(&out), ["sub-01.html"]);
    let mut command = common::binary();
    command.env("NEURO_PREPROCESS_NO_REPORT", "yes").args([
        "batch",
        text(&bids.join("sub-01/anat")),
        "-o",
        text(&dir.path().join("none")),
    ]);
    run_command(&mut command).exits(0);
    assert_eq!(reports(&dir.path().join("none")), Vec::<String>::new());
}
