//! From a smooth surface to the brain's own edge, voxel by voxel at full resolution.
//!
//! The surface says roughly where the brain ends; the image, made even by the smooth field, says exactly. Tissue is closed
//! over the thin dark sheets between folia, opened by a ball, which cuts the thin bridges to dura, marrow, vessels and
//! nerves, then closed by a larger one, which fills the sulci but follows the hull. The idea of tissue threshold, erosion,
//! component and closing is that of BSE (Shattuck et al., NeuroImage 13 (2001) 856–876). Between erosion and dilation the
//! part inside the surface grows outwards by the shortest way (`brain_grow`), through what is as bright as grey matter on
//! average, and in the back half further through what is as bright as white matter: a cerebellum the surface missed hangs on
//! its white matter, marrow and muscle have none.

use ndarray::{Array3, ArrayView3, Axis, AxisDescription, Slice};

use crate::bits::Bits;
use crate::brain_field::Field;
use crate::brain_grow::grow;
use crate::brain_surface::Mesh;
use crate::components::{filled, largest};
use crate::filter::gaussian_smooth_in_place;

/// σ in mm of the average that tells grey matter from marrow and muscle.
const AVERAGE_MM: f64 = 1.0;
/// Dark sheets up to twice this thick, in mm, do not part tissue.
const SHEET_MM: f64 = 1.0;
/// The longest way in mm through white matter.
const LIGHT_WAY_MM: f64 = 60.0;
/// How far in mm around the surface's box tissue counts without limit. The window is larger by the radius of the closing:
/// tissue in that rim stays, but nothing is closed there.
const MARGIN_MM: f64 = 18.0;

/// How the edge is refined; intensities are relative to the smooth field, lengths in mm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    /// Darkest and brightest intensity of tissue.
    pub tissue: [f32; 2],
    /// Darkest intensity of tissue, and of white matter, on average over a few millimetres.
    pub average: f32,
    pub light: f32,
    /// Voxels deeper than this below the surface are brain down to `deep_level`, whatever their class.
    pub deep_mm: f64,
    pub deep_level: f32,
    /// The longest way within tissue from what lies inside the surface or hangs on it by white matter.
    pub way_mm: f64,
    /// Radii of the opening and of the closing.
    pub open_mm: f64,
    pub close_mm: f64,
    /// σ in voxels of the smoothing before classifying.
    pub smooth_voxels: f64,
}

