//! The output spaces of a bold run: the series as it was scanned, brought to each in one interpolation through the head's motion,
//! the coregistration and the warp to the template, and written volume by volume.

use super::coregistration::OnAnatomy;
use super::echoes::Echoes;
use super::intensity::{Fit, step};
use super::motion_correct::left_out;
use super::validate::Series;
use crate::derivatives::atomic::Staged;
use crate::derivatives::outputs::{Output, OutputKind};
use crate::error::ErrorCode;
use crate::pipeline::handed::Anatomy;
use crate::plan::ScanPlan;
use crate::step::{Found, StageError};
use crate::templates::{Targets, TemplateTarget, covering};
use crate::vocabulary::{Resolution, Space};
use imaging::bias::divide_by_field;
use imaging::brain::Brain;
use imaging::resampling::{Places, RunningMean, largest, resample_series};
use imaging::rigid::{Matrix4, apply, compose, invert_affine};
use ndarray::{Array3, Zip};
use nifti::{Grid, Header, SeriesWriter};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// A run in an output space.
pub struct InSpace {
    /// The space.
    pub space: Space,
    /// Its grid, as a header.
    pub header: Header,
    /// The series, written and waiting for its name.
    pub series: Mutex<Option<Staged>>,
    /// The mean of the steady state.
    pub mean: Array3<f32>,
    /// The brain.
    pub mask: Array3<u8>,
    /// T2* of a multi-echo run, s; 0 outside the brain.
    pub t2star: Option<Array3<f32>>,
    /// White matter as the T1w image shows it, for the pictures.
    pub white: Array3<u8>,
}

/// How far a spline may reach above the brightest voxel, and what motion may bring under a higher gain.
const ABOVE: f32 = 1.25;

/// Resamples a run to every requested space besides its own.
pub fn bold(
    raw: &Series,
    fit: &Fit,
    (brain, echoes): (&Brain, Option<&Echoes>),
    there: &OnAnatomy<'_>,
    (plan, root, targets): (&ScanPlan, &Path, &Targets),
    found: &mut Found,
) -> Result<Vec<InSpace>, StageError> {
    let run = Run::new(raw, fit, brain, echoes)?;
    let outputs = plan.outputs();
    let mut made = Vec::new();
    for space in plan.wanted.spaces.beyond_own() {
        let is_it = |output: &&_| of_series(output, space);
        let Some(output) = outputs.iter().find(is_it) else { continue };
        let (grid, places) = run.places(space, there, targets, &plan.id)?;
        let header = Header::new(grid, raw.header.volumes(), raw.header.tr_seconds());
        let white = white_matter(raw, there, &places);
        made.push(InSpace { white, ..run.bring(space, header, &places, root.join(&output.path), found)? });
    }
    Ok(made)
}

/// The white matter of the T1w image at places of the run; nothing where a matrix cannot be inverted.
fn white_matter(raw: &Series, there: &OnAnatomy<'_>, places: &Places) -> Array3<u8> {
    let map = || {
        let to_t1w = invert_affine(&there.found.transform)?;
        let to_voxel = invert_affine(&there.anatomy.affine)?;
        Some(compose(&to_voxel, &compose(&to_t1w, &raw.header.grid().affine)))
    };
    let [nz, ny, nx] = places.shape();
    let [_, white, _] = &there.anatomy.shares;
    map().map_or_else(
        || Array3::zeros((nz, ny, nx)),
        |map| places.through(&map).linear(white.view(), false).mapv(|share| u8::from(share >= 0.5)),
    )
}

fn of_series(output: &Output, space: &Space) -> bool {
    output.kind == OutputKind::Preproc && output.space.as_ref() == Some(space)
}

/// What is the same for all spaces.
struct Run<'a> {
    raw: &'a Series,
    fit: &'a Fit,
    brain: &'a Brain,
    echoes: Option<&'a Echoes>,
    /// From RAS+ mm of the reference volume to its voxels.
    to_voxel: Matrix4,
    /// For each volume, from voxels of the reference to its own.
    maps: Vec<Matrix4>,
    /// What a value is multiplied by, at each voxel of the reference: the scale, and the field's inverse.
    gain: Array3<f32>,
    /// The largest value that is expected.
    largest: f32,
}

impl<'a> Run<'a> {
    #[expect(clippy::cast_possible_truncation, reason = "voxels are f32")]
    fn new(raw: &'a Series, fit: &'a Fit, brain: &'a Brain, echoes: Option<&'a Echoes>) -> Result<Self, StageError> {
        let affine = raw.header.grid().affine;
        let to_voxel = invert_affine(&affine).ok_or(imaging::motion::MotionError::SingularGrid)?;
        let maps = fit.maps(&affine)?;
        let mut gain = Array3::from_elem(fit.mean.dim(), fit.reference.scale as f32);
        divide_by_field(gain.view_mut(), fit.bias.field.view());
        if let Some(shift) = &fit.shift {
            gain *= &shift.jacobian;
        }
        let largest = ABOVE * largest(raw.voxels.view(), gain.view());
        Ok(Self { raw, fit, brain, echoes, to_voxel, maps, gain, largest })
    }

