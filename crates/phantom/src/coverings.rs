//! Outside the dura: skull, scalp, face, eyes, airways, neck.

use super::head::{FORAMEN, Head, Near};
use super::shapes::{Point, capsule, ellipsoid, union};
use super::tissue::Tissue;

/// Thickness (mm) of the layers over the brain at one place.
struct Layers {
    skull: f32,
    diploe: f32,
    scalp: f32,
}

impl Layers {
    fn at(head: &Head, p: Point, near: &Near, layers: [f32; 2]) -> Self {
        let crown = ((p[2] - 10.0) / 40.0).clamp(0.0, 1.0);
        let diploe = (2.2 + 1.3 * layers[1] + 0.9 * crown).clamp(0.2, 6.0);
        // The temporal muscle thickens the scalp at the sides.
        let temple = (-ellipsoid(near.folded, [72.0, 20.0, -10.0], [26.0, 46.0, 44.0]) * 0.35).clamp(0.0, 6.0);
        let scalp = (head.fat + 1.2 * layers[0] - 1.5 * crown).clamp(1.5, 9.0) + 2.0 + temple;
        Self { skull: 3.2 + diploe, diploe, scalp }
    }
}

/// The tissue at a point outside the dura.
pub(super) fn tissue(head: &Head, p: Point, near: &Near, layers: [f32; 2]) -> Tissue {
    let cover = Layers::at(head, p, near, layers);
    let body = surface(head, near, &cover, layers);
    if body > 0.0 {
        return Tissue::Air;
    }
    if near.dura < 0.9 && p[2] > FORAMEN - 1.0 {
        return Tissue::Dura;
    }
    if p[2] < FORAMEN + 4.0 && near.cord < 4.4 {
        return Tissue::Dura;
    }
    if sinus(p, near) {
        return Tissue::Vein;
    }
    if body > -2.0 {
        return Tissue::Skin;
    }
    if let Some(tissue) = airways(p, near, body).or_else(|| orbit(near)) {
        return tissue;
    }
    if near.dura < cover.skull && p[2] > FORAMEN - 6.0 && near.cord > 12.0 {
        return skull(near.dura, &cover);
    }
    if p[2] < -20.0
        && let Some(tissue) = neck(p, near).or_else(|| jaw(p, body))
    {
        return tissue;
    }
    soft(head, p, near, body, &cover)
}

/// Distance to the skin: a scalp that follows the skull, joined to face, nose, neck and shoulders.
fn surface(head: &Head, near: &Near, cover: &Layers, layers: [f32; 2]) -> f32 {
    let q = near.folded;
    let scalp = near.dura - cover.skull - cover.scalp;
    if q[2] > 30.0 {
        // Everything else is too far below to blend in.
        return scalp;
    }
    let face = ellipsoid(q, [0.0, 41.0, -66.0], [59.0, 52.0, 62.0]);
    let chin = ellipsoid(q, [0.0, 78.0, -116.0], [20.0, 16.0, 14.0]);
    let nose = capsule(q, [0.0, 90.0, -34.0], [0.0, 104.0 + head.nose, -62.0], 7.0, 12.0);
    let neck = capsule(q, [0.0, -34.0, -60.0], [0.0, -30.0, -300.0], 58.0, 58.0);
    let shoulders = ellipsoid(q, [0.0, -30.0, -238.0], [175.0, 70.0, 58.0]);
    let front = union(union(face, chin, 12.0), nose, 8.0) + 1.2 * layers[1];
    let body = union(union(union(scalp, front, 14.0), neck, 22.0), shoulders, 25.0);
    let pinna = ellipsoid(q, [83.0, -14.0, -38.0], [5.5, 15.0, 27.0]);
    let lid = ellipsoid(q, [32.0, 77.0, -36.0], [15.0, 14.0, 15.0]);
    union(union(body, pinna, 4.0), lid, 5.0)
}

fn skull(depth: f32, cover: &Layers) -> Tissue {
    let inner = depth - 1.6;
    if (0.0..cover.diploe).contains(&inner) { Tissue::Marrow } else { Tissue::Bone }
}

/// Superior sagittal and transverse sinus, which touch the brain.
fn sinus(p: Point, near: &Near) -> bool {
    let sagittal = p[2] > 0.0 && p[1] < 62.0 && near.folded[0] < 4.8 - 0.9 * near.dura.max(0.0);
    let transverse = p[1] < -22.0 && near.folded[0] > 4.0 && (p[2] + 22.0).hypot(near.dura - 1.5) < 4.0;
    near.dura < 4.5 && (sagittal || transverse)
}

