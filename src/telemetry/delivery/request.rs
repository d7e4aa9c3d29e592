//! Lines of a spool file put together into one OTLP request of bounded size.

use super::files::{self, SpoolFile};
use crate::telemetry::spool::{READ_AT_ONCE, count_points};
use crate::telemetry::stats::Signal;
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

/// Items after which a request is full.
const MAX_ITEMS: u64 = 512;
/// Bytes of lines after which a request is full. The last line may go beyond; gRPC servers take 4 MiB.
const MAX_BYTES: u64 = 1_000_000;
/// What is sent at once.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Spans.
    Traces(ExportTraceServiceRequest),
    /// Metric points.
    Metrics(ExportMetricsServiceRequest),
    /// Log records.
    Logs(ExportLogsServiceRequest),
}

impl Request {
    /// Reads one line; `None` when it is not a whole one.
    #[must_use]
    pub fn parse(signal: Signal, line: &[u8]) -> Option<Self> {
        match signal {
            Signal::Traces => serde_json::from_slice(line).ok().map(Self::Traces),
            Signal::Metrics => serde_json::from_slice(line).ok().map(Self::Metrics),
            Signal::Logs => serde_json::from_slice(line).ok().map(Self::Logs),
        }
    }

    /// Spans, points or records in it.
    #[must_use]
    pub fn items(&self) -> u64 {
        let count = match self {
            Self::Traces(r) => r.resource_spans.iter().flat_map(|r| &r.scope_spans).map(|s| s.spans.len()).sum(),
            Self::Metrics(r) => count_points(r),
            Self::Logs(r) => r.resource_logs.iter().flat_map(|r| &r.scope_logs).map(|s| s.log_records.len()).sum(),
        };
        count as u64
    }

    /// The time of its first item, nanoseconds since 1970; 0 without items.
    #[must_use]
    pub fn time(&self) -> u64 {
        use opentelemetry_proto::tonic::metrics::v1::metric::Data;
        let time = match self {
            Self::Traces(r) => {
                let spans = r.resource_spans.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans);
                spans.map(|s| s.end_time_unix_nano).next()
            }
            Self::Logs(r) => {
                let records = r.resource_logs.iter().flat_map(|r| &r.scope_logs).flat_map(|s| &s.log_records);
                records.map(|r| r.time_unix_nano).next()
            }
            Self::Metrics(r) => {
                let metrics = r.resource_metrics.iter().flat_map(|r| &r.scope_metrics).flat_map(|s| &s.metrics);
                let times = metrics.filter_map(|m| match m.data.as_ref()? {
                    Data::Gauge(d) => d.data_points.first().map(|p| p.time_unix_nano),
                    Data::Sum(d) => d.data_points.first().map(|p| p.time_unix_nano),
                    Data::Histogram(d) => d.data_points.first().map(|p| p.time_unix_nano),
                    Data::ExponentialHistogram(_) | Data::Summary(_) => None,
                });
                times.min()
            }
        };
        time.unwrap_or(0)
    }

    /// Adds what another line of the same file holds. The resource, repeated on every line, is sent once.
    fn add(&mut self, other: Self) {
        match (self, other) {
            (Self::Traces(a), Self::Traces(b)) => {
                for new in b.resource_spans {
                    match a
                        .resource_spans
                        .last_mut()
                        .filter(|l| l.resource == new.resource && l.schema_url == new.schema_url)
                    {
                        Some(last) => add_spans(&mut last.scope_spans, new.scope_spans),
                        None => a.resource_spans.push(new),
                    }
                }
            }
            (Self::Logs(a), Self::Logs(b)) => {
                for new in b.resource_logs {
                    match a
                        .resource_logs
                        .last_mut()
                        .filter(|l| l.resource == new.resource && l.schema_url == new.schema_url)
                    {
                        Some(last) => add_records(&mut last.scope_logs, new.scope_logs),
                        None => a.resource_logs.push(new),
                    }
                }
            }
            // Points of one series at several times stay apart: some backends take one point a series and resource.
            (Self::Metrics(a), Self::Metrics(b)) => a.resource_metrics.extend(b.resource_metrics),
            _ => {} // one file holds one signal
        }
    }

    /// The message as protobuf.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Traces(r) => r.encode_to_vec(),
            Self::Metrics(r) => r.encode_to_vec(),
            Self::Logs(r) => r.encode_to_vec(),
        }
    }
}

type ScopeSpans = opentelemetry_proto::tonic::trace::v1::ScopeSpans;
type ScopeLogs = opentelemetry_proto::tonic::logs::v1::ScopeLogs;

fn add_spans(to: &mut Vec<ScopeSpans>, from: Vec<ScopeSpans>) {
    for new in from {
        match to.last_mut().filter(|l| l.scope == new.scope && l.schema_url == new.schema_url) {
            Some(last) => last.spans.extend(new.spans),
            None => to.push(new),
        }
    }
}

fn add_records(to: &mut Vec<ScopeLogs>, from: Vec<ScopeLogs>) {
    for new in from {
        match to.last_mut().filter(|l| l.scope == new.scope && l.schema_url == new.schema_url) {
            Some(last) => last.log_records.extend(new.log_records),
            None => to.push(new),
        }
    }
}

