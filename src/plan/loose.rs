//! The plan for scans outside BIDS: one file, or every scan in a folder. Names that follow BIDS are understood; others
//! become participant labels.

use super::anatomy;
use super::echoes;
use super::fieldmap::FieldmapPlan;
use super::memory::estimate;
use super::resume::decide;
use super::units::{Common, Plan, Problem, ScanPlan, SessionPlan};
use super::{PlanError, PlanOptions, be_strict};
use crate::bids::{BidsError, Entities, EntityError, Modality, SkipReason, dicom_below, read_object, split_extension};
use crate::derivatives::outputs::outputs_of;
use crate::derivatives::sidecar::used;
use crate::error::ErrorCode;
use crate::printable;
use crate::vocabulary::{Fieldmaps, Reason, SessionId, State};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// Plans one file. Its sidecar is the `.json` of the same name beside it, if there is one.
///
/// # Errors
/// None for one file.
pub fn plan_file(file: &Path, output: &Path, options: &PlanOptions) -> Result<Plan, PlanError> {
    // A bare name has no folder that could be shown.
    let bare = file.parent() == Some(Path::new(""));
    let file = if bare { absolute(file) } else { file.to_owned() };
    let root = file.parent().unwrap_or_else(|| Path::new(""));
    plan_files(root, (vec![file.clone()], Vec::new()), output, &Modality::ALL, options)
}

/// Plans every `.nii` and `.nii.gz` file below a folder, without following links to folders.
///
/// # Errors
/// [`PlanError`] when two of them would be written to the same place, or there are DICOM files in their place.
pub fn plan_folder(
    folder: &Path,
    output: &Path,
    modalities: &[Modality],
    options: &PlanOptions,
) -> Result<Plan, PlanError> {
    let (mut files, mut skipped) = (Vec::new(), Vec::new());
    let entries = WalkDir::new(folder).sort_by_file_name().into_iter();
    for entry in entries.filter_entry(|e| e.depth() == 0 || !hidden(e.file_name()) && e.path() != output) {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => {}
            Ok(entry) => match is_scan(entry.path()) {
                Some(Ok(())) => files.push(entry.into_path()),
                Some(Err(reason)) => skipped.push((entry.into_path(), reason)),
                None => {}
            },
            Err(e) => skipped.push((e.path().unwrap_or(folder).to_owned(), SkipReason::Unreadable(why(&e)))),
        }
    }
    if files.is_empty()
        && let Some(example) = dicom_below(folder)
    {
        return Err(BidsError::Dicom { root: folder.to_owned(), example }.into());
    }
    files.sort();
    let skipped = skipped
        .into_iter()
        .map(|(path, reason)| (path.strip_prefix(folder).unwrap_or(&path).to_owned(), reason.to_string()))
        .collect();
    plan_files(folder, (files, skipped), output, modalities, options)
}

/// Whether a file that looks like a scan is taken, or why not; `None` for any other file.
fn is_scan(file: &Path) -> Option<Result<(), SkipReason>> {
    let name = file.file_name()?;
    match split_extension(&name.to_string_lossy()) {
        Err(SkipReason::BadName(_)) => None,
        _ if name.to_str().is_none() => Some(Err(SkipReason::NotUtf8)),
        Ok((stem, _)) if is_of_fieldmap(stem) => Some(Err(SkipReason::OfFieldmap)),
        found => Some(found.map(drop)),
    }
}

/// Whether a name ends as those of images in `fmap/` do: a magnitude would pass for a T1w image.
fn is_of_fieldmap(stem: &str) -> bool {
    let suffix = stem.rsplit('_').next().unwrap_or(stem);
    ["magnitude", "magnitude1", "magnitude2", "phasediff", "phase1", "phase2", "fieldmap", "epi"].contains(&suffix)
}

