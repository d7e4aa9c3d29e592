//! The rules of indexing, inheriting and selecting on small datasets built here.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use neuro_preprocess::bids::{BidsError, Check, Index, Modality, ScanFile, Selection, index};
use neuro_preprocess::error::{Coded, ErrorCode};
use serde_json::{Value, json};

const DESCRIPTION: &str = r#"{"Name": "small", "BIDSVersion": "1.10.0"}"#;

struct Dataset(tempfile::TempDir);

impl Dataset {
    fn new(files: &[&str]) -> Self {
        let dataset = Self(tempfile::tempdir().unwrap());
        dataset.write("dataset_description.json", DESCRIPTION);
        files.iter().for_each(|file| dataset.write(file, ""));
        dataset
    }

    fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(relative)
    }

    fn write(&self, relative: impl AsRef<Path>, content: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn index(&self) -> Index {
        index(self.0.path(), Check::Validate).unwrap()
    }

    fn select(&self, selection: &Selection) -> Result<Vec<String>, BidsError> {
        Ok(self.index().select(selection)?.into_iter().map(ScanFile::id).collect())
    }
}

/// Two participants, one of them with sessions; one has only diffusion.
fn three_participants() -> Dataset {
    Dataset::new(&[
        "sub-02/ses-M12/anat/sub-02_ses-M12_T1w.nii.gz",
        "sub-02/ses-BL/anat/sub-02_ses-BL_T1w.nii.gz",
        "sub-02/ses-BL/func/sub-02_ses-BL_task-rest_run-01_bold.nii.gz",
        "sub-02/ses-BL/func/sub-02_ses-BL_task-rest_run-02_bold.nii.gz",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_T2w.nii.gz",
        "sub-01/func/sub-01_task-rest_part-phase_bold.nii.gz",
        "sub-10/dwi/sub-10_dwi.nii.gz",
    ])
}

fn skipped(index: &Index) -> Vec<String> {
    index.skipped.iter().map(ToString::to_string).collect()
}

fn others(index: &Index) -> Vec<String> {
    let mut paths: Vec<String> = index.others.iter().map(|other| other.path.to_str().unwrap().to_owned()).collect();
    paths.sort();
    paths
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|v| (*v).to_owned()).collect()
}

#[test]
fn scans_come_by_participant_session_and_name() {
    let index = three_participants().index();
    let ids: Vec<String> = index.scans.iter().map(ScanFile::id).collect();
    assert_eq!(
        ids,
        [
            "sub-01_T1w",
            "sub-01_T2w",
            "sub-01_task-rest_part-phase_bold",
            "sub-02_ses-BL_T1w",
            "sub-02_ses-BL_task-rest_run-01_bold",
            "sub-02_ses-BL_task-rest_run-02_bold",
            "sub-02_ses-M12_T1w"
        ]
    );
    assert!(index.skipped.is_empty() && index.warnings.is_empty(), "{:?}", index.skipped);
    assert_eq!(others(&index), ["sub-10/dwi"]);
    let participants: Vec<(&str, usize)> =
        index.participants.iter().map(|p| (p.label.as_str(), p.sessions.len())).collect();
    assert_eq!(participants, [("01", 1), ("02", 2), ("10", 1)]);
}

#[test]
fn what_is_not_ours_makes_no_noise() {
    let dataset = Dataset::new(&[
        "README",
        "participants.tsv",
        "sourcedata/sub-01/anat/sub-01_T1w.nii.gz",
        "derivatives/x/sub-01/anat/sub-01_T1w.nii.gz",
        "code/sub-01_T1w.nii.gz",
        ".git/sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/.DS_Store",
        "sub-01/sub-01_scans.tsv",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_T1w.json",
        "sub-01/anat/sub-01_T2starw.nii.gz",
        "sub-01/func/sub-01_task-a_sbref.nii.gz",
        "sub-01/func/sub-01_task-b_sbref.nii.gz",
        "sub-01/func/sub-01_task-b_events.tsv",
        "sub-01/fmap/sub-01_phasediff.nii.gz",
        "sub-01.zip",
    ]);
    let index = dataset.index();
    assert_eq!(index.scans.len(), 1);
    assert!(index.skipped.is_empty(), "{:?}", skipped(&index));
    let left_out = [
        "sub-01/anat/sub-01_T2starw.nii.gz",
        "sub-01/func/sub-01_task-a_sbref.nii.gz",
        "sub-01/func/sub-01_task-b_sbref.nii.gz",
    ];
    assert_eq!(others(&index), left_out);
}

