//! Uniform cubic B-spline lattices over a volume: where samples lie in them, and their values.
//!
//! A bias field is smooth, so a few hundred control points say all there is to know about it. Voxels lie on a regular
//! grid, which makes every weight a product of three 1-D weights: evaluation runs axis by axis, and only the innermost
//! pass touches voxels. [`super::bspline_fit`] finds the control points.

use ndarray::{ArrayView3, Axis};

/// Support of a cubic B-spline: control points that act on one position.
pub(super) const TAPS: usize = 4;

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
    pub(super) first: Vec<usize>,
    /// Their weights.
    pub(super) taps: Vec<[f32; TAPS]>,
    /// Number of control points.
    pub(super) controls: usize,
}

impl AxisBasis {
    /// The basis of samples at `positions` (any unit), in a lattice of `elements` elements that covers `0..=length` (same
    /// unit). Positions outside are moved to the nearest end.
    #[must_use]
    pub fn new(positions: impl Iterator<Item = f64>, length: f64, elements: usize) -> Self {
        let (mut first, mut taps) = (Vec::new(), Vec::new());
        for p in positions {
            let at = (p / length * elements as f64).clamp(0.0, elements as f64);
            let cell = (at.floor() as usize).min(elements - 1);
            first.push(cell);
            taps.push(weights(at - cell as f64));
        }
        Self { first, taps, controls: elements + TAPS - 1 }
    }

    /// Number of samples.
    pub(super) fn len(&self) -> usize {
        self.first.len()
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
}

/// One contiguous line of the spline from the control values of its row.
fn evaluate_row(axis: &AxisBasis, row: &[f32], line: &mut [f32]) {
    for ((v, w), first) in line.iter_mut().zip(&axis.taps).zip(&axis.first) {
        let c = &row[*first..*first + TAPS];
        *v = w[0] * c[0] + w[1] * c[1] + w[2] * c[2] + w[3] * c[3];
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use ndarray::Array3;

    /// `n` samples along each axis in a lattice of so many elements.
    pub(crate) fn grid(n: [usize; 3], elements: usize) -> GridBasis {
        GridBasis { axes: n.map(|n| AxisBasis::new((0..n).map(|i| i as f64 + 0.5), n as f64, elements)) }
    }

    /// The spline at every sample.
    pub(crate) fn evaluate(grid: &GridBasis, lattice: &Array3<f32>) -> Array3<f32> {
        let mut out = Array3::zeros(grid.samples());
        for (z, mut slab) in out.axis_iter_mut(Axis(0)).enumerate() {
            grid.evaluate_slab(lattice.view(), z, slab.as_slice_mut().unwrap());
        }
        out
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
}
