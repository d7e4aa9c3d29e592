//! What was found in a dataset and left out, each with a reason a person can act on.

use crate::printable;
use std::fmt;
use std::path::PathBuf;

/// A file or folder that was left out although it looks as if it was meant to be processed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Relative to the dataset.
    pub path: PathBuf,
    /// Why.
    pub reason: SkipReason,
}

impl fmt::Display for Skipped {
    /// The path is escaped where it is not printable: such names are a reason to be skipped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", printable::path(&self.path), self.reason)
    }
}

/// Why a file or folder was left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    /// A `._` file of macOS.
    #[error("an AppleDouble file of macOS, not the scan itself; it can be deleted")]
    AppleDouble,
    /// Bytes that are not UTF-8.
    #[error("the name is not valid UTF-8; rename it with letters, digits, '-', '_' and '.' only")]
    NotUtf8,
    /// A part of the name is not `key-label`, or a key comes twice.
    #[error("the name is not BIDS: {0}")]
    BadName(String),
    /// Right but for upper and lower case.
    #[error("upper and lower case matter: expected {expected}")]
    WrongCase {
        /// How the part in question is written in BIDS.
        expected: String,
    },
    /// Not `.nii` or `.nii.gz`.
    #[error("the extension {0} is not read; convert to .nii.gz")]
    Extension(String),
    /// The name says another participant or session than the folders.
    #[error("the name disagrees with its folders, which say {expected}")]
    Disagrees {
        /// What the name should begin with.
        expected: String,
    },
    /// A key that this kind of scan may not have.
    #[error("a raw {suffix} scan has no entity {key}-{}", did_you_mean(nearest))]
    Entity {
        /// The key.
        key: String,
        /// The kind of scan.
        suffix: &'static str,
        /// The allowed key that comes nearest, if one comes near.
        nearest: Option<&'static str>,
    },
    /// Known keys in another order than the specification's.
    #[error("the entities are out of order: {before}- belongs before {after}-")]
    Order {
        /// The key that comes too late.
        before: String,
        /// The key it should precede.
        after: String,
    },
    /// A label that its key does not allow.
    #[error("{key}-{label} is not allowed: {rule}")]
    Label {
        /// The key.
        key: String,
        /// The label.
        label: String,
        /// What would be.
        rule: &'static str,
    },
    /// A bold run without task.
    #[error("the name of a bold run needs task-LABEL")]
    MissingTask,
    /// An anatomical image in `func`, or the reverse.
    #[error("a {suffix} image belongs into {folder}/")]
    WrongFolder {
        /// The kind of scan.
        suffix: &'static str,
        /// Its folder.
        folder: &'static str,
    },
    /// A scan outside `sub-X[/ses-Y]/anat|func|fmap`.
    #[error("a scan is only found in sub-LABEL/[ses-LABEL/]anat, func or fmap")]
    Misplaced,
    /// A folder that BIDS does not know at this place.
    #[error("not a folder of BIDS at this place{}; nothing in it is read", did_you_mean(nearest))]
    UnknownFolder {
        /// The known folder that comes nearest, if one comes near.
        nearest: Option<&'static str>,
    },
    /// A file, or a link to nowhere, with the name of a participant's, session's or datatype folder.
    #[error("not a folder, as its name says; nothing in it can be read")]
    NotAFolder,
    /// A folder, pipe or device with the name of a scan.
    #[error("not a regular file")]
    NotAFile,
    /// An image of a fieldmap where scans are taken by their content.
    #[error("an image of a fieldmap, not a scan of its own; fieldmaps are used in BIDS datasets only")]
    OfFieldmap,
    /// The system would not say what it is, or not list it: no permission, or a link that leads to itself.
    #[error("cannot be read: {0}")]
    Unreadable(String),
}

fn did_you_mean(nearest: &Option<&'static str>) -> String {
    nearest.map(|name| format!(" (did you mean {name}?)")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_say_what_to_do_and_paths_stay_on_one_line() {
        let reason = SkipReason::Entity { key: "aqc".into(), suffix: "T1w", nearest: Some("acq") };
        let text = Skipped { path: "sub-01/anat/sub-01\n_T1w.nii".into(), reason }.to_string();
        assert_eq!(text, r"sub-01/anat/sub-01\n_T1w.nii: a raw T1w scan has no entity aqc- (did you mean acq?)");
        let reason = SkipReason::UnknownFolder { nearest: None };
        assert_eq!(reason.to_string(), "not a folder of BIDS at this place; nothing in it is read");
    }
}
