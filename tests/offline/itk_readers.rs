//! What is written as an ITK transform, read by the tools that use it: SimpleITK and nitransforms map points and resample
//! images as this program does.
#![allow(clippy::unwrap_used, clippy::panic)] // The lints' exemption does not reach helpers of tests.

use crate::common;
use itk::{Composite, DisplacementField, Step};
use ndarray::{Array3, Array4, Axis};
use nifti::{Grid, Header, Voxels};
use std::fmt::Write;
use std::fs::{self, File};
use std::path::Path;

type Affine = [[f64; 4]; 4];

/// Oblique, of unequal voxel sizes, at right angles (ITK takes no other image).
const T1W: Affine = [
    [0.978775255187, -0.054933110392, -0.002398360442, -85.0],
    [0.048979585885, 1.097746503385, 0.047927229518, -118.0],
    [0.0, -0.043988267605, 1.199040127993, -70.0],
    [0.0, 0.0, 0.0, 1.0],
];
const T1W_SIZE: [usize; 3] = [172, 205, 130];
const MNI: Affine = [[2.0, 0.0, 0.0, -96.5], [0.0, 2.0, 0.0, -132.5], [0.0, 0.0, 2.0, -78.5], [0.0, 0.0, 0.0, 1.0]];
const MNI_SIZE: [usize; 3] = [97, 115, 97];
const TO_T1W: Affine =
    [[1.05, 0.08, -0.02, 4.25], [-0.07, 0.93, 0.11, -11.5], [0.03, -0.09, 1.01, 7.125], [0.0, 0.0, 0.0, 1.0]];
const TO_MNI: Affine =
    [[0.95, -0.08, 0.02, -5.0], [0.07, 1.06, -0.11, 12.0], [-0.03, 0.1, 0.98, -6.0], [0.0, 0.0, 0.0, 1.0]];

fn apply(a: &Affine, p: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|r| a[r][0] * p[0] + a[r][1] * p[1] + a[r][2] * p[2] + a[r][3])
}

fn grid(affine: Affine, size: [usize; 3]) -> Grid {
    let length = |c: usize| (0..3).map(|r| affine[r][c] * affine[r][c]).sum::<f64>().sqrt();
    Grid { shape: [size[2], size[1], size[0]], voxel_mm: [length(2), length(1), length(0)], affine }
}

/// Displacements of up to 6 mm, smooth, that end before the border of the grid does.
fn field() -> DisplacementField {
    let [nx, ny, nz] = MNI_SIZE;
    let mut vectors = Array4::from_shape_fn((nz, ny, nx, 3), |(k, j, i, c)| {
        let p = apply(&MNI, [i as f64, j as f64, k as f64]);
        let fade = |n: usize, of: usize| (std::f64::consts::PI * n as f64 / (of - 1) as f64).sin().powi(2);
        let value = [
            4.0 * (p[0] * 0.031 + p[1] * 0.022).sin() + 1.1 * (p[2] * 0.08).cos(),
            3.0 * (p[1] * 0.027 - p[2] * 0.04).cos() + 0.8 * (p[0] * 0.07).sin(),
            3.5 * (p[2] * 0.03 + p[0] * 0.012).sin() + 0.9 * (p[1] * 0.06).cos(),
        ][c];
        (value * fade(i, nx) * fade(j, ny) * fade(k, nz)) as f32
    });
    itk::round(&mut vectors);
    DisplacementField { affine: MNI, vectors }
}

/// Something with structure everywhere that is zero at the border.
fn moving() -> Array3<f32> {
    let [nx, ny, nz] = T1W_SIZE;
    Array3::from_shape_fn((nz, ny, nx), |(k, j, i)| {
        let c = [i as f64 / nx as f64 - 0.5, j as f64 / ny as f64 - 0.5, k as f64 / nz as f64 - 0.5];
        let r2: f64 = c.iter().map(|v| v * v).sum::<f64>() / 0.23;
        let texture = (i as f64 * 0.31).sin() + (j as f64 * 0.27).cos() + (k as f64 * 0.23).sin();
        (1000.0 * (1.0 - r2).max(0.0) * (4.0 + texture)) as f32
    })
}

/// Linear interpolation; zero outside.
fn sample(image: &Array3<f32>, v: [f64; 3]) -> f64 {
    let (nz, ny, nx) = image.dim();
    let (low, mut sum) = (v.map(f64::floor), 0.0);
    for corner in 0..8_u8 {
        let (mut at, mut weight, mut within) = ([0_usize; 3], 1.0, true);
        for a in 0..3 {
            let up = f64::from(corner >> a & 1);
            let n = low[a] + up;
            weight *= if up > 0.0 { v[a] - low[a] } else { 1.0 - (v[a] - low[a]) };
            within &= n >= 0.0 && n < [nx, ny, nz][a] as f64;
            at[a] = n.max(0.0) as usize;
        }
        if within {
            sum += weight * f64::from(image[[at[2], at[1], at[0]]]);
        }
    }
    sum
}

fn save(path: &Path, grid: &Grid, image: &Array3<f32>) {
    let header = Header::new(grid.clone(), 1, None);
    let series = image.view().insert_axis(Axis(0));
    nifti::write(File::create(path).unwrap(), &header, Voxels::Float(series)).unwrap();
}

