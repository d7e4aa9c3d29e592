//! From single spans to runs: what belongs to which run, subject and scan, also when the parents were never written.

use super::lines::{self, LogsLine, Resource, SpanLine, TraceLine};
use super::{Failure, LogLine, Measure, Run, Scan, Span, Status, Subject};
use crate::telemetry::names;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Warnings and errors kept of one subject.
const MAX_LOGS: usize = 50;

/// Steps inside steps that are shown. Ours are four deep; deeper ones are damage, and are left out.
const DEEPEST: usize = 32;

/// A span before it has found its place.
struct Loose {
    id: u64,
    parent: u64,
    name: Arc<str>,
    stage: Option<Arc<str>>,
    start_ns: u64,
    end_ns: u64,
    failed: bool,
    /// Whether there is no parent in this process.
    top: bool,
    quality_score: Option<f64>,
    measured: Vec<(Measure, f64)>,
    /// Of a scan, a subject, or a failed span.
    about: Option<Box<About>>,
}

/// The attributes that matter here.
#[derive(Default)]
struct About {
    participant: Option<String>,
    session: Option<String>,
    scan_id: Option<String>,
    modality: Option<String>,
    code: Option<String>,
    message: String,
}

/// Collects lines, then makes runs of them.
#[derive(Default)]
pub struct Assembly {
    runs: HashMap<String, Run>,
    /// By run id and trace id: a caller's trace may hold many runs.
    loose: HashMap<(String, u128), Vec<Loose>>,
    words: HashSet<Arc<str>>,
    /// Where in its run a trace's subject is, once they are closed.
    places: HashMap<(String, u128), usize>,
}

impl Assembly {
    /// Takes the spans of a line.
    pub fn spans(&mut self, line: &TraceLine<'_>) {
        for part in &line.resource_spans {
            let id = self.run(&part.resource);
            for span in part.scope_spans.iter().flat_map(|scope| &scope.spans) {
                self.span(&id, span);
            }
        }
    }

    /// Notes the run of a resource, and returns its id.
    fn run(&mut self, resource: &Resource<'_>) -> String {
        let of = |key| lines::text(&resource.attributes, key).unwrap_or_default().to_owned();
        let id = of(names::RESOURCE_RUN_ID);
        if !self.runs.contains_key(&id) {
            let (version, host) = (of(names::SERVICE_VERSION), of(names::HOST_NAME));
            let [job, array] =
                [names::SLURM_JOB_ID, names::SLURM_ARRAY_JOB_ID].map(|key| Some(of(key)).filter(|s| !s.is_empty()));
            let run = Run { id: id.clone(), version, host, job, array, start_ns: u64::MAX, ..Run::default() };
            self.runs.insert(id.clone(), run);
        }
        id
    }

    fn span(&mut self, run_id: &str, span: &SpanLine<'_>) {
        let (start_ns, end_ns) = (span.start_time_unix_nano, span.end_time_unix_nano);
        if let Some(run) = self.runs.get_mut(run_id) {
            run.start_ns = run.start_ns.min(start_ns);
            run.end_ns = run.end_ns.max(end_ns);
            if span.name == names::PREPROCESS_RUN || span.name == names::SUBMIT_JOBS {
                run.command = lines::text(&span.attributes, names::RUN_COMMAND).map(str::to_owned);
                run.finished = true;
                return;
            }
        }
        let failed = span.status.code == lines::ERROR;
        let is_stage = span.name != names::PREPROCESS_SCAN && span.name != names::PREPROCESS_SUBJECT;
        let stage = lines::text(&span.attributes, names::STAGE).map(|stage| self.word(stage));
        let loose = Loose {
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            name: self.word(&span.name),
            stage,
            start_ns,
            end_ns,
            failed,
            top: span.parent_span_id.is_empty() || span.flags & lines::PARENT_IS_REMOTE != 0,
            quality_score: lines::number(&span.attributes, "processing.quality_score"),
            measured: measured(&span.attributes),
            about: (failed || !is_stage).then(|| Box::new(About::of(span))),
        };
        let trace = u128::from_str_radix(&span.trace_id, 16).unwrap_or_default();
        self.loose.entry((run_id.to_owned(), trace)).or_default().push(loose);
    }

    /// One copy of each word: spans have a dozen names between them.
    fn word(&mut self, word: &str) -> Arc<str> {
        if let Some(known) = self.words.get(word) {
            return Arc::clone(known);
        }
        let new: Arc<str> = word.into();
        self.words.insert(Arc::clone(&new));
        new
    }

