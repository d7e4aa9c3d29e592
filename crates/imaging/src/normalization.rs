//! Spatial normalisation: the map between the brain of a T1w image and that of a template, and whether to believe it.
//!
//! Brain to brain, without heads: an affine from several starts ([`FixedBrain`]), then a symmetric diffeomorphic warp
//! ([`register`]) of both images in standard intensities. What came of it is measured by what the warp does not optimise:
//! how far the two brain masks overlap, how much the affine stretches, and how alike both are after the warp.

use ndarray::{Array3, ArrayView3, Axis, Zip, s};
use rayon::prelude::*;
use thiserror::Error;

use crate::filter::{bounding_box, gaussian_smooth, quantiles, values_in};
use crate::registration::WarpError;
use crate::registration::brain::{AlignError, Aligned, FixedBrain};
use crate::registration::determinant;
use crate::registration::intensity::standard_intensities;
use crate::registration::orientation::Orientation;
use crate::registration::placed::voxel_size;
use crate::registration::recipe::Recipe;
use crate::registration::register::{Fixed, Subject, register};
use crate::registration::warp::{Interpolation, Source, Warp, resample_all};
use crate::rigid::{Matrix4, apply, compose, invert_affine};
use crate::segmentation::tissue_peaks;

/// Masks are compared at every so many voxels of the template.
const COMPARED_EVERY: usize = 2;
/// Points are sent there and back from every so many.
const ASKED_EVERY: usize = 3;

/// A template's brain, made ready to be the target of any number of scans.
#[derive(Clone, Debug)]
pub struct Target {
    standard: Array3<f32>,
    mask: Array3<u8>,
    affine: Matrix4,
    brain: FixedBrain,
}

/// Why there is no map.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum NormalizationError {
    /// The brains could not be aligned.
    #[error(transparent)]
    Align(#[from] AlignError),
    /// The warp could not be computed.
    #[error(transparent)]
    Warp(#[from] WarpError),
    /// The template shows no tissues.
    #[error("the template shows no grey and white matter; check that it is a T1w image of a brain")]
    NoTissues,
    /// What was found cannot be right.
    #[error(
        "the brain could not be registered to the template: {found}; look at the brain mask and the orientation of the scan"
    )]
    Implausible {
        /// What of it.
        found: String,
    },
}

/// What makes a map doubtful.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NormalizationDoubt {
    /// After the affine scan and template are not as alike as they are in other heads.
    Unlike(f64),
    /// The same after the warp.
    UnlikeWarped(f64),
    /// The brain masks overlap less than in other heads.
    Overlap(f64),
    /// The affine changes the volume by an unusual factor.
    Scale(f64),
    /// The brain lies in the image otherwise than the header says.
    Turned(Orientation),
}

/// How good a map is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormalizationFit {
    /// Correlation of both brains after the affine, −1 to 1.
    pub affine_correlation: f64,
    /// Volume of the scan's brain by that of the template, as the affine has it.
    pub volume_ratio: f64,
    /// Mean squared local correlation at the finest level: before and after the warp, 0 to 1.
    pub likeness: [f64; 2],
    /// Dice overlap of the brain masks after the warp.
    pub overlap: f64,
}

/// The map between a scan and a template.
#[derive(Clone, Debug)]
pub struct Normalization {
    /// Points there and back.
    pub warp: Warp,
    /// How good it is.
    pub fit: NormalizationFit,
    /// What makes it doubtful; empty for a plain success.
    pub doubts: Vec<NormalizationDoubt>,
    /// How the warp was done.
    pub recipe: Recipe,
    /// Whether grey and white matter were told apart, so that their intensities could be compared, too.
    pub tissues_known: bool,
}

/// Below the first a map is refused, below the second it is doubted. Correlation after the affine: 18 heads of many scanners
/// have .80 to .90 with the template in the binary, one with a large lesion .83, one without its lower half .67, brains in a
/// wrong orientation .56 to .76.
const ALIKE: [f64; 2] = [0.45, 0.75];
/// Likeness after the warp: the same heads have .58 to .80. A warp makes even brains in a wrong orientation alike (.54 to .60).
const LIKENESS: [f64; 2] = [0.3, 0.5];
/// Overlap of the masks: the same heads have .976 to .985, a head without its lower half .94, a brain without its CSF .93.
const OVERLAP: [f64; 2] = [0.80, 0.92];
/// Volume of the brain by that of the template: the same heads have .66 to .98.
const RATIO: [f64; 2] = [0.45, 1.35];

