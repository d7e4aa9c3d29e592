//! The settings that may come from an option, the environment or the configuration file: one table, one reader of
//! values, one rule of precedence.

use super::memory::Memory;
use crate::bids::Modality;
use crate::telemetry::config::{LogFormat, Verbosity, without_password};
use crate::vocabulary::{Fieldmaps, RegistrationStart, Resume, SliceTiming};
use std::path::PathBuf;
use std::time::Duration;

/// Upper limit; larger values are typing errors.
pub(super) const MOST_THREADS: i64 = 4096;
/// The choices of `--modalities`.
pub(super) const MODALITIES: [&str; 2] = [Modality::T1w.as_str(), Modality::Bold.as_str()];
/// The choices of `--log-format`.
pub(super) const LOG_FORMATS: [&str; 2] = ["text", "json"];

/// The choices of `--bold2anat-init`.
pub(super) const STARTS: [&str; 2] = [RegistrationStart::Auto.as_str(), RegistrationStart::Header.as_str()];
/// The choices of `--ignore`, by fMRIPrep's names.
pub(super) const IGNORED: [&str; 2] = ["fieldmaps", "slicetiming"];
/// The choices of `--use-fieldmap`.
pub(super) const FIELDMAPS: [&str; 2] = [Fieldmaps::Checked.as_str(), Fieldmaps::Always.as_str()];
/// The choices of `--resume`.
pub(super) const RESUME: [&str; 2] = [Resume::Size.as_str(), Resume::Verify.as_str()];

/// Looks up one environment variable.
pub(super) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// One row of the table: how a setting is called in the file and the environment.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Section of the configuration file.
    pub section: &'static str,
    /// Key in the section; the option is `--` and the key, but for the verbosity.
    pub key: &'static str,
    /// What may be written.
    pub values: &'static str,
    /// What it sets.
    pub meaning: &'static str,
}

impl Setting {
    /// The environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("NEURO_PREPROCESS_{}", self.key.to_ascii_uppercase().replace('-', "_"))
    }
}

const fn row(section: &'static str, key: &'static str, values: &'static str, meaning: &'static str) -> Setting {
    Setting { section, key, values, meaning }
}

/// Every setting.
pub const SETTINGS: &[Setting] = &[
    row("run", "nprocs", "a whole number", "Threads to use."),
    row("run", "mem", "a size such as 8GB", "Memory to stay within."),
    row("run", "work-dir", "a folder", "Accepted for compatibility; not used."),
    row("run", "modalities", "T1w, bold or both", "Kinds of scan to process."),
    row("run", "output-spaces", "spaces such as MNI152NLin2009cAsym:res-2", "Spaces of the outputs of T1w scans."),
    row("run", "bold2anat-init", "auto or header", "Where the search for a run's place on the T1w image begins."),
    row("run", "ignore", "fieldmaps, slicetiming or both", "What of the dataset is not used."),
    row("run", "use-fieldmap", "auto or always", "Whether a fieldmap is used that makes a run worse."),
    row("run", "slice-time-ref", "0 to 1, start, middle or end", "The moment that slices are brought to."),
    row("run", "me-output-echos", "true or false", "Also write each echo of multi-echo runs."),
    row("run", "resume", "size or verify", "What of an output must be as it was for a scan to be kept."),
    row("run", "strict", "true or false", "Refuse what is otherwise only noted about the input."),
    row("run", "no-report", "true or false", "Write no report pages."),
    row("run", "skip-bids-validation", "true or false", "Go on without a valid dataset_description.json."),
    row("observability", "no-telemetry", "true or false", "No traces, no metrics; only messages."),
    row("observability", "otel-endpoint", "a URL", "Where traces, metrics and logs are sent."),
    row("observability", "flush-timeout", "seconds, 0 to 3600", "Longest wait at the end for a collector."),
    row("observability", "no-subject-metrics", "true or false", "No metrics of single participants."),
    row("observability", "pseudonymize", "true or false", "Keyed hashes for labels and paths in all that is sent."),
    row("observability", "pseudonymize-key", "a file", "Holds the key of the hashes."),
    row("observability", "trace", "true or false", "Print finished traces as a tree."),
    row("observability", "log-format", "text or json", "Form of the messages on standard error."),
    row("observability", "verbosity", "quiet, normal, verbose or debug", "Verbosity of standard error."),
];

/// The settings of one source; what it does not set is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub nprocs: Option<usize>,
    pub mem: Option<Memory>,
    pub work_dir: Option<PathBuf>,
    pub modalities: Option<Vec<Modality>>,
    pub output_spaces: Option<Vec<String>>,
    pub bold2anat_init: Option<RegistrationStart>,
    pub ignore: Option<Vec<String>>,
    pub use_fieldmap: Option<Fieldmaps>,
    pub slice_time_ref: Option<SliceTiming>,
    pub me_output_echos: Option<bool>,
    pub resume: Option<Resume>,
    pub strict: Option<bool>,
    pub no_report: Option<bool>,
    pub skip_bids_validation: Option<bool>,
    pub no_telemetry: Option<bool>,
    pub otel_endpoint: Option<String>,
    pub flush_timeout: Option<Duration>,
    pub no_subject_metrics: Option<bool>,
    pub pseudonymize: Option<bool>,
    pub pseudonymize_key: Option<PathBuf>,
    pub trace: Option<bool>,
    pub log_format: Option<LogFormat>,
    pub verbosity: Option<Verbosity>,
}

