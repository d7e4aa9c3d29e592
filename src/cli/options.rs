//! What the options of runs and their settings say.
//!
//! A new option is a field of [`Options`] and a row of the table beside it; then it is used where it matters.

use super::memory::Memory;
use super::values::{Format, Ignored, Url};
use crate::bids::Modality;
use crate::telemetry::config::{LogFormat, Verbosity};
use crate::vocabulary::{Faults, Fieldmaps, OutputLevel, RegistrationStart, Resume, SliceTiming, Stage};
use std::path::PathBuf;
use std::time::Duration;

/// What the options say, with the defaults of those that nothing says. A flag is false by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Kinds of scan; none for all.
    pub modalities: Vec<Modality>,
    /// Process again what is already done.
    pub force: bool,
    /// What of an output must be as it was for a scan to be kept.
    pub resume: Resume,
    /// Refuse what is otherwise only noted about the input.
    pub strict: bool,
    /// Output spaces as they were written; none for the default.
    pub output_spaces: Vec<String>,
    /// How much is written.
    pub level: OutputLevel,
    /// Register to templates by the faster recipe.
    pub fast: bool,
    /// Where the search for a run's place on the T1w image begins.
    pub bold2anat_init: RegistrationStart,
    /// What of the dataset is not used.
    pub ignore: Ignored,
    /// Whether a fieldmap is used that makes a run worse; see [`Options::fieldmaps`].
    pub use_fieldmap: Fieldmaps,
    /// The moment that slices are brought to; see [`Options::slice_timing`].
    pub slice_time_ref: SliceTiming,
    /// Also write each echo of multi-echo runs.
    pub me_output_echos: bool,
    /// Write no report pages at the end.
    pub no_report: bool,
    /// Say what would be done, and write nothing.
    pub dry_run: bool,
    /// Form of what `dry_run` prints.
    pub format: Format,
    /// Not used.
    pub work_dir: Option<PathBuf>,
    /// Threads that were asked for.
    pub nprocs: Option<usize>,
    /// Memory to stay within.
    pub mem: Option<Memory>,
    /// Go on without a valid `dataset_description.json`.
    pub skip_bids_validation: bool,
    /// Probability that a scan fails on purpose, 0 to 1.
    pub fail_rate: f64,
    /// A stage that is made to take longer, and by how many seconds.
    pub slow_stage: Option<(Stage, f64)>,
    /// Seed of failures; see [`Options::faults`].
    pub seed: Option<u64>,
    /// The collector.
    pub otel_endpoint: Option<Url>,
    /// W3C trace context to continue.
    pub traceparent: Option<String>,
    /// Print finished traces as a tree.
    pub trace: bool,
    /// Only messages.
    pub no_telemetry: bool,
    /// Longest wait at the end for a collector.
    pub flush_timeout: Option<Duration>,
    /// No metrics of single participants.
    pub no_subject_metrics: bool,
    /// Keyed hashes for names in all that is sent.
    pub pseudonymize: bool,
    /// File with the key of the hashes.
    pub pseudonymize_key: Option<PathBuf>,
    /// Form of the messages on standard error.
    pub log_format: LogFormat,
    /// Amount of standard error.
    pub verbosity: Verbosity,
    /// The configuration file.
    pub config: Option<PathBuf>,
}

impl Options {
    /// What becomes of the times of slices.
    #[must_use]
    pub const fn slice_timing(&self) -> SliceTiming {
        if self.ignore.slicetiming { SliceTiming::Ignored } else { self.slice_time_ref }
    }

    /// What becomes of fieldmaps.
    #[must_use]
    pub const fn fieldmaps(&self) -> Fieldmaps {
        if self.ignore.fieldmaps { Fieldmaps::Ignored } else { self.use_fieldmap }
    }

    /// Failures and delays on purpose.
    #[must_use]
    pub fn faults(&self) -> Faults {
        Faults { fail_rate: self.fail_rate, slow: self.slow_stage, seed: self.seed.unwrap_or(1) }
    }
}
