//! What a registration finds: fields there and back, and how points and images go through them.

use ndarray::{Array3, Array4, ArrayView3, Axis};
use rayon::prelude::*;

use super::determinant;
use super::field::Field;
use super::symmetric::LevelReport;
use crate::interpolate::SplineVolume;
use crate::rigid::{IDENTITY, Matrix4, apply};

/// Displacements on a regular grid.
#[derive(Clone, Debug)]
pub struct DisplacementField {
    /// For each node, shape `(nz, ny, nx, 3)`: the displacement in mm along x, y, z of RAS+ space.
    pub vectors: Array4<f32>,
    /// Takes nodes (i, j, k) to RAS+ mm.
    pub affine: Matrix4,
    /// Takes RAS+ mm to nodes.
    to_node: [[f64; 4]; 3],
}

impl DisplacementField {
    /// `field` on the grid of a template whose first voxel lies at `first` (RAS+ mm) and whose axes are RAS+.
    pub(super) fn new(field: Field, first: [f64; 3]) -> Self {
        let grid = field.grid;
        let [nx, ny, nz] = grid.size;
        let mut data = super::inverse::trimmed(field);
        data.par_iter_mut().for_each(|v| *v *= grid.spacing as f32);
        // As long as the grid by construction.
        let vectors = Array4::from_shape_vec((nz, ny, nx, 3), data).unwrap_or_default();
        Self::on_lattice(vectors, grid.spacing, std::array::from_fn(|axis| first[axis] + grid.origin[axis]))
    }

    /// `vectors` (mm) at nodes `spacing` mm apart along the axes of RAS+ space, the first of them at `origin`.
    fn on_lattice(vectors: Array4<f32>, spacing: f64, origin: [f64; 3]) -> Self {
        let mut affine = [[0.0; 4]; 4];
        let mut to_node = [[0.0; 4]; 3];
        affine[3][3] = 1.0;
        for axis in 0..3 {
            (affine[axis][axis], affine[axis][3]) = (spacing, origin[axis]);
            (to_node[axis][axis], to_node[axis][3]) = (1.0 / spacing, -origin[axis] / spacing);
        }
        Self { vectors, affine, to_node }
    }

    /// The same field at every `step`th node, over the box from `low` to `high` (RAS+ mm) at least: what lies outside the
    /// nodes there were has the displacement of their edge. What readers take for zero beyond a field's grid lies outside
    /// the box then.
    #[must_use]
    pub fn over(&self, low: [f64; 3], high: [f64; 3], step: usize) -> Self {
        let step = step.max(1);
        let fine = self.affine[0][0];
        let spacing = fine * step as f64;
        let (nz, ny, nx, _) = self.vectors.dim();
        let node = |axis: usize, mm: f64| (mm - self.affine[axis][3]) / spacing;
        let from: [i64; 3] = std::array::from_fn(|a| node(a, low[a]).floor() as i64);
        let to: [i64; 3] = std::array::from_fn(|a| (node(a, high[a]).ceil() as i64).max(from[a] + 1));
        let extent = |a: usize| (to[a] - from[a] + 1) as usize;
        let was = |a: usize, at: usize, n: usize| ((from[a] + at as i64) * step as i64).clamp(0, n as i64 - 1) as usize;
        let mut vectors = Array4::zeros((extent(2), extent(1), extent(0), 3));
        vectors.axis_iter_mut(Axis(0)).into_par_iter().enumerate().for_each(|(k, mut plane)| {
            for ((j, i, c), v) in plane.indexed_iter_mut() {
                *v = self.vectors[[was(2, k, nz), was(1, j, ny), was(0, i, nx), c]];
            }
        });
        Self::on_lattice(vectors, spacing, std::array::from_fn(|a| self.affine[a][3] + from[a] as f64 * spacing))
    }