#[test]
fn what_was_meant_to_be_a_scan_is_listed_with_its_reason() {
    let cases = [
        ("sub-01_T1w.nii.gz", "only found in"),
        ("sub-01/sub-01_T1w.nii.gz", "only found in"),
        ("sub-01/anat/._sub-01_T1w.nii.gz", "AppleDouble"),
        ("sub-01/anat/sub-01_T1w.NII.GZ", "upper and lower case"),
        ("sub-01/anat/sub-01_t1w.nii.gz", "expected _T1w"),
        ("sub-01/anat/sub-02_T1w.nii.gz", "disagrees"),
        ("sub-01/anat/sub-01_acq-a\nb_T1w.nii.gz", "not key-label"),
        ("sub-01/func/task_bold.json", "not key-label"),
        ("sub-01/Func/sub-01_task-a_bold.nii.gz", "expected func"),
        ("sub-01/funk/sub-01_task-a_bold.nii.gz", "did you mean func?"),
        ("sub-01/extra/x.nii.gz", "not a folder of BIDS"),
        ("sub-01/ses_1/anat/sub-01_ses-1_T1w.nii.gz", "expected ses-LABEL"),
        ("sub-01/Ses-1/anat/sub-01_ses-1_T1w.nii.gz", "expected ses-1"),
        ("Sub-02/anat/Sub-02_T1w.nii.gz", "expected sub-02"),
        ("sub03/anat/sub-03_T1w.nii.gz", "expected sub-LABEL"),
        ("sub-0 4/anat/sub-04_T1w.nii.gz", "not a label"),
    ];
    let dataset = Dataset::new(&cases.map(|(path, _)| path));
    let index = dataset.index();
    assert!(index.scans.is_empty());
    let found = skipped(&index);
    for (path, says) in cases {
        let top = path.escape_debug().to_string();
        let listed = found.iter().find(|text| {
            let (listed, _) = text.split_once(": ").unwrap();
            top == listed || top.starts_with(&format!("{listed}/"))
        });
        assert!(listed.is_some_and(|text| text.contains(says)), "{path}: {listed:?}");
    }
    assert_eq!(found.len(), cases.len(), "{found:#?}");
}

#[test]
fn names_that_are_not_utf8_are_skipped_and_the_rest_goes_on() {
    let dataset = Dataset::new(&["sub-01/anat/sub-01_T1w.nii.gz"]);
    let name = OsStr::from_bytes(b"sub-01/anat/sub-01_acq-\xE9_T1w.nii.gz");
    if fs::write(dataset.path(name), "").is_err() {
        eprintln!("SKIPPED: this disk refuses such names");
        return;
    }
    let index = dataset.index();
    assert_eq!(index.scans.len(), 1);
    assert!(skipped(&index)[0].contains("not valid UTF-8"), "{:?}", index.skipped);
}