/// The system's words.
fn why(error: &walkdir::Error) -> String {
    error.io_error().map_or_else(|| error.to_string(), ToString::to_string)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn hidden(name: &std::ffi::OsStr) -> bool {
    name.to_string_lossy().starts_with('.')
}

/// The file name without `.nii` or `.nii.gz`.
fn stem(file: &Path) -> Option<&str> {
    split_extension(file.file_name()?.to_str()?).ok().map(|(stem, _)| stem)
}

fn plan_files(
    root: &Path,
    (files, skipped): (Vec<PathBuf>, Vec<(PathBuf, String)>),
    output: &Path,
    modalities: &[Modality],
    options: &PlanOptions,
) -> Result<Plan, PlanError> {
    if options.strict {
        be_strict(root, &[], &skipped)?;
    }
    let mut units: BTreeMap<SessionId, Vec<ScanPlan>> = BTreeMap::new();
    let mut places: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    let common = Common::default();
    for file in files {
        let (unit, mut scan) = scan_plan(root, &file, &common, options);
        if !modalities.contains(&scan.modality) {
            continue;
        }
        match outputs_of(scan.modality, &scan.entities, &scan.wanted) {
            Err(e) => scan.problem = Some(Problem::of(&e)),
            Ok(outputs) => {
                for place in outputs {
                    if let Some(other) = places.insert(place.path, file.clone()) {
                        return Err(PlanError::SameOutputs(other, file));
                    }
                }
            }
        }
        units.entry(unit).or_default().push(scan);
    }
    let name =
        absolute(root).file_name().map_or_else(|| "loose scans".to_owned(), |n| n.to_string_lossy().into_owned());
    let nothing = units.is_empty().then(|| "no .nii or .nii.gz file of a selected modality".to_owned());
    let bold = || units.values().flatten().any(|scan| scan.modality == Modality::Bold);
    let undistorted = (options.wanted.fieldmaps != Fieldmaps::Ignored && bold())
        .then(|| "distortion of bold runs is not corrected: fieldmaps are used in BIDS datasets only".to_owned());
    let warnings = nothing.into_iter().chain(undistorted).collect();
    let unit = |(id, scans): (SessionId, _)| SessionPlan::new(id.session.clone(), id, echoes::together(scans));
    let mut plan = Plan {
        root: root.to_owned(),
        output: output.to_owned(),
        name,
        units: units.into_iter().map(unit).collect(),
        images: None,
        doi: None,
        skipped,
        warnings,
    };
    anatomy::assign(&mut plan, options);
    decide(&mut plan, options);
    Ok(plan)
}

fn scan_plan(root: &Path, file: &Path, common: &Common, options: &PlanOptions) -> (SessionId, ScanPlan) {
    // A name of another kind up to its first dot: where the file lies says nothing of the participant.
    let name = || file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let begin = || name().split('.').find(|part| !part.is_empty()).unwrap_or("unknown").to_owned();
    let id = stem(file).map_or_else(begin, str::to_owned);
    let header = nifti::read_header(file).ok();
    let four_d = header.as_ref().is_some_and(|h| h.volumes() > 1);
    let (entities, modality) = match bids_name(&id) {
        Some(understood) => understood,
        None => {
            let modality = guess_modality(&id, four_d);
            (label_entities(&id, modality).unwrap_or_default(), modality)
        }
    };
    let unit = SessionId {
        participant: entities.get("sub").unwrap_or("unknown").to_owned(),
        session: entities.get("ses").map(str::to_owned),
    };
    let bytes = std::fs::metadata(file).map_or(0, |m| m.len());
    let (metadata, problem) = sidecar(file, &id);
    let (metadata, oddities) = used(modality, metadata);
    let scan = ScanPlan {
        wanted: options.wanted.clone(),
        state: State::ToDo(Reason::NeverDone),
        memory: estimate(modality, header.as_ref(), &options.wanted),
        metadata: common.of(metadata),
        oddities,
        relative: file.strip_prefix(root).unwrap_or(file).to_owned(),
        id: printable::line(&id).into_owned(),
        modality,
        file: file.to_owned(),
        echoes: Vec::new(),
        fieldmap: FieldmapPlan::default(),
        lesions: Vec::new(),
        entities,
        problem,
        bytes,
    };
    (unit, scan)
}

/// What a BIDS name says: `sub-01_ses-A_T1w`.
fn bids_name(id: &str) -> Option<(Entities, Modality)> {
    let (entities, suffix) = id.rsplit_once('_')?;
    let modality = Modality::ALL.into_iter().find(|m| m.as_str() == suffix)?;
    let entities = Entities::parse(entities).ok()?;
    entities.get("sub")?;
    Some((entities, modality))
}

/// By the name's last word, else by the number of volumes.
fn guess_modality(id: &str, four_d: bool) -> Modality {
    let lower = id.to_ascii_lowercase();
    match (lower.contains("bold"), lower.contains("t1"), four_d) {
        (true, false, _) => Modality::Bold,
        (false, true, _) => Modality::T1w,
        (.., true) => Modality::Bold,
        (.., false) => Modality::T1w,
    }
}

/// A participant label made of the letters and digits of a name that does not follow BIDS.
fn label_entities(id: &str, modality: Modality) -> Result<Entities, EntityError> {
    let label: String = id.chars().filter(char::is_ascii_alphanumeric).collect();
    let label = if label.is_empty() { "unknown".to_owned() } else { label };
    let mut pairs = vec![("sub", label.as_str())];
    if modality == Modality::Bold {
        pairs.push(("task", "unknown"));
    }
    Entities::from_pairs(pairs)
}

/// What the file of the same name says, if there is one; or what is wrong with it.
fn sidecar(file: &Path, id: &str) -> (Map<String, Value>, Option<Problem>) {
    let path = file.with_file_name(format!("{id}.json"));
    if path.symlink_metadata().is_err_and(|e| e.kind() == ErrorKind::NotFound) {
        return (Map::new(), None);
    }
    match read_object(&path) {
        Ok(object) => (object, None),
        Err(reason) => {
            let message = format!("{}: {reason}", path.display());
            (Map::new(), Some(Problem { code: ErrorCode::BadSidecar, message }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modality_is_guessed_from_the_name_then_from_the_volumes() {
        assert_eq!(guess_modality("studyforrest_T1w_1mm", false), Modality::T1w);
        assert_eq!(guess_modality("studyforrest_bold_short", true), Modality::Bold);
        assert_eq!(guess_modality("scan7", true), Modality::Bold);
        assert_eq!(guess_modality("scan7", false), Modality::T1w);
    }

    #[test]
    fn images_of_fieldmaps_are_no_scans() {
        assert!(["sub-01_magnitude1", "sub-01_dir-AP_epi", "phasediff"].into_iter().all(is_of_fieldmap));
        assert!(!["sub-01_T1w", "magnitude_of_a_head", "sub-01_task-epi_bold"].into_iter().any(is_of_fieldmap));
    }

    #[test]
    fn a_name_outside_bids_becomes_a_label() {
        let entities = label_entities("my scan_7", Modality::Bold).unwrap();
        assert_eq!((entities.get("sub"), entities.get("task")), (Some("myscan7"), Some("unknown")));
    }
}
