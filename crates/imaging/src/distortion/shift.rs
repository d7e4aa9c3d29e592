//! From a field in Hz to shifts in voxels, and an image brought back along them.
//!
//! The signal of index `p` along the axis of phase encoding is seen at `p + shift(p)`, `shift = sign · Hz · readout time`; so
//! the corrected image is `image(p + shift) · (1 + d shift / dp)`. The factor, the Jacobian, is what signal that was
//! stretched or squeezed lost or gained.

use ndarray::{Array3, ArrayView3, Axis, Zip};
use rayon::prelude::*;

use super::error::same_shape;
use super::line::Columns;
use super::parallel::slabs;
use super::readout::believed;
use super::{DistortionError, PhaseEncoding};
use crate::filter::par_planes;

/// Steepest slope of a shift: at −1 two voxels of the head fall onto one of the image, and nothing can part them.
pub const STEEPEST: f32 = 0.9;
/// Voxels along phase encoding below which there is no shift to speak of.
pub(super) const FEWEST: usize = 2;

/// Where the signal of every voxel is seen.
#[derive(Clone, Debug)]
pub struct Shift {
    /// Voxels along the axis of phase encoding, `(nz, ny, nx)`, with the sign of the direction.
    pub voxels: Array3<f32>,
    /// 1 + slope of the shift along the axis: what a sampled value is multiplied by.
    pub jacobian: Array3<f32>,
    /// Steps from voxel to voxel that were steeper than [`STEEPEST`] and have been made as steep as that.
    pub clamped: usize,
    /// The axis of the array.
    axis: usize,
}

impl Shift {
    /// The axis of the array along which signal is shifted: 0, 1 or 2.
    #[must_use]
    pub fn axis(&self) -> usize {
        self.axis
    }

    /// The shift for an image with phase encoding `direction` and `readout_s` seconds of readout, from the field in Hz on its
    /// grid `(nz, ny, nx)`.
    ///
    /// Where the shift is steeper than 0.9 voxels a voxel along the axis (either way), the slope is held there and the line
    /// put together again; its mean, weighted by `weights` (such as the image itself; all alike without), stays what it was.
    /// What is not finite in the field is 0.
    ///
    /// # Errors
    /// Shapes that differ, a readout time that cannot be, or fewer than 2 voxels along the axis.
    pub fn new(
        hz: ArrayView3<f32>,
        weights: Option<ArrayView3<f32>>,
        direction: PhaseEncoding,
        readout_s: f64,
    ) -> Result<Self, DistortionError> {
        believed("readout time", readout_s)?;
        if let Some(weights) = &weights {
            same_shape("image of weights", hz.dim(), weights)?;
        }
        let axis = direction.array_axis();
        if hz.len_of(Axis(axis)) < FEWEST {
            return Err(DistortionError::TooSmall { voxels: hz.len_of(Axis(axis)), least: FEWEST });
        }
        let scale = (direction.sign() * readout_s) as f32;
        // In standard layout, whatever that of the field is.
        let voxels = hz.as_standard_layout().mapv(|v| if v.is_finite() { scale * v } else { 0.0 });
        let (voxels, clamped) = unfolded(voxels, weights, axis);
        Ok(Self { jacobian: jacobian(&voxels, axis), voxels, axis, clamped })
    }

    /// The shift times a factor: −1 for the opposite direction, 0 for none. Not clamped again.
    #[must_use]
    pub fn scaled(&self, factor: f32) -> Self {
        let voxels = &self.voxels * factor;
        Self { jacobian: jacobian(&voxels, self.axis), voxels, axis: self.axis, clamped: self.clamped }
    }

    /// What a report says of the shift inside `mask` (0 or 1, same shape).
    ///
    /// # Errors
    /// [`DistortionError::Shape`] where the shapes differ, [`DistortionError::NoHead`] for an empty mask.
    pub fn facts(&self, mask: ArrayView3<u8>) -> Result<ShiftFacts, DistortionError> {
        same_shape("mask", self.voxels.dim(), &mask)?;
        let inside = |volume: &Array3<f32>| -> Vec<f32> {
            volume.iter().zip(&mask).filter(|(_, m)| **m != 0).map(|(v, _)| *v).collect()
        };
        let (mut voxels, mut jacobian) = (inside(&self.voxels), inside(&self.jacobian));
        let largest = voxels.iter().map(|v| v.abs()).fold(0.0, f32::max);
        let steep = jacobian.iter().filter(|j| (*j - 1.0).abs() > STEEPEST - 1e-3).count();
        let steep_share = steep as f64 / jacobian.len().max(1) as f64;
        let quantiles = crate::filter::quantiles(&mut voxels, [0.01, 0.5, 0.99]).ok_or(DistortionError::NoHead)?;
        let jacobian =
            crate::filter::quantiles(&mut jacobian, [0.0, 0.01, 0.99, 1.0]).ok_or(DistortionError::NoHead)?;
        Ok(ShiftFacts { quantiles, largest, jacobian, steep_share })
    }
}

