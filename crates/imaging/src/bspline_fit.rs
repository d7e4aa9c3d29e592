//! The smooth spline through weighted samples, by least squares.
//!
//! Where samples are dense the spline follows them, where there are none it goes on with as little bending as it can. A few hundred control points are few enough to
//! solve for directly, which takes one step where an averaging fit (Lee, Wolberg and Shin 1997) takes dozens.

use ndarray::Array3;
use rayon::prelude::*;

use crate::bspline::{AxisBasis, GridBasis, TAPS};

/// Products of two weights of one sample: all pairs of its control points, 4 distances for each of 4 points.
const PAIRS: usize = TAPS * TAPS;

/// Orders of the differences along z, y, x whose squares make up the bending, and how often each counts.
const BENDING: [([usize; 3], f64); 6] =
    [([2, 0, 0], 1.0), ([0, 2, 0], 1.0), ([0, 0, 2], 1.0), ([1, 1, 0], 2.0), ([1, 0, 1], 2.0), ([0, 1, 1], 2.0)];
/// Those that make up the slope.
const SLOPE: [[usize; 3]; 3] = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
/// What slope costs beside bending: next to nothing, so that it is level where samples in one plane say nothing of it.
const LEVELLING: f64 = 1e-3;

/// Where the samples of one axis are added up: `K` neighbouring slots with a weight for each.
struct Stencil<const K: usize> {
    start: Vec<usize>,
    weights: Vec<[f32; K]>,
    slots: usize,
}

impl Stencil<TAPS> {
    /// The control points themselves.
    fn points(axis: &AxisBasis) -> Self {
        Self { start: axis.first.clone(), weights: axis.taps.clone(), slots: axis.controls }
    }
}

impl Stencil<PAIRS> {
    /// Pairs of control points: slot `4 c + d` is for the points `c` and `c + d`.
    fn pairs(axis: &AxisBasis) -> Self {
        let products = |taps: &[f32; TAPS]| {
            let mut out = [0f32; PAIRS];
            for a in 0..TAPS {
                for d in 0..TAPS - a {
                    out[a * TAPS + d] = taps[a] * taps[a + d];
                }
            }
            out
        };
        Self {
            start: axis.first.iter().map(|f| f * TAPS).collect(),
            weights: axis.taps.iter().map(products).collect(),
            slots: axis.controls * TAPS,
        }
    }
}

impl<const K: usize> Stencil<K> {
    /// Adds one contiguous line of samples to the slots of its row. The samples of one element share their slots, which stay
    /// in registers until the next element.
    fn gather_row(&self, line: &[f32], row: &mut [f32]) {
        let mut at = 0;
        for run in self.start.chunk_by(|a, b| a == b) {
            let mut sums = [0f32; K];
            for (v, w) in line[at..at + run.len()].iter().zip(&self.weights[at..]) {
                sums.iter_mut().zip(w).for_each(|(s, w)| *s += w * v);
            }
            row[run[0]..run[0] + K].iter_mut().zip(sums).for_each(|(r, s)| *r += s);
            at += run.len();
        }
    }
}

/// The sums over one slab (ny × nx samples) at the slots of y and x.
fn gather_slab<const K: usize>([_, sy, sx]: &[Stencil<K>; 3], slab: &[f32]) -> Vec<f64> {
    let mut plane = vec![0f64; sy.slots * sx.slots];
    let mut row = vec![0f32; sx.slots];
    for ((line, w), start) in slab.chunks_exact(sx.start.len()).zip(&sy.weights).zip(&sy.start) {
        if line.iter().all(|v| *v == 0.0) {
            continue;
        }
        row.fill(0.0);
        sx.gather_row(line, &mut row);
        for (to, w) in plane[start * sx.slots..].chunks_exact_mut(sx.slots).zip(w).filter(|(_, w)| **w > 0.0) {
            to.iter_mut().zip(&row).for_each(|(p, r)| *p += f64::from(w * r));
        }
    }
    plane
}

/// The sums over all slabs, added in the order of z whatever thread made them.
fn stack<'a, const K: usize>([sz, sy, sx]: &[Stencil<K>; 3], planes: impl Iterator<Item = &'a Vec<f64>>) -> Vec<f64> {
    let area = sy.slots * sx.slots;
    let mut volume = vec![0f64; sz.slots * area];
    for ((plane, w), start) in planes.zip(&sz.weights).zip(&sz.start) {
        for (to, w) in volume[start * area..].chunks_exact_mut(area).zip(w).filter(|(_, w)| **w > 0.0) {
            to.iter_mut().zip(plane).for_each(|(t, p)| *t += f64::from(*w) * p);
        }
    }
    volume
}