/// Paranasal sinuses, nose, mouth, pharynx, ear canals; with the mucosa around the cavities.
fn airways(p: Point, near: &Near, body: f32) -> Option<Tissue> {
    if near.dura < 2.5 || p[2] > 5.0 || body > -3.5 {
        return None;
    }
    let q = near.folded;
    let frontal = ellipsoid(q, [9.0, 86.0, -15.0], [9.0, 4.0, 7.0]);
    let ethmoid = ellipsoid(q, [6.0, 58.0, -38.0], [5.5, 18.0, 11.0]);
    let sphenoid = ellipsoid(q, [7.0, 27.0, -36.0], [7.0, 9.0, 8.0]);
    let maxillary = ellipsoid(q, [30.0, 60.0, -64.0], [13.0, 14.0, 15.0]);
    let nasal = ellipsoid(q, [6.0, 68.0, -66.0], [4.0, 25.0, 16.0]);
    let mouth = ellipsoid(q, [0.0, 62.0, -94.0], [20.0, 22.0, 3.0]);
    let pharynx = capsule(q, [0.0, 28.0, -62.0], [0.0, 12.0, -104.0], 7.0, 6.0);
    let trachea = capsule(q, [0.0, 12.0, -104.0], [0.0, 14.0, -260.0], 6.0, 8.5);
    let ear = capsule(q, [86.0, -14.0, -40.0], [56.0, -16.0, -41.0], 3.5, 3.0);
    let mastoid = ellipsoid(q, [58.0, -28.0, -46.0], [6.0, 8.0, 9.0]);
    let cavities = frontal.min(ethmoid).min(sphenoid).min(maxillary).min(nasal);
    let air = cavities.min(mouth).min(pharynx).min(trachea).min(ear).min(mastoid);
    if air < 0.0 { Some(Tissue::Air) } else { (air < 1.6).then_some(Tissue::Skin) }
}

/// The orbit: eye, optic nerve, muscles, and the fat that fills the cone.
fn orbit(near: &Near) -> Option<Tissue> {
    let q = near.folded;
    let cone = capsule(q, [32.0, 70.0, -36.0], [14.0, 34.0, -30.0], 18.0, 5.0);
    if cone > 1.2 || near.dura < 1.5 {
        return None;
    }
    let eye = ellipsoid(q, [32.0, 77.0, -36.0], [12.0, 12.0, 12.0]);
    if eye < 0.0 {
        return Some(if eye > -1.1 { Tissue::Skin } else { Tissue::Vitreous });
    }
    if cone > 0.0 {
        return Some(Tissue::Bone);
    }
    if capsule(q, [31.0, 67.0, -36.0], [12.0, 30.0, -30.0], 2.3, 2.1) < 0.0 {
        return Some(Tissue::Nerve);
    }
    for (x, z) in [(9.0, 0.0), (-9.0, 0.0), (0.0, 9.0), (0.0, -9.0)] {
        if capsule(q, [32.0 + x, 70.0, -36.0 + z], [15.0, 36.0, -30.0], 1.9, 1.3) < 0.0 {
            return Some(Tissue::Muscle);
        }
    }
    Some(Tissue::Fat)
}

/// Spine, clivus, and the great vessels of the neck.
fn neck(p: Point, near: &Near) -> Option<Tissue> {
    let q = near.folded;
    let spine = capsule(q, [0.0, -16.0, -80.0], [0.0, -24.0, -260.0], 12.0, 12.0);
    if spine < 0.0 && near.cord > 4.4 {
        let along = (p[2] + 300.0).rem_euclid(19.0);
        return Some(if along < 4.0 {
            Tissue::Cartilage
        } else if spine > -1.2 || !(5.0..18.0).contains(&along) {
            Tissue::Bone
        } else {
            Tissue::Marrow
        });
    }
    // Spinous processes behind the cord.
    let process = capsule(q, [0.0, -50.0, -84.0], [0.0, -66.0, -258.0], 5.0, 6.0);
    if process < 0.0 && (p[2] + 306.0).rem_euclid(19.0) > 8.0 {
        return Some(if process > -1.4 { Tissue::Bone } else { Tissue::Marrow });
    }
    let clivus = capsule(q, [0.0, 14.0, -36.0], [0.0, -8.0, -62.0], 8.0, 5.0);
    if clivus < 0.0 {
        return Some(if clivus > -1.2 { Tissue::Bone } else { Tissue::Marrow });
    }
    let carotid = capsule(q, [24.0, 0.0, -40.0], [27.0, -4.0, -130.0], 2.4, 3.0);
    let common = capsule(q, [27.0, -4.0, -130.0], [22.0, 0.0, -260.0], 3.2, 3.6);
    if carotid.min(common) < 0.0 {
        return Some(Tissue::Artery);
    }
    (capsule(q, [35.0, -14.0, -52.0], [33.0, -6.0, -260.0], 4.0, 5.5) < 0.0).then_some(Tissue::Vein)
}

/// Jaw and hard palate.
fn jaw(p: Point, body: f32) -> Option<Tissue> {
    if body > -5.0 || p[2] < -130.0 {
        return None;
    }
    let q = [p[0].abs(), p[1], p[2]];
    let arch = capsule(q, [10.0, 80.0, -110.0], [43.0, 26.0, -100.0], 6.0, 4.5);
    let ramus = capsule(q, [43.0, 26.0, -100.0], [47.0, 12.0, -50.0], 4.5, 4.0);
    let palate = ellipsoid(q, [0.0, 62.0, -84.0], [24.0, 26.0, 3.0]);
    let bone = arch.min(ramus).min(palate);
    (bone < 0.0).then_some(if bone < -1.8 { Tissue::Marrow } else { Tissue::Bone })
}

/// Subcutaneous fat and the muscle below it, with streaks of fat and fascia.
fn soft(head: &Head, p: Point, near: &Near, body: f32, cover: &Layers) -> Tissue {
    let fat = if p[2] > -30.0 { (cover.scalp - 2.0).min(head.fat + 1.0) } else { head.fat };
    if body > -(2.0 + fat) {
        return Tissue::Fat;
    }
    let deep = near.dura > cover.skull + 1.0;
    let streak = head.streaks.at([p[0], p[1], p[2] * 0.6]);
    if deep && streak > 1.15 {
        Tissue::Fat
    } else if deep && streak < -1.9 {
        Tissue::Dura
    } else {
        Tissue::Muscle
    }
}
