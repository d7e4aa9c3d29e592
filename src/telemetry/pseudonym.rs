//! `--pseudonymize`: keyed hashes in place of labels, scan names and paths in all that leaves the machine.
//!
//! HMAC-SHA-256 (RFC 2104), cut to 64 bits: the same label and key give the same pseudonym in every run, so one
//! participant can be followed through a study; without the key labels cannot be tried out. Attributes known to be personal
//! are replaced by their key; free text is searched for what the plan knows ([`Pseudonyms::protect`]) and for anything
//! that looks like a path or a BIDS name, because messages quote both.

use super::config::PseudonymKey;
use super::names;
use super::phrases::Phrases;
use opentelemetry::{Array, KeyValue, StringValue, Value};
use ring::hmac;
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// What a pseudonym stands for. The same word as participant and as session has two pseudonyms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Personal {
    /// Participant label without `sub-`.
    Participant,
    /// Session label without `ses-`.
    Session,
    /// Scan id.
    Scan,
    /// A path or file name.
    Path,
    /// An argument of the command line.
    Argument,
}

impl Personal {
    /// The word that begins the pseudonym; labels stay labels.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Participant | Self::Session => "",
            Self::Scan => "scan-",
            Self::Path => "path-",
            Self::Argument => "arg-",
        }
    }

    const fn domain(self) -> &'static str {
        match self {
            Self::Participant => "participant",
            Self::Session => "session",
            Self::Scan => "scan",
            Self::Path => "path",
            Self::Argument => "argument",
        }
    }

    /// What the attribute or log field `key` always holds, when that is personal.
    fn of_key(key: &str) -> Option<Self> {
        match key {
            names::PARTICIPANT_ID => Some(Self::Participant),
            names::SESSION_ID => Some(Self::Session),
            names::SCAN_ID | names::LOG_SCAN_ID => Some(Self::Scan),
            names::FILE_PATH | names::FILE_NAME | "output.path" => Some(Self::Path),
            _ => None,
        }
    }
}

/// Keys whose text is a word of this program's own, never a person's.
const HARMLESS: [&str; 20] = [
    names::RUN_ID,
    names::RUN_COMMAND,
    names::UNIT_REASON,
    names::SCAN_FORMAT,
    names::MODALITY,
    names::STAGE,
    names::PIPELINE_STATUS,
    "image.shape",
    "image.voxel_size_mm",
    "image.dtype",
    names::PROCESSING_STEPS,
    "method",
    names::ERROR_TYPE,
    names::ERROR_CODE,
    names::EXCEPTION_TYPE,
    names::LOG_ERROR_TYPE,
    names::LOG_ERROR_CODE,
    names::LOG_ATTRIBUTE,
    names::LOG_REASON,
    names::LABEL_STATUS,
];

/// Ends of file names that are taken for one wherever they stand.
const FILES: [&str; 8] = [".nii", ".nii.gz", ".json", ".jsonl", ".tsv", ".txt", ".toml", ".pem"];

/// What the plan knows of this run.
#[derive(Debug, Default)]
struct Known {
    /// Words, found whole.
    words: HashMap<String, Personal>,
    /// Texts with blanks or signs in them, found anywhere.
    phrases: Phrases<Personal>,
}

/// Makes pseudonyms, and finds what must be replaced.
#[derive(Debug)]
pub struct Pseudonyms {
    key: hmac::Key,
    known: RwLock<Known>,
}

