//! How much memory a scan will need, from its header alone.

use crate::bids::Modality;
use crate::nifti::Header;

// Measured as the peak resident memory of whole runs on one to four threads, for T1w of 0.7 and 1 mm with and without
// tissue maps and for bold of 54 to 374 MB. What is estimated is at or above what four threads need; on one or two it is
// up to a third too much, more for scans of a few MB. Every thread of a scan beyond four adds about 10 MB.

/// Volumes of f32 that a T1w image takes: image, bias field, and the masks and distances of the brain's neighbourhood.
const T1W_VOLUMES: f64 = 2.7;
/// Code, threads, buffers of the compression and what else does not grow with a T1w image.
const T1W_BASE_BYTES: f64 = 75e6;
/// Series of f32 that a bold run takes: it is resampled in place.
const BOLD_SERIES: f64 = 1.02;
/// What does not grow with the number of volumes.
const BOLD_BASE_BYTES: f64 = 60e6;
/// Typical ratio of f32 voxels to a gzip file, for a header that cannot be read.
const BYTES_PER_FILE_BYTE: f64 = 6.0;
/// Bytes of one voxel in memory.
const VOXEL_BYTES: f64 = 4.0;

/// Estimated peak memory of one scan in bytes.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate of a size"
)]
pub fn estimate(modality: Modality, header: Option<&Header>, file_bytes: u64) -> u64 {
    let array = header.map_or(file_bytes as f64 * BYTES_PER_FILE_BYTE, |h| {
        h.grid().shape.iter().map(|&n| n as f64).product::<f64>() * h.volumes() as f64 * VOXEL_BYTES
    });
    let (factor, base) = match modality {
        Modality::T1w => (T1W_VOLUMES, T1W_BASE_BYTES),
        Modality::Bold => (BOLD_SERIES, BOLD_BASE_BYTES),
    };
    (array * factor + base) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_above_what_was_measured_and_not_far() {
        // MB of the image as f32; peak MB on two and on four threads.
        let measured = [
            (Modality::T1w, 46.1, 181.0, 197.0),
            (Modality::T1w, 134.5, 408.0, 421.0),
            (Modality::Bold, 124.5, 160.0, 185.0),
            (Modality::Bold, 373.6, 414.0, 437.0),
        ];
        for (modality, image, two, four) in measured {
            let mb = estimate(modality, None, (image / BYTES_PER_FILE_BYTE * 1e6) as u64) as f64 / 1e6;
            assert!(mb >= four && mb < 1.25 * two, "{modality:?} of {image} MB: {mb}, measured {two} and {four}");
        }
    }
}
