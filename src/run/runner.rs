//! The stage runner: the ONE place where a stage gets its span, its duration, its count, its log lines and its error.

use super::RunContext;
use super::event::{RunEvent, StageName};
use crate::error::{Coded, ErrorCode};
use crate::stages::{Fact, Facts, Stage, StageError, Work};
use crate::telemetry::{names, spans};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use tracing::{Span, debug, info, warn};

/// A failure and the stage it happened in.
#[derive(Debug)]
pub struct Failed {
    /// The innermost stage that failed.
    pub stage: StageName,
    /// Why.
    pub error: StageError,
}

/// What became of a scan's stages.
#[derive(Debug)]
pub struct StagesRun {
    /// Wall-clock seconds of each stage that ran.
    pub seconds: BTreeMap<StageName, f64>,
    /// The last stage, or why it did not come so far.
    pub outcome: Result<(), Failed>,
}

/// Takes a scan through those `stages` that apply to its modality, phase by phase, below the scan's span.
///
/// A stage says what it found and nothing else; its span, its time, its count and its log lines come from here:
///
/// ```
/// # use neuro_preprocess::bids::{Entities, Modality};
/// # use neuro_preprocess::plan::{ScanPlan, Source};
/// # use neuro_preprocess::run::event::{StageName, UnitId};
/// # use neuro_preprocess::run::{RunContext, cancel::Cancel, faults::Faults, run_stages};
/// # use neuro_preprocess::stages::{Facts, Stage, StageError, Work};
/// # use neuro_preprocess::telemetry::{self, config::TelemetryConfig, env::Environment, spans};
/// struct Sharpness;
///
/// impl Stage for Sharpness {
///     fn name(&self) -> StageName {
///         StageName::Quality
///     }
///     fn run(&self, _: &mut Work<'_>, facts: &mut Facts) -> Result<(), StageError> {
///         facts.set("method", "laplacian");
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let logs = tempfile::tempdir()?;
/// let config = TelemetryConfig { enabled: true, ..TelemetryConfig::default() };
/// let (telemetry, dispatch) =
///     telemetry::build(&config, &Environment::default(), Some(logs.path()), "run-1");
/// # let source = Source::Synthetic { participant: "01".into(), session: None, seed: 1 };
/// # let plan = ScanPlan { id: "sub-01_T1w".into(), modality: Modality::T1w, source, relative: "sub-01_T1w.nii".into(),
/// #     entities: Entities::default(), metadata: std::sync::Arc::default(), problem: None, bytes: 0, memory: Default::default(),
/// #     tissues: false };
/// # let unit = UnitId { participant: "01".into(), session: None };
/// # let (cancel, remote) = (Cancel::default(), telemetry.remote_parent());
/// # let cx = RunContext { run_id: "run-1", output: logs.path(), faults: Faults::default(), strict: false,
/// #     cancel: &cancel,
/// #     sinks: &[telemetry.events()], run_span: None, remote: &remote };
/// tracing::dispatcher::with_default(&dispatch, || {
///     # let scan = spans::Scan { unit: &unit, id: &plan.id, modality: plan.modality, format: "synthetic",
///     #     path: &plan.relative, bytes: 0 };
///     # let span = spans::scan_span(&scan, spans::Parent::Remote(&remote));
///     # let mut work = Work::new(&plan, logs.path());
///     let done = run_stages(&[&Sharpness], &mut work, &span, &cx);
///     assert!(done.outcome.is_ok() && done.seconds.contains_key(&StageName::Quality));
/// });
/// # let _ = telemetry.finish();
///
/// // What the stage left, of which it wrote only the method:
/// let left: Vec<String> = std::fs::read_dir(logs.path())?
///     .map(|file| std::fs::read_to_string(file?.path()))
///     .collect::<Result<_, _>>()?;
/// let has = |all: &[&str]| left.iter().flat_map(|text| text.lines()).any(|line| all.iter().all(|part| line.contains(part)));
/// assert!(has(&["\"quality_check\"", "laplacian"]), "a span with the attribute");
/// assert!(has(&["neuro.stage.duration", "\"quality\""]), "a point of the histogram of durations");
/// assert!(has(&["stage finished", "\"stage\":\"quality\"", "trace_id"]), "a log line in the trace");
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn run_stages(stages: &[&dyn Stage], work: &mut Work<'_>, scan: &Span, cx: &RunContext<'_>) -> StagesRun {
    let mut runner = Runner { cx, seconds: BTreeMap::new() };
    let mut outcome = Ok(());
    for phase in [StageName::Load, StageName::Process, StageName::Save] {
        outcome = runner.phase(phase, stages, work, scan);
        if outcome.is_err() {
            break;
        }
    }
    StagesRun { seconds: runner.seconds, outcome }
}

