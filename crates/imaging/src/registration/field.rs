//! Displacement fields: composing, refining, measuring.
//!
//! The three components of a node lie side by side, in nodes of the field's own grid, so that one place in memory gives a
//! whole vector.

use rayon::prelude::*;

use super::grid::{Grid, PAD};
use super::spans::{Span, Spans};

/// Nodes of a row that are composed together.
const BATCH: usize = 64;
/// Floats after the last node, so that four can be read where three are wanted.
pub(super) const SPARE: usize = 4;

/// The vectors around a place, indexed by z, y, x; the fourth number of each means nothing.
pub(super) type Corners = [[[[f32; 4]; 2]; 2]; 2];

/// A displacement for each node of a grid.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub grid: Grid,
    /// x, y, z of node after node, in nodes; then [`SPARE`] zeros.
    pub data: Vec<f32>,
}

impl Field {
    pub fn zeros(grid: Grid) -> Self {
        Self { grid, data: vec![0.0; 3 * grid.nodes() + SPARE] }
    }

    /// The z slices, to be changed in parallel.
    pub fn par_slices(&mut self) -> impl IndexedParallelIterator<Item = &mut [f32]> {
        let (nodes, slice) = (self.grid.nodes(), self.grid.slice());
        self.data[..3 * nodes].par_chunks_mut(3 * slice)
    }

    /// The vector at a place in nodes; beyond the grid that of its edge.
    #[inline(always)]
    pub fn at(&self, place: [f32; 3]) -> [f32; 3] {
        let [x, y, z, _] = self.four_at(place);
        [x, y, z]
    }

    /// [`Field::at`] with a fourth number that means nothing: keeping it lets the compiler work on four at once.
    #[inline(always)]
    fn four_at(&self, place: [f32; 3]) -> [f32; 4] {
        let ([low, high], [x, y, z]) = self.corners(place);
        let plane = |side: [[[f32; 4]; 2]; 2]| {
            let [near, far] = side.map(|[a, b]| mix(a, b, x));
            mix(near, far, y)
        };
        mix(plane(low), plane(high), z)
    }

    /// The first node of the cell that `place` lies in, and the place in it; beyond the grid the nearest of its edge.
    #[inline(always)]
    pub fn cell(&self, place: [f32; 3]) -> (usize, [f32; 3]) {
        let size = &self.grid.size;
        let mut base = [0usize; 3];
        let mut part = [0f32; 3];
        for a in 0..3 {
            let v = place[a].max(0.0).min((size[a] - 1) as f32);
            let i = (v as i32).min(size[a] as i32 - 2);
            base[a] = i as usize;
            part[a] = v - i as f32;
        }
        ((base[2] * size[1] + base[1]) * size[0] + base[0], part)
    }

    /// The vectors at the corners of the cell that `place` lies in, and the place in it.
    #[inline(always)]
    pub fn corners(&self, place: [f32; 3]) -> (Corners, [f32; 3]) {
        let (first, part) = self.cell(place);
        let (from, row, slice) = (3 * first, 3 * self.grid.size[0], 3 * self.grid.slice());
        let pair = |at: usize| match self.data.get(at..at + 7) {
            Some(&[a, b, c, d, e, f, g]) => [[a, b, c, d], [d, e, f, g]],
            _ => [[0.0; 4]; 2],
        };
        ([[pair(from), pair(from + row)], [pair(from + slice), pair(from + slice + row)]], part)
    }

    /// Writes to `out`, inside the spans, the way that goes `scale · step` first and then on with this field; elsewhere
    /// `out` stays.
    pub fn compose(&self, step: &Self, scale: f32, spans: &Spans, out: &mut Self) {
        let [nx, _, _] = self.grid.size;
        out.par_slices().enumerate().for_each(|(z, slice)| {
            for (y, span) in spans.rows_of(z) {
                let from = 3 * self.grid.at(span.start, y, z);
                let (Some(step), Some(to)) = (
                    step.data.get(from..from + 3 * span.len()),
                    slice.get_mut(3 * (y * nx + span.start)..3 * (y * nx + span.end)),
                ) else {
                    continue;
                };
                self.compose_row(step, scale, [span.start, y, z], to);
            }
        });
    }

