//! How far a carried brain is to be believed, and what kind of image this may be if it is not a T1w head.
//!
//! The measure is the mean signed local correlation between the scan and the warped template inside the brain: gyri meet
//! gyri only in a head with the template's contrast. Measured: T1w heads .65 to .97, FLAIR .28 to .44, T2w −.36 to .19, EPI
//! .05, water .16 to .32, noise .03.

use ndarray::{Array3, Zip, s};

use crate::brain_prior::{DEEP_MM, Prior};
use crate::filter::gaussian_smooth_in_place;

/// From here a carried brain is trusted; below the lower limit there is no head with T1 contrast.
pub const TRUSTED: f64 = 0.55;
/// See [`TRUSTED`].
pub const DOUBTFUL: f64 = 0.3;
/// From here an EPI is believed to be one, compared with a template of its contrast: two real runs .39; fluid phantoms, noise and
/// other contrasts .03 to .16, an imitated T2w .32.
pub const EPI_TRUSTED: f64 = 0.25;
/// Voxels of the grid in an edge of the blocks that sums are taken over, and σ in mm of the window over them.
const BLOCK: usize = 2;
const WINDOW_MM: f64 = 6.0;
/// Variances below this count as this, in squared hundredths of the brain's level.
const LEAST_VARIANCE: f64 = 1e-3;
/// Where the local correlation is below this, scan and template do not show the same thing.
const UNLIKE: f64 = 0.2;
/// Template levels (its brain has 100) that part CSF from grey from white matter, leaving out mixtures.
const CSF_BELOW: f32 = 68.0;
const GREY: [f32; 2] = [80.0, 98.0];
const WHITE_ABOVE: f32 = 114.0;

/// What was found of the likeness of scan and warped template in the brain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Belief {
    /// Mean signed local correlation, −1 to 1.
    pub local: f64,
    /// The share of the brain, 0 to 1, where the local correlation is below 0.2.
    pub unlike: f64,
    /// Mean intensity where the template has CSF, grey and white matter; the scan's darkest is 0, its brain's median 100.
    pub tissues: Option<[f64; 3]>,
}

/// The contrast an image shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looks {
    /// White matter brighter than grey, CSF dark.
    T1w,
    /// CSF brightest, white matter darkest: T2w, or an EPI.
    T2w,
    /// Grey matter brighter than white, CSF dark.
    Flair,
    /// Grey matter brightest, CSF between it and white matter.
    ProtonDensity,
    /// No order of tissues that a head would have.
    NoHead,
}

impl Looks {
    /// In words, to follow "the image".
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::T1w => "has the tissue order of a T1w image, but little of its shape fits",
            Self::T2w => "is brightest where CSF should be dark, as a T2w image or an EPI is",
            Self::Flair => "has grey matter brighter than white and dark CSF, as a FLAIR is",
            Self::ProtonDensity => "has grey matter brighter than white and bright CSF, as a proton-density image is",
            Self::NoHead => "shows no tissues where a head has them; it may be a test object, or no head at all",
        }
    }
}

/// Compares scan and warped template inside the brain; `None` where the scan saw nothing of it.
pub(crate) fn belief(prior: &Prior) -> Option<Belief> {
    let mut sums = block_sums(prior);
    let sigma = WINDOW_MM / (prior.voxel_mm * BLOCK as f64);
    let weights = sums[0].clone();
    sums.iter_mut().for_each(|v| gaussian_smooth_in_place(v, [sigma; 3]));
    let [n, a, b, aa, bb, ab] = &sums;
    let (mut total, mut likeness, mut unlike) = (0.0, 0.0, 0.0);
    for (at, &weight) in weights.indexed_iter().filter(|(_, w)| **w > 0.0) {
        let count = f64::from(n[at]).max(1e-6);
        let mean = |v: &Array3<f32>| f64::from(v[at]) / count;
        let (of_a, of_b) = (mean(aa) - mean(a) * mean(a), mean(bb) - mean(b) * mean(b));
        let variances = of_a.max(LEAST_VARIANCE) * of_b.max(LEAST_VARIANCE);
        let local = (mean(ab) - mean(a) * mean(b)) / variances.sqrt();
        let weight = f64::from(weight);
        total += weight;
        likeness += weight * local;
        unlike += if local < UNLIKE { weight } else { 0.0 };
    }
    let tissues = tissues(prior);
    (total > 0.0).then(|| Belief { local: likeness / total, unlike: unlike / total, tissues })
}

/// Sums over blocks of what is seen and deep enough: count, scan, template, both squared, and their product. The scan counts
/// from 100, so that squares of small differences do not drown.
fn block_sums(prior: &Prior) -> [Array3<f32>; 6] {
    let (nz, ny, nx) = prior.scan.dim();
    let shape = [nz, ny, nx].map(|n| n.div_ceil(BLOCK));
    let mut sums: [Array3<f32>; 6] = std::array::from_fn(|_| Array3::zeros(shape));
    let inside = prior.distance.indexed_iter().filter(|(at, d)| **d < DEEP_MM && prior.seen[*at] != 0);
    for ((k, j, i), _) in inside {
        let (a, b) = (prior.scan[[k, j, i]] - 100.0, prior.template[[k, j, i]] - 100.0);
        let at = [k / BLOCK, j / BLOCK, i / BLOCK];
        let values = [1.0, a, b, a * a, b * b, a * b];
        sums.iter_mut().zip(values).for_each(|(sum, v)| sum[at] += v);
    }
    sums
}

/// Mean intensities of the scan where the template has CSF, grey and white matter; `None` where it lacks one of them.
fn tissues(prior: &Prior) -> Option<[f64; 3]> {
    let (mut sums, mut counts) = ([0.0; 3], [0.0; 3]);
    Zip::from(&prior.scan).and(&prior.template).and(&prior.distance).and(&prior.seen).for_each(|&v, &t, &d, &seen| {
        if seen == 0 || d > 2.0 * DEEP_MM {
            return;
        }
        let class = match t {
            t if t < CSF_BELOW => 0,
            t if t > WHITE_ABOVE => 2,
            t if t > GREY[0] && t < GREY[1] => 1,
            _ => return,
        };
        sums[class] += f64::from(v);
        counts[class] += 1.0;
    });
    counts.iter().all(|n| *n >= 50.0).then(|| [0, 1, 2].map(|c| sums[c] / counts[c]))
}

impl Belief {
    /// Which contrast the tissues' order is that of.
    #[must_use]
    pub fn looks(&self) -> Looks {
        const CLEAR: f64 = 2.0;
        let Some([csf, grey, white]) = self.tissues else { return Looks::NoHead };
        if white > grey + CLEAR && grey > csf + CLEAR {
            Looks::T1w
        } else if csf > grey + CLEAR && csf > white + CLEAR {
            Looks::T2w
        } else if grey > white + CLEAR && white > csf {
            Looks::Flair
        } else if grey > white + CLEAR && grey > csf + CLEAR {
            Looks::ProtonDensity
        } else {
            Looks::NoHead
        }
    }
}

/// The part of the brain on the left and on the right of the template's middle, in voxels of the grid.
pub(crate) fn sides(prior: &Prior) -> [f64; 2] {
    let middle = (-prior.to_template[0][3] / prior.to_template[0][0]).clamp(0.0, prior.distance.dim().2 as f64 - 1.0);
    let middle = middle.round() as usize;
    let count = |part: ndarray::ArrayView3<f32>| part.iter().filter(|d| **d < 0.0).count() as f64;
    let (left, right) = (s![.., .., ..middle], s![.., .., middle + 1..]);
    [count(prior.distance.slice(left)), count(prior.distance.slice(right))]
}
