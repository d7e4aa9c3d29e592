//! T1w images in the space of templates: real heads through the whole program, read by the tools that people use next.

#![allow(clippy::unwrap_used, clippy::panic)] // The lints' exemption does not reach helpers of tests.

use crate::common;
use crate::common::{Ran, binary, install, run_command, text};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const BUILT_IN: &str = "MNI152NLin2009cAsym";

/// A dataset of one of the real heads in `tests/data/heads`.
fn dataset(folder: &Path, head: &str) -> PathBuf {
    let bids = folder.join("bids");
    let anat = bids.join("sub-01/anat");
    fs::create_dir_all(&anat).unwrap();
    fs::write(bids.join("dataset_description.json"), r#"{"Name": "heads", "BIDSVersion": "1.10.0"}"#).unwrap();
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/heads/sub-{head}_T1w.nii.gz"));
    symlink(image, anat.join("sub-01_T1w.nii.gz")).unwrap();
    bids
}

/// A run over a dataset, with the spaces that are the default unless `more` says otherwise.
fn command(bids: &Path, out: &Path, templates: Option<&Path>, more: &[&str]) -> Command {
    let mut command: Command = binary();
    command.env_remove("NEURO_PREPROCESS_OUTPUT_SPACES");
    if let Some(home) = templates {
        command.env("TEMPLATEFLOW_HOME", home);
    }
    command.args([text(bids), text(out), "participant", "--no-report"]).args(more);
    command
}

fn run(bids: &Path, out: &Path, templates: Option<&Path>, more: &[&str]) -> Ran {
    run_command(&mut command(bids, out, templates, more))
}

fn summary(out: &Path) -> Value {
    let summary: Value = serde_json::from_slice(&fs::read(out.join("sub-01/sub-01_summary.json")).unwrap()).unwrap();
    summary["scans"][0].clone()
}

/// Names and bytes of the files of the scan.
fn anat(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(out.join("sub-01/anat")).unwrap().map(|file| file.unwrap());
    files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
}

#[test]
fn without_network_and_templates_a_head_comes_to_mni_and_readers_agree() {
    let folder = tempfile::tempdir().unwrap();
    let (bids, out) = (dataset(folder.path(), "lh06"), folder.path().join("out"));
    run(&bids, &out, None, &["--nprocs", "2"]).exits(0);
    let scan = summary(&out);
    let fit = &scan["normalization"][0];
    assert_eq!((fit["template"].as_str(), fit["origin"].as_str()), (Some(BUILT_IN), Some("built-in")));
    let of = |key: &str| fit[key].as_f64().unwrap();
    assert!(of("likeness") > 0.7 && of("likeness") > of("likeness_before") && of("mask_overlap") > 0.97, "{fit}");
    assert!(of("folds") == 0.0 && of("jacobian_min") > 0.25 && of("round_trip_mm") < 0.12, "{fit}");
    assert_eq!(fit["doubts"], serde_json::json!([]));

    // The same bytes at any number of threads.
    let again = folder.path().join("again");
    run(&bids, &again, None, &["--nprocs", "1"]).exits(0);
    let (first, second) = (anat(&out), anat(&again));
    assert_eq!(first.keys().collect::<Vec<_>>(), second.keys().collect::<Vec<_>>());
    for (name, bytes) in &first {
        assert!(second[name] == *bytes, "{name}");
    }

    // Killed while the brain is brought to the template, and run once more: the same bytes again.
    let killed = folder.path().join("killed");
    let mut command = command(&bids, &killed, None, &["--nprocs", "1", "--verbose"]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("spatial_normalization")), "the stage is not named");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!killed.join("sub-01/anat").exists() || anat(&killed).is_empty(), "something was written before the end");
    run(&bids, &killed, None, &[]).exits(0);
    assert!(anat(&killed) == first, "other bytes after a kill");

    let Some(checked) = common::peer("check_templates.py", &[&out, Path::new("01"), Path::new(BUILT_IN)]) else {
        return;
    };
    let found: Value = serde_json::from_str(&checked.exits(0).stdout).unwrap();
    println!("{found:#}");
    let of = |key: &str| found[key].as_f64().unwrap_or_else(|| panic!("{key} in {found}"));
    assert!(of("image, share of range, 99.9 %") < 1e-3 && of("image, largest share of range") < 0.01, "{found}");
    assert_eq!(of("outside the brain"), 0.0);
    assert!(of("there and back, mean mm") < 0.12 && of("there and back, largest mm") < 1.5, "{found}");
    // It interpolates displacements by cubic splines, ITK and we linearly.
    assert!(of("nitransforms, mean mm") < 0.2, "{found}");
    assert!(of("least sum of probabilities, 5 %") > 0.6, "{found}");
    for what in ["t1w", "mask in template space", "labels", "labels in template space", "probability of GM"] {
        assert_eq!(of(what), 1.0, "{what} in {found}");
    }
    let names = [
        format!("sub-01_from-{BUILT_IN}_to-T1w_mode-image_xfm.h5"),
        format!("sub-01_from-T1w_to-{BUILT_IN}_mode-image_xfm.h5"),
    ];
    assert_eq!(found["transforms"], serde_json::json!(names));
}

