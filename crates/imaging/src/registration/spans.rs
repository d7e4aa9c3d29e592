//! Which part of each row of a grid is worked on: the brain and a margin.
//!
//! A box around a brain is mostly not brain. One interval per row keeps loops straight and leaves two thirds out.

use super::grid::{Grid, PAD};

/// Nodes at the border of a grid that no span reaches, so that filters of this radius stay inside.
pub(super) const MARGIN: usize = 7;

/// Half-open interval of x; empty where `start >= end`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// The smallest interval over both.
    fn hull(self, other: Self) -> Self {
        match (self.is_empty(), other.is_empty()) {
            (_, true) => self,
            (true, _) => other,
            _ => Self { start: self.start.min(other.start), end: self.end.max(other.end) },
        }
    }
}

/// What of a z slice the spans touch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Extent {
    /// Rows with a span.
    pub rows: Span,
    /// Hull of their spans.
    pub columns: Span,
}

/// One interval for each row of a grid.
#[derive(Clone, Debug)]
pub(super) struct Spans {
    rows: Vec<Span>,
    ny: usize,
    extents: Vec<Extent>,
    /// Slices with a span.
    pub slices: Span,
}

impl Spans {
    /// From the interval of every row, slice by slice.
    fn new(rows: Vec<Span>, ny: usize) -> Self {
        let mut slices = Span::default();
        let extents = rows.chunks(ny).enumerate().map(|(z, rows)| {
            let mut extent = Extent::default();
            for (y, &span) in rows.iter().enumerate().filter(|(_, span)| !span.is_empty()) {
                extent.rows = extent.rows.hull(Span { start: y, end: y + 1 });
                extent.columns = extent.columns.hull(span);
                slices = slices.hull(Span { start: z, end: z + 1 });
            }
            extent
        });
        let extents = extents.collect();
        Self { rows, ny, extents, slices }
    }

    /// The hull of what is `inside` in each row of `grid`.
    pub fn of(grid: &Grid, inside: impl Fn(usize, usize, usize) -> bool) -> Self {
        let [nx, ny, nz] = grid.size;
        let row = |z: usize, y: usize| {
            let start = (0..nx).find(|&x| inside(x, y, z)).unwrap_or(nx);
            let end = (start..nx).rev().find(|&x| inside(x, y, z)).map_or(start, |x| x + 1);
            Span { start, end }
        };
        Self::new((0..nz * ny).map(|r| row(r / ny, r % ny)).collect(), ny)
    }

    /// Every node of `grid` but those nearer than `margin` to its border.
    pub fn all(grid: &Grid, margin: usize) -> Self {
        let [nx, ny, nz] = grid.size;
        let within = |i: usize, n: usize| i >= margin && i + margin < n;
        let span = Span { start: margin, end: nx - margin };
        let row = |r: usize| if within(r / ny, nz) && within(r % ny, ny) { span } else { Span::default() };
        Self::new((0..nz * ny).map(row).collect(), ny)
    }

    /// On the grid of twice the spacing: nodes that have a node of these spans within one fine node of them.
    pub fn halved(&self, coarse: &Grid) -> Self {
        let [_, ny, nz] = coarse.size;
        let near = |i: usize, n: usize| (2 * i).saturating_sub(PAD + 1)..(2 * i + 2).saturating_sub(PAD).min(n);
        let row = |z: usize, y: usize| {
            let fine = near(z, self.extents.len()).flat_map(|z| near(y, self.ny).map(move |y| (y, z)));
            let hull = fine.fold(Span::default(), |hull, (y, z)| hull.hull(self.at(y, z)));
            if hull.is_empty() { hull } else { Span { start: (hull.start + PAD) / 2, end: (hull.end + PAD) / 2 + 1 } }
        };
        Self::new((0..nz * ny).map(|r| row(r / ny, r % ny)).collect(), ny)
    }

    /// On the grid of blocks of `block` nodes: blocks that have a node of these spans.
    pub fn in_blocks(&self, blocks: &Grid, block: usize) -> Self {
        let [_, ny, nz] = blocks.size;
        let row = |z: usize, y: usize| {
            let nodes = (0..block * block).map(|n| self.at(y * block + n % block, z * block + n / block));
            let hull = nodes.fold(Span::default(), Span::hull);
            if hull.is_empty() { hull } else { Span { start: hull.start / block, end: hull.end.div_ceil(block) } }
        };
        Self::new((0..nz * ny).map(|r| row(r / ny, r % ny)).collect(), ny)
    }

