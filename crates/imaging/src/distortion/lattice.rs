//! A cubic B-spline over a grid, its values at the voxels, and the transpose of that: what least squares by conjugate
//! gradients need. One pass per axis; the two that touch many voxels run over contiguous lines.

use rayon::prelude::*;

use super::parallel::{slabs, slabs_per_job};
use crate::bspline::AxisBasis;

/// Control points every `knots` voxels, from one knot before the first voxel.
#[derive(Clone)]
pub(super) struct Lattice {
    /// z, y, x.
    axes: [AxisBasis; 3],
    /// For every control point along z the slabs that it reaches, with its weights: the transposed axis, so that every
    /// sum is made by one thread in one order.
    reached: Vec<Vec<(usize, f32)>>,
}

/// Room for one slab half way.
#[derive(Default)]
pub(super) struct Room {
    plane: Vec<f32>,
    rows: Vec<f32>,
}

impl Lattice {
    /// For a grid of `shape` `(nz, ny, nx)`; control point `c` of an axis sits at voxel `knots · (c − 1)`.
    pub(super) fn new(shape: [usize; 3], knots: usize) -> Self {
        let axis = |n: usize| {
            let elements = n.saturating_sub(1) / knots.max(1) + 1;
            AxisBasis::new((0..n).map(|i| i as f64), (elements * knots.max(1)) as f64, elements)
        };
        Self::of(shape.map(axis))
    }

    fn of(axes: [AxisBasis; 3]) -> Self {
        let mut reached = vec![Vec::new(); axes[0].controls];
        for (z, (first, taps)) in axes[0].first.iter().zip(&axes[0].taps).enumerate() {
            taps.iter().enumerate().for_each(|(t, w)| reached[first + t].push((z, *w)));
        }
        Self { axes, reached }
    }

    /// The same with every weight squared: its transpose takes the diagonal of a matrix of voxels to that of control points.
    pub(super) fn squared(&self) -> Self {
        let mut axes = self.axes.clone();
        axes.iter_mut().flat_map(|axis| &mut axis.taps).flatten().for_each(|w| *w *= *w);
        Self::of(axes)
    }

    /// Control points along z, y, x.
    pub(super) fn controls(&self) -> [usize; 3] {
        self.axes.each_ref().map(|axis| axis.controls)
    }

    /// Number of control points.
    pub(super) fn len(&self) -> usize {
        self.controls().iter().product()
    }

    /// Control points of one layer along z.
    pub(super) fn layer(&self) -> usize {
        self.axes[1].controls * self.axes[2].controls
    }

    /// Voxels of a slab.
    fn slab(&self) -> usize {
        self.axes[1].len() * self.axes[2].len()
    }

    /// The spline with these control points, at every voxel.
    pub(super) fn values(&self, controls: &[f32], out: &mut [f32]) {
        slabs(out, self.slab()).for_each_init(Room::default, |room, (z, out)| self.slab_values(controls, z, room, out));
    }

