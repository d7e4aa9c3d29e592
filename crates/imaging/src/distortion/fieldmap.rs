//! From what a scanner measured of the field to a smooth field in Hz that goes on beyond the head.
//!
//! A weighted cubic B-spline with a control point every second voxel takes the noise off and extrapolates in one go: on
//! phantoms it is nearer to the truth than medians and Gaussians, and needs neither despiking nor an eroded mask, both of
//! which cost where the field is steep.

use ndarray::{Array3, ArrayView3};

use super::DistortionError;
use super::difference::Grid;
use super::error::{same_shape, usable_voxels};
use super::head_mask::head_mask;
use super::lattice::Lattice;
use super::phase::hz_per_radian;
use super::smooth_fit::fit;
use super::unwrap::{median, unwrap};

/// Voxels from one control point to the next: 3 would be right for noisy maps, 2 is for steep ones.
pub const KNOTS: usize = 2;
/// What bending costs against the weights, which are about 1 in the head.
const STIFFNESS: f32 = 0.1;
/// Magnitude against the usual one above which a voxel counts no more: a vessel or a surface coil is not surer.
const BRIGHTEST: f32 = 1.5;
/// Longest difference of echo times that is believed, in seconds: milliseconds that were written as seconds are not.
const LONGEST_S: f64 = 0.1;

/// A field, ready to become shifts.
#[derive(Clone, Debug)]
pub struct Fieldmap {
    /// The field in Hz at every voxel `(nz, ny, nx)`: positive moves signal to higher index along a direction without minus.
    pub hz: Array3<f32>,
    /// Control points of the spline in Hz; point `c` of an axis sits at voxel `2 · (c − 1)`.
    pub coefficients: Array3<f32>,
    /// Where the field was measured (0 or 1); elsewhere it is extrapolated.
    pub mask: Array3<u8>,
    /// How it came about.
    pub facts: FieldFacts,
}

/// What a report says of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FieldFacts {
    /// Share of the mask, 0 to 1, where the phase was wrapped; `None` for a field that came in Hz.
    pub wrapped_share: Option<f64>,
    /// Whole cycles taken off everywhere; `None` likewise.
    pub cycles_removed: Option<i32>,
    /// Median in the mask in Hz, before whole cycles were taken off.
    pub median_hz: f64,
    /// Root of the mean square of measured − fitted field in the mask, in Hz.
    pub residual_hz: f64,
    /// Voxels in the mask.
    pub voxels: usize,
    /// Steps of the fit.
    pub steps: usize,
}

/// The field from a phase difference in radians (second echo − first, wrapped or not), the magnitude of either echo, and
/// the difference of their times in seconds. All arrays are `(nz, ny, nx)`, `voxel_mm` is `[dz, dy, dx]`.
///
/// # Errors
/// Shapes that differ, echo times or voxel sizes that cannot be, a magnitude image without a head, a phase without a finite
/// value in it.
pub fn from_phase_difference(
    phase: ArrayView3<f32>,
    magnitude: ArrayView3<f32>,
    echo_difference_s: f64,
    voxel_mm: [f64; 3],
) -> Result<Fieldmap, DistortionError> {
    same_shape("magnitude image", phase.dim(), &magnitude)?;
    if !(1e-6..=LONGEST_S).contains(&echo_difference_s) {
        return Err(DistortionError::EchoTimes { seconds: echo_difference_s });
    }
    let mask = head_mask(magnitude)?;
    let found = unwrap(phase, magnitude, mask.view())?;
    let scale = hz_per_radian(echo_difference_s);
    // The unwrapped phase is finite everywhere; where the given one was not, it is no measurement.
    let mut hz = found.phase;
    hz.zip_mut_with(&phase, |hz, p| *hz = if p.is_finite() { *hz * scale } else { f32::NAN });
    let mut field = smooth(hz.view(), magnitude, mask, voxel_mm)?;
    field.facts.wrapped_share = Some(found.wrapped_share);
    field.facts.cycles_removed = Some(found.cycles_removed);
    field.facts.median_hz = found.median * f64::from(scale);
    Ok(field)
}

/// The field from a map that is in Hz already: made smooth, and extrapolated, as it is. Arguments as those of
/// [`from_phase_difference`]; voxels that are not finite are left out.
///
/// # Errors
/// Shapes that differ, voxel sizes that cannot be, a magnitude image without a head, a field without a finite value in it.
pub fn from_hz(
    hz: ArrayView3<f32>,
    magnitude: ArrayView3<f32>,
    voxel_mm: [f64; 3],
) -> Result<Fieldmap, DistortionError> {
    same_shape("magnitude image", hz.dim(), &magnitude)?;
    let mask = head_mask(magnitude)?;
    smooth(hz, magnitude, mask, voxel_mm)
}

