//! What must be read, and to which values.

use crate::common::nifti::{File, TYPES, Type, gzip, kinds, orientations, place, read};
use ndarray::Array4;
use nifti::Image;

/// Where canonical voxel `(i, j, k)` lies by the image's own grid.
fn position(image: &Image, at: [usize; 3]) -> [f64; 3] {
    let affine = image.header.grid().affine;
    std::array::from_fn(|r| (0..3).map(|c| affine[r][c] * at[c] as f64).sum::<f64>() + affine[r][3])
}

#[test]
fn every_type_in_both_orders_and_versions() {
    for Type { code: datatype, bits: bitpix, encode, .. } in TYPES {
        for big in [false, true] {
            for version in [1, 2] {
                let voxel = |n: i32| {
                    let mut voxel = encode(f64::from(n));
                    if big {
                        voxel.reverse();
                    }
                    voxel
                };
                let data = (0..120).flat_map(voxel).collect();
                let mut file = File::new(&[5, 4, 3, 2]).voxels(datatype, bitpix, data);
                file = if version == 2 { file.version_2() } else { file };
                (file.big, file.slope, file.inter) = (big, 0.5, -3.0);
                let image = file.read().unwrap();
                let want = Array4::from_shape_fn((2, 3, 4, 5), |(t, k, j, i)| {
                    ((t * 60 + k * 20 + j * 5 + i) as f32) * 0.5 - 3.0
                });
                assert_eq!(image.data, want, "type {datatype} big {big} version {version}");
                assert_eq!((image.header.version(), image.header.big_endian()), (version, big));
                assert!(image.notes.is_empty());
            }
        }
    }
}

/// Every voxel's value says where it lies; so after reordering, value and place must still agree.
#[test]
fn every_orientation_comes_out_canonical() {
    let value = |p: [f64; 3]| p[0] + 100.0 * p[1] + 10_000.0 * p[2];
    // The larger one is read in several pieces.
    for (dims, tilt) in [([4, 18, 35], 0.0), ([4, 18, 35], 0.4), ([40, 36, 50], 0.0)] {
        for srow in orientations(tilt) {
            let mut data = Vec::new();
            for k in 0..dims[2] {
                for j in 0..dims[1] {
                    for i in 0..dims[0] {
                        let at = [f64::from(i), f64::from(j), f64::from(k), 1.0];
                        let p = srow.map(|row| row.iter().zip(at).map(|(a, b)| a * b).sum::<f64>());
                        data.extend(value(p).to_le_bytes());
                    }
                }
            }
            let file = File { srow, ..File::new(&dims.map(i64::from)).voxels(64, 64, data).version_2() };
            let file = File { pixdim: [1.0, 2.0, 1.5, 3.0, 0.0, 0.0, 0.0, 0.0], ..file };
            let image = file.read().unwrap();
            assert!(image.notes.is_empty(), "{:?}", image.notes);
            let [nz, ny, nx] = image.header.grid().shape;
            assert_eq!(image.data.dim(), (1, nz, ny, nx));
            for ((_, k, j, i), &v) in image.data.indexed_iter() {
                let want = value(position(&image, [i, j, k]));
                assert!((f64::from(v) - want).abs() <= want.abs() * 1e-6 + 1e-3, "{srow:?} {i} {j} {k}");
            }
            let affine = image.header.grid().affine;
            for axis in 0..3 {
                let clearest = (0..3).all(|r| affine[axis][axis] >= affine[r][axis].abs());
                assert!(clearest, "axis {axis} of {affine:?} does not point to RAS");
            }
        }
    }
}

#[test]
fn gzip_in_any_number_of_members_and_under_any_name() {
    let bytes = File::new(&[9, 8, 7]).bytes();
    let want = read("a.nii", &bytes).unwrap();
    let members: Vec<u8> = bytes.chunks(100).flat_map(gzip).collect();
    for (name, content, notes) in [
        ("a.nii.gz", gzip(&bytes), vec![]),
        ("a.nii.gz", members.clone(), vec![]),
        ("a.nii.gz", bytes.clone(), vec!["extension"]),
        ("a.nii", gzip(&bytes), vec!["extension"]),
    ] {
        let image = read(name, &content).unwrap();
        assert_eq!((image.data == want.data, kinds(&image)), (true, notes), "{name}");
    }
    let (dir, path) = place("target", &members);
    let link = dir.path().join("link.nii.gz");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(nifti::read(&link).unwrap().data, want.data);
}

