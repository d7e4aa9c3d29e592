//! A fast estimate of CSF, grey and white matter inside the brain of a bias-corrected T1w image.
//!
//! Good enough for quality measures and pictures, not meant for volumetry: three Gaussian classes of intensity, and a mild
//! preference for the tissue of the neighbours, so that noise does not speckle the map.

use ndarray::{Array3, ArrayView3, Axis};
use rayon::prelude::*;
use thiserror::Error;

use crate::filter::{is_any, par_planes, quantiles, values_in};
use crate::mixture::Mixture;

/// Bins of the histogram.
const BINS: usize = 256;
/// Largest voxels (edge of a cube of their size, mm) that still show the cortex, which is about as thick: of 2 mm voxels 80 %
/// get their true tissue on synthetic heads, of 3 mm voxels grey matter not half.
const COARSEST_MM: f64 = 2.5;
/// Fewest voxels to be told apart.
const FEWEST: usize = 300;
/// What one of the six neighbours of another class costs, in log likelihood.
const COUPLING: f32 = 0.3;
/// Passes over the volume; the third one changes less than 1 % of the labels.
const PASSES: usize = 2;

/// A map of tissues.
#[derive(Clone, Debug, PartialEq)]
pub struct Tissues {
    /// For each voxel 0 outside, 1 CSF, 2 grey matter, 3 white matter.
    pub labels: Array3<u8>,
    /// Mean intensity of CSF, grey and white matter.
    pub means: [f64; 3],
    /// Standard deviation of their intensities.
    pub sds: [f64; 3],
    /// Number of voxels of each.
    pub voxels: [usize; 3],
    /// The labels of the pass before the last one, from which the last one was made.
    before: Array3<u8>,
    axis: IntensityAxis,
    costs: Vec<[f32; 3]>,
}

impl Tissues {
    /// The probability (0 to 1) of `tissue` (1 CSF, 2 grey matter, 3 white matter) at each voxel of the `image` that was
    /// classified, given its intensity and its neighbours; 0 where there is no label. The three sum to 1, and the tissue of
    /// the label has the most.
    #[must_use]
    pub fn probability(&self, image: ArrayView3<f32>, tissue: u8) -> Array3<f32> {
        let mut out = Array3::zeros(self.labels.dim());
        if image.dim() != out.dim() {
            return out;
        }
        par_planes(&mut out, 0).enumerate().for_each_init(Votes::default, |votes, (z, mut slab)| {
            let (image, labels) = (image.index_axis(Axis(0), z), self.labels.index_axis(Axis(0), z));
            let rows = slab.outer_iter_mut().zip(image.outer_iter().zip(labels.outer_iter())).enumerate();
            for (y, (mut out, (image, labels))) in rows {
                votes.count(&self.before, z, y);
                let voxels = out.iter_mut().zip(image.iter().zip(labels)).enumerate();
                for (x, (out, (v, _))) in voxels.filter(|(_, (_, (_, label)))| **label > 0) {
                    let odds = votes.costs_at(x, self.costs[self.axis.bin(*v)]).map(|c| (-c).exp());
                    let of: f32 = odds.iter().zip([1, 2, 3]).filter(|(_, t)| *t == tissue).map(|(o, _)| o).sum();
                    *out = of / odds.iter().sum::<f32>();
                }
            }
        });
        out
    }
}