impl std::fmt::Display for NormalizationDoubt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unlike(v) => {
                write!(f, "scan and template match poorly ({v:.2} after the affine, other heads {} or more)", ALIKE[1])
            }
            Self::UnlikeWarped(v) => {
                write!(f, "scan and template match poorly ({v:.2} after the warp, other heads {} or more)", LIKENESS[1])
            }
            Self::Overlap(v) => {
                write!(f, "the brain masks of scan and template overlap by {v:.2} (other heads {} or more)", OVERLAP[1])
            }
            Self::Turned(orientation) => write!(
                f,
                "the brain fits best when the header's right, front and top are taken for {orientation} of the head, and was \
                 brought to the template so; correct the header before left and right are used"
            ),
            Self::Scale(v) => write!(f, "the brain has {v:.2} times the volume of the template's"),
        }
    }
}

impl NormalizationDoubt {
    /// A short name.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Unlike(_) => "unlike_template",
            Self::UnlikeWarped(_) => "unlike_after_warp",
            Self::Overlap(_) => "mask_overlap",
            Self::Scale(_) => "volume_ratio",
            Self::Turned(_) => "header_orientation",
        }
    }
}

impl Target {
    /// The template `image` inside `mask`, both `(nz, ny, nx)`; `affine` maps voxels (i, j, k, 1) to RAS+ mm.
    ///
    /// # Errors
    /// [`NormalizationError`]: nothing in the mask, no tissues, a singular affine.
    pub fn new(image: ArrayView3<f32>, mask: ArrayView3<u8>, affine: &Matrix4) -> Result<Self, NormalizationError> {
        if image.dim() != mask.dim() {
            return Err(AlignError::Shape { mask: mask.dim(), image: image.dim() }.into());
        }
        // Templates have as much air as brain.
        let [z, y, x] = bounding_box(mask);
        let first = apply(affine, [x.start, y.start, z.start].map(|v| v as f64));
        let mut affine = *affine;
        (0..3).for_each(|r| affine[r][3] = first[r]);
        let part = s![z, y, x];
        let (image, mask) = (image.slice(&part), mask.slice(&part).to_owned());
        let brain = FixedBrain::new(image, &affine, mask.view())?;
        let [_, grey, white] = tissue_peaks(image, mask.view()).ok_or(NormalizationError::NoTissues)?;
        let standard = standard_intensities(image, mask.view(), grey, white)?;
        Ok(Self { standard, mask, affine, brain })
    }
}

impl Target {
    /// How far points of the brain are from where they were after going there and back, mm: mean and largest, of every
    /// third voxel along each axis.
    #[must_use]
    pub fn round_trip(&self, warp: &Warp) -> [f64; 2] {
        let of_plane = |k: usize| {
            let plane = self.mask.index_axis(Axis(0), k);
            let inside =
                plane.indexed_iter().filter(|((j, i), m)| **m != 0 && j % ASKED_EVERY == 0 && i % ASKED_EVERY == 0);
            inside.fold((0.0, 0usize, 0f64), |(sum, count, worst), ((j, i), _)| {
                let p = apply(&self.affine, [i, j, k].map(|v| v as f64));
                let q = warp.to_template(warp.to_moving(p));
                let off = (0..3).map(|a| (q[a] - p[a]).powi(2)).sum::<f64>().sqrt();
                (sum + off, count + 1, worst.max(off))
            })
        };
        let planes: Vec<usize> = (0..self.mask.dim().0).step_by(ASKED_EVERY).collect();
        let found: Vec<_> = planes.into_par_iter().map(of_plane).collect();
        let (sum, count, worst) =
            found.into_iter().fold((0.0, 0, 0f64), |(s, c, w), (sum, count, worst)| (s + sum, c + count, w.max(worst)));
        [sum / count.max(1) as f64, worst]
    }

    /// The template in standard intensities and its brain, on another grid: `shape` `(nz, ny, nx)`, `affine` maps its voxels
    /// to RAS+ mm. `None` for an affine that cannot be inverted.
    #[must_use]
    pub fn on_grid(&self, shape: (usize, usize, usize), affine: &Matrix4) -> Option<(Array3<f32>, Array3<u8>)> {
        let own = compose(&invert_affine(&self.affine)?, affine);
        let mask = self.mask.mapv(f32::from);
        let linear = |image| Source { image, how: Interpolation::Linear, elsewhere: 0.0 };
        let sources = [linear(self.standard.view()), linear(mask.view())];
        let [image, mask] = resample_all(sources, shape, |voxel| apply(&own, voxel));
        Some((image, mask.mapv(|share| u8::from(share >= 0.5))))
    }
}

