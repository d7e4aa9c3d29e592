//! One level of the estimate from a pair: images blurred and shrunk, and the control points of the shift on their grid.

use ndarray::{Array3, ArrayView3};

use super::conjugate::{Stop, solve};
use super::difference::Grid;
use super::lattice::{Lattice, add_scaled};
use super::line::Columns;
use super::parallel::dot;
use super::pepolar_motion::Pose;
use super::pepolar_pair::Pair;
use super::pepolar_system::{Images, State, System};
use super::smooth_fit::project;
use crate::filter::{expand, gaussian_smooth, shrink};

/// Voxels from one control point to the next.
pub const KNOTS: usize = 3;
/// Voxels along phase encoding from which one more level is needed: shifts are longer in voxels.
const FINE_FROM: usize = 120;
/// Voxels that an axis keeps when it is shrunk.
const KEPT: usize = 15;
/// Blur in voxels before shrinking, and most steps, from the finest level to the coarsest.
const LEVELS: [(f64, usize); 4] = [(0.5, 5), (1.0, 6), (1.5, 6), (3.0, 6)];
/// Conjugate gradients need not be exact: the next step starts anew.
const INNER: Stop = Stop { steps: 15, tolerance: 0.05 };
/// Part of the cost that a step must gain for another one to follow.
const LEAST_GAIN: f64 = 2e-3;
/// How often a step is halved before it is given up.
const HALVINGS: usize = 8;

/// What a level is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    /// How much z, y, x are shrunk.
    pub factors: [usize; 3],
    /// Gaussian blur in voxels of the full grid.
    pub sigma: f64,
    /// Most steps of Gauss and Newton's method.
    pub steps: usize,
}

/// Steps taken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub steps: usize,
    pub inner: usize,
}

impl Counts {
    pub(super) fn add(&mut self, other: Self) {
        self.steps += other.steps;
        self.inner += other.inner;
    }
}

/// The levels for a grid, coarsest first.
pub(super) fn plan(shape: [usize; 3]) -> Vec<Step> {
    let levels = if shape[1] >= FINE_FROM { LEVELS.len() } else { LEVELS.len() - 1 };
    let coarsest = 1_usize << (levels - 1);
    // An axis of few voxels is shrunk less, and is at its full number the earlier.
    let most =
        |n: usize| (0..levels).rev().map(|power| 1_usize << power).find(|factor| n / factor >= KEPT).unwrap_or(1);
    let level = |power: usize| {
        let factors = shape.map(|n| (most(n) * (1 << power) / coarsest).max(1));
        Step { factors, sigma: LEVELS[power].0, steps: LEVELS[power].1 }
    };
    (0..levels).rev().map(level).collect()
}

/// A level with the shift as it is known there.
pub(super) struct Level {
    step: Step,
    grid: Grid,
    full: [usize; 3],
    lattice: Lattice,
    squared: Lattice,
    controls: Vec<f32>,
    first: Columns,
}

impl Level {
    /// Starts from a shift on the full grid.
    pub(super) fn new(pair: &Pair, step: Step, shift: &Array3<f32>) -> Self {
        let start = shrink(shift.view(), step.factors);
        let (nz, ny, nx) = start.dim();
        // The weights of bending are those of the full grid: factors follow the voxel sizes.
        let grid = Grid { shape: [nz, ny, nx], ..pair.grid };
        let lattice = Lattice::new(grid.shape, KNOTS);
        let along = 1.0 / step.factors[1] as f32;
        let start: Vec<f32> = start.iter().map(|u| u * along).collect();
        let controls = project(&start, &grid, &lattice);
        let first = blurred(pair.first.view(), step, 1.0, &grid);
        Self { step, grid, full: pair.grid.shape, squared: lattice.squared(), lattice, controls, first }
    }