/// Why the tissues cannot be told apart.
#[derive(Debug, Error, PartialEq)]
pub enum TissueError {
    /// Image and mask differ in shape.
    #[error("tissues: the mask has shape {mask:?}, the image {image:?}; make the mask on the grid of the image")]
    Shape {
        /// Shape of the image (z, y, x).
        image: (usize, usize, usize),
        /// Shape of the mask (z, y, x).
        mask: (usize, usize, usize),
    },
    /// Too few voxels in the mask have a finite intensity.
    #[error("tissues: only {usable} voxels of the mask can be used, {FEWEST} are needed; check the brain mask")]
    TooFew {
        /// Voxels that could be used.
        usable: usize,
    },
    /// The voxels are too large for a map.
    #[error(
        "tissues: most voxels of {size_mm:.1} mm hold more than one tissue; a map needs {COARSEST_MM} mm or less, leave it out"
    )]
    Coarse {
        /// Edge of a cube of the voxels' size, mm.
        size_mm: f64,
    },
    /// The intensities do not fall into three classes.
    #[error("tissues: the brain does not show three classes of intensity; check that the image is T1w and its mask")]
    NoClasses,
}

/// Whether voxels of `voxel_mm` = `[dz, dy, dx]` are small enough for a map of tissues.
///
/// # Errors
/// [`TissueError::Coarse`]: most of them hold more than one tissue.
pub fn check_voxel_size(voxel_mm: [f64; 3]) -> Result<(), TissueError> {
    let size_mm = voxel_mm.iter().product::<f64>().cbrt();
    if size_mm > COARSEST_MM { Err(TissueError::Coarse { size_mm }) } else { Ok(()) }
}

/// Classifies the voxels of `mask` by intensity into three classes in order of brightness, which on a T1w image (bias
/// corrected) are CSF, grey and white matter.
///
/// A Gaussian mixture on the histogram ([`Mixture::fit`]), then two passes of iterated conditional modes with a Potts
/// prior on the six neighbours (Besag 1986, doi:10.1111/j.2517-6161.1986.tb01412.x). Voxels that are not finite get 0.
///
/// # Errors
/// [`TissueError`]: shapes differ, hardly a voxel in the mask, or no three classes.
pub fn classify_tissues(image: ArrayView3<f32>, mask: ArrayView3<u8>) -> Result<Tissues, TissueError> {
    if image.dim() != mask.dim() {
        return Err(TissueError::Shape { image: image.dim(), mask: mask.dim() });
    }
    let mut values = values_in(image, mask, f32::is_finite);
    let usable = values.len();
    if usable < FEWEST {
        return Err(TissueError::TooFew { usable });
    }
    let range = quantiles(&mut values, [0.001, 0.999]).filter(|[low, high]| low < high);
    let [low, high] = range.ok_or(TissueError::NoClasses)?;
    let axis = IntensityAxis { low, step: (high - low) / (BINS - 1) as f32 };
    let mixture = axis.fit(&values).ok_or(TissueError::NoClasses)?;
    let costs = axis.costs(&mixture);
    let (mut before, _) = label(image, mask, None, axis, &costs);
    for _ in 1..PASSES {
        (before, _) = label(image, mask, Some(&before), axis, &costs);
    }
    let (labels, voxels) = label(image, mask, Some(&before), axis, &costs);
    let (means, sds) = (mixture.classes.map(|c| c.mean), mixture.classes.map(|c| c.sd));
    Ok(Tissues { labels, means, sds, voxels, before, axis, costs })
}

/// The histogram's axis.
#[derive(Clone, Copy, Debug, PartialEq)]
struct IntensityAxis {
    low: f32,
    step: f32,
}

impl IntensityAxis {
    fn bin(self, value: f32) -> usize {
        ((value - self.low) / self.step + 0.5).clamp(0.0, (BINS - 1) as f32) as usize
    }

    fn centres(self) -> [f64; BINS] {
        std::array::from_fn(|i| f64::from(self.low) + i as f64 * f64::from(self.step))
    }

    fn fit(self, values: &[f32]) -> Option<Mixture> {
        let mut counts = [0f64; BINS];
        values.iter().for_each(|v| counts[self.bin(*v)] += 1.0);
        Mixture::fit(&self.centres(), &counts)
    }

    /// The negative log posterior of each class at each bin.
    fn costs(self, mixture: &Mixture) -> Vec<[f32; 3]> {
        self.centres().iter().map(|v| mixture.posteriors(*v).map(|p| -(p.max(1e-6).ln()) as f32)).collect()
    }
}

