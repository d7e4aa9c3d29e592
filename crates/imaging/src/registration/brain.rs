//! Aligns two brains that are already free of their heads: the first step of spatial normalisation.
//!
//! Centres of mass and volumes give a first guess; seven turns of it are followed as similarities on cubes of 8 mm, the best
//! two as affine maps, and the better of those is finished at 4 and 2 mm until it no longer moves.

use ndarray::{ArrayView3, Zip};
use rayon::prelude::*;

use super::affine::{Fit, Freedom, Search, fit_affine};
use super::affine_sums::Fixed;
use super::linear::{cube_root, linear_part, product, rotation};
use super::orientation::Orientation;
use super::placed::{Placed, resample, voxel_size};
use crate::filter::{quantiles, shrink, values_in};
use crate::morphology::dilate;
use crate::rigid::{IDENTITY, Matrix4, apply, compose, invert_affine};

/// The levels, mm.
const LEVELS_MM: [f64; 3] = [8.0, 4.0, 2.0];
/// The comparison goes this far beyond the brain, in mm, so that its outline counts.
const AROUND_MM: f64 = 6.0;
/// Turns tried about each axis: Cayley's parameter of 40°.
const TURN: f64 = 0.73;
/// How many are followed as affine maps.
const FOLLOWED: usize = 2;
/// A coarse fit of a lower correlation is not believed before the other orientations have been tried: 18 heads have .905 to
/// .965 in the right one, and at most .89 in any other.
const SURE: f64 = 0.90;
/// By how much another orientation must be better than the one that the header states.
const CLEARLY: f64 = 0.03;
/// How affine maps are searched.
const AFFINE: Search = Search { freedom: Freedom::Affine, steps: 30, tolerance: 1e-6, stiffness: 0.0 };

/// A brain aligned to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aligned {
    /// The map from the fixed brain's world to that of the image, and how well it fits.
    pub fit: Fit,
    /// How the brain lies in the image; [`Orientation::AS_LABELLED`] when the header is right.
    pub orientation: Orientation,
}

/// Why two brains could not be aligned.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum AlignError {
    /// Mask and image have different shapes.
    #[error("the brain mask has shape {mask:?}, its image {image:?}; give the mask of this image")]
    Shape {
        /// Shape of the mask.
        mask: (usize, usize, usize),
        /// Shape of the image.
        image: (usize, usize, usize),
    },
    /// The mask is empty, or the image the same everywhere in it.
    #[error("the brain mask is empty or the image constant inside it; look at the mask")]
    Nothing,
    /// The matrix of the image cannot be inverted.
    #[error("the image's matrix cannot be inverted; check its header")]
    Singular,
}

/// A brain made ready to be aligned to others: a template, say, once for all scans.
#[derive(Clone, Debug)]
pub struct FixedBrain {
    levels: [Fixed; 3],
    centre: [f64; 3],
    volume: f64,
}

/// A brain without its head on coarser and coarser grids, scaled to about 1; the finest first.
struct Levels {
    images: Vec<Placed>,
    centre: [f64; 3],
    volume: f64,
}

impl Levels {
    fn new(image: ArrayView3<f32>, to_world: &Matrix4, mask: ArrayView3<u8>) -> Result<Self, AlignError> {
        if image.dim() != mask.dim() {
            return Err(AlignError::Shape { mask: mask.dim(), image: image.dim() });
        }
        let mut inside = values_in(image, mask, f32::is_finite);
        let [low, high] = quantiles(&mut inside, [0.01, 0.98]).ok_or(AlignError::Nothing)?;
        // Zero is black unless the brain has values below it.
        let low = if low >= 0.0 { 0.0 } else { low };
        let scale = 1.0 / (high - low);
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(AlignError::Nothing);
        }
        let mm = voxel_size(to_world);
        let factor = mm.map(|d| ((LEVELS_MM[2] / d.max(1e-6) + 0.05) as usize).clamp(1, 64));
        let [fx, fy, fz] = factor;
        let clean = Zip::from(image)
            .and(mask)
            .par_map_collect(|&v, &m| if m != 0 && v.is_finite() { ((v - low) * scale).clamp(0.0, 1.15) } else { 0.0 });
        let grid = |a: usize| factor[a] as f64;
        let mut step = IDENTITY;
        (0..3).for_each(|a| (step[a][a], step[a][3]) = (grid(a), 0.5 * (grid(a) - 1.0)));
        let fine = Placed { voxels: shrink(clean.view(), [fz, fy, fx]), to_world: compose(to_world, &step) };
        let (mut sum, mut count) = ([0.0; 3], 0.0);
        for ((k, j, i), _) in mask.indexed_iter().filter(|(_, m)| **m != 0) {
            sum.iter_mut().zip([i, j, k]).for_each(|(s, v)| *s += v as f64);
            count += 1.0;
        }
        let centre = apply(to_world, sum.map(|s| s / f64::max(count, 1.0)));
        let middle = fine.coarser(LEVELS_MM[1]);
        let coarse = middle.coarser(LEVELS_MM[0]);
        Ok(Self { images: vec![fine, middle, coarse], centre, volume: count * mm.iter().product::<f64>() })
    }
}

