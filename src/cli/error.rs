//! Why a command line was not turned into a request, and what to print then.

use super::exit::ExitStatus;
use super::values;
use crate::bids::SkipReason;
use crate::error::{Coded, ErrorCode};
use std::path::PathBuf;

/// Why [`super::parse`] returned no request: help, version, or an error.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Help, version, or an argument clap refuses.
    #[error(transparent)]
    Clap(#[from] clap::Error),
    /// Well-formed arguments that cannot be carried out.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl CliError {
    /// The exit status the program should end with; success for help and version.
    #[must_use]
    pub fn status(&self) -> ExitStatus {
        match self {
            Self::Clap(e) if !e.use_stderr() => ExitStatus::Success,
            Self::Clap(e) if concerns_level(e) => ExitStatus::UnknownLevel,
            Self::Clap(_) => ExitStatus::Usage,
            Self::Refused(refusal) => refusal.code().into(),
        }
    }

    /// Whether [`CliError::text`] belongs on standard output (help, version) and not on standard error.
    #[must_use]
    pub fn to_stdout(&self) -> bool {
        self.status() == ExitStatus::Success
    }

    /// What to print, without colours, ending with a newline.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Clap(e) => clap_text(e),
            Self::Refused(refusal) => format!("error: {refusal} [{}]\n", refusal.code()),
        }
    }

    /// Prints help or version on standard output, coloured on a terminal; nothing of it is from outside. A closed pipe is no
    /// reason to fail.
    ///
    /// # Errors
    /// What the system says of standard output.
    pub fn print_help(&self) -> std::io::Result<()> {
        if let Self::Clap(e) = self { e.print() } else { Ok(()) }
    }
}

/// What clap says, without the list of all forms that it puts below every error, and without the advice to write a
/// misspelt option as a value.
fn clap_text(error: &clap::Error) -> String {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let code = ErrorCode::Usage;
    match (error.kind(), context(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(typed)) if typed.starts_with('-') => {
            let typed = typed.split('=').next().unwrap_or(typed);
            let nearest = context(ContextKind::SuggestedArg).filter(|option| {
                values::nearest(typed.trim_start_matches('-'), [option.trim_start_matches('-')]).is_some()
            });
            let meant = nearest.map(|option| format!(" did you mean {option}?")).unwrap_or_default();
            format!("error: there is no option {typed};{meant} --help lists all options [{code}]\n")
        }
        (
            ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::DisplayVersion,
            _,
        ) => error.render().to_string(),
        _ => short_usage(&error.render().to_string()),
    }
}

/// The text of an error with a usage of several lines taken out: that of the verbs has one.
fn short_usage(text: &str) -> String {
    let Some((before, usage)) = text.split_once("\nUsage: ") else { return text.to_owned() };
    let (usage, after) = usage.split_once("\n\n").unwrap_or((usage, ""));
    if usage.trim_end().lines().count() < 2 { text.to_owned() } else { format!("{before}\n{after}") }
}

/// Whether clap refused the analysis level, which has an exit status of its own.
fn concerns_level(error: &clap::Error) -> bool {
    let argument = error.get(clap::error::ContextKind::InvalidArg);
    matches!(argument, Some(clap::error::ContextValue::String(name)) if *name == format!("[{}]", super::args::LEVEL))
}

