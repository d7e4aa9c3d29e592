//! The pages a person opens: HTML that is whole in one file each, made from what runs left on disk and nothing else.
//!
//! All pages share a frame (`templates/base.html`) and a style (`assets/style.css`). Whatever is put into a template is
//! escaped there, by the name of the template ending in `.html`.

mod gather;
mod history;
mod index;
mod places;
mod subject;
mod templates;
mod write;

pub use write::{Written, has_page, write_dataset, write_participants, write_tables_only};

use crate::derivatives::DerivativeError;
use crate::error::{Coded, ErrorCode};
use crate::files::NotRead;
use std::path::PathBuf;
use thiserror::Error;

/// A page that could not be made.
#[derive(Debug, Error)]
pub enum PageError {
    /// A template does not fit its data.
    #[error("the page {page} could not be made: {message}; this is a defect, please report it")]
    Template {
        /// The template.
        page: &'static str,
        /// What the template engine said.
        message: String,
    },
    /// The derivatives cannot be read or a page not be written.
    #[error(transparent)]
    Files(#[from] DerivativeError),
    /// The threads cannot be started.
    #[error("cannot start the threads that make the pages: {0}")]
    Threads(String),
    /// A file that the page is made from is there but cannot be read.
    #[error("{} {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: NotRead,
    },
}

impl Coded for PageError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Template { .. } => ErrorCode::Panicked,
            Self::Files(e) => e.code(),
            Self::Threads(_) => ErrorCode::OutOfMemory,
            Self::Read { .. } => ErrorCode::ReadFailed,
        }
    }
}
