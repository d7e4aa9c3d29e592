//! The distortion of EPI images along phase encoding: what causes it, and images with their signal back in place.
//!
//! Where the magnetic field is off by `f` Hz, EPI shows the signal `f` × readout time voxels away along phase encoding, up to
//! a centimetre near the sinuses and the ears, squeezed here and stretched there. The field comes from phase images of two
//! echoes ([`phase`], [`unwrap`], [`fieldmap`]) or from a pair of EPI images with opposite phase encoding ([`pepolar`]);
//! [`shift`] makes voxels of Hz ([`readout`] says how many), and [`check`] measures whether the image is better for it.
//!
//! All of it is in the axes of the arrays: the affine does not enter, and no image is resampled before its phase is
//! unwrapped. Shifts are in voxels along phase encoding, fields in Hz, times in seconds.

pub mod check;
mod conjugate;
mod difference;
mod direction;
mod error;
pub mod fieldmap;
mod fold;
mod head_mask;
mod lattice;
mod line;
mod parallel;
pub mod pepolar;
mod pepolar_coil;
mod pepolar_level;
mod pepolar_motion;
mod pepolar_pair;
mod pepolar_system;
#[cfg(test)]
mod phantom;
pub mod phase;
pub mod readout;
pub mod shift;
mod smooth_fit;
pub mod unwrap;

pub use direction::PhaseEncoding;
pub use error::DistortionError;
pub use head_mask::head_mask;
