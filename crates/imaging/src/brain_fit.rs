//! The brain's surface on the working copy: two evolutions with a smooth field between them, and what they teach about
//! tissue.
//!
//! The share of the local brightness that is taken for the brain's edge (BET's one parameter) is not the same in every
//! contrast. Instead of asking for it, the usual half is tried first, and others only when the surface has run out into
//! the head or stayed in the middle of it.

use ndarray::Array3;

use crate::brain_evolve::{Levels, evolve};
use crate::brain_field::{Field, class_means};
use crate::brain_locate::{Head, relative_noise};
use crate::brain_refine::Edge;
use crate::brain_surface::Mesh;
use crate::brain_types::Contrast;

/// Steps of the surface: from a small sphere to the brain with 642 vertices, then with 2562 on the even image.
const STEPS: [usize; 2] = [400, 200];
/// Edge fractions in the order they are tried.
const FRACTIONS: [f32; 4] = [0.5, 0.62, 0.74, 0.4];
/// The volume inside the surface as a share of a sphere of the head's radius, when it has found the brain.
const SHARE_OF_HEAD: [f64; 2] = [0.15, 0.72];
/// Where a voxel of a T1w image is longer than `THICK_MM`, a thin skull is grey, and a surface may pass it in places
/// without running out altogether: less is plausible there, and one more fraction is tried.
const THICK_MM: f64 = 2.5;
const FRACTIONS_IF_THICK: [f32; 5] = [0.5, 0.56, 0.62, 0.74, 0.4];
const SHARE_IF_THICK: [f64; 2] = [0.15, 0.57];

/// The surface, the working copy divided by the field under it, and the limits of tissue.
pub(crate) struct Fitted {
    pub mesh: Mesh,
    pub even: Array3<f32>,
    pub field: Field,
    pub edge: Edge,
    /// The edge fraction that led here.
    pub fraction: f64,
}

/// Fits the surface in the working copy `small` (voxels of `size` mm); `noise` is that of the full image as a share of
/// tissue. The first plausible fit is taken, or else the first; `None` when no surface holds tissue to describe.
pub(crate) fn fit(small: &Array3<f32>, size: [f64; 3], head: Head, contrast: Contrast, noise: f64) -> Option<Fitted> {
    let sphere = 4.0 / 3.0 * std::f64::consts::PI * head.radius.powi(3);
    let thick = contrast == Contrast::T1w && size.iter().any(|&mm| mm > THICK_MM);
    let (fractions, [least, most]) =
        if thick { (&FRACTIONS_IF_THICK[..], SHARE_IF_THICK) } else { (&FRACTIONS[..], SHARE_OF_HEAD) };
    let mut first = None;
    for &fraction in fractions {
        let Some((fitted, volume)) = fit_at(small, size, head, contrast, noise, fraction) else { continue };
        if (least..=most).contains(&(volume / sphere)) {
            return Some(fitted);
        }
        first = first.or(Some(fitted));
    }
    first
}

/// One fit with the edge at `fraction`, and the volume inside its surface in mm³.
fn fit_at(
    small: &Array3<f32>,
    size: [f64; 3],
    head: Head,
    contrast: Contrast,
    noise: f64,
    fraction: f32,
) -> Option<(Fitted, f64)> {
    let bold = contrast == Contrast::Bold;
    let shape = [small.dim().0, small.dim().1, small.dim().2];
    let mut mesh = Mesh::sphere(head.centre.map(|c| c as f32), 0.4 * head.radius as f32, 3);
    // Around an EPI brain muscle and skin are dim but not dark: what is below half the brain's level is outside.
    let threshold = if bold { 0.5 * head.median } else { head.threshold };
    let first = Levels { low: head.low, threshold, median: head.median, fraction, dark_mm: 20.0, bright_mm: 10.0 };
    evolve(&mut mesh, small.view(), size, first, STEPS[0]);
    let rough = mesh.inside([0; 3], shape, size);
    let inner = rough.shrunk(size, 4.0).to_mask();
    let rough = rough.to_mask();
    // White matter is the bright level of T1w; an EPI has no brighter class of tissue than the bulk.
    let field = Field::fit(small.view(), inner.view(), size, if bold { 0.5 } else { 0.85 })?;
    let even = field.divide(small.view(), [0; 3], size);
    let [csf, grey, white] = class_means(even.view(), rough.view(), [0.25, 0.65, 0.95])?;
    // The darkest of several noisy voxels lies about one σ too low; the deep sulci of T1w must not be seen from the crown.
    let second = Levels {
        low: 0.0,
        threshold: if bold { 0.7 } else { 0.1 },
        median: 0.5 * (grey + white),
        fraction: fraction - relative_noise(small.view(), size, &head) as f32,
        dark_mm: if bold { 20.0 } else { 10.0 },
        bright_mm: 10.0,
    };
    let mut mesh = mesh.refined();
    evolve(&mut mesh, even.view(), size, second, STEPS[1]);
    // The darkest class is a mixture of CSF with its neighbours that depends on the voxels, hence the floor under it.
    let tissue = if bold { [0.7, f32::MAX] } else { [(csf + 0.4 * (grey - csf)).max(0.72 * grey), 1.3] };
    // Muscle and marrow are not far below grey matter, but hardly ever on average over some voxels.
    let edge = if bold {
        Edge::around(tissue, [0.0, f32::MAX], 6.0, noise)
    } else {
        Edge::around(tissue, [1.25 * tissue[0], 0.5 * (grey + white)], 9.0, noise)
    };
    let voxels = mesh.inside([0; 3], shape, size).counts().iter().sum::<usize>();
    let volume = voxels as f64 * size.iter().product::<f64>();
    Some((Fitted { mesh, even, field, edge, fraction: f64::from(fraction) }, volume))
}
