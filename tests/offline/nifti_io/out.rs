//! What is written: the input's grid, the right values, one ordinary gzip stream, the same bytes at any thread count.

use crate::common::nifti::{File, orientations, place};
use flate2::read::GzDecoder;
use ndarray::{Array3, Array4, Axis, Slice};
use neuro_preprocess::error::{Coded, ErrorCode};
use nifti::{Grid, Header, Image, Voxels};
use std::io::Read;

fn written(like: &Header, voxels: Voxels<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let count = nifti::write(&mut bytes, like, voxels).unwrap();
    assert_eq!(count, bytes.len() as u64);
    bytes
}

fn reread(bytes: &[u8]) -> Image {
    let (_dir, path) = place("out.nii.gz", bytes);
    nifti::read(&path).unwrap()
}

fn inflate(bytes: &[u8]) -> Vec<u8> {
    // The single-member decoder: whatever it does not see, simple readers do not see either.
    let mut raw = Vec::new();
    let mut decoder = GzDecoder::new(bytes);
    decoder.read_to_end(&mut raw).unwrap();
    assert!(decoder.into_inner().is_empty());
    raw
}

/// A smooth series with some noise, reproducible.
fn series(shape: (usize, usize, usize, usize)) -> Array4<f32> {
    let mut state = 1_u32;
    Array4::from_shape_fn(shape, |(t, k, j, i)| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (t * 50 + k * 3 + j * 2 + i) as f32 - 40.0 + (state >> 16) as f32 / 65_536.0
    })
}

#[test]
fn every_orientation_and_kind_goes_back_to_the_input_grid() {
    for srow in orientations(0.3) {
        let file = File { srow, ..File::new(&[5, 17, 33, 2]) };
        let file = File { pixdim: [1.0, 2.0, 1.5, 3.0, 2.5, 0.0, 0.0, 0.0], ..file };
        let input = file.read().unwrap();
        let want = series(input.data.dim());
        let mask = want.index_axis(Axis(0), 0).mapv(|v| u8::from(v > 0.0));
        let labels = want.index_axis(Axis(0), 1).mapv(|v| v as i16);
        let float = reread(&written(&input.header, Voxels::Float(want.view())));
        assert_eq!(float.data, want);
        let scaled = reread(&written(&input.header, Voxels::Scaled(want.view())));
        let step = scaled.header.scaling().0 as f32;
        assert!(scaled.data.iter().zip(&want).all(|(a, b)| (a - b).abs() <= 0.5 * step + b.abs() * 1e-6));
        let mask_read = reread(&written(&input.header, Voxels::Mask(mask.view())));
        assert_eq!(mask_read.data.index_axis(Axis(0), 0), mask.mapv(f32::from));
        let labels_read = reread(&written(&input.header, Voxels::Labels(labels.view())));
        assert_eq!(labels_read.data.index_axis(Axis(0), 0), labels.mapv(f32::from));
        for (image, volumes, tr) in [(&float, 2, Some(2.5)), (&scaled, 2, Some(2.5)), (&mask_read, 1, None)] {
            // A qform that differs, units or pixdim that contradict would leave notes.
            assert!(image.notes.is_empty(), "{:?}", image.notes);
            assert_eq!(image.header.disk_affine(), input.header.disk_affine());
            assert_eq!(image.header.disk_shape()[..3], input.header.disk_shape()[..3]);
            assert_eq!((image.header.volumes(), image.header.tr_seconds()), (volumes, tr));
            assert_eq!(image.header.form_codes(), (1, 1));
            assert_eq!(image.header.descrip(), concat!("neuro-preprocess ", env!("CARGO_PKG_VERSION")));
        }
    }
}

#[test]
fn the_header_on_disk_is_plain_nifti_1() {
    let input = File::new(&[6, 5, 4, 3]).version_2().read().unwrap();
    let raw = inflate(&written(&input.header, Voxels::Scaled(input.data.view())));
    let i16_at = |at: usize| i16::from_le_bytes([raw[at], raw[at + 1]]);
    assert_eq!(raw.len(), 352 + 6 * 5 * 4 * 3 * 2);
    assert_eq!((&raw[..4], &raw[344..348], &raw[348..352]), (&348_i32.to_le_bytes()[..], &b"n+1\0"[..], &[0; 4][..]));
    assert_eq!((0..5).map(|n| i16_at(40 + 2 * n)).collect::<Vec<_>>(), [4, 6, 5, 4, 3]);
    assert_eq!((i16_at(70), i16_at(72), raw[123], i16_at(252), i16_at(254)), (4, 16, 10, 1, 1));
    let one = input.data.slice_axis(Axis(0), Slice::from(..1));
    let raw = inflate(&written(&input.header, Voxels::Scaled(one)));
    assert_eq!((raw[40], raw.len()), (3, 352 + 6 * 5 * 4 * 2));
}

