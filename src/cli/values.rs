//! The values that settings take: how each is read from a text, and written as one.

use super::memory::Memory;
use crate::bids::Modality;
use crate::telemetry::config::{LogFormat, Verbosity, without_password};
use crate::vocabulary::{Fieldmaps, OutputLevel, RegistrationStart, Resume, SliceTiming, Stage};
use clap::ValueEnum;
use std::path::PathBuf;
use std::time::Duration;

/// The form in which a plan or scores are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Upper limit; larger values are typing errors.
pub(super) const MOST_THREADS: i64 = 4096;
/// The choices of `--modalities`.
pub(super) const MODALITIES: [&str; 2] = [Modality::T1w.as_str(), Modality::Bold.as_str()];

/// Looks up one environment variable.
pub(super) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A value that has a text: typed, in a variable, in the configuration file, in the script of a Slurm task.
pub trait Value {
    /// Takes the value that `text` stands for.
    ///
    /// # Errors
    /// What may be written.
    fn read(&mut self, text: &str) -> Result<(), String>;
    /// The text that [`Self::read`] takes for this value; `None` for the default. Lists have commas.
    fn text(&self) -> Option<String>;
    /// All texts there are, where they can be listed.
    fn choices(&self) -> &'static [&'static str] {
        &[]
    }
}

/// Values of a few names: those of `as_str`, in any case.
macro_rules! choices {
    ($kind:ident: $($value:ident),+) => {
        impl Value for $kind {
            fn read(&mut self, text: &str) -> Result<(), String> {
                let found = [$(Self::$value),+].into_iter().find(|value| value.as_str().eq_ignore_ascii_case(text));
                *self = found.ok_or_else(|| format!("write {}", or(self.choices())))?;
                Ok(())
            }

            fn text(&self) -> Option<String> {
                (*self != Self::default()).then(|| self.as_str().to_owned())
            }

            fn choices(&self) -> &'static [&'static str] {
                const { &[$($kind::$value.as_str()),+] }
            }
        }
    };
}

choices!(RegistrationStart: Auto, Header);
// `Ignored` is said by another option.
choices!(Fieldmaps: Checked, Always);
choices!(OutputLevel: Minimal, Resampling, Full);
choices!(Resume: Size, Verify);
choices!(LogFormat: Text, Json);
choices!(Verbosity: Quiet, Normal, Verbose, Debug);

impl Value for bool {
    fn read(&mut self, text: &str) -> Result<(), String> {
        *self = match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => true,
            "0" | "false" | "no" | "off" => false,
            _ => return Err("write true or false".to_owned()),
        };
        Ok(())
    }

    fn text(&self) -> Option<String> {
        self.then(|| "true".to_owned())
    }
}

/// A probability.
impl Value for f64 {
    fn read(&mut self, text: &str) -> Result<(), String> {
        *self = share(text)?;
        Ok(())
    }

    fn text(&self) -> Option<String> {
        (*self > 0.0).then(|| self.to_string())
    }
}

impl Value for SliceTiming {
    fn read(&mut self, text: &str) -> Result<(), String> {
        *self = Self::parse(text)?;
        Ok(())
    }

    fn text(&self) -> Option<String> {
        self.share().filter(|_| *self != Self::default()).map(|share| share.to_string())
    }
}

/// It is never written: no task prints a plan.
impl Value for Format {
    fn read(&mut self, text: &str) -> Result<(), String> {
        *self = Self::from_str(text, false)?;
        Ok(())
    }

    fn text(&self) -> Option<String> {
        None
    }
}

impl Value for Vec<Modality> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        *self = words(text).map(modality).collect::<Result<_, _>>()?;
        if self.is_empty() { Err("write T1w, bold or both".to_owned()) } else { Ok(()) }
    }

    fn text(&self) -> Option<String> {
        list(&self.iter().map(|modality| modality.as_str()).collect::<Vec<_>>())
    }

    fn choices(&self) -> &'static [&'static str] {
        &MODALITIES
    }
}

impl Value for Vec<String> {
    fn read(&mut self, text: &str) -> Result<(), String> {
        *self = words(text).map(str::to_owned).collect();
        Ok(())
    }

