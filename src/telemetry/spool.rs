//! OTLP in files: one JSON line per batch, one file per signal and process, in the format the Collector's
//! `otlpjsonfile` receiver reads (OpenTelemetry specification, "OTLP File Exporter").
//!
//! A line is one `write`, made before the span's end is reported done, so what ended is on disk even after `kill -9`.
//! Three traps of that format are handled here: a non-finite double or an absent one is `null` in the generated JSON and
//! makes the receiver reject the whole line; the receiver tells files apart by their first 1000 bytes, so the resource
//! starts with `service.instance.id`; and it skips lines above 1 MiB.

use super::delivery::files::SpoolFile;
use super::names;
use super::stats::Stats;
use crate::printable;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::logs::tonic::group_logs_by_resource_and_scope;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use opentelemetry_sdk::metrics::{Temporality, data::ResourceMetrics, exporter::PushMetricExporter};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longest line, newline included. The Collector's file receiver stops at 1 MiB.
const MAX_LINE: usize = 1_000_000;

/// Bytes of a line that are read at once: no line of ours is longer, so what is, is damage and is passed over in pieces.
pub const READ_AT_ONCE: u64 = 2_000_000;

/// Size at which a file is full and the next begins.
const MAX_FILE: u64 = 64_000_000;

/// `HOST-PID-START` of this process: START is microseconds since 1970, so no two processes of a shared folder meet.
#[must_use]
pub fn new_stem() -> String {
    let host = crate::machine::host::name().unwrap_or_else(|| "host".to_owned());
    let start = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros());
    format!("{host}-{}-{start}", std::process::id())
}

/// The files of one signal of this process.
#[derive(Debug)]
pub struct Spool {
    state: Mutex<State>,
    stats: Arc<Stats>,
}

#[derive(Debug)]
struct State {
    place: SpoolFile,
    file: File,
    length: u64,
}

impl State {
    fn create(place: SpoolFile) -> io::Result<Self> {
        let file = OpenOptions::new().create_new(true).append(true).open(place.path())?;
        Ok(Self { place, file, length: 0 })
    }
}

impl Spool {
    /// Creates the first file, which must be new, in a folder that exists.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(place: SpoolFile, stats: Arc<Stats>) -> io::Result<Self> {
        Ok(Self { state: Mutex::new(State::create(place)?), stats })
    }

    /// Appends one line, in the next file when this one is full. A line that does not fit on the disk is taken back whole.
    fn append(&self, mut line: Vec<u8>, items: u64) -> io::Result<()> {
        line.push(b'\n');
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.length > 0 && state.length + line.len() as u64 > MAX_FILE {
            state.file.sync_data()?;
            *state = State::create(state.place.next())?;
        }
        if state.length == 0 && state.place.segment > 0 {
            mark(&mut line, &state.place);
        }
        let size = line.len() as u64;
        if let Err(e) = state.file.write_all(&line) {
            let _ = state.file.set_len(state.length);
            return Err(e);
        }
        state.length += size;
        let counts = self.stats.of(state.place.signal);
        counts.written.fetch_add(items, Relaxed);
        counts.bytes.fetch_add(size, Relaxed);
        Ok(())
    }

    /// Writes one message as a line and keeps count of what could not be.
    fn put<T: serde::Serialize>(&self, message: &T, items: u64) -> OTelSdkResult {
        let result = canonical_json(message).and_then(|line| {
            if line.len() >= MAX_LINE {
                return Err(io::Error::other(format!("a line of {} bytes is too long to be read again", line.len())));
            }
            self.append(line, items)
        });
        result.map_err(|e| {
            let signal = self.state.lock().unwrap_or_else(PoisonError::into_inner).place.signal;
            self.stats.of(signal).unwritten.fetch_add(items, Relaxed);
            self.stats.warn_file(&e);
            OTelSdkError::InternalFailure(e.to_string())
        })
    }

    fn sync(&self) -> OTelSdkResult {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.file.sync_all().map_err(|e| OTelSdkError::InternalFailure(e.to_string()))
    }
}

/// Puts a field that no OTLP message has, which readers must pass over, at the start of a later file's first line: its
/// first 1000 bytes, the resource, would otherwise be those of the file before.
fn mark(line: &mut Vec<u8>, place: &SpoolFile) {
    let field = format!("{{\"xSpool\":{}", serde_json::Value::from(place.name()));
    line.splice(..1, field.into_bytes().into_iter().chain(*b","));
}

/// JSON as the OTLP specification wants it: no `null`.
fn canonical_json<T: serde::Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let line = printable::owned(serde_json::to_string(message).map_err(io::Error::other)?).into_bytes();
    // Nearly every line is clean already; a text that happens to hold `:null` only costs time.
    if !line.windows(5).any(|w| w == b":null") {
        return Ok(line);
    }
    let mut value: Value = serde_json::from_slice(&line).map_err(io::Error::other)?;
    remove_nulls(&mut value);
    serde_json::to_vec(&value).map_err(io::Error::other)
}

/// A `null` double was not a finite number: as an attribute it becomes text (which number it was is gone), elsewhere it
/// is left out.
fn remove_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("doubleValue").is_some_and(Value::is_null) {
                map.insert("stringValue".to_owned(), Value::from("NaN"));
            }
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(remove_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_nulls),
        _ => {}
    }
}

