//! Names and folders of derivatives.

use std::path::PathBuf;

use super::entities::{Entities, EntityError, rank};
use super::label::is_label;
use super::scan::Datatype;
use crate::error::{Coded, ErrorCode};

/// The longest name of a file, in bytes, on every file system that is in use.
const LONGEST: usize = 255;

/// Why a name cannot be made. The parts of a name come from this program and from indexed scans, so all but a long one are defects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// An entity is not one.
    #[error(transparent)]
    Entity(#[from] EntityError),
    /// The source has no participant.
    #[error("{0:?} has no entity sub-, which every derivative needs")]
    NoParticipant(String),
    /// The suffix or the extension is not one.
    #[error("{0:?} is no suffix with an extension")]
    Ending(String),
    /// No disk takes it.
    #[error(
        "an output would have a name of {0} characters, and disks take {LONGEST}: shorten a label by {by} or more",
        by = .0 - LONGEST
    )]
    TooLong(usize),
}

impl Coded for NameError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::TooLong(_) => ErrorCode::DatasetInvalid,
            Self::Entity(_) | Self::NoParticipant(_) | Self::Ending(_) => ErrorCode::Panicked,
        }
    }
}

/// The file name of a derivative: the source's entities with those in `set` put in or replaced, in the order of the
/// specification's entity table (`desc` last), then the suffix and the extension with its dot.
///
/// # Errors
/// [`NameError`] when a part breaks the syntax of BIDS names, or the source has no `sub`.
pub fn derivative_name(
    source: &Entities,
    set: &[(&str, &str)],
    suffix: &str,
    extension: &str,
) -> Result<String, NameError> {
    let kept = source.iter().filter(|(key, _)| !set.iter().any(|(new, _)| new == key));
    let mut pairs: Vec<(&str, &str)> = kept.chain(set.iter().copied()).collect();
    pairs.sort_by_cached_key(|(key, _)| rank(key));
    let entities = Entities::from_pairs(pairs)?;
    if entities.get("sub").is_none() {
        return Err(NameError::NoParticipant(entities.as_str().to_owned()));
    }
    let extensions = extension.strip_prefix('.').is_some_and(|parts| parts.split('.').all(is_label));
    if !is_label(suffix) || !extensions {
        return Err(NameError::Ending(format!("{suffix}{extension}")));
    }
    let name = format!("{}_{suffix}{extension}", entities.as_str());
    if name.len() > LONGEST { Err(NameError::TooLong(name.len())) } else { Ok(name) }
}

