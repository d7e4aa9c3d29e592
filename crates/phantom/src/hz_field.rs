//! How far the magnetic field of a head is from the scanner's, in Hz: what distorts EPI images.
//!
//! Soft sources above the sinuses and the ears, each a broad rise with the two lobes of a dipole along z, and what a shim
//! leaves of first and second order. It is a function of place in the head: the field goes where the head goes.

use super::head::Head;
use super::random::{Stream, stream};
use imaging::filter::quantiles;
use imaging::rigid::{Matrix4, apply, compose};
use ndarray::{Array3, Axis, Zip};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

/// Where the sources are (mm from the brain's centre, in the average head) and how strong: sphenoid and frontal sinuses,
/// both ears, nasopharynx.
const SOURCES: [([f32; 3], f32); 6] = [
    ([0.0, 60.0, -45.0], 1.0),
    ([18.0, 54.0, -46.0], 0.6),
    ([-17.0, 56.0, -45.0], 0.6),
    ([52.0, -10.0, -50.0], 1.0),
    ([-52.0, -8.0, -51.0], 1.0),
    ([0.0, 24.0, -60.0], 0.4),
];
/// How soft a source is, mm; and the standard deviation of its place from head to head.
const SOFT: f32 = 17.0;
const PLACE: f32 = 1.5;
/// Where a steep field has sources besides (mm from the brain's centre), and their Hz: at the brain's edge above the nose and
/// above the ears, each so small that signal folds around it.
const STEEP: [([f32; 3], f32); 3] =
    [([2.0, 50.0, -35.0], 330.0), ([53.0, -15.0, -37.0], 280.0), ([-53.0, -13.0, -38.0], 280.0)];
/// How soft such a source is, mm.
const STEEP_SOFT: f32 = 9.0;
/// Hz that [`WITHIN`] of the brain stays below.
const REACH: f32 = 150.0;
const WITHIN: f64 = 0.995;
/// Standard deviation in the brain of what the shim leaves, and how far the centre frequency may be off, Hz.
const REST: f32 = 12.0;
const CENTRE: f32 = 8.0;
/// Distance (mm) of the points at which the brain is asked for its field.
const STEP: i32 = 6;

/// The field of a head, in Hz at any of its points.
#[derive(Clone, Debug, PartialEq)]
pub struct HzField {
    sources: [([f32; 3], f32); 6],
    /// Coefficients of x² − y², z² − (x² + y²) / 2, xy, xz, yz, x, y, z (units of 60 mm).
    rest: [f32; 8],
    constant: f32,
    scale: f32,
    steep: Option<[([f32; 3], f32); 3]>,
}

impl HzField {
    /// The field of the head of this seed: 99.5 % of its brain lies within 150 Hz of 0.
    #[must_use]
    pub fn of_head(seed: u64) -> Self {
        Self::new(&Head::new(seed), seed)
    }

    /// The same with sources as steep as air makes them: around them, in 0.2 to 4 % of the brain, signal folds.
    #[must_use]
    pub fn steep_of_head(seed: u64) -> Self {
        let head = Head::new(seed);
        let mut rng = stream(seed, Stream::OffResonance, 1);
        let mut normal = || -> f32 { StandardNormal.sample(&mut rng) };
        let steep = STEEP.map(|(place, hz)| {
            let place = std::array::from_fn(|a| head.scale[a] * (place[a] + PLACE * normal()));
            (place, hz * (1.0 + 0.1 * normal()))
        });
        Self { steep: Some(steep), ..Self::new(&head, seed) }
    }