    /// The displacement at a point in RAS+ mm, trilinear; beyond the grid that of its edge.
    #[must_use]
    pub fn at(&self, point: [f64; 3]) -> [f64; 3] {
        let (nz, ny, nx, _) = self.vectors.dim();
        let size = [nx, ny, nz];
        let Some(data) = self.vectors.as_slice().filter(|_| size.iter().all(|n| *n > 1)) else { return [0.0; 3] };
        let (mut base, mut part) = ([0usize; 3], [0f64; 3]);
        for a in 0..3 {
            let m = self.to_node[a];
            let v = (m[0] * point[0] + m[1] * point[1] + m[2] * point[2] + m[3]).clamp(0.0, (size[a] - 1) as f64);
            base[a] = (v as usize).min(size[a] - 2);
            part[a] = v - base[a] as f64;
        }
        let first = 3 * ((base[2] * ny + base[1]) * nx + base[0]);
        let [x, y, z] = part.map(|v| v as f32);
        let along = |at: usize| match data.get(at..at + 6) {
            Some(&[a, b, c, d, e, f]) => mix([a, b, c], [d, e, f], x),
            _ => [0.0; 3],
        };
        let plane = |at: usize| mix(along(at), along(at + 3 * nx), y);
        mix(plane(first), plane(first + 3 * nx * ny), z).map(f64::from)
    }

    /// Where a point (RAS+ mm) goes.
    #[must_use]
    pub fn moved(&self, point: [f64; 3]) -> [f64; 3] {
        let v = self.at(point);
        std::array::from_fn(|a| point[a] + v[a])
    }

    /// The Jacobian determinant of [`DisplacementField::moved`] at a point (RAS+ mm): what a small volume there is multiplied
    /// by. By differences from half a node before it to half a node behind.
    #[must_use]
    pub fn jacobian(&self, point: [f64; 3]) -> f64 {
        let mut matrix = IDENTITY;
        for axis in 0..3 {
            let spacing = self.affine[axis][axis];
            let beside = |nodes: f64| {
                let mut place = point;
                place[axis] += nodes * spacing;
                self.moved(place)
            };
            let (before, behind) = (beside(-0.5), beside(0.5));
            (0..3).for_each(|c| matrix[c][axis] = (behind[c] - before[c]) / spacing);
        }
        determinant(&matrix)
    }
}

/// How well a registration went.
#[derive(Clone, Debug, PartialEq)]
pub struct WarpReport {
    /// What each level reached, from coarse to fine.
    pub levels: Vec<LevelReport>,
    /// Smallest and largest Jacobian determinant of the forward field in the template's brain, by one-sided differences
    /// between nodes, without the affine's own factor.
    pub jacobian: [f64; 2],
    /// Nodes in the brain whose Jacobian is not positive: 0 unless the recipe does not mend.
    pub folds: usize,
    /// Nodes of the way to the middle or of the inverse that are further than 0.01 mm off.
    pub not_inverted: usize,
    /// How far points of the template's brain are from where they were after going there and back, mm: mean and largest.
    pub round_trip_mm: [f64; 2],
}

/// A registration: the template's points go to the moving image by the forward field and then the affine.
#[derive(Clone, Debug)]
pub struct Warp {
    /// Template to template space, before the affine.
    pub forward: DisplacementField,
    /// The way back, after the inverse of the affine.
    pub inverse: DisplacementField,
    /// Template to moving image, both in RAS+ mm.
    pub affine: Matrix4,
    /// Moving image to template.
    pub inverse_affine: Matrix4,
    /// How it went.
    pub report: WarpReport,
}

/// How values between voxels are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// The value of the nearest voxel: for labels and masks.
    Nearest,
    /// Trilinear.
    Linear,
    /// Cubic B-spline through the voxels: sharpest, may overshoot.
    Cubic,
}

impl Warp {
    /// Where a point of the template (RAS+ mm) lies in the moving image (RAS+ mm).
    #[must_use]
    pub fn to_moving(&self, point: [f64; 3]) -> [f64; 3] {
        apply(&self.affine, self.forward.moved(point))
    }

    /// Where a point of the moving image (RAS+ mm) lies in the template (RAS+ mm).
    #[must_use]
    pub fn to_template(&self, point: [f64; 3]) -> [f64; 3] {
        self.inverse.moved(apply(&self.inverse_affine, point))
    }

    /// A moving image (`to_voxel` takes RAS+ mm to its voxels) as it looks on a grid of the template's space: `shape`
    /// `(nz, ny, nx)`, `affine` takes its voxels to RAS+ mm. `elsewhere` is what was not seen.
    #[must_use]
    pub fn moving_on_template(
        &self,
        image: ArrayView3<f32>,
        to_voxel: &Matrix4,
        shape: (usize, usize, usize),
        affine: &Matrix4,
        how: Interpolation,
        elsewhere: f32,
    ) -> Array3<f32> {
        resample(image, shape, how, elsewhere, |voxel| apply(to_voxel, self.to_moving(apply(affine, voxel))))
    }