impl Settings {
    /// These settings, with what they leave open taken from `weaker`.
    pub fn or(self, weaker: Self) -> Self {
        Self {
            nprocs: self.nprocs.or(weaker.nprocs),
            mem: self.mem.or(weaker.mem),
            work_dir: self.work_dir.or(weaker.work_dir),
            modalities: self.modalities.or(weaker.modalities),
            output_spaces: self.output_spaces.or(weaker.output_spaces),
            bold2anat_init: self.bold2anat_init.or(weaker.bold2anat_init),
            ignore: self.ignore.or(weaker.ignore),
            use_fieldmap: self.use_fieldmap.or(weaker.use_fieldmap),
            slice_time_ref: self.slice_time_ref.or(weaker.slice_time_ref),
            me_output_echos: self.me_output_echos.or(weaker.me_output_echos),
            resume: self.resume.or(weaker.resume),
            strict: self.strict.or(weaker.strict),
            no_report: self.no_report.or(weaker.no_report),
            skip_bids_validation: self.skip_bids_validation.or(weaker.skip_bids_validation),
            no_telemetry: self.no_telemetry.or(weaker.no_telemetry),
            otel_endpoint: self.otel_endpoint.or(weaker.otel_endpoint),
            flush_timeout: self.flush_timeout.or(weaker.flush_timeout),
            no_subject_metrics: self.no_subject_metrics.or(weaker.no_subject_metrics),
            pseudonymize: self.pseudonymize.or(weaker.pseudonymize),
            pseudonymize_key: self.pseudonymize_key.or(weaker.pseudonymize_key),
            trace: self.trace.or(weaker.trace),
            log_format: self.log_format.or(weaker.log_format),
            verbosity: self.verbosity.or(weaker.verbosity),
        }
    }

    /// Sets `key`, a key of [`SETTINGS`], from text; the error says what may be written.
    pub fn set(&mut self, key: &str, text: &str) -> Result<(), String> {
        let text = text.trim();
        match key {
            "nprocs" => self.nprocs = Some(threads(text)?),
            "mem" => self.mem = Some(text.parse()?),
            "work-dir" => self.work_dir = Some(PathBuf::from(text)),
            "modalities" => self.modalities = Some(modalities(text)?),
            "output-spaces" => {
                self.output_spaces = Some(text.split([',', ' ']).filter(|w| !w.is_empty()).map(str::to_owned).collect())
            }
            "bold2anat-init" => self.bold2anat_init = Some(start(text)?),
            "ignore" => self.ignore = Some(ignored(text)?),
            "use-fieldmap" => self.use_fieldmap = Some(fieldmaps(text)?),
            "slice-time-ref" => self.slice_time_ref = Some(SliceTiming::parse(text)?),
            "me-output-echos" => self.me_output_echos = Some(boolean(text)?),
            "resume" => self.resume = Some(resume(text)?),
            "strict" => self.strict = Some(boolean(text)?),
            "no-report" => self.no_report = Some(boolean(text)?),
            "skip-bids-validation" => self.skip_bids_validation = Some(boolean(text)?),
            "no-telemetry" => self.no_telemetry = Some(boolean(text)?),
            "otel-endpoint" => self.otel_endpoint = Some(endpoint(text)?),
            "flush-timeout" => self.flush_timeout = Some(seconds(text)?),
            "no-subject-metrics" => self.no_subject_metrics = Some(boolean(text)?),
            "pseudonymize" => self.pseudonymize = Some(boolean(text)?),
            "pseudonymize-key" => self.pseudonymize_key = Some(PathBuf::from(text)),
            "trace" => self.trace = Some(boolean(text)?),
            "log-format" => self.log_format = Some(log_format(text)?),
            "verbosity" => self.verbosity = Some(verbosity(text)?),
            other => return Err(format!("unknown setting {other}")),
        }
        Ok(())
    }
}

/// A number of threads.
pub(super) fn threads(text: &str) -> Result<usize, String> {
    let number = text.parse::<i64>().ok().filter(|n| (1..=MOST_THREADS).contains(n));
    let number = number.and_then(|n| usize::try_from(n).ok());
    number.ok_or_else(|| format!("write a whole number from 1 to {MOST_THREADS}"))
}

/// One modality, in any case.
pub(super) fn modality(text: &str) -> Result<Modality, String> {
    let found = Modality::ALL.into_iter().find(|m| m.as_str().eq_ignore_ascii_case(text));
    found.ok_or_else(|| format!("unknown modality {text:?}; write T1w or bold"))
}

