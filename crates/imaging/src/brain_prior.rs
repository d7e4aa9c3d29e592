//! The brain of a template carried over to a scan: affine map, coarse warp, and the template's signed distance seen through
//! both.
//!
//! A mask that is carried over cannot leak: where the scan has no edge, it ends where brains end. The idea is that of atlas
//! based extraction (Avants et al., NeuroImage 54 (2011) 2033–2044; ROBEX: Iglesias et al., IEEE TMI 30 (2011) 1617–1634),
//! with one template, and a warp that costs less than a second.

use ndarray::{Array3, ArrayView3, Axis, Zip};
use rayon::prelude::*;

use crate::registration::coarse::{CoarseRecipe, carry, coarse_warp};

use crate::filter::{bounding_box, quantiles};
use crate::head_template::HeadTemplate;
use crate::registration::head::HeadFit;
use crate::registration::placed::{Placed, Sampler, resample};
use crate::rigid::{IDENTITY, Matrix4, apply, compose, invert_affine};

/// The warp sees the brain and this much around it, in mm.
const MARGIN_MM: f32 = 16.0;
/// Deeper than this, in mm, is brain for sure, also before the warp.
pub(crate) const DEEP_MM: f32 = -2.0;
/// Distance in mm of what lies outside the grid.
const FAR_MM: f32 = 60.0;

/// A scan on the template's grid, and the template warped onto it.
pub(crate) struct Prior {
    /// The scan, scaled to a brain of about 100 above its darkest; what it did not see is filled from the template.
    pub scan: Array3<f32>,
    /// The template's image there.
    pub template: Array3<f32>,
    /// The distance from the template's brain there, mm, negative inside.
    pub distance: Array3<f32>,
    /// Where the scan was seen.
    pub seen: Array3<u8>,
    /// Voxels of the grid to the template's world, the length of their edges, and from the template's world to the scan's.
    pub to_template: Matrix4,
    pub voxel_mm: f64,
    pub to_scan: Matrix4,
}

/// Carries the template over to the scan `copy` (about 2 mm), in which the head was found; the warp follows `straight`, the same
/// scan with its contrast straightened, where there is one. `None` where the scan has nothing to compare.
pub(crate) fn carry_over(
    template: &HeadTemplate,
    copy: &Placed,
    straight: Option<&Placed>,
    head: &HeadFit,
) -> Option<Prior> {
    let [z, y, x] = template.box_around(MARGIN_MM);
    let mut corner = IDENTITY;
    [x.start, y.start, z.start].into_iter().enumerate().for_each(|(a, v)| corner[a][3] = v as f64);
    let to_template = compose(&template.image.to_world, &corner);
    let part = |v: &Array3<f32>| v.slice(ndarray::s![z.clone(), y.clone(), x.clone()]).to_owned();
    let (image, rough) = (part(&template.image.voxels), part(&template.distance.voxels));
    let shape = [z.len(), y.len(), x.len()];
    let map = compose(&invert_affine(&copy.to_world)?, &compose(&head.matrix, &to_template));
    let sampled = |scan: &Placed| resample(scan.voxels.view(), &map, shape, f32::NAN);
    let raw = sampled(copy);
    let seen = raw.mapv(|v| u8::from(!v.is_nan()));
    let inner = rough.mapv(|d| u8::from(d < DEEP_MM));
    let [middle] = quantiles(&mut values(image.view(), inner.view()), [0.5])?;
    let bright = image.mapv(|v| v * 100.0 / middle.max(1e-6));
    let scan = scaled(raw, rough.view(), bright.view(), seen.view())?;
    let straight = match straight {
        Some(straight) => Some(scaled(sampled(straight), rough.view(), bright.view(), seen.view())?),
        None => None,
    };
    let voxel_mm = template.voxel_mm()[0];
    let followed = straight.as_ref().unwrap_or(&scan);
    let warp = coarse_warp(followed.view(), bright.view(), voxel_mm, &CoarseRecipe::brain_mask()).ok()?;
    let through = |v: &Array3<f32>, fill: f32| carry(v.view(), &corner, &warp.displacement, voxel_mm, fill);
    let distance = through(&template.distance.voxels, FAR_MM);
    let moved = through(&template.image.voxels, 0.0).mapv(|v| v * 100.0 / middle.max(1e-6));
    Some(Prior { scan, template: moved, distance, seen, to_template, voxel_mm, to_scan: head.matrix })
}

