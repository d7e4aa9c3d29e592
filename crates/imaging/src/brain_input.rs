//! A scan as it comes, made fit for registration: a copy of about 2 mm in which no voxel is missing or wildly bright, and
//! whether the image has a head around its brain at all.

use ndarray::{Array3, ArrayView3};

use crate::filter::{par_count, quantiles, shrink_of};
use crate::morphology::{fill_holes, largest_component};
use crate::registration::placed::{Placed, voxel_size};
use crate::rigid::{Matrix4, compose};

/// Edge in mm of the copy's voxels.
const COPY_MM: f64 = 2.0;
/// Intensities beyond these shares of the voxels are clipped: one broken voxel of 10¹² must not outweigh its block.
const CLIPPED: [f64; 2] = [0.001, 0.999];
/// Voxels looked at for quantiles.
const SAMPLE: usize = 500_000;
/// Extent in mm, sorted, and volume in ml of what can be a stripped brain; heads are larger.
const STRIPPED_MM: [f64; 3] = [175.0, 185.0, 215.0];
const STRIPPED_ML: [f64; 2] = [300.0, 2100.0];
/// A brain's spread between its 10 % and 90 % quantiles, as a share of the range between its background and its median.
const LEAST_SPREAD: f64 = 0.1;

/// The robust range `[low, high]` of an image's finite voxels; `None` when it has none, or is constant.
pub(crate) fn range(image: ArrayView3<f32>) -> Option<[f32; 2]> {
    let step = (image.len() / SAMPLE).max(1);
    let mut values: Vec<f32> = image.iter().step_by(step).copied().filter(|v| v.is_finite()).collect();
    let [low, high] = quantiles(&mut values, CLIPPED)?;
    // Of a small head in much black even the brightest thousandth may be background: then all that is finite counts.
    if high > low {
        return Some([low, high]);
    }
    let finite = image.iter().copied().filter(|v| v.is_finite());
    let [low, high] = finite.fold([f32::INFINITY, f32::NEG_INFINITY], |[l, h], v| [l.min(v), h.max(v)]);
    (high > low).then_some([low, high])
}

/// A copy of `image` in blocks of about 2 mm, clipped to `range`; what is not finite counts as the darkest.
pub(crate) fn copy(image: ArrayView3<f32>, to_world: &Matrix4, [low, high]: [f32; 2]) -> Placed {
    let mm = voxel_size(to_world);
    let factor = mm.map(|d| ((COPY_MM / d.max(1e-6) + 0.05) as usize).clamp(1, 64));
    let [fx, fy, fz] = factor;
    // The comparisons are such that NaN becomes the lower limit.
    let voxels = shrink_of(image, [fz, fy, fx], |v| v.max(low).min(high));
    let mut grid = [[0.0; 4]; 4];
    for a in 0..3 {
        grid[a][a] = factor[a] as f64;
        grid[a][3] = 0.5 * (factor[a] as f64 - 1.0);
    }
    grid[3][3] = 1.0;
    Placed { voxels, to_world: compose(to_world, &grid) }
}

/// What an image without a head has around its brain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Background {
    /// Voxels that are not finite.
    NotFinite,
    /// This one value.
    Constant(f32),
}

impl Background {
    fn is(self, v: f32) -> bool {
        match self {
            Self::NotFinite => !v.is_finite(),
            Self::Constant(c) => v == c || !v.is_finite(),
        }
    }
}

/// The brain of an image that was stripped before: its background is not finite or one constant value, and the rest is one
/// uneven body of a brain's size. The mask is that body with its holes filled.
pub(crate) fn stripped(image: ArrayView3<f32>, to_world: &Matrix4) -> Option<(Array3<u8>, Background)> {
    let background = background(image)?;
    let mm = voxel_size(to_world);
    let ml = mm.iter().product::<f64>() / 1000.0;
    let set = par_count(image, |&v| !background.is(v));
    let volume = set as f64 * ml;
    if !(0.8 * STRIPPED_ML[0]..=STRIPPED_ML[1]).contains(&volume) || set as f64 > 0.8 * image.len() as f64 {
        return None;
    }
    let body = largest_component(image.mapv(|v| u8::from(!background.is(v))).view());
    if (par_count(body.view(), |&v| v != 0) as f64) < 0.95 * set as f64 {
        return None;
    }
    let mask = fill_holes(body.view());
    let filled = par_count(mask.view(), |&v| v != 0) as f64 * ml;
    let fits = extent_mm(&mask, mm).iter().zip(STRIPPED_MM).all(|(e, limit)| *e <= limit);
    let uneven = spread(image, background) >= LEAST_SPREAD;
    (fits && uneven && (STRIPPED_ML[0]..=STRIPPED_ML[1]).contains(&filled)).then_some((mask, background))
}

/// The value most corners of the volume share, when at least half of its voxels have it.
fn background(image: ArrayView3<f32>) -> Option<Background> {
    let (nz, ny, nx) = image.dim();
    let ends = |n: usize| [0, n.saturating_sub(1)];
    let corners: Vec<f32> = ends(nz)
        .into_iter()
        .flat_map(|k| ends(ny).into_iter().flat_map(move |j| ends(nx).into_iter().map(move |i| [k, j, i])))
        .filter_map(|at| image.get(at).copied())
        .collect();
    let finite = corners.iter().copied().filter(|v| v.is_finite());
    let shared = finite.clone().max_by_key(|v| finite.clone().filter(|w| w == v).count());
    let found = shared.map_or(Background::NotFinite, Background::Constant);
    let step = (image.len() / SAMPLE).max(1);
    let (mut seen, mut dark) = (0usize, 0usize);
    for &v in image.iter().step_by(step) {
        seen += 1;
        dark += usize::from(found.is(v));
    }
    (2 * dark >= seen).then_some(found)
}

/// The spread of the body's intensities against how far its median lies above its darkest.
fn spread(image: ArrayView3<f32>, background: Background) -> f64 {
    let step = (image.len() / SAMPLE).max(1);
    let mut body: Vec<f32> = image.iter().step_by(step).copied().filter(|&v| !background.is(v)).collect();
    let Some([least, low, middle, high]) = quantiles(&mut body, [0.01, 0.1, 0.5, 0.9]) else { return 0.0 };
    // Zero is black in a scan, but the mean in standardised values.
    let black = match background {
        Background::Constant(c) if c <= least => c,
        _ => least,
    };
    f64::from(high - low) / f64::from((middle - black).abs().max(f32::MIN_POSITIVE))
}

/// Extent of a mask in mm along its axes, smallest first.
fn extent_mm(mask: &Array3<u8>, mm: [f64; 3]) -> [f64; 3] {
    let [z, y, x] = crate::filter::bounding_box(mask.view());
    let mut extent = [x.len() as f64 * mm[0], y.len() as f64 * mm[1], z.len() as f64 * mm[2]];
    extent.sort_by(f64::total_cmp);
    extent
}
