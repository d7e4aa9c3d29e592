//! A BIDS label: the part after the dash in `sub-01`. A [`Label`] cannot hold anything that would be unsafe or wrong
//! in a file name, so it needs no further check.

use std::fmt;

use crate::error::{Coded, ErrorCode};

/// Letters, digits and `+`, at least one of them (BIDS specification, "Filename template").
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(String);

/// Why a text is not a label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a BIDS label: use letters, digits and '+' only")]
pub struct LabelError {
    /// What was given.
    pub text: String,
}

impl Coded for LabelError {
    fn code(&self) -> ErrorCode {
        ErrorCode::UnknownLabel
    }
}

impl Label {
    /// A label as in a file name, without key.
    ///
    /// # Errors
    /// [`LabelError`] when `text` is empty or has other characters than letters, digits and `+`.
    pub fn new(text: &str) -> Result<Self, LabelError> {
        if is_label(text) { Ok(Self(text.to_owned())) } else { Err(LabelError { text: text.to_owned() }) }
    }

    /// A participant's label, written `01` or `sub-01`.
    ///
    /// # Errors
    /// As [`Label::new`].
    pub fn participant(text: &str) -> Result<Self, LabelError> {
        Self::new(without_sub(text))
    }

    /// A session's label, written `01` or `ses-01`.
    ///
    /// # Errors
    /// As [`Label::new`].
    pub fn session(text: &str) -> Result<Self, LabelError> {
        Self::new(text.strip_prefix("ses-").unwrap_or(text))
    }

    /// The label's text, without key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

/// A participant's label without the key that it may be written with.
#[must_use]
pub fn without_sub(text: &str) -> &str {
    text.strip_prefix("sub-").unwrap_or(text)
}

/// Whether a text is a label as it stands.
pub(super) fn is_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_stripped_once_and_only_where_they_belong() {
        assert_eq!(Label::participant("sub-01").unwrap().as_str(), "01");
        assert_eq!(Label::participant("01").unwrap().as_str(), "01");
        assert_eq!(Label::session("ses-M12").unwrap().as_str(), "M12");
        assert!(Label::participant("ses-01").is_err());
        assert!(Label::participant("sub-sub-01").is_err());
    }

    #[test]
    fn what_is_not_a_label_is_refused_by_name() {
        for bad in ["", "sub-", "a b", "../x", "a_b", "é", "a\n", "a-b", "a/b", "*"] {
            let error = Label::participant(bad).unwrap_err();
            assert!(error.to_string().contains("not a BIDS label"), "{bad}: {error}");
        }
        assert_eq!(Label::new("2mo+x").unwrap().to_string(), "2mo+x");
    }
}