/// The cheapest class of each voxel, with the labels of its neighbours `before` counted in, and how many voxels have each.
/// All voxels are decided from the labels of the pass before, so the order does not matter.
fn label(
    image: ArrayView3<f32>,
    mask: ArrayView3<u8>,
    before: Option<&Array3<u8>>,
    axis: IntensityAxis,
    costs: &[[f32; 3]],
) -> (Array3<u8>, [usize; 3]) {
    let mut labels = Array3::<u8>::zeros(image.dim());
    let slabs = par_planes(&mut labels, 0).enumerate().map_init(Votes::default, |votes, (z, mut slab)| {
        let mut voxels = [0; 3];
        let (image, mask) = (image.index_axis(Axis(0), z), mask.index_axis(Axis(0), z));
        let rows = slab.outer_iter_mut().zip(image.outer_iter().zip(mask.outer_iter())).enumerate();
        for (y, (mut out, (image, mask))) in rows.filter(|(_, (_, (_, mask)))| is_any(mask)) {
            votes.clear(mask.len());
            before.iter().for_each(|labels| votes.count(labels, z, y));
            for (x, (out, (v, m))) in out.iter_mut().zip(image.iter().zip(mask)).enumerate() {
                if *m > 0 && v.is_finite() {
                    let [csf, grey, white] = votes.costs_at(x, costs[axis.bin(*v)]);
                    let class = if white < grey && white < csf { 2 } else { usize::from(grey <= csf) };
                    voxels[class] += 1;
                    *out = 1 + class as u8;
                }
            }
        }
        voxels
    });
    let slabs: Vec<[usize; 3]> = slabs.collect();
    (labels, [0, 1, 2].map(|class| slabs.iter().map(|n| n[class]).sum()))
}

/// How many of the six neighbours of each voxel of a row have each label.
#[derive(Default)]
struct Votes([Vec<u8>; 3]);

impl Votes {
    /// No votes for `n` voxels.
    fn clear(&mut self, n: usize) {
        self.0.iter_mut().for_each(|votes| {
            votes.clear();
            votes.resize(n, 0);
        });
    }

    /// Counts anew for row `y` of slab `z`: neighbour by neighbour for the whole row, which the processor does for many
    /// voxels at once.
    fn count(&mut self, labels: &Array3<u8>, z: usize, y: usize) {
        let (nz, ny, nx) = labels.dim();
        let all = labels.as_slice().unwrap_or_default();
        let row = |z: usize, y: usize| {
            let first = (z * ny + y) * nx;
            if z < nz && y < ny { &all[first..first + nx] } else { &[] }
        };
        let (below, behind, own) = (z.wrapping_sub(1), y.wrapping_sub(1), row(z, y));
        let beside = [row(below, y), row(z + 1, y), row(z, behind), row(z, y + 1), own.get(1..).unwrap_or_default()];
        self.clear(nx);
        for (votes, label) in self.0.iter_mut().zip(1..) {
            let add = |(votes, other): (&mut u8, &u8)| *votes += u8::from(*other == label);
            beside.iter().for_each(|row| votes.iter_mut().zip(*row).for_each(add));
            votes.iter_mut().skip(1).zip(own).for_each(add);
        }
    }

