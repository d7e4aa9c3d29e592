//! One scan of a dataset, and the rule that decides whether a path is one.
//!
//! The rule is that of PyBIDS with validation: `sub-L/[ses-L/](anat|func|fmap)/sub-L[_ses-L][_key-L]*_suffix.nii[.gz]`, the
//! name agreeing with its folders, the keys those the specification allows for the suffix, in its order.

use std::path::{Path, PathBuf};

use super::Modality;
use super::entities::{Entities, KEYS, rank, short_key};
use super::error::BidsError;
use super::nearest::nearest;
use super::skip::SkipReason;

/// The folder a scan lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Datatype {
    /// Anatomical images.
    Anat,
    /// Functional series.
    Func,
    /// Fieldmaps.
    Fmap,
}

impl Datatype {
    /// The folder's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anat => "anat",
            Self::Func => "func",
            Self::Fmap => "fmap",
        }
    }
}

/// The kinds of image that are indexed; [`Modality`] is what is processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Suffix {
    /// T1-weighted.
    T1w,
    /// T2-weighted.
    T2w,
    /// Fluid-attenuated inversion recovery.
    Flair,
    /// BOLD series.
    Bold,
    /// One volume before a BOLD series, as distorted as it is.
    Sbref,
    /// Phase difference of two echoes.
    Phasediff,
    /// Phase of the first echo.
    Phase1,
    /// Phase of the second echo.
    Phase2,
    /// Magnitude of the first echo.
    Magnitude1,
    /// Magnitude of the second echo.
    Magnitude2,
    /// Magnitude that goes with a field.
    Magnitude,
    /// A field as such.
    Fieldmap,
    /// An EPI image to be compared with one of another phase encoding.
    Epi,
    /// A lesion drawn on the anatomy, as fMRIPrep takes it.
    Roi,
}

impl Suffix {
    /// Every suffix.
    pub const ALL: [Self; 14] = [
        Self::T1w,
        Self::T2w,
        Self::Flair,
        Self::Bold,
        Self::Sbref,
        Self::Phasediff,
        Self::Phase1,
        Self::Phase2,
        Self::Magnitude1,
        Self::Magnitude2,
        Self::Magnitude,
        Self::Fieldmap,
        Self::Epi,
        Self::Roi,
    ];

    /// As in file names.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::T1w => "T1w",
            Self::T2w => "T2w",
            Self::Flair => "FLAIR",
            Self::Bold => "bold",
            Self::Sbref => "sbref",
            Self::Phasediff => "phasediff",
            Self::Phase1 => "phase1",
            Self::Phase2 => "phase2",
            Self::Magnitude1 => "magnitude1",
            Self::Magnitude2 => "magnitude2",
            Self::Magnitude => "magnitude",
            Self::Fieldmap => "fieldmap",
            Self::Epi => "epi",
            Self::Roi => "roi",
        }
    }

    /// Whether it is there for the sake of other images only: to correct their distortion.
    #[must_use]
    pub const fn is_of_field(self) -> bool {
        !matches!(self, Self::T1w | Self::T2w | Self::Flair | Self::Bold | Self::Roi)
    }

    /// The folder such images lie in.
    #[must_use]
    pub const fn datatype(self) -> Datatype {
        match self {
            Self::T1w | Self::T2w | Self::Flair | Self::Roi => Datatype::Anat,
            Self::Bold | Self::Sbref => Datatype::Func,
            _ => Datatype::Fmap,
        }
    }

    /// The suffix written so, whatever the case.
    pub(super) fn find(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str().eq_ignore_ascii_case(text))
    }

    /// The keys a raw scan of this kind may have, in order (BIDS schema, `rules/files/raw`).
    const fn keys(self) -> &'static [&'static str] {
        match self.datatype() {
            // BIDS has no place for it among raw images; these are the keys of a mask.
            Datatype::Anat if matches!(self, Self::Roi) => {
                &["sub", "ses", "task", "acq", "ce", "rec", "run", "space", "res", "label", "desc"]
            }
            Datatype::Anat => &["sub", "ses", "task", "acq", "ce", "rec", "run", "echo", "part", "chunk"],
            // Fieldmaps of real datasets are named for the task as well; nothing is lost by reading them.
            Datatype::Func | Datatype::Fmap => {
                &["sub", "ses", "task", "acq", "ce", "rec", "dir", "run", "echo", "part", "chunk"]
            }
        }
    }
}