#[test]
fn zero_padding_is_passed_over_with_a_note() {
    let bytes = File::new(&[9, 8, 7]).bytes();
    let padded = [bytes.as_slice(), &[0; 700]].concat();
    for content in [padded.clone(), gzip(&padded), [gzip(&bytes).as_slice(), &[0; 700]].concat()] {
        let image = read(if content[0] == 0x1f { "a.nii.gz" } else { "a.nii" }, &content).unwrap();
        assert_eq!(kinds(&image), ["padding"]);
    }
}

#[test]
fn vox_offset_is_respected_and_extensions_are_passed_over() {
    let file = File { vox_offset: 1024.0, ..File::new(&[4, 3, 2]) };
    let mut bytes = file.bytes();
    bytes[348] = 1;
    bytes[352..1024].fill(0xaa);
    for content in [bytes.clone(), gzip(&bytes)] {
        let image = read("a", &content).unwrap();
        assert_eq!(image.data.iter().copied().collect::<Vec<_>>(), (0..24).map(|v| v as f32).collect::<Vec<_>>());
    }
}

#[test]
fn slices_single_volumes_and_trailing_ones() {
    for (dim, shape, volumes) in [
        (vec![4, 3], [1, 3, 4], 1),
        (vec![4, 3, 2, 1], [2, 3, 4], 1),
        (vec![4, 3, 2, 1, 1], [2, 3, 4], 1),
        (vec![4, 3, 2, 5, 1, 1, 1], [2, 3, 4], 5),
    ] {
        let image = File::new(&dim).read().unwrap();
        assert_eq!((image.header.grid().shape, image.header.volumes()), (shape, volumes), "{dim:?}");
    }
}

#[test]
fn the_header_alone_says_the_same_as_the_image() {
    let file = File { units: 18, ..File::new(&[9, 8, 7, 3]) };
    let file = File { pixdim: [1.0, 2.0, 2.0, 2.0, 1450.0, 0.0, 0.0, 0.0], ..file };
    let (_dir, path) = place("a.nii.gz", &gzip(&file.bytes()));
    let header = nifti::read_header(&path).unwrap();
    assert_eq!(header, nifti::read(&path).unwrap().header);
    assert_eq!((header.tr_seconds(), header.dtype_name(), header.disk_shape()), (Some(1.45), "int16", [9, 8, 7, 3]));
    assert_eq!((header.disk_axes().as_str(), header.grid().voxel_mm), ("RAS", [2.0; 3]));
}

#[test]
fn a_few_broken_voxels_become_zero() {
    let mut values = vec![7.0_f32; 1000];
    (values[3], values[500], values[999]) = (f32::NAN, f32::INFINITY, f32::NEG_INFINITY);
    let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect();
    // The slowest axis as it should be, and turned: two ways through the reader.
    for z in [2.0, -2.0] {
        let mut file = File::new(&[10, 10, 10]).voxels(16, 32, bytes(&values));
        file.srow[2][2] = z;
        let image = file.read().unwrap();
        assert_eq!(kinds(&image), ["non_finite"]);
        assert_eq!(image.data.iter().filter(|&&v| v == 0.0).count(), 3);
        assert_eq!(image.data.iter().filter(|&&v| v == 7.0).count(), 997);
    }
}

#[test]
fn missing_orientation_is_flagged() {
    let image = File { sform_code: 0, ..File::new(&[5, 4, 3]) }.read().unwrap();
    assert!(image.header.orientation_missing());
    assert_eq!(kinds(&image), ["orientation_missing"]);
    // x runs to the left by convention, so canonical x is the file's reversed.
    assert_eq!(image.data[[0, 0, 0, 0]], 4.0);
    assert!(!File::new(&[5, 4, 3]).read().unwrap().header.orientation_missing());
}

#[test]
fn real_scans_read_if_they_are_here() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data");
    let path = std::path::Path::new(data).join("studyforrest_T1w_1mm.nii.gz");
    if !path.exists() {
        eprintln!("skipped: no {}", path.display());
        return;
    }
    let image = nifti::read(&path).unwrap();
    assert_eq!((image.data.dim(), image.header.disk_axes().as_str()), ((1, 256, 256, 192), "LAS"));
    assert!(image.notes.is_empty(), "{:?}", image.notes);
    assert!(image.data.iter().any(|&v| v > 100.0));
}
