//! Mending a field where it squeezes the grid too much, so that it never folds.
//!
//! A node's smallest Jacobian is that of the eight cells' corners that meet there, by one-sided differences. Where it is too
//! small, the node and its 26 neighbours move towards the mean of their neighbours, until no node is left.

use rayon::prelude::*;

use super::field::Field;
use super::spans::Spans;

/// How much of a mended node stays its own; the rest is shared by its six neighbours.
const OWN: f32 = 0.4;

/// Mends `field` inside the spans for at most so many rounds; how many nodes are still below `least`.
pub(super) fn repair(field: &mut Field, spans: &Spans, least: f32, rounds: usize) -> usize {
    let [nx, ny, _] = field.grid.size;
    let (row, slice) = (nx, field.grid.slice());
    let low_of_slice = |field: &Field, z: usize| {
        let mut low = Vec::new();
        for (y, span) in spans.rows_of(z) {
            let from = field.grid.at(0, y, z);
            low.extend((from + span.start..from + span.end).filter(|&at| smallest_jacobian(field, at) < least));
        }
        low
    };
    let all = (spans.slices.start..spans.slices.end).into_par_iter();
    let mut low: Vec<usize> = all.map(|z| low_of_slice(field, z)).collect::<Vec<_>>().concat();
    let mut marked = vec![false; field.grid.nodes()];
    for _ in 0..rounds {
        if low.is_empty() {
            break;
        }
        let around = low
            .iter()
            .flat_map(|&at| (0..27).map(move |n| at - slice - row - 1 + n / 9 * slice + n / 3 % 3 * row + n % 3));
        let mend = unique(around, &mut marked);
        let new: Vec<[f32; 3]> = mend.par_iter().map(|&at| towards_neighbours(field, at)).collect();
        for (&at, new) in mend.iter().zip(&new) {
            field.data[3 * at..3 * at + 3].copy_from_slice(new);
        }
        // Only these nodes' Jacobians can have changed.
        let near = mend.iter().flat_map(|&at| [at, at - 1, at + 1, at - row, at + row, at - slice, at + slice]);
        let near = unique(near, &mut marked);
        let inside = |at: usize| {
            let span = spans.at(at / nx % ny, at / slice);
            (span.start..span.end).contains(&(at % nx))
        };
        let field = &*field;
        low = near.into_par_iter().filter(|&at| inside(at) && smallest_jacobian(field, at) < least).collect();
    }
    low.len()
}

/// The smallest and the largest one-sided Jacobian at the nodes of the spans, and at how many nodes it is not positive.
pub(super) fn jacobian_range(field: &Field, spans: &Spans) -> ([f64; 2], usize) {
    let of_slice = |z: usize| {
        let (mut low, mut high, mut folds) = (f32::INFINITY, 0f32, 0usize);
        for (y, span) in spans.rows_of(z) {
            let from = field.grid.at(0, y, z);
            for at in from + span.start..from + span.end {
                let [least, most] = extreme_jacobians(field, at);
                (low, high) = (low.min(least), high.max(most));
                folds += usize::from(least <= 0.0);
            }
        }
        (low, high, folds)
    };
    let slices: Vec<_> = (spans.slices.start..spans.slices.end).into_par_iter().map(of_slice).collect();
    let (low, high, folds) = slices
        .into_iter()
        .fold((f32::INFINITY, 0f32, 0), |(a, b, c), (low, high, folds)| (a.min(low), b.max(high), c + folds));
    ([f64::from(low), f64::from(high)], folds)
}

/// Each index once, in the order in which it first comes; `marked` is all false before and after.
fn unique(indices: impl Iterator<Item = usize>, marked: &mut [bool]) -> Vec<usize> {
    let mut out = Vec::new();
    for at in indices {
        if let Some(seen @ false) = marked.get_mut(at) {
            *seen = true;
            out.push(at);
        }
    }
    out.iter().for_each(|&at| marked[at] = false);
    out
}

fn towards_neighbours(field: &Field, at: usize) -> [f32; 3] {
    let (row, slice) = (field.grid.size[0], field.grid.slice());
    let vector = |at: usize| &field.data[3 * at..3 * at + 3];
    let around = [at - 1, at + 1, at - row, at + row, at - slice, at + slice].map(vector);
    let own = vector(at);
    std::array::from_fn(|a| OWN * own[a] + (1.0 - OWN) / 6.0 * around.iter().map(|v| v[a]).sum::<f32>())
}

/// The smallest of the eight one-sided Jacobians at a node, which must not lie at the border.
fn smallest_jacobian(field: &Field, at: usize) -> f32 {
    extreme_jacobians(field, at)[0]
}

/// The smallest and the largest of the eight one-sided Jacobians at a node, which must not lie at the border.
#[inline(always)]
fn extreme_jacobians(field: &Field, at: usize) -> [f32; 2] {
    let strides = [1, field.grid.size[0], field.grid.slice()];
    let vector = |at: usize| [field.data[3 * at], field.data[3 * at + 1], field.data[3 * at + 2]];
    let own = vector(at);
    // Columns of the Jacobian matrix: backward and forward differences along each axis.
    let columns: [[[f32; 3]; 2]; 3] = std::array::from_fn(|axis| {
        let (before, after) = (vector(at - strides[axis]), vector(at + strides[axis]));
        let identity = |c: usize| if c == axis { 1.0 } else { 0.0 };
        let backward = std::array::from_fn(|c| identity(c) + own[c] - before[c]);
        let forward = std::array::from_fn(|c| identity(c) + after[c] - own[c]);
        [backward, forward]
    });
    let (mut least, mut most) = (f32::INFINITY, f32::NEG_INFINITY);
    for (y, z) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let (b, c) = (columns[1][y], columns[2][z]);
        let cross = [b[1] * c[2] - b[2] * c[1], b[2] * c[0] - b[0] * c[2], b[0] * c[1] - b[1] * c[0]];
        for a in columns[0] {
            let jacobian = a[0] * cross[0] + a[1] * cross[1] + a[2] * cross[2];
            (least, most) = (least.min(jacobian), most.max(jacobian));
        }
    }
    [least, most]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registration::grid::Grid;

    #[test]
    fn a_stretch_has_its_jacobian_and_a_fold_is_mended() {
        let grid = Grid { size: [30, 31, 32], spacing: 1.0, origin: [0.0; 3] };
        let mut field = Field::zeros(grid);
        for at in 0..grid.nodes() {
            let (x, y) = ((at % 30) as f32, (at / 30 % 31) as f32);
            field.data[3 * at..3 * at + 3].copy_from_slice(&[0.1 * x + 0.2 * y, -0.2 * y, 0.0]);
        }
        let centre = grid.at(15, 15, 15);
        assert!((smallest_jacobian(&field, centre) - 1.1 * 0.8).abs() < 1e-4);
        let spans = Spans::all(&grid, 7);
        assert_eq!(repair(&mut field.clone(), &spans, 0.3, 10), 0);
        field.data[3 * centre] += 2.5;
        field.data[3 * centre + 1] -= 1.5;
        assert!(repair(&mut field.clone(), &spans, 0.3, 0) > 0);
        assert_eq!(repair(&mut field, &spans, 0.3, 200), 0);
        let worst = (0..grid.nodes()).filter(|at| {
            let (x, y, z) = (at % 30, at / 30 % 31, at / 930);
            (8..22).contains(&x) && (8..23).contains(&y) && (8..24).contains(&z)
        });
        assert!(worst.map(|at| smallest_jacobian(&field, at)).fold(9.0, f32::min) >= 0.3);
    }
}
