//! Values made safe to write and to look at: bounded printable text, and floats that JSON can hold.

use crate::printable;
use opentelemetry::{Array, KeyValue, StringValue, Value};
use std::borrow::Cow;

/// Longest text of an attribute or log message, in bytes. Keeps a span's line far below the 1 MiB that readers accept.
pub const MAX_TEXT: usize = 4096;

/// `text` cut to at most `max` bytes, at a character, with `…` when something was cut.
#[must_use]
pub fn bounded(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let end = (0..=max.saturating_sub('…'.len_utf8())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default()))
}

/// `text` made printable and cut to [`MAX_TEXT`].
#[must_use]
pub fn shown(text: &str) -> String {
    bounded(&printable::text(text), MAX_TEXT).into_owned()
}

/// The first `limit` characters of `text`.
#[must_use]
pub fn first_chars(text: &str, limit: usize) -> &str {
    text.char_indices().nth(limit).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// The word for a float that JSON has no number for, `None` for all others.
#[must_use]
pub fn non_finite(value: f64) -> Option<&'static str> {
    match value {
        v if v.is_nan() => Some("NaN"),
        f64::INFINITY => Some("Infinity"),
        f64::NEG_INFINITY => Some("-Infinity"),
        _ => None,
    }
}

/// An attribute value that survives every encoding and every screen: non-finite floats become words, long text is cut, and
/// what would steer a terminal becomes visible.
#[must_use]
pub fn safe(value: Value) -> Value {
    match value {
        Value::F64(v) => non_finite(v).map_or(Value::F64(v), Value::from),
        Value::String(s) => shown(s.as_str()).into(),
        Value::Array(Array::String(texts)) => {
            Value::Array(Array::String(texts.iter().map(|s| shown(s.as_str()).into()).collect()))
        }
        Value::Array(Array::F64(v)) if v.iter().any(|x| !x.is_finite()) => {
            let words =
                v.iter().map(|x| StringValue::from(non_finite(*x).map_or_else(|| x.to_string(), str::to_owned)));
            Value::Array(Array::String(words.collect()))
        }
        other => other,
    }
}

/// [`safe`] for a list of attributes.
#[must_use]
pub fn safe_all(attributes: Vec<KeyValue>) -> Vec<KeyValue> {
    attributes.into_iter().map(|kv| KeyValue::new(kv.key, safe(kv.value))).collect()
}

/// Says something to the person on stderr, for the places that must not log: exporters and start-up.
///
/// Logging from inside an exporter would feed the exporter. A closed stderr is ignored.
pub fn warn(message: &str) {
    crate::terminal::print(&crate::terminal::wrapped(&format!("warning: {message}\n")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_a_character() {
        assert_eq!(bounded("short", 10), "short");
        assert_eq!(bounded("ééééé", 6), "é…");
        assert_eq!(bounded("abc", 0), "…");
        assert!(bounded(&"x".repeat(9000), MAX_TEXT).len() <= MAX_TEXT);
        assert_eq!((first_chars("éàx", 2), first_chars("éà", 2), first_chars("é", 0)), ("éà", "éà", ""));
    }

    #[test]
    fn floats_json_cannot_hold_become_words() {
        assert_eq!(safe(Value::F64(f64::NAN)), Value::from("NaN"));
        assert_eq!(safe(Value::F64(-f64::INFINITY)), Value::from("-Infinity"));
        assert_eq!(safe(Value::F64(1.5)), Value::F64(1.5));
        let steering = ["a\u{1b}[2J", "\u{202e}"].map(StringValue::from).to_vec();
        let harmless = [r"a\u001b[2J", r"\u202e"].map(StringValue::from).to_vec();
        assert_eq!(safe(Value::Array(Array::String(steering))), Value::Array(Array::String(harmless)));
        let mixed = safe(Value::Array(Array::F64(vec![1.5, f64::NAN])));
        assert_eq!(mixed, Value::Array(Array::String(vec!["1.5".into(), "NaN".into()])));
    }
}