/// The control points of the spline on `basis` with the least sum of weight × (spline − value)² plus bending.
///
/// `fill(z, weights, products)` gives slab `z` (ny × nx): the weights, and weight × value; both come zeroed. Bending is the
/// sum of the squared second differences of the control points (Eilers and Marx 1996, doi:10.1214/ss/1038425655; in three
/// dimensions the thin-plate energy), times `stiffness`, times the mean weight that falls to a control point. `None` when no
/// sample has weight.
pub fn fit<F>(basis: &GridBasis, stiffness: f64, fill: F) -> Option<Array3<f32>>
where
    F: Fn(usize, &mut [f32], &mut [f32]) + Sync,
{
    let pairs = basis.axes.each_ref().map(Stencil::pairs);
    let points = basis.axes.each_ref().map(Stencil::points);
    let (nz, ny, nx) = basis.samples();
    let planes: Vec<(Vec<f64>, Vec<f64>, f64)> = (0..nz)
        .into_par_iter()
        .map(|z| {
            let (mut weights, mut products) = (vec![0f32; ny * nx], vec![0f32; ny * nx]);
            fill(z, &mut weights, &mut products);
            let total = weights.iter().map(|w| f64::from(*w)).sum();
            (gather_slab(&pairs, &weights), gather_slab(&points, &products), total)
        })
        .collect();
    let total: f64 = planes.iter().map(|p| p.2).sum();
    if total <= 0.0 {
        return None;
    }
    let mut matrix = stack(&pairs, planes.iter().map(|p| &p.0));
    let shape = basis.axes.each_ref().map(|a| a.controls);
    let count = shape.iter().product::<usize>() as f64;
    add_bending(&mut matrix, shape, stiffness * total / count);
    let solution = solve(&matrix, shape, stack(&points, planes.iter().map(|p| &p.1)))?;
    Array3::from_shape_vec(basis.controls(), solution.into_iter().map(|v| v as f32).collect()).ok()
}

/// Adds `stiffness` times the squared second differences of the control points, along and across the axes.
fn add_bending(matrix: &mut [f64], shape: [usize; 3], stiffness: f64) {
    let bands = shape.map(|n| [0, 1, 2].map(|order| differences(n, order)));
    for (axes, weight) in BENDING.into_iter().chain(SLOPE.map(|axes| (axes, LEVELLING))) {
        let [z, y, x]: [&Vec<f64>; 3] = std::array::from_fn(|a| &bands[a][axes[a]]);
        for (layer, z) in matrix.chunks_exact_mut(y.len() * x.len()).zip(z).filter(|(_, z)| **z != 0.0) {
            for (row, y) in layer.chunks_exact_mut(x.len()).zip(y).filter(|(_, y)| **y != 0.0) {
                row.iter_mut().zip(x).for_each(|(m, x)| *m += stiffness * weight * z * y * x);
            }
        }
    }
}

/// The squares of the differences of some order between `n` control points, as pairs of points (see [`Stencil::pairs`]).
fn differences(n: usize, order: usize) -> Vec<f64> {
    let kernel: &[f64] = [&[1.0][..], &[-1.0, 1.0], &[1.0, -2.0, 1.0]][order];
    let mut out = vec![0f64; n * TAPS];
    for at in 0..=n - kernel.len() {
        for (i, a) in kernel.iter().enumerate() {
            for (d, b) in kernel[i..].iter().enumerate() {
                out[(at + i) * TAPS + d] += a * b;
            }
        }
    }
    out
}

/// Solves the symmetric system whose matrix is stored as pairs of control points, by Cholesky's method within its band.
/// `None` when it is singular.
fn solve(pairs: &[f64], [nz, ny, nx]: [usize; 3], mut right: Vec<f64>) -> Option<Vec<f64>> {
    let n = nz * ny * nx;
    let band = ((TAPS - 1) * (ny * nx + nx + 1)).min(n - 1);
    let mut lower = vec![0f64; n * n];
    let near = |c: usize, n: usize| c.saturating_sub(TAPS - 1)..n.min(c + TAPS);
    let slot = |a: usize, b: usize| a.min(b) * TAPS + a.abs_diff(b);
    for row in 0..n {
        let (z, y, x) = (row / (ny * nx), row / nx % ny, row % nx);
        for a in z.saturating_sub(TAPS - 1)..=z {
            for b in near(y, ny) {
                for c in near(x, nx) {
                    let column = (a * ny + b) * nx + c;
                    if column <= row {
                        lower[row * n + column] = pairs[(slot(z, a) * ny * TAPS + slot(y, b)) * nx * TAPS + slot(x, c)];
                    }
                }
            }
        }
    }
    for i in 0..n {
        let from = i.saturating_sub(band);
        let (above, this) = lower.split_at_mut(i * n);
        let this = &mut this[..=i];
        for j in from..i {
            let other = &above[j * n..j * n + j + 1];
            this[j] = (this[j] - dot(&this[from..j], &other[from..j])) / other[j];
        }
        this[i] = (this[i] - dot(&this[from..i], &this[from..i])).sqrt();
        // Also not when it is no number.
        if !this[i].is_normal() {
            return None;
        }
        right[i] = (right[i] - dot(&this[from..i], &right[from..i])) / this[i];
    }
    for i in (0..n).rev() {
        let row = &lower[i * n..i * n + i + 1];
        right[i] /= row[i];
        let value = right[i];
        let from = i.saturating_sub(band);
        right[from..i].iter_mut().zip(&row[from..i]).for_each(|(r, l)| *r -= l * value);
    }
    Some(right)
}