    /// The costs of the classes at voxel `x`: those of its intensity, less what its neighbours speak for.
    fn costs_at(&self, x: usize, costs: [f32; 3]) -> [f32; 3] {
        std::array::from_fn(|class| costs[class] - COUPLING * f32::from(self.0[class][x]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three thick layers with noise, background around them.
    fn layers() -> (Array3<f32>, Array3<u8>, Array3<u8>) {
        let shape = (20, 20, 24);
        let truth = Array3::from_shape_fn(shape, |(z, y, x)| {
            let edge = z == 0 || z == 19 || y == 0 || y == 19;
            if edge { 0 } else { 1 + (x / 8) as u8 }
        });
        let image = Array3::from_shape_fn(shape, |(z, y, x)| {
            let u = |m: usize| ((((z * 20 + y) * 24 + x) * m + 7) % 1009) as f32 / 1009.0;
            let noise = (u(389) + u(577) + u(751) + u(997) - 2.0) * 1.73;
            [5000.0, 230.0, 660.0, 1000.0][usize::from(truth[[z, y, x]])] + 100.0 * noise
        });
        let mask = truth.mapv(|t| u8::from(t > 0));
        (image, mask, truth)
    }

    #[test]
    fn layers_are_told_apart_and_neighbours_help() {
        let (image, mask, truth) = layers();
        let found = classify_tissues(image.view(), mask.view()).unwrap();
        let wrong = found.labels.iter().zip(&truth).filter(|(a, b)| a != b).count();
        assert!(wrong * 100 < truth.len(), "{wrong}");
        for (mean, expected) in found.means.iter().zip([230.0, 660.0, 1000.0]) {
            assert!((mean - expected).abs() < 25.0, "{mean} {expected}");
        }
        assert_eq!(found.voxels.iter().sum::<usize>(), mask.iter().filter(|m| **m > 0).count());
    }

    #[test]
    fn probabilities_sum_to_one_and_agree_with_the_labels() {
        let (image, mask, truth) = layers();
        let found = classify_tissues(image.view(), mask.view()).unwrap();
        let maps = [1, 2, 3].map(|tissue| found.probability(image.view(), tissue));
        let (mut sure, mut agree) = (0, 0);
        for (at, &label) in found.labels.indexed_iter() {
            let p = maps.each_ref().map(|map| map[at]);
            let sum = f32::from(u8::from(label > 0));
            assert!((p.iter().sum::<f32>() - sum).abs() < 1e-5 && p.iter().all(|v| (0.0..=1.0).contains(v)), "{p:?}");
            if label > 0 {
                agree += usize::from(p.iter().all(|q| *q <= p[usize::from(label) - 1]));
                sure += usize::from(truth[at] > 0 && p[usize::from(truth[at]) - 1] > 0.9);
            }
        }
        let all = found.voxels.iter().sum::<usize>();
        assert!(agree == all && sure * 100 > all * 90, "{agree} {sure} of {all}");
        assert_eq!(found.probability(Array3::zeros((1, 1, 1)).view(), 1).sum(), 0.0);
    }

    #[test]
    fn threads_change_nothing_and_nan_is_no_tissue() {
        let (mut image, mask, _) = layers();
        image[[5, 5, 5]] = f32::NAN;
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| classify_tissues(image.view(), mask.view())).unwrap()
        };
        assert_eq!(run(1), run(4));
        assert_eq!(run(2).labels[[5, 5, 5]], 0);
    }

    #[test]
    fn a_map_needs_voxels_that_show_the_cortex() {
        assert_eq!(check_voxel_size([1.0; 3]), Ok(()));
        assert_eq!(check_voxel_size([4.0, 1.0, 1.0]), Ok(()));
        assert_eq!(check_voxel_size([3.0; 3]), Err(TissueError::Coarse { size_mm: 27f64.cbrt() }));
    }

    #[test]
    fn what_has_no_tissues_is_refused() {
        let (image, mask, _) = layers();
        let run = |i: &Array3<f32>, m: &Array3<u8>| classify_tissues(i.view(), m.view()).unwrap_err();
        assert_eq!(run(&image, &Array3::zeros(mask.dim())), TissueError::TooFew { usable: 0 });
        assert_eq!(run(&Array3::ones(mask.dim()), &mask), TissueError::NoClasses);
        assert!(matches!(run(&image, &Array3::zeros((1, 1, 1))), TissueError::Shape { .. }));
    }
}
