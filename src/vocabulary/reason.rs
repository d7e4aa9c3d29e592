//! Why a participant-session is worked on or left as it is: what a dry run shows, a run logs and traces carry.

use crate::error::ErrorCode;
use crate::printable;
use jiff::Timestamp;
use std::fmt;
use std::path::PathBuf;

/// Most characters of a value of a sidecar that are shown.
const SHOWN: usize = 60;

/// What is to become of a participant-session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// All of it is there, made by this version from what the dataset holds now.
    Kept {
        /// When it was made.
        finished: Timestamp,
        /// Inputs whose modification time differs and whose content is what it was: path, time now.
        touched: Vec<(PathBuf, Option<Timestamp>)>,
    },
    /// It is to be done.
    ToDo(Reason),
}

/// Why a participant-session is to be done. Paths of inputs are relative to the dataset, of outputs to the output folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is nothing of an earlier run.
    NeverDone,
    /// `--force`.
    Forced,
    /// A run began with it and did not come to an end, or its marker was removed.
    Unfinished,
    /// It failed; the codes as the summary has them.
    Failed(Vec<String>),
    /// The success marker cannot be understood; why not.
    BadMarker(String),
    /// The success marker is of a form that says less.
    OlderMarker,
    /// Another version made it.
    Version(String),
    /// The scan was not there.
    NewScan(PathBuf),
    /// It is known already that the scan fails now.
    WillFail(PathBuf, ErrorCode),
    /// The image has another size, in bytes.
    InputSize {
        /// Which scan.
        scan: PathBuf,
        /// Size when it was read.
        was: u64,
        /// Size now.
        now: u64,
    },
    /// The image has the same size and other content.
    InputContent(PathBuf),
    /// The image cannot be read to be compared; why not.
    InputUnreadable(PathBuf, String),
    /// What the sidecars say of the scan is something else.
    Metadata {
        /// Which scan.
        scan: PathBuf,
        /// The first key that differs.
        key: String,
        /// Its value then, as JSON.
        was: Option<String>,
        /// Its value now.
        now: Option<String>,
    },
    /// Another fieldmap is for the run, or other things are said of it.
    Fieldmap(PathBuf),
    /// An option that shapes the outputs has another value.
    Option {
        /// Which scan.
        scan: PathBuf,
        /// The option, without `--`.
        key: String,
        /// Its value then, as JSON; `None` for the usual one.
        was: Option<String>,
        /// Its value now.
        now: Option<String>,
    },
    /// The T1w image that the run was laid onto is done again, or was since.
    Anatomy(PathBuf),
    /// Something was odd about the scan, and `--strict` refuses that now.
    Strict(PathBuf),
    /// The output is not there.
    OutputMissing(PathBuf),
    /// The output has another size, in bytes.
    OutputSize {
        /// Which output.
        output: PathBuf,
        /// Size when it was written.
        was: u64,
        /// Size now.
        now: u64,
    },
    /// The output has the same size and other content, or cannot be read.
    OutputContent(PathBuf),
}

impl State {
    /// Whether nothing is to be done.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        matches!(self, Self::Kept { .. })
    }

    /// Whether it is processed again without a request to do so.
    #[must_use]
    pub const fn is_surprise(&self) -> bool {
        !matches!(self, Self::Kept { .. } | Self::ToDo(Reason::NeverDone | Reason::Forced))
    }

    /// A word for programs: the `reason` of a plan, of log lines and of `unit.reason`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Kept { .. } => "kept",
            Self::ToDo(reason) => reason.kind(),
        }
    }
}

