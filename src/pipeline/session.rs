//! One participant-session: the anatomy first, then the functional runs.

use super::anatomical::anatomical;
use super::functional::functional;
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
    let mut add = |scan: Finished| {
        done(&scan);
        finished.push(scan);
    };
    for scan in of(Modality::T1w) {
        add(cx.scan((&plan.id, scan), parent, refused, anatomical));
    }
    for scan in of(Modality::Bold) {
        add(cx.scan((&plan.id, scan), parent, refused, functional));
    }
    finished
}