    pub(super) fn new(head: &Head, seed: u64) -> Self {
        let mut rng = stream(seed, Stream::OffResonance, 0);
        let mut normal = || -> f32 { StandardNormal.sample(&mut rng) };
        let places = SOURCES
            .map(|(place, _)| -> [f32; 3] { std::array::from_fn(|a| head.scale[a] * (place[a] + PLACE * normal())) });
        // Of the terms of first order a shim leaves less.
        let rest: [f32; 8] = std::array::from_fn(|n| if n < 5 { normal() } else { 0.5 * normal() });
        let strengths = SOURCES.map(|(_, strength)| strength * rng.random_range(0.85..1.15));
        let offset = rng.random_range(-CENTRE..CENTRE);
        let sources = std::array::from_fn(|n| (places[n], strengths[n]));
        let mut field = Self { sources, rest, constant: 0.0, scale: 1.0, steep: None };
        field.calibrate(&brain_points(head), offset);
        field
    }

    /// Sets the sizes of sources, rest and constant by what they are in the brain.
    fn calibrate(&mut self, brain: &[[f32; 3]], offset: f32) {
        let middle = |mut values: Vec<f32>| quantiles(&mut values, [0.5]).map_or(0.0, |[m]| m);
        let rests: Vec<f32> = brain.iter().map(|p| self.rest(*p)).collect();
        let mean = rests.iter().sum::<f32>() / rests.len().max(1) as f32;
        let spread = (rests.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / rests.len().max(1) as f32).sqrt();
        self.rest = self.rest.map(|c| c * REST / spread.max(f32::MIN_POSITIVE));
        let (constant, sources) = (middle(brain.iter().map(|p| self.rest(*p)).collect()), self.all_sources(brain));
        let least = middle(sources.clone());
        // Sources and rest add up: a few steps bring the sum to the reach that was asked for.
        for _ in 0..20 {
            self.constant = offset - constant - self.scale * least;
            let mut sizes =
                brain.iter().zip(&sources).map(|(p, s)| (self.scale * s + self.rest(*p) + self.constant).abs());
            let reach = quantiles(&mut sizes.by_ref().collect::<Vec<_>>(), [WITHIN]).map_or(REACH, |[reach]| reach);
            self.scale *= REACH / reach.max(f32::MIN_POSITIVE);
        }
        self.constant = offset - constant - self.scale * least;
    }

    fn all_sources(&self, points: &[[f32; 3]]) -> Vec<f32> {
        points.iter().map(|p| self.sources(*p)).collect()
    }

    /// Hz at a point of the head `[x, y, z]`, mm from the brain's centre to the right, front and top.
    #[must_use]
    #[inline]
    pub fn at(&self, point: [f32; 3]) -> f32 {
        let usual = self.scale * self.sources(point) + self.rest(point) + self.constant;
        self.steep.as_ref().map_or(usual, |steep| usual + Self::steep(steep, point))
    }

    fn steep(sources: &[([f32; 3], f32)], p: [f32; 3]) -> f32 {
        let near = |place: &[f32; 3]| {
            let far = (0..3).map(|a| (p[a] - place[a]).powi(2)).sum::<f32>();
            STEEP_SOFT * STEEP_SOFT / (far + STEEP_SOFT * STEEP_SOFT)
        };
        sources.iter().map(|(place, hz)| hz * near(place).powi(2)).sum()
    }

    #[inline]
    fn sources(&self, p: [f32; 3]) -> f32 {
        let mut sum = 0.0;
        for (place, strength) in &self.sources {
            let d: [f32; 3] = std::array::from_fn(|a| p[a] - place[a]);
            let near = SOFT * SOFT / (d[0] * d[0] + d[1] * d[1] + d[2] * d[2] + SOFT * SOFT);
            let dipole = near * near.sqrt() * (3.0 * near * d[2] * d[2] / (SOFT * SOFT) - 1.0);
            sum += strength * (0.9 * near - 0.6 * dipole);
        }
        sum
    }

    #[inline]
    fn rest(&self, p: [f32; 3]) -> f32 {
        let [x, y, z] = p.map(|v| v / 60.0);
        let terms = [x * x - y * y, z * z - 0.5 * (x * x + y * y), x * y, x * z, y * z, x, y, z];
        terms.iter().zip(&self.rest).map(|(t, c)| t * c).sum()
    }

