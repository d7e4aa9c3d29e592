//! Means over the windows of the local correlation, and what the exact gradient takes from them.
//!
//! A window is a cube of blocks of nodes, and there is one window per block. With blocks of two nodes there are an eighth
//! as many windows as nodes, each as wide as with blocks of one: neighbours overlap so much that the others say little new,
//! and all arithmetic on windows costs an eighth. Every node lies in the same number of windows.

use super::grid::Grid;
use super::spans::{Span, Spans};

/// Sums that are kept for each block: of the fixed image, the moving image, their squares, their product, and of the
/// weights if there are any.
pub(super) const SUMS: usize = 6;
/// What the gradient needs of each window, in the names of [`Window::coefficients`].
pub(super) const COEFFICIENTS: usize = 5;

/// Where the blocks of a grid are and how windows are made of them.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// Nodes along each edge of a block.
    pub block: usize,
    /// Blocks along each edge of a window.
    pub width: usize,
    /// Blocks along x, y, z.
    pub size: [usize; 3],
    /// Blocks with a window.
    pub spans: Spans,
}

/// Which way a window reaches from its block: windows of even width are half a block off, so that the way back from
/// windows to blocks is the mirror image of the way there.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Direction {
    /// Blocks to windows.
    Gather,
    /// Windows to blocks.
    Spread,
}

/// What of the windows' statistics steers the level.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Similarity {
    /// Sum of the squared correlations of the windows with enough contrast.
    pub sum: f64,
    /// Number of those windows.
    pub count: usize,
}

impl Similarity {
    /// Adds a row of squared correlations; those below 0 do not count.
    pub fn add(&mut self, squared: &[f32]) {
        for v in squared.iter().filter(|v| **v >= 0.0) {
            self.sum += f64::from(*v);
            self.count += 1;
        }
    }

    /// The mean squared local correlation.
    pub fn mean(self) -> f64 {
        self.sum / self.count.max(1) as f64
    }
}

impl Window {
    /// Windows over the nodes of `spans`.
    pub fn new(grid: &Grid, spans: &Spans, block: usize, width: usize) -> Self {
        let size = grid.size.map(|n| n.div_ceil(block));
        let coarse = Grid { size, spacing: grid.spacing * block as f64, origin: grid.origin };
        Self { block, width, size, spans: spans.in_blocks(&coarse, block) }
    }

