//! A bold run in its own space: its motion undone in place, its field divided out, scaled. The last use of the series as it was
//! scanned, so that there is never a second one in memory.

use super::intensity::{Fit, scale};
use super::validate::Series;
use crate::step::StageError;
use imaging::bias::divide_by_field;
use ndarray::Array4;
use nifti::Header;

/// A bold run without motion and field, with the mean of its brain at the reference.
pub struct ScaledSeries {
    /// The input's, with the repetition time that holds.
    pub header: Header,
    /// `(nt, nz, ny, nx)`.
    pub series: Array4<f32>,
    /// What was estimated.
    pub fit: Fit,
    /// The moment that all slices were brought to, s after a volume began.
    pub moment: Option<f64>,
}

/// Applies what was estimated of a run to its volumes.
pub fn bold(raw: Series, fit: Fit) -> Result<ScaledSeries, StageError> {
    let Series { header, voxels: mut series, moment } = raw;
    fit.undone(&mut series, &header.grid().affine)?;
    for mut volume in series.outer_iter_mut() {
        divide_by_field(volume.view_mut(), fit.bias.field.view());
        scale(volume, &fit.reference);
    }
    Ok(ScaledSeries { header, series, fit, moment })
}
