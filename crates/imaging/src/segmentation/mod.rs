//! CSF, grey and white matter of a stripped, bias-corrected T1w image: labels, probabilities, volumes.
//!
//! 1. A mixture of three Gaussians on the histogram. Their variances are drawn together, there and ever after: left free,
//!    the broad class of grey matter takes in the flank of white matter.
//! 2. Sweeps of mean-field expectation maximisation over the voxels, which take the neighbours into account (`sweep`);
//!    the classes are estimated anew after each (Zhang, Brady and Smith 2001, doi:10.1109/42.906424).
//! 3. From the second sweep on each class has its own mean in every place (`local_means`).
//! 4. With a template's prior ([`TissuePrior`]) the thalamus and putamen, nearly as bright as white matter, stay grey.
//! 5. For shares of tissue in a voxel ([`estimate_shares`]) two more classes: voxels that two tissues divide
//!    (`partial_volume`).

mod error;
mod local_means;
mod partial_volume;
mod prior;
mod pure;
mod region;
mod sweep;

use ndarray::{Array3, ArrayView3};
use rayon::prelude::*;

pub use error::SegmentationError;
pub use prior::TissuePrior;

use crate::filter::{quantiles, values_in};
use crate::mixture::Mixture;
use crate::rigid::Matrix4;
use local_means::{CellMeans, Cells};
use partial_volume::{SharedClasses, shares};
use prior::PriorLogs;
use pure::PureClasses;
use region::Region;
use sweep::{Classes, Maps, Scene, Sums, sweep, unpack};

/// Bins of the histogram, and steps of the fit to it.
const BINS: usize = 256;
const STEPS: usize = 60;
/// Largest voxels (edge of a cube of their size, mm) that still show the cortex, which is about as thick: of larger ones most
/// hold more than one tissue.
const COARSEST_MM: f64 = 2.5;
/// Fewest voxels to be told apart.
const FEWEST: usize = 300;
/// How far the variances are drawn together.
const TIE: f64 = 0.5;
/// Smallest share of a class that its logarithm is taken of.
const WEAKEST_SHARE: f64 = 1e-6;
/// Sweeps with the neighbours, after one without.
const SWEEPS: usize = 4;
/// The same for shares, which start from the finished classes.
const SHARE_SWEEPS: usize = 3;
/// What a neighbour adds to the log odds of its class, with noise (sd over the mean of white matter) up to the first, and
/// from the second number on. Clean images are best left nearly alone.
const COUPLING: [f64; 2] = [0.2, 0.5];
const NOISE: [f64; 2] = [0.07, 0.11];
/// Least gain of log likelihood (a voxel) over a single Gaussian: real heads have 0.07 to 0.28, noise alone 0.001.
const GAIN: f64 = 0.005;
/// Least distance of neighbouring means, in standard deviations of the classes.
const APART: f64 = 1.0;

/// The tissues, with the numbers of BIDS' common labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tissue {
    /// Grey matter.
    Grey = 1,
    /// White matter.
    White = 2,
    /// Cerebrospinal fluid, and whatever else a brain mask holds that is as dark.
    Csf = 3,
}

impl Tissue {
    /// All three, in the order of their labels.
    pub const ALL: [Self; 3] = [Self::Grey, Self::White, Self::Csf];

    /// The number in [`Segmentation::labels`].
    #[must_use]
    pub const fn label(self) -> u8 {
        self as u8
    }

    /// BIDS' abbreviation, as in `label-GM`.
    #[must_use]
    pub const fn abbreviation(self) -> &'static str {
        match self {
            Self::Grey => "GM",
            Self::White => "WM",
            Self::Csf => "CSF",
        }
    }

    /// BIDS' name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grey => "Gray Matter",
            Self::White => "White Matter",
            Self::Csf => "Cerebrospinal Fluid",
        }
    }

    /// Its place among the classes, which are in the order of their brightness.
    const fn class(self) -> usize {
        match self {
            Self::Csf => 0,
            Self::Grey => 1,
            Self::White => 2,
        }
    }
}

