//! The templates of a run: read once, before the first scan, and shared by all scans.

use super::{Origin, Template, TemplateError, load, output_grid};
use crate::vocabulary::{Resolution, Space, Spaces, TemplateId};
use imaging::normalization::Target;
use imaging::rigid::apply;
use nifti::Grid;
use std::path::Path;

/// A template that scans are brought to.
#[derive(Debug)]
pub struct TemplateTarget {
    /// Which.
    pub id: TemplateId,
    /// Where its voxels came from.
    pub origin: Origin,
    /// The files; none of the built-in template.
    pub sources: Vec<super::Source>,
    /// What should be known about the choice, a sentence each.
    pub notes: Vec<String>,
    /// Its field of view: the centres of its first and its last voxel, RAS+ mm, by axis the lower first.
    pub extent: [[f64; 3]; 2],
    /// The brain, ready to be registered to.
    pub target: Target,
    /// The requested spaces, and the grids of outputs in them.
    pub grids: Vec<(Space, Grid)>,
}

/// The templates of a run, each once.
#[derive(Debug, Default)]
pub struct Targets(Vec<TemplateTarget>);

impl Targets {
    /// Reads the templates among `spaces`; `home` is the folder of templates, where there is one.
    ///
    /// # Errors
    /// [`TemplateError`]: a template or a grid that is not available.
    pub fn load(spaces: &Spaces, home: Option<&Path>) -> Result<Self, TemplateError> {
        spaces.templates().into_iter().map(|id| one(id, spaces, home)).collect::<Result<_, _>>().map(Self)
    }

    /// The templates in the order requested.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &TemplateTarget> {
        self.0.iter()
    }
}

fn one(id: &TemplateId, spaces: &Spaces, home: Option<&Path>) -> Result<TemplateTarget, TemplateError> {
    let template = load(id, home)?;
    let grid = |resolution: Resolution| {
        let grid = output_grid(&template, home, resolution, None)?;
        Ok((Space::Template(id.clone(), resolution), grid))
    };
    let grids = spaces.resolutions(id).map(grid).collect::<Result<_, TemplateError>>()?;
    let extent = extent(&template.grid);
    let Template { id, brain, mask, grid, origin, sources, notes, .. } = template;
    let target = Target::new(brain.view(), mask.view(), &grid.affine)
        .map_err(|e| TemplateError::Unsuitable { id: id.clone(), problem: e.to_string() })?;
    Ok(TemplateTarget { id, origin, sources, notes, extent, target, grids })
}

/// The corners of the box around the centres of a grid's voxels.
fn extent(grid: &Grid) -> [[f64; 3]; 2] {
    let last = [2, 1, 0].map(|axis| grid.shape[axis].saturating_sub(1) as f64);
    let corners: [[f64; 3]; 8] = std::array::from_fn(|n| {
        apply(&grid.affine, std::array::from_fn(|axis| if n >> axis & 1 == 1 { last[axis] } else { 0.0 }))
    });
    let of = |axis: usize, pick: fn(f64, f64) -> f64| corners.iter().map(|c| c[axis]).fold(corners[0][axis], pick);
    [[0, 1, 2].map(|axis| of(axis, f64::min)), [0, 1, 2].map(|axis| of(axis, f64::max))]
}