/// Numbers of a shift inside a mask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShiftFacts {
    /// 1 %, 50 % and 99 % quantile of the shift, voxels.
    pub quantiles: [f32; 3],
    /// Largest shift either way, voxels.
    pub largest: f32,
    /// Minimum, 1 % and 99 % quantile and maximum of the Jacobian.
    pub jacobian: [f32; 4],
    /// Share of the voxels, 0 to 1, at the limit of folding.
    pub steep_share: f64,
}

/// The image with its signal back in place, in one cubic B-spline along the axis of phase encoding: for a preview or a check;
/// what is kept should be resampled once with all other transforms.
///
/// `volume` is `(nz, ny, nx)`, not finite voxels count as 0. Where a place lies more than a voxel outside, the result is 0.
///
/// # Errors
/// [`DistortionError::Shape`] where the shapes differ.
pub fn undistort(volume: ArrayView3<f32>, shift: &Shift) -> Result<Array3<f32>, DistortionError> {
    same_shape("image", shift.voxels.dim(), &volume)?;
    same_shape("Jacobian", shift.voxels.dim(), &shift.jacobian.view())?;
    let image = along_y(volume.mapv(|v| if v.is_finite() { v } else { 0.0 }).view(), shift.axis);
    let voxels = along_y(shift.voxels.view(), shift.axis);
    let mut out = shifted(&image, &voxels, 1.0);
    Zip::from(&mut out).and(swapped(shift.jacobian.view(), shift.axis)).for_each(|v, j| *v *= j);
    Ok(along_y(out.view(), shift.axis))
}

/// A volume back in place that is no signal (a mask, a smooth field): trilinear along the axis of phase encoding, without the
/// Jacobian; the nearest edge's value beyond the image.
///
/// # Errors
/// [`DistortionError::Shape`] where the shapes differ.
pub fn carried(volume: ArrayView3<f32>, shift: &Shift) -> Result<Array3<f32>, DistortionError> {
    same_shape("volume", shift.voxels.dim(), &volume)?;
    let mut out = Array3::zeros(volume.dim());
    let (lines, shifts) = (volume.lanes(Axis(shift.axis)), shift.voxels.lanes(Axis(shift.axis)));
    Zip::from(out.lanes_mut(Axis(shift.axis))).and(lines).and(shifts).for_each(|mut out, line, shift| {
        let last = line.len() - 1;
        for (p, (out, by)) in out.iter_mut().zip(shift).enumerate() {
            let at = (p as f32 + by).clamp(0.0, last as f32);
            let low = (at as usize).min(last.saturating_sub(1));
            let above = at - low as f32;
            *out = line[low] * (1.0 - above) + line[(low + 1).min(last)] * above;
        }
    });
    Ok(out)
}

/// `image` at `y + scale · shift`, both in standard layout and of one shape.
pub(super) fn shifted(image: &Array3<f32>, shift: &Array3<f32>, scale: f32) -> Array3<f32> {
    let (nz, ny, nx) = image.dim();
    let mut out = Array3::zeros(image.dim());
    let (Some(from), Some(by), Some(to)) = (image.as_slice(), shift.as_slice(), out.as_slice_mut()) else { return out };
    let columns = Columns::new(from, [nz, ny, nx]);
    let slab = (ny * nx).max(1);
    slabs(to, slab).zip(by.par_chunks(slab)).for_each(|((z, out), by)| columns.shifted(z, by, scale, out));
    out
}

/// A view with the axis of phase encoding in the middle; the same again undoes it.
fn swapped<T>(volume: ArrayView3<T>, axis: usize) -> ArrayView3<T> {
    let mut view = volume;
    view.swap_axes(axis.min(2), 1);
    view
}

/// A copy in standard layout with the axis of phase encoding in the middle; the same again undoes it.
pub(super) fn along_y<T: Clone>(volume: ArrayView3<T>, axis: usize) -> Array3<T> {
    swapped(volume, axis).as_standard_layout().into_owned()
}

