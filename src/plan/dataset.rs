//! The plan for a BIDS dataset, or for the BIDS folder of a Nipoppy study.

use super::memory::estimate;
use super::units::{Indexed, Plan, Problem, ScanPlan, Source, Unit};
use super::{PlanError, PlanOptions, be_strict, mark_done};
use crate::bids::{self, Check, Index, Modality, ScanFile, Selection};
use crate::derivatives::outputs::outputs_of;
use crate::error::{Coded, ErrorCode};
use crate::nifti;
use crate::nipoppy::{self, Study};
use crate::run::event::UnitId;
use rayon::prelude::*;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

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
    options: PlanOptions,
) -> Result<Plan, PlanError> {
    if output.is_none() && !nipoppy::is_study(folder) {
        return Err(PlanError::NoOutput);
    }
    let mut plan = survey(folder, selection, options)?.plan;
    if let Some(output) = output {
        output.clone_into(&mut plan.output);
    }
    mark_done(&mut plan, options);
    Ok(plan)
}

/// What a dataset holds, whether it would be processed or not.
#[derive(Debug)]
pub struct Survey {
    /// What would be done, all of it; without an output folder unless a study has its own.
    pub plan: Plan,
    /// Participants without a scan that is processed, without `sub-`.
    pub without_scans: Vec<String>,
    /// Images of other suffixes and folders of other datatypes, with their number.
    pub others: BTreeMap<String, usize>,
}

/// Looks at a dataset as [`plan_dataset`] does, wherever its outputs may be.
///
/// # Errors
/// As [`plan_dataset`].
pub fn survey(folder: &Path, selection: &Selection, options: PlanOptions) -> Result<Survey, PlanError> {
    let study = if nipoppy::is_study(folder) { Some(nipoppy::read(folder, env!("CARGO_PKG_VERSION"))?) } else { None };
    let root = study.as_ref().map_or(folder, |s| s.bids_dir.as_path());
    let check = if options.skip_validation { Check::Tolerate } else { Check::Validate };
    let index = bids::index(root, check)?;
    let mut warnings = index.warnings.clone();
    let skipped: Vec<_> = index.skipped.iter().map(|s| (s.path.clone(), s.reason.to_string())).collect();
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
    let plan = Plan {
        root: root.to_owned(),
        output: study.as_ref().map(|s| s.output_dir.clone()).unwrap_or_default(),
        name: dataset_name(&index, root),
        units: units(&index, &chosen, unnamed, options),
        index: indexed(&index, &chosen),
        skipped,
        warnings,
    };
    Ok(Survey { plan, without_scans: without_scans(&index), others: index.others })
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
    if index.description.name.is_empty() { folder() } else { index.description.name.clone() }
}

fn units(index: &Index, chosen: &[&ScanFile], unnamed: bool, options: PlanOptions) -> Vec<Unit> {
    let scans: Vec<(UnitId, ScanPlan)> =
        chosen.par_iter().filter_map(|file| Some((unit_id(file), scan_plan(index, file, options)?))).collect();
    let mut units: BTreeMap<UnitId, Vec<ScanPlan>> = BTreeMap::new();
    for (id, scan) in scans {
        units.entry(id).or_default().push(scan);
    }
    let marker = |id: &UnitId| id.session.clone().or_else(|| unnamed.then(|| UNNAMED.to_owned()));
    units.into_iter().map(|(id, scans)| Unit { marker_session: marker(&id), id, scans, done: false }).collect()
}

fn unit_id(file: &ScanFile) -> UnitId {
    UnitId { participant: file.participant().to_owned(), session: file.session().map(str::to_owned) }
}

/// `None` for an image of a modality that is not processed.
fn scan_plan(index: &Index, file: &ScanFile, options: PlanOptions) -> Option<ScanPlan> {
    let modality = file.modality()?;
    let path = index.root.join(&file.path);
    let (metadata, mut problem) = match index.metadata(file) {
        Ok(metadata) => (metadata, None),
        Err(e) => (Map::new(), Some(Problem { code: e.code(), message: e.to_string() })),
    };
    let outputs = outputs_of(modality, &file.entities, options.tissues).unwrap_or_else(|e| {
        problem = Some(Problem { code: e.code(), message: e.to_string() });
        Vec::new()
    });
    if let Err(e) = file.unambiguous() {
        problem = Some(Problem { code: e.code(), message: e.to_string() });
    }
    let bytes = std::fs::metadata(&path).map_or(0, |m| m.len());
    let (source, memory) = source_of(file, path, modality, bytes, options);
    Some(ScanPlan {
        id: file.id(),
        modality,
        source,
        relative: file.path.clone(),
        entities: file.entities.clone(),
        metadata,
        problem,
        bytes,
        memory,
        outputs,
    })
}

fn source_of(file: &ScanFile, path: PathBuf, modality: Modality, bytes: u64, options: PlanOptions) -> (Source, u64) {
    if let Some(seed) = options.synthetic {
        let source = Source::Synthetic {
            participant: file.participant().into(),
            session: file.session().map(str::to_owned),
            seed,
        };
        return (source, estimate(modality, None, bytes));
    }
    let header = nifti::read_header(&path).ok();
    (Source::File(path), estimate(modality, header.as_ref(), bytes))
}

/// Every image of the dataset with its metadata, whether it is processed or not.
fn indexed(index: &Index, chosen: &[&ScanFile]) -> Vec<Indexed> {
    let chosen: BTreeSet<&Path> = chosen.iter().map(|s| s.path.as_path()).collect();
    index
        .scans
        .par_iter()
        .map(|file| Indexed {
            path: file.path.clone(),
            datatype: file.datatype.as_str().to_owned(),
            suffix: file.suffix.as_str().to_owned(),
            extension: file.extension.as_str().to_owned(),
            entities: file.entities.iter().map(|(k, v)| (k.to_owned(), Value::from(v))).collect(),
            metadata: index.metadata(file).unwrap_or_default(),
            selected: chosen.contains(file.path.as_path()),
        })
        .collect()
}