/// What is known of one tissue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TissueFacts {
    /// Mean intensity.
    pub mean: f64,
    /// Standard deviation of its intensity about the mean of its place.
    pub sd: f64,
    /// Voxels with its label.
    pub voxels: usize,
    /// Their volume, ml.
    pub volume_ml: f64,
}

/// A map of tissues.
#[derive(Clone, Debug, PartialEq)]
pub struct Segmentation {
    /// For each voxel 0 outside, 1 grey matter, 2 white matter, 3 CSF ([`Tissue::label`]).
    pub labels: Array3<u8>,
    /// Volume inside the skull as far as the mask knows it, ml: of all voxels that have a label.
    pub intracranial_ml: f64,
    facts: [TissueFacts; 3],
    region: Region,
    model: Model,
}

impl Segmentation {
    /// What is known of a tissue.
    #[must_use]
    pub fn facts(&self, tissue: Tissue) -> TissueFacts {
        self.facts[tissue.class()]
    }
}

/// A number for each tissue at each voxel, 0 to 1; the three sum to 1 in the mask and are 0 outside.
#[derive(Clone, Debug, PartialEq)]
pub struct TissueMaps {
    region: Region,
    maps: Maps<3>,
    voxel_ml: f64,
}

impl TissueMaps {
    fn new(region: Region, maps: Maps<3>, voxel_mm: [f64; 3]) -> Self {
        Self { region, maps, voxel_ml: voxel_mm.iter().product::<f64>() / 1000.0 }
    }

    /// The map of one tissue, shape of the image. Made anew at each call, from what is kept for the brain alone.
    #[must_use]
    pub fn map(&self, tissue: Tissue) -> Array3<f32> {
        let map = &self.maps[tissue.class()];
        self.region.scatter(|at| unpack(map[at]))
    }

    /// The maps of CSF, grey and white matter in the box around the brain, and the affine of that box, given that of the
    /// image.
    #[must_use]
    pub fn boxed(&self, affine: &Matrix4) -> ([Array3<f32>; 3], Matrix4) {
        let [nz, ny, nx] = self.region.shape;
        let unpacked = |map: &Vec<u16>| map.par_iter().map(|steps| unpack(*steps)).collect();
        // The maps have as many voxels as the box, so the shape fits.
        let boxed = |map| Array3::from_shape_vec((nz, ny, nx), unpacked(map)).unwrap_or_default();
        (self.maps.each_ref().map(boxed), self.region.affine(affine))
    }

    /// The volume of a tissue, ml: the sum of its map.
    #[must_use]
    pub fn volume_ml(&self, tissue: Tissue) -> f64 {
        let steps: u64 = self.maps[tissue.class()].par_iter().map(|steps| u64::from(*steps)).sum();
        steps as f64 / f64::from(u16::MAX) * self.voxel_ml
    }
}

/// The classes as they were found.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    mixture: Mixture,
    means: CellMeans,
}

/// Classifies the voxels of `mask` into CSF, grey and white matter.
///
/// `image` is a T1w image, corrected for bias, in any unit; `mask` (same shape) the brain with the CSF around it;
/// `voxel_mm` = `[dz, dy, dx]`. `prior`, on the grid of the image, is what a template expects, best carried there by a
/// warp ([`TissuePrior::carried`]). Voxels that are not finite get no label. The same bytes at any number of threads.
///
/// # Errors
/// [`SegmentationError`]: shapes differ, impossible voxel sizes, hardly a voxel in the mask, or no three classes.
pub fn segment_tissues(
    image: ArrayView3<f32>,
    mask: ArrayView3<u8>,
    voxel_mm: [f64; 3],
    prior: Option<&TissuePrior>,
) -> Result<Segmentation, SegmentationError> {
    let scene = scene(image, mask, voxel_mm, prior)?;
    let mixture = start(image, mask).ok_or(SegmentationError::NoClasses)?;
    let means = scene.expected(&mixture);
    let mut fit = Fit { model: Model { mixture, means }, maps: empty(&scene), coupling: coupling(&mixture) };
    fit.run(&scene, SWEEPS, PureClasses::new)?;
    let Fit { model, maps, .. } = fit;
    let label = |at: usize| {
        let [csf, grey, white] = maps.each_ref().map(|map| map[at]);
        (if white > grey && white > csf {
            Tissue::White
        } else if grey >= csf {
            Tissue::Grey
        } else {
            Tissue::Csf
        })
        .label()
    };
    let labels = scene.region.scatter(label);
    let counts = count(&labels);
    let voxel_ml = voxel_mm.iter().product::<f64>() / 1000.0;
    let facts = [Tissue::Csf, Tissue::Grey, Tissue::White].map(|tissue| {
        let (class, voxels) = (model.mixture.classes[tissue.class()], counts[usize::from(tissue.label())]);
        TissueFacts { mean: class.mean, sd: class.sd, voxels, volume_ml: voxels as f64 * voxel_ml }
    });
    let intracranial_ml = scene.region.voxels as f64 * voxel_ml;
    Ok(Segmentation { labels, intracranial_ml, facts, region: scene.region, model })
}