    /// All spans are there: makes subjects of them.
    pub fn close(&mut self) {
        for ((run_id, trace), spans) in std::mem::take(&mut self.loose) {
            if let Some(run) = self.runs.get_mut(&run_id) {
                let subject = subject(trace, spans);
                // A lone file has no span of the run; its scan is all there is.
                run.finished |= run.command.is_none() && subject.status != Status::Unfinished;
                run.subjects.push(subject);
            }
        }
        for run in self.runs.values_mut() {
            run.subjects.sort_by(|a, b| (a.start_ns, &a.trace_id).cmp(&(b.start_ns, &b.trace_id)));
            for (place, subject) in run.subjects.iter().enumerate() {
                let trace = u128::from_str_radix(&subject.trace_id, 16).unwrap_or_default();
                self.places.insert((run.id.clone(), trace), place);
            }
        }
    }

    /// Whether a killed run left spans whose scan or subject only the log knows.
    pub fn any_unnamed(&self) -> bool {
        let unnamed = |s: &Subject| s.participant.is_none() || s.scans.iter().any(|scan| scan.id.is_none());
        self.runs.values().flat_map(|run| &run.subjects).any(unnamed)
    }

    /// Takes the warnings and errors of a line, and the names of what a killed run had in work.
    pub fn logs(&mut self, line: &LogsLine<'_>) {
        for part in &line.resource_logs {
            let run_id = lines::text(&part.resource.attributes, names::RESOURCE_RUN_ID).unwrap_or_default().to_owned();
            for record in part.scope_logs.iter().flat_map(|scope| &scope.log_records) {
                let trace = u128::from_str_radix(&record.trace_id, 16).unwrap_or_default();
                let place = self.places.get(&(run_id.clone(), trace)).copied();
                let run = self.runs.get_mut(&run_id);
                let Some(subject) = place.and_then(|place| run?.subjects.get_mut(place)) else { continue };
                take_record(subject, record);
            }
        }
    }

    /// The runs, the earliest first.
    pub fn finish(self) -> Vec<Run> {
        let mut runs: Vec<Run> = self.runs.into_values().collect();
        for run in &mut runs {
            run.subjects.iter_mut().for_each(|s| s.logs.sort_by_key(|line| line.time_ns));
        }
        runs.sort_by(|a, b| (a.start_ns, &a.id).cmp(&(b.start_ns, &b.id)));
        runs
    }
}

fn take_record(subject: &mut Subject, record: &lines::Record<'_>) {
    let of = |key| lines::text(&record.attributes, key).map(str::to_owned);
    let scan_id = of(names::LOG_SCAN_ID);
    if subject.participant.is_none() {
        (subject.participant, subject.session) = (of(names::LOG_PARTICIPANT_ID), of(names::LOG_SESSION_ID));
    }
    // The log speaks of all scans of the subject; the unfinished one is the one without a span of its own.
    if scan_id.is_some()
        && !subject.scans.iter().any(|scan| scan.id == scan_id)
        && let Some(scan) = subject.scans.iter_mut().find(|scan| scan.id.is_none())
    {
        scan.id.clone_from(&scan_id);
    }
    if matches!(&*record.severity_text, "WARN" | "ERROR") && subject.logs.len() < MAX_LOGS {
        subject.logs.push(LogLine {
            time_ns: record.time_unix_nano,
            level: record.severity_text.clone().into_owned(),
            stage: of(names::LOG_STAGE),
            scan_id,
            message: record.body.string_value.as_deref().unwrap_or_default().to_owned(),
        });
    }
}

impl About {
    fn of(span: &SpanLine<'_>) -> Self {
        let text = |key| lines::text(&span.attributes, key).map(str::to_owned);
        Self {
            participant: text(names::PARTICIPANT_ID),
            session: text(names::SESSION_ID),
            scan_id: text(names::SCAN_ID),
            modality: text(names::MODALITY),
            code: text(names::ERROR_CODE),
            message: span.status.message.clone().into_owned(),
        }
    }
}

fn hex(digits: &str) -> u64 {
    u64::from_str_radix(digits, 16).unwrap_or_default()
}