impl Pseudonyms {
    /// With the secret of the study.
    #[must_use]
    pub fn new(key: &PseudonymKey) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key.bytes()), known: RwLock::default() }
    }

    /// The pseudonym of `text`: 16 hexadecimal digits, after a word unless it is a label's.
    #[must_use]
    pub fn of(&self, what: Personal, text: &str) -> String {
        let tag = hmac::sign(&self.key, format!("{}\0{text}", what.domain()).as_bytes());
        let digits: String = tag.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("{}{digits}", what.prefix())
    }

    /// Takes note of labels, scan ids and paths that messages may quote. Of a path, also every part is replaced.
    pub fn protect(&self, personal: impl IntoIterator<Item = (Personal, String)>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for (what, text) in personal {
            let parts: Vec<&str> = if what == Personal::Path { text.split('/').collect() } else { Vec::new() };
            // The parts of ordinary paths are found as paths; one with a blank in it would be cut in pieces.
            for part in parts.into_iter().filter(|part| is_phrase(part)) {
                known.phrases.add(part.to_owned(), what);
            }
            if is_phrase(&text) {
                known.phrases.add(text, what);
            } else if !text.is_empty() {
                known.words.insert(text, what);
            }
        }
    }

    /// `text` without anything personal that is known or looks like it.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let whole = known.phrases.replaced(text, |phrase, what| self.of(*what, phrase));
        let mut out = String::with_capacity(whole.len());
        for piece in whole.split_inclusive(is_delimiter) {
            let end = piece.trim_end_matches(is_delimiter).trim_end_matches(['.', ':', '!', '?']).len();
            let (word, after) = piece.split_at(end);
            out.push_str(&self.word(word, &known));
            out.push_str(after);
        }
        out
    }

    fn word(&self, word: &str, known: &Known) -> String {
        if let Some(what) = known.words.get(word) {
            return self.of(*what, word);
        }
        if word.parse::<f64>().is_ok() {
            return word.to_owned();
        }
        for (prefix, what) in [("sub-", Personal::Participant), ("ses-", Personal::Session)] {
            if let Some(label) = word.strip_prefix(prefix).filter(|rest| rest.bytes().all(is_of_label)) {
                return format!("{prefix}{}", self.of(what, label));
            }
        }
        let is_path = word.contains(['/', '\\']) || FILES.iter().any(|end| word.ends_with(end));
        let is_bids = word.contains("sub-") || word.contains("ses-");
        if is_path || is_bids {
            return self.of(if is_path { Personal::Path } else { Personal::Scan }, word);
        }
        let mut out = String::with_capacity(word.len());
        for part in word.split_inclusive(|c: char| !is_of_label_char(c)) {
            let label = part.trim_end_matches(|c: char| !is_of_label_char(c));
            match known.words.get(label) {
                Some(what) => out.push_str(&self.of(*what, label)),
                None => out.push_str(label),
            }
            out.push_str(part.get(label.len()..).unwrap_or_default());
        }
        out
    }

    /// The text of the attribute or log field `key`.
    #[must_use]
    pub fn field(&self, key: &str, text: &str) -> String {
        match Personal::of_key(key) {
            Some(what) => self.of(what, text),
            None if HARMLESS.contains(&key) => text.to_owned(),
            None => self.text(text),
        }
    }

    /// An attribute.
    #[must_use]
    pub fn attribute(&self, attribute: KeyValue) -> KeyValue {
        let key = attribute.key.as_str();
        let value = match attribute.value {
            Value::String(text) => Value::from(self.field(key, text.as_str())),
            Value::Array(Array::String(texts)) => {
                let texts = texts.iter().map(|text| StringValue::from(self.field(key, text.as_str())));
                Value::Array(Array::String(texts.collect()))
            }
            other => other,
        };
        KeyValue::new(attribute.key, value)
    }

    /// The command line: options keep their names, everything else is hidden.
    #[must_use]
    pub fn arguments(&self, arguments: impl Iterator<Item = String>) -> Vec<String> {
        let shown = |argument: String| match argument.split_once('=') {
            Some((option, value)) if option.starts_with("--") => {
                format!("{option}={}", self.of(Personal::Argument, value))
            }
            _ if argument.starts_with("--") || argument.len() == 2 && argument.starts_with('-') => argument,
            _ => self.of(Personal::Argument, &argument),
        };
        arguments.enumerate().map(|(i, a)| if i == 0 { names::SERVICE.to_owned() } else { shown(a) }).collect()
    }
}

/// What BIDS labels are made of.
const fn is_of_label(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+'
}

fn is_of_label_char(c: char) -> bool {
    c.is_alphanumeric() || c == '+'
}

/// Ends a word of a message.
fn is_delimiter(c: char) -> bool {
    c.is_whitespace() || "\"'`()[]{}<>,;=|".contains(c)
}

