//! The cost of a shift between two images, and the equations of a Gauss–Newton step, by slabs of the volume.

use rayon::prelude::*;

use super::difference::{Grid, add_slope_transposed, slope};
use super::fold;
use super::lattice::{Lattice, Room};
use super::line::Columns;
use super::parallel::{dot, slabs, slabs_per_job};

/// What bending costs.
const STIFFNESS: f32 = 0.01;
/// What the barrier against folding counts.
const BARRIER: f32 = 0.01;
/// Difference, of the mean of the bright voxels, beyond which it counts by its size and no more by its square.
const HUBER: f32 = 0.3;

/// Both images of a level.
pub(super) struct Images<'a> {
    pub first: &'a Columns,
    pub second: &'a Columns,
    /// How much farther the second is shifted than the first.
    pub kappa: f32,
}

/// What is known of a slab for the control points at hand; each a value per voxel.
struct Slab {
    /// Slope of the shift along y.
    slope: Vec<f32>,
    /// Derivative of the difference by the shift, and by its slope.
    by_shift: Vec<f32>,
    by_slope: Vec<f32>,
    difference: Vec<f32>,
}

/// The cost of some control points, with what its derivatives are made of.
pub(super) struct State {
    slabs: Vec<Slab>,
    /// The Laplacian of the shift, twice.
    bent: Vec<f32>,
    pub cost: f64,
}

impl State {
    pub(super) fn new(controls: &[f32], grid: &Grid, lattice: &Lattice, images: &Images) -> Self {
        let (mut u, mut once, mut bent) = (vec![0.0; grid.len()], vec![0.0; grid.len()], vec![0.0; grid.len()]);
        lattice.values(controls, &mut u);
        grid.laplacian(&u, &mut once);
        grid.laplacian(&once, &mut bent);
        let slab = grid.slab();
        let slabs = u.par_chunks(slab.max(1)).with_min_len(slabs_per_job(slab)).enumerate();
        let found: Vec<(Slab, f64)> = slabs.map(|(z, u)| Slab::new(z, u, grid.shape[2], images)).collect();
        let (slabs, costs): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        let cost = costs.iter().sum::<f64>() + 0.5 * f64::from(STIFFNESS) * dot(&once, &once);
        Self { slabs, bent, cost }
    }
}

impl Slab {
    fn new(z: usize, u: &[f32], nx: usize, images: &Images) -> (Self, f64) {
        let room = || vec![0.0; u.len()];
        let (mut slopes, mut first, mut by_shift) = (room(), room(), room());
        let (mut second, mut second_slope) = (room(), room());
        let kappa = images.kappa;
        slope(u, nx, &mut slopes);
        images.first.shifted_with_slope(z, u, 1.0, &mut first, &mut by_shift);
        images.second.shifted_with_slope(z, u, -kappa, &mut second, &mut second_slope);
        let reach = kappa.max(1.0);
        let mut cost = 0.0;
        for n in 0..u.len() {
            let (stretch, squeeze) = (1.0 + slopes[n], 1.0 - kappa * slopes[n]);
            by_shift[n] = by_shift[n] * stretch + kappa * second_slope[n] * squeeze;
            let difference = first[n] * stretch - second[n] * squeeze;
            second_slope[n] = first[n] + kappa * second[n];
            second[n] = difference;
            let size = difference.abs();
            let of_pair = if size > HUBER { HUBER * (size - 0.5 * HUBER) } else { 0.5 * size * size };
            cost += f64::from(of_pair + BARRIER * fold::cost(reach * slopes[n])[0]);
        }
        (Self { slope: slopes, by_shift, by_slope: second_slope, difference: second }, cost)
    }
}

/// The matrix of a step: for a change `p` of the shift, with slope `p′`, of every voxel
/// `shift · p + both · p′` and, by the transposed slope, `both · p + slope · p′`.
pub(super) struct System<'a> {
    grid: &'a Grid,
    lattice: &'a Lattice,
    /// By slab and voxel: shift, both, slope.
    weights: Vec<[f32; 3]>,
    change: Vec<f32>,
    once: Vec<f32>,
    twice: Vec<f32>,
    planes: Vec<f32>,
}

impl<'a> System<'a> {
    pub(super) fn new(grid: &'a Grid, lattice: &'a Lattice) -> Self {
        let room = || vec![0.0; grid.len()];
        let planes = vec![0.0; grid.shape[0] * lattice.layer()];
        let weights = vec![[0.0; 3]; grid.len()];
        Self { grid, lattice, weights, change: room(), once: room(), twice: room(), planes }
    }

