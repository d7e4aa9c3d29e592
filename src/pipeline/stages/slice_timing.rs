//! Slice timing: brings all slices of a run to one moment, before its volumes are brought anywhere. The head's motion is
//! estimated before, in the volumes as they were scanned.

use super::validate::Series;
use crate::plan::ScanPlan;
use crate::step::{Found, StageError};
use imaging::motion::MotionEstimate;
use imaging::slice_timing::{Slices, correct};
use ndarray::{Array4, Axis};
use nifti::Header;
use serde_json::Value;

/// Fewest steady volumes that can be interpolated between; fMRIPrep has the same limit.
const LEAST_VOLUMES: usize = 5;

const DIRECTIONS: &str = "write i, j, k, i-, j- or k-";

/// Corrects a run, and all its echoes. One whose times cannot be used stays as it is, with a note.
pub fn bold(
    raw: &mut Series,
    others: &mut [Array4<f32>],
    motion: &MotionEstimate,
    (plan, strict): (&ScanPlan, bool),
    found: &mut Found,
) -> Result<(), StageError> {
    let Some(share) = plan.wanted.slices.share() else { return Ok(()) };
    match corrected(raw, others, motion, (plan, share)) {
        Ok(moment) => {
            raw.moment = Some(moment);
            found.set("slice_timing.moment_s", moment);
            Ok(())
        }
        Err(why) => found.odd(format!("slice timing is not corrected: {why}"), &plan.id, strict),
    }
}

/// The moment, or why there is none.
fn corrected(
    raw: &mut Series,
    others: &mut [Array4<f32>],
    motion: &MotionEstimate,
    (plan, share): (&ScanPlan, f64),
) -> Result<f64, String> {
    let steady = raw.voxels.dim().0.saturating_sub(motion.non_steady);
    if steady < LEAST_VOLUMES {
        return Err(format!("there are only {steady} volumes of the steady state"));
    }
    let (axis, times) = times(plan, &raw.header)?;
    let repetition = raw.header.tr_seconds().ok_or("there is no repetition time")?;
    let slices = Slices { axis, times: &times, repetition };
    // To the millisecond, as fMRIPrep has it.
    let moment = (slices.moment(share) * 1000.0).round() / 1000.0;
    for series in std::iter::once(&mut raw.voxels).chain(others) {
        correct(series.view_mut(), &slices, moment, motion.non_steady, &motion.unaligned)
            .map_err(|e| format!("{e}; SliceTiming must have seconds, one for each slice"))?;
    }
    Ok(moment)
}

/// The axis of the array along which slices lie, and when each was taken, in the array's order.
fn times(plan: &ScanPlan, header: &Header) -> Result<(Axis, Vec<f64>), String> {
    let listed = plan.metadata.get("SliceTiming").and_then(Value::as_array);
    let times: Option<Vec<f64>> = listed.and_then(|times| times.iter().map(Value::as_f64).collect());
    let mut times = times.ok_or("SliceTiming in the sidecar must be a list of numbers (seconds), without quotes")?;
    let direction = match plan.metadata.get("SliceEncodingDirection") {
        None => "k",
        Some(value) => value.as_str().ok_or_else(|| format!("SliceEncodingDirection is {value}; {DIRECTIONS}"))?,
    };
    let (letter, reversed) = direction.strip_suffix('-').map_or((direction, false), |letter| (letter, true));
    let on_disk = ["i", "j", "k"].iter().position(|axis| *axis == letter);
    let place = on_disk.and_then(|axis| header.of_disk_axis(axis));
    let (axis, turned) = place.ok_or_else(|| format!("SliceEncodingDirection is {direction:?}; {DIRECTIONS}"))?;
    // Of a direction with a minus the list begins with the slice of the highest index; turned arrays have them turned.
    if reversed != turned {
        times.reverse();
    }
    Ok((Axis(axis + 1), times))
}
