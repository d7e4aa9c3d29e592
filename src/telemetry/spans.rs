//! The only constructors of spans. The stage runner uses them; nothing else in the program opens one.
//!
//! Spans are `tracing` spans (so that log lines know where they happen), turned into OpenTelemetry spans by the layer
//! that [`super::build`] installs. Without that layer all of this still works, for the log files, and exports nothing.

use super::metrics::Costs;
use super::{context, cost, logs, names, text};
use crate::bids::Modality;
use crate::error::ErrorCode;
use crate::vocabulary::{SessionId, Stage};
use opentelemetry::trace::{Status, TraceContextExt};
pub use opentelemetry::{Context, KeyValue, Value};
use std::path::Path;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Target of every span and log event of this program; anything else is filtered out.
pub const TARGET: &str = "neuro_preprocess";

/// What the span of a scan starts with.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    /// Whose scan it is.
    pub session: &'a SessionId,
    /// The scan's id, unique in the run.
    pub id: &'a str,
    /// What kind of image.
    pub modality: Modality,
    /// `nifti`.
    pub format: &'static str,
    /// The input file.
    pub path: &'a Path,
    /// Its size in bytes.
    pub bytes: u64,
}

/// What a scan's span hangs on.
#[derive(Clone, Copy, Debug)]
pub enum Parent<'a> {
    /// The span of its participant and session.
    Subject(&'a Span),
    /// The caller's trace (`process`), see [`super::Telemetry::remote_parent`]. May be empty.
    Remote(&'a Context),
}

/// The span of a whole run. `command` is the verb; `remote` the caller's trace, which may be empty.
#[must_use]
pub fn run_span(run_id: &str, command: &str, remote: &Context) -> Span {
    let span = tracing::info_span!(target: TARGET, parent: None, "run",
        otel.name = names::PREPROCESS_RUN, run.id = run_id, run.command = command);
    adopt(&span, remote);
    span
}

/// The span of handing a run over to a batch system; the runs of its tasks are its children.
#[must_use]
pub fn submit_span(run_id: &str, remote: &Context) -> Span {
    let span = tracing::info_span!(target: TARGET, parent: None, "submit",
        otel.name = names::SUBMIT_JOBS, run.id = run_id, run.command = "slurm");
    adopt(&span, remote);
    span
}

/// The context of a span, to hand on; empty when nothing is traced.
#[must_use]
pub fn context(span: &Span) -> Context {
    span.context()
}

/// The root of the trace of one participant and session, linked to the run's span.
#[must_use]
pub fn subject_span(unit: &SessionId, run_id: &str, run: &Span) -> Span {
    let span = tracing::info_span!(target: TARGET, parent: None, "subject", otel.name = names::PREPROCESS_SUBJECT,
        participant_id = unit.participant.as_str(), session_id = unit.session.as_deref(), run.id = run_id);
    // `context()` of a disabled span is empty and its link would be dropped: nothing to check here.
    span.add_link(run.context().span().span_context().clone());
    start(&span);
    span
}

/// The span of one scan.
#[must_use]
pub fn scan_span(scan: &Scan<'_>, parent: Parent<'_>) -> Span {
    let above = match parent {
        Parent::Subject(span) => span.id(),
        Parent::Remote(_) => None,
    };
    let span = tracing::info_span!(target: TARGET, parent: above, "scan", otel.name = names::PREPROCESS_SCAN,
        scan.id = scan.id, modality = scan.modality.as_str(), participant_id = scan.session.participant.as_str(),
        session_id = scan.session.session.as_deref());
    if let Parent::Remote(context) = parent {
        adopt(&span, context);
    }
    record(&span, names::SCAN_FORMAT, scan.format);
    record(&span, names::SCAN_SIZE_MB, megabytes(scan.bytes));
    record(&span, names::FILE_PATH, scan.path.to_string_lossy().into_owned());
    record(&span, names::FILE_SIZE, i64::try_from(scan.bytes).unwrap_or(i64::MAX));
    if let Some(name) = scan.path.file_name() {
        record(&span, names::FILE_NAME, name.to_string_lossy().into_owned());
    }
    span
}

/// The span of a stage below its scan's or its phase's span, of whose participant, session and modality it is. What the stage
/// cost is on it when it ends.
#[must_use]
pub fn stage_span(stage: Stage, parent: &Span) -> StageSpan {
    let of = logs::scope_of(parent);
    let span = tracing::info_span!(target: TARGET, parent: parent.id(), "stage",
        otel.name = stage.span(), stage = stage.as_str(),
        participant_id = of.participant_id.as_deref(), session_id = of.session_id.as_deref(),
        modality = of.modality.as_deref());
    start(&span);
    let wanted = span.with_subscriber(|(_, dispatch)| dispatch.is::<Costs>()).unwrap_or(false);
    StageSpan { scope: wanted.then(cost::Scope::begin).flatten(), span, stage, modality: of.modality }
}

/// The span of a stage; it ends when this is dropped.
#[derive(Debug)]
pub struct StageSpan {
    span: Span,
    stage: Stage,
    modality: Option<String>,
    scope: Option<cost::Scope>,
}

impl std::ops::Deref for StageSpan {
    type Target = Span;

    fn deref(&self) -> &Span {
        &self.span
    }
}

impl Drop for StageSpan {
    fn drop(&mut self) {
        let Some(cost) = self.scope.as_ref().and_then(cost::Scope::cost) else { return };
        let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        record(&self.span, names::COST_CPU_SECONDS, cost.cpu_seconds);
        record(&self.span, names::COST_PEAK_MEMORY, whole(cost.peak_memory));
        record(&self.span, names::COST_READ, whole(cost.read));
        record(&self.span, names::COST_WRITTEN, whole(cost.written));
        record(&self.span, names::COST_THREADS, whole(cost.threads as u64));
        let modality = Modality::ALL.into_iter().find(|m| Some(m.as_str()) == self.modality.as_deref());
        if let Some(modality) = modality {
            self.span.with_subscriber(|(_, dispatch)| {
                dispatch.downcast_ref::<Costs>().map(|costs| costs.add(self.stage, modality, &cost))
            });
        }
    }
}

/// Sets an attribute. Keys come from [`names`]; counts go in as `i64`; a NaN or infinite float becomes a word.
pub fn record(span: &Span, key: &'static str, value: impl Into<Value>) {
    span.set_attribute(key, text::safe(value.into()));
}

/// Adds an event with attributes. Names come from [`names::EVENTS`].
pub fn add_event(span: &Span, name: &'static str, attributes: Vec<KeyValue>) {
    OpenTelemetrySpanExt::add_event(span, name, text::safe_all(attributes));
}

/// Marks a span as failed: status, `error.type`, `error.code`, and an `exception` event with the message.
pub fn fail(span: &Span, code: ErrorCode, message: &str) {
    let message = text::shown(message);
    record(span, names::ERROR_TYPE, code.class().as_str());
    record(span, names::ERROR_CODE, code.as_str());
    let exception = vec![
        KeyValue::new(names::EXCEPTION_TYPE, code.as_str()),
        KeyValue::new(names::EXCEPTION_MESSAGE, message.clone()),
    ];
    OpenTelemetrySpanExt::add_event(span, names::EXCEPTION, exception);
    span.set_status(Status::error(message));
}

/// The span's trace id as 32 hexadecimal digits; `None` when nothing is traced.
#[must_use]
pub fn trace_id(span: &Span) -> Option<String> {
    let context = span.context();
    let ids = context.span().span_context().clone();
    ids.is_valid().then(|| ids.trace_id().to_string())
}

/// The span's id as 16 hexadecimal digits; `None` when nothing is traced.
#[must_use]
pub fn span_id(span: &Span) -> Option<String> {
    let context = span.context();
    let ids = context.span().span_context().clone();
    ids.is_valid().then(|| ids.span_id().to_string())
}

/// Starts the span below a remote parent, with what the caller's baggage says.
fn adopt(span: &Span, remote: &Context) {
    if remote.span().span_context().is_valid() {
        let _ = span.set_parent(remote.clone()); // fails only where nothing is traced
    }
    start(span);
    for member in context::baggage(remote) {
        span.set_attribute(member.key, text::safe(member.value));
    }
}

/// A span gets its ids and its start time when first looked at. Looking now gives children and links something to hold.
fn start(span: &Span) {
    let _ = span.context();
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52 bytes")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
