//! Whether a store has what was acknowledged: asks a Tempo for every trace in the spool files by its id, and counts spans.
//!
//! A Collector answers for what it has on disk, and a store for what it has in memory; who is killed then loses it, and nobody
//! notices. The files know every span.

use super::files;
use super::link::chain;
use super::proxy;
use super::request::Request;
use crate::telemetry::config::without_password;
use crate::telemetry::env::Environment;
use crate::telemetry::stats::Signal;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::time::Duration;

/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer that is read, in bytes: a trace of a thousand scans is a tenth of it.
const LARGEST: u64 = 256_000_000;

/// Why a store could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The files cannot be read.
    #[error("the telemetry cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// No answer, or none of a Tempo.
    #[error(
        "{url} does not answer as Tempo does ({reason}); name the address of its HTTP API, such as http://127.0.0.1:3200"
    )]
    NoTempo {
        /// What was asked.
        url: String,
        /// What came of it.
        reason: String,
    },
}

/// A trace of which the store lacks spans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lack {
    /// Its id.
    pub trace_id: String,
    /// Name of its first span in the files, with its participant and session where it has them.
    pub what: String,
    /// Spans that were acknowledged.
    pub acknowledged: usize,
    /// Those of them that the store has.
    pub there: usize,
}

/// What a store has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Its address, as it may be shown.
    pub store: String,
    /// Traces with acknowledged spans.
    pub traces: usize,
    /// Acknowledged spans.
    pub spans: usize,
    /// What it lacks.
    pub lacking: Vec<Lack>,
}

/// The acknowledged spans of one trace.
#[derive(Debug, Default)]
struct Trace {
    what: String,
    spans: HashSet<Vec<u8>>,
}

/// Asks the Tempo at `base` for every trace of which spans in these folders were acknowledged.
///
/// # Errors
/// When the files cannot be read, or it is no Tempo that answers.
pub fn check(folders: &[PathBuf], base: &str, env: &Environment) -> Result<Checked, CheckError> {
    let traces = acknowledged(folders)?;
    let store = Store::new(base, env)?;
    let mut lacking = Vec::new();
    for (id, trace) in &traces {
        let found = store.spans(id)?;
        let there = trace.spans.iter().filter(|span| found.contains(*span)).count();
        if there < trace.spans.len() {
            let (what, acknowledged) = (trace.what.clone(), trace.spans.len());
            lacking.push(Lack { trace_id: id.clone(), what, acknowledged, there });
        }
    }
    let spans = traces.values().map(|t| t.spans.len()).sum();
    Ok(Checked { store: without_password(base), traces: traces.len(), spans, lacking })
}

/// Every span before the cursor of its file, by trace.
fn acknowledged(folders: &[PathBuf]) -> io::Result<BTreeMap<String, Trace>> {
    let mut traces: BTreeMap<String, Trace> = BTreeMap::new();
    for folder in folders {
        let all = files::list(folder)?.into_values().flatten();
        for (file, _) in all.filter(|(file, _)| file.signal == Signal::Traces) {
            let (cursor, _) = file.cursor();
            let mut source = BufReader::new(files::open(&file)?.take(cursor.offset));
            let mut line = Vec::new();
            while source.read_until(b'\n', &mut line)? > 0 {
                if let Some(Request::Traces(request)) = Request::parse(Signal::Traces, &line) {
                    let spans = request.resource_spans.into_iter().flat_map(|r| r.scope_spans).flat_map(|s| s.spans);
                    for span in spans {
                        let trace = traces.entry(hex(&span.trace_id)).or_default();
                        // Spans are written as they end, so that the last is the outermost.
                        trace.what = described(&span);
                        trace.spans.insert(span.span_id);
                    }
                }
                line.clear();
            }
        }
    }
    Ok(traces)
}

