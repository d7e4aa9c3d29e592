//! Inside the dura: folded cortex, white matter, deep nuclei, ventricles, cerebellum, brainstem and fluid.

use super::head::{FORAMEN, Head, Near};
use super::shapes::{Point, capsule, ellipsoid};
use super::tissue::Tissue;

/// Half the distance between the hemispheres, mm.
const FISSURE: f32 = 0.7;

/// The tissue at a point inside the dura or the canal of the cord.
pub(super) fn tissue(head: &Head, p: Point, near: &Near, layers: [f32; 2]) -> Tissue {
    if near.cord < 0.0 || (near.stem < 0.0 && near.cerebrum > -6.0) {
        return if fourth_ventricle(p) < 0.0 { Tissue::Csf } else { Tissue::White };
    }
    if p[2] < FORAMEN + 2.0 && near.dura > 0.0 {
        return Tissue::Csf;
    }
    if near.cerebellum < near.cerebrum {
        if near.cerebellum < 0.0 {
            return cerebellum(p, near, layers);
        }
    } else if near.cerebrum < 0.0 {
        return cerebrum(head, p, near, layers);
    }
    if near.stem < 0.0 {
        return Tissue::White;
    }
    between(p, near)
}

/// What fills the space between brain and dura: fluid, the falx' outer rim, the tentorium.
fn between(p: Point, near: &Near) -> Tissue {
    let equal = (near.cerebrum - near.cerebellum).abs();
    let tentorium = equal < 1.2 && p[1] < -25.0 && near.folded[0] > 12.0;
    let falx = near.folded[0] < 0.6 && p[2] > 20.0;
    if tentorium || falx { Tissue::Dura } else { Tissue::Csf }
}

fn cerebrum(head: &Head, p: Point, near: &Near, layers: [f32; 2]) -> Tissue {
    let q = near.folded;
    if ventricles(q, head.ventricles) < 0.0 {
        return Tissue::Csf;
    }
    if deep_nuclei(q) < 0.0 {
        return Tissue::DeepGrey;
    }
    // The callosum and what lies below it joins the hemispheres: no fissure, no cortex.
    let core = ellipsoid(q, [0.0, -6.0, 2.0], [22.0, 38.0, 20.0]);
    if core < 0.0 {
        return Tissue::White;
    }
    let midline = (p[0] + 1.6 * layers[0]).abs();
    let medial = (midline - FISSURE).max(-core);
    let depth = (-near.cerebrum).min(medial);
    if depth < 0.0 {
        return if midline < 0.5 && p[2] > 22.0 { Tissue::Dura } else { Tissue::Csf };
    }
    let thickness = (head.ribbon + 0.35 * layers[1]).clamp(1.6, 4.0);
    let fluid = depth.min(head.cortex.sulcus(p, depth)).min(sylvian(q, near));
    if fluid < 0.0 {
        Tissue::Csf
    } else if fluid < thickness {
        Tissue::Grey
    } else {
        Tissue::White
    }
}

/// Distance to the fluid of the Sylvian fissure: a sheet between temporal lobe and the lobes above, ending at the insula.
fn sylvian(q: Point, near: &Near) -> f32 {
    let sheet = (q[2] + 6.0 + 0.32 * q[1]) * 0.95;
    let inner = (37.0 - q[0]).max(0.0);
    let ends = (q[1] - 34.0).max(-34.0 - q[1]).max(0.0);
    let widen = if near.cerebrum > -10.0 { 0.5 } else { 0.0 };
    (sheet * sheet + inner * inner + ends * ends).sqrt() - 0.9 - widen
}

/// Distance to the lateral ventricles (with their horns) and the third.
fn ventricles(q: Point, size: f32) -> f32 {
    if q[0] > 48.0 || q[1].abs() > 58.0 || q[2].abs() > 40.0 {
        return 10.0;
    }
    let front = capsule(q, [8.0, 31.0, 6.0], [9.5, 4.0, 17.0], 4.2 * size, 4.6 * size);
    let body = capsule(q, [9.5, 4.0, 17.0], [15.0, -27.0, 15.0], 4.6 * size, 5.4 * size);
    let atrium = capsule(q, [15.0, -27.0, 15.0], [24.0, -42.0, 4.0], 5.4 * size, 5.0 * size);
    let back = capsule(q, [24.0, -42.0, 4.0], [21.0, -56.0, 6.0], 4.0 * size, 1.5 * size);
    let below = capsule(q, [24.0, -42.0, 4.0], [33.0, -12.0, -17.0], 3.2 * size, 2.0 * size);
    let third = ellipsoid(q, [0.0, -6.0, -2.0], [1.9 * size, 13.0, 10.0]);
    front.min(body).min(atrium).min(back).min(below).min(third)
}

fn fourth_ventricle(p: Point) -> f32 {
    ellipsoid(p, [0.0, -33.0, -40.0], [6.5, 3.5, 10.0]).min(capsule(
        p,
        [0.0, -24.0, -14.0],
        [0.0, -30.0, -34.0],
        1.2,
        1.5,
    ))
}

/// Distance to the nearest of thalamus, caudate, putamen with pallidum, hippocampus, amygdala.
fn deep_nuclei(q: Point) -> f32 {
    if q[0] > 40.0 || q[1].abs() > 45.0 || q[2] > 36.0 || q[2] < -34.0 {
        return 10.0;
    }
    let thalamus = ellipsoid(q, [11.5, -15.0, 4.0], [9.5, 15.0, 10.0]);
    let head = ellipsoid(q, [14.5, 20.0, 5.0], [6.0, 11.0, 10.0]);
    let tail = capsule(q, [15.0, 14.0, 14.0], [20.0, -20.0, 18.0], 4.0, 2.2);
    let putamen = ellipsoid(q, [27.0, 4.0, 0.0], [7.0, 19.0, 12.0]);
    let hippocampus = capsule(q, [26.0, -8.0, -22.0], [28.0, -34.0, -6.0], 5.0, 3.5);
    let amygdala = ellipsoid(q, [23.0, 3.0, -21.0], [7.0, 7.0, 7.0]);
    thalamus.min(head).min(tail).min(putamen).min(hippocampus).min(amygdala)
}

/// Cerebellum: thin folia that fan out from the middle, every third a deep fissure, around a branching white core.
fn cerebellum(p: Point, near: &Near, layers: [f32; 2]) -> Tissue {
    const BLADES: f32 = 30.0;
    if fourth_ventricle(p) < 0.0 {
        return Tissue::Csf;
    }
    let (y, z) = (p[1] + 32.0, p[2] + 38.0);
    let turn = z.atan2(-y) / std::f32::consts::TAU * BLADES + 0.25 * layers[0] + 0.03 * near.folded[0];
    let nearest = turn.round();
    let arc = y.hypot(z) * std::f32::consts::TAU / BLADES;
    let primary = nearest.rem_euclid(3.0) < 0.5;
    let depth = -near.cerebellum;
    let end = if primary { 15.0 } else { 8.0 };
    let below = (depth - end).max(0.0);
    let sheet = (turn - nearest).abs() * arc;
    let fluid = depth.min((sheet * sheet + below * below).sqrt() - if primary { 0.35 } else { 0.18 });
    if fluid < 0.0 {
        Tissue::Csf
    } else if fluid < 1.75 {
        Tissue::Grey
    } else {
        Tissue::White
    }
}