    fn slab_values(&self, controls: &[f32], z: usize, room: &mut Room, out: &mut [f32]) {
        let [az, ay, ax] = &self.axes;
        let (layer, nx) = (self.layer(), ax.len());
        room.plane.clear();
        room.plane.resize(layer, 0.0);
        for (from, w) in controls[az.first[z] * layer..].chunks_exact(layer).zip(&az.taps[z]) {
            add_scaled(&mut room.plane, from, *w);
        }
        room.rows.resize(ay.controls * nx, 0.0);
        for (row, from) in room.rows.chunks_exact_mut(nx).zip(room.plane.chunks_exact(ax.controls)) {
            for ((v, w), first) in row.iter_mut().zip(&ax.taps).zip(&ax.first) {
                let c = &from[*first..*first + 4];
                *v = (w[0] * c[0] + w[1] * c[1]) + (w[2] * c[2] + w[3] * c[3]);
            }
        }
        for ((line, w), first) in out.chunks_exact_mut(nx).zip(&ay.taps).zip(&ay.first) {
            let [a, b, c, d] = std::array::from_fn(|t| &room.rows[(first + t) * nx..(first + t + 1) * nx]);
            for ((((v, a), b), c), d) in line.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                *v = (w[0] * a + w[1] * b) + (w[2] * c + w[3] * d);
            }
        }
    }

    /// The transpose of [`Self::values`].
    pub(super) fn transposed(&self, voxels: &[f32], out: &mut [f32]) {
        let mut planes = vec![0.0; self.axes[0].len() * self.layer()];
        slabs(&mut planes, self.layer()).zip(voxels.par_chunks(self.slab().max(1))).for_each_init(
            Room::default,
            |room, ((_, plane), slab)| {
                self.transposed_slab(slab, room, plane);
            },
        );
        self.stack(&planes, out);
    }

    /// The transpose along y and x of one slab; `plane` is a layer of control points.
    pub(super) fn transposed_slab(&self, slab: &[f32], room: &mut Room, plane: &mut [f32]) {
        let [_, ay, ax] = &self.axes;
        let nx = ax.len();
        room.rows.clear();
        room.rows.resize(ay.controls * nx, 0.0);
        for ((line, w), first) in slab.chunks_exact(nx).zip(&ay.taps).zip(&ay.first) {
            for (row, w) in room.rows[first * nx..].chunks_exact_mut(nx).zip(w) {
                add_scaled(row, line, *w);
            }
        }
        plane.fill(0.0);
        for (row, to) in room.rows.chunks_exact(nx).zip(plane.chunks_exact_mut(ax.controls)) {
            for ((v, w), first) in row.iter().zip(&ax.taps).zip(&ax.first) {
                to[*first..*first + 4].iter_mut().zip(w).for_each(|(to, w)| *to += w * v);
            }
        }
    }

    /// The transpose along z of what [`Self::transposed_slab`] made of every slab.
    pub(super) fn stack(&self, planes: &[f32], out: &mut [f32]) {
        let layer = self.layer().max(1);
        let layers = out.par_chunks_mut(layer).with_min_len(slabs_per_job(layer)).zip(&self.reached);
        layers.for_each(|(to, reached)| {
            to.fill(0.0);
            for &(z, w) in reached {
                add_scaled(to, &planes[z * layer..(z + 1) * layer], w);
            }
        });
    }
}

/// Adds `weight · from` to `to`.
pub(super) fn add_scaled(to: &mut [f32], from: &[f32], weight: f32) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += weight * from);
}

#[cfg(test)]
mod tests {
    use super::super::parallel::dot;
    use super::*;

    fn noise(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * i + 7 * i) % 101) as f32 * 0.02 - 1.0).collect()
    }

    #[test]
    fn the_transpose_is_one() {
        for (shape, knots) in [([5, 9, 12], 3), ([1, 4, 7], 2), ([6, 6, 6], 1), ([2, 1, 1], 3)] {
            let lattice = Lattice::new(shape, knots);
            let (c, v) = (noise(lattice.len()), noise(shape.iter().product()));
            let (mut values, mut back) = (vec![0.0; v.len()], vec![0.0; c.len()]);
            lattice.values(&c, &mut values);
            lattice.transposed(&v, &mut back);
            let (a, b) = (dot(&values, &v), dot(&back, &c));
            assert!((a - b).abs() < 1e-4 * a.abs().max(1.0), "{shape:?}: {a} {b}");
        }
    }

    #[test]
    fn a_linear_lattice_is_a_linear_field() {
        let lattice = Lattice::new([4, 7, 10], 2);
        let [_, my, mx] = lattice.controls();
        let control = |n: usize| [n / (my * mx), n / mx % my, n % mx].map(|c| 2.0 * (c as f32 - 1.0));
        let c: Vec<f32> = (0..lattice.len()).map(control).map(|[z, y, x]| z + 10.0 * y - 3.0 * x).collect();
        let mut values = vec![0.0; 280];
        lattice.values(&c, &mut values);
        for (n, v) in values.iter().enumerate() {
            let expected = (n / 70) as f32 + 10.0 * (n / 10 % 7) as f32 - 3.0 * (n % 10) as f32;
            assert!((v - expected).abs() < 1e-3, "{n}: {v} {expected}");
        }
    }
}