    /// A volume of the template's space (`to_voxel` takes RAS+ mm to its voxels) as it looks on a grid of the moving
    /// image's space: `shape`, `affine` and `elsewhere` as in [`Warp::moving_on_template`].
    #[must_use]
    pub fn template_on_moving(
        &self,
        image: ArrayView3<f32>,
        to_voxel: &Matrix4,
        shape: (usize, usize, usize),
        affine: &Matrix4,
        how: Interpolation,
        elsewhere: f32,
    ) -> Array3<f32> {
        resample(image, shape, how, elsewhere, |voxel| apply(to_voxel, self.to_template(apply(affine, voxel))))
    }
}

/// An image that is resampled, and how.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Shape `(nz, ny, nx)`.
    pub image: ArrayView3<'a, f32>,
    /// How values between voxels are found.
    pub how: Interpolation,
    /// What is not seen gets this.
    pub elsewhere: f32,
}

/// `image` at the voxel coordinates (x, y, z) that `place` gives for each voxel (i, j, k) of `shape`; up to half a voxel
/// outside the image counts as its edge.
#[must_use]
pub fn resample(
    image: ArrayView3<f32>,
    shape: (usize, usize, usize),
    how: Interpolation,
    elsewhere: f32,
    place: impl Fn([f64; 3]) -> [f64; 3] + Sync,
) -> Array3<f32> {
    let [out] = resample_all([Source { image, how, elsewhere }], shape, place);
    out
}

/// Several images of one grid at the same places, as [`resample`] does it for one: each place is computed once.
#[must_use]
pub fn resample_all<const N: usize>(
    sources: [Source<'_>; N],
    shape: (usize, usize, usize),
    place: impl Fn([f64; 3]) -> [f64; 3] + Sync,
) -> [Array3<f32>; N] {
    let images = sources.each_ref().map(|source| source.image.as_standard_layout());
    let samplers: [Option<Sampled>; N] = std::array::from_fn(|n| Sampled::new(images[n].view(), sources[n].how));
    let mut out = sources.map(|source| Array3::from_elem(shape, source.elsewhere));
    let mut planes: Vec<Vec<_>> = (0..shape.0).map(|_| Vec::with_capacity(N)).collect();
    for volume in &mut out {
        volume.outer_iter_mut().zip(&mut planes).for_each(|(plane, of)| of.push(plane));
    }
    planes.into_par_iter().enumerate().for_each(|(k, mut planes)| {
        for (j, i) in (0..shape.1).flat_map(|j| (0..shape.2).map(move |i| (j, i))) {
            let p = place([i, j, k].map(|v| v as f64));
            for (plane, sampler) in planes.iter_mut().zip(&samplers) {
                if let Some(v) = sampler.as_ref().and_then(|sampler| sampler.at(p)) {
                    plane[[j, i]] = v;
                }
            }
        }
    });
    out
}

/// An image that can be asked for values between its voxels.
struct Sampled<'a> {
    values: &'a [f32],
    size: [usize; 3],
    how: Interpolation,
    spline: Option<SplineVolume>,
}

impl<'a> Sampled<'a> {
    /// `None` for an image without voxels.
    fn new(image: ArrayView3<'a, f32>, how: Interpolation) -> Option<Self> {
        let (nz, ny, nx) = image.dim();
        let values = image.to_slice().filter(|values| !values.is_empty())?;
        let spline = (how == Interpolation::Cubic).then(|| {
            let mut spline = SplineVolume::new([nz, ny, nx]);
            spline.interpolate(values);
            spline
        });
        Some(Self { values, size: [nx, ny, nz], how, spline })
    }

    /// The value at voxel coordinates (x, y, z); `None` more than half a voxel outside.
    fn at(&self, p: [f64; 3]) -> Option<f32> {
        if !p.iter().zip(self.size).all(|(v, n)| *v >= -0.5 && *v <= n as f64 - 0.5) {
            return None;
        }
        match (self.how, &self.spline) {
            (Interpolation::Cubic, Some(spline)) => spline.sample(p.map(|v| v as f32)),
            (Interpolation::Nearest, _) => {
                let [nx, ny, nz] = self.size;
                let [x, y, z] = p.map(|v| v.round().max(0.0) as usize);
                self.values.get((z.min(nz - 1) * ny + y.min(ny - 1)) * nx + x.min(nx - 1)).copied()
            }
            _ => Some(linear(self.values, self.size, p)),
        }
    }
}

