//! Templates: found in the folder of TemplateFlow where there is one, else the built-in one. Never the network.
//!
//! A template here is a brain: the T1w image within its mask, which is what a brain is registered to. Where it came from is part
//! of it, for the provenance of all that is made with it.
//!
//! Names: TemplateFlow's archive, `tpl-<name>[/cohort-<n>]/tpl-<name>[_cohort-<n>]_res-0<r>[_desc-brain]_T1w.nii.gz` and
//! `…_desc-brain_mask.nii.gz` (templateflow.org; Ciric 2022, doi 10.1038/s41592-022-01681-2).

mod built_in;
mod error;
mod find;
mod grids;
mod head;
mod packed;
mod targets;
mod tissues;

pub use error::TemplateError;
pub use find::names;
pub use grids::{covering, output_grid};
pub use head::head;
pub use targets::{Targets, TemplateTarget};
pub use tissues::tissue_prior;

use crate::vocabulary::TemplateId;
use find::{Pair, Search};
use ndarray::{Array3, Axis, Zip};
use nifti::{Grid, Image};
use std::path::{Path, PathBuf};

/// Where a template's voxels came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The binary.
    BuiltIn,
    /// Files in the folder of templates.
    Folder(PathBuf),
}

/// One source of a template's voxels, for provenance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// XXH3 of its bytes, 128 bits as 32 hexadecimal digits.
    pub xxh3: String,
}

/// A brain to register to.
#[derive(Clone, Debug)]
pub struct Template {
    /// Which template.
    pub id: TemplateId,
    /// The number of the resolution of these voxels: `res-1` where it is to be had.
    pub resolution: u8,
    /// The T1w image, zero outside the mask, `(nz, ny, nx)`, RAS+.
    pub brain: Array3<f32>,
    /// 1 in the brain, `(nz, ny, nx)`.
    pub mask: Array3<u8>,
    /// The grid of both.
    pub grid: Grid,
    /// Where they came from.
    pub origin: Origin,
    /// The files; none of the built-in template, which the version of the program tells.
    pub sources: Vec<Source>,
    /// What should be known about the choice, a sentence each: such as why the built-in template was taken although there is a
    /// folder of its name.
    pub notes: Vec<String>,
}

/// The folder of templates: `TEMPLATEFLOW_HOME` where it is set and not empty, else `.cache/templateflow` in the home folder.
#[must_use]
pub fn home(templateflow_home: Option<&Path>, user_home: Option<&Path>) -> Option<PathBuf> {
    let set = templateflow_home.filter(|path| !path.as_os_str().is_empty()).map(Path::to_owned);
    set.or_else(|| user_home.map(|user| user.join(".cache/templateflow")))
}

/// Reads a template: from the folder of templates, if there is one and it has it, else from the binary.
///
/// # Errors
/// [`TemplateError::Missing`] with the ways to get it, [`TemplateError::Unreadable`] and [`TemplateError::Unsuitable`] for files
/// that are there and cannot be used.
pub fn load(id: &TemplateId, home: Option<&Path>) -> Result<Template, TemplateError> {
    let Search { pair, instead } = home.map(|home| find::search(home, id)).unwrap_or_default();
    match pair {
        Some(pair) => from_files(id, &pair),
        None if *id == TemplateId::built_in() => from_binary(&instead),
        None => {
            let complete = home.is_some_and(|home| find::has_folder(home, id));
            let found = not_found(id, home, complete, instead);
            Err(TemplateError::Missing { id: id.clone(), home: home.map(Path::to_owned), found, complete })
        }
    }
}

/// What was found where a template should be, in words.
fn not_found(id: &TemplateId, home: Option<&Path>, folder: bool, instead: Vec<String>) -> String {
    let Some(home) = home else { return "there is no folder of templates".to_owned() };
    let place = home.join(format!("tpl-{}", id.name()));
    // One stands for the many; a skeleton has hundreds.
    match instead.into_iter().next() {
        Some(first) => first,
        None if folder => format!("{} has no T1w image of it", place.display()),
        None => format!("there is no {}", place.display()),
    }
}

fn from_files(id: &TemplateId, pair: &Pair) -> Result<Template, TemplateError> {
    let unsuitable = |problem: String| TemplateError::Unsuitable { id: id.clone(), problem };
    let (image, first) = read(id, &pair.image)?;
    let mut brain = volume(image.data).ok_or_else(|| unsuitable(format!("{} is a series", pair.image.display())))?;
    let grid = image.header.grid().clone();
    let mut sources = vec![first];
    let mask = match &pair.mask {
        None => brain.mapv(|v| u8::from(v > 0.0)),
        Some(path) => {
            let (image, source) = read(id, path)?;
            sources.push(source);
            if !same_place(image.header.grid(), &grid) {
                return Err(unsuitable(format!("{} lies on another grid than its image", path.display())));
            }
            let mask = volume(image.data).ok_or_else(|| unsuitable(format!("{} is a series", path.display())))?;
            mask.mapv(|v| u8::from(v >= 0.5))
        }
    };
    Zip::from(&mut brain).and(&mask).for_each(|v, &m| *v *= f32::from(m));
    if !brain.iter().any(|&v| v > 0.0) {
        return Err(unsuitable(format!("{} has no brain in it", pair.image.display())));
    }
    let folder = pair.image.parent().unwrap_or(Path::new("")).to_owned();
    let (resolution, origin) = (pair.resolution, Origin::Folder(folder));
    Ok(Template { id: id.clone(), resolution, brain, mask, grid, origin, sources, notes: Vec::new() })
}

fn from_binary(instead: &[String]) -> Result<Template, TemplateError> {
    let id = TemplateId::built_in();
    let brain = built_in::brain()?;
    let mask = brain.mapv(|v| u8::from(v > 0.0));
    let grid = grids::known(&id, 1)
        .ok_or_else(|| TemplateError::Unsuitable { id: id.clone(), problem: "it has no grid".to_owned() })?;
    let note = |found: &String| format!("{found}; the built-in template was used");
    Ok(Template {
        id,
        resolution: 1,
        brain,
        mask,
        grid,
        origin: Origin::BuiltIn,
        sources: Vec::new(),
        notes: instead.first().map(note).into_iter().collect(),
    })
}

fn read(id: &TemplateId, path: &Path) -> Result<(Image, Source), TemplateError> {
    let image = nifti::read(path).map_err(|e| TemplateError::Unreadable { id: id.clone(), source: Box::new(e) })?;
    let source = Source { path: path.to_owned(), bytes: image.fingerprint.bytes, xxh3: image.fingerprint.xxh3.clone() };
    Ok((image, source))
}

/// The one volume of an image.
fn volume(data: ndarray::Array4<f32>) -> Option<Array3<f32>> {
    (data.len_of(Axis(0)) == 1).then(|| data.remove_axis(Axis(0)))
}

/// Whether two grids have the same extents and lie within a hundredth of a millimetre of each other.
fn same_place(a: &Grid, b: &Grid) -> bool {
    let near = |(a, b): (&f64, &f64)| (a - b).abs() < 0.01;
    a.shape == b.shape && a.affine.iter().flatten().zip(b.affine.iter().flatten()).all(near)
}

#[cfg(test)]
mod tests;
