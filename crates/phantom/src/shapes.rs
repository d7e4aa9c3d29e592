//! Signed distances of simple solids, from which the head is built: negative inside, millimetres, points as `[x, y, z]`.
//!
//! The distances are exact for capsules and first-order near the surface for ellipsoids, which is what the thickness of a
//! layer needs (Quilez, "Distance functions").

/// A point or direction in the head's frame, `[x, y, z]` in millimetres (right, front, top).
pub(super) type Point = [f32; 3];

/// Distance to an axis-aligned ellipsoid with centre `c` and radii `r`.
#[inline]
pub(super) fn ellipsoid(p: Point, c: Point, r: Point) -> f32 {
    let (a, b, d) = ((p[0] - c[0]) / r[0], (p[1] - c[1]) / r[1], (p[2] - c[2]) / r[2]);
    let level = (a * a + b * b + d * d).sqrt();
    if level < 1e-3 {
        return -r[0].min(r[1]).min(r[2]);
    }
    let (ga, gb, gd) = (a / r[0], b / r[1], d / r[2]);
    level * (level - 1.0) / (ga * ga + gb * gb + gd * gd).sqrt()
}

/// Distance to a capsule from `a` (radius `ra`) to `b` (radius `rb`).
#[inline]
pub(super) fn capsule(p: Point, a: Point, b: Point, ra: f32, rb: f32) -> f32 {
    let axis = [b[0] - a[0], b[1] - a[1], b[2] - a[2]];
    let from = [p[0] - a[0], p[1] - a[1], p[2] - a[2]];
    let along = (dot(from, axis) / dot(axis, axis)).clamp(0.0, 1.0);
    let off = [from[0] - along * axis[0], from[1] - along * axis[1], from[2] - along * axis[2]];
    dot(off, off).sqrt() - (ra + (rb - ra) * along)
}

/// Union of two solids, rounded over about `k` millimetres where they meet.
#[inline]
pub(super) fn union(a: f32, b: f32, k: f32) -> f32 {
    let h = (0.5 + 0.5 * (b - a) / k).clamp(0.0, 1.0);
    b + (a - b) * h - k * h * (1.0 - h)
}

#[inline]
fn dot(a: Point, b: Point) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_have_the_right_sign_and_size() {
        assert!((ellipsoid([13.0, 0.0, 0.0], [3.0, 0.0, 0.0], [8.0, 8.0, 8.0]) - 2.0).abs() < 1e-4);
        assert!((ellipsoid([1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [20.0, 10.0, 5.0]) + 5.0).abs() < 1e-4);
        assert!((capsule([0.0, 5.0, 4.0], [0.0, 0.0, 0.0], [0.0, 0.0, 10.0], 2.0, 2.0) - 3.0).abs() < 1e-5);
        assert!(union(1.0, 1.0, 4.0) < 1.0 && (union(1.0, 9.0, 4.0) - 1.0).abs() < 1e-6);
    }
}
