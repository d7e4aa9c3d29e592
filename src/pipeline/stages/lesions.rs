//! The lesions of a T1w image, from the masks that lie beside it: what is not compared with a template.

use crate::plan::ScanPlan;
use crate::step::{Found, StageError};
use imaging::brain::Brain;
use imaging::resampling::Places;
use imaging::rigid::{compose, invert_affine};
use ndarray::{Array3, Axis, Zip};
use nifti::Grid;

/// Of more than this part of the brain little is left to compare.
const MOST: f64 = 0.5;

/// What of a T1w image is lesion.
pub struct Lesion {
    /// 1 where it is, on the grid of the image.
    pub mask: Array3<u8>,
    /// How much of the brain, ml.
    pub ml: f64,
}

/// All masks of a scan as one on its grid, by the headers; `None` where it has none. Any value but 0 is lesion: some masks tell
/// kinds of tissue apart.
///
/// # Errors
/// A mask that cannot be read: without it the brain would be brought to the template as if it had no lesion. What is odd about
/// them, when that is refused.
pub fn t1w(
    (plan, strict): (&ScanPlan, bool),
    grid: &Grid,
    brain: &Brain,
    found: &mut Found,
) -> Result<Option<Lesion>, StageError> {
    let mut all = Array3::zeros(grid.shape);
    for lesion in &plan.lesions {
        let read = nifti::read(&lesion.path)?;
        let name = lesion.relative.display();
        if read.data.len_of(Axis(0)) > 1 {
            let n = read.data.len_of(Axis(0));
            found.odd(format!("{name}: only the first of its {n} volumes is used"), &plan.id, strict)?;
        }
        let own = read.header.grid();
        let mask = read.data.index_axis(Axis(0), 0).mapv(|v| f32::from(u8::from(v != 0.0 && v.is_finite())));
        let here = if own.shape == grid.shape && own.affine == grid.affine {
            mask
        } else {
            let to_mask = invert_affine(&own.affine).ok_or(imaging::motion::MotionError::SingularGrid)?;
            Places::of(grid.shape, &compose(&to_mask, &grid.affine)).linear(mask.view(), false)
        };
        Zip::from(&mut all).and(&here).for_each(|all, share| *all |= u8::from(*share >= 0.5));
        found.known.beside.push((lesion.relative.clone(), read.fingerprint));
    }
    if plan.lesions.is_empty() {
        return Ok(None);
    }
    let share = share(&all, brain);
    let ml = share * brain.volume_ml;
    let names: Vec<String> = plan.lesions.iter().map(|lesion| lesion.relative.display().to_string()).collect();
    let names = names.join(", ");
    if share == 0.0 {
        let note = format!("{names}: no lesion inside the brain; check that the mask was drawn on this image");
        found.odd(note, &plan.id, strict)?;
    } else if share > MOST {
        let note = format!("{names}: {:.0} % of the brain is lesion; check that 0 means healthy tissue", 100.0 * share);
        found.odd(note, &plan.id, strict)?;
    } else {
        found.note(format!("{names}: {ml:.1} ml of lesion are left out of the registration"));
    }
    Ok(Some(Lesion { mask: all, ml }))
}

/// How much of the brain is lesion, 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "counts of voxels")]
fn share(lesion: &Array3<u8>, brain: &Brain) -> f64 {
    let (mut both, mut whole) = (0_usize, 0_usize);
    Zip::from(lesion).and(&brain.mask).for_each(|lesion, brain| {
        whole += usize::from(*brain != 0);
        both += usize::from(*brain != 0 && *lesion != 0);
    });
    both as f64 / whole.max(1) as f64
}
