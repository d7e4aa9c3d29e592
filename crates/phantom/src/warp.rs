//! How one person's brain differs in shape from the average: a smooth map that folds nowhere.

use super::random::{Field, Stream, Waves, stream};
use super::shapes::Point;
use rand::RngExt;

/// From the head's frame to the template's: template millimetres per millimetre, and the template's place of the centre.
/// The template is larger than a usual brain.
pub(super) const SCALE: f32 = 1.08;
pub(super) const CENTRE: Point = [0.0, -18.5, 6.4];
/// Wavelength and standard deviation (mm) of the displacements: of lobes, and of gyri. Their slopes are .08 and .09 (rms along
/// one axis), so that a map with a fold is not to be had.
const LOBES: (f32, f32) = (110.0, 2.4);
const GYRI: (f32, f32) = (42.0, 1.0);
/// Where the ventricles are, in the head's frame, and how far (mm) their size reaches.
const DEEP: (Point, f32) = ([0.0, 6.0, 6.0], 28.0);
/// The lattice on which displacements are kept: half its size (mm), and the distance of its points.
const EXTENT: Point = [96.0, 114.0, 102.0];
const SPACING: f32 = 6.0;

/// The map from a head's own frame to the template's.
pub(super) struct Warp {
    /// How much smaller than at the surface (relative) the deep parts are read, so that they come out larger.
    deep: f32,
    size: [usize; 3],
    by: Vec<[f32; 4]>,
}

impl Warp {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = stream(seed, Stream::Folding, 1);
        let deep = rng.random_range(-0.10..0.14);
        let mut axis = |(wavelength, size): (f32, f32)| {
            let shape = Waves { wavelength, bandwidth: 0.25, count: 40, spacing: SPACING, extent: EXTENT };
            let fields: [Field; 3] = std::array::from_fn(|_| Field::new(&mut rng, &shape));
            move |p: Point| fields.each_ref().map(|f| size * f.at(p))
        };
        let (lobes, gyri) = (axis(LOBES), axis(GYRI));
        let size = EXTENT.map(|e| (2.0 * e / SPACING).ceil() as usize + 1);
        let mut by = Vec::with_capacity(size[0] * size[1] * size[2]);
        for k in 0..size[2] {
            for j in 0..size[1] {
                for i in 0..size[0] {
                    let n = [i, j, k];
                    let p = std::array::from_fn(|a| n[a] as f32 * SPACING - EXTENT[a]);
                    let (a, b) = (lobes(p), gyri(p));
                    by.push([a[0] + b[0], a[1] + b[1], a[2] + b[2], 0.0]);
                }
            }
        }
        Self { deep, size, by }
    }

    /// Where a point of the head's frame is in the template, mm.
    #[inline]
    pub(super) fn at(&self, p: Point) -> Point {
        let by = self.displacement(p);
        let from = [p[0] - DEEP.0[0], p[1] - DEEP.0[1], p[2] - DEEP.0[2]];
        let far = (from[0] * from[0] + from[1] * from[1] + from[2] * from[2]) / (DEEP.1 * DEEP.1);
        let shrink = if far < 16.0 { self.deep * (-far).exp() } else { 0.0 };
        std::array::from_fn(|a| SCALE * (p[a] - shrink * from[a]) + CENTRE[a] + by[a])
    }

    #[inline]
    fn displacement(&self, p: Point) -> [f32; 4] {
        let mut base = [0_usize; 3];
        let mut t = [0.0_f32; 3];
        for a in 0..3 {
            let top = (self.size[a] - 1) as f32 - 1e-3;
            let x = ((p[a] + EXTENT[a]) / SPACING).clamp(0.0, top);
            base[a] = x as usize;
            t[a] = x - base[a] as f32;
        }
        let (dy, dz) = (self.size[0], self.size[0] * self.size[1]);
        let first = base[0] + base[1] * dy + base[2] * dz;
        let mix = |a: [f32; 4], b: [f32; 4], t: f32| std::array::from_fn(|n| a[n] + (b[n] - a[n]) * t);
        let line = |at: usize| mix(self.by[at], self.by[at + 1], t[0]);
        let plane = |at: usize| mix(line(at), line(at + dy), t[1]);
        mix(plane(first), plane(first + dz), t[2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_fold_nowhere_and_differ_between_seeds() {
        let (one, other) = (Warp::new(3), Warp::new(4));
        let (mut least, mut apart, mut n) = (f32::INFINITY, 0.0, 0.0);
        for k in -10..=10 {
            for j in -12..=12 {
                for i in -10..=10 {
                    let p = [i as f32 * 7.0, j as f32 * 7.0, k as f32 * 7.0];
                    let here = one.at(p);
                    let d: [Point; 3] = std::array::from_fn(|a| {
                        let mut q = p;
                        q[a] += 2.0;
                        let there = one.at(q);
                        std::array::from_fn(|b| (there[b] - here[b]) / (2.0 * SCALE))
                    });
                    let det = d[0][0] * (d[1][1] * d[2][2] - d[1][2] * d[2][1])
                        - d[0][1] * (d[1][0] * d[2][2] - d[1][2] * d[2][0])
                        + d[0][2] * (d[1][0] * d[2][1] - d[1][1] * d[2][0]);
                    least = least.min(det);
                    let off = other.at(p);
                    apart += (0..3).map(|a| (off[a] - here[a]).powi(2)).sum::<f32>().sqrt();
                    n += 1.0;
                }
            }
        }
        assert!(least > 0.2, "Jacobian {least}");
        assert!((3.0..12.0).contains(&(apart / n)), "{} mm apart", apart / n);
    }
}
