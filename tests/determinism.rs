//! The same inputs give the same bytes: at any number of threads, in one run or many, wherever and for whomever it runs.
//!
//! Everything below the output folder is compared, down to the gzip headers, but for `logs/`, which is about the run and not
//! about the data. What else may differ is what [`normalised`] takes out: times, durations, memory, ids of runs and traces,
//! the folder of the raw dataset.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod common;

use common::{binary, run, run_command};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

type Files = BTreeMap<PathBuf, Vec<u8>>;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Two participants with a T1w image and a short bold run.
fn dataset(root: &Path) {
    run(["synth", text(root), "--participants", "2", "--voxel-size", "6", "--volumes", "8"]).exits(0);
}

/// Every file below an output folder but the logs, as it is compared.
fn files(out: &Path) -> Files {
    let below = |path: &Path| path.strip_prefix(out).unwrap().to_owned();
    walkdir::WalkDir::new(out)
        .into_iter()
        .filter_entry(|e| below(e.path()) != Path::new("logs"))
        .map(|e| e.unwrap().into_path())
        .filter(|path| path.is_file())
        .map(|path| (below(&path), normalised(&path)))
        .collect()
}

fn normalised(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let json = || serde_json::from_slice::<Value>(&bytes).unwrap();
    let text = || String::from_utf8(bytes.clone()).unwrap();
    if name.ends_with("_summary.json") {
        without(json(), &["run_id", "trace_id", "started", "seconds", "stages", "peak_memory_mb"]).into_bytes()
    } else if name.ends_with("_success.json") {
        without(json(), &["finished", "modified"]).into_bytes()
    } else if name == "dataset_description.json" {
        without(json(), &["SourceDatasets", "DatasetLinks"]).into_bytes()
    } else if name.starts_with("group_") && name.ends_with(".tsv") {
        without_column(&text(), "seconds").into_bytes()
    } else if name == "index.html" {
        index(&text()).into_bytes()
    } else if name.ends_with(".html") {
        let timed =
            ["role=\"row\"", "highest memory of the process", "<dt>Trace</dt>", "<dt>Dataset</dt>", "<p>Gathered "];
        lines_without(&text(), &timed).into_bytes()
    } else {
        bytes
    }
}

/// JSON without the members of these names, at any depth; each is there.
fn without(mut value: Value, names: &[&str]) -> String {
    fn remove(value: &mut Value, name: &str) -> usize {
        match value {
            Value::Object(map) => {
                let found = usize::from(map.shift_remove(name).is_some());
                found + map.values_mut().map(|v| remove(v, name)).sum::<usize>()
            }
            Value::Array(list) => list.iter_mut().map(|v| remove(v, name)).sum(),
            _ => 0,
        }
    }
    for name in names {
        assert!(remove(&mut value, name) > 0, "{name} is not there any more");
    }
    value.to_string()
}

fn without_column(table: &str, name: &str) -> String {
    let at = table.lines().next().unwrap().split('\t').position(|title| title == name).unwrap();
    let kept = |line: &str| {
        let cells: Vec<&str> = line.split('\t').enumerate().filter(|(i, _)| *i != at).map(|(_, cell)| cell).collect();
        cells.join("\t") + "\n"
    };
    table.lines().map(kept).collect()
}

fn lines_without(page: &str, parts: &[&str]) -> String {
    page.lines()
        .filter(|line| !parts.iter().any(|part| line.contains(part)))
        .map(|line| line.to_owned() + "\n")
        .collect()
}

/// The report of the dataset without its table of runs, and its data without durations.
fn index(page: &str) -> String {
    let (before, runs) = page.split_once("<section id=\"runs\"").unwrap();
    let page = before.to_owned() + runs.split_once("</section>").unwrap().1;
    let (head, rest) = page.split_once("id=\"data\">").unwrap();
    let (data, tail) = rest.split_once("</script>").unwrap();
    let mut data: Value = serde_json::from_str(data).unwrap();
    data["measures"].as_array_mut().unwrap().retain(|measure| measure["name"] != "seconds");
    lines_without(head, &["<p>Gathered "]) + &without(data, &["seconds"]) + tail
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
    assert_eq!((images, one.len()), (14, 67), "{:?}", one.keys());
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
    other.env("HOME", elsewhere.join("nobody")).env("USER", "nobody").env("TMPDIR", &elsewhere);
    run_command(&mut other).exits(0);
    let out = elsewhere.join("out");
    same(&expected, &files(&out), "in another folder, time zone, language, home and umask");
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(out.join("sub-01/anat/sub-01_desc-preproc_T1w.nii.gz")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the umask was in force");
}

#[test]
fn tissue_maps_are_the_same_bytes_and_change_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let bids = dir.path().join("bids");
    run(["synth", text(&bids), "--participants", "1", "--modalities", "T1w", "--voxel-size", "2.5"]).exits(0);
    let images = |name: &str, options: &[&str]| -> Files {
        let out = dir.path().join(name);
        run([text(&bids), text(&out), "participant"].iter().chain(options)).exits(0);
        files(&out).into_iter().filter(|(path, _)| path.to_string_lossy().ends_with(".nii.gz")).collect()
    };
    let with = images("with", &["--tissues", "--nprocs", "1"]);
    same(&with, &images("eight", &["--tissues", "--nprocs", "8"]), "at 8 threads");
    let without = images("without", &[]);
    assert_eq!((with.len(), without.len()), (7, 3));
    let shared = with.into_iter().filter(|(path, _)| without.contains_key(path)).collect();
    same(&without, &shared, "beside tissue maps");
}
