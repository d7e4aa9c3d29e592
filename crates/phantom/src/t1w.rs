//! A T1w scan of a synthetic head, with everything that is true about it.

use super::acquisition::acquire;
use super::field::coil_field;
use super::head::Head;
use super::random::{Stream, stream};
use super::raster::{draw, planes};
use super::tissue::Tissue;
use imaging::filter::gaussian_smooth;
use imaging::rigid::{Matrix4, from_parameters, invert_rigid};
use ndarray::{Array3, Axis, Zip};
use nifti::Grid;
use rand::RngExt;
use rayon::prelude::*;

/// Field of view (mm) along z, y and x, as common sagittal MPRAGE protocols have it.
const FIELD_OF_VIEW: [f64; 3] = [256.0, 256.0, 176.0];
/// Distance (mm) from the top of the field of view to the brain's centre.
const CROWN: f64 = 92.0;

/// What scan to make.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct T1wSpec {
    /// Whose head.
    pub head: u64,
    /// Which scan of it: pose, coil and noise.
    pub scan: u64,
    /// Isotropic voxel size, mm. The field of view stays 176 × 256 × 256 mm (x, y, z).
    pub voxel_mm: f64,
    /// Range of the coil field inside the brain (1st to 99th percentile), 0.4 for "40 %".
    pub bias: f32,
    /// Noise in each channel as a fraction of white matter.
    pub noise: f32,
}

impl T1wSpec {
    /// A usual scan: 40 % field, 3 % noise.
    #[must_use]
    pub fn new(head: u64, scan: u64, voxel_mm: f64) -> Self {
        Self { head, scan, voxel_mm, bias: 0.4, noise: 0.03 }
    }
}

/// A T1w scan and its truth, every array of shape `(nz, ny, nx)`, RAS+.
pub struct SynthT1w {
    /// What the scanner stored: whole numbers, 0 to 4095, white matter about 1000.
    pub image: Array3<f32>,
    /// The image before field and noise.
    pub clean: Array3<f32>,
    /// The multiplicative field: `image ≈ clean · bias`.
    pub bias: Array3<f32>,
    /// [`Tissue`] numbers.
    pub labels: Array3<u8>,
    /// The brain: parenchyma, ventricles, fluid between the gyri; cut at the foramen magnum.
    pub brain: Array3<u8>,
    /// Where the voxels are.
    pub grid: Grid,
    /// Standard deviation of the noise in each channel.
    pub sigma: f32,
}

/// Makes a T1w scan. Equal specs give equal bytes at any number of threads.
#[must_use]
pub fn t1w(spec: &T1wSpec) -> SynthT1w {
    let head = Head::new(spec.head);
    let grid = grid_of(spec.voxel_mm);
    let to_head = invert_rigid(&pose(spec.scan));
    // One position per millimetre, and never fewer than two along a voxel, resolves most sulci.
    let parts = spec.voxel_mm.ceil().clamp(2.0, 3.0) as usize;
    let drawing = draw(&head, grid.shape, &grid.affine, &to_head, Tissue::t1w, parts);
    // The point spread of the readout and of slight blurring over the echo train, beyond the voxel's own box.
    let spread = 0.42 / spec.voxel_mm.max(0.42);
    let clean = gaussian_smooth(drawing.brightness.view(), [spread; 3]);
    let bias = coil_field(spec.scan, &grid.affine, drawing.brain.view(), spec.bias);
    let sigma = spec.noise * Tissue::White.t1w();
    let mut image = drawing.brightness;
    planes(&mut image).into_par_iter().enumerate().for_each(|(k, mut plane)| {
        let (clean, bias) = (clean.index_axis(Axis(0), k), bias.index_axis(Axis(0), k));
        Zip::from(&mut plane).and(clean).and(bias).for_each(|v, c, b| *v = c * b);
        acquire(plane, sigma, (spec.scan, Stream::Noise), k as u32);
    });
    SynthT1w { image, clean, bias, labels: drawing.labels, brain: drawing.brain, grid, sigma }
}

/// The grid of a scan: the brain's centre lies at the world's origin when the head lies straight.
fn grid_of(voxel_mm: f64) -> Grid {
    let shape = FIELD_OF_VIEW.map(|mm| (mm / voxel_mm).round().max(1.0) as usize);
    let half = |n: usize| (n as f64 - 1.0) / 2.0 * voxel_mm;
    let lowest = CROWN - FIELD_OF_VIEW[0] + 0.5 * voxel_mm;
    let affine = [
        [voxel_mm, 0.0, 0.0, -half(shape[2])],
        [0.0, voxel_mm, 0.0, -half(shape[1]) - 4.0],
        [0.0, 0.0, voxel_mm, lowest],
        [0.0, 0.0, 0.0, 1.0],
    ];
    Grid { shape, voxel_mm: [voxel_mm; 3], affine }
}

/// How a person lies in the scanner: some degrees of nodding, less of the rest, a few millimetres.
pub(super) fn pose(scan: u64) -> Matrix4 {
    let mut rng = stream(scan, Stream::Pose, 0);
    let half = [2.5, 4.0, 4.0, 0.08, 0.035, 0.045];
    from_parameters(&half.map(|h: f64| rng.random_range(-h..h)), [0.0; 3])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(threads: usize, spec: &T1wSpec) -> SynthT1w {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| t1w(spec))
    }

    #[test]
    fn a_scan_is_the_same_at_any_thread_count_and_agrees_with_its_truth() {
        let spec = T1wSpec::new(21, 22, 5.0);
        let (one, four) = (on(1, &spec), on(4, &spec));
        assert_eq!(one.image, four.image);
        assert_eq!(one.bias, four.bias);
        assert_eq!(one.labels, four.labels);
        assert_eq!(one.image.shape(), one.grid.shape);
        let mean = |tissue: Tissue| {
            let (mut sum, mut n) = (0.0, 0.0);
            Zip::from(&one.image).and(&one.bias).and(&one.labels).and(&one.brain).for_each(|v, b, l, m| {
                if *l == tissue as u8 && *m > 0 {
                    sum += f64::from(v / b);
                    n += 1.0;
                }
            });
            sum / n
        };
        let (fluid, grey, white) = (mean(Tissue::Csf), mean(Tissue::Grey), mean(Tissue::White));
        assert!(white > 1.15 * grey && grey > 1.1 * fluid, "white {white}, grey {grey}, fluid {fluid}");
    }

    #[test]
    fn the_image_is_the_clean_one_times_the_field_with_the_noise_asked_for() {
        let made = t1w(&T1wSpec { noise: 0.05, bias: 0.6, ..T1wSpec::new(3, 4, 5.0) });
        let mut squares = 0.0;
        let mut n = 0.0;
        Zip::from(&made.image).and(&made.clean).and(&made.bias).for_each(|v, c, b| {
            // Far above the noise the Rician distribution is Gaussian.
            if c * b > 500.0 {
                squares += f64::from(v - c * b).powi(2);
                n += 1.0;
            }
        });
        let deviation = (squares / n).sqrt();
        assert!((deviation - 50.0).abs() < 1.0, "{deviation}");
        assert!((made.sigma - 50.0).abs() < 1e-3);
    }

    #[test]
    fn another_scan_of_the_same_head_differs_in_pose_not_in_size() {
        let volume = |scan| t1w(&T1wSpec::new(5, scan, 6.0)).brain.iter().filter(|b| **b > 0).count() as f64;
        let (a, b) = (volume(1), volume(2));
        assert!((a / b - 1.0).abs() < 0.02, "{a} {b}");
        assert_ne!(pose(1), pose(2));
    }
}