    /// The field on a grid of shape `(nz, ny, nx)`: `affine` takes voxels `(i, j, k)` to world mm, `to_head` world to the
    /// head's own millimetres (the inverse of the `HeadMatrix` of a scan).
    #[must_use]
    pub fn sample(&self, shape: [usize; 3], affine: &Matrix4, to_head: &Matrix4) -> Array3<f32> {
        let map = compose(to_head, affine);
        let mut out = Array3::zeros(shape);
        out.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(k, mut plane)| {
            Zip::indexed(&mut plane)
                .for_each(|(j, i), v| *v = self.at(apply(&map, [i as f64, j as f64, k as f64]).map(|p| p as f32)));
        });
        out
    }
}

/// Points all over the brain, mm.
fn brain_points(head: &Head) -> Vec<[f32; 3]> {
    let planes: Vec<i32> = (-72..=84).step_by(STEP as usize).collect();
    let plane = |z: i32| {
        let rows = (-102..=102).step_by(STEP as usize);
        let points =
            rows.flat_map(move |y| (-84..=84).step_by(STEP as usize).map(move |x| [x, y, z].map(|v| v as f32)));
        points.filter(|p| head.at(*p).brain).collect::<Vec<_>>()
    };
    planes.into_par_iter().map(plane).collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use imaging::rigid::IDENTITY;

    #[test]
    fn nearly_all_of_the_brain_is_within_150_hz_and_heads_differ() {
        let fields: Vec<HzField> = (0..4).map(HzField::of_head).collect();
        for (seed, field) in fields.iter().enumerate() {
            let points = brain_points(&Head::new(seed as u64));
            let within = points.iter().filter(|p| field.at(**p).abs() <= 150.0).count() as f64 / points.len() as f64;
            assert!((0.99..0.999).contains(&within), "head {seed}: {within}");
            let mut hz: Vec<f32> = points.iter().map(|p| field.at(*p)).collect();
            let [middle] = quantiles(&mut hz, [0.5]).unwrap();
            assert!(middle.abs() < 20.0, "head {seed}: {middle} Hz");
            assert!(field.at([0.0, 50.0, -28.0]) > 60.0, "above the sinuses {}", field.at([0.0, 50.0, -28.0]));
        }
        assert!(fields.windows(2).all(|f| (f[0].at([0.0, 50.0, -28.0]) - f[1].at([0.0, 50.0, -28.0])).abs() > 1.0));
        assert_eq!(fields[1], HzField::of_head(1));
    }

    #[test]
    fn a_steep_field_folds_signal_in_a_small_part_of_the_brain() {
        for seed in 0..3 {
            let (field, points) = (HzField::steep_of_head(seed), brain_points(&Head::new(seed)));
            // One voxel of 3.3 mm along y in 35 ms.
            let slope =
                |p: &[f32; 3]| (field.at([p[0], p[1] + 1.65, p[2]]) - field.at([p[0], p[1] - 1.65, p[2]])) * 0.035;
            let folds = points.iter().filter(|p| slope(p).abs() > 1.0).count() as f32 / points.len() as f32;
            assert!((0.002..0.04).contains(&folds), "head {seed}: {folds}");
        }
    }

    #[test]
    fn a_grid_shows_the_field_where_the_head_lies() {
        let field = HzField::of_head(3);
        let affine = [[3.0, 0.0, 0.0, -6.0], [0.0, 4.0, 0.0, 8.0], [0.0, 0.0, 5.0, -20.0], [0.0, 0.0, 0.0, 1.0]];
        let mut to_head = IDENTITY;
        to_head[1][3] = -2.0;
        let grid = field.sample([3, 4, 5], &affine, &to_head);
        assert_eq!(grid[[2, 3, 4]], field.at([6.0, 18.0, -10.0]));
    }
}
