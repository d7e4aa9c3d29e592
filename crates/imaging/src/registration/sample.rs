//! Reading an image where a row of nodes is taken by a field: the loop in which most of the time goes.

use ndarray::ArrayView3;

use crate::rigid::Matrix4;

/// Points of a row that are placed before they are read.
const BATCH: usize = 64;

/// An image that is read between its voxels, and where the nodes of a grid lie in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct SampledImage<'a> {
    values: &'a [f32],
    /// Voxels along x, y, z; at least two.
    size: [usize; 3],
    /// Takes node coordinates to voxel coordinates, three rows of four.
    map: [[f32; 4]; 3],
}

/// The displacements of a row of nodes along x, y, z, in nodes.
#[derive(Clone, Copy)]
pub(super) struct RowField<'a> {
    pub x: &'a [f32],
    pub y: &'a [f32],
    pub z: &'a [f32],
}

impl<'a> SampledImage<'a> {
    /// `values` of an image of `size` (x, y, z) voxels; `map` takes nodes to voxels. `None` where the image has no cell or
    /// is not as long as it should be.
    pub fn new(values: &'a [f32], size: [usize; 3], map: &[[f64; 4]; 3]) -> Option<Self> {
        let whole = values.len() == size.iter().product::<usize>();
        (whole && size.iter().all(|n| (2..1 << 15).contains(n))).then(|| Self {
            values,
            size,
            map: map.map(|row| row.map(|v| v as f32)),
        })
    }

    /// [`SampledImage::new`] of a volume in standard layout.
    pub fn of_volume(volume: &'a ArrayView3<f32>, map: &[[f64; 4]; 3]) -> Option<Self> {
        let (nz, ny, nx) = volume.dim();
        Self::new(volume.as_slice()?, [nx, ny, nz], map)
    }

    /// Writes the trilinear values at the nodes `first`, `first + (1, 0, 0)` … moved by `moved`; 0 outside the image.
    #[inline(always)]
    pub fn row(&self, first: [usize; 3], moved: RowField, out: &mut [f32]) {
        let [mx, my, mz] = &self.map;
        let start =
            [mx, my, mz].map(|m| m[0] * first[0] as f32 + m[1] * first[1] as f32 + m[2] * first[2] as f32 + m[3]);
        let batches =
            out.chunks_mut(BATCH).zip(moved.x.chunks(BATCH)).zip(moved.y.chunks(BATCH)).zip(moved.z.chunks(BATCH));
        for (batch, (((out, ux), uy), uz)) in batches.enumerate() {
            let mut places = Places::new();
            self.place(start, batch * BATCH, [ux, uy, uz], &mut places);
            self.read(&places, out);
        }
    }

    /// Finds the cells and the places in them.
    #[inline(always)]
    fn place(&self, start: [f32; 3], skip: usize, [ux, uy, uz]: [&[f32]; 3], places: &mut Places) {
        let [mx, my, mz] = self.map;
        let [last_x, last_y, last_z] = self.size.map(|n| (n - 1) as f32);
        let [cell_x, cell_y, cell_z] = self.size.map(|n| n as i32 - 2);
        let (row, slice) = (self.size[0] as i32, (self.size[0] * self.size[1]) as i32);
        let Places { cell, x: px, y: py, z: pz, inside } = places;
        let slots = cell.iter_mut().zip(px).zip(py).zip(pz).zip(inside);
        for (i, (((slot, ux), uy), uz)) in slots.zip(ux).zip(uy).zip(uz).enumerate() {
            let ((((cell, px), py), pz), inside) = slot;
            let along = (skip + i) as f32 + ux;
            let x = start[0] + mx[0] * along + mx[1] * uy + mx[2] * uz;
            let y = start[1] + my[0] * along + my[1] * uy + my[2] * uz;
            let z = start[2] + mz[0] * along + mz[1] * uy + mz[2] * uz;
            let within = (x >= 0.0) & (y >= 0.0) & (z >= 0.0) & (x <= last_x) & (y <= last_y) & (z <= last_z);
            *inside = if within { 1.0 } else { 0.0 };
            let (x, y, z) = (x.max(0.0).min(last_x), y.max(0.0).min(last_y), z.max(0.0).min(last_z));
            let (i, j, k) = ((x as i32).min(cell_x), (y as i32).min(cell_y), (z as i32).min(cell_z));
            *cell = k * slice + j * row + i;
            (*px, *py, *pz) = (x - i as f32, y - j as f32, z - k as f32);
        }
    }

