//! The inverse of a displacement field: Newton's method at every node, then a correction where the brain is.

use rayon::prelude::*;

use super::field::{Field, SPARE};
use super::grid::Grid;
use super::spans::Spans;

/// A node is found when its way forward ends this near to it, in mm.
const FOUND_MM: f32 = 1e-4;
/// A node whose way forward ends further away than this failed.
const FAILED_MM: f32 = 1e-2;
/// Newton steps from one start.
const STEPS: usize = 30;
/// Longest step, in nodes.
const LONGEST: f32 = 2.0;
/// How often a step that makes it worse is halved.
const HALVINGS: usize = 4;
/// Fixed-point steps of the last start, and how far each goes.
const RELAXED: (usize, f32) = (100, 0.3);
/// Pieces of the inverse that are corrected side by side.
const SLABS: usize = 8;
/// Nodes on which less than this falls are not corrected.
const LEAST_WEIGHT: f32 = 1e-3;

/// An inverse and how well it was found.
pub(super) struct Inverted {
    pub field: Field,
    /// Nodes that are further than 0.01 mm off.
    pub failed: usize,
}

/// Where a place goes, and how that changes with the place: everything in nodes of the field.
struct Local {
    moved: [f32; 3],
    /// Column by column: what one node along x, y, z changes.
    slope: [[f32; 3]; 3],
}

/// The field that undoes `field`, at the nodes of `grid`, in its nodes.
pub(super) fn invert(field: &Field, grid: Grid) -> Inverted {
    let mut out = Field::zeros(grid);
    let [nx, _, _] = grid.size;
    let scale = grid.spacing / field.grid.spacing;
    let offset: [f64; 3] = std::array::from_fn(|a| (grid.origin[a] - field.grid.origin[a]) / field.grid.spacing);
    let [found, failure] = [FOUND_MM, FAILED_MM].map(|mm| mm / field.grid.spacing as f32);
    let of_slice = |(z, slice): (usize, &mut [f32])| {
        let mut failed = 0usize;
        for (y, row) in slice.chunks_exact_mut(3 * nx).enumerate() {
            {
                let mut back = [0f32; 3];
                for (x, v) in row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                    let node = [x, y, z];
                    let target: [f32; 3] = std::array::from_fn(|a| (offset[a] + scale * node[a] as f64) as f32);
                    let (place, error) = field.came_from(target, back, found);
                    back = [place[0] - target[0], place[1] - target[1], place[2] - target[2]];
                    failed += usize::from(error > failure);
                    *v = back.map(|b| b / scale as f32);
                }
            };
        }
        failed
    };
    let slices: Vec<_> = out.par_slices().enumerate().map(of_slice).collect();
    Inverted { field: out, failed: slices.into_iter().sum() }
}

impl Field {
    /// The place that goes to `target`, and how far from it its way ends: from the place's displacement of a neighbour, if
    /// need be from the field's own at the target, then after relaxed fixed-point steps.
    #[inline(always)]
    fn came_from(&self, target: [f32; 3], back: [f32; 3], found: f32) -> ([f32; 3], f32) {
        let start = std::array::from_fn(|a| target[a] + back[a]);
        let mut best = self.newton(target, start, found);
        if best.1 > 10.0 * found {
            best = self.harder(target, best, found);
        }
        best
    }

    #[cold]
    #[inline(never)]
    fn harder(&self, target: [f32; 3], mut best: ([f32; 3], f32), found: f32) -> ([f32; 3], f32) {
        let step = |place: [f32; 3], part: f32| -> [f32; 3] {
            let v = self.at(place);
            std::array::from_fn(|a| place[a] + part * (target[a] - v[a] - place[a]))
        };
        let relaxed = (0..RELAXED.0).fold(target, |place, _| step(place, RELAXED.1));
        for start in [step(target, 1.0), relaxed] {
            let next = self.newton(target, start, found);
            if next.1 < best.1 {
                best = next;
            }
            if best.1 <= 10.0 * found {
                break;
            }
        }
        best
    }

    #[inline(always)]
    fn newton(&self, target: [f32; 3], start: [f32; 3], found: f32) -> ([f32; 3], f32) {
        let error_at = |place: &[f32; 3], local: &Local| -> ([f32; 3], f32) {
            let e: [f32; 3] = std::array::from_fn(|a| target[a] - place[a] - local.moved[a]);
            (e, (e[0] * e[0] + e[1] * e[1] + e[2] * e[2]).sqrt())
        };
        let mut place = start;
        let mut local = self.local(place);
        let (mut error, mut off) = error_at(&place, &local);
        let mut best = (place, off);
        for _ in 0..STEPS {
            if off < found {
                break;
            }
            let mut step = newton_step(&local.slope, error);
            let length = (step[0] * step[0] + step[1] * step[1] + step[2] * step[2]).sqrt();
            if length > LONGEST {
                step = step.map(|s| s * (LONGEST / length));
            }
            for halving in 0..=HALVINGS {
                let next = std::array::from_fn(|a| place[a] + step[a]);
                let next_local = self.local(next);
                let (next_error, next_off) = error_at(&next, &next_local);
                if next_off < off || halving == HALVINGS {
                    (place, local, error, off) = (next, next_local, next_error, next_off);
                    break;
                }
                step = step.map(|s| 0.5 * s);
            }
            if off < best.1 {
                best = (place, off);
            }
        }
        best
    }