/// The share of each tissue in each voxel, with voxels that two tissues divide: better for volumes and for weights than the
/// probabilities of pure classes that the labels were decided by. Takes the same arguments as [`segment_tissues`], and what
/// that found.
///
/// # Errors
/// As [`segment_tissues`].
pub fn estimate_shares(
    image: ArrayView3<f32>,
    mask: ArrayView3<u8>,
    voxel_mm: [f64; 3],
    prior: Option<&TissuePrior>,
    found: &Segmentation,
) -> Result<TissueMaps, SegmentationError> {
    let scene = scene(image, mask, voxel_mm, prior)?;
    if scene.region != found.region {
        let other = found.labels.dim();
        return Err(SegmentationError::Shape { what: "segmentation", found: other, image: image.dim() });
    }
    let mut fit = Fit { model: found.model.clone(), maps: empty(&scene), coupling: coupling(&found.model.mixture) };
    fit.run(&scene, SHARE_SWEEPS, SharedClasses::new)?;
    let maps = shares(&scene, &fit.model.mixture, &fit.model.means, fit.maps);
    Ok(TissueMaps::new(scene.region, maps, voxel_mm))
}

/// The edge (mm) of a cube of the size of a voxel, where voxels of `voxel_mm` = `[dz, dy, dx]` are so large that most of the
/// cortex shares its voxel with fluid or white matter: labels then say little, shares still something.
#[must_use]
pub fn too_coarse(voxel_mm: [f64; 3]) -> Option<f64> {
    Some(voxel_mm.iter().product::<f64>().cbrt()).filter(|size_mm| *size_mm > COARSEST_MM)
}

/// Checks the arguments and brings the voxels together.
fn scene(
    image: ArrayView3<f32>,
    mask: ArrayView3<u8>,
    voxel_mm: [f64; 3],
    prior: Option<&TissuePrior>,
) -> Result<Scene, SegmentationError> {
    if !voxel_mm.iter().all(|v| v.is_finite() && *v > 0.0) {
        return Err(SegmentationError::Sizes { voxel_mm });
    }
    let shape = |what: &'static str, found| SegmentationError::Shape { what, found, image: image.dim() };
    if mask.dim() != image.dim() {
        return Err(shape("mask", mask.dim()));
    }
    if let Some(prior) = prior.filter(|prior| prior.shape() != Some(image.dim())) {
        return Err(shape("prior", prior.shape().unwrap_or(prior.grey.dim())));
    }
    let region = Region::new(image, mask);
    if region.voxels < FEWEST {
        return Err(SegmentationError::TooFew { usable: region.voxels });
    }
    let cells = Cells::new(&region, voxel_mm);
    let inside = region.gather(image, |v| *v);
    let prior = prior.map(|prior| PriorLogs::new(prior, &region, &cells));
    let nearest = voxel_mm.iter().copied().fold(f64::INFINITY, f64::min);
    let neighbours = voxel_mm.map(|mm| (nearest / mm) as f32);
    Ok(Scene { region, image: inside, cells, prior, neighbours })
}

impl Scene {
    /// The mean of each tissue to expect in each cell, before any voxel is looked at there.
    fn expected(&self, mixture: &Mixture) -> CellMeans {
        let means = mixture.classes.map(|c| c.mean as f32);
        self.prior.as_ref().map_or_else(|| self.cells.uniform(means), |prior| prior.expected(means))
    }
}

