//! A coarse one-sided warp in template space: enough to carry a brain mask from a template to a scan.
//!
//! The scan, already brought to the template's grid by an affine, stays; the template is warped onto it. Greedy and
//! compositive: in each iteration the force that raises the local correlation is smoothed, and the field is composed with a
//! small step along it. Sources: Avants et al. 2008 (doi:10.1016/j.media.2007.06.004) for the local correlation and the
//! force at the centre of the window; Vercauteren et al. 2009 (doi:10.1016/j.neuroimage.2008.10.040) for the composed update.

use ndarray::{Array3, Array4, ArrayView3, Zip, s};
use rayon::prelude::*;

use super::WarpError;
use super::coarse_field::{Field, Sampled};
use super::coarse_level::run_level;
use crate::filter::{gaussian_smooth, par_planes};
use crate::rigid::{Matrix4, apply};

/// Fewest voxels along an axis.
const LEAST_VOXELS: usize = 8;
/// Smoothing before a level of twice the spacing, σ as a share of the spacing: half of what spreads a voxel.
const ANTIALIAS: f64 = 0.425;

pub use super::coarse_recipe::{CoarseLevel, CoarseRecipe};

/// A coarse warp and what it reached.
#[derive(Clone, Debug)]
pub struct CoarseWarp {
    /// For each voxel of the grid, shape `(nz, ny, nx, 3)`: how far away, in mm along x, y, z of the grid, lies what
    /// belongs there in the warped image.
    pub displacement: Array4<f32>,
    /// Mean squared local correlation at the start of the last iteration of each level.
    pub similarity: Vec<f64>,
}

/// The warp that takes each voxel of `scan` to its place in `template`: both on one grid of cubes of `voxel_mm`, shape
/// `(nz, ny, nx)`, scaled to a brain of about 100. Fill what the scan did not see with [`fill_unknown`] before.
///
/// # Errors
/// [`WarpError`]: shapes differ, the grid is too small, values are not finite, the scan has no contrast, or the recipe
/// asks for spacings below the voxels.
pub fn coarse_warp(
    scan: ArrayView3<f32>,
    template: ArrayView3<f32>,
    voxel_mm: f64,
    recipe: &CoarseRecipe,
) -> Result<CoarseWarp, WarpError> {
    check(scan, template, voxel_mm, recipe)?;
    let (mut field, mut similarity): (Option<Field>, _) = (None, Vec::new());
    for level in &recipe.levels {
        let ratio = level.spacing_mm / voxel_mm;
        let fixed = at_level(scan, ratio);
        let moving = at_level(template, ratio);
        let start = match field.take() {
            Some(coarser) => coarser.resampled(fixed.dim(), level.spacing_mm),
            None => Field::zeros(fixed.dim(), level.spacing_mm),
        };
        let (finer, reached) = run_level(fixed, &moving, start, level, recipe)?;
        field = Some(finer);
        similarity.push(reached);
    }
    let field = field.unwrap_or_else(|| Field::zeros(scan.dim(), voxel_mm)).resampled(scan.dim(), voxel_mm);
    let (nz, ny, nx) = scan.dim();
    let mut displacement = Array4::zeros((nz, ny, nx, 3));
    for (axis, from) in field.along.iter().enumerate() {
        displacement.slice_mut(s![.., .., .., axis]).assign(&from.mapv(|v| v * voxel_mm as f32));
    }
    Ok(CoarseWarp { displacement, similarity })
}

fn check(
    scan: ArrayView3<f32>,
    template: ArrayView3<f32>,
    voxel_mm: f64,
    recipe: &CoarseRecipe,
) -> Result<(), WarpError> {
    if template.dim() != scan.dim() {
        return Err(WarpError::Shape { what: "the template", found: template.dim(), expected: scan.dim() });
    }
    let (nz, ny, nx) = scan.dim();
    if nz.min(ny).min(nx) < LEAST_VOXELS {
        return Err(WarpError::TooSmall { what: "the scan", found: scan.dim(), least: LEAST_VOXELS });
    }
    for (what, image) in [("the scan", scan), ("the template", template)] {
        if !image.iter().all(|v| v.is_finite()) {
            return Err(WarpError::NotFinite { what });
        }
    }
    // Written so that a voxel size that is no number is refused too.
    let fits = |level: &CoarseLevel| level.spacing_mm >= voxel_mm * 0.999 && level.spacing_mm < 1e3 * voxel_mm;
    if !(voxel_mm > 0.0 && recipe.levels.iter().all(fits)) {
        let why = format!("its spacings must not be below the voxels of {voxel_mm} mm");
        return Err(WarpError::Recipe { why });
    }
    Ok(())
}

