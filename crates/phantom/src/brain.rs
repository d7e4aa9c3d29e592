//! Inside the dura: cortex, white matter, deep nuclei, ventricles, cerebellum, brainstem and fluid, read from the bent map of
//! the average brain.

use super::atlas::Atlas;
use super::head::{FORAMEN, Head, Near};
use super::shapes::{Point, capsule, ellipsoid};
use super::tissue::Tissue;

/// Template brightness that parts fluid from grey matter, and grey matter (cortex, nuclei) from white.
const FLUID: f32 = 47.0;
const CORTEX: f32 = 80.0;
const NUCLEI: f32 = 81.5;
/// How much (template units) the person's own folds change the map near the surface, and how deep (mm) they reach.
const FOLDS: f32 = 3.0;
const REACH: [f32; 2] = [12.0, 22.0];

/// The tissue at a point inside the dura or the canal of the cord.
pub(super) fn tissue(head: &Head, p: Point, near: &Near) -> Tissue {
    if p[2] < FORAMEN + 4.0 && near.cord < 0.0 {
        return Tissue::White;
    }
    if near.hull > 0.0 {
        return between(near);
    }
    let at = near.template;
    let level = Atlas::get().brightness(at);
    let part = ((REACH[1] + near.hull) / (REACH[1] - REACH[0])).clamp(0.0, 1.0);
    let level = if part > 0.0 { level + FOLDS * part * head.folds.at(p) } else { level };
    if level < FLUID + head.atrophy {
        return between(near);
    }
    if nuclei([at[0].abs(), at[1], at[2]]) < 0.0 {
        return if level < NUCLEI { Tissue::DeepGrey } else { Tissue::White };
    }
    if level < CORTEX + head.ribbon { Tissue::Grey } else { Tissue::White }
}

/// What fills the space between parts of the brain, and between brain and dura: fluid, and the falx.
fn between(near: &Near) -> Tissue {
    let at = near.template;
    let falx = at[0].abs() < 0.7 && (at[2] > 40.0 || at[1] > 46.0 || (at[1] < -52.0 && at[2] > 12.0));
    if falx {
        Tissue::Dura
    } else if vessels([at[0].abs(), at[1], at[2]]) < 0.0 {
        Tissue::Artery
    } else {
        Tissue::Csf
    }
}

/// Distance to the large arteries in the cisterns: basilar, middle and anterior cerebral.
fn vessels(q: Point) -> f32 {
    if q[0] > 40.0 || q[1] < -24.0 || q[1] > 46.0 || q[2] > 24.0 {
        return 10.0;
    }
    let basilar = capsule(q, [0.0, -15.0, -44.0], [0.0, -13.0, -20.0], 1.8, 1.7);
    let middle = capsule(q, [7.0, 2.0, -14.0], [36.0, 2.0, -16.0], 1.7, 1.4);
    let anterior = capsule(q, [2.0, 14.0, -12.0], [2.0, 36.0, 8.0], 1.3, 1.2);
    basilar.min(middle).min(anterior)
}

/// Distance to where grey matter is that of nuclei: thalamus, caudate, putamen with pallidum, hippocampus, amygdala.
fn nuclei(q: Point) -> f32 {
    if q[0] > 40.0 || q[1] > 32.0 || q[1] < -50.0 || q[2].abs() > 34.0 {
        return 10.0;
    }
    let thalamus = ellipsoid(q, [12.0, -18.0, 8.0], [13.0, 17.0, 13.0]);
    let head = ellipsoid(q, [13.0, 14.0, 7.0], [9.0, 13.0, 14.0]);
    let tail = capsule(q, [14.0, 8.0, 19.0], [20.0, -22.0, 22.0], 6.0, 5.0);
    let putamen = ellipsoid(q, [25.0, 2.0, 0.0], [9.0, 20.0, 13.0]);
    let hippocampus = capsule(q, [26.0, -12.0, -20.0], [28.0, -36.0, -5.0], 7.0, 7.0);
    let amygdala = ellipsoid(q, [24.0, -3.0, -20.0], [8.0, 8.0, 8.0]);
    thalamus.min(head).min(tail).min(putamen).min(hippocampus).min(amygdala)
}
