//! The iterations: both images move to a common middle, level by level, and the two ways are joined.
//!
//! Greedy and compositive as in [`super::coarse`], but symmetric as in Avants et al. 2008
//! (doi:10.1016/j.media.2007.06.004): each update moves both sides by the same amount in opposite directions, so that
//! registering A to B and B to A gives nearly inverse maps.

use ndarray::ArrayView3;

use super::WarpError;
use super::field::Field;
use super::grid::{Grid, PAD};
use super::inverse::invert;
use super::metric::{Fields, Metric, Plan};
use super::pyramid::Pyramid;
use super::recipe::{Level, Recipe};
use super::repair::repair;
use super::sample::SampledImage;
use super::smooth::{Kernel, smooth};
use super::spans::Spans;
use super::window::{Similarity, Window};
use crate::filter::bounding_box;

/// Fewest voxels of a brain along an axis.
const LEAST_VOXELS: usize = 16;
/// Nodes around the brain at which the images are compared.
const COMPARED: f64 = 4.0;
/// Nodes of the field around the brain that change.
const CHANGED: f64 = 5.5;
/// Kernels of the fields reach this many σ.
const REACH: f64 = 2.5;
/// The fields are mended after every so many iterations, for at most so many rounds.
const MEND_EVERY: usize = 5;
const MEND_ROUNDS: usize = 10;
/// Rounds at the end of a level and for the joined field.
const MEND_LAST: usize = 200;

/// The images of one resolution.
#[derive(Clone, Copy)]
pub(super) struct Images<'a> {
    pub fixed: SampledImage<'a>,
    pub moving: SampledImage<'a>,
    pub weight: Option<SampledImage<'a>>,
}

/// Grids and brains of all resolutions, finest first.
pub(super) struct Scales {
    pub grids: Vec<Grid>,
    pub brains: Vec<Spans>,
}

/// What a level reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevelReport {
    /// Distance of the nodes at which the images were compared, mm.
    pub spacing_mm: f64,
    /// Mean squared local correlation before the first iteration.
    pub before: f64,
    /// The same before the last iteration.
    pub after: f64,
    /// Nodes that could not be mended.
    pub unmended: usize,
}

/// The fields between levels.
pub(super) struct Sides {
    /// Middle to fixed image.
    fixed: Side,
    /// Middle to moving image.
    moving: Side,
}

/// A field and a second one to write the next into.
struct Side {
    now: Field,
    next: Field,
}

impl Side {
    fn new(field: Field) -> Self {
        Self { next: field.clone(), now: field }
    }

    /// Goes `scale · update` first, then on; then smooths.
    fn advance(&mut self, update: &Field, scale: f32, spans: &Spans, kernel: Option<&Kernel>) {
        self.now.compose(update, scale, spans, &mut self.next);
        std::mem::swap(&mut self.now, &mut self.next);
        if let Some(kernel) = kernel {
            let grid = self.now.grid;
            smooth(&mut self.now.data, &mut self.next.data, 3, &grid, spans, kernel);
        }
    }

    fn refined(self, grid: Grid) -> Self {
        let Self { now, next } = self;
        drop(next);
        Self::new(now.refined(grid))
    }
}

impl Scales {
    /// The grids of all resolutions that a recipe uses, over a `brain` of shape `(nz, ny, nx)` with voxels of `voxel` mm.
    /// `what` is its name.
    pub fn new(brain: ArrayView3<u8>, what: &'static str, voxel: f64, recipe: &Recipe) -> Result<Self, WarpError> {
        let [z, y, x] = bounding_box(brain);
        if x.is_empty() {
            return Err(WarpError::Empty { what });
        }
        if x.len().min(y.len()).min(z.len()) < LEAST_VOXELS {
            return Err(WarpError::TooSmall { what, found: (z.len(), y.len(), x.len()), least: LEAST_VOXELS });
        }
        let (first, end) = ([x.start, y.start, z.start], [x.end, y.end, z.end]);
        let deepest = recipe.levels.iter().map(Level::of_field).max().unwrap_or(0);
        let grid = |doublings: usize| Grid::around(first, end, voxel, voxel * f64::from(1u32 << doublings));
        let finest = grid(0);
        let finest_brain = Spans::of(&finest, |x, y, z| {
            let voxel = |node: usize, axis: usize| (node + first[axis]).checked_sub(PAD);
            let (Some(x), Some(y), Some(z)) = (voxel(x, 0), voxel(y, 1), voxel(z, 2)) else { return false };
            brain.get((z, y, x)).is_some_and(|m| *m != 0)
        });
        let (mut grids, mut brains) = (vec![finest], vec![finest_brain]);
        for doublings in 1..=deepest {
            let grid = grid(doublings);
            let brain = brains[doublings - 1].halved(&grid);
            grids.push(grid);
            brains.push(brain);
        }
        Ok(Self { grids, brains })
    }

    /// The finest grid and the brain on it.
    pub fn finest(&self) -> (&Grid, &Spans) {
        (&self.grids[0], &self.brains[0])
    }
}