#[test]
fn links_are_followed_by_name_and_loops_end() {
    let dataset = Dataset::new(&["store/a/anat/sub-01_T1w.nii.gz", "sub-03/ses-1/anat/sub-03_ses-1_T1w.nii.gz"]);
    symlink("store/a", dataset.path("sub-01")).unwrap();
    symlink("sub-02", dataset.path("sub-02")).unwrap();
    symlink(".", dataset.path("sub-03/ses-2")).unwrap();
    symlink("../sub-03", dataset.path("sub-03/anat")).unwrap();
    symlink("gone", dataset.path("sub-03/ses-1/anat/sub-03_ses-1_run-1_T1w.nii.gz")).unwrap();
    symlink("self_T1w.nii.gz", dataset.path("sub-03/ses-1/anat/self_T1w.nii.gz")).unwrap();
    let twice = "sub-03_ses-1_run-2_T1w.nii.gz";
    symlink(twice, dataset.path("sub-03/ses-1/anat").join(twice)).unwrap();
    fs::create_dir(dataset.path("sub-03/ses-1/anat/sub-03_ses-1_run-3_T1w.nii.gz")).unwrap();
    let _socket = UnixListener::bind(dataset.path("sub-03/ses-1/anat/sub-03_ses-1_run-4_T1w.nii.gz")).unwrap();
    let index = dataset.index();
    let paths: Vec<&str> = index.scans.iter().map(|s| s.path.to_str().unwrap()).collect();
    let dangling = "sub-03/ses-1/anat/sub-03_ses-1_run-1_T1w.nii.gz";
    let expected = ["sub-01/anat/sub-01_T1w.nii.gz", "sub-03/ses-1/anat/sub-03_ses-1_T1w.nii.gz", dangling];
    assert_eq!(paths, expected, "content that was not fetched is still a scan");
    let found = skipped(&index);
    for says in [
        "sub-02: cannot be read",
        "run-2_T1w.nii.gz: cannot be read",
        "run-3_T1w.nii.gz: not a regular file",
        "run-4_T1w.nii.gz: not a regular file",
    ] {
        assert!(found.iter().any(|text| text.contains(says)), "{says}: {found:#?}");
    }
}

#[test]
fn two_files_for_one_scan_fail_alone_and_name_each_other() {
    let dataset = Dataset::new(&[
        "sub-01/anat/sub-01_T1w.nii",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/func/sub-01_task-a_run-1_bold.nii.gz",
        "sub-01/func/sub-01_task-a_run-01_bold.nii.gz",
        "sub-01/func/sub-01_task-a_run-2_bold.nii.gz",
        "sub-01/func/sub-01_task-Rest_bold.nii.gz",
        "sub-01/func/sub-01_task-rest_bold.nii.gz",
    ]);
    let index = dataset.index();
    let alone: Vec<String> = index.scans.iter().filter(|s| s.unambiguous().is_ok()).map(ScanFile::id).collect();
    assert_eq!(alone, ["sub-01_task-a_run-2_bold"]);
    for scan in index.scans.iter().filter(|s| s.twin.is_some()) {
        let error = scan.unambiguous().unwrap_err();
        let (path, twin) = (scan.path.to_str().unwrap(), scan.twin.as_ref().unwrap().to_str().unwrap());
        assert_ne!(path, twin);
        assert!(error.to_string().contains(path) && error.to_string().contains(twin), "{error}");
        assert_eq!(error.code(), ErrorCode::DuplicateScan);
    }
    assert_eq!(index.select(&Selection::default()).unwrap().len(), 7, "they are selected, to fail visibly");
}

#[test]
fn labels_that_differ_only_in_case_are_refused() {
    for (files, first, second) in [
        (["sub-a1/anat/x", "sub-A1/anat/x"], "sub-A1", "sub-a1"),
        (["sub-01/ses-bl/x", "sub-01/ses-BL/x"], "sub-01/ses-BL", "sub-01/ses-bl"),
    ] {
        let dataset = Dataset::new(&files);
        let error = index(dataset.0.path(), Check::Tolerate).unwrap_err();
        assert_eq!(error.code(), ErrorCode::DatasetInvalid);
        assert!(error.to_string().starts_with(&format!("{first} and {second} differ only")), "{error}");
    }
}

