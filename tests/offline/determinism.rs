//! The same inputs give the same bytes: at any number of threads, in one run or many, wherever and for whomever it runs.
//!
//! Everything below the output folder is compared, down to the gzip headers, but for `logs/` and what [`outputs`] takes out:
//! times, durations, memory, ids of runs and traces, the folder of the raw dataset.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common::outputs::{Files, files};
use crate::common::{NO_TEMPLATE, binary, run, run_command, text};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Two participants with a T1w image and a short bold run.
fn dataset(root: &Path) {
    run(["synth", text(root), "--participants", "2", "--voxel-size", "6", "--volumes", "8"]).exits(0);
}

#[track_caller]
fn same(one: &Files, other: &Files, how: &str) {
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>(), "{how}");
    for (path, bytes) in one {
        if *bytes != other[path] {
            let shown = |b: &[u8]| String::from_utf8_lossy(b).lines().map(str::to_owned).collect::<Vec<_>>();
            let (a, b) = (shown(bytes), shown(&other[path]));
            let at = a.iter().zip(&b).position(|(a, b)| a != b).unwrap_or(0);
            let line = |l: &[String]| l.get(at).map(|l| l.chars().take(300).collect::<String>());
            panic!("{} differs {how}:\n{:?}\n{:?}", path.display(), line(&a), line(&b));
        }
    }
}

#[test]
fn the_same_bytes_whatever_the_threads_and_in_however_many_runs() {
    let dir = tempfile::tempdir().unwrap();
    let bids = dir.path().join("bids");
    dataset(&bids);
    let out = |name: &str| dir.path().join(name);
    // Each run is one list of options; at the end all have gone through the same report.
    let made = |name: &str, runs: &[&[&str]]| {
        let out = out(name);
        for options in runs {
            run([text(&bids), text(&out), "participant"].iter().chain(*options)).exits(0);
        }
        run(["report", text(&out)]).exits(0);
        files(&out)
    };
    let one = made("one", &[&["--nprocs", "1"]]);
    let images = one.keys().filter(|path| path.to_string_lossy().ends_with(".nii.gz")).count();
    assert_eq!((images, one.len()), (22, 93), "{:?}", one.keys());
    // RFC 1952, section 2.3: time, flags and system would be in these bytes.
    for (path, bytes) in one.iter().filter(|(path, _)| path.to_string_lossy().ends_with(".nii.gz")) {
        assert_eq!((&bytes[..4], &bytes[4..8], bytes[9]), (&[0x1f, 0x8b, 8, 0][..], &[0; 4][..], 255), "{path:?}");
    }
    same(&one, &made("two", &[&["--nprocs", "2"]]), "at 2 threads");
    same(&one, &made("eight", &[&["--nprocs", "8"]]), "at 8 threads");
    let singly: [&[&str]; 2] = [&["--participant-label", "02"], &["--participant-label", "01"]];
    same(&one, &made("singly", &singly), "one participant at a time, the last first");
    same(&one, &made("order", &[&["--participant-label", "02", "01"]]), "with the labels the other way round");
    same(&one, &made("continued", &[&["--participant-label", "01"], &[]]), "half done, then continued");
    same(&one, &made("twice", &[&[], &["--force"]]), "done again");
    fs::remove_file(out("two").join("sub-01/sub-01_success.json")).unwrap();
    fs::write(out("two").join("sub-02/anat/sub-02_desc-preproc_T1w.nii.gz"), "").unwrap();
    same(&one, &made("two", &[&[]]), "mended");
}

#[test]
fn the_same_bytes_wherever_and_for_whomever_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let bids = dir.path().join("bids");
    dataset(&bids);
    let here = dir.path().join("out");
    run([text(&bids), text(&here), "participant"]).exits(0);
    let expected = files(&here);

    let elsewhere = dir.path().join("an other folder/ünd so");
    fs::create_dir_all(&elsewhere).unwrap();
    fs::rename(&bids, elsewhere.join("data")).unwrap();
    let mut other = Command::new("sh");
    other.args(["-c", "umask 077; exec \"$0\" data out participant"]).arg(binary().get_program());
    other.current_dir(&elsewhere).env_clear().env("PATH", "/usr/bin:/bin");
    other.env("TZ", "Pacific/Kiritimati").env("LANG", "de_DE.UTF-8").env("LC_ALL", "tr_TR.UTF-8");
    other.env(NO_TEMPLATE.0, NO_TEMPLATE.1);
    other.env("HOME", elsewhere.join("nobody")).env("USER", "nobody").env("TMPDIR", &elsewhere);
    run_command(&mut other).exits(0);
    let out = elsewhere.join("out");
    same(&expected, &files(&out), "in another folder, time zone, language, home and umask");
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(out.join("sub-01/anat/sub-01_desc-preproc_T1w.nii.gz")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the umask was in force");
}

#[test]
fn tissue_maps_are_the_same_bytes_at_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let bids = dir.path().join("bids");
    run(["synth", text(&bids), "--participants", "1", "--modalities", "T1w", "--voxel-size", "2.5"]).exits(0);
    let images = |threads: &str| -> Files {
        let out = dir.path().join(threads);
        run([text(&bids), text(&out), "participant", "--nprocs", threads]).exits(0);
        files(&out).into_iter().filter(|(path, _)| path.to_string_lossy().ends_with(".nii.gz")).collect()
    };
    let one = images("1");
    assert_eq!(one.len(), 7);
    for threads in ["2", "4", "8"] {
        same(&one, &images(threads), &format!("at {threads} threads"));
    }
}
