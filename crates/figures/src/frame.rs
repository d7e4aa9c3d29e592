//! How slices of a volume are laid out in one picture: tiles in rows, a row per plane, in true proportions.
//!
//! Pictures are drawn as one sees a person from above and from behind (neurological): what is right on the
//! picture is the participant's right, front and top are up; sagittal slices look to the right.

use imaging::filter::bounding_box;
use ndarray::{Array2, ArrayView3};
use rayon::prelude::*;

/// What is shown around the mask, mm.
const MARGIN_MM: f64 = 22.0;
/// Part of the mask's extent that is left out at each end before slices are chosen, which show little there.
const ENDS: f64 = 0.1;

/// A plane through the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plane {
    Axial,
    Coronal,
    Sagittal,
}

impl Plane {
    /// The axes `[across, down, through]` as indices into `[z, y, x]`.
    const fn axes(self) -> [usize; 3] {
        match self {
            Self::Axial => [2, 1, 0],
            Self::Coronal => [2, 0, 1],
            Self::Sagittal => [1, 0, 2],
        }
    }
}

/// One slice in the picture; places and sizes in pixels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tile {
    pub plane: Plane,
    /// Index of the slice along the axis through the plane.
    pub slice: usize,
    pub x: usize,
    pub y: usize,
    pub width: usize,
    pub height: usize,
}

/// The layout of a picture. All places and sizes are even, so that it can also be drawn at half the resolution.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub width: usize,
    pub height: usize,
    pub tiles: Vec<Tile>,
    shape: [usize; 3],
    /// First and last voxel shown along z, y, x.
    shown: [[f64; 2]; 3],
    /// Pixels per voxel along z, y, x.
    pixels: [f64; 3],
}

impl Frame {
    /// Slices through the `mask` (nz, ny, nx; voxels `[dz, dy, dx]` mm): `columns` of each of `planes`, in tiles of `side`
    /// pixels across. Without a mask the whole volume is shown.
    pub fn new(mask: ArrayView3<u8>, voxel_mm: [f64; 3], planes: &[Plane], columns: usize, side: usize) -> Self {
        let shape = [mask.dim().0, mask.dim().1, mask.dim().2];
        let bounds = bounds(mask);
        let shown: [[f64; 2]; 3] = std::array::from_fn(|a| {
            let margin = MARGIN_MM / voxel_mm[a];
            [(bounds[a][0] - margin).max(0.0), (bounds[a][1] + margin).min(shape[a] as f64 - 1.0)]
        });
        let extent: [f64; 3] = std::array::from_fn(|a| (shown[a][1] - shown[a][0] + 1.0) * voxel_mm[a]);
        let per_mm = side as f64 / extent[1].max(extent[2]);
        let even = |a: usize| (2 * (0.5 * extent[a] * per_mm).round() as usize).clamp(2, 4 * side);
        let (mut tiles, mut y) = (Vec::new(), 0);
        for &plane in planes {
            let [across, down, through] = plane.axes();
            let (width, height) = (even(across).min(side), even(down));
            for c in 0..columns {
                let part = ENDS + (1.0 - 2.0 * ENDS) * (c as f64 + 0.5) / columns as f64;
                let [first, last] = bounds[through];
                let slice = (first + (last - first) * part).round() as usize;
                tiles.push(Tile { plane, slice, x: c * side + (side - width) / 4 * 2, y, width, height });
            }
            y += height;
        }
        let pixels = std::array::from_fn(|a| voxel_mm[a] * per_mm);
        Self { width: columns * side, height: y, tiles, shape, shown, pixels }
    }

    /// Draws the picture at 1 over `step` of its resolution (1 or 2): rows of values, linear between the voxels of a slice,
    /// NaN beside the tiles. `value` is asked at `[k, j, i]`.
    pub fn draw(&self, step: usize, value: impl Fn([usize; 3]) -> f32 + Sync) -> Array2<f32> {
        self.fill(step, f32::NAN, |tile| {
            let [across, down, through] = tile.plane.axes();
            let columns: Vec<_> = (0..tile.width / step).map(|u| self.between(across, u, step, false)).collect();
            let rows: Vec<_> = (0..tile.height / step).map(|v| self.between(down, v, step, true)).collect();
            let mut at = [0; 3];
            at[through] = tile.slice;
            let mut pixels = Vec::with_capacity(columns.len() * rows.len());
            for &(above, below, down_part) in &rows {
                for &(left, right, right_part) in &columns {
                    let mut corner = |row: usize, column: usize| {
                        (at[down], at[across]) = (row, column);
                        value(at)
                    };
                    let upper = mix(corner(above, left), corner(above, right), right_part);
                    let lower = mix(corner(below, left), corner(below, right), right_part);
                    pixels.push(mix(upper, lower, down_part));
                }
            }
            pixels
        })
    }

