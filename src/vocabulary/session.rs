//! Participant and session, and how their scans ended.

use crate::error::ErrorCode;
use std::fmt;

/// A participant and session, without `sub-` and `ses-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId {
    /// Participant label, or the file's stem for a scan outside BIDS.
    pub participant: String,
    /// Session label where there is one.
    pub session: Option<String>,
}

/// `sub-01 ses-A`.
impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sub-{}", self.participant)?;
        self.session.iter().try_for_each(|session| write!(f, " ses-{session}"))
    }
}

/// How a scan or a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// All outputs are written.
    Success,
    /// Failed; the code says why.
    Failed(ErrorCode),
    /// Was already done, or not reached before the run was stopped.
    Skipped,
}

impl Status {
    /// The `status` label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed(_) => "failed",
            Self::Skipped => "skipped",
        }
    }
}