/// `a + t (b − a)`.
fn mix(a: [f32; 3], b: [f32; 3], t: f32) -> [f32; 3] {
    std::array::from_fn(|i| a[i] + t * (b[i] - a[i]))
}

fn linear(values: &[f32], size: [usize; 3], place: [f64; 3]) -> f32 {
    let mut low = [0usize; 3];
    let mut part = [0f64; 3];
    for a in 0..3 {
        let v = place[a].clamp(0.0, (size[a] - 1) as f64);
        low[a] = v as usize;
        part[a] = v - low[a] as f64;
    }
    let corner = |corner: usize| {
        let at = |a: usize| (low[a] + (corner >> a & 1)).min(size[a] - 1);
        let weight: f64 = (0..3).map(|a| if corner >> a & 1 == 1 { part[a] } else { 1.0 - part[a] }).product();
        weight * f64::from(values[(at(2) * size[1] + at(1)) * size[0] + at(0)])
    };
    (0..8).map(corner).sum::<f64>() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_over_a_larger_box_is_the_same_and_goes_on_beyond() {
        let vectors = Array4::from_shape_fn((5, 6, 7, 3), |(k, j, i, c)| (i + 2 * j + 3 * k) as f32 * (c as f32 + 0.5));
        let field = DisplacementField::on_lattice(vectors, 2.0, [-4.0, 2.0, 1.0]);
        let wide = field.over([-9.0, -3.0, -5.5], [20.0, 20.0, 20.0], 1);
        let inside = [3.3, 7.7, 5.1];
        assert_eq!((wide.at(inside), wide.affine[0][3]), (field.at(inside), -10.0));
        assert_eq!(wide.at([-8.0, -1.0, -4.0]), field.at([-8.0, -1.0, -4.0]));
        let thin = field.over([-4.0, 2.0, 1.0], [8.0, 12.0, 9.0], 2);
        assert_eq!((thin.affine[1][1], thin.at([0.0, 6.0, 5.0])), (4.0, field.at([0.0, 6.0, 5.0])));
    }

    #[test]
    fn a_stretch_changes_volumes_by_its_determinant() {
        // 10 % longer along x, 20 % shorter along z; y is sheared, which changes no volume.
        let at = |i: usize| 2.0 * i as f32;
        let vectors = Array4::from_shape_fn((6, 6, 6, 3), |(k, j, i, c)| match c {
            0 => 0.1 * at(i) + 0.3 * at(j),
            2 => -0.2 * at(k),
            _ => 0.0,
        });
        let field = DisplacementField::on_lattice(vectors, 2.0, [0.0; 3]);
        for point in [[4.0, 4.0, 4.0], [3.3, 5.1, 6.7]] {
            assert!((field.jacobian(point) - 1.1 * 0.8).abs() < 1e-5, "{}", field.jacobian(point));
        }
    }

    #[test]
    fn images_are_read_where_the_map_says() {
        let image = Array3::from_shape_fn((6, 7, 8), |(k, j, i)| i as f32 + 10.0 * j as f32 + 100.0 * k as f32);
        let shift = |v: [f64; 3]| [v[0] + 0.5, v[1] - 0.25, v[2] + 1.0];
        let of = |how| resample(image.view(), (6, 7, 8), how, -1.0, shift);
        let linear = of(Interpolation::Linear);
        assert!((linear[[2, 3, 4]] - (4.5 + 27.5 + 300.0)).abs() < 1e-3);
        assert_eq!(linear[[5, 3, 4]], -1.0);
        assert!((of(Interpolation::Nearest)[[2, 3, 4]] - (5.0 + 30.0 + 300.0)).abs() < 1e-3);
        assert!((of(Interpolation::Cubic)[[2, 3, 3]] - (3.5 + 27.5 + 300.0)).abs() < 1.0);
        assert!((linear[[2, 0, 7]] - (7.0 + 300.0)).abs() < 1e-3, "edges go on for half a voxel");
    }
}
