//! Whose turn a unit is: ours, once it is claimed and cleared of what came before, or that of another run on the same output.

use super::RunContext;
use super::event::{RunEvent, StageName, Status};
use crate::derivatives::DerivativeError;
use crate::derivatives::claim::{Claim, Claimed, Holder};
use crate::derivatives::marker::Marker;
use crate::derivatives::outputs::Output;
use crate::derivatives::temporary;
use crate::plan::{self, ScanPlan, Unit};
use std::path::{Path, PathBuf};
use std::sync::Once;
use tracing::{info, warn};

/// What is to become of a unit.
pub(super) enum Turn {
    /// To be done; nobody else does it while this is held, where the file system has locks.
    Ours(Option<Claim>),
    /// Left to another run, for this reason.
    Theirs(String),
}

impl RunContext<'_> {
    /// Claims a unit and removes its marker and what a killed run left of it.
    pub(super) fn turn(&self, unit: &Unit) -> Result<Turn, DerivativeError> {
        let claim = match Claim::on_unit(self.output, &unit.id)? {
            Claimed::Ours(claim) => Some(claim),
            Claimed::Others(holder) => return Ok(Turn::Theirs(being_done(holder.as_ref()))),
            Claimed::Unguarded(e) => {
                warn_unguarded(&e);
                None
            }
        };
        // Since the plan was made.
        if plan::done_since(self.output, unit, self.strict) {
            return Ok(Turn::Theirs("another run has just done it".to_owned()));
        }
        // Removed first: from here on the outputs may be of two runs.
        Marker::remove(self.output, &unit.id, unit.marker_session.as_deref())?;
        temporary::sweep(folders(self.output, unit).iter().map(PathBuf::as_path));
        Ok(Turn::Ours(claim))
    }

    /// Says that a unit is left to another run.
    pub(super) fn leave(&self, unit: &Unit, why: &str) {
        for scan in &unit.scans {
            info!(scan_id = scan.id, "left alone: {why}");
            self.publish(&RunEvent::ScanFinished {
                unit: unit.id.clone(),
                scan_id: scan.id.clone(),
                modality: scan.modality,
                status: Status::Skipped,
                last_stage: StageName::Load,
                seconds: 0.0,
                output_mb: None,
                quality_score: None,
                message: Some(why.to_owned()),
            });
        }
        let (unit, status) = (unit.id.clone(), Status::Skipped);
        self.publish(&RunEvent::UnitFinished { unit, status, seconds: 0.0, quality_score: None });
    }
}

fn being_done(holder: Option<&Holder>) -> String {
    holder.map_or_else(|| "another run is doing it".to_owned(), |holder| format!("another run is doing it, {holder}"))
}

/// The folders that files of a unit are written into.
fn folders(output: &Path, unit: &Unit) -> Vec<PathBuf> {
    let outputs: Vec<Output> = unit.scans.iter().flat_map(ScanPlan::outputs).collect();
    let own = output.join(format!("sub-{}", unit.id.participant));
    let folders = outputs.iter().flat_map(Output::files).filter_map(|file| file.parent());
    folders.map(|folder| output.join(folder)).chain([own]).collect()
}

fn warn_unguarded(e: &std::io::Error) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        warn!(
            "the output folder is on a file system without locks ({e}); do not let two runs do the same participants at \
             once, or some will be done twice"
        );
    });
}
