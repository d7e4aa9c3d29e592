//! The stages, one file each, as plain functions: what the stages before made goes in, what this one makes comes out.
//! Spans, durations, counts and error logs come from [`crate::step`].

pub(super) mod bias_correction;
pub(super) mod confounds;
pub(super) mod figures;
pub(super) mod intensity;
pub(super) mod load;
pub(super) mod motion_correct;
pub(super) mod quality;
pub(super) mod save;
pub(super) mod skull_strip;
pub(super) mod tissues;
pub(super) mod validate;
