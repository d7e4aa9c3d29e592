//! How long the readout of an EPI image took, which turns Hz into voxels.

use super::DistortionError;

/// Longest readout that is believed, in seconds: milliseconds that were written as seconds are not.
const LONGEST_S: f64 = 1.0;
/// How far two ways to the readout time may differ before they are said to: converters round, and count lines or gaps.
const AGREE: f64 = 0.03;
/// Fat against water in parts per million, as sdcflows takes it for Philips' water-fat shift.
const WATER_FAT_PPM: f64 = 3.4;
/// MHz per tesla of hydrogen.
const MHZ_PER_TESLA: f64 = 42.577;

/// What a sidecar says of the readout; every field as BIDS has it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReadoutFields {
    /// `TotalReadoutTime`, seconds.
    pub total_readout_time: Option<f64>,
    /// `EffectiveEchoSpacing`, seconds.
    pub effective_echo_spacing: Option<f64>,
    /// `ReconMatrixPE`: lines of the image as it was reconstructed.
    pub recon_matrix_pe: Option<f64>,
    /// `WaterFatShift` (Philips), voxels.
    pub water_fat_shift: Option<f64>,
    /// `MagneticFieldStrength`, tesla.
    pub magnetic_field_strength: Option<f64>,
    /// `EstimatedTotalReadoutTime`, seconds: what dcm2niix writes for Philips, who do not state the time itself.
    pub estimated_total_readout_time: Option<f64>,
}

/// Where a readout time came from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ReadoutSource {
    /// `TotalReadoutTime`.
    TotalReadoutTime,
    /// `EffectiveEchoSpacing` times the lines less one, as BIDS defines the total readout time.
    EffectiveEchoSpacing,
    /// The sidecar speaks of another number of lines than the grid has: `EffectiveEchoSpacing` (stated, or that of the
    /// stated readout time and `ReconMatrixPE`) times the lines of the grid. The image was resampled after its
    /// reconstruction; worth a warning.
    EchoSpacingOfGrid {
        /// What the sidecar's own time would have been, in seconds.
        stated_s: f64,
        /// The lines that the sidecar speaks of.
        stated_lines: f64,
        /// The lines of the grid.
        grid_lines: usize,
    },
    /// `WaterFatShift` and `MagneticFieldStrength`.
    WaterFatShift,
    /// `EstimatedTotalReadoutTime`, which its converter calls an estimate; worth a note.
    EstimatedTotalReadoutTime,
}

/// The readout time with its source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Readout {
    /// Seconds: the shift in voxels per Hz.
    pub seconds: f64,
    /// Where it came from.
    pub source: ReadoutSource,
}

/// The readout time of an image with `lines` voxels along phase encoding.
///
/// `TotalReadoutTime` comes first. Where it and the echo spacing do not fit the lines of the grid, the image was brought to
/// another matrix after reconstruction: its field of view is the same, so the shift in its voxels is Hz × echo spacing ×
/// its own lines.
///
/// # Errors
/// [`DistortionError::Readout`] for a time that cannot be, [`DistortionError::NoReadout`] where nothing says it,
/// [`DistortionError::TooSmall`] for fewer than 2 lines.
pub fn total_readout(fields: &ReadoutFields, lines: usize) -> Result<Readout, DistortionError> {
    if lines < 2 {
        return Err(DistortionError::TooSmall { voxels: lines, least: 2 });
    }
    let total = seconds("TotalReadoutTime", fields.total_readout_time)?;
    let spacing = seconds("EffectiveEchoSpacing", fields.effective_echo_spacing)?;
    let recon = fields.recon_matrix_pe.filter(|lines| lines.is_finite() && *lines >= 2.0);
    let gaps = (lines - 1) as f64;
    let on_grid = |spacing: f64, stated_s: f64, stated_lines: f64| Readout {
        seconds: spacing * lines as f64,
        source: ReadoutSource::EchoSpacingOfGrid { stated_s, stated_lines, grid_lines: lines },
    };
    let found = match (total, spacing, recon) {
        // Between spacing × (lines − 1), which BIDS wants, and spacing × lines, which some write.
        (Some(total), Some(spacing), _) if total < (1.0 - AGREE) * spacing * gaps => {
            on_grid(spacing, total, total / spacing + 1.0)
        }
        (Some(total), Some(spacing), _) if total > (1.0 + AGREE) * spacing * lines as f64 => {
            on_grid(spacing, total, total / spacing + 1.0)
        }
        (Some(total), None, Some(recon)) if recon != lines as f64 => on_grid(total / (recon - 1.0), total, recon),
        (Some(total), _, _) => Readout { seconds: total, source: ReadoutSource::TotalReadoutTime },
        (None, Some(spacing), Some(recon)) if recon != lines as f64 => on_grid(spacing, spacing * (recon - 1.0), recon),
        (None, Some(spacing), _) => Readout { seconds: spacing * gaps, source: ReadoutSource::EffectiveEchoSpacing },
        (None, None, _) => philips(fields)?.ok_or(DistortionError::NoReadout)?,
    };
    believed("readout time", found.seconds)?;
    Ok(found)
}

