//! The template of a head that brain extraction carries its mask over from: an image and the distance from its brain.

use ndarray::{Array3, ArrayView3};

use crate::registration::Fixed;
use crate::registration::placed::{Placed, resample, voxel_size};
use crate::rigid::{Matrix4, apply, compose, invert_affine};

/// How far around the brain the head counts for the affine map, in mm: scalp and skull, but no neck and no face.
const AROUND_MM: f32 = 20.0;
/// The same for a brain without its head.
const AROUND_STRIPPED_MM: f32 = 6.0;
/// The levels of the affine search, mm.
pub(crate) const LEVELS_MM: [f64; 2] = [8.0, 4.0];
/// Scalp and skull above the brain, in mm.
const ABOVE_MM: f64 = 12.0;

/// A head with T1 contrast, and what is known of it.
#[derive(Clone, Debug)]
pub struct HeadTemplate {
    /// Intensities, about 0 to 1.
    pub(crate) image: Placed,
    /// Distance in mm from the surface of the brain, negative inside; of the image's grid.
    pub(crate) distance: Placed,
    /// The image at the levels of the affine search, where it counts.
    pub(crate) levels: [Fixed; 2],
    /// Centre of the brain, and the height of the top of the head, in mm.
    pub(crate) centre: [f64; 3],
    pub(crate) top: f64,
}

/// Why arrays are no template.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum TemplateError {
    /// Image and distance have different shapes.
    #[error("the template's image and distance have different shapes; make both with the same script")]
    Shape,
    /// No voxel lies inside the brain.
    #[error("the template's distance is nowhere negative, so it has no brain; make it again")]
    NoBrain,
    /// The matrix is no map between voxels and mm along the axes.
    #[error("the template's matrix must be a scaling with a shift, of positive voxel sizes; make it again")]
    Matrix,
}

impl HeadTemplate {
    /// A template from its `image` (any unsigned scale) and the `distance` from its brain in units of `unit_mm`, negative
    /// inside, both `[[k, j, i]]`; `to_world` maps voxels to mm and only scales and shifts.
    ///
    /// # Errors
    /// [`TemplateError`] when the arrays do not make a template.
    pub fn new(
        image: ArrayView3<u8>,
        distance: ArrayView3<i8>,
        unit_mm: f32,
        to_world: Matrix4,
    ) -> Result<Self, TemplateError> {
        if image.dim() != distance.dim() {
            return Err(TemplateError::Shape);
        }
        let straight = |r: usize, c: usize| if r == c { to_world[r][c] > 0.0 } else { to_world[r][c] == 0.0 };
        if !(0..9).all(|at| straight(at / 3, at % 3)) {
            return Err(TemplateError::Matrix);
        }
        let image = image.mapv(|v| f32::from(v) / 255.0);
        let distance = distance.mapv(|v| f32::from(v) * unit_mm);
        Self::of(Placed { voxels: image, to_world }, Placed { voxels: distance, to_world }, AROUND_MM)
    }

    /// The same brain without its head, for scans that have none.
    pub(crate) fn stripped(&self) -> Result<Self, TemplateError> {
        let mut image = self.image.clone();
        ndarray::Zip::from(&mut image.voxels).and(&self.distance.voxels).for_each(|v, &d| {
            if d > 0.0 {
                *v = 0.0;
            }
        });
        Self::of(image, self.distance.clone(), AROUND_STRIPPED_MM)
    }

    /// The brain as an EPI shows it: CSF brightest, white matter darkest, the head around it dim.
    pub(crate) fn echo_planar(&self) -> Result<Self, TemplateError> {
        let mut image = self.image.clone();
        ndarray::Zip::from(&mut image.voxels).and(&self.distance.voxels).for_each(|v, &d| {
            *v = if d > 0.0 { 0.08 } else { (1.0 - *v).max(0.2) };
        });
        Self::of(image, self.distance.clone(), AROUND_STRIPPED_MM)
    }

    fn of(image: Placed, distance: Placed, around: f32) -> Result<Self, TemplateError> {
        let (mut sum, mut count, mut highest) = ([0.0; 3], 0.0, 0);
        for ((k, j, i), _) in distance.voxels.indexed_iter().filter(|(_, d)| **d < 0.0) {
            sum.iter_mut().zip([i, j, k]).for_each(|(s, v)| *s += v as f64);
            count += 1.0;
            highest = highest.max(k);
        }
        if count == 0.0 {
            return Err(TemplateError::NoBrain);
        }
        let to_world = image.to_world;
        let centre = apply(&to_world, sum.map(|s| s / count));
        let top = apply(&to_world, [0.0, 0.0, highest as f64])[2] + ABOVE_MM;
        let level = |mm: f64| -> Option<Fixed> {
            let coarse = image.coarser(mm);
            let map = compose(&invert_affine(&to_world)?, &coarse.to_world);
            let [nx, ny, nz] = coarse.size();
            let near = resample(distance.voxels.view(), &map, [nz, ny, nx], f32::MAX);
            Some(Fixed::new(&coarse, near.mapv(|d| u8::from(d < around)).view()))
        };
        let levels = [level(LEVELS_MM[0]), level(LEVELS_MM[1])];
        let [Some(first), Some(second)] = levels else { return Err(TemplateError::Matrix) };
        Ok(Self { image, distance, levels: [first, second], centre, top })
    }

    /// Lengths in mm of the template's voxels along x, y, z.
    #[must_use]
    pub fn voxel_mm(&self) -> [f64; 3] {
        voxel_size(&self.image.to_world)
    }

    /// The volume of the template's brain in ml.
    #[must_use]
    pub fn brain_ml(&self) -> f64 {
        let inside = self.distance.voxels.iter().filter(|d| **d < 0.0).count();
        inside as f64 * self.voxel_mm().iter().product::<f64>() / 1000.0
    }

    /// The box of the voxels within `mm` of the brain: first and one past the last along z, y, x.
    pub(crate) fn box_around(&self, mm: f32) -> [std::ops::Range<usize>; 3] {
        let near: Array3<u8> = self.distance.voxels.mapv(|d| u8::from(d < mm));
        crate::filter::bounding_box(near.view())
    }
}