/// Maps of zeros.
fn empty<const K: usize>(scene: &Scene) -> Maps<K> {
    std::array::from_fn(|_| vec![0; scene.region.len()])
}

/// Where CSF, grey and white matter lie among the intensities of `mask`, by the histogram alone; `None` where it shows no
/// three classes.
#[must_use]
pub fn tissue_peaks(image: ArrayView3<f32>, mask: ArrayView3<u8>) -> Option<[f64; 3]> {
    start(image, mask).map(|mixture| mixture.classes.map(|class| class.mean))
}

/// The mixture of the histogram of the mask.
fn start(image: ArrayView3<f32>, mask: ArrayView3<u8>) -> Option<Mixture> {
    let mut values = values_in(image, mask, f32::is_finite);
    let [low, high] = quantiles(&mut values, [0.001, 0.999]).filter(|[low, high]| low < high)?.map(f64::from);
    let width = (high - low) / BINS as f64;
    let centres: Vec<f64> = (0..BINS).map(|bin| low + (bin as f64 + 0.5) * width).collect();
    let mut counts = [0f64; BINS];
    for v in values.iter().map(|v| f64::from(*v)).filter(|v| *v > low && *v < high) {
        counts[(((v - low) / width) as usize).min(BINS - 1)] += 1.0;
    }
    Mixture::fit_tied(&centres, &counts, TIE, STEPS).filter(|mixture| mixture.gain(&centres, &counts) > GAIN)
}

/// What a neighbour counts, by the noise.
fn coupling(mixture: &Mixture) -> f32 {
    let noise = mixture.pooled_variance().sqrt() / mixture.classes[2].mean.abs();
    let part = ((noise - NOISE[0]) / (NOISE[1] - NOISE[0])).clamp(0.0, 1.0);
    (COUPLING[0] + part * (COUPLING[1] - COUPLING[0])) as f32
}

/// An estimate under way.
struct Fit<const K: usize> {
    model: Model,
    maps: Maps<K>,
    coupling: f32,
}

impl<const K: usize> Fit<K> {
    /// One sweep without the neighbours and `sweeps` with them, and the model anew after each.
    fn run<C: Classes<K>>(
        &mut self,
        scene: &Scene,
        sweeps: usize,
        classes: impl Fn(&Mixture) -> C,
    ) -> Result<(), SegmentationError> {
        let mut new = empty(scene);
        for done in 0..=sweeps {
            let before = (done > 0).then_some((&self.maps, self.coupling));
            let sums = sweep(scene, &classes(&self.model.mixture), &self.model.means, before, &mut new);
            std::mem::swap(&mut self.maps, &mut new);
            self.model.update(scene, &sums).ok_or(SegmentationError::NoClasses)?;
        }
        Ok(())
    }
}

impl Model {
    /// The classes anew; `None` when they cannot be told apart.
    fn update(&mut self, scene: &Scene, sums: &Sums) -> Option<()> {
        let total: f64 = sums.moments.iter().map(|m| m[0]).sum();
        for (class, [weight, sum, spread]) in self.mixture.classes.iter_mut().zip(sums.moments) {
            class.mean = sum / weight;
            class.share = weight / total;
            class.sd = (spread / weight).sqrt().max(Mixture::narrowest(class.mean));
        }
        self.mixture.tie(TIE);
        let [csf, grey, white] = self.mixture.classes;
        let apart = |a: f64, b: f64| b - a > APART * self.mixture.pooled_variance().sqrt();
        if !apart(csf.mean, grey.mean) || !apart(grey.mean, white.mean) {
            return None;
        }
        self.means = scene.cells.means(&sums.layers, &scene.expected(&self.mixture));
        Some(())
    }
}

/// How many voxels have each label.
fn count(labels: &Array3<u8>) -> [usize; 4] {
    let planes: Vec<_> = labels.outer_iter().collect();
    let counts = planes.into_par_iter().map(|plane| {
        let mut counts = [0usize; 4];
        plane.iter().for_each(|label| counts[usize::from(label & 3)] += 1);
        counts
    });
    counts.reduce(|| [0; 4], |a, b| std::array::from_fn(|i| a[i] + b[i]))
}

#[cfg(test)]
mod tests;
