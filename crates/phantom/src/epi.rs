//! How a run is taken: of whom, when its slices are, which way and how far a field moves its signal, and what is true about that.

use super::hz_field::HzField;
use super::motion::MotionLevel;
use imaging::distortion::PhaseEncoding;
use ndarray::Array3;

/// What run to make.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoldSpec {
    /// Whose head.
    pub head: u64,
    /// Which run of it: pose, coil, motion, noise.
    pub scan: u64,
    /// Voxel size `[dz, dy, dx]`, mm. The field of view stays about 218 × 218 × 137 mm (x, y, z).
    pub voxel_mm: [f64; 3],
    /// Number of volumes.
    pub volumes: usize,
    /// Leading volumes not yet in steady state, brighter than the rest.
    pub non_steady: usize,
    /// Seconds per volume.
    pub tr_seconds: f64,
    /// How much the head moves.
    pub motion: MotionLevel,
}

/// How an EPI run is taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Epi {
    /// The direction of phase encoding, in the axes of the array: `j` is its middle one. Along k there are no slices, and
    /// their times have no meaning.
    pub direction: PhaseEncoding,
    /// Total readout time, seconds: the displacement in voxels of the signal for each Hz.
    pub readout_s: f64,
    /// The field of the head; `None` displaces nothing.
    pub field: Option<HzField>,
    /// When each slice (first axis of a volume) is taken after its volume began, seconds; `None` takes all at once.
    pub slice_times: Option<Vec<f64>>,
    /// A wave that all signal follows.
    pub wave: Option<Wave>,
    /// How much noise against the usual: 1 is the usual, 0 none.
    pub noise: f32,
}

impl Default for Epi {
    /// No field, all slices at once, phase encoding along j in 35 ms.
    fn default() -> Self {
        let direction = PhaseEncoding::ALL[2];
        Self { direction, readout_s: 0.035, field: None, slice_times: None, wave: None, noise: 1.0 }
    }
}

/// Signal that rises and falls everywhere: `1 + amplitude · sin(2π · hertz · seconds)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wave {
    /// Cycles per second.
    pub hertz: f64,
    /// Of the signal.
    pub amplitude: f64,
}

impl Wave {
    /// The factor on the signal, so many seconds after the run began.
    #[must_use]
    pub fn at(self, seconds: f64) -> f64 {
        1.0 + self.amplitude * (std::f64::consts::TAU * self.hertz * seconds).sin()
    }
}

/// What is true about the distortion of a run, on its grid `(nz, ny, nx)` and with the head as in volume 0.
#[derive(Clone, Debug, PartialEq)]
pub struct EpiTruth {
    /// The field, Hz.
    pub hz: Array3<f32>,
    /// How far along phase encoding, in voxels, the signal of each voxel is seen: sign · Hz · readout time.
    pub shift: Array3<f32>,
    /// Volume 0 without field, noise, ghost and settling.
    pub undistorted: Array3<f32>,
    /// The same with the field.
    pub distorted: Array3<f32>,
}

/// Times of slices that are taken evens first, then odds, spread over the repetition time: seconds, of each slice.
#[must_use]
pub fn interleaved(slices: usize, tr_seconds: f64) -> Vec<f64> {
    let evens = slices.div_ceil(2);
    let rank = |k: usize| if k.is_multiple_of(2) { k / 2 } else { evens + k / 2 };
    // In whole tenths of milliseconds, as sidecars have them.
    (0..slices).map(|k| (rank(k) as f64 * tr_seconds / slices as f64 * 1e4).round() / 1e4).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaved_slices_take_turns() {
        assert_eq!(interleaved(5, 2.0), [0.0, 1.2, 0.4, 1.6, 0.8]);
        assert_eq!(interleaved(4, 2.0), [0.0, 1.0, 0.5, 1.5]);
    }
}
