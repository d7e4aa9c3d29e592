//! The plan for a BIDS dataset, or for the BIDS folder of a Nipoppy study.

use super::anatomy;
use super::echoes;
use super::fieldmap::FieldmapPlan;
use super::fieldmaps::FieldImages;
use super::images::Images;
use super::lesions;
use super::memory::estimate;
use super::resume::decide;
use super::units::{Common, Plan, Problem, ScanPlan, SessionPlan};
use super::{PlanError, PlanOptions, be_strict};
use crate::bids::{self, Check, Index, Modality, Other, ScanFile, Selection};
use crate::derivatives::outputs::outputs_of;
use crate::derivatives::sidecar::used;
use crate::error::{Coded, ErrorCode};
use crate::nipoppy::{self, Study};
use crate::printable;
use crate::vocabulary::{Fieldmaps, Reason, SessionId, State};
use rayon::prelude::*;
use serde_json::Map;
use std::collections::BTreeSet;
use std::path::Path;

/// The label Nipoppy uses for data without sessions.
const UNNAMED: &str = "unnamed";

/// Plans a dataset. `folder` is a BIDS dataset or a Nipoppy study; only the latter knows its own output folder.
///
/// # Errors
/// [`PlanError`] when the folder is not usable or a label does not exist. A selection that matches nothing gives a plan
/// without units.
pub fn plan_dataset(
    folder: &Path,
    output: Option<&Path>,
    selection: &Selection,
    options: &PlanOptions,
) -> Result<Plan, PlanError> {
    if output.is_none() && !nipoppy::is_study(folder) {
        return Err(PlanError::NoOutput);
    }
    let mut plan = survey(folder, selection, options)?.plan;
    if let Some(output) = output {
        output.clone_into(&mut plan.output);
    }
    anatomy::assign(&mut plan, options);
    decide(&mut plan, options);
    Ok(plan)
}

/// What a dataset holds, whether it would be processed or not.
#[derive(Debug)]
pub struct Survey {
    /// What would be done, all of it; without an output folder unless a study has its own.
    pub plan: Plan,
    /// Scans of a kind that is processed which the selection leaves out.
    pub not_selected: usize,
    /// Participants without a scan that is processed, without `sub-`.
    pub without_scans: Vec<String>,
    /// Images of which nothing is made, and folders of other datatypes, each with why; by kind and path.
    pub others: Vec<Other>,
}

/// Looks at a dataset as [`plan_dataset`] does, wherever its outputs may be.
///
/// # Errors
/// As [`plan_dataset`].
pub fn survey(folder: &Path, selection: &Selection, options: &PlanOptions) -> Result<Survey, PlanError> {
    let study = if nipoppy::is_study(folder) { Some(nipoppy::read(folder, env!("CARGO_PKG_VERSION"))?) } else { None };
    let root = study.as_ref().map_or(folder, |s| s.bids_dir.as_path());
    let check = if options.skip_validation { Check::Tolerate } else { Check::Validate };
    let only = if options.selected_only { selection.only_participants() } else { None };
    let index = bids::index_of(root, check, &|label| only.as_ref().is_none_or(|only| only.contains(label)))?;
    let mut warnings = index.warnings.clone();
    let skipped: Vec<_> =
        index.skipped.iter().map(|s| (s.path.clone(), printable::line(&s.reason.to_string()).into_owned())).collect();
    if options.strict {
        be_strict(root, &warnings, &skipped)?;
    }
    let chosen = match index.select(selection) {
        Ok(chosen) => listed(chosen, study.as_ref()),
        // A plan without work can still be looked at.
        Err(e) if e.code() == ErrorCode::NothingMatches => {
            warnings.push(e.to_string());
            Vec::new()
        }
        Err(e) => return Err(e.into()),
    };
    let sessions =
        selection.sessions.iter().chain(selection.subcohort.iter().filter_map(|(_, session)| session.as_ref()));
    let unnamed = study.is_some() || sessions.into_iter().any(|s| s == UNNAMED);
    let mut plan = Plan {
        root: root.to_owned(),
        output: study.as_ref().map(|s| s.output_dir.clone()).unwrap_or_default(),
        name: dataset_name(&index, root),
        units: units(&index, &chosen, unnamed, options),
        images: None,
        doi: index.description.doi.clone(),
        skipped,
        warnings,
    };
    let not_selected = index
        .scans
        .iter()
        .filter(|file| file.modality().is_some())
        .count()
        .saturating_sub(chosen.iter().filter(|file| file.modality().is_some()).count());
    let (without_scans, others) = (without_scans(&index), others(&index));
    if options.images {
        let selected = chosen.into_iter().map(|file| file.path.clone()).collect();
        plan.images = Some(Images::new(index, selected));
    }
    Ok(Survey { plan, not_selected, without_scans, others })
}

