//! Nipoppy: which participants and sessions of a study are to be processed, where its BIDS dataset is and where results go.
//!
//! Nothing here calls Nipoppy. The layouts and columns are those of Nipoppy 0.4.8; the layouts it still ships for
//! studies made by earlier versions are read too. `global_config.json` is not needed: paths are not in it.

mod error;
mod study;
mod table;

pub use error::NipoppyError;
pub use study::{Study, is_study, read};