    /// The shift on the full grid, in its voxels.
    pub(super) fn shift(&self) -> Array3<f32> {
        let mut values = vec![0.0; self.grid.len()];
        self.lattice.values(&self.controls, &mut values);
        let along = self.step.factors[1] as f32;
        values.iter_mut().for_each(|u| *u *= along);
        let [nz, ny, nx] = self.grid.shape;
        // As long as the grid by construction.
        let level = Array3::from_shape_vec((nz, ny, nx), values).unwrap_or_default();
        if self.step.factors == [1; 3] { level } else { expand(level.view(), self.step.factors, self.full) }
    }

    /// The control points of the shift, in voxels of the level.
    pub(super) fn into_controls(self) -> Array3<f32> {
        // As long as the lattice by construction.
        Array3::from_shape_vec(self.lattice.controls(), self.controls).unwrap_or_default()
    }

    /// Takes steps until they gain little.
    pub(super) fn descend(&mut self, pair: &Pair, pose: &Pose) -> Counts {
        let second = blurred(pose.moved.view(), self.step, pose.gain as f32, &self.grid);
        let images = Images { first: &self.first, second: &second, kappa: pair.kappa };
        let (grid, lattice) = (&self.grid, &self.lattice);
        let mut counts = Counts::default();
        let mut state = State::new(&self.controls, grid, lattice, &images);
        let mut system = System::new(grid, lattice);
        for _ in 0..self.step.steps {
            let (gradient, diagonal) = system.prepare(&state, &self.squared, pair.kappa);
            let downhill: Vec<f32> = gradient.iter().map(|g| -g).collect();
            let (direction, inner) = solve(&downhill, &diagonal, INNER, |p, out| system.apply(p, out));
            counts.inner += inner;
            let slope = dot(&gradient, &direction);
            let Some((controls, next)) = search(&self.controls, &direction, slope, state.cost, |controls| {
                State::new(controls, grid, lattice, &images)
            }) else {
                break;
            };
            counts.steps += 1;
            let gain = (state.cost - next.cost) / state.cost;
            (self.controls, state) = (controls, next);
            // Also where the cost was 0 and the gain is no number.
            if gain.is_nan() || gain < LEAST_GAIN {
                break;
            }
        }
        counts
    }
}

/// The longest of the step and its halvings that is worth its length (Armijo), with what is there.
fn search(
    from: &[f32],
    direction: &[f32],
    slope: f64,
    cost: f64,
    at: impl Fn(&[f32]) -> State,
) -> Option<(Vec<f32>, State)> {
    (0..HALVINGS).map(|halved| 0.5_f64.powi(halved as i32)).find_map(|length| {
        let mut controls = from.to_vec();
        add_scaled(&mut controls, direction, length as f32);
        let state = at(&controls);
        (state.cost < cost + 1e-4 * length * slope).then_some((controls, state))
    })
}

/// An image blurred and shrunk for a level, times `gain`, ready to be sampled.
fn blurred(image: ArrayView3<f32>, step: Step, gain: f32, grid: &Grid) -> Columns {
    let smooth = gaussian_smooth(image, [step.sigma; 3]);
    let small = if step.factors == [1; 3] { smooth } else { shrink(smooth.view(), step.factors) };
    let values: Vec<f32> = small.iter().map(|v| v * gain).collect();
    Columns::new(&values, grid.shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_keep_enough_voxels_of_every_axis() {
        let factors = |shape| plan(shape).into_iter().map(|step| step.factors).collect::<Vec<_>>();
        assert_eq!(factors([36, 64, 64]), [[2, 4, 4], [1, 2, 2], [1, 1, 1]]);
        assert_eq!(factors([54, 96, 96]), [[2, 4, 4], [1, 2, 2], [1, 1, 1]]);
        assert_eq!(factors([72, 128, 128]), [[4, 8, 8], [2, 4, 4], [1, 2, 2], [1, 1, 1]]);
        assert_eq!(factors([1, 8, 20]), [[1, 1, 1]; 3]);
    }
}