/// The file name extensions that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Extension {
    /// `.nii`
    Nii,
    /// `.nii.gz`
    NiiGz,
}

impl Extension {
    /// With its leading dot.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nii => ".nii",
            Self::NiiGz => ".nii.gz",
        }
    }
}

/// A scan of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanFile {
    /// Relative to the dataset.
    pub path: PathBuf,
    /// The folder it lies in.
    pub datatype: Datatype,
    /// Its kind.
    pub suffix: Suffix,
    /// As in its name.
    pub extension: Extension,
    /// The pairs of its name; `sub` is always there.
    pub entities: Entities,
    /// Another file that claims to be this scan (`run-1` and `run-01`, `.nii` and `.nii.gz`), relative to the dataset.
    pub twin: Option<PathBuf>,
}

impl ScanFile {
    /// The scan that a path relative to the dataset names, or why it names none. Looks at the text of the path only.
    ///
    /// # Errors
    /// The first rule the path breaks.
    pub fn parse(path: &Path) -> Result<Self, SkipReason> {
        let parts = path.iter().map(|p| p.to_str().ok_or(SkipReason::NotUtf8)).collect::<Result<Vec<_>, _>>()?;
        let (folders, folder, name) = match parts.as_slice() {
            [sub, folder, name] => (vec![*sub], *folder, *name),
            [sub, ses, folder, name] => (vec![*sub, *ses], *folder, *name),
            _ => return Err(SkipReason::Misplaced),
        };
        if name.starts_with("._") {
            return Err(SkipReason::AppleDouble);
        }
        let (stem, extension) = split_extension(name)?;
        let (pairs, suffix) = split_suffix(stem)?;
        // Lesions are also named for their image, as `sub-01_T1w_label-lesion_roi`.
        let of_t1w = (suffix == Suffix::Roi).then(|| pairs.replacen("_T1w", "", 1));
        let entities =
            Entities::parse(of_t1w.as_deref().unwrap_or(pairs)).map_err(|e| SkipReason::BadName(e.to_string()))?;
        agrees(&entities, &folders)?;
        let datatype = suffix.datatype();
        if folder != datatype.as_str() {
            return Err(SkipReason::WrongFolder { suffix: suffix.as_str(), folder: datatype.as_str() });
        }
        allowed(&entities, suffix)?;
        Ok(Self { path: path.to_owned(), datatype, suffix, extension, entities, twin: None })
    }

    /// The participant's label, without `sub-`.
    #[must_use]
    pub fn participant(&self) -> &str {
        self.entities.get("sub").unwrap_or_default()
    }

    /// The session's label, without `ses-`.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.entities.get("ses")
    }

    /// What it is processed as; `None` for kinds that are only indexed, and for the phase, real and imaginary parts of
    /// a complex scan, in which there is no magnitude to process.
    #[must_use]
    pub fn modality(&self) -> Option<Modality> {
        let magnitude = self.entities.get("part").is_none_or(|part| part == "mag");
        match self.suffix {
            Suffix::T1w if magnitude => Some(Modality::T1w),
            Suffix::Bold if magnitude => Some(Modality::Bold),
            _ => None,
        }
    }

    /// The file name without extension: unique in the dataset but for twins.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}_{}", self.entities.as_str(), self.suffix.as_str())
    }

    /// Refuses a scan that has a twin: which of the two is meant cannot be known.
    ///
    /// # Errors
    /// [`BidsError::DuplicateScan`] naming both.
    pub fn unambiguous(&self) -> Result<(), BidsError> {
        match &self.twin {
            Some(other) => Err(BidsError::DuplicateScan { path: self.path.clone(), other: other.clone() }),
            None => Ok(()),
        }
    }
}

