//! Why a text is not an output space: what is wrong, and what to write instead.

use thiserror::Error;

/// An invalid output space. All of these are errors of the request.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpaceError {
    /// There was no space in the texts.
    #[error("no output space is named; name one or more, such as MNI152NLin2009cAsym:res-2 and func")]
    None,
    /// No such space is known.
    #[error("{name:?} is not an output space; did you mean {nearest}?")]
    Unknown {
        /// What was written.
        name: String,
        /// The known name that is nearest.
        nearest: String,
    },
    /// The space is known, and outputs in it are not made.
    #[error("outputs in {name} cannot be made: {reason}")]
    Unsupported {
        /// The space.
        name: String,
        /// Why, in one line.
        reason: &'static str,
    },
    /// A modifier is neither `res-` nor `cohort-`.
    #[error(
        "{space}: {modifier:?} is not understood; write res-1, res-2, res-native or cohort-N after the template's name"
    )]
    Modifier {
        /// The whole space as it was written.
        space: String,
        /// The part.
        modifier: String,
    },
    /// The participant's own spaces have no variants.
    #[error("{space}: {name} takes neither res- nor cohort-; write {name} alone")]
    NoVariants {
        /// The whole space as it was written.
        space: String,
        /// The space's name.
        name: &'static str,
    },
    /// A template with cohorts without one, or with one it does not have.
    #[error("{space}: {template} has the cohorts 1 to {last}; add one, such as {template}:cohort-1")]
    Cohort {
        /// The whole space as it was written.
        space: String,
        /// The template.
        template: String,
        /// Its last cohort.
        last: u8,
    },
    /// A cohort of a template that has none.
    #[error("{space}: {template} has no cohorts; leave cohort- away")]
    NoCohorts {
        /// The whole space as it was written.
        space: String,
        /// The template.
        template: String,
    },
}
