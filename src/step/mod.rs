//! A scan's way, step by step: the ONE place where a stage gets its span, its duration, its count, its log lines and its
//! error, where panics are caught and where requests to stop are looked at. The pipelines only say which step comes when.

pub mod cancel;
mod context;
mod error;
mod found;
mod scan;
mod steps;

pub use context::Context;
pub use error::{Failed, StageError};
pub use found::{Fact, Found};
pub use scan::{Finished, Scan};
pub use steps::Steps;
