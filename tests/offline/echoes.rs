//! The times of a bold run: echoes that belong together, slices taken one after the other; through the program, with tedana and
//! SciPy beside it.

#![allow(clippy::unwrap_used, clippy::panic)] // The lints' exemption does not reach helpers of tests.

use crate::common;
use crate::common::{Ran, binary, run_command, text};
use ndarray::{Array4, Axis};
use nifti::{Grid, Header, Image, Voxels};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Echo times, s.
const TIMES: [f64; 3] = [0.012, 0.028, 0.044];
/// Where the echo of the real run was, s.
const REAL_S: f64 = 0.035;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/heads").join(name)
}

fn write(path: &Path, header: &Header, series: &Array4<f32>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    nifti::write(File::create(path).unwrap(), header, Voxels::Scaled(series.view())).unwrap();
}

fn described(bids: &Path) {
    fs::write(bids.join("dataset_description.json"), r#"{"Name": "times", "BIDSVersion": "1.10.0"}"#).unwrap();
}

/// A place of an echo in the dataset.
fn echo_file(bids: &Path, echo: usize, extension: &str) -> PathBuf {
    bids.join(format!("sub-01/func/sub-01_task-rest_echo-{echo}_bold.{extension}"))
}

/// The echoes of a real run: its own signal before and after, by a T2* that varies over the brain, with noise.
fn multi_echo(bids: &Path) {
    let Image { header, data: real, .. } = nifti::read(&data("sub-pumi_task-rest_bold.nii.gz")).unwrap();
    let (_, nz, ny, nx) = real.dim();
    let noise =
        |t: usize, v: usize, e: usize| (((t * 7919 + v * 104_729 + e * 1_299_709) % 1009) as f32 - 504.0) / 200.0;
    for (e, time) in TIMES.iter().enumerate() {
        let mut echo = real.clone();
        for ((t, k, j, i), v) in echo.indexed_iter_mut() {
            let (x, y, z) = (i as f64 / nx as f64, j as f64 / ny as f64, k as f64 / nz as f64);
            let t2star = 0.02 + 0.03 * x + 0.02 * z * (6.0 * y).sin().powi(2);
            let value = *v * ((REAL_S - time) / t2star).exp() as f32;
            *v = (value + noise(t, (k * ny + j) * nx + i, e)).max(0.0);
        }
        write(&echo_file(bids, e + 1, "nii.gz"), &header, &echo);
        let sidecar = json!({ "EchoTime": time, "RepetitionTime": 2.52, "TaskName": "rest" });
        fs::write(echo_file(bids, e + 1, "json"), sidecar.to_string()).unwrap();
    }
    let anat = bids.join("sub-01/anat");
    fs::create_dir_all(&anat).unwrap();
    std::os::unix::fs::symlink(data("sub-pumi_T1w.nii.gz"), anat.join("sub-01_T1w.nii.gz")).unwrap();
    described(bids);
}

fn edit(path: &Path, change: impl Fn(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

fn run(bids: &Path, out: &Path, more: &[&str]) -> Ran {
    let mut command = binary();
    command.env_remove("NEURO_PREPROCESS_OUTPUT_SPACES");
    command.args([text(bids), text(out), "participant", "--no-report"]).args(more);
    run_command(&mut command)
}

fn sidecar(out: &Path, name: &str) -> Value {
    serde_json::from_slice(&fs::read(out.join("sub-01/func").join(name)).unwrap()).unwrap()
}

fn func(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(out.join("sub-01/func")).unwrap().map(|file| file.unwrap());
    files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
}

/// What the dry run says of the first scan that is to be done.
fn reason(bids: &Path, out: &Path, more: &[&str]) -> String {
    let plan = run(bids, out, &[&["--dry-run", "--format", "json"], more].concat()).exits(0).stdout;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let mut scans = plan["units"].as_array().unwrap().iter().flat_map(|unit| unit["scans"].as_array().unwrap());
    scans.find(|scan| scan["modality"] == "bold").unwrap()["reason"].as_str().unwrap().to_owned()
}

#[test]
fn echoes_of_a_run_are_one_scan_and_tedana_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let (bids, out) = (folder.path().join("bids"), folder.path().join("out"));
    multi_echo(&bids);
    let all = ["--output-spaces", "T1w", "func", "--me-output-echos"];
    let ran = run(&bids, &out, &[&all[..], &["--nprocs", "2"]].concat()).exits(0);
    assert!(ran.last_line().starts_with("2 scans: 2 ok"), "{}", ran.stdout);
    let combined = sidecar(&out, "sub-01_task-rest_desc-preproc_bold.json");
    assert_eq!((&combined["EchoTimes"], &combined["EchoTime"]), (&json!(TIMES), &Value::Null));
    assert_eq!(combined["Sources"].as_array().unwrap().len(), 3);
    assert_eq!(sidecar(&out, "sub-01_task-rest_echo-2_desc-preproc_bold.json")["EchoTime"], json!(TIMES[1]));
    let files = func(&out);
    for space in ["boldref", "T1w"] {
        assert!(files.contains_key(&format!("sub-01_task-rest_space-{space}_T2starmap.nii.gz")), "{:?}", files.keys());
    }

    // The same bytes on one thread, and what the combination is made of is looked at again.
    let again = folder.path().join("again");
    run(&bids, &again, &[&all[..], &["--nprocs", "1"]].concat()).exits(0);
    let second = func(&again);
    assert!(files.keys().eq(second.keys()));
    for (name, bytes) in &files {
        assert!(second[name] == *bytes, "{name}");
    }
    assert_eq!(reason(&bids, &out, &all), "kept");
    assert_eq!(reason(&bids, &out, &[&all[..], &["--bold2anat-init", "header"]].concat()), "option");
    let third = echo_file(&bids, 3, "nii.gz");
    let bytes = fs::read(&third).unwrap();
    fs::write(&third, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(reason(&bids, &out, &all), "input");
    fs::write(&third, &bytes).unwrap();
    assert_eq!(reason(&bids, &out, &all), "kept", "new modification time, same content");
    edit(&echo_file(&bids, 2, "json"), |sidecar| sidecar["EchoTime"] = json!(0.029));
    assert_eq!(reason(&bids, &out, &all), "metadata");
    edit(&echo_file(&bids, 2, "json"), |sidecar| sidecar["EchoTime"] = json!(TIMES[1]));

    let place = |name: &str| out.join("sub-01/func").join(format!("sub-01_task-rest_{name}.nii.gz"));
    let echoes = [1, 2, 3].map(|echo| place(&format!("echo-{echo}_desc-preproc_bold")));
    let times = TIMES.map(|time| PathBuf::from(time.to_string()));
    let maps = ["desc-brain_mask", "space-boldref_T2starmap", "space-boldref_S0map", "desc-preproc_bold"].map(place);
    let named = ["--mask", "--t2star", "--s0", "--combined"].map(Path::new);
    let mut args: Vec<&Path> = echoes.iter().map(PathBuf::as_path).collect();
    args.push(Path::new("--echo-times"));
    args.extend(times.iter().map(PathBuf::as_path));
    args.extend(named.iter().zip(&maps).flat_map(|(name, file)| [*name, file.as_path()]));
    args.push(Path::new("--denoise"));
    if let Some(checked) = common::peer("check_echoes.py", &args) {
        let found: Value = serde_json::from_str(checked.exits(0).stdout.lines().last().unwrap()).unwrap();
        println!("{found:#}");
        let of = |key: &str| found[key].as_f64().unwrap();
        assert!(of("T2*, 99.9 %") < 1e-3 && of("S0, 99.9 %") < 1e-3, "{found}");
        // The weights move with the head, where tedana moves the head and then weighs.
        assert!(of("combined, median") < 1e-3 && of("combined, 99.9 %") < 0.02, "{found}");
        assert!(of("components") > 0.0, "{found}");
    }

    if let Some(checked) = common::peer("check_validator.py", &[&out]) {
        checked.exits(0);
    }

    // What is not asked for any more goes.
    run(&bids, &out, &["--output-spaces", "func", "--force"]).exits(0);
    let left: Vec<String> = func(&out).into_keys().collect();
    assert!(left.iter().all(|name| !name.contains("echo-") && !name.contains("space-T1w")), "{left:?}");
    assert!(left.iter().any(|name| name.contains("space-boldref_T2starmap.nii.gz")), "{left:?}");
}

#[test]
fn echoes_that_do_not_fit_together_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let bids = folder.path().join("bids");
    multi_echo(&bids);
    let (image, plain) = (echo_file(&bids, 2, "nii.gz"), ["--output-spaces", "func", "--modalities", "bold"]);
    let whole = fs::read(&image).unwrap();
    let Image { header, data: series, .. } = nifti::read(&image).unwrap();
    let refused = |what: &str, says: &[&str]| {
        let out = folder.path().join(what);
        let ran = run(&bids, &out, &plain).exits(1);
        for said in ["NP-ECHOES-UNFIT"].iter().chain(says) {
            assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
        }
    };
    let short = series.slice_axis(Axis(0), (0..12).into()).to_owned();
    write(&image, &Header::new(header.grid().clone(), 12, Some(2.52)), &short);
    refused("short", &["echo-2", "12 volumes", "echo-1", "20 volumes"]);
    let mut grid: Grid = header.grid().clone();
    grid.affine[0][3] += 5.0;
    write(&image, &Header::new(grid, 20, Some(2.52)), &series);
    refused("moved", &["echo-2", "different places"]);
    fs::write(&image, whole).unwrap();
    let json = echo_file(&bids, 2, "json");
    for (what, value, says) in [
        ("none", Value::Null, "echo-2_bold has no EchoTime"),
        ("milliseconds", json!(28.0), "is 28.0, which looks like milliseconds; write seconds (0.028)"),
        ("twice", json!(TIMES[0]), "have the same EchoTime"),
    ] {
        edit(&json, |sidecar| {
            let sidecar = sidecar.as_object_mut().unwrap();
            sidecar.remove("EchoTime");
            if !value.is_null() {
                sidecar.insert("EchoTime".into(), value.clone());
            }
        });
        refused(what, &[says]);
    }
    // One echo alone is a run like any other.
    for echo in [2, 3] {
        fs::remove_file(echo_file(&bids, echo, "nii.gz")).unwrap();
    }
    let out = folder.path().join("alone");
    run(&bids, &out, &plain).exits(0);
    assert!(out.join("sub-01/func/sub-01_task-rest_echo-1_desc-preproc_bold.nii.gz").exists());
}

/// Slow waves that a head that does not move has in time, as a share of its signal.
fn wave(seconds: f64, place: usize) -> f64 {
    let of = |hz: f64, phase: f64| (std::f64::consts::TAU * (hz * seconds + phase)).sin();
    // Smooth in space, so that what little is taken for motion does not matter.
    0.01 * (of(0.03, place as f64 / 200.0) + of(0.09, place as f64 / 150.0))
}

#[test]
fn slices_come_to_one_moment_in_every_direction() {
    let folder = tempfile::tempdir().unwrap();
    let Image { header, data: real, .. } = nifti::read(&data("sub-pumi_task-rest_bold.nii.gz")).unwrap();
    let volume = real.mean_axis(Axis(0)).unwrap();
    let (nz, ny, nx) = volume.dim();
    let (volumes, repetition) = (60, 2.0);
    for (direction, slices) in [("k", nz), ("k-", nz), ("i", nx), ("j-", ny)] {
        let bids = folder.path().join(format!("bids-{direction}"));
        // Interleaved, two slices at a time.
        let times: Vec<f64> =
            (0..slices).map(|s| ((s * 7) % slices / 2) as f64 * repetition / slices.div_ceil(2) as f64).collect();
        // The file has the axes of the arrays turned where the header says so: what is listed is of the file's own order.
        let of = |at: [usize; 3]| {
            let axis = "ijk".find(&direction[..1]).unwrap();
            let (place, turned) = header.of_disk_axis(axis).unwrap();
            let index = if turned { slices - 1 - at[place] } else { at[place] };
            if direction.ends_with('-') { times[slices - 1 - index] } else { times[index] }
        };
        let series = Array4::from_shape_fn((volumes, nz, ny, nx), |(t, k, j, i)| {
            let seconds = t as f64 * repetition + of([k, j, i]);
            (f64::from(volume[[k, j, i]]) * (1.0 + wave(seconds, i + j))) as f32
        });
        let image = bids.join("sub-01/func/sub-01_task-rest_bold.nii.gz");
        // In the file's own order and place.
        let like = header.clone().with_tr_seconds(repetition);
        fs::create_dir_all(image.parent().unwrap()).unwrap();
        nifti::write(File::create(&image).unwrap(), &like, Voxels::Float(series.view())).unwrap();
        let told = json!({ "RepetitionTime": repetition, "TaskName": "rest", "SliceTiming": times,
                           "SliceEncodingDirection": direction });
        fs::write(image.with_extension("").with_extension("json"), told.to_string()).unwrap();
        described(&bids);
        let out = folder.path().join(format!("out-{direction}"));
        let own = ["--output-spaces", "func"];
        run(&bids, &out, &own).exits(0);
        let told = sidecar(&out, "sub-01_task-rest_desc-preproc_bold.json");
        let moment = told["StartTime"].as_f64().unwrap();
        let last = times.iter().copied().fold(0.0, f64::max);
        assert!((moment - last / 2.0).abs() < 1e-3 && told["SliceTimingCorrected"] == true, "{told}");

        let place = |name: &str| out.join(format!("sub-01/func/sub-01_task-rest_{name}.nii.gz"));
        let made = nifti::read(&place("desc-preproc_bold")).unwrap().data;
        let mask = nifti::read(&place("desc-brain_mask")).unwrap().data;
        let mean = made.mean_axis(Axis(0)).unwrap();
        let (mut sum, mut before) = (0.0_f64, 0.0_f64);
        for ((t, k, j, i), v) in
            made.indexed_iter().filter(|((t, k, j, i), _)| (2..volumes - 2).contains(t) && mask[[0, *k, *j, *i]] > 0.0)
        {
            let seconds = t as f64 * repetition + moment;
            let is = f64::from(*v) / f64::from(mean[[k, j, i]]) - 1.0;
            let all = (0..volumes).map(|t| wave(t as f64 * repetition + moment, i + j)).sum::<f64>() / volumes as f64;
            sum += (is - (1.0 + wave(seconds, i + j)) / (1.0 + all) + 1.0).powi(2);
            before += (wave(t as f64 * repetition + of([k, j, i]), i + j) - wave(seconds, i + j)).powi(2);
        }
        let left = (sum / before).sqrt();
        println!("{direction}: {left}");
        // What is left is what was taken for motion: brightness that differs from slice to slice looks like some, most across
        // few thin slices. In a wrong order more than 1 would be left.
        let most = if direction.starts_with('k') { 0.15 } else { 0.4 };
        assert!(left < most, "{direction}: {left} of what the times of slices make");

        if direction == "k" {
            assert_eq!(reason(&bids, &out, &own), "kept");
            assert_eq!(reason(&bids, &out, &[&own[..], &["--slice-time-ref", "start"]].concat()), "option");
            let mut args = vec![image.clone(), place("desc-preproc_bold"), place("desc-brain_mask")];
            args.push(moment.to_string().into());
            let on_disk = header.of_disk_axis(2).unwrap();
            assert_eq!(on_disk.0, 0, "the peer takes the third axis of the file");
            args.extend(times.iter().map(|time| PathBuf::from(time.to_string())));
            let args: Vec<&Path> = args.iter().map(PathBuf::as_path).collect();
            if let Some(checked) = common::peer("check_slice_timing.py", &args) {
                let found: Value = serde_json::from_str(checked.exits(0).stdout.lines().last().unwrap()).unwrap();
                println!("{found:#}");
                let of = |key: &str| found[key].as_f64().unwrap();
                assert!(of("apart from Fourier") < 0.04 && of("apart from the scan") > 0.2, "{found}");
            }
            run(&bids, &out, &[&own[..], &["--ignore", "slicetiming"]].concat()).exits(0);
            let told = sidecar(&out, "sub-01_task-rest_desc-preproc_bold.json");
            assert_eq!((&told["StartTime"], &told["SliceTimingCorrected"]), (&json!(0.0), &json!(false)));
            edit(&image.with_extension("").with_extension("json"), |sidecar| {
                sidecar["SliceTiming"].as_array_mut().unwrap().pop();
            });
            run(&bids, &out, &own).exits(0);
            let summary = fs::read_to_string(out.join("sub-01/sub-01_summary.json")).unwrap();
            assert!(
                summary.contains("slice timing is not corrected: there are 25 slice times for 26 slices"),
                "{summary}"
            );
        }
    }
}