    #[inline(always)]
    fn compose_row(&self, step: &[f32], scale: f32, first: [usize; 3], out: &mut [f32]) {
        let [x0, y0, z0] = first.map(|v| v as f32);
        let mut found = [[0f32; 4]; BATCH];
        let batches = out.chunks_mut(3 * BATCH).zip(step.chunks(3 * BATCH));
        for (batch, (out, step)) in batches.enumerate() {
            let (out, step) = (out.as_chunks_mut::<3>().0, step.as_chunks::<3>().0);
            for (i, (found, step)) in found.iter_mut().zip(step).enumerate() {
                let place =
                    [x0 + (batch * BATCH + i) as f32 + scale * step[0], y0 + scale * step[1], z0 + scale * step[2]];
                *found = self.four_at(place);
            }
            for ((out, step), found) in out.iter_mut().zip(step).zip(&found) {
                *out = [scale * step[0] + found[0], scale * step[1] + found[1], scale * step[2] + found[2]];
            }
        }
    }

    /// On the grid of half the spacing, in its nodes.
    pub fn refined(&self, finer: Grid) -> Self {
        let mut out = Self::zeros(finer);
        let [nx, ny, _] = finer.size;
        out.par_slices().enumerate().for_each(|(z, slice)| {
            for (row, out) in slice.chunks_exact_mut(3 * nx).enumerate() {
                let place = |v: usize| (v + PAD) as f32 * 0.5;
                for (x, out) in out.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                    *out = self.at([place(x), place(row % ny), place(z)]).map(|v| 2.0 * v);
                }
            }
        });
        out
    }

    /// Length of the longest vector inside the spans.
    pub fn longest(&self, spans: &Spans) -> f32 {
        let of_slice = |z: usize| {
            let mut top = 0f32;
            for (y, span) in spans.rows_of(z) {
                let from = 3 * self.grid.at(span.start, y, z);
                for v in self.data[from..from + 3 * span.len()].as_chunks::<3>().0 {
                    top = top.max(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
                }
            }
            top
        };
        (spans.slices.start..spans.slices.end).into_par_iter().map(of_slice).reduce(|| 0.0, f32::max).sqrt()
    }

    /// The displacements of part of a row, component by component.
    #[inline(always)]
    pub fn row(&self, y: usize, z: usize, span: Span, out: &mut [Vec<f32>; 3]) {
        let from = 3 * self.grid.at(span.start, y, z);
        let [ox, oy, oz] = out;
        let nodes = self.data[from..from + 3 * span.len()].as_chunks::<3>().0;
        for (((v, x), y), z) in nodes.iter().zip(ox).zip(oy).zip(oz) {
            [*x, *y, *z] = *v;
        }
    }

    /// The displacements, in nodes of the grid of half the spacing, of part of one of its rows; `room` is room to work in.
    #[inline(always)]
    pub fn finer_row(&self, y: usize, z: usize, span: Span, room: &mut Vec<f32>, out: &mut [Vec<f32>; 3]) {
        let [nx, ny, _] = self.grid.size;
        let first = (span.start + PAD) / 2;
        let count = (span.end - 1 + PAD) / 2 + 2 - first;
        let from = 3 * self.grid.at(first, (y + PAD) / 2, (z + PAD) / 2);
        let row = |dy: usize, dz: usize| {
            let from = from + 3 * nx * ((y % 2) * dy + ny * (z % 2) * dz);
            &self.data[from..from + 3 * count]
        };
        // Twice for the finer nodes, a quarter for the mean of four.
        room.clear();
        let four = row(0, 0).iter().zip(row(1, 0)).zip(row(0, 1)).zip(row(1, 1));
        room.extend(four.map(|(((a, b), c), d)| 0.5 * (a + b + c + d)));
        let nodes = room.as_chunks::<3>().0;
        let odd = (span.start + PAD) % 2;
        let [ox, oy, oz] = out;
        let mut put = |i: usize, v: [f32; 3]| {
            if i < ox.len() && i < oy.len() && i < oz.len() {
                (ox[i], oy[i], oz[i]) = (v[0], v[1], v[2]);
            }
        };
        for (c, pair) in nodes.windows(2).enumerate() {
            let (a, b) = (pair[0], pair[1]);
            let between = [0.5 * (a[0] + b[0]), 0.5 * (a[1] + b[1]), 0.5 * (a[2] + b[2])];
            if 2 * c >= odd {
                put(2 * c - odd, a);
            }
            put(2 * c + 1 - odd, between);
        }
    }
}