/// Fits the spline to `hz` in the mask.
fn smooth(
    hz: ArrayView3<f32>,
    magnitude: ArrayView3<f32>,
    mut mask: Array3<u8>,
    voxel_mm: [f64; 3],
) -> Result<Fieldmap, DistortionError> {
    usable_voxels(voxel_mm)?;
    mask.zip_mut_with(&hz, |m, v| *m &= u8::from(v.is_finite()));
    mask.zip_mut_with(&magnitude, |m, v| *m &= u8::from(v.is_finite()));
    let inside = |m: &u8| *m != 0;
    let usual = median(magnitude.iter().zip(&mask).filter(|(_, m)| inside(m)).map(|(v, _)| *v));
    let usual = usual.ok_or(DistortionError::NoField)?.max(f32::MIN_POSITIVE);
    let weight = |(m, v): (&u8, &f32)| if inside(m) { (v / usual).clamp(0.0, BRIGHTEST).powi(2) } else { 0.0 };
    let weights: Vec<f32> = mask.iter().zip(&magnitude).map(weight).collect();
    let values: Vec<f32> = hz.iter().map(|v| if v.is_finite() { *v } else { 0.0 }).collect();
    let (nz, ny, nx) = hz.dim();
    let grid = Grid::new([nz, ny, nx], voxel_mm);
    let lattice = Lattice::new(grid.shape, KNOTS);
    let found = fit(&values, &weights, &grid, &lattice, STIFFNESS).ok_or(DistortionError::NoField)?;
    let in_mask = || mask.iter().zip(&values).zip(&found.values).filter(|((m, _), _)| inside(m));
    let (voxels, squares) = in_mask().fold((0, 0.0), |(n, sum), ((_, v), f)| (n + 1, sum + f64::from(v - f).powi(2)));
    let facts = FieldFacts {
        wrapped_share: None,
        cycles_removed: None,
        median_hz: f64::from(median(in_mask().map(|((_, v), _)| *v)).unwrap_or(0.0)),
        residual_hz: (squares / f64::from(voxels.max(1))).sqrt(),
        voxels: voxels as usize,
        steps: found.steps,
    };
    let [cz, cy, cx] = lattice.controls();
    // Both as long as their shapes by construction.
    let hz = Array3::from_shape_vec((nz, ny, nx), found.values).unwrap_or_default();
    let coefficients = Array3::from_shape_vec((cz, cy, cx), found.controls).unwrap_or_default();
    Ok(Fieldmap { hz, coefficients, mask, facts })
}

#[cfg(test)]
mod tests {
    use super::super::phantom::Phantom;
    use super::*;
    use std::f32::consts::{PI, TAU};

    const TRT: f32 = 0.035;

    /// Mean and largest error in the brain, in voxels of shift.
    fn errors(phantom: &Phantom, found: &Fieldmap) -> (f32, f32) {
        let in_brain = phantom.hz.iter().zip(&found.hz).zip(&phantom.brain).filter(|(_, b)| **b != 0);
        let errors: Vec<f32> = in_brain.map(|((t, f), _)| (t - f).abs() * TRT).collect();
        (errors.iter().sum::<f32>() / errors.len() as f32, errors.iter().copied().fold(0.0, f32::max))
    }

    #[test]
    fn the_field_is_found_however_often_the_phase_wraps() {
        let phantom = Phantom::new([36, 64, 64], 1);
        for (ms, wrapped) in [(2.46, 0.0), (4.92, 0.005), (9.84, 0.05)] {
            let seconds = ms * 1e-3;
            let phase = phantom.phase(seconds, 0.0, 0.02);
            let found =
                from_phase_difference(phase.view(), phantom.magnitude.view(), seconds, phantom.voxel_mm).unwrap();
            let (mean, worst) = errors(&phantom, &found);
            assert!(mean <= 0.02 && worst < 0.5, "{ms}: {mean} {worst}");
            assert!(found.facts.wrapped_share >= Some(wrapped), "{ms}: {:?}", found.facts);
            assert_eq!(found.facts.cycles_removed, Some(0));
        }
    }

    #[test]
    fn no_voxel_of_the_head_is_unwrapped_to_a_wrong_cycle() {
        for seed in 1..=3 {
            let phantom = Phantom::new([36, 64, 64], seed);
            let mask = head_mask(phantom.magnitude.view()).unwrap();
            for ms in [2.46, 4.92, 7.38, 9.84] {
                let phase = phantom.phase(ms * 1e-3, 0.0, 0.02);
                let found = unwrap(phase.view(), phantom.magnitude.view(), mask.view()).unwrap();
                let per_hz = TAU * ms as f32 * 1e-3;
                let all = found.phase.iter().zip(&phantom.hz).zip(&mask).filter(|(_, m)| **m != 0);
                let wrong = all.filter(|((found, hz), _)| (**found - per_hz * **hz).abs() > PI).count();
                assert_eq!(wrong, 0, "head {seed}, {ms} ms, {:.3} wrapped", found.wrapped_share);
            }
        }
    }

