//! One log event, and how it looks: a JSON line, a short line for people, an OTLP record.

use super::names;
use super::outgoing::Outgoing;
use super::text;
use crate::printable;
use crate::terminal::Color;
use opentelemetry::logs::{AnyValue, LogRecord, Severity};
use opentelemetry::trace::SpanContext;
use serde_json::{Map, Value};
use std::time::SystemTime;
use tracing::Level;
use tracing::field::{Field, Visit};

/// What the spans around an event say about where it happens.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Scan id.
    pub scan_id: Option<String>,
    /// Participant label without `sub-`.
    pub participant_id: Option<String>,
    /// Session label without `ses-`.
    pub session_id: Option<String>,
    /// Stage.
    pub stage: Option<String>,
    /// `T1w` or `bold`.
    pub modality: Option<String>,
}

impl Visit for Scope {
    fn record_str(&mut self, field: &Field, value: &str) {
        let place = match field.name() {
            names::SCAN_ID => &mut self.scan_id,
            names::PARTICIPANT_ID => &mut self.participant_id,
            names::SESSION_ID => &mut self.session_id,
            names::STAGE => &mut self.stage,
            names::MODALITY => &mut self.modality,
            _ => return,
        };
        *place = Some(value.to_owned());
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl Scope {
    fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            (names::LOG_SCAN_ID, &self.scan_id),
            (names::LOG_PARTICIPANT_ID, &self.participant_id),
            (names::LOG_SESSION_ID, &self.session_id),
            (names::LOG_STAGE, &self.stage),
            (names::LOG_MODALITY, &self.modality),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.as_deref()?)))
    }
}

/// The message and the fields of an event.
#[derive(Debug, Default)]
pub struct Fields {
    message: String,
    own: Vec<(&'static str, Value)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.own.push((field.name(), value));
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        let value = text::shown(value);
        if field.name() == names::LOG_MESSAGE { self.message = value } else { self.put(field, value.into()) }
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, text::non_finite(value).map_or_else(|| value.into(), Value::from));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_str(field, &value.to_string());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// One event with all that is known about it.
#[derive(Debug)]
pub struct Line<'a> {
    /// When.
    pub time: SystemTime,
    /// How bad.
    pub level: Level,
    /// What.
    pub fields: Fields,
    /// Where.
    pub scope: &'a Scope,
    /// The span, when traced.
    pub span: Option<SpanContext>,
}

impl Line<'_> {
    /// One JSON object and a newline. The event's own fields come last; one that has the name of a field of the scope
    /// replaces it, and one named like the time or level is left out.
    #[must_use]
    pub fn json(&self) -> String {
        let mut map = Map::new();
        map.insert(names::LOG_TIMESTAMP.into(), timestamp(self.time).into());
        map.insert(names::LOG_LEVEL.into(), self.level.as_str().into());
        map.insert(names::LOG_MESSAGE.into(), self.fields.message.as_str().into());
        if let Some(span) = &self.span {
            map.insert(names::LOG_TRACE_ID.into(), span.trace_id().to_string().into());
            map.insert(names::LOG_SPAN_ID.into(), span.span_id().to_string().into());
        }
        for (key, value) in self.scope.fields() {
            map.insert(key.into(), value.into());
        }
        for (key, value) in &self.fields.own {
            if ![names::LOG_TIMESTAMP, names::LOG_LEVEL, names::LOG_TRACE_ID, names::LOG_SPAN_ID].contains(key) {
                map.insert((*key).into(), value.clone());
            }
        }
        printable::owned(Value::Object(map).to_string()) + "\n"
    }

    /// `12:34:56 WARN  sub-01_ses-2 bias_correction: message (key=value)`, local time, one line whatever it holds.
    #[must_use]
    pub fn human(&self) -> String {
        let clock = jiff::Timestamp::try_from(self.time).unwrap_or_default().to_zoned(jiff::tz::TimeZone::system());
        let mut place = String::new();
        if let Some(participant) = &self.scope.participant_id {
            place.push_str(&format!("sub-{participant}"));
            if let Some(session) = &self.scope.session_id {
                place.push_str(&format!("_ses-{session}"));
            }
        }
        if let Some(stage) = &self.scope.stage {
            place.push_str(&format!("{}{stage}", if place.is_empty() { "" } else { " " }));
        }
        let place = if place.is_empty() { place } else { format!("{place}: ") };
        let own: Vec<String> = self.fields.own.iter().map(|(k, v)| format!("{k}={}", shown(v))).collect();
        let own = if own.is_empty() { String::new() } else { format!(" ({})", own.join(" ")) };
        let body = format!("{place}{}{own}", self.fields.message).replace(char::is_control, " ");
        format!("{} {:<5} {body}\n", clock.strftime("%H:%M:%S"), self.level)
    }

    /// Fills an OTLP record with the same content, as far as it may leave the machine.
    pub fn otlp(&self, record: &mut impl LogRecord, outgoing: &Outgoing) {
        let hidden = outgoing.pseudonyms.as_deref();
        let leaving = |key: &str, text: &str| {
            let text = hidden.map_or_else(|| text.to_owned(), |p| p.field(key, text));
            outgoing.log_text.map_or_else(|| text.clone(), |limit| text::first_chars(&text, limit).to_owned())
        };
        record.set_timestamp(self.time);
        record.set_observed_timestamp(self.time);
        record.set_severity_number(severity(self.level));
        record.set_severity_text(self.level.as_str());
        let message = &self.fields.message;
        record.set_body(AnyValue::from(hidden.map_or_else(|| message.clone(), |p| p.text(message))));
        if let Some(span) = &self.span {
            record.set_trace_context(span.trace_id(), span.span_id(), Some(span.trace_flags()));
        }
        for (key, value) in self.scope.fields() {
            if !self.fields.own.iter().any(|(k, _)| *k == key) {
                record.add_attribute(key, leaving(key, value));
            }
        }
        for (key, value) in &self.fields.own {
            record.add_attribute(*key, value.as_str().map_or_else(|| any_value(value), |t| leaving(key, t).into()));
        }
    }
}