/// The subject of one trace of one run.
fn subject(trace: u128, mut spans: Vec<Loose>) -> Subject {
    // A child ends before its parent and starts after it.
    spans.sort_by_key(|s| (s.start_ns, std::cmp::Reverse(s.end_ns)));
    let start_ns = spans.iter().map(|s| s.start_ns).min().unwrap_or_default();
    let end_ns = spans.iter().map(|s| s.end_ns).max().unwrap_or_default();
    let (roots, rest): (Vec<Loose>, Vec<Loose>) =
        spans.into_iter().partition(|s| &*s.name == names::PREPROCESS_SUBJECT);
    let (scans, stages): (Vec<Loose>, Vec<Loose>) = rest.into_iter().partition(|s| &*s.name == names::PREPROCESS_SCAN);
    let known: HashSet<u64> = stages.iter().chain(&scans).map(|s| s.id).collect();
    let mut children: HashMap<u64, Vec<Loose>> = HashMap::new();
    let mut orphans = Vec::new();
    for stage in stages {
        if known.contains(&stage.parent) {
            children.entry(stage.parent).or_default().push(stage);
        } else {
            orphans.push(stage);
        }
    }
    let root = roots.into_iter().next();
    let who = root.as_ref().or(scans.first()).and_then(|span| span.about.as_deref());
    let (participant, session) = who.map(|w| (w.participant.clone(), w.session.clone())).unwrap_or_default();
    // A lone file's scan is the top of its trace.
    let finished = root.is_some() || scans.iter().any(|scan| scan.top);
    let mut found: Vec<Scan> = scans.into_iter().map(|span| scan(span, &mut children)).collect();
    if !orphans.is_empty() {
        found.push(unfinished(orphans, &mut children));
    }
    let any_failed = found.iter().any(|s| s.status == Status::Failed) || root.is_some_and(|root| root.failed);
    let status = match (any_failed, finished) {
        (true, _) => Status::Failed,
        (_, false) => Status::Unfinished,
        (_, true) => Status::Ok,
    };
    let trace_id = format!("{trace:032x}");
    Subject { trace_id, participant, session, status, start_ns, end_ns, scans: found, logs: Vec::new() }
}

/// What the steps of a scan say about it.
#[derive(Default)]
struct Found {
    /// The stages that failed, from the outside in.
    failed: Vec<String>,
    quality_score: Option<f64>,
}

fn scan(span: Loose, children: &mut HashMap<u64, Vec<Loose>>) -> Scan {
    let mut found = Found::default();
    let spans = below(span.id, 0, children, &mut found);
    let about = span.about.map(|about| *about).unwrap_or_default();
    let failure = span.failed.then(|| Failure {
        code: about.code.unwrap_or_default(),
        // The innermost is the last on the way down.
        stage: found.failed.pop(),
        message: about.message,
    });
    Scan {
        id: about.scan_id,
        span_id: Some(format!("{:016x}", span.id)),
        modality: about.modality,
        status: if span.failed { Status::Failed } else { Status::Ok },
        quality_score: found.quality_score,
        failure,
        start_ns: span.start_ns,
        end_ns: span.end_ns,
        spans,
    }
}

/// The scan a killed run had in work: what of it had ended.
fn unfinished(orphans: Vec<Loose>, children: &mut HashMap<u64, Vec<Loose>>) -> Scan {
    let start_ns = orphans.iter().map(|s| s.start_ns).min().unwrap_or_default();
    let end_ns = orphans.iter().map(|s| s.end_ns).max().unwrap_or_default();
    let spans = orphans.into_iter().map(|span| step(span, 0, children, &mut Found::default())).collect();
    Scan { status: Status::Unfinished, start_ns, end_ns, spans, ..Scan::default() }
}

fn below(parent: u64, depth: usize, children: &mut HashMap<u64, Vec<Loose>>, found: &mut Found) -> Vec<Span> {
    let steps = if depth < DEEPEST { children.remove(&parent).unwrap_or_default() } else { Vec::new() };
    steps.into_iter().map(|span| step(span, depth, children, found)).collect()
}

fn step(span: Loose, depth: usize, children: &mut HashMap<u64, Vec<Loose>>, found: &mut Found) -> Span {
    if span.failed {
        found.failed.extend(span.stage.as_deref().map(str::to_owned));
    }
    found.quality_score = found.quality_score.or(span.quality_score);
    Span {
        children: below(span.id, depth + 1, children, found),
        name: span.name,
        stage: span.stage,
        start_ns: span.start_ns,
        end_ns: span.end_ns,
        failed: span.failed,
        measured: span.measured,
    }
}

/// The numbers of a stage that two runs are compared by.
fn measured(attributes: &[lines::Attribute<'_>]) -> Vec<(Measure, f64)> {
    const MB: f64 = 1e6;
    let of = |measure, key, unit| Some((measure, lines::number(attributes, key)? / unit));
    [
        of(Measure::CpuSeconds, names::COST_CPU_SECONDS, 1.0),
        of(Measure::PeakMemoryMb, names::COST_PEAK_MEMORY, MB),
        of(Measure::ReadMb, names::COST_READ, MB),
        of(Measure::WrittenMb, names::COST_WRITTEN, MB),
        of(Measure::OutputMb, "output.size_mb", 1.0),
    ]
    .into_iter()
    .flatten()
    .collect()
}
