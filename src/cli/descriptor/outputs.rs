//! The files a descriptor promises, from the table of outputs: per participant and session, and of the whole dataset.

use crate::bids::{Entities, Modality};
use crate::derivatives::outputs::{Output, outputs_of};
use crate::vocabulary::Wanted;
use serde_json::{Value, json};
use std::path::Path;

/// Labels that stand for those of the caller until the paths are made.
const PARTICIPANT: &str = "PARTICIPANT";
const SESSION: &str = "SESSION";

/// What the forms for datasets leave. Only the description of the dataset is there after every run; a scan that is not
/// there or fails has no derivatives.
pub(super) fn of_datasets() -> Vec<Value> {
    let mut outputs = vec![file("dataset_description", "Description of the derivatives", "dataset_description.json")];
    outputs[0]["optional"] = false.into();
    for session in [true, false] {
        let suffix = if session { "" } else { "_without_session" };
        for (kind, name) in [("summary", "Status, durations, quality, trace id"), ("success", "Marker of completeness")]
        {
            let path = if session {
                format!("sub-{PARTICIPANT}/sub-{PARTICIPANT}_ses-{SESSION}_{kind}.json")
            } else {
                format!("sub-{PARTICIPANT}/sub-{PARTICIPANT}_{kind}.json")
            };
            outputs.push(file(&format!("{kind}{suffix}"), name, &path));
        }
        outputs.extend(Modality::ALL.iter().flat_map(|m| images(*m, session, suffix)));
    }
    outputs.push(file("report", "Report of the whole dataset (runs over all of it, and group level)", "index.html"));
    outputs.push(file("report_participant", "Report of the participant", &format!("sub-{PARTICIPANT}.html")));
    for modality in Modality::ALL {
        let name = format!("group_{}", modality.as_str());
        outputs.push(file(&name, "Measures of every scan (group level)", &format!("{name}.tsv")));
    }
    outputs
}

/// What `extract` leaves.
pub(super) fn of_extraction() -> Vec<Value> {
    let output = |id: &str, name: &str, path: &str| json!({ "id": id, "name": name, "path-template": path });
    let mut dictionary = output("dictionary", "Data dictionary of the table", "[TABLE].json");
    dictionary["path-template-stripped-extensions"] = json!([".tsv"]);
    vec![output("idps", "A row per participant and session", "[TABLE]"), dictionary]
}

fn images(modality: Modality, session: bool, suffix: &str) -> Vec<Value> {
    let session = session.then_some(("ses", SESSION));
    let Ok(parsed) = Entities::from_pairs(std::iter::once(("sub", PARTICIPANT)).chain(session)) else {
        return Vec::new();
    };
    let entities = parsed.as_str().to_owned();
    let outputs = outputs_of(modality, &parsed, &Wanted::default()).unwrap_or_default();
    // Figures are parts of the reports, not results.
    let results = outputs.into_iter().filter(|output| !output.kind.is_figure());
    // What is in the default template is there unless another one is asked for.
    let (resampled, outputs): (Vec<Output>, Vec<Output>) =
        results.partition(|output| output.space.is_some() && !output.kind.is_transform());
    let rests: Vec<String> = outputs.iter().map(|output| rest(&output.path, &entities)).collect();
    // With its wildcard `_boldref.nii.gz` would also find `_desc-biasfield_boldref.nii.gz`, so it cannot be told.
    let alone = |rest: &str| rests.iter().filter(|other| other.ends_with(rest)).count() == 1;
    let told = outputs.iter().zip(&rests).filter(|(_, rest)| alone(rest));
    // With its wildcard it would also find its like in the space of a template, so it is told of scans without more entities.
    let wildcard = |output: &Output| if modality == Modality::T1w && output.kind.is_resampled() { "" } else { "*" };
    let told = told.map(|(output, rest)| image(&output.path, &entities, (wildcard(output), rest), suffix));
    let in_template = |output: &Output| image(&output.path, &entities, ("*", &rest(&output.path, &entities)), suffix);
    told.chain(resampled.iter().map(in_template)).collect()
}

/// What follows the entities of the scan in the name of a file.
fn rest(path: &Path, entities: &str) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.strip_prefix(entities).unwrap_or(&name).to_owned()
}

/// One image or table; `*` stands for the entities a scan has beside participant and session.
fn image(path: &Path, entities: &str, (wildcard, rest): (&str, &str), suffix: &str) -> Value {
    let folder = path.parent().unwrap_or(path).to_string_lossy();
    let stem = rest.trim_start_matches('_').split('.').next().unwrap_or_default();
    let datatype = folder.rsplit('/').next().unwrap_or_default();
    let tail = if rest.ends_with(".tsv") && stem == "dseg" { "_labels" } else { "" };
    let id = format!("{datatype}_{}{tail}{suffix}", stem.replace('-', "_"));
    let name = format!("{datatype}: {stem}{}", if tail.is_empty() { "" } else { ", meaning of its labels" });
    file(&id, &name, &format!("{folder}/{entities}{wildcard}{rest}"))
}

fn file(id: &str, name: &str, path: &str) -> Value {
    let path = path.replace(PARTICIPANT, "[PARTICIPANT_LABEL]").replace(SESSION, "[SESSION_LABEL]");
    json!({ "id": id, "name": name, "path-template": format!("[OUTPUT_DIR]/{path}"), "optional": true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_output_is_promised_once() {
        let outputs = of_datasets();
        let of = |key: &str| outputs.iter().map(|o| o[key].as_str().unwrap().to_owned()).collect::<HashSet<_>>();
        assert_eq!(of("id").len(), outputs.len());
        assert_eq!(of("path-template").len(), outputs.len());
        for path in [
            "[OUTPUT_DIR]/sub-[PARTICIPANT_LABEL]/ses-[SESSION_LABEL]/anat/\
             sub-[PARTICIPANT_LABEL]_ses-[SESSION_LABEL]_desc-preproc_T1w.nii.gz",
            "[OUTPUT_DIR]/sub-[PARTICIPANT_LABEL]/func/sub-[PARTICIPANT_LABEL]*_desc-confounds_timeseries.tsv",
            "[OUTPUT_DIR]/sub-[PARTICIPANT_LABEL]/anat/sub-[PARTICIPANT_LABEL]_dseg.nii.gz",
            "[OUTPUT_DIR]/sub-[PARTICIPANT_LABEL]/anat/sub-[PARTICIPANT_LABEL]*_space-MNI152NLin2009cAsym_res-2_dseg.nii.gz",
            "[OUTPUT_DIR]/sub-[PARTICIPANT_LABEL]/func/\
             sub-[PARTICIPANT_LABEL]*_space-MNI152NLin2009cAsym_res-2_desc-preproc_bold.nii.gz",
            "[OUTPUT_DIR]/sub-[PARTICIPANT_LABEL]/sub-[PARTICIPANT_LABEL]_ses-[SESSION_LABEL]_summary.json",
        ] {
            assert!(of("path-template").contains(path), "{path} is not among {:#?}", of("path-template"));
        }
    }
}
