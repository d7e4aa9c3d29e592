//! The nuisance time courses of a bold run: how much the head moved and the signal jumped between volumes.
//!
//! Every measure between neighbouring volumes has one value per volume; the first volume has no neighbour before it and
//! therefore none (`None`, "n/a" in a BIDS table). Beside them, in [`nuisance`], the courses that are made to be regressed out.

mod basis;
pub mod compcor;
pub mod expansion;
mod gram;
pub mod nuisance;
pub mod outliers;
mod spectrum;
pub mod tissue_masks;

pub use basis::cosines;

use ndarray::{ArrayView3, ArrayView4};
use rayon::prelude::*;

use crate::filter::quantiles;
use crate::motion::MotionEstimate;
use crate::rigid::{HEAD_RADIUS_MM, rms_deviation};

/// Radius in mm of the sphere on whose surface rotations are measured (Power 2012).
const POWER_RADIUS_MM: f64 = 50.0;
/// The brain's mean intensity to which DVARS is scaled, so that 10 is 1 % (Power 2012).
const DVARS_SCALE: f64 = 1000.0;
/// Voxels whose time courses are gathered at a time.
const BLOCK: usize = 256;

/// The measures of one run, each with one entry per volume.
#[derive(Clone, Debug, PartialEq)]
pub struct Confounds {
    /// See [`framewise_displacement`].
    pub framewise_displacement: Vec<Option<f64>>,
    /// See [`rmsd`].
    pub rmsd: Vec<Option<f64>>,
    /// See [`Dvars::dvars`].
    pub dvars: Vec<Option<f64>>,
    /// See [`Dvars::std_dvars`].
    pub std_dvars: Vec<Option<f64>>,
    /// The mean of the brain, see [`mean_signal`].
    pub global_signal: Vec<Option<f64>>,
}

/// The measures of a motion-corrected series (nt, nz, ny, nx) with its brain mask (nz, ny, nx).
#[must_use]
pub fn confounds(series: ArrayView4<f32>, mask: ArrayView3<u8>, motion: &MotionEstimate) -> Confounds {
    let Dvars { dvars, std_dvars } = dvars(series, mask);
    Confounds {
        framewise_displacement: framewise_displacement(&motion.parameters),
        rmsd: rmsd(motion),
        dvars,
        std_dvars,
        global_signal: mean_signal(series, mask),
    }
}

/// Framewise displacement (mm): the sum of the absolute changes of the six parameters since the volume before, rotations
/// as arcs on a sphere of 50 mm.
///
/// Method: Power J.D. et al., NeuroImage 59(3), 2012. `parameters` as of [`MotionEstimate::parameters`].
#[must_use]
pub fn framewise_displacement(parameters: &[[f64; 6]]) -> Vec<Option<f64>> {
    between(parameters, |before, here| {
        let change = |a: usize| (here[a] - before[a]).abs();
        (0..3).map(change).sum::<f64>() + POWER_RADIUS_MM * (3..6).map(change).sum::<f64>()
    })
}

/// RMS deviation (mm) of each volume's transform from that of the volume before, over a sphere of 80 mm.
///
/// Method: Jenkinson M., FMRIB technical report TR99MJ1, 1999; used as displacement in Jenkinson M. et al., NeuroImage
/// 17(2), 2002.
#[must_use]
pub fn rmsd(motion: &MotionEstimate) -> Vec<Option<f64>> {
    between(&motion.matrices, |before, here| rms_deviation(here, before, motion.centre, HEAD_RADIUS_MM))
}

fn between<T>(items: &[T], measure: impl Fn(&T, &T) -> f64) -> Vec<Option<f64>> {
    let first = items.iter().take(1).map(|_| None);
    let rest = items.iter().zip(items.iter().skip(1)).map(|(before, here)| finite(measure(before, here)));
    first.chain(rest).collect()
}

/// The value, unless it is NaN or infinite.
pub(super) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// DVARS of each volume.
#[derive(Clone, Debug, PartialEq)]
pub struct Dvars {
    /// Root mean square over the brain of the change since the volume before, with the brain scaled to a median of 1000
    /// (10 is 1 %). Power J.D. et al., NeuroImage 59(3), 2012.
    pub dvars: Vec<Option<f64>>,
    /// The same divided by the mean over voxels of the standard deviation that a change would have from the voxel's own
    /// spread (from its quartiles) and lag-1 autocorrelation; about 1 in a clean run. Nichols T.E., "Notes on creating a
    /// standardized version of DVARS", 2013.
    pub std_dvars: Vec<Option<f64>>,
}

