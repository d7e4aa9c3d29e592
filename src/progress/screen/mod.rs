//! What a person sees of a run: its head, how it goes on, and its end.
//!
//! On a terminal a few lines at the bottom are drawn anew all the time ([`board`]), elsewhere a line is written for each
//! scan that ends ([`lines`]); [`watch`] keeps either going, and `status.json` with it.

mod board;
mod closing;
mod header;
mod lines;
mod watch;

pub use closing::Closing;
pub use header::Header;
pub use lines::Lines;
pub use watch::{View, Watch};
