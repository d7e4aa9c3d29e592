//! Validate: is this the kind of image its name says, with signal in it and a time axis that makes sense?

use super::load::Read;
use super::timing::{Timing, timing};
use crate::bids::Modality;
use crate::error::ErrorCode;
use crate::plan::ScanPlan;
use crate::step::{Found, StageError};
use crate::telemetry::names;
use ndarray::{Array3, Array4, ArrayView2, ArrayView3, ArrayView4, Axis};
use nifti::Header;
use rayon::prelude::*;

/// Fewest volumes of a series that motion and noise can be estimated from; fMRIPrep has the same limit.
const MIN_VOLUMES: usize = 6;
/// Fewest voxels along an axis: less is a localiser or a single slice, which no method here can work on.
const MIN_VOXELS: usize = 8;
/// A T1w image that can be worked on.
pub struct Volume {
    /// The input's: writing puts arrays back into its axis order and affine.
    pub header: Header,
    /// `(nz, ny, nx)`.
    pub voxels: Array3<f32>,
}

/// A bold run that can be worked on.
pub struct Series {
    /// The input's, with the repetition time that holds; without one where volumes do not come at equal times.
    pub header: Header,
    /// `(nt, nz, ny, nx)`.
    pub voxels: Array4<f32>,
    /// The moment that all slices were brought to, s after a volume began.
    pub moment: Option<f64>,
}

/// Checks a T1w image.
pub fn t1w(read: Read, plan: &ScanPlan, strict: bool, found: &mut Found) -> Result<Volume, StageError> {
    plan.oddities.iter().for_each(|note| found.note(note.clone()));
    let checked =
        check(&read, Modality::T1w, &plan.id).and_then(|negative| conclude(negative, (&plan.id, strict), found));
    passed(&checked, found);
    checked?;
    // One volume, as was just checked.
    Ok(Volume { header: read.header, voxels: read.voxels.index_axis_move(Axis(0), 0) })
}

/// Checks a bold run, and settles its repetition time.
pub fn bold(read: Read, plan: &ScanPlan, strict: bool, found: &mut Found) -> Result<Series, StageError> {
    plan.oddities.iter().for_each(|note| found.note(note.clone()));
    let checked = check(&read, Modality::Bold, &plan.id).and_then(|negative| {
        let volumes = read.voxels.dim().0;
        let Timing { repetition, note } = timing(read.header.tr_seconds(), &plan.metadata, volumes, &plan.id)?;
        note.into_iter().for_each(|note| found.note(note));
        conclude(negative, (&plan.id, strict), found)?;
        Ok(repetition)
    });
    passed(&checked, found);
    // A header says by 0 that there is none.
    let repetition = checked?.unwrap_or(0.0);
    Ok(Series { header: read.header.with_tr_seconds(repetition), voxels: read.voxels, moment: None })
}

/// The number of negative voxels of an image that is what its name says.
fn check(read: &Read, modality: Modality, id: &str) -> Result<usize, StageError> {
    check_dimensions(read.voxels.dim(), modality, id)?;
    check_signal(read.voxels.view(), id)
}

/// Notes negative voxels, and with `--strict` refuses anything odd.
fn conclude(negative: usize, (id, strict): (&str, bool), found: &mut Found) -> Result<(), StageError> {
    if negative > 0 {
        found
            .note(format!("{negative} voxels are negative, which a magnitude image should not have; kept as they are"));
    }
    found.known.odd = !found.known.notes.is_empty();
    if found.known.odd && strict {
        return Err(StageError::Strict { scan: id.to_owned(), notes: found.known.notes.join("; ") });
    }
    Ok(())
}

fn passed<T>(checked: &Result<T, StageError>, found: &mut Found) {
    match checked {
        Ok(_) => found.event(names::VALIDATION_PASSED, vec![]),
        Err(e) => found.event(names::ERROR_DETECTED, vec![(names::EXCEPTION_MESSAGE, e.to_string().into())]),
    }
}