impl Reason {
    const fn kind(&self) -> &'static str {
        match self {
            Self::NeverDone => "never_done",
            Self::Forced => "forced",
            Self::Unfinished => "unfinished",
            Self::Failed(_) => "failed",
            Self::BadMarker(_) | Self::OlderMarker => "marker",
            Self::Version(_) => "version",
            Self::NewScan(_) | Self::WillFail(..) => "scans",
            Self::InputSize { .. } | Self::InputContent(_) | Self::InputUnreadable(..) => "input",
            Self::Metadata { .. } | Self::Fieldmap(_) => "metadata",
            Self::Option { .. } => "option",
            Self::Anatomy(_) => "anatomy",
            Self::Strict(_) => "strict",
            Self::OutputMissing(_) | Self::OutputSize { .. } | Self::OutputContent(_) => "output",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept { finished, touched } => {
                write!(f, "kept: done by {} on {finished:.0}", env!("CARGO_PKG_VERSION"))?;
                let Some((first, _)) = touched.first() else { return Ok(()) };
                write!(f, "; {}", first.display())?;
                if touched.len() > 1 {
                    write!(f, " and {} more", touched.len() - 1)?;
                }
                let has = if touched.len() > 1 { "have" } else { "has" };
                write!(f, " {has} a new modification time but the same content")
            }
            Self::ToDo(Reason::NeverDone) => f.write_str("never done"),
            Self::ToDo(reason) => write!(f, "rerun: {reason}"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverDone => f.write_str("it was never done"),
            Self::Forced => f.write_str("--force"),
            Self::Unfinished => f.write_str("it was not finished"),
            Self::Failed(codes) => write!(f, "it failed last time ({})", short(&codes.join(", "))),
            Self::BadMarker(why) => write!(f, "its success marker cannot be used: {}", short(why)),
            Self::OlderMarker => f.write_str("its success marker has an older format"),
            Self::Version(version) => write!(f, "made by version {}", short(version)),
            Self::NewScan(scan) => write!(f, "{} is new", scan.display()),
            Self::WillFail(scan, code) => write!(f, "{} can no longer be processed ({code})", scan.display()),
            Self::InputSize { scan, was, now } => write!(f, "{} changed (size {was} → {now} bytes)", scan.display()),
            Self::InputContent(scan) => write!(f, "{} changed (content)", scan.display()),
            Self::InputUnreadable(scan, why) => write!(f, "{} cannot be compared: {why}", scan.display()),
            Self::Metadata { scan, key, was, now } => {
                write!(
                    f,
                    "{key} in the sidecars of {} changed {} → {}",
                    scan.display(),
                    shown(was.as_deref()),
                    shown(now.as_deref())
                )
            }
            Self::Fieldmap(scan) => {
                write!(f, "the fieldmap of {} or its sidecar changed", scan.display())
            }
            Self::Option { scan, key, was, now } => {
                let said = |value: &Option<String>| value.as_deref().map_or_else(|| "the default".to_owned(), short);
                write!(f, "--{key} of {} was {}, now {}", scan.display(), said(was), said(now))
            }
            Self::Anatomy(scan) => {
                write!(f, "it was registered to {}, which has been or will be processed again", scan.display())
            }
            Self::Strict(scan) => write!(f, "--strict is given, and {} has a note", scan.display()),
            Self::OutputMissing(output) => write!(f, "output {} is missing", output.display()),
            Self::OutputSize { output, was, now } => {
                write!(f, "output {} changed size {was} → {now} bytes", output.display())
            }
            Self::OutputContent(output) => write!(f, "output {} changed (content)", output.display()),
        }
    }
}

/// A value of a sidecar, cut where it is long; what is not there is `nothing`.
fn shown(value: Option<&str>) -> String {
    value.map_or_else(|| "nothing".to_owned(), short)
}

/// Text of a file without what a terminal would obey, and not too much of it.
fn short(text: &str) -> String {
    let whole = printable::line(text);
    let mut plain: String = whole.chars().take(SHOWN).collect();
    if whole.chars().count() > SHOWN {
        plain.push('…');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_read_as_a_person_asks() {
        let said = |reason: Reason| State::ToDo(reason).to_string();
        assert_eq!(said(Reason::NeverDone), "never done");
        assert_eq!(said(Reason::Failed(vec!["NP-NO-BRAIN".into()])), "rerun: it failed last time (NP-NO-BRAIN)");
        let metadata =
            |was, now| Reason::Metadata { scan: "a_bold.nii".into(), key: "RepetitionTime".into(), was, now };
        assert_eq!(
            said(metadata(Some("2".into()), Some("2.5".into()))),
            "rerun: RepetitionTime in the sidecars of a_bold.nii changed 2 → 2.5"
        );
        assert!(said(metadata(None, Some("\"\\u001b[2J\u{9b}\"".into()))).ends_with("nothing → \"\\u001b[2J\\u009b\""));
        assert!(said(Reason::Version("9\u{1b}[31m".repeat(50))).chars().count() < 100);
    }

    #[test]
    fn what_is_kept_says_since_when_and_what_was_read_to_know() {
        let finished: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
        let kept = |touched| State::Kept { finished, touched }.to_string();
        let since = concat!("kept: done by ", env!("CARGO_PKG_VERSION"), " on 2026-01-02T03:04:05Z");
        assert_eq!(kept(vec![]), since);
        let both = kept(vec![("a.nii".into(), None), ("b.nii".into(), None)]);
        assert_eq!(both, format!("{since}; a.nii and 1 more have a new modification time but the same content"));
    }
}
