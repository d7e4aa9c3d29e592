//! A small dataset, what an undisturbed run makes of it, and how other outputs are compared with that.

use crate::common::outputs::{Files, normalised, paths};
use crate::common::quick::make_quick;
use crate::common::{Ran, binary, run, run_command};
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A dataset and what an undisturbed run made of it.
pub struct Study {
    /// The dataset: three participants with a T1w image each, the second with a bold run as well.
    pub bids: PathBuf,
    /// How long the undisturbed run took.
    pub took: Duration,
    /// Every file it left outside `logs`, with what has to be the same.
    files: Files,
}

/// Number of scans of [`Study`].
pub const SCANS: usize = 4;

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
            for one in ["sub-01", "sub-03"] {
                fs::remove_dir_all(bids.join(one).join("func")).unwrap();
                fs::remove_dir_all(bids.join("derivatives/ground-truth").join(one).join("func")).unwrap();
            }
            make_quick(&bids);
            let mut study = Self { bids, took: Duration::ZERO, files: Files::new() };
            let out = study.bids.with_file_name("undisturbed");
            let start = Instant::now();
            study.run(&out).exits(0);
            study.took = start.elapsed();
            report(&out);
            study.files = contents(&out);
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
        for path in paths(out).into_iter().filter(|p| !is_hidden(p)) {
            let Some(expected) = self.files.get(&path) else { panic!("{what}: {} is no output", path.display()) };
            if is_of_the_run(&path) {
                assert!(is_whole(&out.join(&path)), "{what}: {} is torn", path.display());
            } else {
                let found = content(out, &path);
                assert!(found == *expected, "{what}: {} is not what it should be", path.display());
            }
            if path.to_string_lossy().ends_with("_success.json") {
                let folder = path.parent().unwrap();
                let missing = self.files.keys().find(|f| f.starts_with(folder) && !out.join(f).exists());
                assert_eq!(missing, None, "{what}: {} promises it", path.display());
            }
        }
    }

    /// Fails unless `out` is what the undisturbed run left: the same files, the same content, nothing else.
    #[track_caller]
    pub fn assert_complete(&self, out: &Path, what: &str) {
        assert_eq!(paths(out), self.files.keys().cloned().collect::<Vec<_>>(), "{what}");
        let compare = |(path, found): (PathBuf, Vec<u8>)| {
            assert!(found == self.files[&path], "{what}: {} differs", path.display());
        };
        contents(out).into_iter().filter(|(path, _)| !is_page(path)).for_each(compare);
        report(out);
        contents(out).into_iter().for_each(compare);
        assert_eq!(left_over(&out.join("logs")), Vec::<PathBuf>::new(), "{what}");
        run([Path::new("verify"), out]).exits(0);
    }
}

/// Temporary files in a folder.
pub fn left_over(folder: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).into_iter().flatten().map(walkdir::DirEntry::into_path);
    entries.filter(|p| p.extension().is_some_and(|e| e == "part")).collect()
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "html")
}

/// Makes the pages anew: those of a run show how it was asked for.
fn report(out: &Path) {
    run([Path::new("report"), out]).exits(0);
}

/// Temporary files and claims, which stay behind until the next run.
fn is_hidden(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str().to_string_lossy().starts_with(".neuro-preprocess"))
}

/// Whether a file tells how far the runs have come: another, until all is done.
fn is_of_the_run(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    name.ends_with("_summary.json") || name.ends_with("_ledger.json") || name.starts_with("group_") || is_page(path)
}

/// What is compared of every file outside `logs`.
fn contents(out: &Path) -> Files {
    paths(out).into_iter().map(|path| (path.clone(), content(out, &path))).collect()
}

/// What is compared of a file, which has to be whole.
#[track_caller]
fn content(out: &Path, path: &Path) -> Vec<u8> {
    assert!(is_whole(&out.join(path)), "{} is torn", path.display());
    match path.to_str() {
        // The same dataset: its place is compared, too.
        Some("dataset_description.json") => fs::read(out.join(path)).unwrap(),
        _ => normalised(&out.join(path)),
    }
}

/// Reads a file to its end in the way of its kind.
fn is_whole(path: &Path) -> bool {
    let bytes = fs::read(path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    if name.ends_with(".nii.gz") {
        // With the check sum of every member.
        let mut voxels = Vec::new();
        MultiGzDecoder::new(&*bytes).read_to_end(&mut voxels).is_ok() && voxels.len() > 352
    } else if name.ends_with(".json") {
        serde_json::from_slice::<Value>(&bytes).is_ok()
    } else if name.ends_with(".tsv") {
        bytes.ends_with(b"\n")
    } else if name.ends_with(".html") {
        String::from_utf8(bytes).unwrap().trim_end().ends_with("</html>")
    } else if name.ends_with(".jpg") {
        bytes.starts_with(&[0xff, 0xd8]) && bytes.ends_with(&[0xff, 0xd9])
    } else {
        true
    }
}