/// A line per option.
fn foreign(refused: &[(String, &'static str)]) -> String {
    let line = |(option, why): &(String, &'static str)| format!("{option} cannot be used: {why}");
    refused.iter().map(line).collect::<Vec<_>>().join("\nerror: ")
}

/// Well-formed arguments that cannot be carried out. Each message says what, where, and what to do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Options of other programs whose results could not be what they ask for.
    #[error("{}", foreign(refused))]
    Foreign {
        /// Each option and why it cannot be used.
        refused: Vec<(String, &'static str)>,
    },
    /// No input at all.
    #[error("no input: give BIDS_DIR OUTPUT_DIR participant, or a Nipoppy study folder; see --help for other forms")]
    NoInputGiven,
    /// An option with several values has taken the folders too.
    #[error(
        "{option} has taken {values} as its values, so no BIDS_DIR is left: put the folders first \
         (BIDS_DIR OUTPUT_DIR participant {option} …), or end the values with --"
    )]
    Swallowed {
        /// The option as typed.
        option: &'static str,
        /// What it took.
        values: String,
    },
    /// Two ways of naming the input or output at once.
    #[error("{first} and {second} cannot be used together: {advice}")]
    Conflict {
        /// One argument.
        first: &'static str,
        /// The other.
        second: &'static str,
        /// Which to keep when.
        advice: String,
    },
    /// The output folder is not given, and there is no study to say where it is.
    #[error("no output folder: add {how}{study}")]
    OutputMissing {
        /// How to give it in this form.
        how: &'static str,
        /// When none is needed, or empty.
        study: &'static str,
    },
    /// A fourth folder or word.
    #[error(
        "unexpected argument {extra:?} after BIDS_DIR OUTPUT_DIR LEVEL: several values of an option are written \
         --option A B, or --option=A,B"
    )]
    TooMany {
        /// The first argument too many.
        extra: String,
    },
    /// The third argument is missing.
    #[error("the analysis level is missing: add participant (or group) after OUTPUT_DIR{hint}")]
    LevelMissing {
        /// What was meant, or empty.
        hint: String,
    },
    /// An input path does not exist.
    #[error("{role} {} does not exist{hint}", path.display())]
    InputMissing {
        /// What it should be.
        role: &'static str,
        /// As typed.
        path: PathBuf,
        /// A second sentence, or empty.
        hint: String,
    },
    /// The scan is an image of another kind.
    #[error("the scan {} cannot be taken: {reason}", path.display())]
    NotAScan {
        /// As typed.
        path: PathBuf,
        /// Why.
        reason: SkipReason,
    },
    /// An input path is there, but may not be looked at.
    #[error("{role} {} cannot be read: {problem}; check its permissions and the mount", path.display())]
    Unreadable {
        /// What it should be.
        role: &'static str,
        /// As typed.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// The content of a scan is elsewhere.
    #[error("{} is a link to content that is not here: fetch it with datalad get (or git annex get)", path.display())]
    NotMaterialised {
        /// As typed.
        path: PathBuf,
    },
    /// A file where a folder is needed, or the reverse.
    #[error("{} is a {is}: {advice}", path.display())]
    WrongKind {
        /// As typed.
        path: PathBuf,
        /// `file` or `folder`.
        is: &'static str,
        /// Which form takes it.
        advice: &'static str,
    },
    /// Writing there would change the input.
    #[error(
        "the {role} folder {} is {relation} the input {}: the input is never written to; choose a folder outside it, \
         or one inside its derivatives/ folder",
        folder.display(),
        input.display()
    )]
    InsideInput {
        /// `output` or `work`.
        role: &'static str,
        /// As typed.
        folder: PathBuf,
        /// As typed.
        input: PathBuf,
        /// `the same as` or `inside`.
        relation: &'static str,
    },
    /// Something is in the way of the output or work folder.
    #[error("the {role} folder {} cannot be used: {problem}", folder.display())]
    OutputUnusable {
        /// `output` or `work`.
        role: &'static str,
        /// As typed.
        folder: PathBuf,
        /// What is in the way, and what to do.
        problem: String,
    },
    /// A participant or session label that cannot be one.
    #[error("{option} {value:?}: {problem}")]
    BadLabel {
        /// The option.
        option: &'static str,
        /// The label as typed.
        value: String,
        /// Why it cannot be a label, and what to do.
        problem: &'static str,
    },
    /// An environment variable with a value that cannot be used.
    #[error("environment variable {name}={value:?}: {problem}")]
    BadVariable {
        /// The variable.
        name: String,
        /// Its value, without a password.
        value: String,
        /// What is wrong, and what to write.
        problem: String,
    },
    /// An invocation file and other arguments.
    #[error("--invocation FILE takes the place of all other arguments, but {other:?} is there too")]
    InvocationMixed {
        /// The first of the others.
        other: String,
    },
    /// The invocation file cannot be used.
    #[error("invocation file {}: {problem}", file.display())]
    BadInvocation {
        /// The file.
        file: PathBuf,
        /// The input, what is wrong, and what it should be.
        problem: String,
    },
    /// Names are to be hidden, and there is no usable key.
    #[error(
        "pseudonyms need a secret key, and {problem}: write one once with `head -c 32 /dev/urandom | base64 > key`, keep \
         it for the whole study, and give it with --pseudonymize-key FILE, or as NEURO_PREPROCESS_PSEUDONYM_KEY"
    )]
    PseudonymKey {
        /// What is missing or wrong; never the key.
        problem: String,
    },
    /// The file of participant-sessions cannot be used.
    #[error("subcohort file {}: {problem}", file.display())]
    BadSubcohort {
        /// The file.
        file: PathBuf,
        /// The line, what is wrong, and what to write.
        problem: String,
    },
    /// The configuration file cannot be used.
    #[error("configuration file {}: {problem}", file.display())]
    BadConfig {
        /// The file.
        file: PathBuf,
        /// The key or line, what is wrong, and what to write.
        problem: String,
    },
}

impl Coded for Refusal {
    fn code(&self) -> ErrorCode {
        match self {
            Self::LevelMissing { .. } => ErrorCode::UnknownLevel,
            Self::InputMissing { .. } => ErrorCode::InputMissing,
            Self::Unreadable { .. } => ErrorCode::ReadFailed,
            Self::NotAScan { .. } => ErrorCode::NotNifti,
            Self::NotMaterialised { .. } => ErrorCode::NotMaterialised,
            Self::InsideInput { .. } | Self::OutputUnusable { .. } => ErrorCode::OutputUnusable,
            Self::BadConfig { .. } | Self::BadSubcohort { .. } => ErrorCode::ConfigInvalid,
            Self::InvocationMixed { .. } => ErrorCode::InvocationMixed,
            Self::BadInvocation { .. } => ErrorCode::InvocationInvalid,
            Self::NoInputGiven
            | Self::Foreign { .. }
            | Self::Swallowed { .. }
            | Self::Conflict { .. }
            | Self::OutputMissing { .. }
            | Self::TooMany { .. }
            | Self::WrongKind { .. }
            | Self::BadLabel { .. }
            | Self::PseudonymKey { .. }
            | Self::BadVariable { .. } => ErrorCode::Usage,
        }
    }
}