    /// For each pixel the voxel `[k, j, i]` it shows, `None` beside the tiles.
    pub fn voxels(&self, step: usize) -> Array2<Option<[usize; 3]>> {
        self.fill(step, None, |tile| {
            let [across, down, through] = tile.plane.axes();
            let nearest = |(a, b, part): (usize, usize, f32)| if part < 0.5 { a } else { b };
            let columns: Vec<_> =
                (0..tile.width / step).map(|u| nearest(self.between(across, u, step, false))).collect();
            let rows = (0..tile.height / step).map(|v| nearest(self.between(down, v, step, true)));
            let mut at = [0; 3];
            at[through] = tile.slice;
            let mut voxel = |row: usize, column: usize| {
                (at[down], at[across]) = (row, column);
                Some(at)
            };
            rows.flat_map(|row| columns.iter().map(|&column| voxel(row, column)).collect::<Vec<_>>()).collect()
        })
    }

    /// The two voxels that pixel `at` of an axis lies between, and how far it is on its way to the second.
    fn between(&self, axis: usize, at: usize, step: usize, downwards: bool) -> (usize, usize, f32) {
        let pixel = step as f64 * (at as f64 + 0.5) / self.pixels[axis];
        let [first, last] = self.shown[axis];
        let place = if downwards { last + 0.5 - pixel } else { first - 0.5 + pixel };
        let place = place.clamp(0.0, self.shape[axis] as f64 - 1.0);
        let low = place.floor() as usize;
        (low, (low + 1).min(self.shape[axis] - 1), place.fract() as f32)
    }

    /// Puts the pixels of each tile, row by row, in their place.
    fn fill<T: Copy + Send + Sync>(&self, step: usize, beside: T, of: impl Fn(&Tile) -> Vec<T> + Sync) -> Array2<T> {
        let drawn: Vec<Vec<T>> = self.tiles.par_iter().map(&of).collect();
        let mut out = Array2::from_elem((self.height / step, self.width / step), beside);
        for (tile, pixels) in self.tiles.iter().zip(drawn) {
            for (v, row) in pixels.chunks_exact((tile.width / step).max(1)).enumerate() {
                for (u, pixel) in row.iter().enumerate() {
                    if let Some(to) = out.get_mut([tile.y / step + v, tile.x / step + u]) {
                        *to = *pixel;
                    }
                }
            }
        }
        out
    }
}

fn mix(a: f32, b: f32, part: f32) -> f32 {
    a + part * (b - a)
}

/// First and last voxel of the mask along each axis; of the volume when the mask is empty.
fn bounds(mask: ArrayView3<u8>) -> [[f64; 2]; 3] {
    let found = bounding_box(mask);
    let shape = [mask.dim().0, mask.dim().1, mask.dim().2];
    std::array::from_fn(|axis| {
        let of = if found[axis].is_empty() { 0..shape[axis] } else { found[axis].clone() };
        [of.start as f64, of.end.saturating_sub(1) as f64]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    /// x, y and z can be read off the value; the voxels are 1 × 2 × 4 mm.
    fn frame() -> Frame {
        let mut mask = Array3::zeros((20, 40, 80));
        mask.slice_mut(ndarray::s![5..15, 10..30, 20..60]).fill(1);
        Frame::new(mask.view(), [4.0, 2.0, 1.0], &[Plane::Axial, Plane::Coronal, Plane::Sagittal], 3, 80)
    }

    #[test]
    fn right_is_right_front_and_top_are_up() {
        let frame = frame();
        assert_eq!((frame.width, frame.height, frame.tiles.len()), (240, 240, 9), "cubes of 80 mm fill their tiles");
        let of_axis = |axis: usize| frame.draw(1, move |at| at[axis] as f32);
        let (z, y, x) = (of_axis(0), of_axis(1), of_axis(2));
        // Axial: x grows to the right, y upwards, z from tile to tile.
        assert!(x[[40, 60]] > x[[40, 20]] && y[[10, 40]] > y[[70, 40]] && z[[40, 120]] > z[[40, 40]]);
        assert_eq!((z[[0, 0]], z[[79, 79]]), (frame.tiles[0].slice as f32, frame.tiles[0].slice as f32));
        // Coronal: z upwards. Sagittal: y to the right, z upwards.
        assert!(z[[90, 40]] > z[[150, 40]] && x[[120, 60]] > x[[120, 20]]);
        assert!(y[[200, 60]] > y[[200, 20]] && z[[170, 40]] > z[[230, 40]]);
        // A pixel is a mm: 20 of them are 20 voxels along x and 10 along y.
        assert!((x[[40, 60]] - x[[40, 40]] - 20.0).abs() < 1e-4 && (y[[20, 40]] - y[[40, 40]] - 10.0).abs() < 1e-4);
    }

    #[test]
    fn half_the_resolution_shows_the_same() {
        let frame = frame();
        let (full, half) = (frame.draw(1, |at| at[2] as f32), frame.draw(2, |at| at[2] as f32));
        assert_eq!(half.dim(), (120, 120));
        let mean = 0.25 * (full[[40, 40]] + full[[41, 40]] + full[[40, 41]] + full[[41, 41]]);
        assert!((half[[20, 20]] - mean).abs() < 1e-4);
        assert_eq!(frame.voxels(1)[[0, 0]], Some([frame.tiles[0].slice, 39, 0]));
    }

    #[test]
    fn an_empty_mask_shows_the_whole_volume() {
        let frame = Frame::new(Array3::zeros((4, 4, 4)).view(), [1.0; 3], &[Plane::Axial], 1, 8);
        assert_eq!((frame.width, frame.height, frame.tiles[0].slice), (8, 8, 2));
    }
}