/// `a + t (b − a)` of each number.
#[inline(always)]
fn mix(a: [f32; 4], b: [f32; 4], t: f32) -> [f32; 4] {
    [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]), a[2] + t * (b[2] - a[2]), a[3] + t * (b[3] - a[3])]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(n: usize) -> Grid {
        Grid { size: [n, n + 1, n + 2], spacing: 2.0, origin: [0.0; 3] }
    }

    fn linear(grid: Grid) -> Field {
        let mut field = Field::zeros(grid);
        let [nx, ny, nz] = grid.size;
        for (z, y, x) in (0..nz).flat_map(|z| (0..ny).flat_map(move |y| (0..nx).map(move |x| (z, y, x)))) {
            let at = 3 * grid.at(x, y, z);
            let (x, y, z) = (x as f32, y as f32, z as f32);
            field.data[at..at + 3].copy_from_slice(&[0.01 * x + 0.3, 0.02 * y - 0.01 * z, 0.03 * x]);
        }
        field
    }

    #[test]
    fn a_linear_field_is_read_and_composed_exactly() {
        let field = linear(grid(20));
        let v = field.at([4.25, 6.5, 7.75]);
        assert!(v.iter().zip([0.3425, 0.0525, 0.1275]).all(|(a, b)| (a - b).abs() < 1e-5), "{v:?}");
        let mut step = Field::zeros(field.grid);
        step.data.as_chunks_mut::<3>().0.iter_mut().for_each(|v| *v = [1.0, -2.0, 0.5]);
        let mut out = Field::zeros(field.grid);
        field.compose(&step, 0.5, &Spans::all(&field.grid, 7), &mut out);
        let at = 3 * field.grid.at(8, 9, 10);
        let expected = [0.5 + 0.385, -1.0 + 0.16 - 0.1025, 0.25 + 0.255];
        assert!(out.data[at..at + 3].iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5));
        assert_eq!(out.data[..3], [0.0; 3], "outside the spans nothing changes");
        assert!((step.longest(&Spans::all(&field.grid, 7)) - 5.25f32.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn rows_of_the_finer_grid_are_those_of_the_refined_field() {
        let coarse = Grid::around([0; 3], [20, 22, 24], 1.0, 2.0);
        let fine = Grid::around([0; 3], [20, 22, 24], 1.0, 1.0);
        let field = linear(coarse);
        let refined = field.refined(fine);
        let mut room = Vec::new();
        for (y, z, start) in [(14, 15, 13), (15, 16, 14), (13, 12, 15)] {
            let span = Span { start, end: 31 };
            let mut rows: [Vec<f32>; 3] = std::array::from_fn(|_| vec![9.0; span.len()]);
            field.finer_row(y, z, span, &mut room, &mut rows);
            for (a, row) in rows.iter().enumerate() {
                let of_node = |i: usize| refined.data[3 * fine.at(start + i, y, z) + a];
                assert!(row.iter().enumerate().all(|(i, v)| (v - of_node(i)).abs() < 1e-5), "{y} {z} {a}");
            }
        }
    }
}