/// 1 + the central difference of the shift along the axis, one-sided at the ends.
fn jacobian(voxels: &Array3<f32>, axis: usize) -> Array3<f32> {
    let n = voxels.len_of(Axis(axis));
    let mut out = Array3::zeros(voxels.dim());
    for (p, mut plane) in out.axis_iter_mut(Axis(axis)).enumerate() {
        let (low, high) = (p.saturating_sub(1), (p + 1).min(n - 1));
        let step = 1.0 / (high - low).max(1) as f32;
        let (a, b) = (voxels.index_axis(Axis(axis), low), voxels.index_axis(Axis(axis), high));
        Zip::from(&mut plane).and(a).and(b).for_each(|v, a, b| *v = 1.0 + step * (b - a));
    }
    out
}

/// The shift with no step along the axis steeper than [`STEEPEST`], and how many there were.
fn unfolded(mut voxels: Array3<f32>, weights: Option<ArrayView3<f32>>, axis: usize) -> (Array3<f32>, usize) {
    // Planes that hold whole lines: across z, except when the lines run along z themselves.
    let (across, inner) = if axis == 0 { (1, 0) } else { (0, axis - 1) };
    let count = |(n, mut plane): (usize, ndarray::ArrayViewMut2<f32>)| {
        let weights = weights.as_ref().map(|w| w.index_axis(Axis(across), n));
        let mut clamped = 0;
        for (l, mut line) in plane.lanes_mut(Axis(inner)).into_iter().enumerate() {
            let steps: Vec<f32> = line.iter().zip(line.iter().skip(1)).map(|(a, b)| b - a).collect();
            let steep = steps.iter().filter(|step| step.abs() > STEEPEST).count();
            if steep > 0 {
                let weights = weights.as_ref().map(|w| w.index_axis(Axis(1 - inner), l));
                flatten(&mut line, &steps, weights);
                clamped += steep;
            }
        }
        clamped
    };
    let clamped = par_planes(&mut voxels, across).enumerate().map(count).sum();
    (voxels, clamped)
}

