//! The receive field of a head coil: what makes the same tissue bright in one place and dim in another.
//!
//! Root sum of squares of the elements of an array coil, each falling off like the field of a loop on its axis, under a
//! broad transmit dome. It is smooth but neither a polynomial nor a B-spline, so no correction method is favoured by
//! having the right basis.

use super::random::{Stream, stream};
use super::raster::planes;
use imaging::filter::quantiles;
use imaging::rigid::Matrix4;
use ndarray::{Array3, ArrayView3};
use rand::RngExt;
use rayon::prelude::*;

const ELEMENTS: usize = 12;
/// Radius (mm) of the circle the elements stand on, and of one element.
const RING: f32 = 135.0;
const LOOP: f32 = 78.0;

/// One loop of the coil.
struct Element {
    at: [f32; 3],
    weight: f32,
}

/// A coil: its elements and the centre of the transmit dome, in scanner millimetres.
struct Coil {
    elements: Vec<Element>,
    dome: [f32; 3],
}

impl Coil {
    fn new(seed: u64) -> Self {
        let mut rng = stream(seed, Stream::Coil, 0);
        let turn = rng.random_range(0.0..std::f32::consts::TAU);
        let elements = (0..ELEMENTS)
            .map(|e| {
                let angle = turn + e as f32 * std::f32::consts::TAU * 2.0 / ELEMENTS as f32;
                let (z, ring) = if e < ELEMENTS / 2 { (-25.0, RING) } else { (50.0, 0.8 * RING) };
                // Unequal loading and gain of the elements is what tilts the field.
                let weight = rng.random_range(0.5..1.5);
                Element { at: [ring * angle.cos(), 1.15 * ring * angle.sin(), z], weight }
            })
            .collect();
        let mut off = |half: f32| rng.random_range(-half..half);
        Self { elements, dome: [off(25.0), off(25.0), off(25.0)] }
    }

    fn at(&self, p: [f32; 3]) -> f32 {
        let square = |q: [f32; 3]| {
            let d = [p[0] - q[0], p[1] - q[1], p[2] - q[2]];
            d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
        };
        let power: f32 = self
            .elements
            .iter()
            .map(|e| {
                let fall = 1.0 / (1.0 + square(e.at) / (LOOP * LOOP));
                e.weight * e.weight * fall * fall * fall
            })
            .sum();
        power.sqrt() / (1.0 + square(self.dome) / (170.0 * 170.0))
    }
}

/// The multiplicative field of a seed's coil on a grid (`affine`: voxel `(i, j, k)` to scanner mm), scaled so that its
/// 1st and 99th percentile inside `brain` are `1 - strength/2` and `1 + strength/2` (0.4 is the "40 %" of BrainWeb).
///
/// Scaling is by a power and a factor, so the field stays positive and falls off in the neck.
pub(super) fn coil_field(seed: u64, affine: &Matrix4, brain: ArrayView3<u8>, strength: f32) -> Array3<f32> {
    let coil = Coil::new(seed);
    let row: [[f32; 4]; 3] = std::array::from_fn(|r| affine[r].map(|v| v as f32));
    let mut field = Array3::<f32>::zeros(brain.raw_dim());
    planes(&mut field).into_par_iter().enumerate().for_each(|(k, mut plane)| {
        for ((j, i), value) in plane.indexed_iter_mut() {
            *value = coil.at(row.map(|r| r[0] * i as f32 + r[1] * j as f32 + r[2] * k as f32 + r[3]));
        }
    });
    let mut inside: Vec<f32> = field.iter().zip(&brain).filter(|(_, b)| **b > 0).map(|(f, _)| *f).collect();
    let [low, high] = quantiles(&mut inside, [0.01, 0.99]).unwrap_or([1.0, 1.0]);
    let (bottom, top) = (1.0 - 0.5 * strength, 1.0 + 0.5 * strength);
    // A field of one value (a brain of one voxel) has no range to scale.
    let power = if high > low { (top / bottom).ln() / (high / low).ln() } else { 0.0 };
    planes(&mut field).into_par_iter().for_each(|mut plane| plane.mapv_inplace(|f| top * (f / high).powf(power)));
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_has_the_strength_asked_for_and_stays_positive() {
        let affine = [[8.0, 0.0, 0.0, -90.0], [0.0, 8.0, 0.0, -100.0], [0.0, 0.0, 8.0, -100.0], [0.0, 0.0, 0.0, 1.0]];
        let brain = Array3::from_shape_fn((24, 25, 23), |(k, j, i)| {
            let d = |n: usize, c: f32| (n as f32 - c).powi(2);
            u8::from(d(k, 13.0) + d(j, 12.0) + d(i, 11.0) < 64.0)
        });
        for strength in [0.2, 0.4, 0.8] {
            let field = coil_field(9, &affine, brain.view(), strength);
            let mut inside: Vec<f32> = field.iter().zip(&brain).filter(|(_, b)| **b > 0).map(|(f, _)| *f).collect();
            let [low, high] = quantiles(&mut inside, [0.01, 0.99]).unwrap();
            assert!((high - low - strength).abs() < 0.01, "range {low} to {high} for {strength}");
            assert!(field.iter().all(|f| *f > 0.0 && f.is_finite()));
        }
    }
}