#[test]
fn zero_stays_zero_and_odd_values_do_no_harm() {
    let like = File::new(&[4, 1, 1]).read().unwrap().header;
    let scaled = |v: [f32; 4]| {
        let data = Array4::from_shape_vec((1, 1, 1, 4), v.to_vec()).unwrap();
        reread(&written(&like, Voxels::Scaled(data.view()))).data.into_raw_vec_and_offset().0
    };
    let got = scaled([0.0, 1234.5, -0.01, 999.9]);
    assert_eq!((got[0], got[1]), (0.0, 1234.5));
    assert_eq!(scaled([0.0; 4]), [0.0; 4]);
    let got = scaled([f32::NAN, 10.0, f32::INFINITY, f32::NEG_INFINITY]);
    assert_eq!((got[0], got[1]), (0.0, 10.0));
    assert!((got[2] - 10.0).abs() < 1e-3 && (got[3] + 10.0).abs() < 1e-3);
    assert_eq!(scaled([1e-42, 0.0, 0.0, 0.0]), [0.0; 4]);
    let got = scaled([3e38, -3e38, 1.0, 0.0]);
    assert!(got[0] > 2.999e38 && got[1] < -2.999e38 && got[3] == 0.0, "{got:?}");
}

#[test]
fn the_bytes_do_not_depend_on_the_threads() {
    // Several pieces, which go over from volume to volume, in an order that has to be turned.
    let srow = [[0.0, 0.0, 3.0, 0.0], [-2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]];
    let like = File { srow, ..File::new(&[70, 64, 50, 1]) }.read().unwrap().header;
    let [nz, ny, nx] = like.grid().shape;
    let data = series((7, nz, ny, nx));
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| written(&like, Voxels::Scaled(data.view())))
    };
    let one = with(1);
    assert!(one == with(2) && one == with(5));
    assert_eq!(inflate(&one).len(), 352 + data.len() * 2);
}

#[test]
fn views_need_not_be_contiguous() {
    let like = File::new(&[6, 5, 4]).read().unwrap().header;
    let series = series((3, 4, 5, 12));
    let mut view = series.slice_axis(Axis(0), Slice::from(1..2));
    view.invert_axis(Axis(2));
    view.slice_axis_inplace(Axis(3), Slice::from(..).step_by(2));
    assert_eq!(reread(&written(&like, Voxels::Float(view))).data, view);
}

#[test]
fn an_unknown_orientation_is_not_invented() {
    let input = File { sform_code: 0, ..File::new(&[5, 4, 3]) }.read().unwrap();
    let output = reread(&written(&input.header, Voxels::Float(input.data.view())));
    assert!(output.header.orientation_missing());
    assert_eq!((output.header.grid(), &output.data), (input.header.grid(), &input.data));
}

#[test]
fn synthetic_headers_write_and_read_back() {
    let affine = [[3.0, 0.0, 0.0, -30.0], [0.0, 3.0, 0.0, -40.0], [0.0, 0.0, 4.0, 8.0], [0.0, 0.0, 0.0, 1.0]];
    let grid = Grid { shape: [4, 5, 6], voxel_mm: [4.0, 3.0, 3.0], affine };
    let data = series((2, 4, 5, 6));
    let bytes = written(&Header::new(grid.clone(), 2, Some(1.5)), Voxels::Float(data.view()));
    let image = reread(&bytes);
    assert_eq!((image.header.grid(), image.header.tr_seconds(), &image.data), (&grid, Some(1.5), &data));
    // A 3-D header serves for a series, and a sidecar's repetition time can be given to it.
    let header = Header::new(grid, 1, None).with_tr_seconds(0.8);
    let image = reread(&written(&header, Voxels::Scaled(data.view())));
    assert_eq!((image.header.volumes(), image.header.tr_seconds().map(|t| t as f32)), (2, Some(0.8)));
}

#[test]
fn what_does_not_fit_is_refused() {
    let like = File::new(&[6, 5, 4]).read().unwrap().header;
    let wrong = Array3::<u8>::zeros((6, 5, 4));
    let error = nifti::write(std::io::sink(), &like, Voxels::Mask(wrong.view())).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Panicked);
    let none = Array4::<f32>::zeros((0, 4, 5, 6));
    assert!(nifti::write(std::io::sink(), &like, Voxels::Scaled(none.view())).is_err());
    let full = Array3::<u8>::zeros((4, 5, 6));
    let mut small = [0_u8; 20];
    let error = nifti::write(&mut small[..], &like, Voxels::Mask(full.view())).unwrap_err();
    assert_eq!(error.code(), ErrorCode::WriteFailed);
}

/// One voxel far above all others takes no levels from them.
#[test]
fn an_outlier_leaves_the_levels_of_the_rest() {
    let grid = nifti::Grid {
        shape: [8, 8, 8],
        voxel_mm: [1.0; 3],
        affine: [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]],
    };
    let header = Header::new(grid, 1, None);
    let tissue = Array4::from_shape_fn((1, 8, 8, 8), |(_, k, j, i)| (k * 64 + j * 8 + i) as f32 * 1000.0 / 512.0);
    let levels = |image: &Array4<f32>, voxels: Voxels<'_>| {
        let back = reread(&written(&header, voxels)).data;
        let off = tissue.iter().zip(&back).zip(image).filter(|((t, _), v)| t == v);
        off.map(|((t, b), _)| (t - b).abs()).fold(0.0, f32::max)
    };
    assert_eq!(nifti::beyond(tissue.view(), 0.5), 0);
    assert!(levels(&tissue, Voxels::Fine(tissue.view(), 0.5)) < 0.02, "stored as before");
    for power in [2, 3, 5, 8, 12] {
        let mut image = tissue.clone();
        image[[0, 3, 4, 5]] *= 10f32.powi(power);
        assert!(levels(&image, Voxels::Fine(image.view(), 0.5)) <= 0.25, "1e{power}");
    }
}
