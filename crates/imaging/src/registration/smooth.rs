//! Gaussian smoothing of what the spans cover: along x and y slice by slice, then along z.
//!
//! Values outside the spans are read but never changed. Several values may lie side by side at each node (three for a
//! field, one for an image).

use rayon::prelude::*;

use super::grid::Grid;
use super::spans::{MARGIN, Spans};

/// Half a Gaussian kernel, centre first, cut at `reach` σ; the whole kernel sums to 1.
#[derive(Clone, Debug)]
pub(super) struct Kernel(Vec<f32>);

impl Kernel {
    /// `None` for a σ so small that smoothing would change nothing, or too large for the margin of the grids.
    pub fn new(sigma: f64, reach: f64) -> Option<Self> {
        if !(0.05..).contains(&sigma) {
            return None;
        }
        let radius = ((reach * sigma).ceil() as usize).clamp(1, MARGIN);
        let weight = |i: usize| (-0.5 * (i as f64 / sigma).powi(2)).exp();
        let sum = weight(0) + 2.0 * (1..=radius).map(weight).sum::<f64>();
        Some(Self((0..=radius).map(|i| (weight(i) / sum) as f32).collect()))
    }

    fn radius(&self) -> usize {
        self.0.len() - 1
    }

    /// Writes to `out` the weighted sum of what lies around `from`, `from + 1` … in `data`, at distances of `stride`.
    #[inline(always)]
    fn blend(&self, data: &[f32], from: usize, stride: usize, out: &mut [f32]) {
        match self.0.as_slice() {
            [a, b] => blend_taps(data, from, stride, &[*a, *b], out),
            [a, b, c] => blend_taps(data, from, stride, &[*a, *b, *c], out),
            [a, b, c, d] => blend_taps(data, from, stride, &[*a, *b, *c, *d], out),
            [a, b, c, d, e] => blend_taps(data, from, stride, &[*a, *b, *c, *d, *e], out),
            [a, b, c, d, e, f] => blend_taps(data, from, stride, &[*a, *b, *c, *d, *e, *f], out),
            [a, b, c, d, e, f, g] => blend_taps(data, from, stride, &[*a, *b, *c, *d, *e, *f, *g], out),
            [a, b, c, d, e, f, g, h, ..] => blend_taps(data, from, stride, &[*a, *b, *c, *d, *e, *f, *g, *h], out),
            _ => {}
        }
    }
}

#[inline(always)]
fn blend_taps<const N: usize>(data: &[f32], from: usize, stride: usize, taps: &[f32; N], out: &mut [f32]) {
    let n = out.len();
    let line = |at: usize| &data[at..at + n];
    let centre = line(from);
    let pairs: [(&[f32], &[f32]); N] = std::array::from_fn(|d| (line(from - d * stride), line(from + d * stride)));
    for (i, out) in out.iter_mut().enumerate() {
        let mut sum = taps[0] * centre[i];
        for d in 1..N {
            sum += taps[d] * (pairs[d].0[i] + pairs[d].1[i]);
        }
        *out = sum;
    }
}

/// Smooths `data` (`side` values a node of `grid`) inside the spans, which must stay [`MARGIN`] nodes off the border;
/// `room` is room to work in, of the same length.
pub(super) fn smooth(data: &mut [f32], room: &mut [f32], side: usize, grid: &Grid, spans: &Spans, kernel: &Kernel) {
    let (slice, width) = (side * grid.slice(), side * grid.size[0]);
    let nodes = side * grid.nodes();
    let reach = kernel.radius();
    let touched = spans.slices.start.saturating_sub(reach)..spans.slices.end + reach;
    let source: &[f32] = data;
    room[..nodes].par_chunks_mut(slice).enumerate().filter(|(z, _)| touched.contains(z)).for_each_init(
        || vec![0.0; slice],
        |lines, (z, out)| {
            let from = &source[z * slice..(z + 1) * slice];
            out.copy_from_slice(from);
            let rows = spans.extent(z).rows;
            let whole = rows.start.saturating_sub(reach) * width..(rows.end + reach) * width;
            if rows.is_empty() || whole.end > slice {
                return;
            }
            {
                lines[whole.clone()].copy_from_slice(&from[whole.clone()]);
                for (y, span) in spans.rows_of(z) {
                    let row = y * width + side * span.start..y * width + side * span.end;
                    kernel.blend(from, row.start, side, &mut lines[row.clone()]);
                }
                for (y, span) in spans.rows_of(z) {
                    let row = y * width + side * span.start..y * width + side * span.end;
                    kernel.blend(lines, row.start, width, &mut out[row.clone()]);
                }
            };
        },
    );
    let source: &[f32] = room;
    data[..nodes].par_chunks_mut(slice).enumerate().for_each(|(z, out)| {
        {
            for (y, span) in spans.rows_of(z) {
                let row = y * width + side * span.start..y * width + side * span.end;
                kernel.blend(source, z * slice + row.start, slice, &mut out[row.clone()]);
            }
        };
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_becomes_a_gaussian_and_what_is_outside_stays() {
        let grid = Grid { size: [23, 24, 25], spacing: 1.0, origin: [0.0; 3] };
        let spans = Spans::all(&grid, MARGIN);
        for side in [1, 3] {
            let mut data = vec![0.0f32; side * grid.nodes()];
            let centre = side * grid.at(11, 12, 12);
            data[centre] = 1.0;
            data[side * grid.at(0, 0, 0)] = 5.0;
            let mut room = data.clone();
            let kernel = Kernel::new(1.0, 2.5).unwrap();
            smooth(&mut data, &mut room, side, &grid, &spans, &kernel);
            let value = |dx: isize, dy: isize, dz: isize| {
                let at = |c: usize, d: isize| c.checked_add_signed(d).unwrap();
                data[side * grid.at(at(11, dx), at(12, dy), at(12, dz))]
            };
            let ratio = |v: f32| f64::from(v / value(0, 0, 0)).ln();
            assert!((ratio(value(1, 0, 0)) + 0.5).abs() < 1e-4 && (ratio(value(0, -2, 0)) + 2.0).abs() < 1e-4);
            assert!((ratio(value(1, 1, -1)) + 1.5).abs() < 1e-4);
            assert!((data.iter().sum::<f32>() - 6.0).abs() < 1e-4);
            assert_eq!(data[side * grid.at(0, 0, 0)], 5.0);
        }
        assert!(Kernel::new(0.01, 2.5).is_none() && Kernel::new(f64::NAN, 2.5).is_none());
    }

    #[test]
    fn a_constant_stays_constant_at_any_thread_count() {
        let grid = Grid { size: [30, 31, 32], spacing: 1.0, origin: [0.0; 3] };
        let spans = Spans::all(&grid, MARGIN);
        let kernel = Kernel::new(1.7, 2.5).unwrap();
        let run = |threads: usize| {
            let mut data: Vec<f32> = (0..3 * grid.nodes()).map(|i| 4.0 + (i % 7) as f32).collect();
            let mut room = data.clone();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| smooth(&mut data, &mut room, 3, &grid, &spans, &kernel));
            data
        };
        let one = run(1);
        assert!(run(2) == one && run(4) == one);
        let mut flat = vec![4.0f32; grid.nodes()];
        let mut room = flat.clone();
        smooth(&mut flat, &mut room, 1, &grid, &spans, &kernel);
        assert!(flat.iter().all(|v| (v - 4.0).abs() < 1e-5));
    }
}
