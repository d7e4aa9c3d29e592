//! Logs: every event of this program goes to stderr, to the run's file, to its subject's file, and to OTLP.
//!
//! One layer writes all four, so that they cannot disagree. The stock bridge from `tracing` to OTLP is not used: it drops
//! the fields of the surrounding spans, which is where participant, session, scan and stage are.

use super::config::{LogFormat, TelemetryConfig, Verbosity};
use super::log_line::{Fields, Line, Scope, color};
use super::outgoing::Outgoing;
use super::stats::Stats;
use crate::files::open_no_link;
use crate::terminal;
use opentelemetry::logs::Logger;
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::logs::SdkLogger;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;
use tracing::dispatcher::WeakDispatch;
use tracing::span::{Attributes, Id};
use tracing::{Dispatch, Event, Level, Span, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Target of events that the screen tells in its own words. Standard error has them with `-v`, as JSON, and in quiet runs,
/// which show nothing else.
pub const TOLD_ELSEWHERE: &str = "neuro_preprocess::told_elsewhere";

/// A log file: one line is one write, so lines of several processes never mix.
struct LineFile {
    file: File,
    torn: AtomicBool,
}

impl LineFile {
    fn open(dir: &Path, name: &str) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let file = open_no_link(&dir.join(name), OpenOptions::new().create(true).append(true))?;
        Ok(Self { file, torn: AtomicBool::new(false) })
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        // After a failed write the file may end inside a line; what follows must not be glued to it.
        if self.torn.swap(false, Relaxed) {
            (&self.file).write_all(b"\n")?;
        }
        (&self.file).write_all(line).inspect_err(|_| self.torn.store(true, Relaxed))
    }
}

/// What a span hands down to the events inside it. Its file closes with the last span that holds it.
#[derive(Clone, Default)]
struct Place {
    scope: Scope,
    file: Option<Arc<LineFile>>,
}

/// What is known of where a span is; nothing where nobody listens.
pub fn scope_of(span: &Span) -> Scope {
    let found = span.with_subscriber(|(id, dispatch)| {
        let place = dispatch.downcast_ref::<Registry>()?.span(id)?.extensions().get::<Place>().cloned();
        Some(place?.scope)
    });
    found.flatten().unwrap_or_default()
}

/// The layer.
pub struct LogLayer {
    stderr_level: Level,
    told_elsewhere: bool,
    format: LogFormat,
    dir: Option<PathBuf>,
    run_file: Option<LineFile>,
    otlp: Option<SdkLogger>,
    outgoing: Outgoing,
    stats: Arc<Stats>,
    dispatch: OnceLock<WeakDispatch>,
}

impl LogLayer {
    /// `dir` is where the files go (`OUT/logs`), `otlp` where records go besides, changed as `outgoing` says. A file that
    /// cannot be opened costs one warning on stderr.
    #[must_use]
    pub fn new(
        config: &TelemetryConfig,
        dir: Option<&Path>,
        run_id: &str,
        (otlp, outgoing): (Option<SdkLogger>, Outgoing),
        stats: &Arc<Stats>,
    ) -> Self {
        let run_file = dir.and_then(|dir| {
            let name = format!("run-{}.jsonl", file_safe(run_id));
            LineFile::open(dir, &name).map_err(|e| stats.warn_file(&e)).ok()
        });
        Self {
            stderr_level: level(config.verbosity),
            told_elsewhere: config.verbosity == Verbosity::Normal && config.log_format == LogFormat::Text,
            format: config.log_format,
            dir: dir.map(Path::to_path_buf),
            run_file,
            otlp,
            outgoing,
            stats: Arc::clone(stats),
            dispatch: OnceLock::new(),
        }
    }

    fn to_stderr(&self, line: &Line<'_>) {
        if line.level > self.stderr_level {
            return;
        }
        match self.format {
            LogFormat::Json => terminal::print_line(&line.json()),
            LogFormat::Text => {
                terminal::print_marked(&terminal::wrapped(&line.human()), line.level.as_str(), color(line.level));
            }
        }
    }