/// `scan` where it was seen (`known`), elsewhere the template's intensity by the line that fits best, in least squares,
/// the known voxels of `region`. All of shape `(nz, ny, nx)`.
///
/// # Errors
/// [`WarpError`]: shapes differ, nothing is known in the region, or the template has no contrast there.
pub fn fill_unknown(
    scan: ArrayView3<f32>,
    template: ArrayView3<f32>,
    known: ArrayView3<u8>,
    region: ArrayView3<u8>,
) -> Result<Array3<f32>, WarpError> {
    let shapes =
        [("the template", template.dim()), ("the mask of what is known", known.dim()), ("the region", region.dim())];
    if let Some((what, found)) = shapes.into_iter().find(|(_, found)| *found != scan.dim()) {
        return Err(WarpError::Shape { what, found, expected: scan.dim() });
    }
    let mut sums = [0f64; 5];
    Zip::from(scan).and(template).and(known).and(region).for_each(|&v, &t, &known, &region| {
        if known != 0 && region != 0 {
            let (v, t) = (f64::from(v), f64::from(t));
            sums.iter_mut().zip([1.0, t, v, t * t, t * v]).for_each(|(sum, term)| *sum += term);
        }
    });
    let [n, t, v, tt, tv] = sums;
    if n == 0.0 {
        return Err(WarpError::Empty { what: "the part of the template that the scan shows" });
    }
    let spread = tt - t * t / n;
    if !spread.is_normal() || spread < 0.0 {
        return Err(WarpError::NoContrast { what: "the template where the scan shows it" });
    }
    let slope = (tv - t * v / n) / spread;
    let offset = (v - slope * t) / n;
    let mut out = scan.to_owned();
    Zip::from(&mut out).and(template).and(known).par_for_each(|v, &t, &known| {
        if known == 0 {
            *v = (slope * f64::from(t) + offset) as f32;
        }
    });
    Ok(out)
}

/// `volume` as it looks through a warp: for each voxel of the warp's grid the value at `to_volume · (voxel + displacement)`.
///
/// `to_volume` takes voxels (i, j, k) of the warp's grid, cubes of `voxel_mm`, to those of `volume`. Trilinear; up to half
/// a voxel outside the volume its edge is taken, beyond that `elsewhere`.
#[must_use]
pub fn carry(
    volume: ArrayView3<f32>,
    to_volume: &Matrix4,
    displacement: &Array4<f32>,
    voxel_mm: f64,
    elsewhere: f32,
) -> Array3<f32> {
    let (nz, ny, nx, _) = displacement.dim();
    let volume = volume.as_standard_layout();
    let mut out = Array3::from_elem((nz, ny, nx), elsewhere);
    let Some(source) = Sampled::new(volume.view()) else { return out };
    par_planes(&mut out, 0).enumerate().for_each(|(k, mut slice)| {
        for ((j, i), v) in slice.indexed_iter_mut() {
            let moved = |axis: usize, at: usize| {
                let shift = displacement.get([k, j, i, axis]).copied().unwrap_or(0.0);
                at as f64 + f64::from(shift) / voxel_mm
            };
            let p = apply(to_volume, [moved(0, i), moved(1, j), moved(2, k)]).map(|c| c as f32);
            if source.knows(p) {
                *v = source.at(p);
            }
        }
    });
    out
}