    /// The grid of a space, and where its voxels lie in the reference volume.
    fn places(
        &self,
        space: &Space,
        there: &OnAnatomy<'_>,
        targets: &Targets,
        id: &str,
    ) -> Result<(Grid, Places), StageError> {
        let voxel_mm = self.raw.header.grid().voxel_mm;
        let to_voxel = compose(&self.to_voxel, &there.found.transform);
        match space {
            Space::Template(template, resolution) => {
                let target = targets.iter().find(|target| target.id == *template);
                let grid = target.and_then(|target| known(target, space));
                let grid = grid.ok_or_else(|| too_fine(id, space))?;
                let grid = match resolution {
                    Resolution::Numbered(_) => grid.clone(),
                    Resolution::Unsaid | Resolution::Native => {
                        covering(grid, voxel_mm).map_err(|_| too_fine(id, space))?
                    }
                };
                let to_t1w = there.source.to_t1w(template)?;
                let places = Places::new(grid.shape, |voxel| apply(&to_voxel, to_t1w.map(apply(&grid.affine, voxel))));
                Ok((grid, places))
            }
            Space::T1w | Space::Func => {
                let grid = covering(&there.anatomy.grid, voxel_mm).map_err(|_| too_fine(id, space))?;
                let whole = compose(&to_voxel, &grid.affine);
                let places = Places::of(grid.shape, &whole);
                Ok((grid, places))
            }
        }
    }

    /// The series at these places, written beside `path`.
    fn bring(
        &self,
        space: &Space,
        header: Header,
        places: &Places,
        path: PathBuf,
        found: &mut Found,
    ) -> Result<InSpace, StageError> {
        let gain = places.linear(self.gain.view(), true);
        let displaced = self.fit.shift.as_ref().map(|shift| places.displaced(shift));
        let out = left_out(&self.fit.motion);
        let counts = (0..self.maps.len()).map(|t| !out.contains(&t)).collect();
        let mut mean = RunningMean::new(places.shape(), counts);
        let mut beyond = 0;
        let series = Staged::write(path, |to| {
            let mut writer = SeriesWriter::begin(to, &header, self.largest, step(&self.fit.reference))?;
            resample_series(
                self.raw.voxels.view(),
                &self.maps,
                (places, displaced.as_ref()),
                gain.view(),
                |volumes| {
                    mean.add(volumes);
                    writer.append(volumes)
                },
            )?;
            beyond = writer.end()?;
            Ok(())
        })
        .map_err(StageError::Derivative)?;
        if beyond > 0 {
            found.note(format!("in {space} {beyond} voxels exceed the range of the image format and are clipped"));
        }
        let share = places.linear(self.brain.mask.mapv(f32::from).view(), false);
        let mask = share.mapv(|share| u8::from(share >= 0.5));
        // The map is 0 beyond the brain, which must not count at its edge.
        let t2star = self.echoes.map(|echoes| {
            let mut there = places.linear(echoes.t2star.view(), false);
            Zip::from(&mut there).and(&share).for_each(|t, share| *t = if *share >= 0.5 { *t / share } else { 0.0 });
            there
        });
        let series = Mutex::new(Some(series));
        Ok(InSpace {
            space: space.clone(),
            header,
            series,
            mean: mean.mean(),
            mask,
            t2star,
            white: Array3::default((0, 0, 0)),
        })
    }
}

fn known<'t>(target: &'t TemplateTarget, space: &Space) -> Option<&'t Grid> {
    target.grids.iter().find(|(of, _)| of == space).map(|(_, grid)| grid)
}

fn too_fine(id: &str, space: &Space) -> StageError {
    let message = format!("{id}: there is no grid for {space} with voxels of the run; ask for one with :res-2");
    StageError::Invalid { code: ErrorCode::TemplateMissing, message }
}

/// The T1w image where a run has been brought, for the pictures: the same slices of the same head. Its white matter is what is
/// outlined.
pub fn anatomy_on(anatomy: &Anatomy, grid: &Grid) -> Option<(Array3<f32>, Array3<u8>)> {
    let map = compose(&invert_affine(&anatomy.affine)?, &grid.affine);
    let places = Places::of(grid.shape, &map);
    let [_, white, _] = &anatomy.shares;
    let image = places.linear(anatomy.image.view(), false);
    let white = places.linear(white.view(), false).mapv(|share| u8::from(share >= 0.5));
    Some((image, white))
}

/// A grid around the brain of the T1w image in voxels of 2 mm, for pictures, and where its voxels lie in a run with this affine;
/// `None` where a matrix cannot be inverted.
pub fn around_brain(run: &Matrix4, there: &OnAnatomy<'_>) -> Option<(Grid, Places)> {
    const PICTURE_MM: f64 = 2.0;
    let box_of = Grid {
        shape: {
            let (z, y, x) = there.anatomy.image.dim();
            [z, y, x]
        },
        voxel_mm: there.anatomy.grid.voxel_mm,
        affine: there.anatomy.affine,
    };
    let grid = covering(&box_of, [PICTURE_MM; 3]).ok()?;
    let to_voxel = compose(&invert_affine(run)?, &compose(&there.found.transform, &grid.affine));
    let places = Places::of(grid.shape, &to_voxel);
    Some((grid, places))
}