struct Runner<'a> {
    cx: &'a RunContext<'a>,
    seconds: BTreeMap<StageName, f64>,
}

impl Runner<'_> {
    /// A phase's own span holds the spans of its steps; the stage that bears the phase's name works in the phase's span.
    fn phase(
        &mut self,
        phase: StageName,
        stages: &[&dyn Stage],
        work: &mut Work<'_>,
        scan: &Span,
    ) -> Result<(), Failed> {
        let steps = stages.iter().filter(|s| s.name().phase() == phase && s.name().applies_to(work.scan.modality));
        self.timed(phase, work, scan, |runner, work, span| {
            runner.faults(phase, work)?;
            let mut done = Vec::new();
            for stage in steps {
                if stage.name() == phase {
                    run_one(*stage, work, span, span)?;
                } else {
                    runner.timed(stage.name(), work, span, |_, work, own| run_one(*stage, work, own, span))?;
                    done.push(stage.name().as_str());
                }
            }
            if phase == StageName::Process {
                spans::record(span, names::PROCESSING_STEPS, done.join(","));
            }
            Ok(())
        })
    }

    /// Opens the span, measures, and tells of the end, well or not.
    fn timed(
        &mut self,
        stage: StageName,
        work: &mut Work<'_>,
        parent: &Span,
        body: impl FnOnce(&mut Self, &mut Work<'_>, &Span) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        let span = spans::stage_span(stage, parent);
        let _entered = span.enter();
        debug!(stage = stage.as_str(), "stage started");
        self.cx.publish(&RunEvent::StageStarted { scan_id: work.scan.id.clone(), stage });
        let start = Instant::now();
        let outcome = if self.cx.cancel.requested() {
            Err(Failed { stage, error: StageError::Interrupted })
        } else {
            body(self, work, &span)
        };
        let seconds = start.elapsed().as_secs_f64();
        self.seconds.insert(stage, seconds);
        let error = match &outcome {
            Ok(()) => {
                info!(stage = stage.as_str(), duration_seconds = seconds, "stage finished");
                None
            }
            Err(failed) => {
                spans::fail(&span, failed.error.code(), &failed.error.to_string());
                Some(failed.error.code())
            }
        };
        self.publish(work, stage, seconds, error);
        outcome
    }

    fn publish(&self, work: &Work<'_>, stage: StageName, seconds: f64, error: Option<ErrorCode>) {
        let (scan_id, modality) = (work.scan.id.clone(), work.scan.modality);
        self.cx.publish(&RunEvent::StageFinished { scan_id, modality, stage, seconds, error });
    }

    /// Failures and delays that were asked for.
    fn faults(&self, phase: StageName, work: &Work<'_>) -> Result<(), Failed> {
        if let Some(seconds) = self.cx.faults.delay(phase) {
            warn!(stage = phase.as_str(), seconds, "slowed down by --slow-stage");
            self.cx.cancel.sleep(Duration::from_secs_f64(seconds));
        }
        if self.cx.faults.failing_phase(&work.scan.id) == Some(phase) {
            return Err(Failed { stage: phase, error: StageError::Injected });
        }
        Ok(())
    }
}

/// Runs one stage with its panics caught, then puts what it found on its span and its phase's.
fn run_one(stage: &dyn Stage, work: &mut Work<'_>, own: &Span, phase: &Span) -> Result<(), Failed> {
    let mut facts = Facts::default();
    let noted = work.notes.len();
    let outcome = catch_unwind(AssertUnwindSafe(|| stage.run(work, &mut facts)))
        .unwrap_or_else(|panic| Err(StageError::Panicked { message: panic_text(panic.as_ref()) }));
    for (name, value) in facts.own {
        debug!(stage = stage.name().as_str(), attribute = name, value = %value, "found");
        spans::record(own, name, attribute(value));
    }
    for (name, value) in facts.phase {
        spans::record(phase, name, attribute(value));
    }
    for (span, events) in [(own, facts.events), (phase, facts.phase_events)] {
        for (name, attributes) in events {
            spans::add_event(
                span,
                name,
                attributes.into_iter().map(|(k, v)| spans::KeyValue::new(k, attribute(v))).collect(),
            );
        }
    }
    for note in work.notes.iter().skip(noted) {
        warn!(stage = stage.name().as_str(), "{note}");
    }
    outcome.map_err(|error| Failed { stage: stage.name(), error })
}

/// A fact as OpenTelemetry has it.
fn attribute(fact: Fact) -> spans::Value {
    match fact {
        Fact::Float(v) => v.into(),
        Fact::Int(v) => v.into(),
        Fact::Text(v) => v.into(),
        Fact::Bool(v) => v.into(),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}
