//! The arguments of the verbs that help without processing anything: `list`, `explain`, `completions`, `man`, `bundle`.

use super::args::SelectArgs;
use super::exit::ExitStatus;
use super::request::{Format, Topic};
use super::values::{self, MODALITIES};
use crate::bids::Modality;
use crate::error::ErrorCode;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap_complete::Shell;
use std::path::PathBuf;

/// A signal that ends a process shows as this and its number.
const SIGNALS: u8 = 128;

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// A BIDS dataset, or a Nipoppy study (a folder with .nipoppy inside)
    #[arg(value_name = "BIDS_DIR")]
    pub bids_dir: PathBuf,
    #[command(flatten)]
    pub select: SelectArgs,
    /// Kinds of scan to list [default: T1w bold]
    #[arg(long, value_name = "KIND", num_args = 1.., value_delimiter = ',', ignore_case = true,
          value_parser = PossibleValuesParser::new(MODALITIES).try_map(|s| values::modality(&s)))]
    pub modalities: Vec<Modality>,
    /// Format of the list
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// An error code, with or without NP-, or an exit status by number or name [default: all]
    #[arg(value_name = "CODE", value_parser = topic)]
    pub code: Option<Topic>,
}

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell to complete in
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Folder for the pages, such as /usr/local/share/man/man1; created when missing
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct BundleArgs {
    /// Folder for the two bundles, a folder each; created when missing
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// `NP-TRUNCATED`, `truncated`, `65`, `bad-data`, `137`.
fn topic(text: &str) -> Result<Topic, String> {
    let word = text.trim().to_ascii_lowercase().replace('_', "-");
    let plain = word.strip_prefix("np-").unwrap_or(&word);
    let short = |code: &ErrorCode| code.as_str().trim_start_matches("NP-").to_ascii_lowercase();
    if let Some(code) = ErrorCode::ALL.iter().find(|code| short(code) == plain) {
        return Ok(Topic::Code(*code));
    }
    let number = plain.parse::<u8>().ok();
    if let Some(status) = ExitStatus::ALL.iter().find(|s| Some(s.number()) == number || s.as_str() == plain) {
        return Ok(Topic::Exit(*status));
    }
    match number {
        Some(n) if n > SIGNALS => Ok(Topic::Signal(n - SIGNALS)),
        Some(n) => Err(format!("the program never ends with {n}; neuro-preprocess explain lists all codes")),
        None => {
            let names: Vec<String> = ErrorCode::ALL.iter().map(short).collect();
            let meant = values::nearest(plain, names.iter().map(String::as_str));
            let meant = meant.map(|name| format!("did you mean NP-{}? ", name.to_ascii_uppercase()));
            Err(format!("there is no such code; {}neuro-preprocess explain lists all", meant.unwrap_or_default()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_understood_as_people_write_them() {
        for text in ["NP-TRUNCATED", "truncated", "np-truncated", " Truncated "] {
            assert_eq!(topic(text), Ok(Topic::Code(ErrorCode::Truncated)), "{text}");
        }
        assert_eq!(topic("no_brain"), Ok(Topic::Code(ErrorCode::NoBrain)));
        for text in ["65", "bad-data"] {
            assert_eq!(topic(text), Ok(Topic::Exit(ExitStatus::BadData)), "{text}");
        }
        // A word that is both is taken for the failure, of which the text tells the status, too.
        assert_eq!(topic("interrupted"), Ok(Topic::Code(ErrorCode::Interrupted)));
        assert_eq!(topic("137"), Ok(Topic::Signal(9)));
        assert!(topic("2").unwrap_err().contains("never ends with 2"));
        assert!(topic("trunkated").unwrap_err().contains("did you mean NP-TRUNCATED?"));
        assert!(!topic("xyzzy").unwrap_err().contains("did you mean"));
    }
}