/// Formats that people leave in `anat` and `func`, without compression endings.
const IMAGE_ENDINGS: [&str; 6] = [".nii", ".img", ".hdr", ".mgz", ".mgh", ".nrrd"];

/// The endings that compress an image.
const COMPRESSIONS: [&str; 4] = [".gz", ".bz2", ".xz", ".zst"];

/// The stem and lower-case extension of a name that ends like an image, whatever the case; `None` for anything else.
pub(super) fn image_name(name: &str) -> Option<(&str, String)> {
    let lower = name.to_ascii_lowercase();
    let uncompressed = COMPRESSIONS.iter().find_map(|c| lower.strip_suffix(c)).unwrap_or(&lower);
    let stem = IMAGE_ENDINGS.iter().find_map(|e| uncompressed.strip_suffix(e))?.len();
    Some((name.get(..stem)?, lower.get(stem..)?.to_owned()))
}

/// Whether a file of this name is, or was meant to be, a scan of a kind that is indexed.
pub(super) fn looks_like_ours(name: &str) -> bool {
    image_name(name).and_then(|(stem, _)| stem.rsplit('_').next()).and_then(Suffix::find).is_some()
}

/// The stem and the extension of a scan's name.
///
/// # Errors
/// Why it is none; [`SkipReason::BadName`] for what does not look like an image at all.
pub(crate) fn split_extension(name: &str) -> Result<(&str, Extension), SkipReason> {
    if let Some(stem) = name.strip_suffix(".nii.gz") {
        return Ok((stem, Extension::NiiGz));
    }
    if let Some(stem) = name.strip_suffix(".nii") {
        return Ok((stem, Extension::Nii));
    }
    Err(match image_name(name) {
        Some((_, found)) if found == ".nii" || found == ".nii.gz" => SkipReason::WrongCase { expected: found },
        Some((_, found)) => SkipReason::Extension(found),
        None => SkipReason::BadName("it does not end in .nii or .nii.gz".to_owned()),
    })
}

fn split_suffix(stem: &str) -> Result<(&str, Suffix), SkipReason> {
    let (pairs, suffix) = stem.rsplit_once('_').unwrap_or(("", stem));
    match Suffix::find(suffix) {
        Some(found) if found.as_str() == suffix => Ok((pairs, found)),
        Some(found) => Err(SkipReason::WrongCase { expected: format!("_{}", found.as_str()) }),
        None => Err(SkipReason::BadName(format!("the suffix {suffix:?} is of no kind that is read"))),
    }
}

/// The name must begin with what its folders say, and say nothing else about participant and session.
fn agrees(entities: &Entities, folders: &[&str]) -> Result<(), SkipReason> {
    let said = |(key, label): (&str, &str)| format!("{key}-{label}");
    let first: Vec<String> = entities.iter().take(folders.len()).map(said).collect();
    let more = entities.iter().skip(folders.len()).any(|(key, _)| key == "sub" || key == "ses");
    if first == folders && !more {
        return Ok(());
    }
    let expected = folders.join("_");
    if !more && first.join("_").eq_ignore_ascii_case(&expected) {
        return Err(SkipReason::WrongCase { expected });
    }
    Err(SkipReason::Disagrees { expected })
}

