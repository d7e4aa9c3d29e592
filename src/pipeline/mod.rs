//! What is done with a participant's scans, as plain code: one function per kind of scan, in which each stage is a named
//! call whose typed result is the next one's argument. A stage that runs too early does not compile.
//!
//! Adding a stage is a function in [`stages`], its row in the table of stages, and its call here.

pub mod anatomical;
pub mod functional;
pub mod handed;
mod session;
pub mod stages;

pub use session::session;