/// Puts a line together from its steps, none too steep, with the weighted mean that it had.
fn flatten(line: &mut ndarray::ArrayViewMut1<f32>, steps: &[f32], weights: Option<ndarray::ArrayView1<f32>>) {
    let mut gentle = vec![0.0_f64];
    for step in steps {
        let last = gentle.last().copied().unwrap_or(0.0);
        gentle.push(last + f64::from(step.clamp(-STEEPEST, STEEPEST)));
    }
    let weight = |n: usize| weights.as_ref().and_then(|w| w.get(n).copied()).filter(|w| *w > 0.0 && w.is_finite());
    let mean = |weight: &dyn Fn(usize) -> f64| {
        let all = line.iter().zip(&gentle).enumerate();
        let (sum, total) = all.fold((0.0, 0.0), |(sum, total), (n, (before, after))| {
            (sum + weight(n) * (f64::from(*before) - after), total + weight(n))
        });
        (total > 0.0).then(|| sum / total)
    };
    // A line without any weight lies outside the head: all of it counts alike.
    let offset = mean(&|n| weight(n).map_or(0.0, f64::from)).or_else(|| mean(&|_| 1.0)).unwrap_or(0.0);
    line.iter_mut().zip(gentle).for_each(|(v, g)| *v = (g + offset) as f32);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A point of signal at index 30 along every axis, spread enough to be sampled well.
    fn blob() -> Array3<f32> {
        Array3::from_shape_fn((64, 64, 64), |(k, j, i)| {
            let d = [k, j, i].map(|v| (v as f32 - 30.0) / 2.0);
            (-0.5 * d.iter().map(|v| v * v).sum::<f32>()).exp()
        })
    }

    fn centre(image: &Array3<f32>, axis: usize) -> f32 {
        let (sum, at) = image.indexed_iter().fold((0.0, 0.0), |(sum, at), ((k, j, i), v)| {
            (sum + f64::from(*v), at + f64::from(*v) * [k, j, i][axis] as f64)
        });
        (at / sum) as f32
    }

    #[test]
    fn signal_comes_back_for_all_six_directions() {
        let hz = Array3::from_elem((64, 64, 64), 80.0);
        for direction in PhaseEncoding::ALL {
            let shift = Shift::new(hz.view(), None, direction, 0.0315).unwrap();
            assert_eq!(shift.axis, direction.array_axis());
            // What is seen: the blob 2.52 voxels along; sampling by the opposite shift moves it there.
            let seen = undistort(blob().view(), &shift.scaled(-1.0)).unwrap();
            let at = 30.0 + 2.52 * direction.sign() as f32;
            assert!((centre(&seen, shift.axis) - at).abs() < 0.01, "{direction}");
            let back = undistort(seen.view(), &shift).unwrap();
            assert!((centre(&back, shift.axis) - 30.0).abs() < 0.01, "{direction}");
        }
    }

    #[test]
    fn a_flipped_grid_toggles_the_sign() {
        let hz = Array3::from_shape_fn((64, 64, 64), |(k, j, i)| 80.0 + (k + 2 * j + 3 * i) as f32 * 0.3);
        for direction in PhaseEncoding::ALL {
            let shift = Shift::new(hz.view(), None, direction, 0.0315).unwrap();
            let mut expected = undistort(blob().view(), &shift).unwrap();
            expected.invert_axis(Axis(shift.axis));
            let (mut hz, mut image) = (hz.clone(), blob());
            hz.invert_axis(Axis(shift.axis));
            image.invert_axis(Axis(shift.axis));
            let flipped = direction.reoriented([0, 1, 2], [true; 3]);
            assert_eq!(flipped, direction.reversed());
            let shift = Shift::new(hz.view(), None, flipped, 0.0315).unwrap();
            let found = undistort(image.view(), &shift).unwrap();
            assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4), "{direction}");
        }
    }

    #[test]
    fn the_sum_along_a_line_survives_stretching() {
        let hz = Array3::from_shape_fn((64, 64, 64), |(_, j, _)| 120.0 * (j as f32 * 0.12).sin());
        let shift = Shift::new(hz.view(), None, "j-".parse().unwrap(), 0.03).unwrap();
        let out = undistort(blob().view(), &shift).unwrap();
        assert!((out.sum() / blob().sum() - 1.0).abs() < 1e-3);
        assert!(shift.jacobian.iter().any(|j| *j > 1.3) && shift.clamped == 0);
    }

    #[test]
    fn folds_are_held_at_the_limit_and_the_rest_stays() {
        let hz = Array3::from_shape_fn((5, 40, 6), |(_, j, _)| 300.0 * (-(j as f32 - 20.0).powi(2) / 8.0).exp());
        for direction in ["j", "j-"] {
            let direction: PhaseEncoding = direction.parse().unwrap();
            let weights = Array3::from_shape_fn(hz.dim(), |(_, j, _)| if j < 12 { 1.0 } else { 0.0 });
            let shift = Shift::new(hz.view(), Some(weights.view()), direction, 0.035).unwrap();
            assert!(shift.clamped > 0);
            assert!(shift.jacobian.iter().all(|j| *j > 0.099 && *j < 1.901));
            let free = direction.sign() as f32 * 0.035 * hz[[2, 3, 3]];
            assert!((shift.voxels[[2, 3, 3]] - free).abs() < 0.02, "{} {free}", shift.voxels[[2, 3, 3]]);
            // Along the other axes nothing is steep.
            for other in ["i", "k"] {
                assert_eq!(Shift::new(hz.view(), None, other.parse().unwrap(), 0.035).unwrap().clamped, 0);
            }
        }
    }

    #[test]
    fn odd_input_is_refused_or_read_as_nothing() {
        let j: PhaseEncoding = "j".parse().unwrap();
        let mut hz = Array3::from_elem((3, 4, 5), 10.0);
        hz[[1, 1, 1]] = f32::NAN;
        let shift = Shift::new(hz.view(), None, j, 0.03).unwrap();
        assert!(shift.voxels.iter().chain(&shift.jacobian).all(|v| v.is_finite()));
        let gaps = Array3::from_elem((3, 4, 5), f32::NAN);
        assert!(undistort(gaps.view(), &shift).unwrap().iter().all(|v| *v == 0.0));
        assert!(matches!(undistort(Array3::zeros((3, 4, 4)).view(), &shift), Err(DistortionError::Shape { .. })));
        assert!(matches!(Shift::new(hz.view(), None, j, f64::NAN), Err(DistortionError::Readout { .. })));
        let flat = Array3::zeros((3, 1, 5));
        assert!(matches!(Shift::new(flat.view(), None, j, 0.03), Err(DistortionError::TooSmall { .. })));
        let facts = shift.facts(Array3::from_elem((3, 4, 5), 1_u8).view()).unwrap();
        assert!((facts.quantiles[1] - 0.3).abs() < 1e-5 && facts.steep_share == 0.0);
        assert_eq!(shift.facts(Array3::zeros((3, 4, 5)).view()), Err(DistortionError::NoHead));
    }
}