/// The keys, their order and their labels must be those of a raw scan of that kind.
fn allowed(entities: &Entities, suffix: Suffix) -> Result<(), SkipReason> {
    let keys = suffix.keys();
    let mut last = "";
    for (key, label) in entities.iter() {
        if !keys.contains(&key) {
            return Err(SkipReason::Entity { key: key.to_owned(), suffix: suffix.as_str(), nearest: meant(key, keys) });
        }
        if !last.is_empty() && rank(key) < rank(last) {
            return Err(SkipReason::Order { before: key.to_owned(), after: last.to_owned() });
        }
        last = key;
        let number = KEYS.iter().any(|k| k.short == key && k.index);
        let refuse = |rule| Err(SkipReason::Label { key: key.to_owned(), label: label.to_owned(), rule });
        if number && !label.bytes().all(|b| b.is_ascii_digit()) {
            return refuse("it must be a number");
        }
        if key == "part" && !["mag", "phase", "real", "imag"].contains(&label) {
            return refuse("it must be mag, phase, real or imag");
        }
    }
    match suffix {
        Suffix::Bold | Suffix::Sbref if entities.get("task").is_none() => Err(SkipReason::MissingTask),
        _ => Ok(()),
    }
}

/// The allowed key that an unknown key is a misspelling of. A key that BIDS has for other files is none.
fn meant(key: &str, allowed: &[&'static str]) -> Option<&'static str> {
    if KEYS.iter().any(|known| known.short == key) {
        return None;
    }
    let long = short_key(key).filter(|short| allowed.contains(short));
    let close = || nearest(key, allowed.iter().copied(), 1).into_iter().find(|k| strsim::osa_distance(k, key) <= 2);
    long.or_else(close)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(path: &str) -> String {
        ScanFile::parse(Path::new(path)).unwrap_err().to_string()
    }

    #[test]
    fn a_scan_says_what_it_is() {
        let scan = ScanFile::parse(Path::new("sub-01/ses-BL/func/sub-01_ses-BL_task-rest_run-01_bold.nii.gz")).unwrap();
        assert_eq!((scan.participant(), scan.session(), scan.modality()), ("01", Some("BL"), Some(Modality::Bold)));
        assert_eq!((scan.datatype, scan.suffix, scan.extension), (Datatype::Func, Suffix::Bold, Extension::NiiGz));
        assert_eq!(scan.id(), "sub-01_ses-BL_task-rest_run-01_bold");
        assert!(scan.unambiguous().is_ok());
        let flair = ScanFile::parse(Path::new("sub-01/anat/sub-01_FLAIR.nii")).unwrap();
        assert_eq!((flair.session(), flair.modality(), flair.extension), (None, None, Extension::Nii));
    }

    #[test]
    fn only_magnitudes_are_processed() {
        for (part, modality) in [("mag", Some(Modality::Bold)), ("phase", None), ("imag", None), ("real", None)] {
            let path = format!("sub-01/func/sub-01_task-x_part-{part}_bold.nii.gz");
            assert_eq!(ScanFile::parse(Path::new(&path)).unwrap().modality(), modality, "{part}");
        }
    }

    /// The verdicts are PyBIDS 0.22's.
    #[test]
    fn the_rule_accepts_what_pybids_accepts() {
        for good in [
            "sub-01/func/sub-01_task-re+st_bold.nii.gz",
            "sub-01/func/sub-01_task-rest_rec-x_dir-AP_run-1_bold.nii.gz",
            "sub-01/anat/sub-01_part-real_T1w.nii.gz",
            "sub-01/anat/sub-01_task-x_T1w.nii.gz",
            "sub-01/anat/sub-01_echo-1_T1w.nii.gz",
            "sub-01/anat/sub-01_acq-+_T1w.nii.gz",
        ] {
            assert!(ScanFile::parse(Path::new(good)).is_ok(), "{good}");
        }
    }

    /// The verdicts are PyBIDS 0.22's; the reasons are ours.
    #[test]
    fn the_rule_refuses_what_pybids_refuses_and_says_why() {
        for (bad, says) in [
            ("sub-01/func/sub-01_bold.nii.gz", "needs task-"),
            ("sub-01/func/sub-01_task-rest_foo-1_bold.nii.gz", "no entity foo-"),
            ("sub-01/anat/sub-01_desc-preproc_T1w.nii.gz", "a raw T1w scan has no entity desc-"),
            ("sub-01/anat/sub-01_acquisition-x_T1w.nii.gz", "did you mean acq?"),
            ("sub-01/anat/sub-01_aqc-x_T1w.nii.gz", "did you mean acq?"),
            ("sub-01/anat/sub-01_dir-AP_T1w.nii.gz", "no entity dir-"),
            ("sub-01/anat/sub-01_run-1_acq-x_T1w.nii.gz", "acq- belongs before run-"),
            ("sub-01/anat/sub-01_task-rest_bold.nii.gz", "belongs into func/"),
            ("sub-01/func/sub-01_T1w.nii.gz", "belongs into anat/"),
            ("sub-01/Anat/sub-01_T1w.nii.gz", "belongs into anat/"),
            ("sub-01/func/sub-01_task-rest_run-abc_bold.nii.gz", "must be a number"),
            ("sub-01/func/sub-01_task-rest_part-foo_bold.nii.gz", "mag, phase, real or imag"),
            ("sub-01/func/sub-01_task-a_task-b_bold.nii.gz", "task- occurs twice"),
            ("sub-01/anat/sub-01_ses-1_T1w.nii.gz", "which say sub-01"),
            ("sub-01/ses-1/anat/sub-01_T1w.nii.gz", "which say sub-01_ses-1"),
            ("sub-01/ses-1/anat/sub-01_ses-2_T1w.nii.gz", "which say sub-01_ses-1"),
            ("sub-01/anat/sub-02_T1w.nii.gz", "which say sub-01"),
            ("sub-a1/anat/sub-A1_T1w.nii.gz", "expected sub-a1"),
            ("sub-01/anat/acq-x_sub-01_T1w.nii.gz", "which say sub-01"),
            ("sub-01/anat/T1w.nii.gz", "which say sub-01"),
            ("sub-01/anat/sub-01_T1W.nii.gz", "expected _T1w"),
            ("sub-01/anat/sub-01_flair.nii.gz", "expected _FLAIR"),
            ("sub-01/anat/sub-01_T1w.NII.GZ", "expected .nii.gz"),
            ("sub-01/anat/sub-01_T1w.img", "convert to .nii.gz"),
            ("sub-01/anat/sub-01_T1w.nii.xz", "convert to .nii.gz"),
            ("sub-01/anat/sub-01_acq-1.5mm_T1w.nii.gz", "\"acq-1.5mm\" is not key-label"),
            ("sub-01/anat/sub-01\n_T1w.nii.gz", "not key-label"),
            ("sub-01/anat/._sub-01_T1w.nii.gz", "AppleDouble"),
            ("sub-01/sub-01_T1w.nii.gz", "only found in"),
            ("sub-01/ses-1/anat/extra/sub-01_ses-1_T1w.nii.gz", "only found in"),
        ] {
            assert!(reason(bad).contains(says), "{bad}: {}", reason(bad));
        }
        let known = reason("sub-01/anat/sub-01_desc-preproc_T1w.nii.gz");
        assert!(!known.contains("mean"), "desc- is no misspelling of rec-: {known}");
    }

    #[test]
    fn images_are_told_from_other_files_whatever_their_case() {
        for name in ["sub-01_T1w.nii.gz", "sub-01_t1W.NII", "BOLD.nii", "sub-01_acq-1.5_T1w.nii.gz", "x_T2w.hdr"] {
            assert!(looks_like_ours(name), "{name}");
        }
        for name in ["sub-01_cbv.nii.gz", "sub-01_T1w.json", "sub-01_T1w_defaced.nii.gz", "sub-01_T1w", "é.nii"] {
            assert!(!looks_like_ours(name), "{name}");
        }
    }
}
