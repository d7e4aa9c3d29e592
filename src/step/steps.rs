//! Phases and steps of a scan: what opens the span, measures, catches, tells.

use super::error::{Failed, StageError};
use super::scan::Scan;
use super::{Fact, Found};
use crate::error::Coded;
use crate::telemetry::{names, spans};
use crate::vocabulary::{RunEvent, Stage};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use tracing::{Span, debug, info, warn};

/// The steps of one phase.
pub struct Steps<'s, 'a> {
    scan: &'s mut Scan<'a>,
    phase: Stage,
    span: Span,
    done: Vec<&'static str>,
}

impl<'a> Scan<'a> {
    /// A phase: its span holds the spans of its steps.
    ///
    /// # Errors
    /// The first step that failed.
    pub fn phase<T>(
        &mut self,
        phase: Stage,
        body: impl FnOnce(&mut Steps<'_, 'a>) -> Result<T, Failed>,
    ) -> Result<T, Failed> {
        let above = self.span().clone();
        self.timed(phase, &above, |scan, span| {
            scan.faults(phase)?;
            let mut steps = Steps { scan, phase, span: span.clone(), done: Vec::new() };
            let made = body(&mut steps)?;
            if phase == Stage::Process {
                spans::record(span, names::PROCESSING_STEPS, steps.done.join(","));
            }
            Ok(made)
        })
    }

    /// Opens the span, measures, and tells of the end, well or not.
    fn timed<T>(
        &mut self,
        stage: Stage,
        parent: &Span,
        body: impl FnOnce(&mut Self, &Span) -> Result<T, Failed>,
    ) -> Result<T, Failed> {
        let span = spans::stage_span(stage, parent);
        let _entered = span.enter();
        debug!(stage = stage.as_str(), "stage started");
        self.cx().publish(&RunEvent::StageStarted { scan_id: self.plan().id.clone(), stage });
        let start = Instant::now();
        let outcome = if self.cx().cancel.requested() {
            Err(Failed { stage, error: StageError::Interrupted })
        } else {
            body(self, &span)
        };
        let seconds = start.elapsed().as_secs_f64();
        self.took(stage, seconds);
        let error = match &outcome {
            Ok(_) => {
                info!(stage = stage.as_str(), duration_seconds = seconds, "stage finished");
                None
            }
            Err(failed) => {
                spans::fail(&span, failed.error.code(), &failed.error.to_string());
                Some(failed.error.code())
            }
        };
        let (scan_id, modality) = (self.plan().id.clone(), self.plan().modality);
        self.cx().publish(&RunEvent::StageFinished { scan_id, modality, stage, seconds, error });
        outcome
    }

    /// Failures and delays on purpose.
    fn faults(&self, phase: Stage) -> Result<(), Failed> {
        let cx = self.cx();
        if let Some(seconds) = cx.faults.delay(phase) {
            warn!(stage = phase.as_str(), seconds, "slowed down by --slow-stage");
            cx.cancel.sleep(Duration::from_secs_f64(seconds));
        }
        if cx.faults.failing_phase(&self.plan().id) == Some(phase) {
            return Err(Failed { stage: phase, error: StageError::Injected });
        }
        Ok(())
    }

    /// Does the work of one stage with its panics caught, then puts what it found on its span and its phase's.
    fn work<T, E: Into<StageError>>(
        &mut self,
        stage: Stage,
        (own, phase): (&Span, &Span),
        work: impl FnOnce(&mut Found) -> Result<T, E>,
    ) -> Result<T, Failed> {
        let mut found = Found { known: std::mem::take(&mut self.known), ..Found::default() };
        let noted = found.known.notes.len();
        let outcome = catch_unwind(AssertUnwindSafe(|| work(&mut found).map_err(Into::into)))
            .unwrap_or_else(|panic| Err(StageError::Panicked { message: panic_text(panic.as_ref()) }));
        for (name, value) in found.own {
            debug!(stage = stage.as_str(), attribute = name, value = %value, "found");
            spans::record(own, name, attribute(value));
        }
        for (name, value) in found.phase {
            spans::record(phase, name, attribute(value));
        }
        for (span, events) in [(own, found.events), (phase, found.phase_events)] {
            for (name, attributes) in events {
                let attributes = attributes.into_iter().map(|(k, v)| spans::KeyValue::new(k, attribute(v))).collect();
                spans::add_event(span, name, attributes);
            }
        }
        for note in found.known.notes.iter().skip(noted) {
            warn!(stage = stage.as_str(), "{note}");
        }
        self.known = found.known;
        outcome.map_err(|error| Failed { stage, error })
    }
}

impl Steps<'_, '_> {
    /// A step with a span of its own, below the phase's.
    ///
    /// # Errors
    /// What the work refused, or that it panicked or the run was stopped.
    pub fn step<T, E: Into<StageError>>(
        &mut self,
        stage: Stage,
        work: impl FnOnce(&mut Found) -> Result<T, E>,
    ) -> Result<T, Failed> {
        let phase = &self.span;
        let made = self.scan.timed(stage, phase, |scan, own| scan.work(stage, (own, phase), work))?;
        self.done.push(stage.as_str());
        Ok(made)
    }

    /// The work that bears the phase's name, in the phase's own span.
    ///
    /// # Errors
    /// As [`Steps::step`].
    pub fn own<T, E: Into<StageError>>(&mut self, work: impl FnOnce(&mut Found) -> Result<T, E>) -> Result<T, Failed> {
        self.scan.work(self.phase, (&self.span, &self.span), work)
    }
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
