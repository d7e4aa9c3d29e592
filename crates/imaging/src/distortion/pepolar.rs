//! The field from a pair of EPI images with opposite phase encoding ("pepolar", "blip-up, blip-down").
//!
//! What one image shows too far one way the other shows as far the other way. The shift `u` is a cubic B-spline with control
//! points every three voxels for which both corrected images are most alike,
//!
//! `first(y + u) · (1 + u′)  =  gain · second(M; y − κ u) · (1 − κ u′)`,
//!
//! with κ the ratio of the readout times and `M` the head's motion between the two. It is found from coarse to fine by Gauss
//! and Newton's method on a Huber norm, with the bending of `u` held small and a barrier against folding; motion and gain
//! are estimated in between. Model after Andersson J. L. R., Skare S. and Ashburner J., "How to correct susceptibility
//! distortions in spin-echo echo-planar images", NeuroImage 20(2), 2003, doi:10.1016/S1053-8119(03)00336-7; barrier and
//! Gauss–Newton after HySCO (Ruthotto et al. 2012, doi:10.1088/0031-9155/57/18/5715).
//!
//! Three things that are small in themselves come to hundredths of a voxel. The coil stands still while the head moves, so that
//! the same place is brighter in one image; the scanner shifts signal along its own axis, which a turned head sees aslant; and
//! the shift takes some of the motion in, for which the estimate of the motion goes beyond its own optimum.
//!
//! A constant shift and motion along phase encoding are one and the same to such a pair. What of it is motion is guessed from
//! the motion along the other axes and from the centre frequency of scanners, which is near the middle of the head's field;
//! what is guessed wrong, at most half of the motion, stays in the field as a constant, a rigid shift that coregistration takes
//! away, and the field lies as far off.

use ndarray::Array3;

use super::DistortionError;
use super::check::{PairAgreement, pair_agreement};
pub use super::pepolar_level::KNOTS;
use super::pepolar_level::{Counts, Level, plan};
use super::pepolar_motion::{Pose, corrected};
pub use super::pepolar_pair::Epi;
use super::pepolar_pair::{OF_HEAD, Pair};
use super::shift::along_y;
use crate::rigid::{IDENTITY, Matrix4, to_parameters};

/// How often the shift and the motion are estimated in turn at each level.
const TURNS: usize = 2;
/// The field that a pair of images tells of.
#[derive(Clone, Debug)]
pub struct Pepolar {
    /// Hz at every voxel `(nz, ny, nx)` of the first image, with the head as it lies there.
    pub hz: Array3<f32>,
    /// Control points of its spline in Hz; point `c` of an axis sits at voxel `3 · (c − 1)`.
    pub coefficients: Array3<f32>,
    /// How it came about.
    pub facts: PepolarFacts,
}

/// What a report says of the estimate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PepolarFacts {
    /// What the second image is multiplied by to be as bright as the first.
    pub gain: f64,
    /// Where the head of the first image lies in the second, in mm along the axes of the array (index × voxel size, x, y, z).
    pub motion: Matrix4,
    /// The motion of the centre of the head along x, y, z in mm; that along phase encoding is a guess, see the module.
    pub translation_mm: [f64; 3],
    /// The turns about x, y, z in degrees.
    pub rotation_deg: [f64; 3],
    /// How alike both images are, moved together but not corrected.
    pub before: PairAgreement,
    /// How alike they are when corrected.
    pub after: PairAgreement,
    /// Steps of Gauss and Newton's method.
    pub steps: usize,
    /// Steps of conjugate gradients.
    pub inner_steps: usize,
}

/// Estimates the field from two images of one grid with opposite phase encoding along one axis, `voxel_mm` = `[dz, dy, dx]`.
///
/// `motion` says whether the head may have moved in between: estimate it unless both come from one excitation. Without motion
/// the error is about 0.01 voxel on phantoms, with 1 to 2 mm and 1 degree 0.02 (after the constant is removed, see the module),
/// and 0.2 voxel if such motion is not estimated.
///
/// # Errors
/// Shapes that differ, directions that are no pair, readout times or voxel sizes that cannot be, fewer than 8 voxels along
/// phase encoding, an image without a voxel above 0.
pub fn estimate(first: &Epi, second: &Epi, voxel_mm: [f64; 3], motion: bool) -> Result<Pepolar, DistortionError> {
    let pair = Pair::new(first, second, voxel_mm)?;
    let mut pose = Pose::new(&pair);
    let mut shift = Array3::zeros(pair.first.dim());
    let (mut counts, mut controls) = (Counts::default(), Array3::zeros((0, 0, 0)));
    let levels = plan(pair.grid.shape);
    let finest = levels.len().saturating_sub(1);
    for (n, step) in levels.into_iter().enumerate() {
        if motion && n == finest {
            shift = pose.settle(&pair, shift, first.readout_s);
        }
        let mut level = Level::new(&pair, step, &shift);
        for _ in 0..if motion { TURNS } else { 1 } {
            counts.add(level.descend(&pair, &pose));
            shift = level.shift();
            if motion {
                pose.align(&pair, &shift, step.sigma);
            }
        }
        controls = level.into_controls();
    }
    let axis = first.direction.array_axis();
    let facts = facts(&pair, &pose, &shift, axis, counts)?;
    let scale = (first.direction.sign() / first.readout_s) as f32;
    // The finest level is that of the image's own voxels.
    let [hz, coefficients] = [shift, controls].map(|shift| along_y(shift.mapv_into(|u| u * scale).view(), axis));
    Ok(Pepolar { hz, coefficients, facts })
}

/// What there is to say of the estimate.
fn facts(
    pair: &Pair,
    pose: &Pose,
    shift: &Array3<f32>,
    axis: usize,
    counts: Counts,
) -> Result<PepolarFacts, DistortionError> {
    let none = Array3::zeros(shift.dim());
    let both = |shift: &Array3<f32>| {
        let second = corrected(&pose.moved, shift, -pair.kappa).mapv_into(|v| v * pose.gain as f32);
        (corrected(&pair.first, shift, 1.0), second)
    };
    let agreement = |shift: &Array3<f32>| {
        let (a, b) = both(shift);
        let mut head = Array3::<u8>::zeros(a.dim());
        ndarray::Zip::from(&mut head).and(&a).and(&b).for_each(|m, a, b| *m = u8::from(0.5 * (a + b) > OF_HEAD));
        pair_agreement(a.view(), b.view(), head.view())
    };
    // Back to the axes of the array as it came: x, y, z here.
    let swap = |a: usize| {
        if a == 2 - axis {
            1
        } else if a == 1 {
            2 - axis
        } else {
            a
        }
    };
    let mut motion = IDENTITY;
    for (r, row) in motion.iter_mut().enumerate().take(3) {
        *row = std::array::from_fn(|c| pose.motion[swap(r)][if c < 3 { swap(c) } else { 3 }]);
    }
    let centre = std::array::from_fn(|a| pose.centre[swap(a)]);
    let [tx, ty, tz, rx, ry, rz] = to_parameters(&motion, centre);
    Ok(PepolarFacts {
        gain: pose.gain * pair.scale,
        motion,
        translation_mm: [tx, ty, tz],
        rotation_deg: [rx, ry, rz].map(f64::to_degrees),
        before: agreement(&none)?,
        after: agreement(shift)?,
        steps: counts.steps,
        inner_steps: counts.inner,
    })
}

#[cfg(test)]
mod tests;