    /// Blocks of one slice.
    pub fn slice(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// How many nodes a window has.
    pub fn nodes(&self) -> f32 {
        ((self.width * self.block) as f32).powi(3)
    }

    /// How many blocks before and after its own a sum takes.
    pub fn reach(&self, direction: Direction) -> (usize, usize) {
        let (less, more) = ((self.width - 1) / 2, self.width / 2);
        if direction == Direction::Gather { (less, more) } else { (more, less) }
    }

    /// Sums a slice of blocks along x and y, where slice `z` of the spans has its extent; elsewhere it must be 0. `room`
    /// is a slice to work in.
    #[inline(always)]
    pub fn sum_slice(&self, slice: &mut [f32], z: usize, direction: Direction, room: &mut [f32]) {
        let extent = self.spans.extent(z);
        let (before, after) = self.reach(direction);
        let (nx, columns) = (self.size[0], extent.columns);
        if extent.rows.is_empty() || columns.start < before || columns.end + after > nx {
            return;
        }
        let first_row = extent.rows.start.saturating_sub(before);
        let last_row = (extent.rows.end + after).min(self.size[1]);
        for y in first_row..last_row {
            let row = y * nx + columns.start..y * nx + columns.end;
            sum_lines(slice, row.start - before, 1, self.width, &mut room[row.clone()]);
        }
        for y in extent.rows.start..extent.rows.end {
            let row = y * nx + columns.start..y * nx + columns.end;
            sum_lines(room, row.start - before * nx, nx, self.width, &mut slice[row.clone()]);
        }
    }

    /// Sums along z the part of a row that `span` covers: from the volumes of which slice `z` of quantity `q` starts at
    /// `(z · quantities + q) · slice`.
    #[inline(always)]
    pub fn sum_along_z(
        &self,
        volume: &[f32],
        [quantities, q]: [usize; 2],
        [y, z]: [usize; 2],
        span: Span,
        direction: Direction,
        out: &mut [f32],
    ) {
        let (before, _) = self.reach(direction);
        let from = ((z - before) * quantities + q) * self.slice() + y * self.size[0] + span.start;
        sum_lines(volume, from, quantities * self.slice(), self.width, &mut out[..span.len()]);
    }

    /// Turns the sums of a row of windows into the coefficients of the gradient.
    ///
    /// With B, C the variances and A the covariance of the fixed and the moving image in a window, both variances plus
    /// `floor`: a = A/(B C), b = A²/(B C²), d = A²/(B² C), c = a·mean(f) − b·mean(m), g = a·mean(m) − d·mean(f), and 0
    /// where a variance is below the floor. The squared correlation is a·A. With weights, windows of which less than half
    /// counts make nothing, and the others as much as if they were whole.
    #[inline(always)]
    pub fn coefficients(&self, sums: &[Vec<f32>; SUMS], weighted: bool, floor: f32, out: &mut Coefficients) {
        let whole = self.nodes();
        let n = out.a.len();
        let [f, m, ff, mm, fm, w] = sums.each_ref().map(|s| &s[..n]);
        let Coefficients { a, b, c, d, g, squared } = out;
        let (b, c, d, g, squared) = (&mut b[..n], &mut c[..n], &mut d[..n], &mut g[..n], &mut squared[..n]);
        for (i, a) in a.iter_mut().enumerate() {
            let weight = if weighted { w[i].max(1e-6) } else { whole };
            let share = if weight > 0.5 * whole { whole / weight } else { 0.0 };
            let inverse = 1.0 / weight;
            let (mean_f, mean_m) = (f[i] * inverse, m[i] * inverse);
            let variance_f = (ff[i] * inverse - mean_f * mean_f).max(0.0);
            let variance_m = (mm[i] * inverse - mean_m * mean_m).max(0.0);
            let covariance = fm[i] * inverse - mean_f * mean_m;
            let counts = (variance_f > floor) & (variance_m > floor) & (share > 0.0);
            let (inverse_f, inverse_m) = (1.0 / (variance_f + floor), 1.0 / (variance_m + floor));
            let ratio = covariance * inverse_f * inverse_m;
            squared[i] = if counts { ratio * covariance } else { -1.0 };
            let ratio = if counts { share * ratio } else { 0.0 };
            let (slope_m, slope_f) = (ratio * covariance * inverse_m, ratio * covariance * inverse_f);
            *a = ratio;
            b[i] = slope_m;
            c[i] = ratio * mean_f - slope_m * mean_m;
            d[i] = slope_f;
            g[i] = ratio * mean_m - slope_f * mean_f;
        }
    }
}

/// A row of what [`Window::coefficients`] finds, all of one length.
pub(super) struct Coefficients<'a> {
    pub a: &'a mut [f32],
    pub b: &'a mut [f32],
    pub c: &'a mut [f32],
    pub d: &'a mut [f32],
    pub g: &'a mut [f32],
    /// The squared correlation; −1 where the window makes nothing.
    pub squared: &'a mut [f32],
}

/// Writes to `out` the sums of `width` lines of `data`, the first starting at `from`, the next `stride` further.
#[inline(always)]
fn sum_lines(data: &[f32], from: usize, stride: usize, width: usize, out: &mut [f32]) {
    match width {
        3 => sum_fixed::<3>(data, from, stride, out),
        4 => sum_fixed::<4>(data, from, stride, out),
        5 => sum_fixed::<5>(data, from, stride, out),
        7 => sum_fixed::<7>(data, from, stride, out),
        _ => {
            let n = out.len();
            out.fill(0.0);
            for line in 0..width {
                let line = &data[from + line * stride..from + line * stride + n];
                out.iter_mut().zip(line).for_each(|(sum, v)| *sum += v);
            }
        }
    }
}

#[inline(always)]
fn sum_fixed<const N: usize>(data: &[f32], from: usize, stride: usize, out: &mut [f32]) {
    let n = out.len();
    let lines: [&[f32]; N] = std::array::from_fn(|l| &data[from + l * stride..from + l * stride + n]);
    for (i, out) in out.iter_mut().enumerate() {
        let mut sum = lines[0][i];
        for line in &lines[1..] {
            sum += line[i];
        }
        *out = sum;
    }
}
