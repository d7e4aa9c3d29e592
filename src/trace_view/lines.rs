//! One line of OTLP JSON, as far as it is needed here (OpenTelemetry specification, "OTLP JSON Protobuf Encoding").
//!
//! Lean on purpose: a run of 10,000 subjects leaves hundreds of thousands of lines, each with its resource.

use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// A line of a trace file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceLine<'a> {
    #[serde(borrow, default)]
    pub resource_spans: Vec<ResourceSpans<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceSpans<'a> {
    #[serde(borrow, default)]
    pub resource: Resource<'a>,
    #[serde(borrow, default)]
    pub scope_spans: Vec<ScopeSpans<'a>>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Resource<'a> {
    #[serde(borrow, default)]
    pub attributes: Vec<Attribute<'a>>,
}

#[derive(Debug, Deserialize)]
pub struct ScopeSpans<'a> {
    #[serde(borrow, default)]
    pub spans: Vec<SpanLine<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpanLine<'a> {
    #[serde(borrow)]
    pub trace_id: Cow<'a, str>,
    #[serde(borrow)]
    pub span_id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub parent_span_id: Cow<'a, str>,
    #[serde(default)]
    pub flags: u32,
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    #[serde(deserialize_with = "integer")]
    pub start_time_unix_nano: u64,
    #[serde(deserialize_with = "integer")]
    pub end_time_unix_nano: u64,
    #[serde(borrow, default)]
    pub attributes: Vec<Attribute<'a>>,
    #[serde(borrow, default)]
    pub status: StatusLine<'a>,
}

#[derive(Debug, Default, Deserialize)]
pub struct StatusLine<'a> {
    #[serde(default)]
    pub code: u8,
    #[serde(borrow, default)]
    pub message: Cow<'a, str>,
}

/// The status code of a failure.
pub const ERROR: u8 = 2;
/// The flag of a span whose parent is in another process.
pub const PARENT_IS_REMOTE: u32 = 0x200;

/// A line of a log file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogsLine<'a> {
    #[serde(borrow, default)]
    pub resource_logs: Vec<ResourceLogs<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceLogs<'a> {
    #[serde(borrow, default)]
    pub resource: Resource<'a>,
    #[serde(borrow, default)]
    pub scope_logs: Vec<ScopeLogs<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScopeLogs<'a> {
    #[serde(borrow, default)]
    pub log_records: Vec<Record<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record<'a> {
    #[serde(default, deserialize_with = "integer")]
    pub time_unix_nano: u64,
    #[serde(borrow, default)]
    pub severity_text: Cow<'a, str>,
    #[serde(borrow, default)]
    pub trace_id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub body: AnyValue<'a>,
    #[serde(borrow, default)]
    pub attributes: Vec<Attribute<'a>>,
}

#[derive(Debug, Deserialize)]
pub struct Attribute<'a> {
    #[serde(borrow)]
    pub key: Cow<'a, str>,
    #[serde(borrow, default)]
    pub value: AnyValue<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnyValue<'a> {
    #[serde(borrow, default)]
    pub string_value: Option<Cow<'a, str>>,
    #[serde(default)]
    pub double_value: Option<f64>,
    #[serde(default, deserialize_with = "perhaps_integer")]
    pub int_value: Option<u64>,
}

/// The text of an attribute.
pub fn text<'l>(attributes: &'l [Attribute<'_>], key: &str) -> Option<&'l str> {
    attributes.iter().find(|a| a.key == key)?.value.string_value.as_deref()
}

/// The number of an attribute.
pub fn number(attributes: &[Attribute<'_>], key: &str) -> Option<f64> {
    let value = &attributes.iter().find(|a| a.key == key)?.value;
    #[expect(clippy::cast_precision_loss, reason = "sizes and times of people's files are below 2^53")]
    value.double_value.or_else(|| value.int_value.map(|n| n as f64))
}

/// An integer, where it can be read: a negative one is none of ours.
fn perhaps_integer<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(serde_json::Value::deserialize(from).ok().and_then(|value| match value {
        serde_json::Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    }))
}

/// 64-bit integers are texts in this encoding; numbers are accepted.
fn integer<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either<'a> {
        Text(#[serde(borrow)] Cow<'a, str>),
        Number(u64),
    }
    match Either::deserialize(from)? {
        Either::Number(n) => Ok(n),
        Either::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}