/// What a collector's answer, as protobuf, says it did not take, and why. An answer that cannot be read says nothing.
#[must_use]
pub fn partial_success(signal: Signal, answer: &[u8]) -> (u64, String) {
    let partial = match signal {
        Signal::Traces => ExportTraceServiceResponse::decode(answer)
            .ok()
            .and_then(|r| r.partial_success)
            .map(|p| (p.rejected_spans, p.error_message)),
        Signal::Metrics => ExportMetricsServiceResponse::decode(answer)
            .ok()
            .and_then(|r| r.partial_success)
            .map(|p| (p.rejected_data_points, p.error_message)),
        Signal::Logs => ExportLogsServiceResponse::decode(answer)
            .ok()
            .and_then(|r| r.partial_success)
            .map(|p| (p.rejected_log_records, p.error_message)),
    };
    partial.map_or_else(Default::default, |(rejected, message)| (u64::try_from(rejected).unwrap_or(0), message))
}

/// Lines of a file from some place on.
#[derive(Debug, Default)]
pub struct Chunk {
    /// What they hold; `None` when no line was whole.
    pub request: Option<Request>,
    /// Lines in `request`.
    pub lines: usize,
    /// Where the next chunk begins.
    pub end: u64,
    /// Lines passed over.
    pub torn: u64,
}

/// Reads whole lines from `offset` on, at most `max_lines` of them and about 1 MB or 512 items. A last line without its
/// end is left for later, or passed over when the writer has `ended`.
///
/// # Errors
/// When the file cannot be read.
pub fn read(file: &SpoolFile, offset: u64, max_lines: usize, ended: bool) -> io::Result<Chunk> {
    let mut source = files::open(file)?;
    // Places far beyond a file's end the system refuses; a damaged cursor may name one.
    let length = source.metadata()?.len();
    source.seek(SeekFrom::Start(offset.min(length)))?;
    let mut source = BufReader::new(source);
    let mut chunk = Chunk { end: offset, ..Chunk::default() };
    let (mut line, mut items) = (Vec::new(), 0);
    while chunk.lines < max_lines && items < MAX_ITEMS && chunk.end - offset < MAX_BYTES {
        line.clear();
        let size = source.by_ref().take(READ_AT_ONCE).read_until(b'\n', &mut line)? as u64;
        let whole = line.last() == Some(&b'\n');
        if size == 0 || !whole && size < READ_AT_ONCE && !ended {
            break;
        }
        chunk.end += size;
        match Request::parse(file.signal, &line).filter(|_| whole) {
            None => chunk.torn += 1,
            Some(next) => {
                items += next.items();
                chunk.lines += 1;
                match &mut chunk.request {
                    Some(request) => request.add(next),
                    None => chunk.request = Some(next),
                }
            }
        }
    }
    Ok(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn span(name: &str) -> String {
        format!(
            r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"a","value":{{"stringValue":"b"}}}}]}},"scopeSpans":[{{"scope":{{"name":"s"}},"spans":[{{"name":"{name}","traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","endTimeUnixNano":"7"}}]}}]}}]}}"#
        )
    }

    fn file(dir: &Path, content: &str) -> SpoolFile {
        let file = SpoolFile::parse(dir, "traces-h-1-2.jsonl").unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn lines_of_one_resource_become_one_request_with_one_resource() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(dir.path(), &format!("{}\n{}\n{}\n", span("x"), span("y"), span("z")));
        let chunk = read(&file, 0, usize::MAX, false).unwrap();
        let request = chunk.request.unwrap();
        assert_eq!((request.items(), request.time(), chunk.lines, chunk.torn), (3, 7, 3, 0));
        let Request::Traces(traces) = request else { panic!("spans") };
        assert_eq!((traces.resource_spans.len(), traces.resource_spans[0].scope_spans.len()), (1, 1));
        assert_eq!(chunk.end, std::fs::metadata(file.path()).unwrap().len());
        let one = read(&file, 0, 1, false).unwrap();
        assert_eq!((one.lines, one.end), (1, span("x").len() as u64 + 1));
    }

    #[test]
    fn a_line_without_end_waits_for_its_writer_and_is_passed_over_after_its_death() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(dir.path(), &format!("{}\n{{\"resourceSp", span("x")));
        let alive = read(&file, 0, usize::MAX, false).unwrap();
        assert_eq!((alive.lines, alive.torn, alive.end), (1, 0, span("x").len() as u64 + 1));
        let dead = read(&file, alive.end, usize::MAX, true).unwrap();
        assert_eq!((dead.request, dead.torn, dead.end), (None, 1, alive.end + 12));
        assert_eq!(read(&file, dead.end, usize::MAX, true).unwrap().end, dead.end);
    }

    #[test]
    fn requests_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(dir.path(), &format!("{}\n", span("x")).repeat(2000));
        let chunk = read(&file, 0, usize::MAX, false).unwrap();
        assert_eq!(chunk.request.unwrap().items(), MAX_ITEMS);
    }

    #[test]
    fn what_is_sent_is_what_was_written() {
        let request = Request::parse(Signal::Traces, span("x").as_bytes()).unwrap();
        let Request::Traces(before) = &request else { panic!("spans") };
        assert_eq!(&ExportTraceServiceRequest::decode(&request.encode()[..]).unwrap(), before);
        let answer = ExportTraceServiceResponse {
            partial_success: Some(opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess {
                rejected_spans: 2,
                error_message: "no".into(),
            }),
        };
        assert_eq!(partial_success(Signal::Traces, &answer.encode_to_vec()), (2, "no".to_owned()));
        assert_eq!(partial_success(Signal::Logs, b""), (0, String::new()));
    }
}