/// Finds the map between the brain in `image` (a T1w image, corrected for bias; `mask` is its brain, `affine` maps its
/// voxels to RAS+ mm) and that of the template. The same bytes at any number of threads.
///
/// Where `lesion` (same shape) is not 0 the brain is not compared with the template's (Brett M. et al., NeuroImage 14(2),
/// 2001, doi:10.1006/nimg.2001.0845): the warp there goes on from what is around it.
///
/// # Errors
/// [`NormalizationError`]: an empty mask, shapes that differ, a singular affine, a result that cannot be right.
pub fn normalize(
    target: &Target,
    image: ArrayView3<f32>,
    mask: ArrayView3<u8>,
    lesion: Option<ArrayView3<u8>>,
    affine: &Matrix4,
    recipe: &Recipe,
) -> Result<Normalization, NormalizationError> {
    if let Some(lesion) = lesion.filter(|lesion| lesion.dim() != image.dim()) {
        return Err(AlignError::Shape { mask: lesion.dim(), image: image.dim() }.into());
    }
    match lesion.and_then(|lesion| Healthy::new(image, mask, lesion, affine)) {
        None => brought(target, image, [mask, mask], None, (affine, recipe)),
        Some(Healthy { filled, mask: seen, weight }) => {
            brought(target, filled.view(), [mask, seen.view()], Some(weight.view()), (affine, recipe))
        }
    }
}

/// Widths over which the brain around a lesion goes on into it, mm; beyond the last it is as bright as the brain is in the
/// middle.
const FILL_MM: [f64; 4] = [1.5, 3.0, 6.0, 12.0];

/// A brain as it is without its lesion.
struct Healthy {
    /// The brain, going on into the lesion without an edge: what coarse voxels, the affine and gradients see there.
    filled: Array3<f32>,
    /// The brain without the lesion.
    mask: Array3<u8>,
    /// 0 in the lesion, else 1.
    weight: Array3<f32>,
}

impl Healthy {
    /// `None` where nothing of the brain is lesion, or all.
    fn new(image: ArrayView3<f32>, brain: ArrayView3<u8>, lesion: ArrayView3<u8>, affine: &Matrix4) -> Option<Self> {
        if brain.dim() != image.dim() || !Zip::from(brain).and(lesion).any(|b, l| *b != 0 && *l != 0) {
            return None;
        }
        let mask = Zip::from(brain).and(lesion).par_map_collect(|&b, &l| if l == 0 { b } else { 0 });
        let [middle] = quantiles(&mut values_in(image, mask.view(), f32::is_finite), [0.5])?;
        let seen = mask.mapv(f32::from);
        let known = Zip::from(image).and(&mask).par_map_collect(|&v, &m| if m != 0 && v.is_finite() { v } else { 0.0 });
        let mut filled = Zip::from(image).and(lesion).par_map_collect(|&v, &l| if l == 0 { v } else { f32::NAN });
        let [dx, dy, dz] = voxel_size(affine);
        for mm in FILL_MM {
            let sigma = [dz, dy, dx].map(|d| mm / d.max(1e-3));
            let (sum, share) = (gaussian_smooth(known.view(), sigma), gaussian_smooth(seen.view(), sigma));
            Zip::from(&mut filled).and(&sum).and(&share).and(lesion).par_for_each(|v, sum, share, lesion| {
                if *lesion != 0 && v.is_nan() && *share > 0.1 {
                    *v = sum / share;
                }
            });
        }
        Zip::from(&mut filled).and(lesion).par_for_each(|v, lesion| {
            if *lesion != 0 && v.is_nan() {
                *v = middle;
            }
        });
        Some(Self { filled, mask, weight: lesion.mapv(|l| if l == 0 { 1.0 } else { 0.0 }) })
    }
}

