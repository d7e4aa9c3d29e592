//! Preprocesses MRI scans participant by participant, and leaves a trace of every step.

pub mod bids;
pub mod cli;
pub mod derivatives;
pub mod error;
pub mod imaging;
pub mod nifti;
pub mod nipoppy;
pub mod plan;
pub mod report;
pub mod run;
pub mod stages;
pub mod synth;
pub mod telemetry;
