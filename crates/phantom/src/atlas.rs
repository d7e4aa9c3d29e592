//! The average brain that every head is bent from: brightness on a fine grid, distances to its surface on a coarse one.
//!
//! Shapes made of ellipsoids resemble no brain: sulci, nuclei and lobes stand where they stand by growth. They come from
//! the ICBM 2009c template (see `NOTICE`), made small by `tools/make_folds.py`.

use super::shapes::Point;
use flate2::read::GzDecoder;
use std::io::Read;
use std::sync::OnceLock;

/// What `tools/make_folds.py` wrote.
static FOLDS: &[u8] = include_bytes!("../assets/folds.bin.gz");

/// A grid of the map: its first point (template mm), the distance of its points, how many there are along x, y and z.
struct Lattice {
    first: Point,
    spacing: f32,
    size: [usize; 3],
}

const FINE: Lattice = Lattice { first: [-76.5, -112.5, -78.0], spacing: 1.8, size: [86, 106, 91] };
const COARSE: Lattice = Lattice { first: [-112.0, -148.0, -112.0], spacing: 5.0, size: [46, 54, 48] };
/// Template units per step of the brightness, steps per millimetre of a distance, and the step that stands for 0 mm.
const LEVEL: f32 = 3.0;
const PER_MM: f32 = 2.0;
const ZERO: f32 = 128.0;

/// The map. Points are `[x, y, z]` in the template's millimetres.
pub(super) struct Atlas {
    brightness: Vec<u8>,
    surfaces: Vec<[u8; 2]>,
}

impl Atlas {
    /// The one map there is, unpacked when first asked for.
    pub(super) fn get() -> &'static Self {
        static ATLAS: OnceLock<Atlas> = OnceLock::new();
        ATLAS.get_or_init(Self::unpack)
    }

    fn unpack() -> Self {
        let (fine, coarse) = (FINE.count(), COARSE.count());
        let mut bytes = Vec::with_capacity(fine + 2 * coarse);
        // The bytes are part of the program and a test reads them all: they cannot fail to unpack. Were they short, what is
        // missing would be far outside of every brain.
        let _ = GzDecoder::new(FOLDS).read_to_end(&mut bytes);
        bytes.resize(fine + 2 * coarse, u8::MAX);
        let (hull, bag) = bytes[fine..].split_at(coarse);
        let surfaces = hull.iter().zip(bag).map(|(h, b)| [*h, *b]).collect();
        bytes.truncate(fine);
        Self { brightness: bytes, surfaces }
    }

    /// Brightness of the brain in the template's units: fluid 5 to 45, grey matter about 66, white about 86; 0 outside.
    #[inline]
    pub(super) fn brightness(&self, p: Point) -> f32 {
        LEVEL * FINE.read(p, |at| [f32::from(self.brightness[at])])[0]
    }

    /// Distances (mm, negative inside) to the brain with its sulci closed, and to the bag that bridges its clefts.
    #[inline]
    pub(super) fn surfaces(&self, p: Point) -> [f32; 2] {
        COARSE.read(p, |at| self.surfaces[at].map(f32::from)).map(|v| (v - ZERO) / PER_MM)
    }
}

impl Lattice {
    const fn count(&self) -> usize {
        self.size[0] * self.size[1] * self.size[2]
    }

    /// Linear interpolation; beyond the grid its edge goes on.
    #[inline]
    fn read<const N: usize>(&self, p: Point, value: impl Fn(usize) -> [f32; N]) -> [f32; N] {
        let mut base = [0_usize; 3];
        let mut t = [0.0_f32; 3];
        for a in 0..3 {
            let top = (self.size[a] - 1) as f32 - 1e-3;
            let x = ((p[a] - self.first[a]) / self.spacing).clamp(0.0, top);
            base[a] = x as usize;
            t[a] = x - base[a] as f32;
        }
        let (dy, dz) = (self.size[0], self.size[0] * self.size[1]);
        let first = base[0] + base[1] * dy + base[2] * dz;
        let mix = |a: [f32; N], b: [f32; N], t: f32| std::array::from_fn(|n| a[n] + (b[n] - a[n]) * t);
        let line = |at: usize| mix(value(at), value(at + 1), t[0]);
        let plane = |at: usize| mix(line(at), line(at + dy), t[1]);
        mix(plane(first), plane(first + dz), t[2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_is_whole_and_has_its_landmarks() {
        let mut bytes = Vec::new();
        GzDecoder::new(FOLDS).read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), FINE.count() + 2 * COARSE.count());
        let atlas = Atlas::get();
        let near = |p: Point, level: f32| (atlas.brightness(p) - level).abs() < 7.0;
        assert!(near([0.0, -28.0, -33.0], 81.4), "pons");
        assert!(near([27.0, 2.0, 2.0], 76.8), "putamen");
        assert!(near([6.0, 8.0, 14.0], 14.0), "ventricle");
        assert_eq!(atlas.brightness([0.0, 0.0, 200.0]), 0.0);
        let [hull, bag] = atlas.surfaces([0.0, -20.0, 10.0]);
        assert!(bag <= hull && hull < -20.0);
        // The template's brain ends at 82 mm; the surface lies there, too.
        assert!(atlas.surfaces([28.0, -20.0, 90.0])[0] > 5.0);
    }
}
