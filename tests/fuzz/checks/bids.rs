//! BIDS names, sidecars and what comes of them, and the tables and lists that select.

use super::build::File;
use super::{file, parts, place};
use neuro_preprocess::bids::{Entities, Filter, Label, Modality, ScanFile, Selection};
use neuro_preprocess::derivatives::outputs::outputs_of;
use neuro_preprocess::nipoppy;
use neuro_preprocess::pipeline::stages::{load, validate};
use neuro_preprocess::plan::{self, PlanOptions};
use neuro_preprocess::step::Found;
use neuro_preprocess::vocabulary::Wanted;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

/// A path is a scan or is not, for a reason; a scan's entities are those of its name, and its outputs
/// have names of their own, in its participant's folder, that can be parsed again.
pub fn bids_name(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        entities(text);
    }
    match ScanFile::parse(Path::new(OsStr::from_bytes(bytes))) {
        Err(reason) => assert!(!reason.to_string().is_empty()),
        Ok(scan) => {
            assert_eq!(Entities::parse(scan.entities.as_str()).as_ref(), Ok(&scan.entities));
            assert!(scan.path.to_str().unwrap().contains(&scan.id()));
            Modality::ALL.into_iter().for_each(|modality| outputs(modality, &scan.entities));
        }
    }
}

fn entities(text: &str) {
    for label in [Label::new(text), Label::participant(text), Label::session(text)].into_iter().flatten() {
        assert!(text.ends_with(label.as_str()) && Path::new(label.as_str()).components().count() == 1);
    }
    match Entities::parse(text) {
        Err(e) => assert!(!e.to_string().is_empty()),
        Ok(parsed) => {
            let pairs: Vec<(&str, &str)> = parsed.iter().collect();
            assert_eq!(Entities::from_pairs(pairs.iter().copied()).as_ref(), Ok(&parsed));
            assert!(pairs.iter().all(|(key, label)| parsed.get(key) == Some(label)));
            assert_eq!((parsed.as_str(), parsed.len(), parsed.is_subset_of(&parsed)), (text, pairs.len(), true));
        }
    }
}

fn outputs(modality: Modality, of: &Entities) {
    let participant = format!("sub-{}", of.get("sub").unwrap());
    let mut seen = HashSet::new();
    for output in outputs_of(modality, of, &Wanted::default()).expect("an indexed scan has outputs") {
        for path in output.files() {
            assert!(path.starts_with(&participant) && path.components().all(|c| matches!(c, Component::Normal(_))));
            assert!(seen.insert(path.clone()), "{} twice", path.display());
            let name = path.file_name().unwrap().to_str().unwrap();
            let (pairs, _) = name.rsplit_once('_').unwrap();
            let made = Entities::parse(pairs).expect("an output's name is a BIDS name");
            assert!(of.iter().all(|(key, label)| made.get(key) == Some(label) || ["desc", "label"].contains(&key)));
        }
    }
}

/// Eight voxels wide, six volumes, each voxel another: what the stage of validation has no objection to.
fn small_series() -> Vec<u8> {
    let voxels = (0..8 * 8 * 8 * 6).map(|n| (n % 251) as u8).collect();
    let pixdim = [1.0, 3.0, 3.0, 3.0, 2.0, 0.0, 0.0, 0.0];
    let series = File::new(&[8, 8, 8, 6]).voxels(2, 8, voxels);
    File { pixdim, slope: 0.0, sform_code: 0, srow: [[0.0; 4]; 3], ..series }.bytes()
}

/// Whatever a dataset's JSON files hold, it is planned or refused, can be listed, and its scan is read with a repetition time
/// that makes sense or refused. Input: the description, then sidecars from the root down to the scan, the more general
/// first.
pub fn sidecar(bytes: &[u8]) {
    let [description, bold, task, participant, scan] = parts(bytes);
    let root = place("dataset");
    let valid: &[u8] = br#"{"Name": "x", "BIDSVersion": "1.10.0"}"#;
    file("dataset/dataset_description.json", if description.is_empty() { valid } else { description });
    let optional = |name: &str, content: &[u8]| match content {
        [] => drop(std::fs::remove_file(place(name))),
        _ => drop(file(name, content)),
    };
    optional("dataset/bold.json", bold);
    optional("dataset/task-rest_bold.json", task);
    optional("dataset/sub-01/sub-01_bold.json", participant);
    optional("dataset/sub-01/func/sub-01_task-rest_run-1_bold.json", scan);
    let image = place("dataset/sub-01/func/sub-01_task-rest_run-1_bold.nii");
    if !image.exists() {
        file("dataset/sub-01/func/sub-01_task-rest_run-1_bold.nii", &small_series());
    }
    for skip_validation in [false, true] {
        let options = PlanOptions { skip_validation, ..PlanOptions::default() };
        let everything = Selection { modalities: Modality::ALL.to_vec(), ..Selection::default() };
        match plan::survey(&root, &everything, &options) {
            Err(e) => assert!(!skip_validation, "{e}"),
            Ok(found) => {
                let _ = (plan::list_text(&found), plan::list_json(&found).to_string());
                let _ = (plan::to_text(&found.plan), plan::write_json(&found.plan, std::io::sink()));
                found.plan.units.iter().flat_map(|unit| &unit.scans).for_each(validated);
            }
        }
    }
}

/// Takes a scan through the first two stages, loading and validation.
fn validated(scan: &plan::ScanPlan) {
    let mut found = Found::default();
    let bold = load::image(scan, &mut found).and_then(|read| validate::bold(read, scan, false, &mut found));
    if let Ok(series) = bold {
        let tr = series.header.tr_seconds();
        // Of volumes at unequal times there is none.
        let listed = scan.metadata.contains_key("VolumeTiming");
        assert!(tr.map_or(listed, |tr| (0.01..=100.0).contains(&tr)), "a repetition time of {tr:?} s was accepted");
    }
}

/// The tables of a Nipoppy study, a subcohort and a filter file are read or refused with words; what they name are labels.
/// Input: manifest, curation status, subcohort, filter.
pub fn tables(bytes: &[u8]) {
    let [manifest, status, subcohort, filter] = parts(bytes);
    let study = place("study");
    std::fs::create_dir_all(study.join(".nipoppy")).unwrap();
    file("study/manifest.tsv", manifest);
    let second = "study/sourcedata/imaging/curation_status.tsv";
    if status.is_empty() {
        drop(std::fs::remove_file(place(second)))
    } else {
        drop(file(second, status))
    }
    if let Ok(found) = nipoppy::read(&study, "1") {
        let labels =
            found.participant_sessions.iter().flat_map(|(participant, session)| session.iter().chain([participant]));
        labels.for_each(|label| drop(Label::new(label).expect("a label")));
    }
    let _ = Filter::read(&file("filter.json", filter));
    std::fs::create_dir_all(place("bids")).unwrap();
    let [bids, out, list] = [place("bids"), place("derivatives"), file("subcohort.tsv", subcohort)];
    let words = [
        OsStr::new("np"),
        bids.as_os_str(),
        out.as_os_str(),
        OsStr::new("participant"),
        OsStr::new("--subcohort"),
        list.as_os_str(),
    ];
    super::command_line::parsed(words.into_iter().map(Into::into));
}
