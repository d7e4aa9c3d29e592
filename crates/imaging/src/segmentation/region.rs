//! The voxels that are classified, as stretches along x inside a padded box: what lies outside costs nothing.
//!
//! The box has one voxel of padding on each side, so that every voxel in the mask has six neighbours without a test.

use ndarray::{Array3, ArrayView3, Axis, s};
use rayon::prelude::*;

use crate::filter::{bounding_box, par_planes};
use crate::rigid::{Matrix4, apply};

/// Neighbouring voxels of one row, all in the mask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    /// Row (y) in the box.
    pub y: usize,
    /// First voxel (x) in the box, and one past the last.
    pub from: usize,
    pub to: usize,
}

/// Where the voxels are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Region {
    /// Shape of the whole volume (z, y, x).
    full: [usize; 3],
    /// The voxel of the whole volume that has index (1, 1, 1) in the box.
    start: [usize; 3],
    /// Shape of the box with its padding.
    pub shape: [usize; 3],
    /// The spans of each plane (z) of the box.
    pub spans: Vec<Vec<Span>>,
    /// How many voxels they hold.
    pub voxels: usize,
}

impl Region {
    /// The voxels of `mask` whose intensity is finite; both have the same shape.
    pub fn new(image: ArrayView3<f32>, mask: ArrayView3<u8>) -> Self {
        let (nz, ny, nx) = image.dim();
        let ranges = bounding_box(mask);
        let (start, shape) = (ranges.each_ref().map(|r| r.start), ranges.each_ref().map(|r| r.len() + 2));
        let [zs, ys, xs] = ranges;
        let (image, mask) = (image.slice(s![zs.clone(), ys.clone(), xs.clone()]), mask.slice(s![zs, ys, xs]));
        let planes: Vec<_> = image.axis_iter(Axis(0)).zip(mask.axis_iter(Axis(0))).collect();
        let mut spans: Vec<Vec<Span>> = planes
            .into_par_iter()
            .map(|(image, mask)| {
                let mut spans: Vec<Span> = Vec::new();
                for (y, (image, mask)) in image.outer_iter().zip(mask.outer_iter()).enumerate() {
                    let usable = image.iter().zip(mask).enumerate().filter(|(_, (v, m))| **m != 0 && v.is_finite());
                    for (x, _) in usable {
                        match spans.last_mut().filter(|last| last.y == y + 1 && last.to == x + 1) {
                            Some(last) => last.to += 1,
                            None => spans.push(Span { y: y + 1, from: x + 1, to: x + 2 }),
                        }
                    }
                }
                spans
            })
            .collect();
        let voxels = spans.iter().flatten().map(|s| s.to - s.from).sum();
        spans.insert(0, Vec::new());
        spans.push(Vec::new());
        Self { full: [nz, ny, nx], start, shape, spans, voxels }
    }

    /// Voxels in a plane of the box.
    pub fn plane(&self) -> usize {
        self.shape[1] * self.shape[2]
    }

    /// Voxels in the box.
    pub fn len(&self) -> usize {
        self.plane() * self.shape[0]
    }

    /// The affine of the box, given that of the whole volume.
    pub fn affine(&self, whole: &Matrix4) -> Matrix4 {
        let [z, y, x] = self.start.map(|v| v as f64 - 1.0);
        let corner = apply(whole, [x, y, z]);
        let mut affine = *whole;
        affine.iter_mut().zip(corner).for_each(|(row, v)| row[3] = v);
        affine
    }

    /// What `of` makes of the voxels of `volume` (whole shape) in the spans, in the box; 0 elsewhere.
    pub fn gather<T: Sync>(&self, volume: ArrayView3<T>, of: impl Fn(&T) -> f32 + Sync) -> Vec<f32> {
        let [z0, y0, x0] = self.start;
        let mut out = vec![0.0; self.len()];
        out.par_chunks_mut(self.plane()).zip(&self.spans).enumerate().for_each(|(z, (plane, spans))| {
            for span in spans {
                let first = x0 + span.from - 1;
                let row = volume.slice(s![z0 + z - 1, y0 + span.y - 1, first..first + span.to - span.from]);
                let to = &mut plane[span.y * self.shape[2] + span.from..];
                to.iter_mut().zip(row).for_each(|(to, v)| *to = of(v));
            }
        });
        out
    }

    /// A whole volume of what `of` says of the voxels in the spans, given their index in the box; `T::default()` elsewhere.
    pub fn scatter<T: Clone + Default + Send + Sync>(&self, of: impl Fn(usize) -> T + Sync) -> Array3<T> {
        let [z0, y0, x0] = self.start;
        let [nz, ny, nx] = self.full;
        let mut out = Array3::from_elem((nz, ny, nx), T::default());
        par_planes(&mut out, 0).enumerate().for_each(|(k, mut plane)| {
            let z = (k + 1).wrapping_sub(z0);
            for span in self.spans.get(z).into_iter().flatten() {
                let from = self.plane() * z + self.shape[2] * span.y;
                let mut row = plane.row_mut(y0 + span.y - 1);
                let to = row.iter_mut().skip(x0 + span.from - 1);
                to.zip(from + span.from..from + span.to).for_each(|(to, at)| *to = of(at));
            }
        });
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gathered_comes_back_to_its_place() {
        let image = Array3::from_shape_fn((5, 6, 7), |(z, y, x)| if (z, y, x) == (2, 3, 3) { f32::NAN } else { 1.0 });
        let mask = Array3::from_shape_fn((5, 6, 7), |(z, y, x)| u8::from(z > 0 && y > 1 && x != 5));
        let region = Region::new(image.view(), mask.view());
        let usable = |at: (usize, usize, usize)| mask[at] > 0 && image[at].is_finite();
        assert_eq!(region.voxels, image.indexed_iter().filter(|(at, _)| usable(*at)).count());
        let number = Array3::from_shape_fn((5, 6, 7), |(z, y, x)| (100 * z + 10 * y + x) as f32);
        let inside = region.gather(number.view(), |v| *v);
        let back = region.scatter(|at| inside[at]);
        assert!(back.indexed_iter().all(|(at, v)| *v == if usable(at) { number[at] } else { 0.0 }));
    }

    #[test]
    fn an_empty_mask_has_no_voxels() {
        let region = Region::new(Array3::zeros((3, 3, 3)).view(), Array3::zeros((3, 3, 3)).view());
        assert_eq!((region.voxels, region.scatter(|_| 1u8).sum()), (0, 0));
    }
}
