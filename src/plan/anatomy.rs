//! Which T1w image the bold runs of a participant-session are laid onto: the session's own, or that of another session.

use super::PlanOptions;
use super::units::{AnatomyPlan, AnatomySource, Plan, Problem, ScanPlan, SessionPlan};
use crate::bids::Modality;
use crate::derivatives::ledger::Ledger;
use crate::error::ErrorCode;
use crate::vocabulary::{Reason, SessionId, Spaces, State, Wanted};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Memory that an anatomy takes while runs are laid onto it, bytes besides one copy of the T1w image: the box around the brain
/// with three tissues and the image, and the field of one template.
const HELD_BYTES: u64 = 120_000_000;
/// The T1w image of another session, of which nothing is known.
const USUAL_T1W_BYTES: u64 = 80_000_000;

/// Says for each session where its anatomy comes from. Runs that would need one that there is not are refused where spaces were
/// asked for, and are otherwise done in their own space.
pub(super) fn assign(plan: &mut Plan, options: &PlanOptions) {
    if !options.wanted.spaces.need_anatomy() {
        return;
    }
    let found: Vec<AnatomyPlan> = plan.units.iter().map(|session| find(plan, session)).collect();
    for (session, anatomy) in plan.units.iter_mut().zip(found) {
        let volume = t1w(session).next().map_or(USUAL_T1W_BYTES, |scan| scan.memory.voxels * 4);
        let participant = session.id.participant.clone();
        for scan in session.scans.iter_mut().filter(|scan| scan.modality == Modality::Bold) {
            match &anatomy {
                AnatomyPlan::Of(_) => scan.memory.bytes += HELD_BYTES + volume,
                AnatomyPlan::Absent if scan.wanted.asked => {
                    let message = format!(
                        "{} is wanted in {}, for which a T1w image is needed, and sub-{participant} has none; ask for \
                         --output-spaces func",
                        scan.id,
                        named(&scan.wanted.spaces),
                    );
                    scan.problem.get_or_insert(Problem { code: ErrorCode::NoAnatomy, message });
                }
                _ => scan.wanted = Wanted { spaces: Arc::new(Spaces::own()), ..scan.wanted.clone() },
            }
        }
        session.anatomy = anatomy;
    }
}

/// The spaces that need an anatomy, in words.
fn named(spaces: &Spaces) -> String {
    spaces.beyond_own().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn t1w(session: &SessionPlan) -> impl Iterator<Item = &ScanPlan> {
    session.scans.iter().filter(|scan| scan.modality == Modality::T1w)
}

fn find(plan: &Plan, session: &SessionPlan) -> AnatomyPlan {
    if !session.scans.iter().any(|scan| scan.modality == Modality::Bold) {
        return AnatomyPlan::NotNeeded;
    }
    let others = plan.units.iter().filter(|other| other.id.participant == session.id.participant);
    let first = std::iter::once(session).chain(others).find_map(source);
    first.or_else(|| done_before(&plan.output, session)).map_or(AnatomyPlan::Absent, AnatomyPlan::Of)
}

/// The first T1w image of a session by name.
fn source(session: &SessionPlan) -> Option<AnatomySource> {
    let scan = t1w(session).map(|scan| &scan.relative).min()?.clone();
    Some(AnatomySource {
        session: session.id.clone(),
        marker_session: session.marker_session.clone(),
        scan,
        others: t1w(session).count() - 1,
    })
}

/// A T1w image of this or another session that an earlier run processed and that is not selected in this one.
fn done_before(output: &Path, session: &SessionPlan) -> Option<AnatomySource> {
    let own = done_in(output, session.id.clone(), session.marker_session.clone());
    own.or_else(|| done_in_another(output, session))
}

fn done_in(output: &Path, session: SessionId, marker_session: Option<String>) -> Option<AnatomySource> {
    let ledger = Ledger::read(output, &session, marker_session.as_deref())?;
    let mut done = ledger.scans.iter().filter(|entry| entry.summary.modality == Modality::T1w.as_str());
    let scan = done.next()?.done.path.clone();
    Some(AnatomySource { session, marker_session, scan, others: done.count() })
}

fn done_in_another(output: &Path, session: &SessionPlan) -> Option<AnatomySource> {
    let participant = output.join(format!("sub-{}", session.id.participant));
    let mut labels: Vec<String> = std::fs::read_dir(participant)
        .ok()?
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_prefix("ses-")?.to_owned()))
        .collect();
    labels.sort();
    labels.into_iter().find_map(|label| {
        done_in(output, SessionId { session: Some(label.clone()), ..session.id.clone() }, Some(label))
    })
}

/// Runs laid onto an anatomy of another session that is to be done are to be done, too.
pub(super) fn follow(plan: &mut Plan) {
    let due: Vec<(SessionId, PathBuf)> = plan
        .units
        .iter()
        .flat_map(|session| t1w(session).map(move |scan| (&session.id, scan)))
        .filter(|(_, scan)| !scan.state.is_kept())
        .map(|(id, scan)| (id.clone(), scan.relative.clone()))
        .collect();
    for session in &mut plan.units {
        let AnatomyPlan::Of(source) = &session.anatomy else { continue };
        if source.session == session.id || !due.iter().any(|(id, scan)| *id == source.session && *scan == source.scan) {
            continue;
        }
        let reason = State::ToDo(Reason::Anatomy(source.scan.clone()));
        let runs = session.scans.iter_mut().filter(|scan| scan.modality == Modality::Bold && scan.state.is_kept());
        runs.for_each(|scan| scan.state = reason.clone());
        if session.state.is_kept() {
            session.state = reason;
        }
    }
}

/// Sessions in the groups in which they are worked on: alone, but for those laid onto the T1w image of another one of them, which
/// come after that.
pub fn groups<'a>(sessions: impl Iterator<Item = &'a SessionPlan> + Clone) -> Vec<Vec<&'a SessionPlan>> {
    let leader = |session: &SessionPlan| match &session.anatomy {
        AnatomyPlan::Of(source) if source.session != session.id => Some(source.session.clone()),
        _ => None,
    };
    let mut groups: Vec<Vec<&SessionPlan>> =
        sessions.clone().filter(|session| leader(session).is_none()).map(|session| vec![session]).collect();
    for session in sessions {
        let Some(of) = leader(session) else { continue };
        match groups.iter_mut().find(|group| group.first().is_some_and(|first| first.id == of)) {
            Some(group) => group.push(session),
            None => groups.push(vec![session]),
        }
    }
    groups
}