fn modalities(text: &str) -> Result<Vec<Modality>, String> {
    let words = text.split([',', ' ']).filter(|word| !word.is_empty());
    let list = words.map(modality).collect::<Result<Vec<_>, _>>()?;
    if list.is_empty() { Err("write T1w, bold or both".to_owned()) } else { Ok(list) }
}

/// The URL of a collector. Without a scheme neither gRPC nor HTTP exporters know what to do, so that is refused here.
pub(super) fn endpoint(text: &str) -> Result<String, String> {
    let uri = text.parse::<http::Uri>().ok();
    let whole =
        uri.filter(|u| matches!(u.scheme_str(), Some("http" | "https")) && u.host().is_some_and(|h| !h.is_empty()));
    match whole {
        Some(_) => Ok(text.to_owned()),
        None if text.contains("://") || text.is_empty() => {
            Err("write a URL with http:// or https://, such as http://localhost:4317".to_owned())
        }
        None => Err(format!("the scheme is missing; write http://{}", without_password(text))),
    }
}

/// A time to wait.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.parse::<f64>().ok().filter(|s| (0.0..=3600.0).contains(s));
    number.map(Duration::from_secs_f64).ok_or_else(|| "write a number of seconds from 0 to 3600".to_owned())
}

fn ignored(text: &str) -> Result<Vec<String>, String> {
    let words = text.split([',', ' ']).filter(|word| !word.is_empty());
    let one = |word: &str| {
        let known = IGNORED.iter().find(|known| known.eq_ignore_ascii_case(word));
        known.map(|known| (*known).to_owned()).ok_or_else(|| format!("write {}", IGNORED.join(" or ")))
    };
    words.map(one).collect()
}

/// Where the search for a run's place on the T1w image begins.
pub(super) fn start(text: &str) -> Result<RegistrationStart, String> {
    RegistrationStart::named(text).ok_or_else(|| format!("write {}", STARTS.join(" or ")))
}

/// Whether a fieldmap is used that makes a run worse.
pub(super) fn fieldmaps(text: &str) -> Result<Fieldmaps, String> {
    Fieldmaps::named(text).ok_or_else(|| format!("write {}", FIELDMAPS.join(" or ")))
}

/// What of an output must be as it was for a scan to be kept.
pub(super) fn resume(text: &str) -> Result<Resume, String> {
    Resume::named(text).ok_or_else(|| format!("write {}", RESUME.join(" or ")))
}

/// The form of log lines.
pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("write text or json".to_owned()),
    }
}

fn verbosity(text: &str) -> Result<Verbosity, String> {
    match text {
        "quiet" => Ok(Verbosity::Quiet),
        "normal" => Ok(Verbosity::Normal),
        "verbose" => Ok(Verbosity::Verbose),
        "debug" => Ok(Verbosity::Debug),
        _ => Err("write quiet, normal, verbose or debug".to_owned()),
    }
}

fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("write true or false".to_owned()),
    }
}

/// The candidate most like `word`, when it is near enough to be what was meant.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |c: &str| strsim::normalized_damerau_levenshtein(word, c).max(strsim::jaro_winkler(word, c) - 0.2);
    let best = candidates.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) >= 0.6).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_can_be_set() {
        let values = [
            "4",
            "8GB",
            "/w",
            "bold",
            "yes",
            "header",
            "slicetiming",
            "always",
            "0.25",
            "on",
            "verify",
            "on",
            "true",
            "true",
            "0",
            "http://c:4317",
            "2.5",
            "1",
            "1",
            "/k",
            "on",
            "json",
            "debug",
        ];
        let mut settings = Settings::default();
        for (setting, value) in SETTINGS.iter().zip(values) {
            let before = settings.clone();
            settings.set(setting.key, value).unwrap();
            assert_ne!(settings, before, "{} changes nothing", setting.key);
        }
        assert_eq!(values.len(), SETTINGS.len());
        assert!(settings.set("nprocz", "4").is_err());
    }

    #[test]
    fn values_that_mean_nothing_are_refused() {
        let bad = [("nprocs", "0"), ("nprocs", "four"), ("nprocs", "-1"), ("nprocs", "5000"), ("mem", "lots")];
        let more = [("modalities", "T2w"), ("modalities", ","), ("trace", "perhaps"), ("log-format", "xml")];
        for (key, text) in bad.into_iter().chain(more).chain([("verbosity", "loud"), ("flush-timeout", "-1")]) {
            assert!(Settings::default().set(key, text).is_err(), "{key}={text}");
        }
    }

    #[test]
    fn an_endpoint_is_a_url() {
        assert!(endpoint("https://collector.example.org/otlp").is_ok());
        assert!(endpoint("http://[::1]:4318").is_ok());
        assert!(endpoint("localhost:4317").unwrap_err().contains("http://localhost:4317"));
        for bad in ["", "grpc://x:1", "http://", "http:// x", "4317"] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nearest_finds_slips_and_leaves_other_words() {
        let keys = ["nprocs", "mem", "work-dir"];
        assert_eq!(nearest("nproc", keys), Some("nprocs"));
        assert_eq!(nearest("workdir", keys), Some("work-dir"));
        assert_eq!(nearest("colour", keys), None);
    }
}
