//! One participant-session: the anatomy first, then the functional runs.

use super::anatomical::anatomical;
use super::functional::functional;
use super::handed::{self, Handed};
use crate::bids::Modality;
use crate::derivatives::DerivativeError;
use crate::plan::{ScanPlan, SessionPlan};
use crate::step::{Context, Finished};
use crate::telemetry::spans;

/// Does the scans of a session that are to be done, and tells `done` of each as it ends. `refused` says why their places
/// cannot be written to. Never fails: what became of each scan is in what it returns, in the order of the work.
pub fn session(
    cx: &Context<'_>,
    plan: &SessionPlan,
    parent: spans::Parent<'_>,
    refused: Option<&DerivativeError>,
    mut done: impl FnMut(&Finished),
) -> Vec<Finished> {
    let of = |modality| plan.to_do().filter(move |scan: &&ScanPlan| scan.modality == modality);
    let mut finished = Vec::new();
    for scan in of(Modality::T1w) {
        let scan = cx.scan((&plan.id, scan), parent, refused, anatomical);
        done(&scan);
        finished.push(scan);
    }
    // Read back also when it was made a moment ago: what is handed on is what is on disk, in this run and in any later one.
    let runs = of(Modality::Bold).count();
    let anatomy = if runs > 0 { handed::anatomy(cx.output, plan, &finished) } else { Handed::NotNeeded };
    for scan in of(Modality::Bold) {
        let scan = cx.scan((&plan.id, scan), parent, refused, |scan| functional(scan, &anatomy));
        done(&scan);
        finished.push(scan);
    }
    finished
}