/// Files of kinds that are not processed, in the order of the list.
fn others(index: &Index) -> Vec<Other> {
    let unprocessed = index.scans.iter().filter(|file| file.modality().is_none()).map(Other::of);
    let mut others: Vec<Other> = index.others.iter().cloned().chain(unprocessed).collect();
    others.sort_by(|a, b| (&a.what, a.why, &a.path).cmp(&(&b.what, b.why, &b.path)));
    others
}

fn without_scans(index: &Index) -> Vec<String> {
    let processed = index.scans.iter().filter(|s| s.modality().is_some());
    let with: BTreeSet<&str> = processed.map(ScanFile::participant).collect();
    index.participants.iter().map(|p| &p.label).filter(|label| !with.contains(label.as_str())).cloned().collect()
}

/// Of a study, only the participant-sessions it lists.
fn listed<'a>(scans: Vec<&'a ScanFile>, study: Option<&Study>) -> Vec<&'a ScanFile> {
    let Some(study) = study else { return scans };
    let wanted: BTreeSet<(&str, Option<&str>)> =
        study.participant_sessions.iter().map(|(p, s)| (p.as_str(), s.as_deref())).collect();
    scans.into_iter().filter(|s| wanted.contains(&(s.participant(), s.session()))).collect()
}

fn dataset_name(index: &Index, root: &Path) -> String {
    let folder = || root.file_name().map_or_else(|| root.display().to_string(), |n| n.to_string_lossy().into_owned());
    let name = if index.description.name.is_empty() { folder() } else { index.description.name.clone() };
    printable::line(&name).into_owned()
}

fn units(index: &Index, chosen: &[&ScanFile], unnamed: bool, options: &PlanOptions) -> Vec<SessionPlan> {
    let (common, fields) = (Common::default(), FieldImages::new(index));
    let mut sorted = chosen.to_vec();
    sorted.sort_by_key(|file| (file.participant(), file.session()));
    let of_unit = |a: &&ScanFile, b: &&ScanFile| (a.participant(), a.session()) == (b.participant(), b.session());
    let unit = |files: &&[&ScanFile]| -> Option<SessionPlan> {
        let id = unit_id(files.first()?);
        let mut scans = Vec::with_capacity(files.len());
        scans.extend(files.iter().filter_map(|file| scan_plan(index, file, &common, options)));
        let marker_session = id.session.clone().or_else(|| unnamed.then(|| UNNAMED.to_owned()));
        let mut scans = echoes::together(scans);
        match options.wanted.fieldmaps {
            Fieldmaps::Ignored => {
                let without = FieldmapPlan::Without { why: "--ignore fieldmaps".into(), there: false, wrong: false };
                let runs = scans.iter_mut().filter(|scan| scan.modality == Modality::Bold);
                runs.for_each(|run| run.fieldmap = without.clone());
            }
            _ => fields.assign(&mut scans),
        }
        lesions::assign(index, &mut scans);
        (!scans.is_empty()).then(|| SessionPlan::new(marker_session, id, scans))
    };
    sorted.chunk_by(of_unit).collect::<Vec<_>>().par_iter().filter_map(unit).collect()
}

fn unit_id(file: &ScanFile) -> SessionId {
    SessionId { participant: file.participant().to_owned(), session: file.session().map(str::to_owned) }
}

/// `None` for an image of a modality that is not processed.
fn scan_plan(index: &Index, file: &ScanFile, common: &Common, options: &PlanOptions) -> Option<ScanPlan> {
    let modality = file.modality()?;
    let path = index.root.join(&file.path);
    let (metadata, mut problem) = match index.metadata(file) {
        Ok(metadata) => (metadata, None),
        Err(e) => (Map::new(), Some(Problem::of(&e))),
    };
    let (metadata, oddities) = used(modality, metadata);
    if let Err(e) = outputs_of(modality, &file.entities, &options.wanted) {
        problem = Some(Problem::of(&e));
    }
    if let Err(e) = file.unambiguous() {
        problem = Some(Problem::of(&e));
    }
    let bytes = std::fs::metadata(&path).map_or(0, |m| m.len());
    let memory = estimate(modality, nifti::read_header(&path).ok().as_ref(), &options.wanted);
    Some(ScanPlan {
        id: file.id(),
        modality,
        file: path,
        echoes: Vec::new(),
        fieldmap: FieldmapPlan::default(),
        lesions: Vec::new(),
        relative: file.path.clone(),
        entities: file.entities.clone(),
        metadata: common.of(metadata),
        oddities,
        problem,
        bytes,
        memory,
        wanted: options.wanted.clone(),
        state: State::ToDo(Reason::NeverDone),
    })
}