/// Sorted with `service.instance.id` in front: the start of each file is then unlike that of any other process.
fn sort_attributes(attributes: &mut [KeyValue]) {
    attributes.sort_by(|a, b| {
        (a.key != names::SERVICE_INSTANCE_ID, &a.key).cmp(&(b.key != names::SERVICE_INSTANCE_ID, &b.key))
    });
}

/// Exports to a [`Spool`]; used for spans, for logs, and for metrics.
#[derive(Debug)]
pub struct SpoolExporter {
    spool: Spool,
    resource: ResourceAttributesWithSchema,
    temporality: Temporality,
}

impl SpoolExporter {
    /// An exporter into `spool`. `temporality` matters for metrics only.
    #[must_use]
    pub fn new(spool: Spool, temporality: Temporality) -> Self {
        Self { spool, resource: ResourceAttributesWithSchema::default(), temporality }
    }

    fn take_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
        sort_attributes(&mut self.resource.attributes.0);
    }
}

impl SpanExporter for SpoolExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let items = batch.len() as u64;
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        self.spool.put(&ExportTraceServiceRequest { resource_spans }, items)
    }
    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        self.spool.sync()
    }
    fn set_resource(&mut self, resource: &Resource) {
        self.take_resource(resource);
    }
}

impl LogExporter for SpoolExporter {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let items = batch.iter().count() as u64;
        let resource_logs = group_logs_by_resource_and_scope(&batch, &self.resource);
        self.spool.put(&ExportLogsServiceRequest { resource_logs }, items)
    }
    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        self.spool.sync()
    }
    fn set_resource(&mut self, resource: &Resource) {
        self.take_resource(resource);
    }
}

impl PushMetricExporter for SpoolExporter {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let mut request = ExportMetricsServiceRequest::from(metrics);
        for resource in request.resource_metrics.iter_mut().filter_map(|r| r.resource.as_mut()) {
            sort_attributes(&mut resource.attributes);
        }
        put_metrics(&self.spool, request)
    }
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }
    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        self.spool.sync()
    }
    fn temporality(&self) -> Temporality {
        self.temporality
    }
}

/// Points that certainly fit into one line: a point of ours is below 600 bytes.
const MAX_POINTS: usize = 1000;

/// Writes the metrics in as many lines as their points need: the gauges of 10,000 subjects do not fit into one.
fn put_metrics(spool: &Spool, mut request: ExportMetricsServiceRequest) -> OTelSdkResult {
    let points = count_points(&request);
    if points > MAX_POINTS
        && let Some(rest) = split_off_half(&mut request)
    {
        let first = put_metrics(spool, request);
        return put_metrics(spool, rest).and(first);
    }
    if points == 0 { Ok(()) } else { spool.put(&request, points as u64) }
}

/// Calls `$body` with the data points of whichever kind of metric it is.
macro_rules! with_points {
    ($data:expr, $none:expr, $points:ident => $body:expr) => {
        match $data {
            Some(Data::Gauge(d)) => {
                let $points = &mut d.data_points;
                $body
            }
            Some(Data::Sum(d)) => {
                let $points = &mut d.data_points;
                $body
            }
            Some(Data::Histogram(d)) => {
                let $points = &mut d.data_points;
                $body
            }
            Some(Data::ExponentialHistogram(d)) => {
                let $points = &mut d.data_points;
                $body
            }
            Some(Data::Summary(d)) => {
                let $points = &mut d.data_points;
                $body
            }
            None => $none,
        }
    };
}

/// The data points in a request.
#[must_use]
pub fn count_points(request: &ExportMetricsServiceRequest) -> usize {
    let metrics = request.resource_metrics.iter().flat_map(|r| &r.scope_metrics).flat_map(|s| &s.metrics);
    metrics
        .map(|m| match &m.data {
            Some(Data::Gauge(d)) => d.data_points.len(),
            Some(Data::Sum(d)) => d.data_points.len(),
            Some(Data::Histogram(d)) => d.data_points.len(),
            Some(Data::ExponentialHistogram(d)) => d.data_points.len(),
            Some(Data::Summary(d)) => d.data_points.len(),
            None => 0,
        })
        .sum()
}

/// Moves about half of the metrics, or of the points of the only metric, into a second request about the same resource.
fn split_off_half(request: &mut ExportMetricsServiceRequest) -> Option<ExportMetricsServiceRequest> {
    let resource = request.resource_metrics.first_mut()?;
    let mut rest = resource.clone();
    if resource.scope_metrics.len() > 1 {
        rest.scope_metrics = resource.scope_metrics.split_off(1);
    } else {
        let (kept, moved) = (resource.scope_metrics.first_mut()?, rest.scope_metrics.first_mut()?);
        if kept.metrics.len() > 1 {
            moved.metrics = kept.metrics.split_off(kept.metrics.len() / 2);
        } else {
            let half = with_points!(&mut kept.metrics.first_mut()?.data, return None, points => {
                let half = points.len() / 2;
                points.truncate(half);
                half
            });
            with_points!(&mut moved.metrics.first_mut()?.data, return None, points => { points.drain(..half); });
        }
    }
    Some(ExportMetricsServiceRequest { resource_metrics: vec![rest] })
}

#[cfg(test)]
#[path = "spool_tests.rs"]
mod tests;