    fn text(&self) -> Option<String> {
        list(&self.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

/// What of a dataset is not used, by fMRIPrep's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    /// Fieldmaps.
    pub fieldmaps: bool,
    /// The times of the slices.
    pub slicetiming: bool,
}

impl Ignored {
    const NAMES: [&str; 2] = ["fieldmaps", "slicetiming"];
}

impl Value for Ignored {
    fn read(&mut self, text: &str) -> Result<(), String> {
        *self = Self::default();
        for word in words(text) {
            match Self::NAMES.iter().position(|name| name.eq_ignore_ascii_case(word)) {
                Some(0) => self.fieldmaps = true,
                Some(_) => self.slicetiming = true,
                None => return Err(format!("write {}", or(&Self::NAMES))),
            }
        }
        Ok(())
    }

    fn text(&self) -> Option<String> {
        let said = [self.fieldmaps, self.slicetiming].into_iter().zip(Self::NAMES);
        list(&said.filter_map(|(ignored, name)| ignored.then_some(name)).collect::<Vec<_>>())
    }

    fn choices(&self) -> &'static [&'static str] {
        &Self::NAMES
    }
}

/// The URL of a collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url(pub String);

/// Values without a default: a reader of the text, and a writer.
macro_rules! optional {
    ($($kind:ty, $read:expr, $write:expr;)+) => {$(
        impl Value for Option<$kind> {
            fn read(&mut self, text: &str) -> Result<(), String> {
                let read: fn(&str) -> Result<$kind, String> = $read;
                *self = Some(read(text)?);
                Ok(())
            }

            fn text(&self) -> Option<String> {
                let write: fn(&$kind) -> String = $write;
                self.as_ref().map(write)
            }
        }
    )+};
}

optional! {
    usize, threads, usize::to_string;
    u64, |text| text.parse().map_err(|_| "write a whole number".to_owned()), u64::to_string;
    Memory, str::parse, |memory| memory.written().to_owned();
    Duration, seconds, |time| time.as_secs_f64().to_string();
    String, |text| Ok(text.to_owned()), String::clone;
    PathBuf, |text| Ok(PathBuf::from(text)), |path| path.display().to_string();
    Url, |text| endpoint(text).map(Url), |url| url.0.clone();
    (Stage, f64), slow_stage, |(stage, seconds)| format!("{}:{seconds}", stage.as_str());
}

/// The words of a list: separated by commas or blanks.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ']).filter(|word| !word.is_empty())
}

fn list(words: &[&str]) -> Option<String> {
    (!words.is_empty()).then(|| words.join(","))
}

/// `a, b or c`.
pub(super) fn or(words: &[&str]) -> String {
    match words {
        [before @ .., last] if !before.is_empty() => format!("{} or {last}", before.join(", ")),
        _ => words.concat(),
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
fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.parse::<f64>().ok().filter(|s| (0.0..=3600.0).contains(s));
    number.map(Duration::from_secs_f64).ok_or_else(|| "write a number of seconds from 0 to 3600".to_owned())
}

/// A probability.
pub(super) fn share(text: &str) -> Result<f64, String> {
    number_within(text, 0.0, 1.0)
}

pub(super) fn number_within(text: &str, low: f64, high: f64) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|x| (low..=high).contains(x));
    number.ok_or_else(|| format!("write a number from {low} to {high}"))
}

/// `load`, `process` or `save`, and the seconds it shall take longer.
fn slow_stage(text: &str) -> Result<(Stage, f64), String> {
    let (name, seconds) = text.split_once(':').unwrap_or((text, "5"));
    let stage = Stage::PHASES.into_iter().find(|s| s.as_str() == name);
    let stage = stage.ok_or("the stage is load, process or save, such as process:10")?;
    let seconds = number_within(seconds, 0.0, 3600.0).map_err(|e| format!("after the colon, {e} (seconds)"))?;
    Ok((stage, seconds))
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
    fn an_endpoint_is_a_url() {
        assert!(endpoint("https://collector.example.org/otlp").is_ok());
        assert!(endpoint("http://[::1]:4318").is_ok());
        assert!(endpoint("localhost:4317").unwrap_err().contains("http://localhost:4317"));
        for bad in ["", "grpc://x:1", "http://", "http:// x", "4317"] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn slow_stages_are_phases_with_seconds() {
        assert_eq!(slow_stage("load"), Ok((Stage::Load, 5.0)));
        assert_eq!(slow_stage("save:0.5"), Ok((Stage::Save, 0.5)));
        for bad in ["skull_strip", "load:", "load:x", "load:-1", "load:nan", "load:1:2", ""] {
            assert!(slow_stage(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_are_probabilities() {
        assert_eq!(share("0.25"), Ok(0.25));
        for bad in ["-0.1", "1.1", "nan", "inf", "20%", ""] {
            assert!(share(bad).is_err(), "{bad}");
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