/// A folder of templates with a brain of its own in it: that of a real head, under a name of TemplateFlow.
fn templateflow(folder: &Path) -> PathBuf {
    let heads = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/heads");
    let home = folder.join("templateflow");
    let template = home.join("tpl-MNI152NLin6Asym");
    fs::create_dir_all(&template).unwrap();
    for (from, to) in [("T1w", "T1w"), ("desc-reference_mask", "desc-brain_mask")] {
        let name = format!("tpl-MNI152NLin6Asym_res-02_{to}.nii.gz");
        symlink(heads.join(format!("sub-lh01_{from}.nii.gz")), template.join(name)).unwrap();
    }
    home
}

#[test]
fn templates_of_the_site_are_read_and_what_is_asked_for_later_is_added() {
    let folder = tempfile::tempdir().unwrap();
    let (bids, out) = (dataset(folder.path(), "lh06"), folder.path().join("out"));
    let home = templateflow(folder.path());
    let other = ["--output-spaces", "MNI152NLin6Asym:res-native", "func"];
    run(&bids, &out, Some(&home), &other).exits(0);
    let names = || anat(&out).into_keys().filter(|n| n.contains("MNI")).collect::<Vec<_>>();
    assert!(names().iter().all(|name| name.contains("MNI152NLin6Asym")), "{:?}", names());
    assert!(names().contains(&"sub-01_space-MNI152NLin6Asym_res-native_dseg.nii.gz".to_owned()), "{:?}", names());
    let sidecar = fs::read(out.join("sub-01/anat/sub-01_from-T1w_to-MNI152NLin6Asym_mode-image_xfm.json")).unwrap();
    let sidecar: Value = serde_json::from_slice(&sidecar).unwrap();
    assert!(sidecar["TemplateSources"][0].as_str().unwrap().contains("tpl-MNI152NLin6Asym_res-02_T1w.nii.gz"));

    let again = run(&bids, &out, Some(&home), &other).exits(0);
    assert!(again.stdout.contains("already done"), "{}", again.stdout);
    // Another space is made; what an earlier run left in one that is not asked for is not left to look like new.
    run(&bids, &out, Some(&home), &[]).exits(0);
    assert!(names().iter().all(|name| name.contains(BUILT_IN)), "{:?}", names());
}

#[test]
fn a_template_that_cannot_be_had_is_said_before_anything_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let (bids, out) = (dataset(folder.path(), "lh06"), folder.path().join("out"));
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for (space, code, said) in [
        ("MNI152NLin6Asym:res-2", "NP-TEMPLATE-MISSING", "templateflow"),
        ("MNI152NLin2009", "NP-USAGE", "did you mean MNI152NLin2009c"),
        ("fsaverage5", "NP-USAGE", "surface"),
        ("MNI152NLin2009cAsym:res-7", "NP-TEMPLATE-MISSING", "res-7"),
    ] {
        let ran = run(&bids, &out, Some(&empty), &["--output-spaces", space]);
        assert!(ran.stderr.contains(code) && ran.stderr.contains(said), "{ran:?}");
        assert!(!out.exists(), "{space}");
        let ran = run(&bids, &out, Some(&empty), &["--dry-run", "--output-spaces", space]);
        assert!(ran.stderr.contains(code), "{ran:?}");
    }
}

#[test]
fn a_header_upside_down_is_seen_and_the_brain_comes_to_the_template_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let bids = dataset(folder.path(), "lh06");
    let path = bids.join("sub-01/anat/sub-01_T1w.nii.gz");
    let image = nifti::read(&path).unwrap();
    let mut turned = image.data.clone();
    turned.invert_axis(ndarray::Axis(1));
    turned.invert_axis(ndarray::Axis(2));
    fs::remove_file(&path).unwrap();
    let header = nifti::Header::new(image.header.grid().clone(), 1, None);
    let file = fs::File::create(path.with_extension("")).unwrap();
    nifti::write(file, &header, nifti::Voxels::Float(turned.as_standard_layout().view())).unwrap();
    fs::rename(path.with_extension(""), bids.join("sub-01/anat/sub-01_T1w.nii.gz")).unwrap();
    let out = folder.path().join("out");
    run(&bids, &out, None, &[]).exits(0);
    let scan = summary(&out);
    let fit = &scan["normalization"][0];
    assert_eq!(fit["doubts"], serde_json::json!(["header_orientation"]), "{scan}");
    assert!(fit["affine_correlation"].as_f64().unwrap() > 0.85, "{fit}");
    assert!(scan["quality_score"].as_f64().unwrap() <= 50.0);
    assert!(scan["notes"].to_string().contains("RPI"), "{}", scan["notes"]);
    run(&bids, &folder.path().join("strict"), None, &["--strict"]).exits(1);
}

