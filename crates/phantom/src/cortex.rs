//! The folding of the cortex.
//!
//! Sulci are the zero crossings of a band-pass random field. The field is read at a position pulled towards the centre
//! of the hemisphere, so that the crossings become sheets that run inwards from the surface, bending on the way. The
//! distance to a sheet is the field over its gradient; with the depth at which a sulcus ends this gives the distance to
//! the nearest fluid in closed form, and the grey ribbon is what lies within cortical thickness of it.

use super::random::{Field, Stream, Waves, stream};
use super::shapes::Point;

/// Centre and radii of the star-shaped frame of a hemisphere.
const HEMISPHERE: (Point, Point) = ([25.0, -2.0, 6.0], [43.0, 82.0, 58.0]);
/// How strongly sheets are pulled to run along rays from the centre: 0 not at all, 1 exactly.
const RADIAL: f32 = 0.72;

/// The random part of the folding.
pub(super) struct Cortex {
    fold: Field,
    slope: Field,
    depth: Field,
}

impl Cortex {
    pub(super) fn new(seed: u64) -> Self {
        let rng = &mut stream(seed, Stream::Folding, 0);
        let extent = [76.0, 94.0, 76.0];
        let fold = Field::new(rng, &Waves { wavelength: 18.5, bandwidth: 0.16, count: 72, spacing: 2.0, extent });
        let slope = fold.slope();
        let depth = Field::new(rng, &Waves { wavelength: 34.0, bandwidth: 0.3, count: 40, spacing: 5.0, extent });
        Self { fold, slope, depth }
    }

    /// Distance (mm) to the fluid of the nearest sulcus, `depth` mm below the surface of the cerebrum.
    pub(super) fn sulcus(&self, p: Point, depth: f32) -> f32 {
        let side = HEMISPHERE.0[0].copysign(p[0]);
        let centre = [side, HEMISPHERE.0[1], HEMISPHERE.0[2]];
        let from = [p[0] - centre[0], p[1] - centre[1], p[2] - centre[2]];
        let r = HEMISPHERE.1;
        let level = ((from[0] / r[0]).powi(2) + (from[1] / r[1]).powi(2) + (from[2] / r[2]).powi(2)).sqrt().max(0.25);
        let pull = level.powf(-RADIAL);
        let q = [centre[0] + from[0] * pull, centre[1] + from[1] * pull, centre[2] + from[2] * pull];
        // Near saddles of the field the gradient vanishes; a floor keeps the sheet thin there.
        let sheet = self.fold.at(q).abs() / ((self.slope.at(q)).max(0.09) * pull);
        let end = 15.5 + 4.5 * self.depth.at(q);
        let end = end.clamp(6.0, 26.0);
        let below = (depth - end).max(0.0);
        let half_width = 0.28 + 0.55 * (1.0 - depth / end).clamp(0.0, 1.0);
        (sheet * sheet + below * below).sqrt() - half_width
    }
}
