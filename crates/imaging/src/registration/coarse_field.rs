//! The displacement field of the coarse warp, and reading a volume between its voxels.

use ndarray::{Array3, ArrayView3, Zip};
use rayon::prelude::*;

use crate::filter::{gaussian_smooth_in_place, par_planes};

/// A volume that is read between its voxels.
pub(super) struct Sampled<'a> {
    values: &'a [f32],
    /// Voxels along x, y, z.
    size: [usize; 3],
}

impl<'a> Sampled<'a> {
    /// `None` for a volume without a cell or not in standard layout.
    pub(super) fn new(volume: ArrayView3<'a, f32>) -> Option<Self> {
        let (nz, ny, nx) = volume.dim();
        let values = volume.to_slice()?;
        (nz.min(ny).min(nx) > 1).then_some(Self { values, size: [nx, ny, nz] })
    }

    /// Whether `[x, y, z]` lies at most half a voxel outside.
    pub(super) fn knows(&self, p: [f32; 3]) -> bool {
        p.iter().zip(self.size).all(|(v, n)| *v >= -0.5 && *v <= n as f32 - 0.5)
    }

    /// The trilinear value at `[x, y, z]` in voxels; outside that of the nearest point of the edge.
    #[inline(always)]
    pub(super) fn at(&self, p: [f32; 3]) -> f32 {
        let (cell, part) = self.cell(p);
        self.blend(cell, part)
    }

    /// The first voxel of the cell that `[x, y, z]` lies in, and the place in it; the same for volumes of one shape.
    #[inline(always)]
    pub(super) fn cell(&self, p: [f32; 3]) -> (usize, [f32; 3]) {
        let [nx, ny, _] = self.size;
        let mut base = [0usize; 3];
        let mut part = [0f32; 3];
        for axis in 0..3 {
            let v = p[axis].max(0.0).min((self.size[axis] - 1) as f32);
            let i = (v as i32).min(self.size[axis] as i32 - 2);
            base[axis] = i as usize;
            part[axis] = v - i as f32;
        }
        ((base[2] * ny + base[1]) * nx + base[0], part)
    }

    /// The value at a place of a cell.
    #[inline(always)]
    pub(super) fn blend(&self, cell: usize, [x, y, z]: [f32; 3]) -> f32 {
        let (row, slice) = (self.size[0], self.size[0] * self.size[1]);
        let along = |at: usize| match self.values.get(at..at + 2) {
            Some(&[near, far]) => near + x * (far - near),
            _ => 0.0,
        };
        let plane = |at: usize| {
            let near = along(at);
            near + y * (along(at + row) - near)
        };
        let low = plane(cell);
        low + z * (plane(cell + slice) - low)
    }
}

/// Displacements in nodes of their own grid.
pub(super) struct Field {
    /// Along x, y, z.
    pub(super) along: [Array3<f32>; 3],
    pub(super) spacing_mm: f64,
}

impl Field {
    pub(super) fn zeros(shape: (usize, usize, usize), spacing_mm: f64) -> Self {
        Self { along: std::array::from_fn(|_| Array3::zeros(shape)), spacing_mm }
    }

    /// On a grid of another spacing with the same first node.
    pub(super) fn resampled(self, shape: (usize, usize, usize), spacing_mm: f64) -> Self {
        let ratio = (spacing_mm / self.spacing_mm) as f32;
        if shape == self.along[0].dim() && (ratio - 1.0).abs() < 1e-6 {
            return self;
        }
        let along = self.along.map(|old| {
            let mut new = Array3::zeros(shape);
            if let Some(old) = Sampled::new(old.view()) {
                par_planes(&mut new, 0).enumerate().for_each(|(k, mut slice)| {
                    for ((j, i), v) in slice.indexed_iter_mut() {
                        *v = old.at([i, j, k].map(|at| at as f32 * ratio)) / ratio;
                    }
                });
            }
            new
        });
        Self { along, spacing_mm }
    }

    /// The field that first goes `scale · update` and then this field's way.
    pub(super) fn composed(&self, update: &Self, scale: f32) -> Self {
        let mut out = Self::zeros(self.along[0].dim(), self.spacing_mm);
        let (_, ny, nx) = self.along[0].dim();
        let steps = update.along.each_ref().map(|a| a.as_slice().unwrap_or_default());
        let [Some(ox), Some(oy), Some(oz)] = self.along.each_ref().map(|old| Sampled::new(old.view())) else {
            return out;
        };
        let [x, y, z] = out.along.each_mut().map(|new| new.as_slice_mut().unwrap_or_default());
        let rows = x.par_chunks_mut(nx).zip(y.par_chunks_mut(nx)).zip(z.par_chunks_mut(nx)).enumerate();
        rows.with_min_len(ny).for_each(|(row, ((x, y), z))| {
            let (j, k) = ((row % ny) as f32, (row / ny) as f32);
            for (i, ((x, y), z)) in x.iter_mut().zip(y).zip(z).enumerate() {
                let [sx, sy, sz] = steps.map(|s| scale * s[row * nx + i]);
                let (cell, part) = ox.cell([i as f32 + sx, j + sy, k + sz]);
                *x = sx + ox.blend(cell, part);
                *y = sy + oy.blend(cell, part);
                *z = sz + oz.blend(cell, part);
            }
        });
        out
    }

