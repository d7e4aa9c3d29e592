//! What a dataset with a distorted bold run and a fieldmap holds.

use super::bold::bold_grid;
use super::epi::{BoldSpec, Epi, Wave, interleaved};
use super::fieldmap::{FieldmapSpec, PairSpec, PhaseNumbers};
use super::hz_field::HzField;
use super::random::seed_of;
use super::traits::{TR_SECONDS, Traits};
use super::{Kind, MotionLevel};
use imaging::distortion::PhaseEncoding;

/// The participant.
pub(super) const LABEL: &str = "01";

/// What `fmap/` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldmapKind {
    /// `phasediff`, `magnitude1`, `magnitude2`.
    PhaseDifference,
    /// `phase1`, `phase2`, `magnitude1`, `magnitude2`.
    TwoPhases,
    /// `fieldmap` in Hz, `magnitude`.
    Hertz,
    /// Two `epi` images, the first encoded as the bold run, the second the opposite way.
    Pair,
    /// One `epi` image encoded the opposite way; the bold run is the other.
    Opposite,
}

/// How the files say which image a fieldmap is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldmapLink {
    /// `IntendedFor` with a BIDS URI.
    Uri,
    /// `IntendedFor` with a path relative to the participant's folder.
    Relative,
    /// `B0FieldIdentifier` and `B0FieldSource`.
    Identifier,
    /// Not at all.
    None,
}

/// A dataset with a distorted run to write.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldmapDataset {
    /// Seed; equal seeds give equal bytes.
    pub seed: u64,
    /// What `fmap/` holds.
    pub kind: FieldmapKind,
    /// How it is tied to the bold run.
    pub link: FieldmapLink,
    /// Phase encoding of the bold run.
    pub direction: PhaseEncoding,
    /// Total readout time of the bold run and of EPI fieldmaps, seconds.
    pub readout_s: f64,
    /// That of the EPI image of opposite polarity, if another.
    pub second_readout_s: Option<f64>,
    /// Echo times of the gradient echoes, seconds.
    pub echo_times: [f64; 2],
    /// How phases are written.
    pub phase_numbers: PhaseNumbers,
    /// How the head lies in the fieldmap against volume 0 of the run: mm and radians about the grid's centre.
    pub lies: [f64; 6],
    /// How it moves between the images of a pair; `None` draws 1 to 2 mm and about 1 degree. With [`FieldmapKind::Opposite`]
    /// it has already moved so when the image is taken.
    pub moved: Option<[f64; 6]>,
    /// Noise of gradient echoes, as a share of bright tissue.
    pub noise: f32,
    /// Isotropic voxel size of the T1w image, mm.
    pub voxel_mm: f64,
    /// Voxel size of bold and fieldmap `[dz, dy, dx]`, mm.
    pub bold_voxel_mm: [f64; 3],
    /// Volumes of the bold run.
    pub volumes: usize,
    /// Whether its slices are taken one after another, evens first.
    pub slice_timing: bool,
    /// How much the head moves during it.
    pub motion: MotionLevel,
    /// A wave in all of its signal.
    pub wave: Option<Wave>,
}

impl FieldmapDataset {
    /// A usual one: `j-` in 35 ms, echoes at 4.92 and 7.38 ms, slices at their times, voxels of 3.3 × 3.3 × 3.6 mm.
    #[must_use]
    pub fn new(seed: u64, kind: FieldmapKind) -> Self {
        Self {
            seed,
            kind,
            link: FieldmapLink::Uri,
            direction: PhaseEncoding::ALL[3],
            readout_s: 0.035,
            second_readout_s: None,
            echo_times: [0.00492, 0.00738],
            phase_numbers: PhaseNumbers::Signed,
            lies: [0.0; 6],
            moved: None,
            noise: 0.02,
            voxel_mm: 2.0,
            bold_voxel_mm: [3.6, 3.3, 3.3],
            volumes: 20,
            slice_timing: true,
            motion: MotionLevel::Low,
            wave: None,
        }
    }

    /// Seed of the head.
    pub(super) fn head(&self) -> u64 {
        Traits::of(self.seed, LABEL).head
    }

    /// Seed of a scan, as [`super::write_dataset`] gives it.
    pub(super) fn scan(&self, kind: Kind) -> u64 {
        seed_of(self.seed, &[LABEL, "", kind.as_str()])
    }

    /// The bold run.
    pub(super) fn bold(&self) -> (BoldSpec, Epi) {
        let spec = BoldSpec {
            head: self.head(),
            scan: self.scan(Kind::Bold),
            voxel_mm: self.bold_voxel_mm,
            volumes: self.volumes,
            non_steady: 0,
            tr_seconds: TR_SECONDS,
            motion: self.motion,
        };
        let slices = bold_grid(self.bold_voxel_mm).shape[0];
        let epi = Epi {
            direction: self.direction,
            readout_s: self.readout_s,
            field: Some(HzField::of_head(spec.head)),
            slice_times: self.slice_timing.then(|| interleaved(slices, TR_SECONDS)),
            wave: self.wave,
            noise: 1.0,
        };
        (spec, epi)
    }

    /// The fieldmap beside the bold run.
    #[must_use]
    pub fn fieldmap(&self) -> FieldmapSpec {
        FieldmapSpec {
            head: self.head(),
            scan: self.scan(Kind::Bold),
            voxel_mm: self.bold_voxel_mm,
            lies: self.lies,
            noise: self.noise,
            steep: false,
        }
    }

    /// The pair of EPI images.
    pub(super) fn pair(&self) -> PairSpec {
        let usual = PairSpec::new(self.scan(Kind::Bold), self.direction, self.readout_s);
        let readout_s = [self.readout_s, self.second_readout_s.unwrap_or(self.readout_s)];
        // An image that goes with the bold run is like it.
        let spin_echo = self.kind != FieldmapKind::Opposite;
        PairSpec { readout_s, moved: self.moved.unwrap_or(usual.moved), spin_echo, ..usual }
    }
}