impl FixedBrain {
    /// The brain of `image` `[[k, j, i]]` inside `mask`; `to_world` maps voxels (i, j, k, 1) to mm.
    ///
    /// # Errors
    /// [`AlignError`] when shapes differ, nothing is in the mask, or the matrix is singular.
    pub fn new(image: ArrayView3<f32>, to_world: &Matrix4, mask: ArrayView3<u8>) -> Result<Self, AlignError> {
        let inverse = invert_affine(to_world).ok_or(AlignError::Singular)?;
        let found = Levels::new(image, to_world, mask)?;
        let [dx, dy, dz] = voxel_size(to_world);
        let near = dilate(mask, [dz, dy, dx], AROUND_MM).mapv(f32::from);
        let fixed = |level: &Placed| {
            let map = compose(&inverse, &level.to_world);
            let [nx, ny, nz] = level.size();
            let region = resample(near.view(), &map, [nz, ny, nx], 0.0);
            Fixed::new(level, region.mapv(|v| u8::from(v > 0.5)).view())
        };
        let [fine, middle, coarse] = found.images.as_slice() else { return Err(AlignError::Nothing) };
        let levels = [fixed(coarse), fixed(middle), fixed(fine)];
        Ok(Self { levels, centre: found.centre, volume: found.volume })
    }

    /// The affine map from this brain's world to that of `image` (with its own `mask` and matrix), how well it fits, and
    /// how the brain lies in the image. The same bytes at any number of threads.
    ///
    /// # Errors
    /// [`AlignError`] when shapes differ, nothing is in the mask, or the matrix is singular.
    pub fn align(
        &self,
        image: ArrayView3<f32>,
        to_world: &Matrix4,
        mask: ArrayView3<u8>,
    ) -> Result<Aligned, AlignError> {
        invert_affine(to_world).ok_or(AlignError::Singular)?;
        let moving = Levels::new(image, to_world, mask)?;
        let [fine, middle, coarse] = moving.images.as_slice() else { return Err(AlignError::Nothing) };
        let mut best = self.coarse(&moving, coarse, Orientation::AS_LABELLED)?;
        if best.correlation < SURE {
            let others = Orientation::all().into_iter().skip(1);
            let others: Vec<Fit> = others.map(|o| self.coarse(&moving, coarse, o)).collect::<Result<_, _>>()?;
            let other = others.into_iter().min_by(|a, b| a.cost.total_cmp(&b.cost));
            best = other.filter(|other| other.cost < best.cost - CLEARLY).unwrap_or(best);
        }
        let best = fit_affine(&self.levels[1], middle, &best.matrix, AFFINE);
        let finest = Search { steps: 20, tolerance: 1e-8, ..AFFINE };
        let fit = fit_affine(&self.levels[2], fine, &best.matrix, finest);
        // A start of one orientation may end in another.
        Ok(Aligned { fit, orientation: Orientation::nearest(&linear_part(&fit.matrix)) })
    }

    /// The best map at the coarsest level for a brain that lies as `orientation` says.
    fn coarse(&self, moving: &Levels, image: &Placed, orientation: Orientation) -> Result<Fit, AlignError> {
        let similar = Search { freedom: Freedom::Similarity, steps: 20, tolerance: 1e-5, stiffness: 0.0 };
        let starts = self.starts(moving, orientation);
        let mut fits: Vec<Fit> =
            starts.par_iter().map(|start| fit_affine(&self.levels[0], image, start, similar)).collect();
        fits.sort_by(|a, b| a.cost.total_cmp(&b.cost));
        fits.truncate(FOLLOWED);
        let fits: Vec<Fit> = fits.par_iter().map(|f| fit_affine(&self.levels[0], image, &f.matrix, AFFINE)).collect();
        fits.into_iter().min_by(|a, b| a.cost.total_cmp(&b.cost)).ok_or(AlignError::Nothing)
    }

    /// First guesses: centre on centre, the ratio of the volumes as scale, not turned and turned about each axis both ways.
    fn starts(&self, moving: &Levels, orientation: Orientation) -> Vec<Matrix4> {
        let scale = cube_root(moving.volume / self.volume.max(1.0)).clamp(0.3, 3.0);
        let mut turns = vec![[0.0; 3]];
        for axis in 0..3 {
            for turn in [TURN, -TURN] {
                let mut about = [0.0; 3];
                about[axis] = turn;
                turns.push(about);
            }
        }
        let matrix = |turn: &[f64; 3]| {
            let turned = product(&orientation.rotation(), &rotation(*turn));
            let mut m = IDENTITY;
            for r in 0..3 {
                (0..3).for_each(|c| m[r][c] = scale * turned[r][c]);
                m[r][3] = moving.centre[r] - (0..3).map(|c| m[r][c] * self.centre[c]).sum::<f64>();
            }
            m
        };
        turns.iter().map(matrix).collect()
    }
}