    /// Reads the cells.
    #[inline(always)]
    fn read(&self, places: &Places, out: &mut [f32]) {
        let (row, slice) = (self.size[0], self.size[0] * self.size[1]);
        let Places { cell, x, y, z, inside } = places;
        for (((((out, cell), x), y), z), inside) in out.iter_mut().zip(cell).zip(x).zip(y).zip(z).zip(inside) {
            let cell = *cell as usize;
            let along = |at: usize| match self.values.get(at..at + 2) {
                Some(&[near, far]) => near + x * (far - near),
                _ => 0.0,
            };
            let near = along(cell);
            let low = near + y * (along(cell + row) - near);
            let near = along(cell + slice);
            let high = near + y * (along(cell + slice + row) - near);
            *out = inside * (low + z * (high - low));
        }
    }
}

/// Where the points of a batch lie: their cell's first voxel, their place in it, and 1 or 0 for inside or not.
struct Places {
    cell: [i32; BATCH],
    x: [f32; BATCH],
    y: [f32; BATCH],
    z: [f32; BATCH],
    inside: [f32; BATCH],
}

impl Places {
    #[inline(always)]
    fn new() -> Self {
        let zero = [0.0; BATCH];
        Self { cell: [0; BATCH], x: zero, y: zero, z: zero, inside: zero }
    }
}

/// The map from the nodes of a grid (given as its map to template mm: `origin` and `spacing`) to the voxels of an image
/// that `mm_to_voxel` places.
pub(super) fn nodes_to_voxels(origin: [f64; 3], spacing: f64, mm_to_voxel: &Matrix4) -> [[f64; 4]; 3] {
    std::array::from_fn(|r| {
        let m = mm_to_voxel[r];
        let shift = m[3] + m[0] * origin[0] + m[1] * origin[1] + m[2] * origin[2];
        [m[0] * spacing, m[1] * spacing, m[2] * spacing, shift]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    #[test]
    fn a_ramp_is_read_exactly_inside_and_nothing_outside() {
        let image = Array3::from_shape_fn((9, 10, 90), |(k, j, i)| i as f32 + 2.0 * j as f32 - 3.0 * k as f32);
        let map = [[0.9, 0.1, 0.0, 1.0], [0.0, 1.1, 0.05, 0.5], [0.02, 0.0, 0.8, 0.25]];
        let view = image.view();
        let sampled = SampledImage::of_volume(&view, &map).unwrap();
        let n = 100;
        let x: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37).sin()).collect();
        let y: Vec<f32> = (0..n).map(|i| (i as f32 * 0.21).cos()).collect();
        let z = vec![0.5; n];
        let mut out = vec![-1.0; n];
        sampled.row([2, 3, 4], RowField { x: &x, y: &y, z: &z }, &mut out);
        let mut inside = 0;
        for i in 0..n {
            let node = [2.0 + i as f32 + x[i], 3.0 + y[i], 4.0 + z[i]].map(f64::from);
            let p: [f64; 3] = std::array::from_fn(|r| (0..3).map(|c| map[r][c] * node[c]).sum::<f64>() + map[r][3]);
            let known = p.iter().zip([89.0, 9.0, 8.0]).all(|(v, last)| (0.0..=last).contains(v));
            let expected = if known { p[0] + 2.0 * p[1] - 3.0 * p[2] } else { 0.0 };
            assert!((f64::from(out[i]) - expected).abs() < 1e-3, "{i}: {} not {expected}", out[i]);
            inside += usize::from(known);
        }
        assert!(inside > 80 && inside < n);
    }
}