/// Writes `data` as `name` in the folder of the images, on the grid of `like`.
fn write_image(anat: &Path, name: &str, like: &nifti::Image, data: &ndarray::Array4<f32>) {
    let header = nifti::Header::new(like.header.grid().clone(), 1, None);
    let _ = fs::remove_file(anat.join(name));
    let plain = anat.join("plain.nii");
    nifti::write(fs::File::create(&plain).unwrap(), &header, nifti::Voxels::Float(data.view())).unwrap();
    fs::rename(plain, anat.join(name)).unwrap();
}

/// Where the T1w image is for points of the template.
fn to_t1w(out: &Path) -> itk::Composite {
    let file = out.join(format!("sub-01/anat/sub-01_from-T1w_to-{BUILT_IN}_mode-image_xfm.h5"));
    itk::read_h5(std::io::BufReader::new(fs::File::open(file).unwrap())).unwrap()
}

#[test]
fn a_lesion_pulls_less_when_a_mask_says_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (bids, healthy) = (dataset(folder.path(), "lh06"), folder.path().join("healthy"));
    let anat = bids.join("sub-01/anat");
    run(&bids, &healthy, None, &[]).exits(0);
    // A ball as bright as fluid in white matter, and its mask.
    let image = nifti::read(&anat.join("sub-01_T1w.nii.gz")).unwrap();
    let grid = image.header.grid();
    let (centre, radius) = ([-22.0, -20.0, 30.0], 14.0);
    let there = to_t1w(&healthy).map(centre);
    let distance = |k: usize, j: usize, i: usize| {
        let p = imaging::rigid::apply(&grid.affine, [i as f64, j as f64, k as f64]);
        (0..3).map(|a| (p[a] - there[a]).powi(2)).sum::<f64>().sqrt()
    };
    let mut ill = image.data.clone();
    ill.indexed_iter_mut().filter(|((_, k, j, i), _)| distance(*k, *j, *i) < radius).for_each(|(_, v)| *v *= 0.15);
    let mask =
        ndarray::Array4::from_shape_fn(ill.dim(), |(_, k, j, i)| f32::from(u8::from(distance(k, j, i) < radius + 1.0)));
    write_image(&anat, "sub-01_T1w.nii.gz", &image, &ill);
    let seen = folder.path().join("seen");
    run(&bids, &seen, None, &[]).exits(0);
    assert_eq!(summary(&seen)["normalization"][0]["lesion_ml"], Value::Null);
    let unmasked = to_t1w(&seen);
    // Regions that are no lesions are left alone.
    write_image(&anat, "sub-01_label-eloquent_roi.nii.gz", &image, &mask);
    write_image(&anat, "sub-01_T1w_label-lesion_roi.nii.gz", &image, &mask);
    let listed = run_command(binary().args(["list", text(&bids)])).exits(0).stdout;
    assert!(listed.contains("lesion mask sub-01/anat/sub-01_T1w_label-lesion_roi.nii.gz"), "{listed}");
    assert!(listed.contains("not named a lesion"), "{listed}");
    // A mask that is new makes the scan be done again.
    run(&bids, &seen, None, &[]).exits(0);
    let scan = summary(&seen);
    let ml = scan["normalization"][0]["lesion_ml"].as_f64().unwrap();
    assert!((12.0..15.0).contains(&ml), "{scan}");
    assert!(scan["notes"].to_string().contains("ml of lesion"), "{scan}");
    let maps = [to_t1w(&healthy), to_t1w(&seen), unmasked];
    let (mut off, mut n) = ([0.0, 0.0], 0.0);
    for step in 0..15_usize.pow(3) {
        let at = [step % 15, step / 15 % 15, step / 225].map(|v| 2.0 * (v as f64 - 7.0));
        if at.iter().map(|v| v * v).sum::<f64>() > 14.0 * 14.0 {
            continue;
        }
        let p: [f64; 3] = std::array::from_fn(|a| centre[a] + at[a]);
        let [truth, masked, unmasked] = maps.each_ref().map(|map| map.map(p));
        let from = |q: [f64; 3]| (0..3).map(|a| (q[a] - truth[a]).powi(2)).sum::<f64>().sqrt();
        off = [off[0] + from(masked), off[1] + from(unmasked)];
        n += 1.0;
    }
    let [masked_mm, unmasked_mm] = off.map(|sum| sum / n);
    println!("in the lesion: {masked_mm:.2} mm with its mask, {unmasked_mm:.2} mm without");
    assert!(masked_mm < 0.4 * unmasked_mm, "{masked_mm} {unmasked_mm}");

    // One on no brain is odd; one whose content changes is read again.
    let again = run(&bids, &seen, None, &[]).exits(0);
    assert!(again.stdout.contains("already done"), "{}", again.stdout);
    let name = "sub-01_T1w_label-lesion_roi.nii.gz";
    write_image(&anat, name, &image, &mask.mapv(|_| 0.0));
    run(&bids, &seen, None, &[]).exits(0);
    assert!(summary(&seen)["notes"].to_string().contains("no lesion inside the brain"), "{}", summary(&seen));
    run(&bids, &folder.path().join("strict"), None, &["--strict"]).exits(1);
    // One that cannot be read is not left out in silence.
    fs::write(anat.join(name), b"no image").unwrap();
    run(&bids, &seen, None, &[]).exits(1);
}

