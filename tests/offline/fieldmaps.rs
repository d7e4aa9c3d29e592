//! Fieldmaps: found by what the sidecars say, used, checked against the T1w image, and told of; through the program, on heads whose
//! field is known and on a real one.

#![allow(clippy::unwrap_used, clippy::panic)] // The lints' exemption does not reach helpers of tests.

use crate::common;
use crate::common::{Ran, binary, run_command, text};
use ndarray::Array3;
use phantom::{FieldmapDataset, FieldmapKind, FieldmapLink, FieldmapTruth, PhaseEncoding, write_fieldmap_dataset};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

fn run(bids: &Path, out: &Path, more: &[&str]) -> Ran {
    let mut command = binary();
    command.env_remove("NEURO_PREPROCESS_OUTPUT_SPACES");
    command.args([text(bids), text(out), "participant", "--nprocs", "2"]).args(more);
    run_command(&mut command)
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn edit(path: &Path, change: impl Fn(&mut Value)) {
    let mut value = json_of(path);
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// The bold run in the summary.
fn summary(out: &Path) -> Value {
    let summary = json_of(&out.join("sub-01/sub-01_summary.json"));
    summary["scans"].as_array().unwrap().iter().find(|scan| scan["modality"] == "bold").unwrap().clone()
}

/// The fieldmap of the bold run as `list` has it.
fn listed(bids: &Path) -> Value {
    let list = run_command(binary().args(["list", text(bids), "--format", "json"])).exits(0).stdout;
    let list: Value = serde_json::from_str(&list).unwrap();
    let scans = list["units"][0]["scans"].as_array().unwrap();
    scans.iter().find(|scan| scan["modality"] == "bold").unwrap()["fieldmap"].clone()
}

/// Why the bold run is done again, and whether the T1w image is.
fn reasons(bids: &Path, out: &Path, more: &[&str]) -> (String, String) {
    let plan = run(bids, out, &[&["--dry-run", "--format", "json"], more].concat()).exits(0).stdout;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let scans = plan["units"][0]["scans"].as_array().unwrap();
    let of = |modality| scans.iter().find(|scan| scan["modality"] == modality).unwrap()["reason"].as_str().unwrap();
    (of("bold").to_owned(), of("T1w").to_owned())
}

/// A head of which all is known, coarse so that it is quick.
fn known(folder: &Path, kind: FieldmapKind, link: FieldmapLink, direction: usize) -> (PathBuf, FieldmapTruth) {
    let bids = folder.join("bids");
    let dataset = FieldmapDataset {
        link,
        direction: PhaseEncoding::ALL[direction],
        readout_s: 0.02,
        voxel_mm: 2.5,
        bold_voxel_mm: [4.5; 3],
        volumes: 8,
        ..FieldmapDataset::new(2, kind)
    };
    let truth = write_fieldmap_dataset(&bids, &dataset).unwrap();
    (bids, truth)
}

fn image(path: &Path) -> Array3<f32> {
    nifti::read(path).unwrap().data.index_axis_move(ndarray::Axis(0), 0)
}

fn correlation(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len() as f32;
    let (ma, mb) = (a.iter().sum::<f32>() / n, b.iter().sum::<f32>() / n);
    let product = a.iter().zip(b).map(|(a, b)| (a - ma) * (b - mb)).sum::<f32>();
    let square = |v: &[f32], m: f32| v.iter().map(|v| (v - m).powi(2)).sum::<f32>();
    product / (square(a, ma) * square(b, mb)).sqrt()
}

fn func(out: &Path, name: &str) -> PathBuf {
    out.join("sub-01/func").join(format!("sub-01_task-rest_{name}"))
}

/// Mean error of the field in the brain, voxels, without a constant; how alike the mean is to the undistorted one, before and after.
fn errors(out: &Path, truth: &FieldmapTruth, readout: f32) -> (f32, [f32; 2]) {
    let epi = truth.run.epi.as_ref().unwrap();
    let folder = fs::read_dir(out.join("sub-01/fmap")).unwrap().map(|file| file.unwrap().path());
    let hz = folder.into_iter().find(|path| text(path).ends_with("desc-preproc_fieldmap.nii.gz")).unwrap();
    let (hz, brain) = (image(&hz), &truth.run.brain);
    let inside = |volume: &Array3<f32>| -> Vec<f32> {
        volume.iter().zip(brain).filter(|(_, b)| **b != 0).map(|(v, _)| *v).collect()
    };
    let mut apart = inside(&((&hz - &epi.hz) * readout));
    apart.sort_by(f32::total_cmp);
    let middle = apart[apart.len() / 2];
    let error = apart.iter().map(|v| (v - middle).abs()).sum::<f32>() / apart.len() as f32;
    let mean = image(&func(out, "boldref.nii.gz")) * image(&func(out, "desc-biasfield_boldref.nii.gz"));
    let like = |volume: &Array3<f32>| correlation(&inside(volume), &inside(&epi.undistorted));
    (error, [like(&epi.distorted), like(&mean)])
}

#[test]
fn every_kind_of_fieldmap_puts_signal_back() {
    use FieldmapKind::{Hertz, Opposite, Pair, PhaseDifference, TwoPhases};
    // One of each, tied to the run in every way, along both axes and both ways.
    for (kind, link, direction, told) in [
        (PhaseDifference, FieldmapLink::Uri, 3, ["phase difference", "IntendedFor"]),
        (TwoPhases, FieldmapLink::Relative, 2, ["two phases", "IntendedFor"]),
        (Hertz, FieldmapLink::Identifier, 3, ["fieldmap", "B0FieldSource"]),
        (Pair, FieldmapLink::Identifier, 1, ["opposite phase encoding", "B0FieldSource"]),
        (Opposite, FieldmapLink::Uri, 3, ["opposite phase encoding", "IntendedFor"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (bids, truth) = known(folder.path(), kind, link, direction);
        let out = folder.path().join("out");
        run(&bids, &out, &["--output-spaces", "T1w", "func"]).exits(0);
        let run = summary(&out);
        let found = &run["distortion"];
        assert_eq!(found["corrected"], true, "{run:#}");
        assert_eq!([&found["kind"], &found["by"]], told, "{found}");
        let listed = listed(&bids);
        assert_eq!([&listed["kind"], &listed["by"], &listed["id"]], [&found["kind"], &found["by"], &found["fieldmap"]]);
        let likeness = ["reversed", "uncorrected", "corrected"].map(|of| found["likeness"][of].as_f64().unwrap());
        assert!(likeness.is_sorted(), "{likeness:?}");

        let (error, [before, after]) = errors(&out, &truth, 0.02);
        println!("{told:?}: {error:.3} voxels, {before:.3} to {after:.3}");
        assert!(error < 0.03, "{told:?} {error}");
        assert!(after > 0.95 && after > before + 0.1, "{told:?} {before} {after}");

        let id = found["fieldmap"].as_str().unwrap();
        let sidecar = json_of(&func(&out, "space-T1w_desc-preproc_bold.json"));
        assert_eq!(sidecar["DistortionCorrection"]["files"], found["files"]);
        assert!(func(&out, &format!("from-boldref_to-{id}_mode-image_xfm.txt")).exists());
        let points = out.join(format!("sub-01/fmap/sub-01_task-rest_fmapid-{id}_desc-coeff_fieldmap.nii.gz"));
        assert!(points.exists(), "{told:?}");
        let page = fs::read_to_string(out.join("sub-01.html")).unwrap();
        assert!(page.contains("before and after the correction") && page.contains(told[0]), "{told:?}");
        if kind == Pair
            && let Some(checked) = common::peer("check_validator.py", &[&bids, &out])
        {
            checked.exits(0);
        }
    }
}

#[test]
fn axes_may_be_stored_in_any_order_and_either_way_round() {
    // Every direction along the head; each way a file can be stored meets some of them, and every letter is met.
    let stored = ["LAS", "RAS", "LPS", "PIR", "SLA", "ASR"];
    let mut letters = std::collections::BTreeSet::new();
    for (n, direction) in PhaseEncoding::ALL.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let bids = folder.path().join("bids");
        let dataset = FieldmapDataset {
            direction,
            readout_s: 0.02,
            voxel_mm: 6.0,
            bold_voxel_mm: [5.0; 3],
            volumes: 6,
            slice_timing: false,
            ..FieldmapDataset::new(3, FieldmapKind::Hertz)
        };
        let truth = write_fieldmap_dataset(&bids, &dataset).unwrap();
        fs::remove_dir_all(bids.join("sub-01/anat")).unwrap();
        let mut images = truth.fmap.clone();
        images.push(truth.bold.clone());
        for turn in [0, 3] {
            let name = stored[(n + turn) % stored.len()];
            let axes = common::stored::axes(name);
            let out = folder.path().join(name);
            images.iter().for_each(|image| common::stored::store(image, axes));
            let letter = common::stored::direction(direction.axis(), direction.is_negative(), axes);
            edit(&bids.join("sub-01/func/sub-01_task-rest_bold.json"), |sidecar| {
                sidecar["PhaseEncodingDirection"] = json!(letter);
            });
            run(&bids, &out, &["--output-spaces", "func", "--no-report"]).exits(0);
            let told = summary(&out)["distortion"].clone();
            assert!(told["corrected"] == true && told["direction"] == json!(letter), "{name} {letter}: {told}");
            let (error, [before, after]) = errors(&out, &truth, 0.02);
            println!("{name} {direction} as {letter}: {error:.3} voxels, {before:.3} to {after:.3}");
            // Along z the signal of several voxels lies in one, and does not come back whole.
            assert!(error < 0.03 && after > 0.85 && after > before + 0.1, "{name} {letter}: {error} {before} {after}");
            letters.insert(letter);
        }
    }
    assert_eq!(letters.len(), 6, "{letters:?}");
}

#[test]
fn a_pair_of_options_that_contradict_each_other_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (bids, out) = (folder.path().join("bids"), folder.path().join("out"));
    fs::create_dir(&bids).unwrap();
    let ran = run(&bids, &out, &["--ignore", "fieldmaps", "--use-fieldmap", "always"]);
    let said = ran.exits(64).stderr;
    assert!(said.contains("--ignore fieldmaps") && said.contains("--use-fieldmap always"), "{said}");
}

#[test]
fn loose_scans_get_no_fieldmap_which_is_said_and_its_images_are_no_heads() {
    let folder = tempfile::tempdir().unwrap();
    let (bids, truth) = known(folder.path(), FieldmapKind::PhaseDifference, FieldmapLink::Relative, 3);
    let plan = |arguments: &[&str]| {
        let out = folder.path().join("loose");
        let mut command = binary();
        command.args(arguments).args(["-o", text(&out), "--dry-run"]);
        run_command(&mut command).exits(0).stdout
    };
    let said = plan(&["process", text(&truth.bold)]);
    assert_eq!(said.matches("distortion of bold runs is not corrected").count(), 1, "{said}");
    let said = plan(&["batch", text(&bids.join("sub-01"))]);
    assert_eq!(said.matches("an image of a fieldmap, not a scan of its own").count(), 3, "{said}");
    assert!(said.contains("2 scans in") && said.contains("sub-01_magnitude1.nii.gz"), "{said}");
    assert!(!plan(&["process", text(&truth.t1w)]).contains("distortion of bold runs"));
}

#[test]
fn a_wrong_sign_is_left_out_unless_forced_and_only_what_changed_is_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let (bids, _) = known(folder.path(), FieldmapKind::PhaseDifference, FieldmapLink::Relative, 3);
    let (out, own) = (folder.path().join("out"), ["--output-spaces", "T1w", "func"]);
    let sidecar = bids.join("sub-01/func/sub-01_task-rest_bold.json");
    assert_eq!(json_of(&sidecar)["PhaseEncodingDirection"], "j-");
    run(&bids, &out, &own).exits(0);
    let right = fs::read(func(&out, "desc-preproc_bold.nii.gz")).unwrap();
    let kept = || reasons(&bids, &out, &own);
    assert_eq!(kept(), ("kept".into(), "kept".into()));

    // The file of the fieldmap.
    let phase = bids.join("sub-01/fmap/sub-01_phasediff.nii.gz");
    let bytes = fs::read(&phase).unwrap();
    fs::write(&phase, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(kept(), ("input".into(), "kept".into()));
    fs::write(&phase, &bytes).unwrap();
    assert_eq!(kept(), ("kept".into(), "kept".into()), "new modification time, same content");
    // What is said of it.
    let of_phase = phase.with_extension("").with_extension("json");
    let before = fs::read(&of_phase).unwrap();
    edit(&of_phase, |sidecar| sidecar["EchoTime2"] = json!(0.0075));
    assert_eq!(kept(), ("metadata".into(), "kept".into()));
    fs::write(&of_phase, before).unwrap();
    assert_eq!(reasons(&bids, &out, &["--output-spaces", "T1w", "func", "--use-fieldmap", "always"]).0, "option");

    // Without it: the files it had left go, and the run is what it is without.
    let ignored = [&own[..], &["--ignore", "fieldmaps"]].concat();
    run(&bids, &out, &ignored).exits(0);
    assert_eq!(summary(&out)["distortion"], json!({ "corrected": false, "why": "--ignore fieldmaps" }));
    assert!(fs::read_dir(out.join("sub-01/fmap")).unwrap().next().is_none());
    assert!(!func(&out, "from-boldref_to-auto00000_mode-image_xfm.txt").exists());
    let without = fs::read(func(&out, "desc-preproc_bold.nii.gz")).unwrap();
    assert!(without != right);

    // The other way round.
    edit(&sidecar, |sidecar| sidecar["PhaseEncodingDirection"] = json!("j"));
    let ran = run(&bids, &out, &own).exits(0);
    let found = summary(&out)["distortion"].clone();
    let why = found["why"].as_str().unwrap();
    assert!(found["corrected"] == false && why.contains("opposite sign fits better"), "{found}");
    assert!(ran.stderr.contains(why), "{}", ran.stderr);
    assert!(fs::read(func(&out, "desc-preproc_bold.nii.gz")).unwrap() == without);
    assert_eq!(kept().0, "kept", "it is done, without");
    run(&bids, &out, &[&own[..], &["--strict"]].concat()).exits(1);
    run(&bids, &out, &[&own[..], &["--use-fieldmap", "always"]].concat()).exits(0);
    let found = summary(&out)["distortion"].clone();
    assert!(found["corrected"] == true && found["doubts"].to_string().contains("opposite sign"), "{found}");
    edit(&sidecar, |sidecar| sidecar["PhaseEncodingDirection"] = json!("j-"));
    run(&bids, &out, &own).exits(0);
    assert!(fs::read(func(&out, "desc-preproc_bold.nii.gz")).unwrap() == right, "the same bytes again");
}

/// A real run with its fieldmap.
fn real(bids: &Path) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/heads");
    for (of, place) in [
        ("T1w.nii.gz", "anat/sub-01_T1w.nii.gz"),
        ("task-rest_bold.nii.gz", "func/sub-01_task-rest_bold.nii.gz"),
        ("task-rest_bold.json", "func/sub-01_task-rest_bold.json"),
        ("phasediff.nii.gz", "fmap/sub-01_phasediff.nii.gz"),
        ("magnitude1.nii.gz", "fmap/sub-01_magnitude1.nii.gz"),
    ] {
        let to = bids.join("sub-01").join(place);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(data.join(format!("sub-pumi_{of}")), to).unwrap();
    }
    let phase =
        json!({ "EchoTime1": 0.00492, "EchoTime2": 0.00738, "IntendedFor": "func/sub-01_task-rest_bold.nii.gz" });
    fs::write(bids.join("sub-01/fmap/sub-01_phasediff.json"), phase.to_string()).unwrap();
    fs::write(bids.join("dataset_description.json"), r#"{"Name": "real", "BIDSVersion": "1.10.0"}"#).unwrap();
}

#[test]
fn a_real_run_is_more_like_its_t1w_image_for_its_fieldmap() {
    let folder = tempfile::tempdir().unwrap();
    let (bids, out) = (folder.path().join("bids"), folder.path().join("out"));
    real(&bids);
    run(&bids, &out, &["--output-spaces", "MNI152NLin2009cAsym:res-2", "func"]).exits(0);
    let found = summary(&out)["distortion"].clone();
    let likeness = ["reversed", "uncorrected", "corrected"].map(|of| found["likeness"][of].as_f64().unwrap());
    assert!(found["corrected"] == true && likeness.is_sorted(), "{found:#}");
    // Scanned with 94 lines, brought to 46: the sidecar's echo spacing is of the first.
    assert!((found["readout_s"].as_f64().unwrap() - 0.000_325 * 46.0).abs() < 4e-4, "{found}");
    // In each way broken: without it, or refused, and why is said.
    let (phase, bold) =
        (bids.join("sub-01/fmap/sub-01_phasediff.json"), bids.join("sub-01/func/sub-01_task-rest_bold.json"));
    let own = ["--output-spaces", "func", "--modalities", "bold"];
    let says = |what: &str, said: &str, listed_too: bool| {
        if listed_too {
            let listed = listed(&bids);
            assert!(listed["kind"].is_null() && listed["why"].as_str().unwrap().contains(said), "{what}: {listed}");
        }
        let out = folder.path().join(what);
        let ran = run(&bids, &out, &own).exits(0);
        let found = summary(&out)["distortion"].clone();
        assert!(found["corrected"] == false && found["why"].as_str().unwrap().contains(said), "{what}: {found}");
        assert!(ran.stderr.contains(said), "{what}: {}", ran.stderr);
        assert!(!out.join("sub-01/fmap").exists(), "{what}");
    };
    let broken = |file: &Path, what: &str, key: &str, value: Value, said: &str| {
        let before = fs::read(file).unwrap();
        edit(file, |sidecar| {
            let sidecar = sidecar.as_object_mut().unwrap();
            sidecar.remove(key);
            if !value.is_null() {
                sidecar.insert(key.into(), value.clone());
            }
        });
        says(what, said, true);
        fs::write(file, before).unwrap();
    };
    broken(&phase, "no-time", "EchoTime1", Value::Null, "phasediff has no EchoTime1 in its sidecar");
    broken(&phase, "milliseconds", "EchoTime2", json!(7.38), "write seconds");
    broken(&phase, "other-run", "IntendedFor", json!("func/sub-01_task-x_bold.nii.gz"), "no fieldmap names this run");
    broken(&phase, "nothing-said", "IntendedFor", Value::Null, "no sidecar of the fieldmaps has IntendedFor");
    broken(&bold, "no-direction", "PhaseEncodingDirection", Value::Null, "no usable PhaseEncodingDirection");
    broken(&bold, "wrong-direction", "PhaseEncodingDirection", json!("A>>P"), "write i, i-, j, j-, k or k-");
    broken(
        &bold,
        "no-readout",
        "EffectiveEchoSpacing",
        Value::Null,
        "neither TotalReadoutTime nor EffectiveEchoSpacing",
    );
    broken(&bold, "other-source", "B0FieldSource", json!("x"), "B0FieldSource is \"x\"");
    let magnitude = bids.join("sub-01/fmap/sub-01_magnitude1.nii.gz");
    let aside = folder.path().join("magnitude");
    fs::rename(&magnitude, &aside).unwrap();
    says("no-magnitude", "no magnitude image beside it", true);
    // What only the images themselves tell.
    let image = nifti::read(&aside).unwrap();
    let flat = ndarray::Array4::from_elem(image.data.dim(), 1.0);
    fs::rename(&aside, &magnitude).unwrap();
    let phase = bids.join("sub-01/fmap/sub-01_phasediff.nii.gz");
    nifti::write(fs::File::create(&phase).unwrap(), &image.header, nifti::Voxels::Float(flat.view())).unwrap();
    says("flat", "the same everywhere", false);
    fs::write(&phase, b"no image").unwrap();
    says("no-image", "sub-01_phasediff.nii.gz", false);
}

#[test]
fn each_run_gets_the_fieldmap_that_sdcflows_and_fmriprep_give_it() {
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_neuro-preprocess"));
    let Some(checked) = common::fmriprep("check_fieldmaps.py", &[program, folder.path()]) else { return };
    let rows = checked.exits(0).stdout;
    let same = rows.lines().filter(|row| row.starts_with("same\t")).count();
    assert!(same > 80 && !rows.contains("DIFFERS"), "{rows}");
}