/// The shift in voxels between water and fat over that in Hz, or what the converter made of it.
fn philips(fields: &ReadoutFields) -> Result<Option<Readout>, DistortionError> {
    let positive = |v: Option<f64>| v.filter(|v| v.is_finite() && *v > 0.0);
    if let (Some(shift), Some(tesla)) = (positive(fields.water_fat_shift), positive(fields.magnetic_field_strength)) {
        let seconds = shift / (tesla * WATER_FAT_PPM * MHZ_PER_TESLA);
        return Ok(Some(Readout { seconds, source: ReadoutSource::WaterFatShift }));
    }
    let estimated = seconds("EstimatedTotalReadoutTime", fields.estimated_total_readout_time)?;
    Ok(estimated.map(|seconds| Readout { seconds, source: ReadoutSource::EstimatedTotalReadoutTime }))
}

/// A time of the sidecar that can be believed.
fn seconds(field: &'static str, value: Option<f64>) -> Result<Option<f64>, DistortionError> {
    value.map(|seconds| believed(field, seconds)).transpose()
}

pub(super) fn believed(field: &'static str, seconds: f64) -> Result<f64, DistortionError> {
    if seconds > 0.0 && seconds <= LONGEST_S {
        return Ok(seconds);
    }
    Err(DistortionError::Readout { field, seconds, most: LONGEST_S })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(fields: ReadoutFields, lines: usize) -> Readout {
        total_readout(&fields, lines).unwrap()
    }

    #[test]
    fn fields_that_agree_give_the_total_readout_time() {
        let both = ReadoutFields {
            total_readout_time: Some(0.0315),
            effective_echo_spacing: Some(0.0005),
            recon_matrix_pe: Some(64.0),
            ..ReadoutFields::default()
        };
        assert_eq!(found(both, 64), Readout { seconds: 0.0315, source: ReadoutSource::TotalReadoutTime });
        let with_all_lines = ReadoutFields { total_readout_time: Some(0.032), ..both };
        assert_eq!(found(with_all_lines, 64).source, ReadoutSource::TotalReadoutTime);
        let alone = ReadoutFields { total_readout_time: None, ..both };
        assert_eq!(found(alone, 64), Readout { seconds: 0.0315, source: ReadoutSource::EffectiveEchoSpacing });
    }

    #[test]
    fn a_grid_of_other_lines_is_said_and_counted_by_its_own() {
        // Reconstructed with 94 lines, brought to 46.
        let all = ReadoutFields {
            total_readout_time: Some(0.030_225),
            effective_echo_spacing: Some(0.000_325),
            recon_matrix_pe: Some(94.0),
            ..ReadoutFields::default()
        };
        let ways = [
            all,
            ReadoutFields { recon_matrix_pe: None, ..all },
            ReadoutFields { effective_echo_spacing: None, ..all },
            ReadoutFields { total_readout_time: None, ..all },
        ];
        for fields in ways {
            let Readout { seconds, source } = found(fields, 46);
            assert!((seconds - 0.000_325 * 46.0).abs() < 1e-9, "{fields:?} {seconds}");
            let ReadoutSource::EchoSpacingOfGrid { stated_s, stated_lines, grid_lines } = source else {
                panic!("{source:?}")
            };
            assert!((stated_s - 0.030_225).abs() < 1e-9 && (stated_lines - 94.0).abs() < 1e-6 && grid_lines == 46);
        }
    }

    #[test]
    fn philips_says_it_by_the_water_fat_shift() {
        let fields = ReadoutFields {
            water_fat_shift: Some(12.0),
            magnetic_field_strength: Some(3.0),
            ..ReadoutFields::default()
        };
        let Readout { seconds, source } = found(fields, 64);
        assert!((seconds - 0.027_63).abs() < 1e-4, "{seconds}");
        assert_eq!(source, ReadoutSource::WaterFatShift);
        let fields = ReadoutFields { estimated_total_readout_time: Some(0.0276), ..ReadoutFields::default() };
        assert_eq!(found(fields, 64), Readout { seconds: 0.0276, source: ReadoutSource::EstimatedTotalReadoutTime });
        assert_eq!(total_readout(&ReadoutFields::default(), 64), Err(DistortionError::NoReadout));
    }

    #[test]
    fn times_that_cannot_be_are_refused() {
        for wrong in [0.0, -0.03, 35.0, f64::NAN, f64::INFINITY] {
            let fields = ReadoutFields { total_readout_time: Some(wrong), ..ReadoutFields::default() };
            assert!(matches!(total_readout(&fields, 64), Err(DistortionError::Readout { .. })), "{wrong}");
        }
        let fields = ReadoutFields { total_readout_time: Some(0.03), ..ReadoutFields::default() };
        assert!(matches!(total_readout(&fields, 1), Err(DistortionError::TooSmall { .. })));
    }
}
