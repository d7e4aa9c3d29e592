//! A small dataset, what an undisturbed run makes of it, and how other outputs are compared with that.

use crate::common::{Ran, binary, run, run_command};
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What differs between two runs in the files that tell about a run: its name, its times, its memory.
const OF_THE_RUN: [&str; 8] =
    ["run_id", "trace_id", "started", "finished", "seconds", "stages", "peak_memory_mb", "version"];

/// A dataset and what an undisturbed run made of it.
pub struct Study {
    /// The dataset: three participants with a T1w image and a bold run each.
    pub bids: PathBuf,
    /// How long the undisturbed run took.
    pub took: Duration,
    /// Every file it left outside `logs`, with what has to be the same.
    files: BTreeMap<PathBuf, Content>,
}

/// Number of scans of [`Study`].
pub const SCANS: usize = 6;

/// What of a file is compared.
#[derive(PartialEq, Eq)]
enum Content {
    /// All of it.
    Bytes(Vec<u8>),
    /// All but what tells of the run.
    Json(Value),
    /// All but the seconds.
    Table(Vec<String>),
    /// That it is whole: pages show times on every line.
    Page,
}

impl Study {
    /// The study all tests share.
    pub fn get() -> &'static Self {
        static STUDY: OnceLock<Study> = OnceLock::new();
        STUDY.get_or_init(|| {
            let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interrupt");
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(&dir).unwrap();
            let bids = dir.join("bids");
            let size = ["--participants", "3", "--voxel-size", "6", "--volumes", "6"];
            run(["synth", bids.to_str().unwrap()].iter().chain(&size)).exits(0);
            let mut study = Self { bids, took: Duration::ZERO, files: BTreeMap::new() };
            let out = study.bids.with_file_name("undisturbed");
            let start = Instant::now();
            study.run(&out).exits(0);
            study.took = start.elapsed();
            study.files = files(&out).into_iter().map(|p| (p.clone(), content(&out, &p))).collect();
            assert!(study.files.len() > 60, "{} files", study.files.len());
            study
        })
    }

    /// The command that does all of it, with one thread, so that the order of its calls is its own.
    pub fn command(&self, out: &Path) -> Command {
        let mut command = binary();
        command.arg(&self.bids).arg(out).args(["participant", "--nprocs", "1"]);
        command
    }

    pub fn run(&self, out: &Path) -> Ran {
        run_command(&mut self.command(out))
    }

    /// Fails unless every visible file is whole, and whatever a marker stands for is there.
    #[track_caller]
    pub fn assert_whole(&self, out: &Path, what: &str) {
        for path in files(out).into_iter().filter(|p| !is_hidden(p)) {
            let found = content(out, &path);
            let Some(expected) = self.files.get(&path) else { panic!("{what}: {} is no output", path.display()) };
            if let Content::Bytes(_) = found {
                assert!(found == *expected, "{what}: {} is not what it should be", path.display());
            }
            if path.to_string_lossy().ends_with("_success.json") {
                assert!(found == *expected, "{what}: {} is another marker", path.display());
                let folder = path.parent().unwrap();
                let missing = self.files.keys().find(|f| f.starts_with(folder) && !out.join(f).exists());
                assert_eq!(missing, None, "{what}: {} promises it", path.display());
            }
        }
    }

    /// Fails unless `out` is what the undisturbed run left: the same files, the same content, nothing else.
    #[track_caller]
    pub fn assert_complete(&self, out: &Path, what: &str) {
        let found = files(out);
        let expected: Vec<&PathBuf> = self.files.keys().collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{what}");
        for (path, expected) in &self.files {
            assert!(content(out, path) == *expected, "{what}: {} differs", path.display());
        }
        assert_eq!(left_over(&out.join("logs")), Vec::<PathBuf>::new(), "{what}");
    }
}

/// Temporary files in a folder.
pub fn left_over(folder: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).into_iter().flatten().map(walkdir::DirEntry::into_path);
    entries.filter(|p| p.extension().is_some_and(|e| e == "part")).collect()
}

/// Every file below `root` outside `logs`, relative to it, in order.
fn files(root: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(root).sort_by_file_name().into_iter();
    let entries = entries.filter_entry(|e| e.depth() != 1 || e.file_name() != "logs").map(Result::unwrap);
    let files = entries.filter(|e| !e.file_type().is_dir()).map(|e| e.path().strip_prefix(root).unwrap().to_owned());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    files
}

/// Temporary files and claims, which stay behind until the next run.
fn is_hidden(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str().to_string_lossy().starts_with(".neuro-preprocess"))
}

/// Reads a file to its end in the way of its kind, and fails when it is not whole.
#[track_caller]
fn content(root: &Path, path: &Path) -> Content {
    let bytes = fs::read(root.join(path)).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let whole = |fine: bool| assert!(fine, "{} is torn", path.display());
    if name.ends_with(".nii.gz") {
        // With the check sum of every member.
        let mut voxels = Vec::new();
        whole(MultiGzDecoder::new(&*bytes).read_to_end(&mut voxels).is_ok() && voxels.len() > 352);
    } else if name.ends_with("_success.json") || name.ends_with("_summary.json") {
        let mut json: Value = serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        without_the_run(&mut json);
        return Content::Json(json);
    } else if name.ends_with(".json") {
        whole(serde_json::from_slice::<Value>(&bytes).is_ok());
    } else if name.starts_with("group_") {
        return Content::Table(without_seconds(&String::from_utf8(bytes).unwrap()));
    } else if name.ends_with(".html") {
        whole(String::from_utf8(bytes).unwrap().trim_end().ends_with("</html>"));
        return Content::Page;
    } else if name.ends_with(".jpg") {
        whole(bytes.starts_with(&[0xff, 0xd8]) && bytes.ends_with(&[0xff, 0xd9]));
    }
    Content::Bytes(bytes)
}

fn without_the_run(json: &mut Value) {
    match json {
        Value::Object(map) => {
            map.retain(|key, _| !OF_THE_RUN.contains(&key.as_str()));
            map.values_mut().for_each(without_the_run);
        }
        Value::Array(items) => items.iter_mut().for_each(without_the_run),
        _ => {}
    }
}

#[track_caller]
fn without_seconds(table: &str) -> Vec<String> {
    assert!(table.ends_with('\n'), "a torn table:\n{table}");
    let place = table.lines().next().unwrap().split('\t').position(|column| column == "seconds").unwrap();
    let row = |line: &str| {
        let mut cells: Vec<&str> = line.split('\t').collect();
        cells.remove(place);
        cells.join("\t")
    };
    table.lines().map(row).collect()
}
