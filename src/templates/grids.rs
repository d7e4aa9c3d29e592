//! The grids on which outputs in a template's space lie.

use super::{Template, TemplateError, find};
use crate::vocabulary::{Resolution, TemplateId};
use nifti::{Grid, read_header};
use std::path::Path;

/// A grid of TemplateFlow's whose axes are those of space.
struct Known {
    template: &'static str,
    number: u8,
    /// `(nz, ny, nx)`.
    shape: [usize; 3],
    mm: f64,
    /// Of the first voxel, x y z.
    origin: [f64; 3],
}

/// The grids of the two templates that the tools downstream take, so that they are the same on every machine.
const KNOWN: [Known; 4] = [
    Known {
        template: "MNI152NLin2009cAsym",
        number: 1,
        shape: [193, 229, 193],
        mm: 1.0,
        origin: [-96.0, -132.0, -78.0],
    },
    Known { template: "MNI152NLin2009cAsym", number: 2, shape: [97, 115, 97], mm: 2.0, origin: [-96.5, -132.5, -78.5] },
    Known { template: "MNI152NLin6Asym", number: 1, shape: [182, 218, 182], mm: 1.0, origin: [-91.0, -126.0, -72.0] },
    Known { template: "MNI152NLin6Asym", number: 2, shape: [91, 109, 91], mm: 2.0, origin: [-90.0, -126.0, -72.0] },
];

/// Voxels on one axis of the finest grid that is made: 0.25 mm over a template.
const MAX_EXTENT: usize = 1024;

/// The grid of this number, if it is one of the known ones.
pub(super) fn known(id: &TemplateId, number: u8) -> Option<Grid> {
    let grid = KNOWN.iter().find(|g| g.template == id.name() && g.number == number && id.cohort().is_none())?;
    let Known { shape, mm, origin: [x, y, z], .. } = *grid;
    let affine = [[mm, 0.0, 0.0, x], [0.0, mm, 0.0, y], [0.0, 0.0, mm, z], [0.0, 0.0, 0.0, 1.0]];
    Some(Grid { shape, voxel_mm: [mm; 3], affine })
}

/// The grid of an output in a template's space. `native_mm` is the voxel size `[dz, dy, dx]` of a bold series; without it, as
/// for anatomical images, unsaid and native resolutions mean the template's own grid. `home` is the folder of templates, whose
/// files have the grids that are not known here.
///
/// # Errors
/// [`TemplateError::NoGrid`] for a number that the template does not have, [`TemplateError::TooFine`] for voxels far too small,
/// [`TemplateError::Unreadable`] for a file that has the grid and cannot be read.
pub fn output_grid(
    template: &Template,
    home: Option<&Path>,
    resolution: Resolution,
    native_mm: Option<[f64; 3]>,
) -> Result<Grid, TemplateError> {
    let id = &template.id;
    match (resolution, native_mm) {
        (Resolution::Unsaid | Resolution::Native, None) => Ok(template.grid.clone()),
        (Resolution::Unsaid | Resolution::Native, Some(mm)) => {
            covering(&template.grid, mm).map_err(|shape| TemplateError::TooFine { id: id.clone(), shape })
        }
        (Resolution::Numbered(number), _) => {
            if let Some(grid) = known(id, number) {
                return Ok(grid);
            }
            if number == template.resolution {
                return Ok(template.grid.clone());
            }
            let Some(file) = home.and_then(|home| find::any_image(home, id, number)) else {
                return Err(no_grid(template, home, number));
            };
            let header =
                read_header(&file).map_err(|e| TemplateError::Unreadable { id: id.clone(), source: Box::new(e) })?;
            Ok(header.grid().clone())
        }
    }
}

fn no_grid(template: &Template, home: Option<&Path>, number: u8) -> TemplateError {
    let id = template.id.clone();
    let has = |&n: &u8| {
        n == template.resolution
            || known(&id, n).is_some()
            || home.is_some_and(|h| find::any_image(h, &id, n).is_some())
    };
    let known: Vec<String> = (1..=9).filter(has).map(|n| format!("res-{n}")).collect();
    TemplateError::NoGrid { number, known: known.join(", "), id }
}

/// A grid of other voxels, of `mm` `[dz, dy, dx]`, over the same field of view: the same directions and centre, and no part of
/// the field left out.
///
/// # Errors
/// The extents, where they are far more than makes sense.
pub fn covering(grid: &Grid, mm: [f64; 3]) -> Result<Grid, [usize; 3]> {
    // Arrays count axes from z, affines from x: voxels and direction along x, y, z.
    let (size, wanted) = ([2, 1, 0].map(|axis| grid.voxel_mm[axis]), [mm[2], mm[1], mm[0]]);
    let had = [2, 1, 0].map(|axis| grid.shape[axis] as f64);
    // A hundredth of a voxel of rounding is no reason for another one.
    let count: [f64; 3] = std::array::from_fn(|c| (had[c] * size[c] / wanted[c] - 0.01).ceil().max(1.0));
    let half = |n: f64, step: f64| (n - 1.0) / 2.0 * step;
    let mut affine = grid.affine;
    for row in affine.iter_mut().take(3) {
        for c in 0..3 {
            let direction = row[c] / size[c];
            row[3] += direction * (half(had[c], size[c]) - half(count[c], wanted[c]));
            row[c] = direction * wanted[c];
        }
    }
    let extent = |c: usize| if count[c].is_finite() { count[c] as usize } else { usize::MAX };
    let out = Grid { shape: [extent(2), extent(1), extent(0)], voxel_mm: mm, affine };
    let sound = mm.iter().all(|&v| v.is_finite() && v > 0.0) && out.shape.iter().all(|&n| n <= MAX_EXTENT);
    if sound { Ok(out) } else { Err(out.shape) }
}
