//! Tests that need nothing beside the program but Python with its libraries: they compute.
//!
//! A new file is named below and found by `cargo test --release --test offline FILE::`.

#[path = "../common/mod.rs"]
mod common;

mod accuracy;
mod architecture;
mod bids_rules;
mod bold_spaces;
mod brain;
mod cli;
mod confounds;
mod corpus;
mod delivery;
mod demo;
mod determinism;
mod docs;
mod docs_generated;
mod echoes;
mod fieldmaps;
mod figures;
mod fuzz;
mod itk_readers;
mod known_fields;
mod layout;
mod levels;
mod limits;
mod memory;
mod nifti_io;
mod oracle;
mod resume;
mod run;
mod scale;
mod sidecar_values;
mod telemetry;
mod telemetry_contract;
mod telemetry_docs;
mod telemetry_privacy;
mod telemetry_show;
mod templates;
mod verify;
