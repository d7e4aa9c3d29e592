//! What a run is asked to leave, and how, besides what it always does.

use super::Spaces;
use serde_json::{Map, Value};
use std::sync::Arc;

/// The requested outputs and methods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The spaces in which outputs are wanted; shared by all scans of a run.
    pub spaces: Arc<Spaces>,
    /// Whether somebody named them, so that one that cannot be had is a failure; of those that are the default only what can be
    /// had is made, with a note.
    pub asked: bool,
    /// Whether each echo of a multi-echo run is wanted besides their combination.
    pub echoes: bool,
    /// Where the search for a run's place on the T1w image begins.
    pub start: RegistrationStart,
    /// What becomes of the times of slices.
    pub slices: SliceTiming,
    /// What becomes of fieldmaps.
    pub fieldmaps: Fieldmaps,
    /// How much is left.
    pub level: OutputLevel,
    /// Whether brains are registered to templates by the faster recipe.
    pub fast: bool,
}

/// How much a scan leaves: the choices of `--level`, with the meaning of fMRIPrep's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum OutputLevel {
    /// What the rest can be computed from: images of the anatomy and references in their own space, masks, tissues, transforms.
    Minimal,
    /// Also the series, and the images in the output spaces.
    Resampling,
    /// Everything: also the confounds table.
    #[default]
    Full,
}

impl OutputLevel {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Resampling => "resampling",
            Self::Full => "full",
        }
    }
}

/// What becomes of the fieldmaps of bold runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fieldmaps {
    /// One is used unless the run is worse for it.
    #[default]
    Checked,
    /// One is used whatever becomes of the run.
    Always,
    /// None is used.
    Ignored,
}

impl Fieldmaps {
    /// As `--use-fieldmap` has it; ignoring is another option.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Checked => "auto",
            Self::Always => "always",
            Self::Ignored => "ignored",
        }
    }
}

/// What becomes of the times at which the slices of a run were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SliceTiming {
    /// They are ignored.
    Ignored,
    /// All slices are brought to one moment: so many thousandths of the way from the first to the last.
    To(u16),
}

impl Default for SliceTiming {
    /// The middle, as in fMRIPrep.
    fn default() -> Self {
        Self::To(500)
    }
}

impl SliceTiming {
    /// The moment as a share of the way from the first slice to the last.
    #[must_use]
    pub fn share(self) -> Option<f64> {
        match self {
            Self::Ignored => None,
            Self::To(thousandths) => Some(f64::from(thousandths) / 1000.0),
        }
    }

    /// A moment as fMRIPrep spells it: 0 to 1, `start`, `middle` or `end`.
    ///
    /// # Errors
    /// What may be written.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "start" => Ok(Self::To(0)),
            "middle" => Ok(Self::To(500)),
            "end" => Ok(Self::To(1000)),
            _ => {
                let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
                let share = share.ok_or_else(|| "write a number from 0 to 1, or start, middle or end".to_owned())?;
                Ok(Self::To((share * 1000.0).round() as u16))
            }
        }
    }
}

/// The choices of `--bold2anat-init`, by fMRIPrep's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegistrationStart {
    /// From the headers and from the centres of mass; the better answer is taken.
    #[default]
    Auto,
    /// From the headers only: both scans were made without moving between them.
    Header,
}

impl RegistrationStart {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Header => "header",
        }
    }
}

/// What of an output must be as it was written for a scan to be kept: the choices of `--resume`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resume {
    /// Its size.
    #[default]
    Size,
    /// Its size and its content.
    Verify,
}

impl Resume {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Verify => "verify",
        }
    }
}

impl Wanted {
    /// The options that change what the outputs of a T1w image hold, without those that are as usual: a scan made with others is
    /// made again.
    #[must_use]
    pub fn shaping_of_t1w(&self) -> Map<String, Value> {
        let fast = self.fast && !self.spaces.templates().is_empty();
        fast.then(|| ("fast".to_owned(), Value::Bool(true))).into_iter().collect()
    }

    /// The same of a bold run.
    #[must_use]
    pub fn shaping_of_bold(&self, has_slice_times: bool, has_fieldmap: bool) -> Map<String, Value> {
        let mut options = Map::new();
        if has_fieldmap && self.fieldmaps == Fieldmaps::Always {
            options.insert("use-fieldmap".into(), "always".into());
        }
        match self.slices.share() {
            _ if !has_slice_times || self.slices == SliceTiming::default() => {}
            None => drop(options.insert("ignore".into(), "slicetiming".into())),
            Some(share) => drop(options.insert("slice-time-ref".into(), share.into())),
        }
        if self.start != RegistrationStart::default() && self.spaces.need_anatomy() {
            options.insert("bold2anat-init".into(), self.start.as_str().into());
        }
        options
    }
}
