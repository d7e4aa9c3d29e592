//! The stages, one file each, as plain functions: what the stages before made goes in, what this one makes comes out.
//! Spans, durations, counts and error logs come from [`crate::step`].

pub mod bias_correction;
pub mod confounds;
pub mod coregistration;
pub mod distortion;
mod distortion_check;
pub mod echoes;
mod field;
pub mod figures;
pub mod intensity;
mod lesions;
pub mod load;
pub mod motion_correct;
pub mod native;
pub mod quality;
pub mod resampling;
pub mod save;
pub mod skull_strip;
pub mod slice_timing;
pub mod spaces;
pub mod spatial_normalization;
mod timing;
pub mod tissues;
pub mod validate;