    /// The trilinear value at a place and its derivative inside the cell.
    #[inline(always)]
    fn local(&self, place: [f32; 3]) -> Local {
        let ([low, high], [x, y, z]) = self.corners(place);
        let mix = |a: [f32; 4], b: [f32; 4], t: f32| -> [f32; 4] {
            [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]), a[2] + t * (b[2] - a[2]), a[3] + t * (b[3] - a[3])]
        };
        let minus = |a: [f32; 4], b: [f32; 4]| [a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3]];
        let along = |pair: &[[f32; 4]; 2]| mix(pair[0], pair[1], x);
        let [a, b] = low.each_ref().map(along);
        let [c, d] = high.each_ref().map(along);
        let (near, far) = (mix(a, b, y), mix(c, d, y));
        let slope_x = |side: &[[[f32; 4]; 2]; 2]| mix(minus(side[0][1], side[0][0]), minus(side[1][1], side[1][0]), y);
        let first = |v: [f32; 4]| [v[0], v[1], v[2]];
        Local {
            moved: first(mix(near, far, z)),
            slope: [
                first(mix(slope_x(&low), slope_x(&high), z)),
                first(mix(minus(b, a), minus(d, c), z)),
                first(minus(far, near)),
            ],
        }
    }
}

/// The step that Newton's method makes for an `error`; a short one along it where the map is all but flat.
#[inline(always)]
fn newton_step(slope: &[[f32; 3]; 3], error: [f32; 3]) -> [f32; 3] {
    let mut columns = *slope;
    (0..3).for_each(|a| columns[a][a] += 1.0);
    let [a, b, c] = columns;
    let cross =
        |a: [f32; 3], b: [f32; 3]| [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    let dot = |a: [f32; 3], b: [f32; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let (bc, ca, ab) = (cross(b, c), cross(c, a), cross(a, b));
    let determinant = dot(a, bc);
    if determinant.abs() < 1e-3 {
        return error.map(|e| 0.3 * e);
    }
    [dot(bc, error), dot(ca, error), dot(ab, error)].map(|v| v / determinant)
}

/// What a point of the brain misses on its way forward and back.
struct Miss {
    /// Slice of the inverse of the cell that it came through, and the cell's first node in that slice.
    slice: u32,
    cell: u32,
    part: [f32; 3],
    error: [f32; 3],
}

/// Sends each node of `brain` (spans of `nodes`) forward and back, and spreads what is missing over the eight nodes of the
/// inverse that were used, `rounds` times.
pub(super) fn correct(forward: &Field, inverse: &mut Field, nodes: &Grid, brain: &Spans, rounds: usize) {
    let slices = brain.slices;
    let plane = inverse.grid.slice();
    let deep = inverse.grid.size[2].div_ceil(SLABS);
    for _ in 0..rounds {
        let old: &Field = inverse;
        let found = (slices.start..slices.end).into_par_iter().map(|z| missed(forward, old, nodes, brain, z));
        let found: Vec<Vec<Miss>> = found.collect();
        let row = old.grid.size[0];
        let end = 3 * old.grid.nodes();
        inverse.data[..end].par_chunks_mut(3 * plane * deep).enumerate().for_each(|(slab, out)| {
            let first = slab * deep;
            let reached = first..first + out.len() / (3 * plane);
            let mut sums = vec![[0f32; 4]; out.len() / 3];
            for miss in found.iter().flatten() {
                for (side, slice) in (miss.slice as usize..miss.slice as usize + 2)
                    .enumerate()
                    .filter(|(_, slice)| reached.contains(slice))
                {
                    let share = if side == 1 { miss.part[2] } else { 1.0 - miss.part[2] };
                    miss.spread(share, row, &mut sums[(slice - first) * plane..(slice - first + 1) * plane]);
                }
            }
            for (v, [x, y, z, weight]) in out.as_chunks_mut::<3>().0.iter_mut().zip(&sums) {
                if *weight > LEAST_WEIGHT {
                    *v = [v[0] + x / weight, v[1] + y / weight, v[2] + z / weight];
                }
            }
        });
    }
}

impl Miss {
    /// Adds the error and its weight to the four nodes of one slice.
    fn spread(&self, share: f32, row: usize, sums: &mut [[f32; 4]]) {
        let [x, y, _] = self.part;
        let corners = [(0, (1.0 - x) * (1.0 - y)), (1, x * (1.0 - y)), (row, (1.0 - x) * y), (row + 1, x * y)];
        for (at, part) in corners {
            if let Some(sum) = sums.get_mut(self.cell as usize + at) {
                let weight = share * part;
                for (sum, error) in sum.iter_mut().zip(self.error) {
                    *sum += weight * error;
                }
                sum[3] += weight;
            }
        }
    }
}

/// What the points of one slice of the brain miss.
fn missed(forward: &Field, inverse: &Field, nodes: &Grid, brain: &Spans, z: usize) -> Vec<Miss> {
    let place_in = |grid: &Grid, mm: [f32; 3]| -> [f32; 3] {
        std::array::from_fn(|a| (mm[a] - grid.origin[a] as f32) / grid.spacing as f32)
    };
    let (ahead, behind) = (forward.grid.spacing as f32, inverse.grid.spacing as f32);
    let mut found = Vec::new();
    for (y, span) in brain.rows_of(z) {
        for x in span.start..span.end {
            let node = [x, y, z];
            let p: [f32; 3] = std::array::from_fn(|a| (nodes.origin[a] + nodes.spacing * node[a] as f64) as f32);
            let v = forward.at(place_in(&forward.grid, p));
            let q = std::array::from_fn(|a| p[a] + ahead * v[a]);
            let place = place_in(&inverse.grid, q);
            let back = inverse.at(place);
            let error: [f32; 3] = std::array::from_fn(|a| (p[a] - q[a]) / behind - back[a]);
            let (first, part) = inverse.cell(place);
            let plane = inverse.grid.slice();
            found.push(Miss { slice: (first / plane) as u32, cell: (first % plane) as u32, part, error });
        }
    }
    found
}

/// A copy of a field that ends where its grid ends, as others expect it.
pub(super) fn trimmed(mut field: Field) -> Vec<f32> {
    field.data.truncate(field.data.len() - SPARE);
    field.data
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(grid: Grid, size: f32) -> Field {
        let mut field = Field::zeros(grid);
        let [nx, ny, _] = grid.size;
        for at in 0..grid.nodes() {
            let p = [at % nx, at / nx % ny, at / nx / ny].map(|v| v as f32 * grid.spacing as f32 * 0.15);
            let v = [(p[1] + p[2]).sin(), (p[0] * 0.8).cos(), (p[0] + p[1]).sin()];
            field.data[3 * at..3 * at + 3].copy_from_slice(&v.map(|v| size * v / grid.spacing as f32));
        }
        field
    }

    fn grids() -> [Grid; 2] {
        [2.0, 1.0].map(|spacing| Grid::around([0; 3], [30, 32, 34], 1.0, spacing))
    }

    #[test]
    fn forward_and_back_is_nowhere_and_the_correction_makes_it_better() {
        let [coarse, fine] = grids();
        let forward = wave(coarse, 2.0);
        let inverted = invert(&forward, fine);
        assert_eq!(inverted.failed, 0);
        let brain = Spans::all(&fine, 14);
        let mean = |inverse: &Field| {
            let (mut sum, mut n) = (0.0, 0);
            for z in brain.slices.start..brain.slices.end {
                for (y, span) in brain.rows_of(z) {
                    for x in span.start..span.end {
                        let p = [x, y, z].map(|v| v as f32 - 12.0);
                        let q = forward.at(p.map(|v| (v + 24.0) / 2.0)).map(|v| 2.0 * v);
                        let q: [f32; 3] = std::array::from_fn(|a| p[a] + q[a]);
                        let back = inverse.at(q.map(|v| v + 12.0));
                        sum += (0..3).map(|a| (q[a] + back[a] - p[a]).powi(2)).sum::<f32>().sqrt();
                        n += 1;
                    }
                }
            }
            sum / n as f32
        };
        let mut better = inverted.field.clone();
        correct(&forward, &mut better, &fine, &brain, 1);
        let (before, after) = (mean(&inverted.field), mean(&better));
        assert!(before < 0.03 && after < 0.7 * before, "{before} {after}");
    }

    #[test]
    fn threads_change_nothing() {
        let [coarse, fine] = grids();
        let forward = wave(coarse, 1.5);
        let brain = Spans::all(&fine, 13);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut inverse = invert(&forward, fine).field;
                correct(&forward, &mut inverse, &fine, &brain, 1);
                inverse.data
            })
        };
        let one = run(1);
        assert!(run(2) == one && run(4) == one);
    }
}
