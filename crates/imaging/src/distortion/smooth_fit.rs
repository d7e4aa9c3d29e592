//! The smooth spline through weighted voxels of a volume, which goes on by itself where they have no weight.
//!
//! Least is the sum of weight · (value − spline)² plus `stiffness` · (Laplacian of the spline)². Unlike [`crate::bspline_fit`],
//! which solves for a few hundred control points directly, this has tens of thousands, by conjugate gradients.

use rayon::prelude::*;

use super::conjugate::{Stop, solve};
use super::difference::Grid;
use super::lattice::{Lattice, Room};
use super::parallel::{dot, slabs};

/// Steps and tolerance of the solver: 60 to 140 steps are usual.
const STOP: Stop = Stop { steps: 200, tolerance: 1e-3 };

/// A fitted spline.
pub(super) struct Fit {
    /// Its value at every voxel.
    pub values: Vec<f32>,
    /// Its control points, in the order of `(nz, ny, nx)`.
    pub controls: Vec<f32>,
    /// Steps of the solver.
    pub steps: usize,
}

/// Fits `values` with `weights` (not negative, finite; the values finite) on `grid`; `None` where nothing has weight.
pub(super) fn fit(values: &[f32], weights: &[f32], grid: &Grid, lattice: &Lattice, stiffness: f32) -> Option<Fit> {
    let total: f64 = weights.iter().map(|w| f64::from(*w)).sum();
    // About its mean: what is added everywhere has no bending, and costs no steps.
    let mean = (dot(values, weights) / total) as f32;
    if !(total > 0.0 && mean.is_finite()) {
        return None;
    }
    let weighted: Vec<f32> = values.iter().zip(weights).map(|(v, w)| w * (v - mean)).collect();
    let firm: Vec<f32> = weights.iter().map(|w| w + stiffness * grid.bending_diagonal()).collect();
    let (mut right, mut diagonal) = (vec![0.0; lattice.len()], vec![0.0; lattice.len()]);
    lattice.transposed(&weighted, &mut right);
    lattice.squared().transposed(&firm, &mut diagonal);
    let mut normal = Normal::new(grid, lattice);
    let (mut controls, steps) = solve(&right, &diagonal, STOP, |p, out| normal.apply(weights, stiffness, p, out));
    controls.iter_mut().for_each(|c| *c += mean);
    let mut fitted = vec![0.0; grid.len()];
    lattice.values(&controls, &mut fitted);
    Some(Fit { values: fitted, controls, steps })
}

/// The control points whose spline is nearest to `values`, in a few steps.
pub(super) fn project(values: &[f32], grid: &Grid, lattice: &Lattice) -> Vec<f32> {
    let ones = vec![1.0; grid.len()];
    let (mut right, mut diagonal) = (vec![0.0; lattice.len()], vec![0.0; lattice.len()]);
    lattice.transposed(values, &mut right);
    lattice.squared().transposed(&ones, &mut diagonal);
    let mut normal = Normal::new(grid, lattice);
    solve(&right, &diagonal, Stop { steps: 25, tolerance: 1e-4 }, |p, out| normal.apply(&ones, 0.0, p, out)).0
}

/// The normal matrix of the fit, with room to apply it.
struct Normal<'a> {
    grid: &'a Grid,
    lattice: &'a Lattice,
    spline: Vec<f32>,
    bent: Vec<f32>,
    twice: Vec<f32>,
    planes: Vec<f32>,
}

impl<'a> Normal<'a> {
    fn new(grid: &'a Grid, lattice: &'a Lattice) -> Self {
        let room = || vec![0.0; grid.len()];
        let planes = vec![0.0; grid.shape[0] * lattice.layer()];
        Self { grid, lattice, spline: room(), bent: room(), twice: room(), planes }
    }

    fn apply(&mut self, weights: &[f32], stiffness: f32, controls: &[f32], out: &mut [f32]) {
        let (grid, lattice) = (self.grid, self.lattice);
        lattice.values(controls, &mut self.spline);
        if stiffness > 0.0 {
            grid.laplacian(&self.spline, &mut self.bent);
            grid.laplacian(&self.bent, &mut self.twice);
        }
        let slab = grid.slab().max(1);
        let voxels = self.spline.par_chunks(slab).zip(weights.par_chunks(slab)).zip(self.twice.par_chunks(slab));
        slabs(&mut self.planes, lattice.layer()).zip(voxels).for_each_init(
            || (Room::default(), vec![0.0; slab]),
            |(room, sum), ((_, plane), ((u, w), bent))| {
                let all = u.iter().zip(w).zip(bent);
                sum.iter_mut().zip(all).for_each(|(s, ((u, w), bent))| *s = w * u + stiffness * bent);
                lattice.transposed_slab(sum, room, plane);
            },
        );
        lattice.stack(&self.planes, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plane_goes_on_where_nothing_has_weight() {
        let grid = Grid::new([6, 12, 14], [3.0, 2.0, 2.0]);
        let plane = |n: usize| (n / 168) as f32 - 0.5 * (n / 14 % 12) as f32 + 0.25 * (n % 14) as f32 + 7.0;
        let inside = |n: usize| (2..9).contains(&(n / 14 % 12)) && (3..11).contains(&(n % 14));
        let values: Vec<f32> = (0..grid.len()).map(|n| if inside(n) { plane(n) } else { 1e3 }).collect();
        let weights: Vec<f32> = (0..grid.len()).map(|n| f32::from(u8::from(inside(n)))).collect();
        let found = fit(&values, &weights, &grid, &Lattice::new(grid.shape, 2), 0.1).unwrap();
        let worst =
            (0..grid.len()).filter(|n| inside(*n)).map(|n| (found.values[n] - plane(n)).abs()).fold(0.0, f32::max);
        assert!(worst < 0.2, "{worst}");
        let beyond = (0..grid.len()).map(|n| (found.values[n] - plane(n)).abs()).fold(0.0, f32::max);
        // It levels off towards the ends, which are mirrored.
        assert!(beyond < 3.0, "{beyond}");
        assert!(fit(&values, &vec![0.0; grid.len()], &grid, &Lattice::new(grid.shape, 2), 0.1).is_none());
    }

    #[test]
    fn a_spline_is_its_own_projection() {
        let grid = Grid::new([5, 9, 11], [1.0; 3]);
        let lattice = Lattice::new(grid.shape, 3);
        let controls: Vec<f32> = (0..lattice.len()).map(|n| (n as f32 * 0.8).sin()).collect();
        let (mut values, mut back) = (vec![0.0; grid.len()], vec![0.0; grid.len()]);
        lattice.values(&controls, &mut values);
        lattice.values(&project(&values, &grid, &lattice), &mut back);
        let rest: f32 = values.iter().zip(&back).map(|(a, b)| (a - b).powi(2)).sum();
        let all: f32 = values.iter().map(|v| v * v).sum();
        assert!(rest < 5e-3 * all, "{rest} {all}");
    }
}