/// The template as NiMARE packs it, under the names of TemplateFlow.
fn nlin6(home: &Path) -> Option<PathBuf> {
    let python = install::or_skip("NiMARE", install::packed("nlin6", "tests/peers/requirements-nlin6.txt"))?;
    let packages =
        fs::read_dir(python.parent().unwrap().parent().unwrap().join("lib")).unwrap().next().unwrap().unwrap();
    let packed = packages.path().join("site-packages/nimare/resources/templates");
    let template = home.join("tpl-MNI152NLin6Asym");
    fs::create_dir_all(&template).unwrap();
    for name in ["res-01_T1w", "res-01_desc-brain_mask", "res-02_T1w", "res-02_desc-brain_mask"] {
        let name = format!("tpl-MNI152NLin6Asym_{name}.nii.gz");
        symlink(packed.join(&name), template.join(name)).unwrap();
    }
    Some(template)
}

#[test]
fn a_head_comes_to_the_other_mni_template_of_templateflow() {
    let folder = tempfile::tempdir().unwrap();
    let (bids, out) = (dataset(folder.path(), "lh06"), folder.path().join("out"));
    let home = folder.path().join("templateflow");
    let Some(template) = nlin6(&home) else { return };
    run(&bids, &out, Some(&home), &["--output-spaces", "MNI152NLin6Asym:res-2"]).exits(0);
    let scan = summary(&out);
    let fit = &scan["normalization"][0];
    let of = |key: &str| fit[key].as_f64().unwrap();
    assert_eq!((&fit["template"], &fit["doubts"]), (&json!("MNI152NLin6Asym"), &json!([])));
    assert!(fit["origin"].as_str().unwrap().starts_with(text(&home)), "{fit}");
    assert!(of("likeness") > 0.65 && of("mask_overlap") > 0.97 && of("folds") == 0.0, "{fit}");

    let there = "space-MNI152NLin6Asym_res-2_";
    let tissues = ["dseg", "label-GM_probseg", "label-WM_probseg", "label-CSF_probseg"];
    for name in ["desc-preproc_T1w", "desc-brain_mask"].into_iter().chain(tissues) {
        assert!(out.join(format!("sub-01/anat/sub-01_{there}{name}.nii.gz")).is_file(), "{name}");
    }
    for map in ["from-T1w_to-MNI152NLin6Asym", "from-MNI152NLin6Asym_to-T1w"] {
        assert!(out.join(format!("sub-01/anat/sub-01_{map}_mode-image_xfm.h5")).is_file(), "{map}");
    }
    assert!(!anat(&out).keys().any(|name| name.contains(BUILT_IN)));
    // On the grid of the template's own mask, voxel by voxel.
    let ours = nifti::read(&out.join(format!("sub-01/anat/sub-01_{there}desc-brain_mask.nii.gz"))).unwrap();
    let own = nifti::read(&template.join("tpl-MNI152NLin6Asym_res-02_desc-brain_mask.nii.gz")).unwrap();
    assert_eq!(ours.data.dim(), own.data.dim());
    assert_eq!(ours.header.grid().affine, own.header.grid().affine);
    let count =
        |of: &dyn Fn(f32, f32) -> bool| ours.data.iter().zip(&own.data).filter(|(a, b)| of(**a, **b)).count() as f64;
    let (both, sum) = (count(&|a, b| a > 0.5 && b > 0.5), count(&|a, _| a > 0.5) + count(&|_, b| b > 0.5));
    let dice = 2.0 * both / sum;
    println!("overlap with the mask of MNI152NLin6Asym: {dice:.4}");
    assert!(dice > 0.96, "{dice}");
}
