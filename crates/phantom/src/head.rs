//! What is known of one head: its measures, and how far a point is from its large parts.

use super::cortex::Cortex;
use super::random::Field;
use super::shapes::Point;
use super::tissue::Tissue;

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
    pub(super) ventricles: f32,
    pub(super) ribbon: f32,
    pub(super) fluid: f32,
    pub(super) fat: f32,
    pub(super) nose: f32,
    pub(super) cortex: Cortex,
    /// Two slow fields that vary the thickness of layers from place to place.
    pub(super) layers: [Field; 2],
    /// A fine field for the streaks of fat and fascia in soft tissue.
    pub(super) streaks: Field,
    pub(super) texture: Field,
}

/// Distances (mm) from one point to the large parts, shared by everything that follows.
pub(super) struct Near {
    /// The point in the person's own frame, with x folded to the right side, and its side.
    pub folded: Point,
    pub cerebrum: f32,
    pub cerebellum: f32,
    pub stem: f32,
    pub cord: f32,
    /// The smooth outer surface of the whole brain.
    pub hull: f32,
    /// The inside of the dura, cut at the foramen magnum.
    pub dura: f32,
}