    /// Takes the equations of a state; returns the gradient and the diagonal of the matrix by control points.
    pub(super) fn prepare(&mut self, state: &State, squared: &Lattice, kappa: f32) -> (Vec<f32>, Vec<f32>) {
        let (slab, nx) = (self.grid.slab().max(1), self.grid.shape[2]);
        let bending = STIFFNESS * self.grid.bending_diagonal();
        let mut gradient = std::mem::take(&mut self.once);
        let mut diagonal = std::mem::take(&mut self.twice);
        let out = slabs(&mut gradient, slab).zip(diagonal.par_chunks_mut(slab)).zip(self.weights.par_chunks_mut(slab));
        out.zip(&state.slabs).zip(state.bent.par_chunks(slab)).for_each_init(
            || vec![0.0; slab],
            |room, (((((_, gradient), diagonal), weights), state), bent)| {
                state.weigh(kappa, weights, gradient, room);
                gradient.iter_mut().zip(bent).for_each(|(g, bent)| *g += STIFFNESS * bent);
                add_slope_transposed(room, nx, gradient);
                // The squares of a central difference: a quarter of the weight at both neighbours.
                let rows = weights.len() / nx.max(1);
                for (n, d) in diagonal.iter_mut().enumerate() {
                    let row = n / nx;
                    let behind = if row > 0 { weights[n - nx][2] } else { 0.0 };
                    let before = if row + 1 < rows { weights[n + nx][2] } else { 0.0 };
                    *d = weights[n][0] + 0.25 * (behind + before) + bending;
                }
            },
        );
        let (mut by_control, mut diagonal_by_control) = (vec![0.0; self.lattice.len()], vec![0.0; self.lattice.len()]);
        self.lattice.transposed(&gradient, &mut by_control);
        squared.transposed(&diagonal, &mut diagonal_by_control);
        (self.once, self.twice) = (gradient, diagonal);
        (by_control, diagonal_by_control)
    }

    /// The matrix times a change of the control points.
    pub(super) fn apply(&mut self, controls: &[f32], out: &mut [f32]) {
        let (grid, lattice) = (self.grid, self.lattice);
        let (slab, nx) = (grid.slab().max(1), grid.shape[2]);
        lattice.values(controls, &mut self.change);
        grid.laplacian(&self.change, &mut self.once);
        grid.laplacian(&self.once, &mut self.twice);
        let voxels = self.change.par_chunks(slab).zip(self.weights.par_chunks(slab)).zip(self.twice.par_chunks(slab));
        slabs(&mut self.planes, lattice.layer()).zip(voxels).for_each_init(
            || (Room::default(), vec![0.0; slab], vec![0.0; slab]),
            |(room, by_shift, by_slope), ((_, plane), ((change, weights), bent))| {
                slope(change, nx, by_slope);
                let all = change.iter().zip(weights).zip(bent);
                for ((a, b), ((p, [shift, both, slope]), bent)) in by_shift.iter_mut().zip(by_slope.iter_mut()).zip(all)
                {
                    let d = *b;
                    *a = shift * p + both * d + STIFFNESS * bent;
                    *b = both * p + slope * d;
                }
                add_slope_transposed(by_slope, nx, by_shift);
                lattice.transposed_slab(by_shift, room, plane);
            },
        );
        lattice.stack(&self.planes, out);
    }
}

impl Slab {
    /// Writes the weights of the matrix, and the derivatives of the cost by the shift and by its slope.
    fn weigh(&self, kappa: f32, weights: &mut [[f32; 3]], by_shift: &mut [f32], by_slope: &mut [f32]) {
        let reach = kappa.max(1.0);
        for n in 0..weights.len() {
            let (a, b, difference) = (self.by_shift[n], self.by_slope[n], self.difference[n]);
            let size = difference.abs();
            let weight = if size > HUBER { HUBER / size } else { 1.0 };
            let [_, push, bend] = fold::cost(reach * self.slope[n]);
            weights[n] = [weight * a * a, weight * a * b, weight * b * b + BARRIER * reach * reach * bend];
            by_shift[n] = weight * a * difference;
            by_slope[n] = weight * b * difference + BARRIER * reach * push;
        }
    }
}