/// DVARS of a motion-corrected series (nt, nz, ny, nx) within `mask` (nz, ny, nx). Voxels that never change, or are not
/// finite, do not count; without any voxel, or with a mask of another shape, there are no values.
#[must_use]
pub fn dvars(series: ArrayView4<f32>, mask: ArrayView3<u8>) -> Dvars {
    let nt = series.dim().0;
    let blocks: Vec<(VoxelSpread, Vec<f64>)> = block_series(series, mask, |block| {
        // Sums of squared changes over the block, volume by volume, beside the spread of its voxels.
        let mut squares = vec![0.0; nt];
        let mut all = VoxelSpread::default();
        for course in block.chunks_exact_mut(nt) {
            let Some(spread) = VoxelSpread::of(course) else { continue };
            for (t, pair) in course.windows(2).enumerate() {
                squares[t + 1] += f64::from(pair[1] - pair[0]).powi(2);
            }
            all.add(spread);
        }
        (all, squares)
    });
    let mut total = VoxelSpread::default();
    let mut squares = vec![0.0; nt];
    for (spread, block) in blocks {
        total.add(spread);
        squares.iter_mut().zip(block).for_each(|(sum, s)| *sum += s);
    }
    let scale = quantiles(&mut total.means, [0.5]).map_or(f64::NAN, |[m]| DVARS_SCALE / f64::from(m));
    let rms: Vec<f64> = squares.iter().map(|s| (s / total.count as f64).sqrt()).collect();
    let expected = total.sum / total.count as f64;
    let column = |factor: f64| rms.iter().enumerate().map(|(t, v)| finite(v * factor).filter(|_| t > 0)).collect();
    Dvars { dvars: column(scale), std_dvars: column(1.0 / expected) }
}

/// What DVARS needs to know of voxels: how many, their means, and the sum of their expected changes.
#[derive(Default)]
struct VoxelSpread {
    count: usize,
    means: Vec<f32>,
    sum: f64,
}

impl VoxelSpread {
    /// Of one time course; `None` where it is constant or not finite.
    fn of(course: &[f32]) -> Option<Self> {
        let n = course.len();
        let mean = course.iter().map(|&v| f64::from(v)).sum::<f64>() / n as f64;
        let product = |lag: usize| -> f64 {
            let pairs = course.iter().zip(course.iter().skip(lag));
            pairs.map(|(&a, &b)| (f64::from(a) - mean) * (f64::from(b) - mean)).sum()
        };
        let (variance, lagged) = (product(0), product(1));
        if !variance.is_finite() || course.windows(2).all(|pair| pair[0] == pair[1]) {
            return None;
        }
        let mut sorted = course.to_vec();
        let mut quartile =
            |part: f64| *sorted.select_nth_unstable_by((part * (n - 1) as f64) as usize, f32::total_cmp).1;
        let robust_sd = f64::from(quartile(0.75) - quartile(0.25)) / 1.349;
        let expected = (2.0 * (1.0 - lagged / variance)).sqrt() * robust_sd;
        Some(Self { count: 1, means: vec![mean as f32], sum: expected })
    }

    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.means.extend(other.means);
        self.sum += other.sum;
    }
}

/// The mean over `mask` of each volume, in the units of the series; none without a voxel or with a mask of another shape.
#[must_use]
pub fn mean_signal(series: ArrayView4<f32>, mask: ArrayView3<u8>) -> Vec<Option<f64>> {
    let index = mask_index(series, mask);
    let series = series.as_standard_layout();
    let volumes = series.as_slice().unwrap_or_default().par_chunks_exact(mask.len().max(1));
    let means: Vec<Option<f64>> = volumes
        .map(|volume| finite(index.iter().map(|&v| f64::from(volume[v])).sum::<f64>() / index.len() as f64))
        .collect();
    if means.is_empty() { vec![None; series.dim().0] } else { means }
}

/// The raster indices of the voxels in the mask; none if its shape is not that of the volumes.
fn mask_index(series: ArrayView4<f32>, mask: ArrayView3<u8>) -> Vec<usize> {
    if series.shape().get(1..) != Some(mask.shape()) {
        return Vec::new();
    }
    mask.iter().enumerate().filter(|(_, m)| **m != 0).map(|(v, _)| v).collect()
}

/// Calls `work` with the time courses (nt values each, one after the other) of a block of voxels of the mask at a time,
/// blocks in parallel; the results are in the order of the blocks, which does not depend on the number of threads.
pub(super) fn block_series<T: Send>(
    series: ArrayView4<f32>,
    mask: ArrayView3<u8>,
    work: impl Fn(&mut [f32]) -> T + Sync,
) -> Vec<T> {
    block_courses(series, &mask_index(series, mask), work)
}

