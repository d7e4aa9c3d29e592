//! Uniform cubic B-spline lattices over a volume: fitting scattered voxels, refining, evaluating.
//!
//! A bias field is smooth, so a few thousand control points say all there is to know about it. Voxels lie on a regular
//! grid, which makes every weight a product of three 1-D weights: both the fit and the evaluation run axis by axis, and
//! only the innermost pass touches voxels.

use ndarray::{Array3, ArrayView3, Axis};
use rayon::prelude::*;

/// Support of a cubic B-spline: control points that act on one position.
const TAPS: usize = 4;

/// The four cubic B-spline weights at fraction `t` of an element; they sum to 1.
fn weights(t: f64) -> [f32; TAPS] {
    let u = 1.0 - t;
    [
        u * u * u / 6.0,
        (3.0 * t * t * t - 6.0 * t * t + 4.0) / 6.0,
        (3.0 * u * u * u - 6.0 * u * u + 4.0) / 6.0,
        t * t * t / 6.0,
    ]
    .map(|w| w as f32)
}

/// Sample positions along one axis: where each sample lies in a lattice of `elements` equal elements.
#[derive(Clone, Debug)]
pub struct AxisBasis {
    /// First of the four control points that act on each sample.
    first: Vec<usize>,
    /// Their weights.
    taps: Vec<[f32; TAPS]>,
    /// Their weights in the fit: `w^3 / sum(w^2)`.
    fit: Vec<[f32; TAPS]>,
    /// Number of control points.
    controls: usize,
}

impl AxisBasis {
    /// The basis of samples at `positions` (any unit), in a lattice of `elements` elements that covers `0..=length` (same
    /// unit). Positions outside are moved to the nearest end.
    #[must_use]
    pub fn new(positions: impl Iterator<Item = f64>, length: f64, elements: usize) -> Self {
        let (mut first, mut taps, mut fit) = (Vec::new(), Vec::new(), Vec::new());
        for p in positions {
            let at = (p / length * elements as f64).clamp(0.0, elements as f64);
            let cell = (at.floor() as usize).min(elements - 1);
            let w = weights(at - cell as f64);
            let norm: f32 = w.iter().map(|w| w * w).sum();
            first.push(cell);
            taps.push(w);
            fit.push(w.map(|w| w * w * w / norm));
        }
        Self { first, taps, fit, controls: elements + TAPS - 1 }
    }

    /// Number of samples.
    fn len(&self) -> usize {
        self.first.len()
    }

    /// The weights that the denominator of the fit needs: `w^2`.
    fn squared(&self) -> Vec<[f32; TAPS]> {
        self.taps.iter().map(|w| w.map(|w| w * w)).collect()
    }
}

/// The bases of the three axes, in array order (z, y, x).
#[derive(Clone, Debug)]
pub struct GridBasis {
    /// One basis for each array axis.
    pub axes: [AxisBasis; 3],
}

impl GridBasis {
    /// Shape of the lattice of control points.
    #[must_use]
    pub fn controls(&self) -> (usize, usize, usize) {
        let [z, y, x] = &self.axes;
        (z.controls, y.controls, x.controls)
    }

    /// Shape of the grid of samples.
    #[must_use]
    pub fn samples(&self) -> (usize, usize, usize) {
        let [z, y, x] = &self.axes;
        (z.len(), y.len(), x.len())
    }

    /// Writes the values of the spline in slab `z` to `out`, shape (ny, nx).
    pub fn evaluate_slab(&self, lattice: ArrayView3<f32>, z: usize, out: &mut [f32]) {
        let [az, ay, ax] = &self.axes;
        let (cy, cx) = (ay.controls, ax.controls);
        let mut plane = vec![0f32; cy * cx];
        for (t, w) in az.taps[z].iter().enumerate() {
            let source = lattice.index_axis(Axis(0), az.first[z] + t);
            for (p, c) in plane.iter_mut().zip(source.iter()) {
                *p += w * c;
            }
        }
        let mut row = vec![0f32; cx];
        for (y, line) in out.chunks_exact_mut(ax.len()).enumerate() {
            row.fill(0.0);
            for (t, w) in ay.taps[y].iter().enumerate() {
                let from = (ay.first[y] + t) * cx;
                for (r, c) in row.iter_mut().zip(&plane[from..from + cx]) {
                    *r += w * c;
                }
            }
            evaluate_row(ax, &row, line);
        }
    }

