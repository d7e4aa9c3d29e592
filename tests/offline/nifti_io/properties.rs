//! For any image: every voxel is where the header says with the value it says, and writing and reading it again changes
//! nothing.

use crate::common::nifti::{File, TYPES, Type, gzip, orientations, read};
use nifti::{Image, Voxels};
use proptest::prelude::*;

/// A file of any type, shape and byte order, placed anyhow, and what each of its voxels is worth, in the file's order.
fn files() -> impl Strategy<Value = (File, Vec<f64>)> {
    let shape = prop::collection::vec(1_i64..7, 1..=4);
    let placed = (0..48_usize, -0.7..0.7_f64);
    let scaled = prop_oneof![Just((0.0, 0.0)), (-4.0..4.0_f64, -50.0..50.0_f64)];
    (shape, 0..TYPES.len(), any::<[bool; 2]>(), placed, scaled, any::<u64>()).prop_map(
        |(dim, kind, [big, second], (axes, tilt), (slope, inter), seed)| {
            let Type { code: datatype, bits, decode: value, .. } = TYPES[kind];
            let (slope, inter) = (f64::from(slope as f32), f64::from(inter as f32));
            let count = dim.iter().product::<i64>() as usize;
            let (mut state, mut data, mut worth) = (seed, Vec::new(), Vec::new());
            for _ in 0..count {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let mut bytes = number(datatype, state);
                worth.push(
                    value(&bytes) * if slope == 0.0 { 1.0 } else { slope } + if slope == 0.0 { 0.0 } else { inter },
                );
                if big {
                    bytes.reverse();
                }
                data.extend(bytes);
            }
            let srow = orientations(tilt)[axes].map(|row| row.map(|x| f64::from(x as f32)));
            let file = File { big, slope, inter, srow, ..File::new(&dim) }.voxels(datatype, bits, data);
            (if second { file.version_2() } else { file }, worth)
        },
    )
}

/// Any bits as an integer, but of fractions one that is a number of ordinary size.
fn number(datatype: i16, bits: u64) -> Vec<u8> {
    match datatype {
        16 => ((bits >> 40) as f32 / 1024.0 - 3000.0).to_le_bytes().to_vec(),
        64 => ((bits >> 20) as f64 / 1024.0 - 1e9).to_le_bytes().to_vec(),
        2 | 256 => bits.to_le_bytes()[..1].to_vec(),
        4 | 512 => bits.to_le_bytes()[..2].to_vec(),
        8 | 768 => bits.to_le_bytes()[..4].to_vec(),
        _ => bits.to_le_bytes().to_vec(),
    }
}

/// A voxel's place in RAS+ millimetres.
fn place(affine: &[[f64; 4]; 4], [i, j, k]: [usize; 3]) -> [f64; 3] {
    std::array::from_fn(|r| affine[r][0] * i as f64 + affine[r][1] * j as f64 + affine[r][2] * k as f64 + affine[r][3])
}

/// Looks up each voxel of the file by its place in space, not by the order of axes.
fn each_is_where_it_belongs(image: &Image, worth: &[f64]) {
    let (nt, nz, ny, nx) = image.data.dim();
    let disk = image.header.disk_shape();
    assert_eq!((disk[0] * disk[1] * disk[2], disk[3]), (nx * ny * nz, nt));
    for (at, want) in worth.iter().enumerate() {
        let (i, j, k, t) = (
            at % disk[0],
            at / disk[0] % disk[1],
            at / (disk[0] * disk[1]) % disk[2],
            at / (disk[0] * disk[1] * disk[2]),
        );
        let there = place(image.header.disk_affine(), [i, j, k]);
        let found = (0..nx * ny * nz).find(|n| {
            let here = place(&image.header.grid().affine, [n % nx, n / nx % ny, n / (nx * ny)]);
            here.iter().zip(&there).all(|(a, b)| (a - b).abs() < 0.1)
        });
        let n = found.unwrap();
        assert_eq!(image.data[[t, n / (nx * ny), n / nx % ny, n % nx]], *want as f32, "voxel {:?}", [i, j, k, t]);
    }
}

proptest! {
    #[test]
    fn any_image_is_read_as_it_is((file, worth) in files(), cut in 0..2000_usize) {
        let image = file.read().unwrap();
        each_is_where_it_belongs(&image, &worth);
        // Compressed, in two members, it is the same.
        let bytes = file.bytes();
        let (first, second) = bytes.split_at(cut.min(bytes.len()));
        let zipped = read("scan.nii.gz", &[gzip(first), gzip(second)].concat()).unwrap();
        prop_assert_eq!(&zipped.data, &image.data);
        prop_assert_eq!(&zipped.header, &image.header);
    }

    #[test]
    fn any_image_survives_being_written((file, _) in files()) {
        let image = file.read().unwrap();
        let written = |voxels| {
            let mut bytes = Vec::new();
            nifti::write(&mut bytes, &image.header, voxels).unwrap();
            (read("again.nii.gz", &bytes).unwrap(), bytes)
        };
        let (again, bytes) = written(Voxels::Float(image.data.view()));
        prop_assert_eq!(&again.data, &image.data);
        prop_assert_eq!(again.header.disk_shape(), image.header.disk_shape());
        prop_assert_eq!(&again.header.disk_affine(), &image.header.disk_affine());
        // What was written once is written again to the byte.
        let mut twice = Vec::new();
        nifti::write(&mut twice, &again.header, Voxels::Float(again.data.view())).unwrap();
        prop_assert_eq!(twice, bytes);
        let (scaled, _) = written(Voxels::Scaled(image.data.view()));
        let half = 0.5 * scaled.header.scaling().0 as f32;
        for (after, before) in scaled.data.iter().zip(&image.data) {
            prop_assert!((after - before).abs() <= half + before.abs() * 1e-6, "{} became {}", before, after);
        }
    }
}
