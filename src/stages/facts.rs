//! What a stage found, as plain data: attributes of its span, of its phase's span, and events.

use std::fmt;

/// The value of a fact.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A number.
    Float(f64),
    /// A count.
    Int(i64),
    /// A text.
    Text(String),
    /// Yes or no.
    Bool(bool),
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(v) => v.fmt(f),
            Self::Int(v) => v.fmt(f),
            Self::Text(v) => f.write_str(v),
            Self::Bool(v) => v.fmt(f),
        }
    }
}

impl From<f64> for Fact {
    fn from(v: f64) -> Self {
        Self::Float(v)
    }
}
impl From<usize> for Fact {
    fn from(v: usize) -> Self {
        Self::Int(i64::try_from(v).unwrap_or(i64::MAX))
    }
}
impl From<bool> for Fact {
    fn from(v: bool) -> Self {
        Self::Bool(v)
    }
}
impl From<&str> for Fact {
    fn from(v: &str) -> Self {
        Self::Text(v.to_owned())
    }
}
impl From<String> for Fact {
    fn from(v: String) -> Self {
        Self::Text(v)
    }
}

/// Attribute names and values.
pub type Attributes = Vec<(&'static str, Fact)>;

/// What a stage wants to be known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Attributes of the stage's own span.
    pub own: Attributes,
    /// Attributes of the span of its phase.
    pub phase: Attributes,
    /// Events on the stage's own span.
    pub events: Vec<(&'static str, Attributes)>,
    /// Events on the span of its phase.
    pub phase_events: Vec<(&'static str, Attributes)>,
}

impl Facts {
    /// Sets an attribute of the stage's span.
    pub fn set(&mut self, name: &'static str, value: impl Into<Fact>) {
        self.own.push((name, value.into()));
    }

    /// Sets an attribute of the phase's span.
    pub fn set_phase(&mut self, name: &'static str, value: impl Into<Fact>) {
        self.phase.push((name, value.into()));
    }
}