/// The scalar product, in eight interleaved sums that the processor can run side by side.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a8.remainder().iter().zip(b8.remainder()).map(|(a, b)| a * b).sum();
    let mut sums = [0f64; 8];
    for (a, b) in a8.zip(b8) {
        for (s, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *s += a * b;
        }
    }
    rest + sums.iter().sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bspline::tests::{evaluate, grid};

    /// The fitted spline on its own grid.
    fn fitted(grid: &GridBasis, stiffness: f64, values: &Array3<f32>, weights: &Array3<f32>) -> Array3<f32> {
        let found = fit(grid, stiffness, |z, w, p| {
            for (i, (v, weight)) in
                values.index_axis(ndarray::Axis(0), z).iter().zip(weights.outer_iter().nth(z).unwrap()).enumerate()
            {
                w[i] = *weight;
                p[i] = weight * v;
            }
        });
        evaluate(grid, &found.unwrap())
    }

    fn rms(a: &Array3<f32>, b: &Array3<f32>) -> f32 {
        (a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / a.len() as f32).sqrt()
    }

    #[test]
    fn a_smooth_field_comes_back_from_some_of_its_voxels() {
        let g = grid([16, 16, 16], 2);
        let truth =
            Array3::from_shape_fn((16, 16, 16), |(z, y, x)| (z as f32 / 9.0).sin() + (y as f32 * x as f32) / 200.0);
        // Voxels without weight hold nonsense and must not matter; the far corner is seen by none.
        let weights = Array3::from_shape_fn((16, 16, 16), |(z, y, x)| {
            f32::from(u8::from(!(z + y * 16 + x).is_multiple_of(3) && z + y + x < 36)) * (1.0 + x as f32)
        });
        let seen = Array3::from_shape_fn(truth.dim(), |at| if weights[at] > 0.0 { truth[at] } else { 1e3 });
        let error = rms(&fitted(&g, 1e-5, &seen, &weights), &truth);
        assert!(error < 0.01, "{error}");
    }

    #[test]
    fn the_stiffer_the_longer_the_waves_that_are_lost_but_never_a_slope() {
        let (n, elements) = (96, 16);
        let axes = [(n, elements), (3, 1), (3, 1)];
        let g = GridBasis { axes: axes.map(|(n, e)| AxisBasis::new((0..n).map(|i| i as f64 + 0.5), n as f64, e)) };
        let ones = Array3::ones((n, 3, 3));
        // Heights of the fitted wave, by its projection on the true one over whole periods.
        let kept = |stiffness: f64, elements: f64| {
            let wave = Array3::from_shape_fn((n, 3, 3), |(z, _, _)| {
                (std::f64::consts::TAU * (z as f64 + 0.5) / 6.0 / elements).sin() as f32
            });
            let found = fitted(&g, stiffness, &wave, &ones);
            found.iter().zip(&wave).map(|(f, w)| f * w).sum::<f32>() / wave.iter().map(|w| w * w).sum::<f32>()
        };
        let heights = [(1e-4, 4.0), (0.1, 4.0), (10.0, 4.0), (0.1, 16.0), (10.0, 16.0)].map(|(s, e)| kept(s, e));
        let [soft, medium, stiff, long, long_stiff] = heights;
        assert!(soft > 0.95 && soft > medium && medium > 2.0 * stiff && stiff < 0.2, "{heights:?}");
        assert!(long > medium && long_stiff > stiff && long > 0.9, "{heights:?}");
        let slope = Array3::from_shape_fn((n, 3, 3), |(z, _, _)| z as f32 / 10.0);
        let error = rms(&fitted(&g, 0.1, &slope, &ones), &slope);
        assert!(error < 0.02, "{error}");
    }

    #[test]
    fn beyond_the_samples_the_spline_goes_on_straight() {
        let g = grid([24, 4, 4], 6);
        let values = Array3::from_shape_fn((24, 4, 4), |(z, _, _)| z as f32 * 0.01);
        let weights = Array3::from_shape_fn((24, 4, 4), |(z, _, _)| f32::from(u8::from(z < 12)));
        let error = rms(&fitted(&g, 1e-3, &values, &weights), &values);
        assert!(error < 0.01, "{error}");
    }

    #[test]
    fn one_plane_of_samples_is_enough_and_none_is_not() {
        let g = grid([1, 12, 12], 2);
        let values = Array3::from_shape_fn((1, 12, 12), |(_, y, x)| (y + x) as f32 * 0.1);
        assert!(rms(&fitted(&g, 1e-5, &values, &Array3::ones((1, 12, 12))), &values) < 0.05);
        assert_eq!(fit(&g, 1.0, |_, _, _| {}), None);
    }
}