/// The voxels of a mask.
fn values(image: ArrayView3<f32>, mask: ArrayView3<u8>) -> Vec<f32> {
    crate::filter::values_in(image, mask, |_| true)
}

/// The scan clipped to the range around the brain, filled where it was not seen, and scaled so that its darkest is 0 and its
/// brain about 100.
fn scaled(
    scan: Array3<f32>,
    distance: ArrayView3<f32>,
    bright: ArrayView3<f32>,
    seen: ArrayView3<u8>,
) -> Option<Array3<f32>> {
    let of = |limit: f32| -> Vec<f32> {
        Zip::from(distance)
            .and(seen)
            .map_collect(|&d, &s| s & u8::from(d < limit))
            .into_iter()
            .zip(&scan)
            .filter(|(m, _)| *m != 0)
            .map(|(_, v)| *v)
            .collect()
    };
    let [low] = quantiles(&mut of(f32::MAX), [0.01])?;
    let [high] = quantiles(&mut of(15.0), [0.995])?;
    let [middle] = quantiles(&mut of(DEEP_MM), [0.5])?;
    let scale = 100.0 / (middle - low);
    if !(scale > 0.0 && scale.is_finite()) {
        return None;
    }
    let known = scan.mapv(|v| if v.is_nan() { 0.0 } else { (v.clamp(low, high.max(low)) - low) * scale });
    Some(Zip::from(&known).and(seen).and(bright).map_collect(|&v, &s, &b| if s != 0 { v } else { b }))
}

/// The voxels of a scan of `shape` whose distance from the carried brain is below `threshold` mm; the matrix takes its
/// voxels to mm.
pub(crate) fn distance_below(
    prior: &Prior,
    shape: [usize; 3],
    to_world: &Matrix4,
    threshold: f32,
) -> Option<Array3<u8>> {
    let to_grid = compose(&invert_affine(&prior.to_template)?, &invert_affine(&prior.to_scan)?);
    let map = compose(&to_grid, to_world);
    let mut out = Array3::zeros(shape);
    let [z, y, x] = box_in_scan(prior, &invert_affine(&map)?, shape, threshold);
    let sampler = Sampler::new(prior.distance.view());
    let m: [[f32; 4]; 3] = std::array::from_fn(|r| map[r].map(|v| v as f32));
    let window = ndarray::s![z.clone(), y.clone(), x.clone()];
    let mut part = out.slice_mut(window);
    let planes: Vec<_> = part.axis_iter_mut(Axis(0)).collect();
    planes.into_par_iter().enumerate().for_each(|(k, mut plane)| {
        for (j, mut row) in plane.outer_iter_mut().enumerate() {
            let (j, k) = ((j + y.start) as f32, (k + z.start) as f32);
            let start = m.map(|r| r[1] * j + r[2] * k + r[3]);
            for (i, v) in row.iter_mut().enumerate() {
                let i = (i + x.start) as f32;
                let p: [f32; 3] = std::array::from_fn(|a| m[a][0] * i + start[a]);
                *v = u8::from(sampler.holds(p, 0.5) && sampler.clamped(p) < threshold);
            }
        }
    });
    Some(out)
}

/// The box in the scan's voxels around the carried brain.
fn box_in_scan(prior: &Prior, to_voxel: &Matrix4, shape: [usize; 3], threshold: f32) -> [std::ops::Range<usize>; 3] {
    // One voxel of the grid around, since the distance is interpolated between them.
    let [z, y, x] = bounding_box(prior.distance.mapv(|d| u8::from(d < threshold)).view());
    let ends = |r: &std::ops::Range<usize>| [r.start as f64 - 1.0, r.end as f64];
    let (mut low, mut high) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
    for corner in 0..8 {
        let pick = |r: &std::ops::Range<usize>, bit: usize| ends(r)[corner >> bit & 1];
        let at = apply(to_voxel, [pick(&x, 0), pick(&y, 1), pick(&z, 2)]);
        for a in 0..3 {
            low[a] = low[a].min(at[2 - a]);
            high[a] = high[a].max(at[2 - a]);
        }
    }
    std::array::from_fn(|a| {
        let end = (high[a].ceil() + 1.0).clamp(0.0, shape[a] as f64) as usize;
        (low[a].floor().clamp(0.0, end as f64) as usize)..end
    })
}
