//! Images that are not processed: what they are, and why not.

use super::scan::{ScanFile, Suffix, image_name};
use std::path::{Path, PathBuf};

/// An image, or a folder of other data, that is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Relative to the dataset.
    pub path: PathBuf,
    /// Its suffix, or its folder's name with a slash.
    pub what: String,
    /// Why nothing is made of it.
    pub why: &'static str,
}

/// What converters add after the name that BIDS asks for, and what it means.
const LEFTOVERS: [(&str, &str); 9] = [
    ("ph", "a phase image as dcm2niix names it; BIDS has part-phase, and only magnitudes are processed"),
    ("phase", "a phase image; BIDS has part-phase, and only magnitudes are processed"),
    ("real", "the real part of a complex scan; only magnitudes are processed"),
    ("imaginary", "the imaginary part of a complex scan; only magnitudes are processed"),
    ("eq", "slices that dcm2niix has put at equal distances; the original lies beside it or was not kept"),
    ("roi", "a piece that dcm2niix has cut out of a scan"),
    ("tilt", "a scan that dcm2niix has turned against the tilt of the gantry"),
    ("moco", "a series that the scanner has corrected for motion; the original is to be processed"),
    ("heudiconv", "a file that heudiconv could not name"),
];

impl Other {
    /// A folder of other data.
    pub(super) fn folder(path: PathBuf, name: &str) -> Self {
        Self { path, what: format!("{name}/"), why: "of a kind that is not processed" }
    }

    /// An image of another suffix; `None` for what is no image.
    pub(super) fn image(path: &Path, name: &str) -> Option<Self> {
        let (stem, _) = image_name(name)?;
        let words: Vec<&str> = stem.split('_').collect();
        let after = words.iter().rposition(is_known).map(|at| words.get(at + 1..).unwrap_or_default());
        let last = words.last().copied().unwrap_or(stem);
        let left = after.unwrap_or(std::slice::from_ref(&last));
        Some(Self { path: path.to_owned(), what: left.join("_"), why: reason(left, after.is_some()) })
    }

    /// A scan that is known and of which nothing is made by itself.
    #[must_use]
    pub fn of(scan: &ScanFile) -> Self {
        let part = scan.entities.get("part").filter(|part| *part != "mag");
        let why = match scan.suffix {
            Suffix::Roi => "a region that is not named a lesion (label-lesion)",
            Suffix::Sbref => "taken to correct distortion; nothing is made of it alone",
            Suffix::T1w | Suffix::Bold => {
                "the phase, the real or the imaginary part of a complex scan; only magnitudes are processed"
            }
            _ => "of a kind that is not processed",
        };
        let what = part.map_or_else(String::new, |part| format!("part-{part}_")) + scan.suffix.as_str();
        Self { path: scan.path.clone(), what, why }
    }
}

/// Whether a word of a name is the suffix of a scan.
fn is_known(word: &&str) -> bool {
    Suffix::find(word).is_some() || word.eq_ignore_ascii_case("dwi")
}

/// By the words that follow the suffix of a scan, or the suffix itself where it is none of a scan.
fn reason(left: &[&str], follows: bool) -> &'static str {
    let plain = |word: &str| word.trim_end_matches(|c: char| c.is_ascii_digit()).to_ascii_lowercase();
    let found = left.iter().find_map(|word| LEFTOVERS.iter().find(|(name, _)| *name == plain(word)));
    match found {
        Some((_, why)) => why,
        None if follows => "what follows the suffix is not BIDS, as converters write it for a second version of a scan",
        None => "of a kind that is not processed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_of_converters_are_told_by_name() {
        let told = |name: &str| Other::image(Path::new("sub-01/func/x"), name);
        let why = |name: &str| told(name).map(|other| other.why);
        assert_eq!(told("sub-01_task-rest_bold_Eq_1.nii").unwrap().what, "Eq_1");
        assert_eq!(told("sub-01_T2starw.nii").unwrap().what, "T2starw");
        for (name, says) in [
            ("sub-01_task-rest_bold_ph.nii.gz", "dcm2niix names it"),
            ("sub-01_task-rest_bold_ROI1.nii.gz", "cut out"),
            ("sub-01_task-rest_bold_Eq_1.nii", "equal distances"),
            ("sub-01_task-rest_bold_heudiconv234.nii.gz", "heudiconv"),
            ("sub-01_task-rest_phase.nii.gz", "a phase image"),
            ("sub-01_T1w_a.nii.gz", "second version"),
            ("sub-01_inplaneT2.nii.gz", "of a kind that is not processed"),
        ] {
            assert!(why(name).unwrap().contains(says), "{name}: {:?}", why(name));
        }
        assert_eq!(why("sub-01_events.tsv"), None);
    }

    #[test]
    fn known_scans_of_which_nothing_is_made_have_a_reason() {
        let of = |path: &str| Other::of(&ScanFile::parse(Path::new(path)).unwrap());
        assert_eq!(of("sub-01/anat/sub-01_T2w.nii.gz").what, "T2w");
        let phase = of("sub-01/func/sub-01_task-a_part-phase_bold.nii");
        assert!(phase.what == "part-phase_bold" && phase.why.contains("only magnitudes"), "{phase:?}");
    }
}