    /// The lattice that fits weighted values on the grid: scattered-data approximation of Lee, Wolberg and Shin 1997,
    /// doi:10.1109/2945.620490, eq. 3 to 5, with a weight for each sample.
    ///
    /// Every control point takes the mean, weighted by the squared spline, of what each sample alone would ask of it, which
    /// never overshoots; where no sample has weight it is 0. `fill(z, weights, products)` gives slab `z` (ny × nx): the
    /// weights, and weight × value; both come zeroed.
    pub fn fit<F>(&self, fill: F) -> Array3<f32>
    where
        F: Fn(usize, &mut [f32], &mut [f32]) + Sync,
    {
        let squares = self.axes.each_ref().map(AxisBasis::squared);
        let (_, ny, nx) = self.samples();
        let planes: Vec<(Vec<f32>, Vec<f32>)> = (0..self.axes[0].len())
            .into_par_iter()
            .map(|z| {
                let (mut weights, mut products) = (vec![0f32; ny * nx], vec![0f32; ny * nx]);
                fill(z, &mut weights, &mut products);
                let squared = self.gather_slab([&squares[1], &squares[2]], &weights);
                (squared, self.gather_slab([&self.axes[1].fit, &self.axes[2].fit], &products))
            })
            .collect();
        let denominator = self.stack(&squares[0], planes.iter().map(|p| &p.0));
        let mut lattice = self.stack(&self.axes[0].fit, planes.iter().map(|p| &p.1));
        // A control point that only the faint tail of its spline reaches would follow single noisy voxels.
        let floor = denominator.iter().fold(0f32, |a, b| a.max(*b)) * 1e-6;
        lattice.zip_mut_with(&denominator, |n, d| *n = if *d > floor { *n / d } else { 0.0 });
        lattice
    }

    /// The sums over one slab of sample × y weight × x weight at the control points of y and x.
    fn gather_slab(&self, [wy, wx]: [&[[f32; TAPS]]; 2], slab: &[f32]) -> Vec<f32> {
        let [_, ay, ax] = &self.axes;
        let cx = ax.controls;
        let mut plane = vec![0f32; ay.controls * cx];
        let mut row = vec![0f32; cx];
        for ((line, w), first) in slab.chunks_exact(ax.len()).zip(wy).zip(&ay.first) {
            row.fill(0.0);
            gather_row(ax, wx, line, &mut row);
            for (t, w) in w.iter().enumerate() {
                let to = (first + t) * cx;
                plane[to..to + cx].iter_mut().zip(&row).for_each(|(p, r)| *p += w * r);
            }
        }
        plane
    }

    /// The lattice from the planes of all slabs, added in the order of z whatever thread made them.
    fn stack<'a>(&self, wz: &[[f32; TAPS]], planes: impl Iterator<Item = &'a Vec<f32>>) -> Array3<f32> {
        let mut lattice = Array3::<f32>::zeros(self.controls());
        for ((plane, w), first) in planes.zip(wz).zip(&self.axes[0].first) {
            for (t, w) in w.iter().enumerate() {
                let mut target = lattice.index_axis_mut(Axis(0), first + t);
                target.iter_mut().zip(plane).for_each(|(l, p)| *l += w * p);
            }
        }
        lattice
    }
}

/// One contiguous line of the spline from the control values of its row.
fn evaluate_row(axis: &AxisBasis, row: &[f32], line: &mut [f32]) {
    for ((v, w), first) in line.iter_mut().zip(&axis.taps).zip(&axis.first) {
        let c = &row[*first..*first + TAPS];
        *v = w[0] * c[0] + w[1] * c[1] + w[2] * c[2] + w[3] * c[3];
    }
}

/// Adds one contiguous line of samples to the control values of its row. The samples of one element share their four
/// control points, which stay in registers until the next element.
fn gather_row(axis: &AxisBasis, w: &[[f32; TAPS]], line: &[f32], row: &mut [f32]) {
    let mut at = 0;
    for run in axis.first.chunk_by(|a, b| a == b) {
        let mut sums = [0f32; TAPS];
        for (v, w) in line[at..at + run.len()].iter().zip(&w[at..]) {
            sums.iter_mut().zip(w).for_each(|(s, w)| *s += w * v);
        }
        let first = run[0];
        row[first..first + TAPS].iter_mut().zip(sums).for_each(|(c, s)| *c += s);
        at += run.len();
    }
}

/// The same spline on a lattice with twice the elements along each axis (exact; Lane and Riesenfeld's subdivision).
#[must_use]
pub fn refine(lattice: &Array3<f32>) -> Array3<f32> {
    (0..3).fold(lattice.clone(), |l, axis| refine_axis(&l, Axis(axis)))
}

