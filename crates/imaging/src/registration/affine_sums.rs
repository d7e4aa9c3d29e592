//! The sums of one step of affine registration: normal equations of the fixed intensities in terms of the moving ones and of
//! their change with each parameter.
//!
//! Points are gathered row by row into short blocks, one array a quantity, so that the sums of products run over whole
//! vectors. The points are cut into parts of a fixed size, and the parts are added in their order: the same bytes at any
//! number of threads.

use ndarray::{Array3, ArrayView3};
use rayon::prelude::*;

use super::placed::{Placed, Sampler};
use crate::rigid::{Matrix4, apply};

/// Lengths are divided by this many mm, so that an element of the matrix and a shift have about equal effect.
pub(crate) const UNIT_MM: f64 = 50.0;
/// Points summed in single precision before they are added to the double ones.
const BLOCK: usize = 64;
/// Points of one task.
const PART: usize = 4096;

/// A stretch of points along x.
#[derive(Clone, Copy, Debug)]
struct Run {
    k: usize,
    j: usize,
    start: usize,
    count: usize,
}

/// The fixed image of a registration: where it is compared, and with what.
#[derive(Clone, Debug)]
pub struct Fixed {
    voxels: Array3<f32>,
    to_world: Matrix4,
    parts: Vec<Vec<Run>>,
    points: usize,
    /// Mean position of the points in world coordinates.
    pub centre: [f64; 3],
}

impl Fixed {
    /// Compares `image` where `region` (of the same shape) is not 0; a region of another shape has no points.
    #[must_use]
    pub fn new(image: &Placed, region: ArrayView3<u8>) -> Self {
        let (mut parts, mut part, mut in_part) = (Vec::new(), Vec::new(), 0);
        let (mut points, mut sum) = (0, [0.0; 3]);
        let same = image.voxels.dim() == region.dim();
        for (k, plane) in region.outer_iter().enumerate().take(if same { usize::MAX } else { 0 }) {
            for (j, row) in plane.outer_iter().enumerate() {
                for (start, count) in runs(row) {
                    points += count;
                    in_part += count;
                    let middle = [start as f64 + 0.5 * (count as f64 - 1.0), j as f64, k as f64];
                    let at = apply(&image.to_world, middle);
                    sum.iter_mut().zip(at).for_each(|(s, v)| *s += v * count as f64);
                    part.push(Run { k, j, start, count });
                }
                if in_part >= PART {
                    parts.push(std::mem::take(&mut part));
                    in_part = 0;
                }
            }
        }
        parts.push(part);
        let centre = sum.map(|s| s / (points as f64).max(1.0));
        let voxels = image.voxels.as_standard_layout().into_owned();
        Self { voxels, to_world: image.to_world, parts, points, centre }
    }

    /// Each point compared: where it lies, mm, and its intensity.
    pub(crate) fn values(&self) -> impl Iterator<Item = ([f64; 3], f32)> + '_ {
        self.parts.iter().flatten().flat_map(move |run| {
            (run.start..run.start + run.count).map(move |i| {
                let at = apply(&self.to_world, [i as f64, run.j as f64, run.k as f64]);
                (at, self.voxels[[run.k, run.j, i]])
            })
        })
    }

    /// Number of points compared.
    #[must_use]
    pub fn points(&self) -> usize {
        self.points
    }
}

/// The stretches of a row that are set: first index and length.
fn runs(row: ndarray::ArrayView1<u8>) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (i, _) in row.iter().enumerate().filter(|(_, m)| **m != 0) {
        match found.last_mut() {
            Some((start, count)) if *start + *count == i => *count += 1,
            _ => found.push((i, 1)),
        }
    }
    found
}

/// Sums over the points seen: products of the `N` columns (lower half) and with the fixed intensity.
///
/// The last two columns are the moving intensity and 1; those before are its change with each parameter.
#[derive(Clone, Debug)]
pub(crate) struct Sums<const N: usize> {
    pub products: [[f64; N]; N],
    pub with_fixed: [f64; N],
    pub fixed_squared: f64,
}

impl<const N: usize> Sums<N> {
    const ZERO: Self = Self { products: [[0.0; N]; N], with_fixed: [0.0; N], fixed_squared: 0.0 };

    fn add(&mut self, other: &Self) {
        for (to, from) in self.products.iter_mut().flatten().zip(other.products.iter().flatten()) {
            *to += from;
        }
        self.with_fixed.iter_mut().zip(other.with_fixed).for_each(|(to, from)| *to += from);
        self.fixed_squared += other.fixed_squared;
    }

    /// Number of points seen.
    pub fn count(&self) -> f64 {
        self.products[N - 1][N - 1]
    }
}

