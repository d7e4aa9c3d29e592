//! Validate: is this the kind of image its name says, with signal in it and a time axis that makes sense?

use super::load::Read;
use crate::bids::Modality;
use crate::error::ErrorCode;
use crate::plan::ScanPlan;
use crate::step::{Found, StageError};
use crate::telemetry::names;
use ndarray::{Array3, Array4, ArrayView2, ArrayView3, ArrayView4, Axis};
use nifti::Header;
use rayon::prelude::*;
use serde_json::{Map, Value};

/// Fewest volumes of a series that motion and noise can be estimated from; fMRIPrep has the same limit.
const MIN_VOLUMES: usize = 6;
/// Fewest voxels along an axis: less is a localiser or a single slice, which no method here can work on.
const MIN_VOXELS: usize = 8;
/// Header and sidecar may differ by what a 32-bit header cannot hold.
const TR_TOLERANCE_S: f64 = 0.001;
/// No MRI sequence repeats slower than this; larger values are milliseconds.
const MAX_TR_S: f64 = 100.0;
/// Nor faster than this.
const MIN_TR_S: f64 = 0.01;

/// A T1w image that can be worked on.
pub struct Volume {
    /// The input's: writing puts arrays back into its axis order and affine.
    pub header: Header,
    /// `(nz, ny, nx)`.
    pub voxels: Array3<f32>,
}

/// A bold run that can be worked on.
pub struct Series {
    /// The input's, with the repetition time that holds.
    pub header: Header,
    /// `(nt, nz, ny, nx)`.
    pub voxels: Array4<f32>,
    /// The moment that all slices were brought to, s after a volume began.
    pub moment: Option<f64>,
}

/// Checks a T1w image.
pub fn t1w(read: Read, plan: &ScanPlan, strict: bool, found: &mut Found) -> Result<Volume, StageError> {
    let checked =
        check(&read, Modality::T1w, &plan.id).and_then(|negative| conclude(negative, (&plan.id, strict), found));
    passed(&checked, found);
    checked?;
    // One volume, as was just checked.
    Ok(Volume { header: read.header, voxels: read.voxels.index_axis_move(Axis(0), 0) })
}

/// Checks a bold run, and settles its repetition time.
pub fn bold(read: Read, plan: &ScanPlan, strict: bool, found: &mut Found) -> Result<Series, StageError> {
    let checked = check(&read, Modality::Bold, &plan.id).and_then(|negative| {
        let (tr, note) = repetition_time(read.header.tr_seconds(), &plan.metadata, &plan.id)?;
        note.into_iter().for_each(|note| found.note(note));
        conclude(negative, (&plan.id, strict), found)?;
        Ok(tr)
    });
    passed(&checked, found);
    Ok(Series { header: read.header.with_tr_seconds(checked?), voxels: read.voxels, moment: None })
}

/// The number of negative voxels of an image that is what its name says.
fn check(read: &Read, modality: Modality, id: &str) -> Result<usize, StageError> {
    check_dimensions(read.voxels.dim(), modality, id)?;
    check_signal(read.voxels.view(), id)
}

/// Notes negative voxels, and refuses what is odd where that was asked for.
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

/// The repetition time in seconds: the sidecar's, as BIDS has it, else the header's. The note says what was odd.
fn repetition_time(
    header: Option<f64>,
    metadata: &Map<String, Value>,
    id: &str,
) -> Result<(f64, Option<String>), StageError> {
    let usable = |tr: f64| tr.is_finite() && tr > 0.0;
    let written = metadata.get("RepetitionTime");
    let sidecar = written.and_then(Value::as_f64).filter(|&t| usable(t));
    let header = header.filter(|&t| usable(t));
    let refuse = |message| Err(StageError::Invalid { code: ErrorCode::BadTiming, message });
    let no_sidecar = || match written {
        Some(value) => format!("RepetitionTime is {value} in the sidecar, which is not a number of seconds"),
        None => "the sidecar has no RepetitionTime".to_owned(),
    };
    match (sidecar, header) {
        (Some(s), _) if s < MIN_TR_S => {
            refuse(format!("RepetitionTime of {id} is {s} in the sidecar, too fast for any sequence; write seconds"))
        }
        (Some(s), _) if s / 1000.0 > MAX_TR_S => {
            refuse(format!("RepetitionTime of {id} is {s} in the sidecar, too slow for any sequence; write seconds"))
        }
        (Some(s), _) if s > MAX_TR_S => {
            let tr = s / 1000.0;
            Ok((tr, Some(format!("RepetitionTime {s} of the sidecar is taken for milliseconds: {tr} s"))))
        }
        (Some(s), Some(h)) if (s - h).abs() > TR_TOLERANCE_S => {
            let note = format!("RepetitionTime is {s} s in the sidecar but {h} s in the header; the sidecar's is used");
            Ok((s, Some(note)))
        }
        (Some(s), _) => Ok((s, None)),
        (None, Some(h)) if (MIN_TR_S..=MAX_TR_S).contains(&h) => {
            Ok((h, Some(format!("{}; the header's {h} s is used", no_sidecar()))))
        }
        (None, Some(h)) => refuse(format!(
            "{id} has a repetition time of {h} s in its header, which may be meant as milliseconds, and {}",
            no_sidecar()
        )),
        (None, None) => refuse(format!("{id} has no repetition time in its header, and {}", no_sidecar())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Coded;
    use ndarray::Array4;
    use serde_json::json;

    fn tr(header: Option<f64>, sidecar: Value) -> Result<(f64, Option<String>), StageError> {
        repetition_time(header, sidecar.as_object().unwrap(), "x")
    }

    #[test]
    fn the_sidecar_has_the_repetition_time() {
        assert_eq!(tr(Some(2.0), json!({"RepetitionTime": 2.0})).unwrap(), (2.0, None));
        assert_eq!(tr(Some(2.000_05), json!({"RepetitionTime": 2.0})).unwrap(), (2.0, None));
        let (value, note) = tr(Some(2.0), json!({"RepetitionTime": 1.8})).unwrap();
        assert!((value - 1.8).abs() < 1e-12 && note.unwrap().contains("sidecar's is used"));
        assert!((tr(None, json!({"RepetitionTime": 2000})).unwrap().0 - 2.0).abs() < 1e-12);
        assert!((tr(Some(1.5), json!({"RepetitionTime": 0})).unwrap().0 - 1.5).abs() < 1e-12);
        assert_eq!(tr(Some(f64::NAN), json!({})).unwrap_err().code(), ErrorCode::BadTiming);
        assert!(tr(None, json!({"RepetitionTime": 100_000})).is_ok());
        assert!(tr(Some(2.0), json!({"RepetitionTime": 100_001})).unwrap_err().to_string().contains("too slow"));
    }

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
