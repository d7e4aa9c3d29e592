//! A scan and the template it was brought to, slice by slice in the same frame, so that one can be flipped for the other.

use super::frame::{Frame, Plane};
use super::{COLUMNS, FigureError, Mosaic, PictureKind, SIDE, SOFT, Volume, anatomy, contour, labels, paint};
use ndarray::ArrayView3;

/// A scan on a grid of a template, and the template there. All arrays are `(nz, ny, nx)`, RAS+.
#[derive(Clone, Copy, Debug)]
pub struct OnTemplate<'a> {
    /// The scan.
    pub scan: ArrayView3<'a, f32>,
    /// The template.
    pub template: ArrayView3<'a, f32>,
    /// The template's brain.
    pub mask: ArrayView3<'a, u8>,
    /// Voxel sizes `[dz, dy, dx]` in mm.
    pub voxel_mm: [f64; 3],
    /// From voxel `(i, j, k)` to RAS mm of the template.
    pub affine: [[f64; 4]; 4],
}

/// Both pictures as JPEG files, and what lies on them.
pub type TemplatePictures = ([(PictureKind, Vec<u8>); 2], Mosaic);

/// Draws both with the same slices; the outline is that of the template's brain.
///
/// # Errors
/// [`FigureError`], which would be a defect.
pub fn draw_on_template(there: &OnTemplate<'_>) -> Result<TemplatePictures, FigureError> {
    let planes = [Plane::Axial, Plane::Coronal, Plane::Sagittal];
    let frame = Frame::new(there.mask, there.voxel_mm, &planes, COLUMNS, SIDE);
    let inside = frame.voxels(1).mapv(|at| at.is_some_and(|at| there.mask[at] != 0));
    let draw = |image: ArrayView3<'_, f32>| anatomy(&frame.draw(1, |at| image[at]));
    let ((scan, template), outline) =
        rayon::join(|| rayon::join(|| draw(there.scan), || draw(there.template)), || contour::outline(inside.view()));
    let volume = Volume {
        image: there.scan,
        mask: there.mask,
        field: there.scan,
        cv: [0.0; 2],
        voxel_mm: there.voxel_mm,
        affine: there.affine,
        sides_known: true,
    };
    let mosaic = Mosaic {
        width: frame.width,
        height: frame.height,
        outline,
        labels: labels(&frame, &volume),
        sides_known: true,
    };
    Ok(([(PictureKind::OnTemplate, scan?), (PictureKind::Template, template?)], mosaic))
}

/// The ratios of volumes that the ends of the scale stand for: half and twice as large. In between it is logarithmic.
pub const RATIOS: [f32; 2] = [0.5, 2.0];

/// Draws how many times as large as in the template each place of a scan is, in the slices of [`draw_on_template`] and at half their resolution:
/// `ratio` is asked for voxels `[k, j, i]` in `mask`; the rest is black.
///
/// # Errors
/// [`FigureError`], which would be a defect.
pub fn draw_volume_ratio(
    mask: ArrayView3<'_, u8>,
    voxel_mm: [f64; 3],
    ratio: impl Fn([usize; 3]) -> f64,
) -> Result<Vec<u8>, FigureError> {
    let planes = [Plane::Axial, Plane::Coronal, Plane::Sagittal];
    let frame = Frame::new(mask, voxel_mm, &planes, COLUMNS, SIDE);
    let inside = |at: Option<[usize; 3]>| at.filter(|at| mask[*at] != 0);
    let values = frame.voxels(2).mapv(|at| inside(at).map_or(f32::NAN, |at| ratio(at).log2() as f32));
    paint::coloured(values.view(), RATIOS.map(f32::log2), &paint::DIVERGING, SOFT)
}