/// Whether splitting messages into words would cut `text` in pieces.
fn is_phrase(text: &str) -> bool {
    text.chars().any(is_delimiter) || text.ends_with(['.', ':', '!', '?'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pseudonyms() -> Pseudonyms {
        let made = Pseudonyms::new(&PseudonymKey::new(b"0123456789abcdef").unwrap());
        made.protect([
            (Personal::Participant, "ALICE".to_owned()),
            (Personal::Session, "visit2".to_owned()),
            (Personal::Path, "/data/Smith family/bids".to_owned()),
            (Personal::Scan, "head.v2_of-smith".to_owned()),
        ]);
        made
    }

    #[test]
    fn a_pseudonym_depends_on_key_kind_and_text_only() {
        let (a, b) = (pseudonyms(), pseudonyms());
        assert_eq!(a.of(Personal::Participant, "01"), b.of(Personal::Participant, "01"));
        assert_ne!(a.of(Personal::Participant, "01"), a.of(Personal::Session, "01"));
        assert_ne!(a.of(Personal::Participant, "01"), a.of(Personal::Participant, "02"));
        let other = Pseudonyms::new(&PseudonymKey::new(b"another key of 16").unwrap());
        assert_ne!(a.of(Personal::Participant, "01"), other.of(Personal::Participant, "01"));
        // HMAC-SHA-256 of "participant\001", by Python's hmac module.
        assert_eq!(a.of(Personal::Participant, "01"), "7fab1e300a479b55");
    }

    #[test]
    fn texts_lose_labels_paths_and_names_and_keep_the_rest() {
        let p = pseudonyms();
        let alice = p.of(Personal::Participant, "ALICE");
        for (text, expected) in [
            ("stage finished", "stage finished".to_owned()),
            ("sub-ALICE: cut at 0.25 of 3", format!("sub-{alice}: cut at 0.25 of 3")),
            ("ALICE's scan", format!("{alice}'s scan")),
            ("(ALICE_x)", format!("({alice}_x)")),
            ("a/b.nii.gz: ends early", format!("{}: ends early", p.of(Personal::Path, "a/b.nii.gz"))),
            ("x.nii is 4-D", format!("{} is 4-D", p.of(Personal::Path, "x.nii"))),
            ("sub-NEW_T1w has 2 volumes", format!("{} has 2 volumes", p.of(Personal::Scan, "sub-NEW_T1w"))),
            ("head.v2_of-smith.", format!("{}.", p.of(Personal::Scan, "head.v2_of-smith"))),
        ] {
            assert_eq!(p.text(text), expected);
        }
        for leak in ["/data/Smith family/bids/x", "in \"Smith family\"", "/data/Smith family"] {
            assert!(!p.text(leak).to_lowercase().contains("smith"), "{}", p.text(leak));
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_stands_around_it_a_known_label_is_replaced_and_always_by_the_same(
            before in "\\PC{0,12}", after in "\\PC{0,12}", label in "[A-Z]{5,9}"
        ) {
            let (a, b) = (pseudonyms(), pseudonyms());
            for p in [&a, &b] {
                p.protect([(Personal::Participant, label.clone())]);
            }
            let text = format!("{before} {label}: {after}");
            proptest::prop_assert_eq!(a.text(&text), b.text(&text));
            // What letters stand right beside it is another word.
            let words = |text: &str| text.split(|c: char| !is_of_label_char(c)).any(|word| word == label);
            proptest::prop_assert!(!words(&a.text(&text)), "{}", a.text(&text));
        }
    }

    #[test]
    fn the_command_line_keeps_its_options() {
        let line = ["/opt/np", "/data/bids", "--participant-label=ALICE", "-v", "--mem", "8GB"].map(str::to_owned);
        let shown = pseudonyms().arguments(line.into_iter());
        assert_eq!((shown[0].as_str(), shown[3].as_str(), shown[4].as_str()), (names::SERVICE, "-v", "--mem"));
        assert!(shown[2].starts_with("--participant-label=arg-") && shown[1].starts_with("arg-"), "{shown:?}");
    }

    #[test]
    fn keys_are_long_enough_and_never_shown() {
        assert_eq!(PseudonymKey::new(b" short \n"), None);
        let key = PseudonymKey::new(b"0123456789abcdef\n").unwrap();
        assert_eq!((key.bytes().len(), format!("{key:?}").as_str()), (16, "PseudonymKey(…)"));
    }
}
