//! From a smooth surface to the brain's own edge, voxel by voxel at full resolution.
//!
//! The surface says roughly where the brain ends; the image, made even by the smooth field, says exactly. Tissue near the
//! surface is opened by a ball, which cuts the thin bridges to dura, marrow, vessels and nerves, then closed by a larger
//! one, which fills the sulci but follows the hull. The idea of tissue threshold, erosion, component and closing is that
//! of BSE (Shattuck et al., NeuroImage 13 (2001) 856–876), here confined to a band around the surface. Between erosion
//! and dilation the part inside the surface grows outwards by the shortest way (`brain_grow`), through what is as bright
//! as grey matter on average: a cerebellum the surface missed is near by that measure, marrow and muscle are not.

use ndarray::{Array3, ArrayView3, Axis, AxisDescription, Slice, Zip};

use crate::imaging::brain_field::Field;
use crate::imaging::brain_grow::grow;
use crate::imaging::brain_surface::Mesh;
use crate::imaging::filter::gaussian_smooth;
use crate::imaging::morphology::{dilate, erode, fill_holes, largest_component};

/// σ in mm of the average that tells grey matter from marrow and muscle.
const AVERAGE_MM: f64 = 1.0;

/// How the edge is refined; intensities are relative to the smooth field, lengths in mm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    /// Darkest and brightest intensity of tissue.
    pub tissue: [f32; 2],
    /// Darkest intensity of tissue on average over a few millimetres.
    pub average: f32,
    /// Voxels deeper than this below the surface are brain down to `deep_level`, whatever their class.
    pub deep_mm: f64,
    pub deep_level: f32,
    /// Tissue may lie this far outside the surface, and the way to it within tissue may be so long.
    pub reach_mm: f64,
    pub way_mm: f64,
    /// Radii of the opening and of the closing.
    pub open_mm: f64,
    pub close_mm: f64,
    /// σ in voxels of the smoothing before classifying.
    pub smooth_voxels: f64,
}

impl Edge {
    /// The usual lengths around `tissue` and `reach` (straight, by the way within tissue), and the smoothing that image noise (as a share of tissue) calls for: none up to
    /// 8 %, for it costs the thin dark lines of CSF and bone.
    pub(crate) fn around(tissue: [f32; 2], average: f32, reach: [f64; 2], noise: f64) -> Self {
        let sigma = (7.0 * (noise - 0.04)).clamp(0.0, 0.45);
        let smooth_voxels = if sigma < 0.3 { 0.0 } else { sigma };
        let [reach_mm, way_mm] = reach;
        Self {
            tissue,
            average,
            deep_mm: 10.0,
            deep_level: 0.2,
            reach_mm,
            way_mm,
            open_mm: 2.0,
            close_mm: 6.0,
            smooth_voxels,
        }
    }
}

/// The brain mask of `image` (full resolution) given a surface near its edge.
pub(crate) fn refine(image: ArrayView3<f32>, voxel_mm: [f64; 3], mesh: &Mesh, field: &Field, edge: Edge) -> Array3<u8> {
    let shape = [image.dim().0, image.dim().1, image.dim().2];
    let margin = edge.reach_mm + edge.close_mm + 2.0;
    let [z, y, x] = mesh.bounds(shape, voxel_mm, margin);
    let origin = [z.start, y.start, x.start];
    let ranges = [z, y, x];
    let window = |axis: AxisDescription| Slice::from(ranges[axis.axis.index()].clone());
    let part = field.divide(image.slice_each_axis(window), origin, voxel_mm);
    let part = if edge.smooth_voxels > 0.0 { gaussian_smooth(part.view(), [edge.smooth_voxels; 3]) } else { part };
    let inside = mesh.mask(origin, [part.dim().0, part.dim().1, part.dim().2], voxel_mm);
    let deep = erode(inside.view(), voxel_mm, edge.deep_mm);
    let tissue = classify(&part, &inside, &deep, voxel_mm, edge);
    // An opening that cannot see the voxels is none: its ball reaches at least the next voxel along the finest axis.
    let ball = edge.open_mm.max(voxel_mm.iter().copied().fold(f64::INFINITY, f64::min));
    let mut thick = erode(tissue.view(), voxel_mm, ball);
    let average = gaussian_smooth(part.view(), voxel_mm.map(|d| AVERAGE_MM / d));
    Zip::from(&mut thick).and(&average).and(&deep).par_for_each(|t, &v, &d| *t &= d | u8::from(v > edge.average));
    drop((part, average, deep));
    let mut core = largest_component((&thick & &inside).view());
    grow(&mut core, &thick, voxel_mm, edge.way_mm);
    let mut open = dilate(core.view(), voxel_mm, ball + 0.5);
    Zip::from(&mut open).and(&tissue).par_for_each(|o, &t| *o &= t);
    let hull = erode(dilate(open.view(), voxel_mm, edge.close_mm).view(), voxel_mm, edge.close_mm);
    let mut out = Array3::zeros(image.dim());
    out.slice_each_axis_mut(window).assign(&fill_holes(hull.view()));
    cut_cord(&mut out, voxel_mm);
    largest_component(out.view())
}

/// Tissue by intensity within reach of the surface, and what lies deep inside it.
fn classify(part: &Array3<f32>, inside: &Array3<u8>, deep: &Array3<u8>, voxel_mm: [f64; 3], edge: Edge) -> Array3<u8> {
    let [dark, bright] = edge.tissue;
    let mut tissue = dilate(inside.view(), voxel_mm, edge.reach_mm);
    Zip::from(&mut tissue).and(part).and(deep).par_for_each(|t, &v, &deep| {
        let near = *t != 0 && v > dark && v < bright;
        *t = u8::from(near || (deep != 0 && v > edge.deep_level));
    });
    tissue
}

/// Cuts the cord at the foramen magnum: below the lowest slice whose section is wider than a brainstem (the cerebellum),
/// 4 mm are kept.
fn cut_cord(mask: &mut Array3<u8>, voxel_mm: [f64; 3]) {
    const WIDER_THAN_STEM_MM2: f64 = 900.0;
    let area =
        |slice: ndarray::ArrayView2<u8>| slice.iter().filter(|&&v| v != 0).count() as f64 * voxel_mm[1] * voxel_mm[2];
    let Some(lowest) = mask.axis_iter(Axis(0)).position(|slice| area(slice) > WIDER_THAN_STEM_MM2) else { return };
    let keep = lowest.saturating_sub((4.0 / voxel_mm[0]).round() as usize);
    mask.axis_iter_mut(Axis(0)).take(keep).for_each(|mut slice| slice.fill(0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cord_is_cut_below_the_wide_part() {
        let mut mask = Array3::from_shape_fn((40, 40, 40), |(k, j, i)| {
            let r = (((j as f64 - 20.0).powi(2) + (i as f64 - 20.0).powi(2)) * 4.0).sqrt();
            u8::from(r < if k >= 20 { 30.0 } else { 9.0 })
        });
        cut_cord(&mut mask, [2.0; 3]);
        assert_eq!((mask[[17, 20, 20]], mask[[18, 20, 20]], mask[[39, 20, 20]]), (0, 1, 1));
    }
}
