//! Claims a session for this run and clears what an earlier run left of it, or skips it because another run has it.

use crate::derivatives::DerivativeError;
use crate::derivatives::claim::{Claim, Claimed, Holder};
use crate::derivatives::ledger::{Entry, Ledger};
use crate::derivatives::marker::Marker;
use crate::derivatives::outputs::Output;
use crate::derivatives::save::remove_if_there;
use crate::derivatives::temporary;
use crate::plan::{self, ScanPlan, SessionPlan};
use crate::step::Context;
use crate::vocabulary::{RunEvent, Stage, Status};
use std::path::{Path, PathBuf};
use std::sync::Once;
use tracing::{info, warn};

/// A claimed session, with what an earlier run left of it.
pub(super) struct Taken {
    /// Keeps other runs away while it is held, where the file system has locks.
    pub claim: Option<Claim>,
    /// The scans that stay as they are.
    pub ledger: Ledger,
}

/// What is to become of a session.
pub(super) enum Turn {
    /// This run processes it; no other run does while this is held, where the file system has locks.
    Claimed(Taken),
    /// Another run processes it, or has; the reason.
    Skipped(String),
}

/// Claims a session and removes its marker, what of its ledger is done again, and what a killed run left of it.
pub(super) fn turn(cx: &Context<'_>, plan: &SessionPlan) -> Result<Turn, DerivativeError> {
    let claim = match Claim::on_session(cx.output, &plan.id)? {
        Claimed::Ours(claim) => Some(claim),
        Claimed::Others(holder) => return Ok(Turn::Skipped(being_done(holder.as_ref()))),
        Claimed::Unguarded(e) => {
            warn_unguarded(&e);
            None
        }
    };
    // Since the plan was made.
    if plan::done_since(cx.output, plan, cx.strict) {
        return Ok(Turn::Skipped("another run has just finished it".to_owned()));
    }
    // Removed first: from here on the outputs may be of two runs.
    let session = plan.marker_session.as_deref();
    Marker::remove(cx.output, &plan.id, session)?;
    let ledger = strike_out(cx.output, plan)?;
    temporary::sweep(folders(cx.output, plan).iter().map(PathBuf::as_path));
    Ok(Turn::Claimed(Taken { claim, ledger }))
}

/// Takes what is done again out of the ledger, and then removes the files of it: also those that this run would not make.
fn strike_out(output: &Path, plan: &SessionPlan) -> Result<Ledger, DerivativeError> {
    let session = plan.marker_session.as_deref();
    let Some(mut ledger) = Ledger::read(output, &plan.id, session) else {
        return Ok(Ledger::new(&plan.id, session));
    };
    let again = |entry: &Entry| plan.to_do().any(|scan| scan.relative == entry.done.path);
    let (struck, kept): (Vec<Entry>, Vec<Entry>) = ledger.scans.into_iter().partition(again);
    ledger.scans = kept;
    if !struck.is_empty() {
        ledger.write(output, &plan.id, session)?;
    }
    for file in struck.iter().flat_map(|entry| &entry.done.outputs) {
        remove_if_there(&output.join(&file.path))?;
    }
    Ok(ledger)
}

/// Reports that a session is skipped because another run has it.
pub(super) fn leave(cx: &Context<'_>, plan: &SessionPlan, why: &str) {
    for scan in plan.to_do() {
        info!(scan_id = scan.id, "skipped: {why}");
        cx.publish(&RunEvent::ScanFinished {
            session: plan.id.clone(),
            scan_id: scan.id.clone(),
            modality: scan.modality,
            status: Status::Skipped,
            last_stage: Stage::Load,
            seconds: 0.0,
            output_mb: None,
            quality_score: None,
            message: Some(why.to_owned()),
        });
    }
    let (session, status) = (plan.id.clone(), Status::Skipped);
    cx.publish(&RunEvent::SessionFinished { session, status, seconds: 0.0, quality_score: None });
}

fn being_done(holder: Option<&Holder>) -> String {
    holder.map_or_else(
        || "another run is processing it".to_owned(),
        |holder| format!("another run is processing it, {holder}"),
    )
}

/// The folders that files of a session are written into.
fn folders(output: &Path, plan: &SessionPlan) -> Vec<PathBuf> {
    let outputs: Vec<Output> = plan.scans.iter().flat_map(ScanPlan::outputs).collect();
    let own = output.join(format!("sub-{}", plan.id.participant));
    let folders = outputs.iter().flat_map(Output::files).filter_map(|file| file.parent());
    folders.map(|folder| output.join(folder)).chain([own]).collect()
}

fn warn_unguarded(e: &std::io::Error) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        warn!(
            "the output folder is on a file system without locks ({e}); do not start two runs on the same participants at \
             once, or some will be processed twice"
        );
    });
}