/// Subdivides along one axis: `n + 3` control points become `2n + 3`.
fn refine_axis(lattice: &Array3<f32>, axis: Axis) -> Array3<f32> {
    let n = lattice.len_of(axis);
    let mut shape = lattice.raw_dim();
    shape[axis.index()] = 2 * n - 3;
    let mut fine = Array3::<f32>::zeros(shape);
    for (i, mut out) in fine.axis_iter_mut(axis).enumerate() {
        let at = |j: usize| lattice.index_axis(axis, j);
        let j = i / 2;
        if i % 2 == 0 {
            out.assign(&((&at(j) + &at(j + 1)) * 0.5));
        } else {
            out.assign(&((&at(j) + &at(j + 2)) * 0.125 + &at(j + 1) * 0.75));
        }
    }
    fine
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(n: [usize; 3], elements: usize) -> GridBasis {
        GridBasis { axes: n.map(|n| AxisBasis::new((0..n).map(|i| i as f64 + 0.5), n as f64, elements)) }
    }

    fn evaluate(grid: &GridBasis, lattice: &Array3<f32>) -> Array3<f32> {
        let mut out = Array3::zeros(grid.samples());
        for (z, mut slab) in out.axis_iter_mut(Axis(0)).enumerate() {
            grid.evaluate_slab(lattice.view(), z, slab.as_slice_mut().unwrap());
        }
        out
    }

    fn fit(grid: &GridBasis, values: &Array3<f32>, weight: impl Fn(usize, usize) -> f32 + Sync) -> Array3<f32> {
        grid.fit(|z, weights, products| {
            let slab = values.index_axis(Axis(0), z);
            for (i, v) in slab.iter().enumerate() {
                weights[i] = weight(z, i);
                products[i] = weights[i] * v;
            }
        })
    }

    #[test]
    fn a_linear_lattice_gives_a_linear_field() {
        let g = grid([6, 7, 8], 2);
        // Control point c of an axis sits at element boundary c - 1.
        let lattice = Array3::from_shape_fn(g.controls(), |(z, y, x)| z as f32 + 2.0 * y as f32 - 3.0 * x as f32);
        let field = evaluate(&g, &lattice);
        for ((z, y, x), v) in field.indexed_iter() {
            let at = |i: usize, n: f32| (i as f32 + 0.5) / n * 2.0 + 1.0;
            let expected = at(z, 6.0) + 2.0 * at(y, 7.0) - 3.0 * at(x, 8.0);
            assert!((v - expected).abs() < 1e-5, "{v} {expected}");
        }
    }

    #[test]
    fn refining_keeps_the_field() {
        let lattice =
            Array3::from_shape_fn(grid([9, 9, 9], 2).controls(), |(z, y, x)| ((z * 7 + y * 3 + x * 5) % 11) as f32);
        let (coarse, fine) =
            (evaluate(&grid([9, 9, 9], 2), &lattice), evaluate(&grid([9, 9, 9], 4), &refine(&lattice)));
        assert!(coarse.iter().zip(&fine).all(|(a, b)| (a - b).abs() < 1e-5));
    }

    #[test]
    fn repeated_fits_reproduce_a_smooth_field_from_weighted_voxels() {
        let g = grid([16, 16, 16], 2);
        let truth =
            Array3::from_shape_fn((16, 16, 16), |(z, y, x)| (z as f32 / 9.0).sin() + (y as f32 * x as f32) / 200.0);
        // Voxels without weight hold nonsense and must not matter.
        let inside = |z: usize, i: usize| !(z + i).is_multiple_of(3);
        let seen =
            Array3::from_shape_fn((16, 16, 16), |(z, y, x)| if inside(z, y * 16 + x) { truth[[z, y, x]] } else { 1e3 });
        let mut lattice = Array3::zeros(g.controls());
        for _ in 0..60 {
            let rest = &seen - &evaluate(&g, &lattice);
            lattice += &fit(&g, &rest, |z, i| f32::from(u8::from(inside(z, i))));
        }
        let square = evaluate(&g, &lattice).iter().zip(&truth).map(|(e, t)| (e - t).powi(2)).sum::<f32>();
        let rms = (square / truth.len() as f32).sqrt();
        assert!(rms < 0.03, "{rms}");
    }

    #[test]
    fn no_weight_gives_a_zero_lattice() {
        let g = grid([5, 5, 5], 1);
        assert!(fit(&g, &Array3::ones((5, 5, 5)), |_, _| 0.0).iter().all(|v| *v == 0.0));
    }
}