impl Edge {
    /// The usual lengths around `tissue`, the levels `[average, light]` and the way, and the smoothing that image noise (as
    /// a share of tissue) calls for: none up to 8 %, for it costs the thin dark lines of CSF and bone.
    pub(crate) fn around(tissue: [f32; 2], [average, light]: [f32; 2], way_mm: f64, noise: f64) -> Self {
        let sigma = (7.0 * (noise - 0.04)).clamp(0.0, 0.45);
        let smooth_voxels = if sigma < 0.3 { 0.0 } else { sigma };
        Self {
            tissue,
            average,
            light,
            deep_mm: 10.0,
            deep_level: 0.2,
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
    let margin = MARGIN_MM + edge.close_mm;
    let [z, y, x] = mesh.bounds(shape, voxel_mm, margin);
    let origin = [z.start, y.start, x.start];
    let ranges = [z, y, x];
    let window = |axis: AxisDescription| Slice::from(ranges[axis.axis.index()].clone());
    let mut part = field.divide(image.slice_each_axis(window), origin, voxel_mm);
    if edge.smooth_voxels > 0.0 {
        gaussian_smooth_in_place(&mut part, [edge.smooth_voxels; 3]);
    }
    let inside = mesh.inside(origin, [part.dim().0, part.dim().1, part.dim().2], voxel_mm);
    let deep = inside.shrunk(voxel_mm, edge.deep_mm);
    let tissue = classify(&part, &deep, edge);
    // An opening that cannot see the voxels is none: its ball reaches at least the next voxel along the finest axis.
    let ball = edge.open_mm.max(voxel_mm.iter().copied().fold(f64::INFINITY, f64::min));
    gaussian_smooth_in_place(&mut part, voxel_mm.map(|d| AVERAGE_MM / d));
    let even = Bits::of(part.view(), |&v| v > edge.average).with(&deep, |even, deep| even | deep);
    // The cerebellum is behind the middle of the brain; before it lies the fat of the orbits, which is as bright.
    let [_, along, _] = mesh.bounds(shape, voxel_mm, 0.0);
    let middle = ((along.start + along.end) / 2).saturating_sub(origin[1]).min(part.dim().1);
    part.slice_axis_mut(Axis(1), Slice::from(middle..)).fill(0.0);
    let light = Bits::of(part.view(), |&v| v > edge.light);
    drop((part, deep));
    let closed = tissue.grown(voxel_mm, SHEET_MM).shrunk(voxel_mm, SHEET_MM);
    let thick = closed.shrunk(voxel_mm, ball).with(&even, and);
    let mut core = largest(&inside.with(&thick, and));
    grow(&mut core, &light.with(&thick, and), voxel_mm, LIGHT_WAY_MM);
    grow(&mut core, &thick, voxel_mm, edge.way_mm);
    let open = core.grown(voxel_mm, ball + 0.5).with(&tissue, and);
    let cropped = [0, 1, 2].map(|a| [ranges[a].start > 0, ranges[a].end < shape[a]]);
    let mut brain = filled(&close(&open, edge.close_mm, voxel_mm, cropped));
    cut_cord(&mut brain, voxel_mm);
    let mut out = Array3::zeros(image.dim());
    largest(&brain).write(out.slice_each_axis_mut(window));
    out
}

fn and(a: u64, b: u64) -> u64 {
    a & b
}

/// Tissue by intensity, and what lies deep inside the surface.
fn classify(part: &Array3<f32>, deep: &Bits, edge: Edge) -> Bits {
    let [dark, bright] = edge.tissue;
    let core = Bits::of(part.view(), |&v| v > edge.deep_level).with(deep, and);
    Bits::of(part.view(), |&v| v > dark && v < bright).with(&core, |tissue, core| tissue | core)
}

/// The mask grown by `mm` and shrunk again. At a border where the volume goes on (`cropped`: low and high end of z, y, x) it
/// cannot be shrunk from beyond, and so would stay as it was grown: within `mm` of it nothing is closed.
fn close(mask: &Bits, mm: f64, voxel_mm: [f64; 3], cropped: [[bool; 2]; 3]) -> Bits {
    let mut closed = mask.grown(voxel_mm, mm).shrunk(voxel_mm, mm);
    let shape = mask.shape();
    closed.clear_outside([0, 1, 2].map(|a| {
        let [low, high] = cropped[a].map(|cropped| if cropped { (mm / voxel_mm[a]) as usize } else { 0 });
        low.min(shape[a])..shape[a].saturating_sub(high)
    }));
    closed.with(mask, |closed, mask| closed | mask)
}

/// Cuts the cord at the foramen magnum: below the lowest slice whose section is wider than a brainstem (the cerebellum),
/// 4 mm are kept.
fn cut_cord(mask: &mut Bits, voxel_mm: [f64; 3]) {
    const WIDER_THAN_STEM_MM2: f64 = 900.0;
    let wide = WIDER_THAN_STEM_MM2 / (voxel_mm[1] * voxel_mm[2]);
    let Some(lowest) = mask.counts().iter().position(|&voxels| voxels as f64 > wide) else { return };
    let [nz, ny, nx] = mask.shape();
    mask.clear_outside([lowest.saturating_sub((4.0 / voxel_mm[0]).round() as usize)..nz, 0..ny, 0..nx]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tissue_near_a_cropped_border_is_not_closed_out_to_it() {
        let voxels = Array3::from_shape_fn((30, 30, 90), |(k, j, i)| [k, j, i]);
        // A slab four voxels from the border, and two walls with a gap of four between them, far from every border.
        let slab = |&[_, _, i]: &[usize; 3]| (80..86).contains(&i);
        let walls = |&[k, j, i]: &[usize; 3]| {
            (10..20).contains(&k) && (10..20).contains(&j) && (60..70).contains(&i) && !(63..67).contains(&i)
        };
        let mask = Bits::of(voxels.view(), |at| slab(at) || walls(at));
        let closed = |cropped| close(&mask, 6.0, [1.0; 3], [[false; 2], [false; 2], [false, cropped]]).to_mask();
        let (whole, part) = (closed(false), closed(true));
        assert_eq!((whole[[15, 15, 65]], part[[15, 15, 65]]), (1, 1), "the gap");
        assert_eq!((whole[[15, 15, 88]], part[[15, 15, 88]]), (1, 0), "out to the border");
        assert_eq!(part[[15, 15, 85]], 1, "the slab itself");
    }

    #[test]
    fn a_cord_is_cut_below_the_wide_part() {
        let voxels = Array3::from_shape_fn((40, 40, 40), |(k, j, i)| [k, j, i]);
        let mut mask = Bits::of(voxels.view(), |&[k, j, i]| {
            let r = (((j as f64 - 20.0).powi(2) + (i as f64 - 20.0).powi(2)) * 4.0).sqrt();
            r < if k >= 20 { 30.0 } else { 9.0 }
        });
        cut_cord(&mut mask, [2.0; 3]);
        let mask = mask.to_mask();
        assert_eq!((mask[[17, 20, 20]], mask[[18, 20, 20]], mask[[39, 20, 20]]), (0, 1, 1));
    }
}
