//! Why a template is not available: what was found instead, and the ways to get it.

use crate::error::{Coded, ErrorCode};
use crate::vocabulary::TemplateId;
use nifti::NiftiError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// A template that cannot be used, or a grid it does not have.
#[derive(Debug, Error)]
pub enum TemplateError {
    /// It is not on this machine.
    #[error("the template {id} is not on this machine: {found}. {}", ways(id, *complete, home.as_ref()))]
    Missing {
        /// The template.
        id: TemplateId,
        /// The folder of templates that was looked in, if there is one.
        home: Option<PathBuf>,
        /// What was found where it should be.
        found: String,
        /// Whether the folder of the template is there, with content to be fetched only.
        complete: bool,
    },
    /// A file of it cannot be read as an image.
    #[error("the template {id} cannot be read: {source}")]
    Unreadable {
        /// The template.
        id: TemplateId,
        /// Which file, and why.
        source: Box<NiftiError>,
    },
    /// Its image and its mask do not belong together, or hold no brain.
    #[error("the template {id} cannot be used: {problem}; fetch its files again, or remove its folder")]
    Unsuitable {
        /// The template.
        id: TemplateId,
        /// What is wrong.
        problem: String,
    },
    /// It has no grid of this number.
    #[error(
        "the template {id} has no grid res-{number} that is known here (known: {known}); ask for one of these, for \
         res-native, or put a file tpl-{}*_res-{number:02}_* into its folder", id.name()
    )]
    NoGrid {
        /// The template.
        id: TemplateId,
        /// The number.
        number: u8,
        /// The numbers that there are.
        known: String,
    },
    /// A grid would have more voxels than makes sense.
    #[error(
        "a grid of {shape:?} voxels (z, y, x) over the template {id} is too fine; check the voxel size in the image's header"
    )]
    TooFine {
        /// The template.
        id: TemplateId,
        /// The extents.
        shape: [usize; 3],
    },
    /// A folder cannot be listed.
    #[error("the folder {} cannot be read ({source}); check TEMPLATEFLOW_HOME and permissions", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl Coded for TemplateError {
    fn code(&self) -> ErrorCode {
        ErrorCode::TemplateMissing
    }
}

/// How to get a template that is not here.
fn ways(id: &TemplateId, fetch_only: bool, home: Option<&PathBuf>) -> String {
    let (name, cohort) = (id.name(), id.cohort().map(|n| format!(", cohort='{n}'")).unwrap_or_default());
    let python = format!(
        "python -c \"from templateflow import api; api.get('{name}'{cohort}, suffix='T1w'); api.get('{name}'{cohort}, \
         desc='brain', suffix='mask')\""
    );
    let place = home.map_or_else(|| "the folder that TEMPLATEFLOW_HOME names".to_owned(), |h| h.display().to_string());
    let copy = if fetch_only { "copy the files themselves from" } else { "copy its folder from" };
    format!(
        "Where there is a network, run: {python} (after pip install templateflow). Or {copy} a machine that has it: \
         tpl-{name} into {place}. {} is built in and needs neither",
        TemplateId::built_in()
    )
}