    #[test]
    fn an_offset_of_the_centre_frequency_is_kept_and_whole_cycles_are_not() {
        let mut phantom = Phantom::new([20, 40, 40], 2);
        let offset = 60.0;
        let phase = phantom.phase(2.46e-3, offset, 0.02);
        let found = from_phase_difference(phase.view(), phantom.magnitude.view(), 2.46e-3, phantom.voxel_mm).unwrap();
        phantom.hz += offset;
        assert!(errors(&phantom, &found).0 < 0.03, "{:?}", errors(&phantom, &found));
        // At 9.84 ms a cycle is 101.6 Hz: of an offset of 150 Hz one is taken off, and said to be.
        let phase = phantom.phase(9.84e-3, 90.0, 0.02);
        let found = from_phase_difference(phase.view(), phantom.magnitude.view(), 9.84e-3, phantom.voxel_mm).unwrap();
        phantom.hz += 90.0 - 1000.0 / 9.84;
        assert!(errors(&phantom, &found).0 < 0.03, "{:?}", errors(&phantom, &found));
    }

    #[test]
    fn a_field_in_hz_needs_no_unwrapping_and_two_phases_make_a_difference() {
        let phantom = Phantom::new([20, 40, 40], 3);
        let found = from_hz(phantom.hz.view(), phantom.magnitude.view(), phantom.voxel_mm).unwrap();
        assert!(errors(&phantom, &found).0 < 0.02, "{:?} {:?}", errors(&phantom, &found), found.facts);
        assert_eq!(found.facts.wrapped_share, None);
        let (first, second) = (phantom.phase(4.92e-3, 0.0, 0.02), phantom.phase(7.38e-3, 0.0, 0.02));
        let difference = super::super::phase::phase_difference(first.view(), second.view()).unwrap();
        let found =
            from_phase_difference(difference.view(), phantom.magnitude.view(), 2.46e-3, phantom.voxel_mm).unwrap();
        assert!(errors(&phantom, &found).0 < 0.03, "{:?}", errors(&phantom, &found));
    }

    #[test]
    fn a_flipped_grid_gives_the_flipped_field() {
        let phantom = Phantom::new([20, 40, 40], 4);
        let phase = phantom.phase(4.92e-3, 0.0, 0.02);
        let magnitude = &phantom.magnitude;
        let found = from_phase_difference(phase.view(), magnitude.view(), 4.92e-3, phantom.voxel_mm).unwrap();
        for axis in 0..3 {
            let (mut p, mut m, mut expected) = (phase.view(), magnitude.view(), found.hz.view());
            [&mut p, &mut m, &mut expected].into_iter().for_each(|view| view.invert_axis(ndarray::Axis(axis)));
            let flipped = from_phase_difference(p, m, 4.92e-3, phantom.voxel_mm).unwrap();
            let apart = flipped.hz.iter().zip(&expected).zip(&phantom.brain);
            let worst = apart.map(|((a, b), _)| (a - b).abs()).fold(0.0, f32::max);
            // The control points lie elsewhere, so not to the bit; outside the head they go on in their own ways.
            assert!(worst * TRT < 0.6, "{axis}: {worst}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let phantom = Phantom::new([12, 24, 24], 5);
        let phase = phantom.phase(2.46e-3, 0.0, 0.0);
        let (p, m) = (phase.view(), phantom.magnitude.view());
        for seconds in [0.0, -0.002, 2.46, f64::NAN] {
            assert!(matches!(from_phase_difference(p, m, seconds, [3.0; 3]), Err(DistortionError::EchoTimes { .. })));
        }
        assert!(matches!(from_phase_difference(p, m, 0.002, [0.0; 3]), Err(DistortionError::VoxelSize { .. })));
        let gaps = Array3::from_elem(p.dim(), f32::NAN);
        assert_eq!(from_phase_difference(gaps.view(), m, 0.002, [3.0; 3]).unwrap_err(), DistortionError::NoField);
        assert_eq!(from_hz(gaps.view(), m, [3.0; 3]).unwrap_err(), DistortionError::NoField);
        assert!(matches!(from_hz(p, Array3::zeros((1, 1, 1)).view(), [3.0; 3]), Err(DistortionError::Shape { .. })));
        assert!(matches!(from_hz(p, gaps.view(), [3.0; 3]), Err(DistortionError::Empty { .. })));
    }
}