/// Runs all levels of a recipe. `images` are read at nodes of the finest grid.
pub(super) fn run_levels(
    images: &Images,
    scales: &Scales,
    recipe: &Recipe,
) -> Result<(Sides, Vec<LevelReport>), WarpError> {
    let Images { fixed, moving, weight } = *images;
    let coarsest = recipe.levels.iter().map(|level| level.doublings as usize).max().unwrap_or(0);
    let wanted = |doublings: usize| recipe.levels.iter().any(|level| level.doublings as usize == doublings);
    let mut pyramid = Pyramid::new([Some(fixed), Some(moving), weight], &scales.grids[..=coarsest], wanted);
    let mut sides = Sides::new(scales.grids[recipe.levels.first().map_or(0, Level::of_field)]);
    let mut reports = Vec::new();
    for level in &recipe.levels {
        let report;
        (sides, report) = if level.doublings == 0 {
            sides.run(level, images, scales)?
        } else {
            let coarse = pyramid.take(level.doublings as usize).unwrap_or_default();
            let sampled = coarse.each_ref().map(|image| image.as_ref().and_then(|image| image.sampled()));
            let [Some(fixed), Some(moving), weight] = sampled else {
                return Err(WarpError::Recipe { why: "two levels have the same resolution".into() });
            };
            sides.run(level, &Images { fixed, moving, weight }, scales)?
        };
        reports.push(report);
    }
    Ok((sides, reports))
}

impl Sides {
    /// Nothing moved, on the grid of the first level.
    fn new(grid: Grid) -> Self {
        let still = || Side::new(Field::zeros(grid));
        Self { fixed: still(), moving: still() }
    }

    /// Runs the iterations of a level.
    fn run(self, level: &Level, images: &Images, scales: &Scales) -> Result<(Self, LevelReport), WarpError> {
        let (at, of_field) = (level.doublings as usize, level.of_field());
        let (grid, brain) = (scales.grids[at], &scales.brains[at]);
        let (field_grid, field_brain) = (scales.grids[of_field], &scales.brains[of_field]);
        let mut sides = self.refined(scales, field_grid);
        let compared = brain.dilated(&grid, COMPARED);
        let changed = field_brain.dilated(&field_grid, CHANGED);
        if compared.count() == 0 || changed.count() == 0 {
            return Err(WarpError::Empty { what: "the template's brain at a coarse resolution" });
        }
        let Images { fixed, moving, weight } = *images;
        let window = Window::new(&grid, &compared, level.block, level.window);
        let ratio = 1 + usize::from(level.coarse_field);
        let plan = Plan { grid, spans: compared, window, ratio, fixed, moving, weight, difference: level.difference };
        let mut metric = Metric::new(plan);
        let mut update = Field::zeros(field_grid);
        let mut room = update.data.clone();
        let (mut first, mut last, mut unmended) = (None, Similarity::default(), 0);
        for iteration in 0..level.iterations {
            let fields = Fields { fixed: &sides.fixed.now, moving: &sides.moving.now };
            last = metric.force(fields, &mut update);
            first.get_or_insert(last);
            let done = iteration + 1 == level.iterations;
            sides.step(level, &mut update, &mut room, &changed);
            if level.least_jacobian > 0.0 && (done || iteration % MEND_EVERY == MEND_EVERY - 1) {
                unmended = sides.mend(&changed, level.least_jacobian, if done { MEND_LAST } else { MEND_ROUNDS });
            }
        }
        if last.count == 0 && level.iterations > 0 {
            return Err(WarpError::NoContrast { what: "the scan or the template where they overlap" });
        }
        let before = first.unwrap_or_default().mean();
        Ok((sides, LevelReport { spacing_mm: grid.spacing, before, after: last.mean(), unmended }))
    }

    fn refined(self, scales: &Scales, to: Grid) -> Self {
        let mut sides = self;
        while let Some(finer) = finer_grid(scales, &sides.moving.now.grid, &to) {
            sides = Self { fixed: sides.fixed.refined(finer), moving: sides.moving.refined(finer) };
        }
        sides
    }

    /// Moves both sides along `update`.
    fn step(&mut self, level: &Level, update: &mut Field, room: &mut [f32], spans: &Spans) {
        if let Some(kernel) = Kernel::new(level.update_sigma, REACH) {
            let grid = update.grid;
            smooth(&mut update.data, room, 3, &grid, spans, &kernel);
        }
        // Half for each side.
        let ratio = if level.coarse_field { 2.0 } else { 1.0 };
        let scale = 0.5 * level.step / ratio / (update.longest(spans) + 1e-20);
        let kernel = Kernel::new(level.field_sigma, REACH);
        self.moving.advance(update, scale, spans, kernel.as_ref());
        self.fixed.advance(update, -scale, spans, kernel.as_ref());
    }

    fn mend(&mut self, spans: &Spans, least: f32, rounds: usize) -> usize {
        repair(&mut self.fixed.now, spans, least, rounds) + repair(&mut self.moving.now, spans, least, rounds)
    }

    /// The way from the fixed to the moving image, through the middle; how many nodes could not be inverted, and how many
    /// not mended.
    pub fn joined(self, least_jacobian: f32) -> (Field, usize, usize) {
        let Self { fixed: Side { now: fixed, next: room }, moving: Side { now: onward, next: mut joined } } = self;
        drop(room);
        let to_middle = invert(&fixed, fixed.grid);
        drop(fixed);
        let grid = onward.grid;
        joined.data.fill(0.0);
        onward.compose(&to_middle.field, 1.0, &Spans::all(&grid, 0), &mut joined);
        let mut unmended = 0;
        if least_jacobian > 0.0 {
            unmended = repair(&mut joined, &Spans::all(&grid, 4), least_jacobian, MEND_LAST);
        }
        (joined, to_middle.failed, unmended)
    }
}

/// The next grid on the way from a coarse to a finer one; none when there.
fn finer_grid(scales: &Scales, from: &Grid, to: &Grid) -> Option<Grid> {
    let at = scales.grids.iter().position(|grid| grid == from)?;
    (from.spacing > 1.001 * to.spacing).then(|| scales.grids.get(at.checked_sub(1)?).copied()).flatten()
}
