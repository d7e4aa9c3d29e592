//! Imaging methods as pure functions: arrays in, arrays out; no files, no logs, no telemetry.
//!
//! Conventions of every function here: volumes are indexed `[[k, j, i]]`, shape `(nz, ny, nx)`, standard (C) layout, so
//! `i` (x) is contiguous, the order of NIfTI data on disk; series are `(nt, nz, ny, nx)`. Axes are RAS+: `i` grows to the
//! right, `j` to the front, `k` to the top. Voxel sizes are `[dz, dy, dx]` in millimetres. Masks are `u8`, 0 or 1.

pub mod bias;
mod bias_grid;
mod bias_histogram;
mod bits;
pub mod brain;
mod brain_belief;
mod brain_by_surface;
mod brain_doubt;
mod brain_evolve;
mod brain_field;
mod brain_fit;
mod brain_grow;
mod brain_input;
mod brain_locate;
mod brain_prior;
mod brain_refine;
mod brain_surface;
mod brain_types;
pub mod bspline;
pub mod bspline_fit;
mod components;
pub mod confounds;
pub mod coregistration;
pub mod distortion;
pub mod echoes;
mod elementary;
pub mod filter;
pub mod head_template;
pub mod intensity;
pub mod interpolate;
mod interpolate_line;
mod linear;
pub mod metrics;
mod mixture;
pub mod morphology;
pub mod motion;
mod motion_align;
mod motion_points;
mod motion_pyramid;
mod motion_reference;
pub mod normalization;
pub mod quality;
mod quality_air;
pub mod quality_bold;
pub mod quality_t1w;
pub mod registration;
pub mod resampling;
pub mod rigid;
pub mod segmentation;
pub mod slice_timing;