    /// Grown by a ball of `radius` nodes, but not into [`MARGIN`].
    pub fn dilated(&self, grid: &Grid, radius: f64) -> Self {
        let [nx, ny, nz] = grid.size;
        let reach = radius as isize;
        let off_border = |i: usize, n: usize| i >= MARGIN && i + MARGIN < n;
        let row = |z: usize, y: usize| {
            let mut grown = Span::default();
            if !off_border(z, nz) || !off_border(y, ny) {
                return grown;
            }
            for (dz, dy) in (-reach..=reach).flat_map(|dz| (-reach..=reach).map(move |dy| (dz, dy))) {
                let left = radius * radius - (dz * dz + dy * dy) as f64;
                let (Some(y), Some(z)) = (y.checked_add_signed(dy), z.checked_add_signed(dz)) else { continue };
                if left < 0.0 || y >= ny || z >= nz {
                    continue;
                }
                let (from, wide) = (self.at(y, z), left.sqrt() as usize);
                if !from.is_empty() {
                    grown = grown.hull(Span { start: from.start.saturating_sub(wide), end: from.end + wide });
                }
            }
            Span { start: grown.start.max(MARGIN), end: grown.end.min(nx - MARGIN) }
        };
        Self::new((0..nz * ny).map(|r| row(r / ny, r % ny)).collect(), ny)
    }

    /// The interval of row `y` of slice `z`.
    #[inline]
    pub fn at(&self, y: usize, z: usize) -> Span {
        self.rows.get(z * self.ny + y).copied().unwrap_or_default()
    }

    /// The rows and columns that slice `z` uses.
    #[inline]
    pub fn extent(&self, z: usize) -> Extent {
        self.extents.get(z).copied().unwrap_or_default()
    }

    /// The rows of slice `z` that have a span, with it.
    pub fn rows_of(&self, z: usize) -> impl Iterator<Item = (usize, Span)> + '_ {
        let rows = self.extent(z).rows;
        (rows.start..rows.end).map(move |y| (y, self.at(y, z))).filter(|(_, span)| !span.is_empty())
    }

    /// Number of nodes.
    pub fn count(&self) -> usize {
        self.rows.iter().map(|span| span.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ball(grid: &Grid, radius: f64) -> Spans {
        let centre = grid.size.map(|n| (n / 2) as f64);
        Spans::of(grid, |x, y, z| {
            let d = [x, y, z].iter().zip(centre).map(|(&v, c)| (v as f64 - c).powi(2)).sum::<f64>();
            d <= radius * radius
        })
    }

    #[test]
    fn a_ball_grows_into_a_larger_ball_and_stays_off_the_border() {
        let grid = Grid { size: [41, 43, 45], spacing: 1.0, origin: [0.0; 3] };
        let grown = ball(&grid, 6.0).dilated(&grid, 4.0);
        let expected = ball(&grid, 10.0);
        assert!(grown.count() <= expected.count() && grown.count() * 100 > expected.count() * 88);
        let [x, y, z] = grid.size.map(|n| n / 2);
        assert_eq!(grown.at(y, z), Span { start: x - 10, end: x + 11 });
        assert_eq!(grown.slices, Span { start: z - 10, end: z + 11 });
        let all = ball(&grid, 6.0).dilated(&grid, 40.0);
        assert_eq!(all.slices, Span { start: MARGIN, end: 45 - MARGIN });
        assert_eq!(Spans::all(&grid, 2).count(), 37 * 39 * 41);
    }

    #[test]
    fn halving_keeps_what_it_covers() {
        let (first, end) = ([0; 3], [30, 31, 32]);
        let fine = Grid::around(first, end, 1.0, 1.0);
        let coarse = Grid::around(first, end, 1.0, 2.0);
        let spans = ball(&fine, 9.0);
        let half = spans.halved(&coarse);
        for (z, y) in (0..fine.size[2]).flat_map(|z| (0..fine.size[1]).map(move |y| (z, y))) {
            let span = spans.at(y, z);
            let over = half.at((y + PAD) / 2, (z + PAD) / 2);
            assert!(span.is_empty() || (over.start <= (span.start + PAD) / 2 && over.end >= (span.end + PAD) / 2));
        }
    }
}