fn inverse_of_t1w(p: [f64; 3]) -> [f64; 3] {
    // Newton's method on a linear map: one step is exact, a second takes off rounding.
    let m = |r: usize, c: usize| T1W[r % 3][c % 3];
    let minor = |r: usize, c: usize| m(r + 1, c + 1) * m(r + 2, c + 2) - m(r + 1, c + 2) * m(r + 2, c + 1);
    let det: f64 = (0..3).map(|c| T1W[0][c] * minor(0, c)).sum();
    let q = [p[0] - T1W[0][3], p[1] - T1W[1][3], p[2] - T1W[2][3]];
    std::array::from_fn(|r| (0..3).map(|c| minor(c, r) * q[c]).sum::<f64>() / det)
}

fn write_case(folder: &Path, name: &str, steps: Vec<Step>, reference: &Grid, image: &Array3<f32>) {
    let transform = Composite { steps };
    let mut file = File::create(folder.join(format!("{name}.h5"))).unwrap();
    itk::write_h5(&mut file, &transform.views()).unwrap();
    let [nz, ny, nx] = reference.shape;
    let to = |i: usize, j: usize, k: usize| apply(&reference.affine, [i as f64, j as f64, k as f64]);
    let expected = Array3::from_shape_fn((nz, ny, nx), |(k, j, i)| {
        sample(image, inverse_of_t1w(transform.map(to(i, j, k)))) as f32
    });
    save(&folder.join(format!("{name}_expected.nii.gz")), reference, &expected);
    save(&folder.join(format!("{name}_reference.nii.gz")), reference, &Array3::zeros((nz, ny, nx)));
    let mut points = String::new();
    for n in 0..3000_usize {
        let p = to(n * 7919 % nx, n * 104_729 % ny, n * 1_299_709 % nz);
        let p = [p[0] + 0.37, p[1] - 0.41, p[2] + 0.11];
        let q = transform.map(p);
        writeln!(points, "{} {} {} {} {} {}", p[0], p[1], p[2], q[0], q[1], q[2]).unwrap();
    }
    fs::write(folder.join(format!("{name}.points")), points).unwrap();
}

fn write_series(folder: &Path) {
    let affines: Vec<Affine> = (0..40)
        .map(|n| {
            let (s, c) = (0.002 * f64::from(n)).sin_cos();
            [[c, -s, 0.0, 0.03 * f64::from(n)], [s, c, 0.0, -0.2], [0.0, 0.0, 1.0, 0.1], [0.0, 0.0, 0.0, 1.0]]
        })
        .collect();
    itk::write_text(&mut File::create(folder.join("series.txt")).unwrap(), &affines).unwrap();
    itk::write_text(&mut File::create(folder.join("single.txt")).unwrap(), &affines[..1]).unwrap();
    let mut points = String::new();
    for (n, affine) in affines.iter().enumerate() {
        for p in [[0.0, 0.0, 0.0], [60.0, -70.0, 50.0], [-33.0, 81.0, -20.5]] {
            let q = apply(affine, p);
            writeln!(points, "{n} {} {} {} {} {} {}", p[0], p[1], p[2], q[0], q[1], q[2]).unwrap();
        }
    }
    fs::write(folder.join("series.points"), points).unwrap();
}

/// Holds a transform against lines of x y z and where they go. Vectors were double, and are float here.
fn agree(points: &Path, transform: &Composite) {
    let mut count = 0;
    for line in fs::read_to_string(points).unwrap().lines() {
        let row: Vec<f64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
        let mapped = transform.map([row[0], row[1], row[2]]);
        assert!((0..3).all(|n| (mapped[n] - row[3 + n]).abs() < 1e-5), "{row:?} {mapped:?}");
        count += 1;
    }
    assert_eq!(count, 200);
}

#[test]
fn the_tools_that_read_transforms_agree() {
    let folder = tempfile::tempdir().unwrap();
    let image = moving();
    let (t1w, mni) = (grid(T1W, T1W_SIZE), grid(MNI, MNI_SIZE));
    save(&folder.path().join("moving.nii.gz"), &t1w, &image);
    write_case(folder.path(), "forward", vec![Step::Field(field()), Step::Affine(TO_T1W)], &mni, &image);
    // Onto larger voxels over the same head: nitransforms takes its time.
    let coarse = T1W.map(|[x, y, z, origin]| [3.0 * x, 3.0 * y, 3.0 * z, origin]);
    let coarse = grid([coarse[0], coarse[1], coarse[2], [0.0, 0.0, 0.0, 1.0]], T1W_SIZE.map(|n| n / 3));
    write_case(folder.path(), "inverse", vec![Step::Affine(TO_MNI), Step::Field(field())], &coarse, &image);
    write_series(folder.path());
    let Some(checked) = common::peer("check_itk.py", &[folder.path()]) else { return };
    let found: serde_json::Value = serde_json::from_str(&checked.exits(0).stdout).unwrap();
    println!("{found:#}");
    for (what, value) in found.as_object().unwrap() {
        let value = value.as_f64().unwrap();
        if what.ends_with("points mm") {
            assert!(value < 1e-5, "{what}: {value}");
        } else if what.ends_with("share of range") {
            assert!(value < 1e-3, "{what}: {value}");
        }
    }
    assert_eq!(found["series count"], 40.0);
    let open = |name: &str| File::open(folder.path().join(name)).unwrap();
    let theirs = itk::read_h5(open("theirs.h5")).unwrap();
    agree(&folder.path().join("theirs.points"), &theirs);
    let [affine] = itk::read_text(open("theirs.txt")).unwrap()[..] else { panic!("one affine") };
    agree(&folder.path().join("theirs_affine.points"), &Composite { steps: vec![Step::Affine(affine)] });
    assert!(found["forward varies by"].as_f64().unwrap() > 0.1, "the images compared are not empty");
}
