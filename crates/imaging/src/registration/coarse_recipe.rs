//! The settings of the coarse warp.

/// One resolution of a coarse warp.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CoarseLevel {
    /// Distance of the grid's nodes in mm; not below the images' own.
    pub spacing_mm: f64,
    /// Number of iterations.
    pub iterations: usize,
    /// Radius of the correlation window in nodes: the window is `2 * radius + 1` wide.
    pub radius: usize,
}

/// How a coarse warp is computed.
#[derive(Clone, Debug, PartialEq)]
pub struct CoarseRecipe {
    /// From coarse to fine.
    pub levels: Vec<CoarseLevel>,
    /// Smoothing of each update, σ in nodes.
    pub update_sigma: f64,
    /// Smoothing of the field after each update, σ in nodes.
    pub field_sigma: f64,
    /// Largest displacement of one update, in nodes.
    pub step: f32,
    /// Forces are cut at this many times their root mean square, so that a few edges do not set the step.
    pub force_cap: f32,
}

impl CoarseRecipe {
    /// What carries a head template's brain mask: 8, 4 and 2 mm.
    #[must_use]
    pub fn brain_mask() -> Self {
        let level = |spacing_mm, iterations, radius| CoarseLevel { spacing_mm, iterations, radius };
        let levels = vec![level(8.0, 40, 2), level(4.0, 40, 3), level(2.0, 5, 3)];
        Self { levels, update_sigma: 2.0, field_sigma: 1.0, step: 0.5, force_cap: 2.0 }
    }
}