    fn to_files(&self, line: &Line<'_>, subject: Option<&LineFile>) {
        if self.run_file.is_none() && subject.is_none() {
            return;
        }
        let bytes = line.json();
        for file in self.run_file.iter().chain(subject) {
            if let Err(e) = file.write(bytes.as_bytes()) {
                self.stats.warn_file(&e);
            }
        }
    }

    fn subject_file(&self, scope: &Scope) -> Option<Arc<LineFile>> {
        let name = subject_file_name(scope.participant_id.as_deref()?, scope.session_id.as_deref());
        LineFile::open(self.dir.as_deref()?, &name).map(Arc::new).map_err(|e| self.stats.warn_file(&e)).ok()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> tracing_subscriber::Layer<S> for LogLayer {
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        let _ = self.dispatch.set(dispatch.downgrade()); // set once: a layer belongs to one subscriber
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let above = span.parent().and_then(|p| p.extensions().get::<Place>().cloned()).unwrap_or_default();
        let mut place = above.clone();
        attributes.record(&mut place.scope);
        let same_subject = (&place.scope.participant_id, &place.scope.session_id)
            == (&above.scope.participant_id, &above.scope.session_id);
        if !same_subject {
            place.file = self.subject_file(&place.scope);
        }
        span.extensions_mut().insert(place);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let span = context.event_span(event);
        let place = span.as_ref().and_then(|s| s.extensions().get::<Place>().cloned()).unwrap_or_default();
        let ids = span.and_then(|s| {
            let dispatch = self.dispatch.get()?.upgrade()?;
            let traced = tracing_opentelemetry::get_otel_context(&s.id(), &dispatch)?;
            Some(traced.span().span_context().clone()).filter(|c| c.is_valid())
        });
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = *event.metadata().level();
        let line = Line { time: SystemTime::now(), level, fields, scope: &place.scope, span: ids };
        if !(self.told_elsewhere && event.metadata().target() == TOLD_ELSEWHERE) {
            self.to_stderr(&line);
        }
        self.to_files(&line, place.file.as_deref());
        if let Some(logger) = &self.otlp {
            let mut record = logger.create_log_record();
            line.otlp(&mut record, &self.outgoing);
            logger.emit(record);
        }
    }
}

/// The least severe level that stderr shows.
const fn level(verbosity: Verbosity) -> Level {
    match verbosity {
        Verbosity::Quiet => Level::ERROR,
        Verbosity::Normal => Level::WARN,
        Verbosity::Verbose => Level::INFO,
        Verbosity::Debug => Level::DEBUG,
    }
}

/// `sub-XX.jsonl` or `sub-XX_ses-YY.jsonl`.
fn subject_file_name(participant: &str, session: Option<&str>) -> String {
    let session = session.map(|s| format!("_ses-{}", file_safe(s))).unwrap_or_default();
    format!("sub-{}{session}.jsonl", file_safe(participant))
}

/// A label outside BIDS may hold anything; in a file name only ASCII letters, digits and a few signs stay.
fn file_safe(label: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+') { c } else { '_' };
    label.chars().take(100).map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_stay_in_their_folder() {
        assert_eq!(subject_file_name("01", Some("pre")), "sub-01_ses-pre.jsonl");
        assert_eq!(subject_file_name("../../x y", None), "sub-.._.._x_y.jsonl");
        assert!(file_safe(&"é".repeat(300)).len() <= 255 - "sub-.jsonl".len());
    }

    #[test]
    fn a_line_after_a_failed_write_starts_on_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let file = LineFile::open(dir.path(), "x.jsonl").unwrap();
        (&file.file).write_all(b"{\"ha").unwrap();
        file.torn.store(true, Relaxed);
        file.write(b"{}\n").unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("x.jsonl")).unwrap(), "{\"ha\n{}\n");
    }
}