#[test]
fn derivative_datasets_have_no_scans() {
    let dataset = three_participants();
    dataset.write("dataset_description.json", r#"{"Name": "x", "BIDSVersion": "1", "DatasetType": "derivative"}"#);
    let index = dataset.index();
    assert!(index.scans.is_empty() && index.warnings.len() == 1);
    let error = index.select(&Selection { participants: texts(&["01"]), ..Selection::default() }).unwrap_err();
    assert!(error.code() == ErrorCode::NothingMatches && error.to_string().contains("derivatives"), "{error}");
}

#[test]
fn a_missing_description_is_tolerated_with_a_warning_when_asked() {
    let dataset = three_participants();
    fs::remove_file(dataset.path("dataset_description.json")).unwrap();
    assert_eq!(index(dataset.0.path(), Check::Validate).unwrap_err().code(), ErrorCode::NotBids);
    let index = index(dataset.0.path(), Check::Tolerate).unwrap();
    assert_eq!((index.scans.len(), index.warnings.len()), (7, 1));
}

#[test]
fn sidecars_are_inherited_from_the_root_down() {
    let run = "sub-01/ses-1/func/sub-01_ses-1_task-a_run-01_bold";
    let dataset = Dataset::new(&[&format!("{run}.nii.gz"), "sub-01/ses-1/func/sub-01_ses-1_task-b_bold.nii.gz"]);
    dataset.write("bold.json", r#"{"A": "root", "B": "root", "C": "root", "D": "root", "E": [1, 2]}"#);
    dataset.write("task-a_bold.json", r#"{"B": "root task"}"#);
    dataset.write("T1w.json", r#"{"A": "not for bold"}"#);
    dataset.write("sub-01/sub-01_bold.json", r#"{"B": "sub", "C": "sub"}"#);
    dataset.write("sub-01/ses-1/sub-01_ses-1_task-a_bold.json", r#"{"C": "ses", "E": null}"#);
    dataset.write(format!("{run}.json"), r#"{"D": "run"}"#);
    dataset.write("sub-01/ses-1/func/sub-01_ses-1_task-a_run-1_bold.json", r#"{"A": "another run"}"#);
    dataset.write("sub-02/sub-01_task-a_bold.json", r#"{"A": "another folder"}"#);
    let index = dataset.index();
    let metadata: Vec<Value> = index.scans.iter().map(|s| Value::Object(index.metadata(s).unwrap())).collect();
    assert_eq!(
        metadata,
        [
            json!({"A": "root", "B": "sub", "C": "ses", "D": "run", "E": null}),
            json!({"A": "root", "B": "sub", "C": "sub", "D": "root", "E": [1, 2]})
        ]
    );
}

#[test]
fn a_bad_sidecar_fails_only_the_scans_that_inherit_it() {
    let dataset = three_participants();
    dataset.write("task-rest_bold.json", "{\"RepetitionTime\": NaN}");
    dataset.write("sub-01/anat/sub-01_T1w.json", "{\"EchoTime\": 0.003}");
    dataset.write("sub-02/ses-BL/anat/sub-02_ses-BL_T1w.json", "\u{feff}{}");
    symlink("../../.git/annex/objects/x", dataset.path("sub-02/ses-M12/anat/sub-02_ses-M12_T1w.json")).unwrap();
    let index = dataset.index();
    for scan in &index.scans {
        let says = match scan.id().as_str() {
            "sub-02_ses-BL_T1w" => "sub-02_ses-BL_T1w.json: it starts with a byte order mark",
            "sub-02_ses-M12_T1w" => "datalad get",
            id if id.ends_with("bold") => "task-rest_bold.json: it is not JSON",
            _ => {
                assert!(index.metadata(scan).is_ok(), "{}", scan.id());
                continue;
            }
        };
        let error = index.metadata(scan).unwrap_err();
        assert!(error.to_string().contains(says) && error.code() == ErrorCode::BadSidecar, "{error}");
    }
}

#[test]
fn an_empty_selection_means_everything_that_is_processed() {
    let ids = three_participants().select(&Selection::default()).unwrap();
    assert_eq!(
        ids,
        [
            "sub-01_T1w",
            "sub-02_ses-BL_T1w",
            "sub-02_ses-BL_task-rest_run-01_bold",
            "sub-02_ses-BL_task-rest_run-02_bold",
            "sub-02_ses-M12_T1w"
        ]
    );
}

#[test]
fn participants_sessions_and_modalities_narrow_it_down() {
    let dataset = three_participants();
    let ids = |participants: &[&str], sessions: &[&str], modalities: &[Modality]| {
        let (participants, sessions) = (texts(participants), texts(sessions));
        let modalities = modalities.to_vec();
        dataset
            .select(&Selection { participants, sessions, modalities, ..Selection::default() })
            .map(|ids| ids.join(" "))
    };
    assert_eq!(ids(&["sub-02"], &["ses-M12"], &[]).unwrap(), "sub-02_ses-M12_T1w");
    assert_eq!(ids(&["02", "01"], &["unnamed"], &[]).unwrap(), "sub-01_T1w");
    assert_eq!(ids(&[], &["BL"], &[Modality::T1w]).unwrap(), "sub-02_ses-BL_T1w");
    let both = ids(&["02", "sub-02", "01"], &["M12", "unnamed"], &[Modality::T1w]);
    assert_eq!(both.unwrap(), "sub-01_T1w sub-02_ses-M12_T1w");
}

#[test]
fn tasks_select_bold_runs_and_leave_other_scans() {
    let dataset = Dataset::new(&[
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/func/sub-01_task-rest_bold.nii.gz",
        "sub-01/func/sub-01_task-nback_bold.nii.gz",
        "sub-02/anat/sub-02_T1w.nii.gz",
    ]);
    let select = |tasks: &[&str], subcohort: Vec<(String, Option<String>)>| {
        dataset.select(&Selection { tasks: texts(tasks), subcohort, ..Selection::default() }).map(|ids| ids.join(" "))
    };
    assert_eq!(select(&["rest"], vec![]).unwrap(), "sub-01_T1w sub-01_task-rest_bold sub-02_T1w");
    let error = select(&["task-rset"], vec![]).unwrap_err();
    assert_eq!(error.code(), ErrorCode::UnknownLabel);
    assert_eq!(error.to_string(), "task rset is not in the dataset (nearest: rest, nback)");
    // A part of an array job may have participants without the task.
    assert_eq!(select(&["rest"], vec![("02".to_owned(), None)]).unwrap(), "sub-02_T1w");
}

#[test]
fn unknown_labels_are_errors_that_name_the_nearest() {
    let dataset = three_participants();
    let error = |participants: &[&str], sessions: &[&str]| {
        let (participants, sessions) = (texts(participants), texts(sessions));
        let error = dataset.select(&Selection { participants, sessions, ..Selection::default() }).unwrap_err();
        assert_eq!(error.code(), ErrorCode::UnknownLabel);
        error.to_string()
    };
    assert_eq!(error(&["01", "2"], &[]), "participant 2 is not in the dataset, but 02 is");
    assert!(error(&["7"], &[]).contains("participant 7 is not in the dataset (nearest: "));
    assert!(error(&["a", "b", "c", "d", "e", "f", "g"], &[]).ends_with("; and 2 more"));
    assert!(error(&["../01"], &[]).contains("not a BIDS label"));
    assert!(error(&["None"], &[]).contains("participant None is not in the dataset"));
    assert!(error(&[], &["bl"]).ends_with(", but BL is"));
    assert!(error(&[], &["bx"]).ends_with("(nearest: BL, M12, unnamed)"));
    assert!(error(&["01"], &["BL"]).contains("not in the dataset for any selected participant (nearest: unnamed)"));
    assert!(error(&["02"], &["unnamed"]).contains("session unnamed is not"));
}

#[test]
fn a_valid_selection_of_nothing_says_where_everything_went() {
    let dataset = three_participants();
    let error = dataset.select(&Selection { participants: texts(&["10"]), ..Selection::default() }).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NothingMatches);
    let says = "scans left: 7 in the dataset, 5 of the modalities, 0 of the participants";
    assert!(error.to_string().ends_with(says), "{error}");
    let error = Dataset::new(&["README"]).select(&Selection::default()).unwrap_err();
    assert!(error.code() == ErrorCode::NothingMatches && error.to_string().contains("no folder sub-"), "{error}");
}

#[test]
fn a_subcohort_is_pairs_not_a_product() {
    let dataset = Dataset::new(&[
        "sub-01/ses-A/anat/sub-01_ses-A_T1w.nii",
        "sub-01/ses-B/anat/sub-01_ses-B_T1w.nii",
        "sub-02/ses-A/anat/sub-02_ses-A_T1w.nii",
        "sub-03/anat/sub-03_T1w.nii",
    ]);
    let select = |pairs: &[(&str, Option<&str>)]| {
        let subcohort = pairs.iter().map(|(p, s)| ((*p).to_owned(), s.map(str::to_owned))).collect();
        dataset.select(&Selection { subcohort, ..Selection::default() })
    };
    let found = select(&[("01", Some("B")), ("02", Some("A")), ("03", Some("unnamed"))]).unwrap();
    assert_eq!(found, ["sub-01_ses-B_T1w", "sub-02_ses-A_T1w", "sub-03_T1w"]);
    assert_eq!(select(&[("03", None)]).unwrap(), ["sub-03_T1w"]);
    let error = select(&[("02", Some("B"))]).unwrap_err().to_string();
    assert!(error.contains("participant 02, who has no session B"), "{error}");
    assert!(matches!(select(&[("9", Some("A"))]), Err(BidsError::UnknownLabels { .. })));
}

#[test]
fn a_filter_file_narrows_each_modality_by_itself() {
    let dataset = three_participants();
    let with = |text: &str| {
        dataset.write("code/filter.json", text);
        let filter_file = Some(dataset.path("code/filter.json"));
        dataset.select(&Selection { filter_file, ..Selection::default() })
    };
    let ids = with(r#"{"t1w": {"session": null}, "bold": {"run": 1}}"#).unwrap();
    assert_eq!(ids, ["sub-01_T1w", "sub-02_ses-BL_task-rest_run-01_bold"]);
    let error = with(r#"{"bold": {"sesion": "BL"}}"#).unwrap_err();
    assert!(error.code() == ErrorCode::ConfigInvalid && error.to_string().contains("nearest: \"session\""), "{error}");
    let error = with(r#"{"t1w": {"session": "BL"}, "bold": {"task": "rset"}}"#).unwrap_err();
    let says = "no bold scan of the dataset satisfies the section \"bold\"";
    assert!(error.code() == ErrorCode::NothingMatches && error.to_string().contains(says), "{error}");
    let filter_file = Some(dataset.path("code/filter.json"));
    dataset.write("code/filter.json", r#"{"t1w": {"session": "BL"}}"#);
    let error = dataset.select(&Selection { participants: texts(&["01"]), filter_file, ..Selection::default() });
    assert!(error.unwrap_err().to_string().ends_with("1 of the participants, 0 by the filter file"));
}

#[test]
fn walking_changes_no_time_stamp() {
    let dataset = three_participants();
    dataset.write("task-rest_bold.json", "{}");
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let paths = ["sub-02/ses-BL/anat/sub-02_ses-BL_T1w.nii.gz", "task-rest_bold.json", "sub-01/anat", "sub-01", "."];
    for path in paths {
        fs::File::open(dataset.path(path)).unwrap().set_modified(long_ago).unwrap();
    }
    let index = dataset.index();
    for scan in &index.scans {
        index.metadata(scan).unwrap();
    }
    for path in paths {
        assert_eq!(fs::metadata(dataset.path(path)).unwrap().modified().unwrap(), long_ago, "{path}");
    }
}

#[test]
fn the_index_is_the_same_at_any_number_of_threads() {
    let files: Vec<String> = (0..40).map(|n| format!("sub-{n:02}/anat/sub-{n:02}_T1w.nii.gz")).collect();
    let dataset = Dataset::new(&files.iter().map(String::as_str).collect::<Vec<_>>());
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| dataset.index()).scans
    };
    assert_eq!(with(1), with(4));
}