/// The same of voxels that are named by their raster indices.
fn block_courses<T: Send>(series: ArrayView4<f32>, voxels: &[usize], work: impl Fn(&mut [f32]) -> T + Sync) -> Vec<T> {
    let (nt, nz, ny, nx) = series.dim();
    let series = series.as_standard_layout();
    let data = series.as_slice().unwrap_or_default();
    if data.is_empty() {
        return Vec::new();
    }
    voxels
        .par_chunks(BLOCK)
        .map_init(Vec::new, |buffer, block| {
            buffer.clear();
            buffer.resize(block.len() * nt, 0.0);
            for (t, volume) in data.chunks_exact(nz * ny * nx).enumerate() {
                for (n, &v) in block.iter().enumerate() {
                    buffer[n * nt + t] = volume[v];
                }
            }
            work(buffer)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rigid::{IDENTITY, from_parameters};
    use ndarray::{Array3, Array4};

    fn close(a: Option<f64>, b: f64) -> bool {
        a.is_some_and(|a| (a - b).abs() < 1e-6 * b.abs().max(1e-6))
    }

    #[test]
    fn displacement_matches_the_sum_by_hand() {
        let fd =
            framewise_displacement(&[[0.0; 6], [1.0, -2.0, 0.5, 0.01, -0.02, 0.0], [1.0, -2.0, 0.5, 0.0, 0.0, 0.0]]);
        assert_eq!(fd[0], None);
        assert!(close(fd[1], 3.5 + 50.0 * 0.03) && close(fd[2], 50.0 * 0.03), "{fd:?}");
        assert!(framewise_displacement(&[]).is_empty());
    }

    #[test]
    fn rmsd_of_a_shift_is_the_shift() {
        let shift = from_parameters(&[0.0, 0.3, 0.4, 0.0, 0.0, 0.0], [0.0; 3]);
        let motion = MotionEstimate {
            parameters: vec![[0.0; 6]; 2],
            matrices: vec![IDENTITY, shift],
            centre: [1.0, 2.0, 3.0],
            reference: 0,
            non_steady: 0,
            unaligned: Vec::new(),
            iterations: Vec::new(),
        };
        assert!(close(rmsd(&motion)[1], 0.5));
    }

    #[test]
    fn dvars_and_mean_signal_match_hand_computed_values() {
        // Two voxels in the mask, a constant one, and one outside.
        let courses =
            [[10.0, 12.0, 8.0, 10.0, 14.0], [20.0, 20.0, 23.0, 19.0, 18.0], [5.0; 5], [1.0, 9.0, 2.0, 8.0, 3.0]];
        let series = Array4::from_shape_fn((5, 1, 2, 2), |(t, _, j, i)| courses[j * 2 + i][t]);
        let mask = Array3::from_shape_vec((1, 2, 2), vec![1, 1, 1, 0]).unwrap();
        let signal = mean_signal(series.view(), mask.view());
        assert!(close(signal[0], 35.0 / 3.0) && close(signal[2], 12.0), "{signal:?}");
        let found = dvars(series.view(), mask.view());
        // Means 10.8 and 20: median 15.4. Changes of the second volume: 2 and 0; of the third: -4 and 3.
        let scale = 1000.0 / 15.4;
        assert_eq!(found.dvars[0], None);
        assert!((found.dvars[1].unwrap() - 2.0_f64.sqrt() * scale).abs() < 1e-3, "{found:?}");
        assert!((found.dvars[2].unwrap() - 12.5_f64.sqrt() * scale).abs() < 1e-3, "{found:?}");
        // Quartiles (lower): 12 - 10 and 20 - 19. Autocorrelation: (-0.96 - 3.36 + 2.24 - 2.56) / 20.8 and
        // (0 + 0 - 3 + 2) / 14.
        let first = (2.0_f64 * (1.0 + 4.64 / 20.8)).sqrt() * 2.0 / 1.349;
        let second = (2.0_f64 * (1.0 + 1.0 / 14.0)).sqrt() * 1.0 / 1.349;
        let expected = 2.0_f64.sqrt() / ((first + second) / 2.0);
        assert!((found.std_dvars[1].unwrap() - expected).abs() < 1e-6, "{found:?} {expected}");
    }

    #[test]
    fn white_noise_has_a_standardised_dvars_of_one() {
        let mut state = 1_u64;
        let mut uniform = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1_u64 << 24) as f32
        };
        // Twelve uniform numbers are nearly a normal one.
        let series = Array4::from_shape_simple_fn((60, 8, 8, 8), || (0..12).map(|_| uniform()).sum::<f32>() + 100.0);
        let found = dvars(series.view(), Array3::ones((8, 8, 8)).view());
        let mean = found.std_dvars.iter().flatten().sum::<f64>() / 59.0;
        assert!((mean - 1.0).abs() < 0.03, "{mean}");
    }

    #[test]
    fn no_mask_gives_no_values() {
        let series = Array4::<f32>::ones((3, 2, 2, 2));
        for mask in [Array3::zeros((2, 2, 2)), Array3::ones((3, 3, 3))] {
            let found = dvars(series.view(), mask.view());
            assert_eq!((found.dvars, found.std_dvars), (vec![None; 3], vec![None; 3]));
            assert_eq!(mean_signal(series.view(), mask.view()), vec![None; 3]);
        }
    }
}
