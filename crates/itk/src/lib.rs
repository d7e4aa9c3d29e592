//! Transforms in the files of ITK, which ANTs, fMRIPrep, XCP-D and nitransforms read: composite HDF5 (`.h5`) of affines
//! and displacement fields, and text (`.txt`) of one affine or a series of them.
//!
//! A transform here is a map of points, as in ITK: the file `from-T1w_to-MNI…_xfm` maps a point of the *output* image's
//! space (MNI) to the point of the input (T1w) whose value belongs there. In memory all is RAS+ millimetres; the files are
//! LPS+, and the change of sign is exact, so that what is read back is what was written, to the bit.
//!
//! HDF5 is written and read by the crate `hdf5-pure`: no C library. Files have no time and no host in them: equal
//! transforms give equal bytes.
//!
//! Sources: `itkHDF5TransformIO`, `itkTxtTransformIO` and the ITK Software Guide on transforms; HDF5 file format 3.0.

mod error;
mod h5_read;
mod h5_write;
mod lps;
mod text;

pub use error::ItkError;
pub use h5_read::read_h5;
pub use h5_write::write_h5;
pub use text::{read_text, write_text};

use ndarray::{Array4, ArrayView4};

/// A displacement at each voxel of a grid: the point `p` goes to `p + u(p)`.
#[derive(Clone, Debug, PartialEq)]
pub struct DisplacementField {
    /// From a voxel `(i, j, k, 1)` of the field's grid to RAS+ millimetres.
    pub affine: [[f64; 4]; 4],
    /// `(nz, ny, nx, 3)`: the displacement along x, y, z in RAS+ millimetres.
    pub vectors: Array4<f32>,
}

/// One step of a transform.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// RAS+ millimetres to RAS+ millimetres.
    Affine([[f64; 4]; 4]),
    /// A displacement field.
    Field(DisplacementField),
}

/// One step of a transform to be written, borrowed; a field's array may be a view of any layout.
#[derive(Clone, Copy, Debug)]
pub enum StepView<'a> {
    /// As [`Step::Affine`].
    Affine(&'a [[f64; 4]; 4]),
    /// As [`DisplacementField`]: the affine of its grid, and its vectors `(nz, ny, nx, 3)`. A planar field `(3, nz, ny,
    /// nx)` becomes such a view by `permuted_axes([1, 2, 3, 0])`.
    Field(&'a [[f64; 4]; 4], ArrayView4<'a, f32>),
}

/// A map of points in several steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Composite {
    /// The steps in the order in which a point takes them. (ITK's files have the last one first.)
    pub steps: Vec<Step>,
}

impl Step {
    fn view(&self) -> StepView<'_> {
        match self {
            Self::Affine(affine) => StepView::Affine(affine),
            Self::Field(field) => StepView::Field(&field.affine, field.vectors.view()),
        }
    }
}

impl Composite {
    /// The steps, borrowed for writing.
    #[must_use]
    pub fn views(&self) -> Vec<StepView<'_>> {
        self.steps.iter().map(Step::view).collect()
    }

    /// Where a point (x, y, z) in RAS+ millimetres goes. Displacements are interpolated linearly; outside its grid a field
    /// moves nothing, as in ITK. For checks and a few points: each call inverts the grids' affines.
    #[must_use]
    pub fn map(&self, point: [f64; 3]) -> [f64; 3] {
        self.steps.iter().fold(point, |p, step| match step {
            Step::Affine(affine) => apply(affine, p),
            Step::Field(field) => {
                let u = field.at(p);
                [p[0] + u[0], p[1] + u[1], p[2] + u[2]]
            }
        })
    }
}

impl DisplacementField {
    /// The displacement at a point in RAS+ millimetres: linear within the grid, that of the outermost voxel in the half
    /// voxel around it, and zero beyond.
    #[must_use]
    pub fn at(&self, point: [f64; 3]) -> [f64; 3] {
        let Some(inverse) = lps::inverse(&self.affine) else { return [0.0; 3] };
        let (nz, ny, nx, parts) = self.vectors.dim();
        let (voxel, extents) = (apply(&inverse, point), [nx, ny, nz]);
        let outside = |(v, &n): (&f64, &usize)| !(-0.5..n as f64 - 0.5).contains(v);
        if parts != 3 || voxel.iter().zip(&extents).any(outside) {
            return [0.0; 3];
        }
        // The voxel below on each axis, the one above, and the share of the latter.
        let along: [(usize, usize, f64); 3] = std::array::from_fn(|a| {
            let at = voxel[a].clamp(0.0, (extents[a] - 1) as f64);
            let low = at.floor() as usize;
            (low, (low + 1).min(extents[a] - 1), at - at.floor())
        });
        let mut sum = [0.0; 3];
        for corner in 0..8 {
            let pick = |a: usize| {
                let (low, high, share) = along[a];
                if corner >> a & 1 == 1 { (high, share) } else { (low, 1.0 - share) }
            };
            let ((i, x), (j, y), (k, z)) = (pick(0), pick(1), pick(2));
            for (c, total) in sum.iter_mut().enumerate() {
                *total += x * y * z * f64::from(self.vectors[[k, j, i, c]]);
            }
        }
        sum
    }
}

/// Rounds displacements to steps of 2⁻¹⁴ mm (0.00006 mm), ties to even. What is rounded compresses to about half the
/// bytes, and an error of 0.00003 mm is far below what any registration knows. To be done before a field is first used, so
/// that a run that reads it back computes what the first run did. Rounding twice changes nothing.
pub fn round(vectors: &mut Array4<f32>) {
    const STEPS_PER_MM: f32 = 16384.0;
    vectors.par_mapv_inplace(|v| (v * STEPS_PER_MM).round_ties_even() / STEPS_PER_MM);
}

fn apply(affine: &[[f64; 4]; 4], p: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|r| affine[r][0] * p[0] + affine[r][1] * p[1] + affine[r][2] * p[2] + affine[r][3])
}

#[cfg(test)]
mod tests;
