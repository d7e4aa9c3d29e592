//! What is known of one head: its measures, and how far a point is from its large parts.

use super::random::Field;
use super::shapes::Point;
use super::tissue::Tissue;
use super::warp::Warp;

/// Height of the foramen magnum below the brain's centre (mm): the lower end of the brain.
pub(super) const FORAMEN: f32 = -66.0;

/// What is at one point of the head.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// The tissue.
    pub tissue: Tissue,
    /// Part of the brain: parenchyma, ventricles and the fluid between the gyri, above the foramen magnum.
    pub brain: bool,
}

/// One person's head.
pub struct Head {
    pub(super) scale: Point,
    /// How much brighter than usual the map may be and still count as cortex: a thicker ribbon.
    pub(super) ribbon: f32,
    /// The same for fluid: wider sulci and ventricles.
    pub(super) atrophy: f32,
    /// Fluid over the convexity, mm.
    pub(super) fluid: f32,
    pub(super) fat: f32,
    pub(super) nose: f32,
    /// Shape: from the head's frame to the template's.
    pub(super) warp: Warp,
    /// Fine differences of the folds.
    pub(super) folds: Field,
    /// Two slow fields that vary the thickness of layers from place to place.
    pub(super) layers: [Field; 2],
    /// A fine field for the streaks of fat and fascia in soft tissue.
    pub(super) streaks: Field,
    pub(super) texture: Field,
}

/// Distances (mm) from one point to the large parts, shared by everything that follows.
pub(super) struct Near {
    /// The point in the person's own frame, with x folded to the right side.
    pub folded: Point,
    /// The point in the template's frame.
    pub template: Point,
    pub cord: f32,
    /// The smooth outer surface of the whole brain.
    pub hull: f32,
    /// The inside of the dura, cut at the foramen magnum.
    pub dura: f32,
}