/// The quantities of a block of points.
struct Block<const N: usize> {
    columns: [[f32; BLOCK]; N],
    fixed: [f32; BLOCK],
    used: usize,
}

impl<const N: usize> Block<N> {
    const EMPTY: Self = Self { columns: [[0.0; BLOCK]; N], fixed: [0.0; BLOCK], used: 0 };

    fn push(&mut self, fixed: f32, row: [f32; N], sums: &mut Sums<N>) {
        let at = self.used;
        self.columns.iter_mut().zip(row).for_each(|(column, v)| column[at] = v);
        self.fixed[at] = fixed;
        self.used += 1;
        if self.used == BLOCK {
            self.flush(sums);
        }
    }

    /// Adds the block to the sums and empties it.
    fn flush(&mut self, sums: &mut Sums<N>) {
        if self.used < BLOCK {
            self.columns.iter_mut().for_each(|column| column[self.used..].fill(0.0));
            self.fixed[self.used..].fill(0.0);
        }
        for a in 0..N {
            for b in 0..=a {
                sums.products[a][b] += f64::from(dot(&self.columns[a], &self.columns[b]));
            }
            sums.with_fixed[a] += f64::from(dot(&self.columns[a], &self.fixed));
        }
        sums.fixed_squared += f64::from(dot(&self.fixed, &self.fixed));
        self.used = 0;
    }
}

/// The scalar product of two blocks, in eight partial sums.
fn dot(a: &[f32; BLOCK], b: &[f32; BLOCK]) -> f32 {
    let mut lanes = [0.0f32; 8];
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        lanes.iter_mut().zip(a.iter().zip(b)).for_each(|(lane, (a, b))| *lane += a * b);
    }
    lanes.iter().sum()
}

/// What the columns of a point are made of.
pub(crate) struct Point {
    /// Change of the moving intensity per mm of the moving world.
    pub gradient: [f32; 3],
    /// Position in the fixed world from the centre of the points, in units of [`UNIT_MM`].
    pub place: [f32; 3],
    /// Moving intensity.
    pub moving: f32,
}

/// Sums over the points of `fixed` that `transform` (fixed world to moving world) takes into the moving image; `columns`
/// turns a point into its row. `None` where the moving image's matrix has no inverse.
pub(crate) fn sums<const N: usize>(
    fixed: &Fixed,
    moving: &Placed,
    transform: &Matrix4,
    columns: impl Fn(&Point) -> [f32; N] + Sync,
) -> Option<Sums<N>> {
    use crate::rigid::{compose, invert_affine};
    let to_voxel = invert_affine(&moving.to_world)?;
    let map = compose(&to_voxel, &compose(transform, &fixed.to_world)).map(|r| r.map(|v| v as f32));
    let g: [[f32; 3]; 3] = std::array::from_fn(|a| std::array::from_fn(|w| to_voxel[a][w] as f32));
    let centre = fixed.centre;
    let mut place = fixed.to_world;
    (0..3).for_each(|r| place[r][3] -= centre[r]);
    let place = place.map(|r| r.map(|v| (v / UNIT_MM) as f32));
    let sampler = Sampler::new(moving.voxels.view());
    let of_part = |part: &Vec<Run>| {
        let (mut sums, mut block) = (Sums::<N>::ZERO, Block::<N>::EMPTY);
        for run in part {
            let (j, k) = (run.j as f32, run.k as f32);
            let line = |m: &[f32; 4]| m[1] * j + m[2] * k + m[3];
            let (from, origin) = ([0, 1, 2].map(|a| line(&map[a])), [0, 1, 2].map(|a| line(&place[a])));
            for i in run.start..run.start + run.count {
                let x = i as f32;
                let p: [f32; 3] = std::array::from_fn(|a| map[a][0] * x + from[a]);
                if !sampler.holds(p, 0.0) {
                    continue;
                }
                let (value, slope) = sampler.with_gradient(p);
                let gradient = std::array::from_fn(|w| slope[0] * g[0][w] + slope[1] * g[1][w] + slope[2] * g[2][w]);
                let place = std::array::from_fn(|a| place[a][0] * x + origin[a]);
                let row = columns(&Point { gradient, place, moving: value });
                block.push(fixed.voxels[[run.k, run.j, i]], row, &mut sums);
            }
        }
        block.flush(&mut sums);
        sums
    };
    let parts: Vec<Sums<N>> = fixed.parts.par_iter().map(of_part).collect();
    Some(parts.iter().fold(Sums::ZERO, |mut all, part| {
        all.add(part);
        all
    }))
}