    pub(super) fn smooth(&mut self, sigma: f64) {
        self.along.iter_mut().for_each(|along| gaussian_smooth_in_place(along, [sigma; 3]));
    }

    /// Squared lengths: their sum, how many are not 0, and the largest. Slices are summed in their order.
    pub(super) fn lengths(&self) -> (f64, usize, f32) {
        let [x, y, z] = self.along.each_ref().map(|a| a.as_slice().unwrap_or_default());
        let (_, ny, nx) = self.along[0].dim();
        let of_slice = |((x, y), z): ((&[f32], &[f32]), &[f32])| {
            let squares = x.iter().zip(y).zip(z).map(|((x, y), z)| x * x + y * y + z * z);
            squares.fold((0f64, 0usize, 0f32), |(sum, count, top), v| {
                (sum + f64::from(v), count + usize::from(v > 0.0), top.max(v))
            })
        };
        let slices = x.par_chunks(ny * nx).zip(y.par_chunks(ny * nx)).zip(z.par_chunks(ny * nx)).map(of_slice);
        let slices: Vec<_> = slices.collect();
        slices.into_iter().fold((0.0, 0, 0.0), |(a, b, c), (d, e, f)| (a + d, b + e, c.max(f)))
    }

    /// Shortens what is longer than `longest`.
    pub(super) fn cap(&mut self, longest: f32) {
        let [x, y, z] = &mut self.along;
        Zip::from(x).and(y).and(z).par_for_each(|x, y, z| {
            let length = (*x * *x + *y * *y + *z * *z).sqrt();
            let scale = if length > longest { longest / length } else { 1.0 };
            [x, y, z].into_iter().for_each(|v| *v *= scale);
        });
    }
}

/// Calls `f` with slice and row number, with where the row starts in the volume, and with the row; slices in parallel.
pub(super) fn for_each_row(volume: &mut Array3<f32>, f: impl Fn([usize; 2], usize, &mut [f32]) + Sync) {
    let (_, ny, nx) = volume.dim();
    par_planes(volume, 0).enumerate().for_each(|(k, mut slice)| {
        for (j, mut row) in slice.outer_iter_mut().enumerate() {
            if let Some(row) = row.as_slice_mut() {
                f([k, j], (k * ny + j) * nx, row);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(shape: (usize, usize, usize)) -> Array3<f32> {
        Array3::from_shape_fn(shape, |(k, j, i)| i as f32 + 10.0 * j as f32 + 100.0 * k as f32)
    }

    #[test]
    fn a_ramp_is_read_exactly_and_edges_go_on() {
        let image = ramp((4, 5, 6));
        let source = Sampled::new(image.view()).unwrap();
        assert!((source.at([1.25, 2.5, 0.75]) - (1.25 + 25.0 + 75.0)).abs() < 1e-4);
        assert!((source.at([5.0, 4.0, 3.0]) - 345.0).abs() < 1e-4);
        assert!((source.at([9.0, -3.0, 3.5]) - 305.0).abs() < 1e-4);
        assert!(source.knows([5.5, -0.5, 0.0]) && !source.knows([5.6, 0.0, 0.0]) && !source.knows([f32::NAN; 3]));
    }

    #[test]
    fn composing_constant_steps_adds_them() {
        let constant = |x: f32, y: f32, z: f32| Field {
            along: [x, y, z].map(|v| Array3::from_elem((6, 7, 8), v)),
            spacing_mm: 2.0,
        };
        let sum = constant(1.0, 0.5, -0.25).composed(&constant(0.5, 1.0, 1.0), 0.5);
        for (along, expected) in sum.along.iter().zip([1.25, 1.0, 0.25]) {
            assert!(along.iter().all(|v| (v - expected).abs() < 1e-6));
        }
        let finer = sum.resampled((12, 14, 16), 1.0);
        assert!(finer.along[0].iter().all(|v| (v - 2.5).abs() < 1e-6));
    }

    #[test]
    fn lengths_are_counted_and_cut() {
        let mut field = Field::zeros((3, 3, 3), 1.0);
        field.along[0][[1, 1, 1]] = 3.0;
        field.along[2][[1, 1, 1]] = 4.0;
        field.along[1][[0, 0, 0]] = 1.0;
        assert_eq!(field.lengths(), (26.0, 2, 25.0));
        field.cap(2.0);
        let (_, _, top) = field.lengths();
        assert!((top - 4.0).abs() < 1e-5);
    }
}