/// The folder of a scan's derivatives, relative to the derivative dataset: `sub-X[/ses-Y]/anat` or `…/func`.
///
/// # Errors
/// [`NameError::NoParticipant`] when the source has no `sub`.
pub fn participant_dir(source: &Entities, datatype: Datatype) -> Result<PathBuf, NameError> {
    let sub = source.get("sub").ok_or_else(|| NameError::NoParticipant(source.as_str().to_owned()))?;
    let mut dir = PathBuf::from(format!("sub-{sub}"));
    if let Some(ses) = source.get("ses") {
        dir.push(format!("ses-{ses}"));
    }
    dir.push(datatype.as_str());
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn name(source: &str, set: &[(&str, &str)], suffix: &str, extension: &str) -> Result<String, NameError> {
        derivative_name(&Entities::parse(source).unwrap(), set, suffix, extension)
    }

    #[test]
    fn entities_take_the_place_the_specification_gives_them() {
        let source = "sub-01_ses-BL_task-rest_run-01";
        let set = [("desc", "preproc"), ("res", "2"), ("space", "boldref")];
        assert_eq!(
            name(source, &set, "bold", ".nii.gz").unwrap(),
            "sub-01_ses-BL_task-rest_run-01_space-boldref_res-2_desc-preproc_bold.nii.gz"
        );
        assert_eq!(
            name("sub-01_echo-2_chunk-1", &[("label", "GM"), ("dir", "AP"), ("seg", "x")], "probseg", ".nii").unwrap(),
            "sub-01_dir-AP_echo-2_chunk-1_seg-x_label-GM_probseg.nii"
        );
        assert_eq!(name("sub-01_desc-a", &[("desc", "b")], "T1w", ".json").unwrap(), "sub-01_desc-b_T1w.json");
        assert_eq!(name("sub-01_foo-1", &[("desc", "b")], "T1w", ".json").unwrap(), "sub-01_foo-1_desc-b_T1w.json");
        assert_eq!(name("sub-01_foo-1", &[("run", "2")], "T1w", ".json").unwrap(), "sub-01_run-2_foo-1_T1w.json");
    }

    proptest::proptest! {
        #[test]
        fn a_name_that_is_made_can_be_taken_apart(
            source in proptest::collection::btree_map("[a-z]{2,6}", "[0-9A-Za-z+]{1,5}", 0..6),
            set in proptest::collection::btree_map("(desc|space|res|run|echo)", "[0-9A-Za-z+]{1,5}", 0..4),
        ) {
            let pairs = source.iter().map(|(key, label)| (key.as_str(), label.as_str())).filter(|(key, _)| *key != "sub");
            let source = Entities::from_pairs(std::iter::once(("sub", "01")).chain(pairs)).unwrap();
            let set: Vec<(&str, &str)> = set.iter().map(|(key, label)| (key.as_str(), label.as_str())).collect();
            let made = derivative_name(&source, &set, "bold", ".nii.gz").unwrap();
            let entities = Entities::parse(made.strip_suffix("_bold.nii.gz").unwrap()).unwrap();
            let new = |key: &str| set.iter().find(|(k, _)| *k == key).map(|(_, label)| *label);
            for (key, label) in entities.iter() {
                proptest::prop_assert_eq!(Some(label), new(key).or_else(|| source.get(key)));
            }
            let kept = source.iter().filter(|(key, _)| new(key).is_none()).count();
            proptest::prop_assert_eq!(entities.len(), kept + set.len());
            // The order does not depend on the order in the source.
            let turned = Entities::from_pairs(source.iter().collect::<Vec<_>>().into_iter().rev()).unwrap();
            let known = source.iter().all(|(key, _)| super::super::long_key(key).is_some());
            if known {
                proptest::prop_assert_eq!(derivative_name(&turned, &set, "bold", ".nii.gz").unwrap(), made);
            }
        }
    }

    #[test]
    fn a_name_is_as_long_as_disks_take_it() {
        let of = |length: usize| name(&format!("sub-{}", "a".repeat(length)), &[("desc", "preproc")], "T1w", ".nii.gz");
        assert_eq!(of(227).unwrap().len(), LONGEST);
        let refused = of(231).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::DatasetInvalid);
        assert!(
            refused.to_string().ends_with("a name of 259 characters, and disks take 255: shorten a label by 4 or more")
        );
    }

    #[test]
    fn a_wrong_part_is_refused() {
        for (set, suffix, extension) in [
            ([("desc", "a_b")], "T1w", ".nii"),
            ([("desc", "")], "T1w", ".nii"),
            ([("desc", "a")], "T1w", "nii"),
            ([("desc", "a")], "T1w", "."),
            ([("desc", "a")], "T1w", ".nii/x"),
            ([("desc", "a")], "", ".nii"),
            ([("desc", "../a")], "T1w", ".nii"),
        ] {
            assert!(name("sub-01", &set, suffix, extension).is_err(), "{set:?} {suffix:?} {extension:?}");
        }
        assert!(matches!(name("task-x", &[], "bold", ".nii"), Err(NameError::NoParticipant(_))));
    }

    #[test]
    fn folders_follow_participant_session_and_datatype() {
        let dir = |text, datatype| participant_dir(&Entities::parse(text).unwrap(), datatype);
        assert_eq!(dir("sub-01_ses-BL", Datatype::Func).unwrap(), Path::new("sub-01/ses-BL/func"));
        assert_eq!(dir("sub-01_run-1", Datatype::Anat).unwrap(), Path::new("sub-01/anat"));
        assert!(dir("task-x", Datatype::Anat).is_err());
    }
}