fn check_dimensions(
    (nt, nz, ny, nx): (usize, usize, usize, usize),
    modality: Modality,
    id: &str,
) -> Result<(), StageError> {
    let refuse = |message| Err(StageError::Invalid { code: ErrorCode::WrongDimensions, message });
    if [nz, ny, nx].iter().any(|&n| n < MIN_VOXELS) {
        return refuse(format!("{id} has {nx}x{ny}x{nz} voxels; at least {MIN_VOXELS} along each axis are needed"));
    }
    match modality {
        Modality::T1w if nt != 1 => refuse(format!("{id} is named T1w but has {nt} volumes; a T1w image has one")),
        Modality::Bold if nt == 1 => {
            refuse(format!("{id} is named bold but has a single volume; a bold run is a 4-D series"))
        }
        Modality::Bold if nt < MIN_VOLUMES => {
            refuse(format!("{id} has {nt} volumes; at least {MIN_VOLUMES} are needed to estimate motion and noise"))
        }
        _ => Ok(()),
    }
}

/// Refuses an empty or constant image; returns how many voxels are negative.
pub(super) fn check_signal(image: ArrayView4<'_, f32>, id: &str) -> Result<usize, StageError> {
    let slices: Vec<_> = image.outer_iter().flat_map(ArrayView3::into_outer_iter).collect();
    let nothing = (f32::INFINITY, f32::NEG_INFINITY, 0_usize);
    let both = |a: (f32, f32, usize), b: (f32, f32, usize)| (a.0.min(b.0), a.1.max(b.1), a.2 + b.2);
    let (low, high, negative) = slices.into_par_iter().map(extremes).reduce(|| nothing, both);
    if low < high {
        return Ok(negative);
    }
    let message = format!("every voxel of {id} is {low}; there is nothing to process");
    Err(StageError::Invalid { code: ErrorCode::NoSignal, message })
}

/// Least and largest value of a slice, and how many are negative: in several columns, which the processor looks at side by
/// side.
fn extremes(slice: ArrayView2<'_, f32>) -> (f32, f32, usize) {
    const COLUMNS: usize = 16;
    let slice = slice.as_standard_layout();
    let (chunks, rest) = slice.as_slice().unwrap_or_default().as_chunks::<COLUMNS>();
    let (mut low, mut high, mut negative) = ([f32::INFINITY; COLUMNS], [f32::NEG_INFINITY; COLUMNS], [0_u32; COLUMNS]);
    let mut look = |column: usize, v: f32| {
        low[column] = if v < low[column] { v } else { low[column] };
        high[column] = if v > high[column] { v } else { high[column] };
        negative[column] += u32::from(v < 0.0);
    };
    chunks.iter().for_each(|chunk| (0..COLUMNS).for_each(|c| look(c, chunk[c])));
    rest.iter().enumerate().for_each(|(c, v)| look(c, *v));
    (
        low.into_iter().fold(f32::INFINITY, f32::min),
        high.into_iter().fold(f32::NEG_INFINITY, f32::max),
        negative.into_iter().map(|n| n as usize).sum(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Coded;
    use ndarray::Array4;

    #[test]
    fn dimensions_must_fit_the_name() {
        let code = |dim, m| check_dimensions(dim, m, "x").err().map(|e| e.code());
        assert_eq!(code((1, 20, 20, 20), Modality::T1w), None);
        assert_eq!(code((2, 20, 20, 20), Modality::T1w), Some(ErrorCode::WrongDimensions));
        assert_eq!(code((1, 1, 20, 20), Modality::T1w), Some(ErrorCode::WrongDimensions));
        assert_eq!(code((1, 20, 20, 20), Modality::Bold), Some(ErrorCode::WrongDimensions));
        assert_eq!(code((5, 20, 20, 20), Modality::Bold), Some(ErrorCode::WrongDimensions));
        assert_eq!(code((6, 20, 20, 20), Modality::Bold), None);
    }

    #[test]
    fn an_image_without_signal_is_refused() {
        let constant = Array4::from_elem((1, 2, 2, 2), 7.0);
        assert_eq!(check_signal(constant.view(), "x").unwrap_err().code(), ErrorCode::NoSignal);
        let mut image = constant;
        image[[0, 0, 0, 0]] = -1.0;
        assert_eq!(check_signal(image.view(), "x").unwrap(), 1);
    }
}