/// The image at nodes `ratio` voxels apart, from the first voxel on, smoothed so that nothing aliases.
fn at_level(image: ArrayView3<f32>, ratio: f64) -> Array3<f32> {
    if ratio < 1.05 {
        return image.as_standard_layout().into_owned();
    }
    let smooth = gaussian_smooth(image, [ANTIALIAS * ratio; 3]);
    let nodes = |n: usize| ((n - 1) as f64 / ratio).ceil() as usize + 1;
    let (nz, ny, nx) = image.dim();
    let mut out = Array3::zeros((nodes(nz), nodes(ny), nodes(nx)));
    let Some(source) = Sampled::new(smooth.view()) else { return out };
    par_planes(&mut out, 0).enumerate().for_each(|(k, mut slice)| {
        for ((j, i), v) in slice.indexed_iter_mut() {
            *v = source.at([i, j, k].map(|at| (at as f64 * ratio) as f32));
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rigid::IDENTITY;

    /// A few soft blobs on a dark ground, moved by `shift` along x, y, z.
    fn blobs(shape: (usize, usize, usize), shift: [f32; 3]) -> Array3<f32> {
        let centres =
            [[9.0, 10.0, 11.0], [20.0, 13.0, 12.0], [14.0, 22.0, 9.0], [18.0, 18.0, 20.0], [10.0, 16.0, 21.0]];
        Array3::from_shape_fn(shape, |(k, j, i)| {
            let at = [i as f32 - shift[0], j as f32 - shift[1], k as f32 - shift[2]];
            let near = |c: &[f32; 3]| -> f32 { c.iter().zip(at).map(|(c, p)| (c - p).powi(2)).sum() };
            centres.iter().map(|c| 100.0 * (-near(c) / 12.0).exp()).sum()
        })
    }

    fn recipe() -> CoarseRecipe {
        let level = |spacing_mm, iterations| CoarseLevel { spacing_mm, iterations, radius: 2 };
        CoarseRecipe { levels: vec![level(4.0, 30), level(2.0, 30)], ..CoarseRecipe::brain_mask() }
    }

    #[test]
    fn a_shift_is_found_and_the_template_carried_onto_the_scan() {
        let shape = (30, 31, 32);
        let (scan, template) = (blobs(shape, [2.0, -1.0, 1.5]), blobs(shape, [0.0; 3]));
        let warp = coarse_warp(scan.view(), template.view(), 2.0, &recipe()).unwrap();
        let carried = carry(template.view(), &IDENTITY, &warp.displacement, 2.0, 0.0);
        let difference = |a: &Array3<f32>| (a - &scan).mapv(|d| d * d).sum().sqrt() / scan.mapv(|d| d * d).sum().sqrt();
        assert!(difference(&template) > 0.6 && difference(&carried) < 0.12, "{}", difference(&carried));
        // What the scan shows at a blob lies two voxels, four millimetres, to the left in the template.
        let at = warp.displacement.slice(s![14, 12, 22, ..]).to_vec();
        assert!(at.iter().zip([-4.0, 2.0, -3.0]).all(|(v, e)| (v - e).abs() < 0.7), "{at:?}");
        assert!(warp.similarity.iter().all(|s| (0.0..=1.0).contains(s)));
    }

    #[test]
    fn equal_images_hardly_move_and_threads_change_nothing() {
        let shape = (24, 26, 28);
        let (scan, template) = (blobs(shape, [1.0, 0.0, 0.5]), blobs(shape, [0.0; 3]));
        // Steps have a fixed length, so that nodes wander a little where there is nothing to gain.
        let same = coarse_warp(template.view(), template.view(), 2.0, &recipe()).unwrap();
        let mean = same.displacement.mapv(f32::abs).mean().unwrap();
        assert!(mean < 1.0 && same.similarity[1] > 0.9, "{mean} {:?}", same.similarity);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let warp = pool.install(|| coarse_warp(scan.view(), template.view(), 2.0, &recipe())).unwrap();
            warp.displacement.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
        };
        let one = run(1);
        assert!(run(2) == one && run(4) == one);
    }

    #[test]
    fn what_was_not_seen_is_taken_from_the_template() {
        let template = blobs((12, 13, 14), [0.0; 3]);
        let mut scan = template.mapv(|v| 3.0 * v + 7.0);
        let known = Array3::from_shape_fn(scan.dim(), |(k, _, _)| u8::from(k < 10));
        let expected = scan.clone();
        scan.slice_mut(s![10.., .., ..]).fill(-1e9);
        let filled = fill_unknown(scan.view(), template.view(), known.view(), known.view()).unwrap();
        assert!(filled.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-2));
    }

    #[test]
    fn inputs_that_make_no_sense_are_refused() {
        let image = blobs((12, 12, 12), [0.0; 3]);
        let small = Array3::zeros((2, 2, 2));
        let run = |scan: &Array3<f32>, template: &Array3<f32>, mm: f64| {
            coarse_warp(scan.view(), template.view(), mm, &recipe()).unwrap_err()
        };
        assert!(matches!(run(&image, &small, 2.0), WarpError::Shape { .. }));
        assert!(matches!(run(&small, &small, 2.0), WarpError::TooSmall { .. }));
        assert!(matches!(run(&image, &image, 3.0), WarpError::Recipe { .. }));
        assert!(matches!(run(&image, &image, f64::NAN), WarpError::Recipe { .. }));
        let flat = Array3::from_elem(image.dim(), 5.0);
        assert!(matches!(run(&flat, &image, 2.0), WarpError::NoContrast { .. }));
        let mut broken = image.clone();
        broken[[3, 3, 3]] = f32::NAN;
        assert!(matches!(run(&broken, &image, 2.0), WarpError::NotFinite { .. }));
    }
}
