//! Registration: finding the map between the worlds of two images.
//!
//! `affine` is the general engine (Gauss–Newton on normalised correlation), `affine_sums` its sums. `orientation` names the
//! 24 ways a head can lie along the axes, `head` finds a head from no knowledge but its header, `brain` aligns two
//! brains that are already free of their heads, `tone` straightens the contrast of a scan in which the head was found. Images with a place are `placed::Placed`; a transform maps the fixed image's
//! world to that of the moving one, in mm.
//!
//! What is left once an affine is known is a warp by local correlation: [`coarse`] is the cheap one-sided one that carries a
//! brain mask over; [`register`] takes a brain to a template, there and back, by the other files.

pub mod affine;
mod affine_sums;
mod box_mean;
pub mod brain;
pub mod coarse;
mod coarse_field;
mod coarse_level;
mod coarse_recipe;
mod error;
mod field;
mod force;
mod grid;
pub mod head;
pub mod intensity;
mod inverse;
mod linear;
mod metric;
pub mod orientation;
pub mod placed;
mod pyramid;
pub mod recipe;
pub mod register;
mod repair;
mod sample;
mod smooth;
mod spans;
mod symmetric;
pub(crate) mod tone;
pub mod warp;
mod window;

pub use affine_sums::Fixed;
pub use error::WarpError;
pub(crate) use linear::determinant;