/// A text that is no event, as a line of the same form; how bad it is says its first word.
#[must_use]
pub fn plain(text: &str) -> String {
    let text = text.trim_end();
    let levels = [("error: ", Level::ERROR), ("warning: ", Level::WARN)];
    let found = levels.into_iter().find_map(|(word, level)| Some((level, text.strip_prefix(word)?)));
    let (level, message) = found.unwrap_or((Level::INFO, text));
    let fields = Fields { message: text::shown(message), own: Vec::new() };
    Line { time: SystemTime::now(), level, fields, scope: &Scope::default(), span: None }.json()
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn any_value(value: &Value) -> AnyValue {
    match value {
        Value::Bool(b) => AnyValue::from(*b),
        Value::Number(n) => n
            .as_i64()
            .map(AnyValue::from)
            .or_else(|| n.as_f64().map(AnyValue::from))
            .unwrap_or_else(|| n.to_string().into()),
        other => AnyValue::from(shown(other)),
    }
}

/// RFC 3339 in UTC with milliseconds.
fn timestamp(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map(|t| format!("{t:.3}")).unwrap_or_default()
}

const fn severity(level: Level) -> Severity {
    match level {
        Level::ERROR => Severity::Error,
        Level::WARN => Severity::Warn,
        Level::INFO => Severity::Info,
        Level::DEBUG => Severity::Debug,
        Level::TRACE => Severity::Trace,
    }
}

/// The colour of a level on a terminal.
pub(super) const fn color(level: Level) -> Color {
    match level {
        Level::ERROR => Color::Red,
        Level::WARN => Color::Yellow,
        Level::INFO => Color::Green,
        Level::DEBUG | Level::TRACE => Color::Dim,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn line(scope: &Scope) -> Line<'_> {
        let own = vec![("duration_seconds", 1.5.into()), ("stage", "save".into()), ("level", "x".into())];
        let fields = Fields { message: "a\u{1b}[31m\nb".into(), own };
        Line { time: UNIX_EPOCH + Duration::from_millis(1_234), level: Level::WARN, fields, scope, span: None }
    }

    #[test]
    fn json_lines_hold_time_place_and_fields_in_order() {
        let scope = Scope { participant_id: Some("01".into()), stage: Some("load".into()), ..Scope::default() };
        let text = line(&scope).json();
        let expected = r#"{"timestamp":"1970-01-01T00:00:01.234Z","level":"WARN","message":"a\u001b[31m\nb","participant_id":"01","stage":"save","duration_seconds":1.5}"#;
        assert_eq!(text, format!("{expected}\n"));
    }

    #[test]
    fn what_is_no_event_becomes_a_line_of_the_same_form() {
        for (text, level, message) in [
            ("error: no\n  what to do: x\n", "ERROR", "no\n  what to do: x"),
            ("warning: \"quoted\"\n", "WARN", "\"quoted\""),
            ("telemetry: off\n", "INFO", "telemetry: off"),
        ] {
            let line: Value = serde_json::from_str(&plain(text)).unwrap();
            assert_eq!((&line["level"], &line["message"]), (&level.into(), &message.into()));
        }
    }

    #[test]
    fn a_person_gets_one_line_without_control_characters() {
        let scope = Scope { participant_id: Some("01".into()), session_id: Some("2".into()), ..Scope::default() };
        let text = line(&scope).human();
        assert!(text.ends_with("WARN  sub-01_ses-2: a [31m b (duration_seconds=1.5 stage=save level=x)\n"), "{text}");
    }
}