fn described(span: &opentelemetry_proto::tonic::trace::v1::Span) -> String {
    use opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue;
    let of = |key: &str| {
        let value = span.attributes.iter().find(|kv| kv.key == key)?.value.as_ref()?.value.as_ref()?;
        if let StringValue(text) = value { Some(text.clone()) } else { None }
    };
    let place = [("sub-", of("participant_id")), ("ses-", of("session_id"))];
    place
        .into_iter()
        .filter_map(|(prefix, label)| Some(format!(" {prefix}{}", label?)))
        .fold(span.name.clone(), |a, b| a + &b)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A Tempo.
struct Store {
    agent: ureq::Agent,
    base: String,
}

impl Store {
    /// One that has answered.
    fn new(base: &str, env: &Environment) -> Result<Self, CheckError> {
        let base = base.trim_end_matches('/').to_owned();
        let through = proxy::choose(&base, env).and_then(|chosen| ureq::Proxy::new(&chosen.url).ok());
        let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).proxy(through);
        let store = Self { agent: ureq::Agent::new_with_config(config.timeout_global(Some(TIMEOUT)).build()), base };
        let (status, said) = store.get("/api/echo")?;
        if status == 200 && said.trim_ascii() == b"echo" {
            return Ok(store);
        }
        Err(store.no_tempo("/api/echo", &format!("HTTP {status}")))
    }

    /// The ids of the spans it has of a trace.
    fn spans(&self, id: &str) -> Result<BTreeSet<Vec<u8>>, CheckError> {
        let path = format!("/api/v2/traces/{id}");
        let (status, body) = self.get(&path)?;
        if status == 404 {
            return Ok(BTreeSet::new());
        }
        let value = serde_json::from_slice(&body).ok().filter(|_| status == 200);
        let value: Value = value.ok_or_else(|| self.no_tempo(&path, &format!("HTTP {status}, and no trace")))?;
        let mut found = BTreeSet::new();
        collect(&value, &mut found);
        Ok(found)
    }

    fn get(&self, path: &str) -> Result<(u16, Vec<u8>), CheckError> {
        let url = format!("{}{path}", self.base);
        let asked = self.agent.get(&url).header("Accept", "application/json").call();
        let mut answer = asked.map_err(|e| self.no_tempo(path, &chain(&e)))?;
        let body = answer.body_mut().with_config().limit(LARGEST).read_to_vec();
        Ok((answer.status().as_u16(), body.map_err(|e| self.no_tempo(path, &chain(&e)))?))
    }

    fn no_tempo(&self, path: &str, reason: &str) -> CheckError {
        CheckError::NoTempo { url: without_password(&format!("{}{path}", self.base)), reason: reason.to_owned() }
    }
}

/// Every `spanId`, however deep: versions of Tempo differ in what lies above. It is base 64 or hexadecimal digits.
fn collect(value: &Value, found: &mut BTreeSet<Vec<u8>>) {
    match value {
        Value::Object(fields) => {
            if let Some(id) = fields.get("spanId").and_then(Value::as_str).and_then(span_id) {
                found.insert(id);
            }
            fields.values().for_each(|v| collect(v, found));
        }
        Value::Array(items) => items.iter().for_each(|v| collect(v, found)),
        _ => {}
    }
}

/// Eight bytes, from 16 hexadecimal digits or from base 64.
fn span_id(text: &str) -> Option<Vec<u8>> {
    if text.len() == 16 && text.is_ascii() {
        return (0..8).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()).collect();
    }
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = 0_u128;
    let digits = text.trim_end_matches('=').bytes();
    let count = digits.len();
    for digit in digits {
        bits = bits << 6 | DIGITS.iter().position(|d| *d == digit)? as u128;
    }
    // Eleven digits are 66 bits, of which the last two say nothing.
    (count == 11).then(|| u64::try_from(bits >> 2).ok().map(|id| id.to_be_bytes().to_vec()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_in_both_spellings() {
        assert_eq!(span_id("b7ad6b7169203331").map(|id| hex(&id)).as_deref(), Some("b7ad6b7169203331"));
        assert_eq!(span_id("t61rcWkgMzE=").map(|id| hex(&id)).as_deref(), Some("b7ad6b7169203331"));
        assert_eq!((span_id("t61rcWkgMz"), span_id("zzzzzzzzzzzzzzzz"), span_id("")), (None, None, None));
    }

    #[test]
    fn spans_are_found_in_every_form_of_answer() {
        let spans = serde_json::json!([{"spanId": "t61rcWkgMzE="}, {"spanId": "AAAAAAAAAAE="}]);
        for answer in [
            serde_json::json!({"trace": {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}}),
            serde_json::json!({"batches": [{"instrumentationLibrarySpans": [{"spans": spans}]}]}),
        ] {
            let mut found = BTreeSet::new();
            collect(&answer, &mut found);
            assert_eq!(found.len(), 2, "{answer}");
        }
    }
}
