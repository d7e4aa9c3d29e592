//! The template that is in the binary: the brain of ICBM 2009c nonlinear asymmetric (Fonov 2009, 2011), 1 mm, as TemplateFlow's
//! MNI152NLin2009cAsym res-01 has it.
//!
//! `make_template.py` made the bytes: gzip of what is left of each voxel after prediction from its neighbours.

use super::TemplateError;
use crate::vocabulary::TemplateId;
use ndarray::{Array3, s};
use std::io::Read;

const PACKED: &[u8] = include_bytes!("MNI152NLin2009cAsym_brain.gz");

/// Extents `(nz, ny, nx)`.
const SHAPE: [usize; 3] = [193, 229, 193];

/// The largest value, to which predictions are held.
const LARGEST: i16 = 98;

/// The brain, 0 to 98, zero outside, `(nz, ny, nx)`.
///
/// # Errors
/// [`TemplateError::Unsuitable`] if the bytes in the binary are not what they should be.
pub(super) fn brain() -> Result<Array3<f32>, TemplateError> {
    let unsuitable = |problem: String| TemplateError::Unsuitable { id: TemplateId::built_in(), problem };
    let [nz, ny, nx] = SHAPE;
    let mut bytes = Vec::with_capacity(nz * ny * nx);
    let mut unpacked = flate2::read::GzDecoder::new(PACKED);
    let limit = (nz * ny * nx + 1) as u64;
    unpacked
        .by_ref()
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|e| unsuitable(format!("its bytes are damaged ({e})")))?;
    if bytes.len() != nz * ny * nx {
        return Err(unsuitable(format!("it has {} voxels", bytes.len())));
    }
    // One more voxel before each axis, zero, so that the first ones have neighbours too.
    let mut values = Array3::<i16>::zeros((nz + 1, ny + 1, nx + 1));
    let mut left = bytes.into_iter();
    for k in 1..=nz {
        for j in 1..=ny {
            for i in 1..=nx {
                let faces = values[[k, j, i - 1]] + values[[k, j - 1, i]] + values[[k - 1, j, i]];
                let edges = values[[k, j - 1, i - 1]] + values[[k - 1, j, i - 1]] + values[[k - 1, j - 1, i]];
                let predicted = (2 * faces - edges).div_euclid(3).clamp(0, LARGEST);
                let rest = i16::from(left.next().unwrap_or_default());
                values[[k, j, i]] = (predicted + rest) % 256;
            }
        }
    }
    Ok(values.slice(s![1.., 1.., 1..]).mapv(f32::from))
}
