//! The last step before a span leaves the process: pseudonyms, if enabled, and the length limits of values.
//!
//! Spans get their ids and labels from `tracing` fields, whose real values the log files for people need; so what leaves is
//! changed here, at the exporter, and nowhere before.

use super::env::Environment;
use super::pseudonym::Pseudonyms;
use super::text;
use opentelemetry::trace::Status;
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use std::sync::Arc;
use std::time::Duration;

/// What is done to spans and log records before they leave.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// Made when `--pseudonymize` is in force.
    pub pseudonyms: Option<Arc<Pseudonyms>>,
    /// Longest text of a span's attribute, in characters, see [`super::variables`].
    pub span_text: Option<usize>,
    /// Longest text of a log record's attribute, in characters.
    pub log_text: Option<usize>,
}

impl Outgoing {
    /// With the limits that the environment sets.
    #[must_use]
    pub fn new(env: &Environment, pseudonyms: Option<Arc<Pseudonyms>>) -> Self {
        let limit =
            |own| [own, "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"].iter().find_map(|name| env.get(name)?.parse().ok());
        let (span_text, log_text) =
            (limit("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"), limit("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT"));
        Self { pseudonyms, span_text, log_text }
    }

    fn attribute(&self, attribute: KeyValue) -> KeyValue {
        let attribute = match &self.pseudonyms {
            Some(pseudonyms) => pseudonyms.attribute(attribute),
            None => attribute,
        };
        match self.span_text {
            Some(limit) => KeyValue::new(attribute.key, limited(attribute.value, limit)),
            None => attribute,
        }
    }

    fn span(&self, mut span: SpanData) -> SpanData {
        span.attributes = span.attributes.into_iter().map(|a| self.attribute(a)).collect();
        for event in &mut span.events.events {
            event.attributes = std::mem::take(&mut event.attributes).into_iter().map(|a| self.attribute(a)).collect();
        }
        if let (Some(pseudonyms), Status::Error { description }) = (&self.pseudonyms, &span.status) {
            span.status = Status::error(pseudonyms.text(description));
        }
        span
    }

    /// Whether spans leave as they are.
    fn leaves_spans(&self) -> bool {
        self.pseudonyms.is_none() && self.span_text.is_none()
    }
}

/// Texts cut to `limit` characters, as the specification's attribute limits have it: without a sign that something is missing.
fn limited(value: Value, limit: usize) -> Value {
    match value {
        Value::String(text) => Value::from(text::first_chars(text.as_str(), limit).to_owned()),
        Value::Array(Array::String(texts)) => {
            let cut = |text: &StringValue| StringValue::from(text::first_chars(text.as_str(), limit).to_owned());
            Value::Array(Array::String(texts.iter().map(cut).collect()))
        }
        other => other,
    }
}

/// An exporter of spans behind the door.
#[derive(Debug)]
pub struct Guarded<E> {
    inner: E,
    outgoing: Outgoing,
}

impl<E> Guarded<E> {
    /// Lets spans through to `inner`.
    #[must_use]
    pub const fn new(inner: E, outgoing: Outgoing) -> Self {
        Self { inner, outgoing }
    }
}

impl<E: SpanExporter> SpanExporter for Guarded<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        if self.outgoing.leaves_spans() {
            return self.inner.export(batch).await;
        }
        self.inner.export(batch.into_iter().map(|span| self.outgoing.span(span)).collect()).await
    }
    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }
    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
