//! The images of the coarser levels: smoothed, every second node.

use rayon::prelude::*;

use super::grid::{Grid, PAD};
use super::sample::{RowField, SampledImage};
use super::smooth::{Kernel, smooth};
use super::spans::Spans;

/// Smoothing before the first halving, whose images are as sharp as their voxels, and before the later ones, σ in nodes.
const FIRST_SIGMA: f64 = 0.85;
const NEXT_SIGMA: f64 = 0.74;
/// Kernels of the pyramid reach this many σ.
const REACH: f64 = 3.0;

/// An image at the nodes of a grid.
#[derive(Clone, Debug)]
pub(super) struct LevelImage {
    pub grid: Grid,
    pub values: Vec<f32>,
}

impl LevelImage {
    /// `image` read at every node of `grid`.
    pub fn read(image: &SampledImage, grid: Grid) -> Self {
        let [nx, ny, _] = grid.size;
        let mut values = vec![0.0; grid.nodes()];
        let still = vec![0.0; nx];
        values.par_chunks_mut(grid.slice()).enumerate().for_each(|(z, slice)| {
            for (y, row) in slice.chunks_exact_mut(nx).enumerate().take(ny) {
                let still = RowField { x: &still, y: &still, z: &still };
                image.row([0, y, z], still, row);
            }
        });
        Self { grid, values }
    }

    /// The same at the next coarser `grid`; `first` for an image that was not smoothed yet. Leaves this image smoothed.
    pub fn halved(mut self, grid: Grid, first: bool) -> Self {
        if let Some(kernel) = Kernel::new(if first { FIRST_SIGMA } else { NEXT_SIGMA }, REACH) {
            let mut room = self.values.clone();
            smooth(&mut self.values, &mut room, 1, &self.grid, &Spans::all(&self.grid, 3), &kernel);
        }
        let [nx, ny, _] = grid.size;
        let mut values = vec![0.0; grid.nodes()];
        let finer = |v: usize, n: usize| (2 * v).checked_sub(PAD).filter(|v| *v < n);
        let [fine_x, fine_y, fine_z] = self.grid.size;
        values.par_chunks_mut(grid.slice()).enumerate().for_each(|(z, slice)| {
            let Some(z) = finer(z, fine_z) else { return };
            for (y, row) in slice.chunks_exact_mut(nx).enumerate().take(ny) {
                let Some(y) = finer(y, fine_y) else { continue };
                for (x, v) in row.iter_mut().enumerate() {
                    if let Some(x) = finer(x, fine_x) {
                        *v = self.values[self.grid.at(x, y, z)];
                    }
                }
            }
        });
        Self { grid, values }
    }

    /// The image as it is read at the nodes of its own grid.
    pub fn sampled(&self) -> Option<SampledImage<'_>> {
        const SAME: [[f64; 4]; 3] = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        SampledImage::new(&self.values, self.grid.size, &SAME)
    }
}

/// The images of every resolution that a recipe uses, coarse ones computed from the finer.
pub(super) struct Pyramid {
    /// From the first halving on.
    levels: Vec<Option<[Option<LevelImage>; 3]>>,
}

impl Pyramid {
    /// Halves `finest` (fixed image, moving image, weight) as often as the recipe wants; `grids` from the finest on.
    pub fn new(finest: [Option<SampledImage>; 3], grids: &[Grid], wanted: impl Fn(usize) -> bool) -> Self {
        let Some((&first, coarser)) = grids.split_first() else { return Self { levels: Vec::new() } };
        let mut levels: Vec<Option<[Option<LevelImage>; 3]>> = coarser.iter().map(|_| None).collect();
        for (which, image) in finest.into_iter().enumerate() {
            let Some(image) = image else { continue };
            let mut level = LevelImage::read(&image, first);
            for (at, &grid) in coarser.iter().enumerate() {
                level = level.halved(grid, at == 0);
                if wanted(at + 1)
                    && let Some(slot) = levels.get_mut(at)
                {
                    slot.get_or_insert_default()[which] = Some(level.clone());
                }
            }
        }
        Self { levels }
    }

    /// Takes out the images of a resolution, 1 being the first halving.
    pub fn take(&mut self, doublings: usize) -> Option<[Option<LevelImage>; 3]> {
        self.levels.get_mut(doublings.checked_sub(1)?)?.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_keeps_a_ramp_where_it_is() {
        let (first, end) = ([0; 3], [24, 26, 28]);
        let fine = Grid::around(first, end, 1.0, 1.0);
        let coarse = Grid::around(first, end, 1.0, 2.0);
        let mm = |grid: &Grid, at: usize| {
            let [nx, ny, _] = grid.size;
            let node = [at % nx, at / nx % ny, at / nx / ny];
            let p: [f64; 3] = std::array::from_fn(|a| grid.origin[a] + grid.spacing * node[a] as f64);
            (p[0] + 2.0 * p[1] - p[2]) as f32
        };
        let values = (0..fine.nodes()).map(|at| mm(&fine, at)).collect();
        let half = LevelImage { grid: fine, values }.halved(coarse, true);
        for at in [coarse.at(PAD, PAD, PAD), coarse.at(PAD + 5, PAD + 9, PAD + 11)] {
            assert!((half.values[at] - mm(&coarse, at)).abs() < 1e-3);
        }
        let sampled = half.sampled().unwrap();
        let again = LevelImage::read(&sampled, coarse);
        assert!(again.values.iter().zip(&half.values).all(|(a, b)| (a - b).abs() < 1e-3));
    }
}
