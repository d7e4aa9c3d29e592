//! Datasets with fieldmaps hold what they say.

use super::*;

fn small(kind: FieldmapKind) -> FieldmapDataset {
    let bold_voxel_mm = [7.0; 3];
    FieldmapDataset { voxel_mm: 6.0, bold_voxel_mm, volumes: 3, ..FieldmapDataset::new(11, kind) }
}

fn sidecar(image: &Path) -> Value {
    let json = image.to_str().unwrap().replace(".nii.gz", ".json");
    serde_json::from_slice(&fs::read(json).unwrap()).unwrap()
}

fn names(truth: &FieldmapTruth) -> Vec<String> {
    truth.fmap.iter().map(|f| f.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn every_kind_has_its_files_and_sidecars() {
    use FieldmapKind::{Hertz, Opposite, Pair, PhaseDifference, TwoPhases};
    let magnitudes = ["sub-01_magnitude1.nii.gz", "sub-01_magnitude2.nii.gz"];
    for (kind, files) in [
        (PhaseDifference, vec![magnitudes[0], magnitudes[1], "sub-01_phasediff.nii.gz"]),
        (TwoPhases, vec![magnitudes[0], magnitudes[1], "sub-01_phase1.nii.gz", "sub-01_phase2.nii.gz"]),
        (Hertz, vec!["sub-01_magnitude.nii.gz", "sub-01_fieldmap.nii.gz"]),
        (Pair, vec!["sub-01_dir-AP_epi.nii.gz", "sub-01_dir-PA_epi.nii.gz"]),
        (Opposite, vec!["sub-01_dir-PA_epi.nii.gz"]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let truth = write_fieldmap_dataset(dir.path(), &small(kind)).unwrap();
        assert_eq!(names(&truth), files);
        for image in &truth.fmap {
            let read = nifti::read(image).unwrap();
            assert_eq!(read.header.grid().shape, truth.run.grid.shape);
            let said = sidecar(image);
            assert_eq!(said["IntendedFor"], json!(["bids::sub-01/func/sub-01_task-rest_bold.nii.gz"]));
        }
        let last = sidecar(truth.fmap.last().unwrap());
        match kind {
            PhaseDifference => assert_eq!((&last["EchoTime1"], &last["EchoTime2"]), (&json!(0.00492), &json!(0.00738))),
            TwoPhases => assert_eq!(last["EchoTime"], json!(0.00738)),
            Hertz => assert_eq!(last["Units"], json!("Hz")),
            Pair | Opposite => assert_eq!(last["PhaseEncodingDirection"], json!("j")),
        }
        assert_eq!(truth.moved.is_some(), matches!(kind, Pair | Opposite));
    }
}

#[test]
fn the_run_says_how_it_was_taken_and_its_truth_is_on_its_grid() {
    let dir = tempfile::tempdir().unwrap();
    let spec =
        FieldmapDataset { link: FieldmapLink::Identifier, second_readout_s: Some(0.02), ..small(FieldmapKind::Pair) };
    let truth = write_fieldmap_dataset(dir.path(), &spec).unwrap();
    let said = sidecar(&truth.bold);
    let [nz, ny, _] = truth.run.grid.shape;
    assert_eq!(said["SliceTiming"].as_array().unwrap().len(), nz);
    assert_eq!(said["PhaseEncodingDirection"], json!("j-"));
    let spacing = said["EffectiveEchoSpacing"].as_f64().unwrap();
    assert!((spacing * (ny - 1) as f64 - said["TotalReadoutTime"].as_f64().unwrap()).abs() < 1e-9);
    assert_eq!((said["B0FieldSource"].as_str(), said.get("IntendedFor")), (Some(IDENTIFIER), None));
    assert_eq!(sidecar(&truth.fmap[1])["B0FieldIdentifier"], json!(IDENTIFIER));
    assert_eq!(sidecar(&truth.fmap[1])["TotalReadoutTime"], json!(0.02));
    let func = truth.truth.join("sub-01/func");
    let read = |name: &str| nifti::read(&func.join(format!("sub-01_task-rest_{name}.nii.gz"))).unwrap().data;
    let epi = truth.run.epi.as_ref().unwrap();
    assert_eq!(read("desc-hz_fieldmap").index_axis(Axis(0), 0), epi.hz);
    assert_eq!(read("desc-undistorted_boldref").index_axis(Axis(0), 0), epi.undistorted);
    let shift = read("desc-shift_fieldmap");
    assert!(shift.iter().zip(&epi.hz).all(|(s, hz)| (s + 0.035 * hz).abs() < 1e-4));
}

#[test]
fn equal_requests_give_equal_bytes_and_the_head_of_plain_datasets() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let spec = FieldmapDataset { link: FieldmapLink::Relative, ..small(FieldmapKind::PhaseDifference) };
    let first = write_fieldmap_dataset(a.path(), &spec).unwrap();
    write_fieldmap_dataset(b.path(), &spec).unwrap();
    for file in walkdir::WalkDir::new(a.path()).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file()) {
        let name = file.path().strip_prefix(a.path()).unwrap();
        assert!(fs::read(file.path()).unwrap() == fs::read(b.path().join(name)).unwrap(), "{}", name.display());
    }
    assert_eq!(sidecar(&first.fmap[0])["IntendedFor"], json!("func/sub-01_task-rest_bold.nii.gz"));
    let (header, plain) = crate::scan_for(LABEL, None, Kind::T1w, 11);
    let fine = FieldmapDataset { voxel_mm: 3.0, ..spec };
    let c = tempfile::tempdir().unwrap();
    let t1w = nifti::read(&write_fieldmap_dataset(c.path(), &fine).unwrap().t1w).unwrap();
    assert_eq!((t1w.data.dim(), t1w.header.grid().affine), (plain.dim(), header.grid().affine));
    assert!(t1w.data.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 0.6));
    assert!(matches!(write_fieldmap_dataset(a.path(), &fine), Err(SynthError::NotEmpty { .. })));
    // The same head, as the matrix between the scans says.
    let mask = |folder: &str, stem: &str| {
        let path = first.truth.join(SUB).join(folder).join(format!("{stem}_desc-brain_mask.nii.gz"));
        let image = nifti::read(&path).unwrap();
        let (mut sum, mut n) = ([0.0; 3], 0.0);
        for ((_, k, j, i), _) in image.data.indexed_iter().filter(|(_, v)| **v > 0.5) {
            let at = imaging::rigid::apply(&image.header.grid().affine, [i as f64, j as f64, k as f64]);
            (sum, n) = ([sum[0] + at[0], sum[1] + at[1], sum[2] + at[2]], n + 1.0);
        }
        sum.map(|v| v / n)
    };
    let (bold, t1w) = (mask("func", "sub-01_task-rest"), mask("anat", SUB));
    let there = imaging::rigid::apply(&first.to_t1w, bold);
    assert!((0..3).all(|a| (there[a] - t1w[a]).abs() < 1.0), "{there:?} {t1w:?}");
}