/// The map of the brain in `image`: `mask` is the whole of it, `seen` what of that is compared.
fn brought(
    target: &Target,
    image: ArrayView3<f32>,
    [mask, seen]: [ArrayView3<u8>; 2],
    weight: Option<ArrayView3<f32>>,
    (affine, recipe): (&Matrix4, &Recipe),
) -> Result<Normalization, NormalizationError> {
    let Aligned { fit: aligned, orientation } = target.brain.align(image, affine, mask)?;
    let peaks = tissue_peaks(image, seen).map(|[_, grey, white]| standard_intensities(image, mask, grey, white));
    let standard = peaks.and_then(Result::ok);
    let tissues_known = standard.is_some();
    let (moving, recipe) = match standard {
        Some(standard) => (standard, recipe.clone()),
        None => (scaled(image, mask)?, recipe.clone().correlation_only()),
    };
    let fixed = Fixed { image: target.standard.view(), brain: target.mask.view(), affine: &target.affine };
    let subject = Subject { image: moving.view(), weight, affine };
    let warp = register(&fixed, &subject, &aligned.matrix, &recipe)?;
    let fit = NormalizationFit {
        affine_correlation: aligned.correlation,
        volume_ratio: determinant(&aligned.matrix).abs(),
        likeness: warp.report.levels.last().map_or([0.0; 2], |level| [level.before, level.after]),
        overlap: overlap(target, &warp, mask, affine),
    };
    let mut doubts = judge(&fit)?;
    if orientation != Orientation::AS_LABELLED {
        doubts.push(NormalizationDoubt::Turned(orientation));
    }
    Ok(Normalization { warp, fit, doubts, recipe, tissues_known })
}

/// A brain whose tissues are not known, about as bright as standard intensities are.
fn scaled(image: ArrayView3<f32>, mask: ArrayView3<u8>) -> Result<Array3<f32>, NormalizationError> {
    let mut inside = values_in(image, mask, f32::is_finite);
    let [low, high] = quantiles(&mut inside, [0.02, 0.98]).ok_or(AlignError::Nothing)?;
    let scale = 90.0 / (high - low);
    if !(scale.is_finite() && scale > 0.0) {
        return Err(AlignError::Nothing.into());
    }
    let level = |v: f32| if v.is_finite() { ((v - low) * scale).clamp(0.0, 100.0) } else { 0.0 };
    Ok(Zip::from(image).and(mask).par_map_collect(|&v, &m| if m != 0 { level(v) } else { 0.0 }))
}

/// Dice overlap of the masks in the template's space.
fn overlap(target: &Target, warp: &Warp, mask: ArrayView3<u8>, affine: &Matrix4) -> f64 {
    let Some(to_voxel) = invert_affine(affine) else { return 0.0 };
    let (nz, ny, nx) = target.mask.dim();
    let (mz, my, mx) = mask.dim();
    let of_plane = |k: usize| {
        let mut counts = [0usize; 3];
        for (j, i) in (0..ny).step_by(COMPARED_EVERY).flat_map(|j| (0..nx).step_by(COMPARED_EVERY).map(move |i| (j, i)))
        {
            let there = target.mask[[k, j, i]] != 0;
            let p = apply(&target.affine, [i, j, k].map(|v| v as f64));
            let v = apply(&to_voxel, warp.to_moving(p)).map(f64::round);
            let inside = v.iter().zip([mx, my, mz]).all(|(v, n)| (0.0..n as f64).contains(v));
            let here = inside && mask[[v[2] as usize, v[1] as usize, v[0] as usize]] != 0;
            counts =
                [counts[0] + usize::from(there), counts[1] + usize::from(here), counts[2] + usize::from(there && here)];
        }
        counts
    };
    let planes: Vec<usize> = (0..nz).step_by(COMPARED_EVERY).collect();
    let [a, b, both] =
        planes.into_par_iter().map(of_plane).reduce(|| [0; 3], |a, b| std::array::from_fn(|i| a[i] + b[i]));
    2.0 * both as f64 / (a + b).max(1) as f64
}

/// What is doubtful about a fit.
///
/// # Errors
/// [`NormalizationError::Implausible`] for what cannot be right.
fn judge(fit: &NormalizationFit) -> Result<Vec<NormalizationDoubt>, NormalizationError> {
    let measures = [
        (fit.affine_correlation, ALIKE, NormalizationDoubt::Unlike(fit.affine_correlation)),
        (fit.likeness[1], LIKENESS, NormalizationDoubt::UnlikeWarped(fit.likeness[1])),
        (fit.overlap, OVERLAP, NormalizationDoubt::Overlap(fit.overlap)),
    ];
    if let Some((.., doubt)) = measures.iter().find(|(value, [refused, _], _)| value < refused) {
        return Err(NormalizationError::Implausible { found: doubt.to_string() });
    }
    let mut doubts: Vec<_> = measures.iter().filter(|(v, [_, usual], _)| v < usual).map(|(.., doubt)| *doubt).collect();
    if !(RATIO[0]..=RATIO[1]).contains(&fit.volume_ratio) {
        doubts.push(NormalizationDoubt::Scale(fit.volume_ratio));
    }
    Ok(doubts)
}
