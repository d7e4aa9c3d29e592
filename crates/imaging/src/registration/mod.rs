//! Registration: finding the map between the worlds of two images.
//!
//! `affine` is the general engine (Gauss–Newton on normalised correlation), `affine_sums` its sums. `orientation` names the
//! 24 ways a head can lie along the axes, `head` finds a head from no knowledge but its header, `brain` aligns two
//! brains that are already free of their heads. [`coarse`] is the cheap one-sided warp by local correlation that carries a brain
//! mask over. Images with a place are `placed::Placed`; a transform maps the fixed image's world to that of the moving one, in
//! mm.

pub mod affine;
mod affine_sums;
mod box_mean;
pub mod brain;
pub mod coarse;
mod coarse_field;
mod error;
pub mod head;
mod linear;
pub mod orientation;
pub mod placed;

pub use affine_sums::Fixed;
pub use error::WarpError;
pub(crate) use linear::determinant;
