//! A run: plan, prepare the output, start telemetry, process the sessions, print the result.

use super::budget;
use super::report::{self, ReportError};
use super::say;
use super::shown::{self, Shown};
use crate::bids::Modality;
use crate::cli::exit::ExitStatus;
use crate::cli::{Format, Input, Level, RunConfig};
use crate::derivatives::claim::{Claim, Claimed};
use crate::derivatives::dataset::{Container, Origin, prepare};
use crate::derivatives::links::{self, BadLink};
use crate::derivatives::marker::Marker;
use crate::derivatives::summary::session_file;
use crate::derivatives::{self, DerivativeError};
use crate::error::{Coded, ErrorCode};
use crate::machine::process;
use crate::plan::{self, MemoryBudget, Plan, PlanError, PlanOptions, ScanPlan, SessionPlan};
use crate::printable;
use crate::progress::screen::View;
use crate::progress::tally::Tally;
use crate::run::pool::{self, PoolError, PoolSettings};
use crate::run::run_session;
use crate::step::Context;
use crate::step::cancel::Cancel;
use crate::telemetry::config::{TelemetryConfig, Verbosity};
use crate::telemetry::pseudonym::Personal;
use crate::telemetry::{Delivery, Telemetry, names, spans};
use crate::templates::{self, Targets, TemplateError};
use crate::terminal;
use crate::vocabulary::{EventSink, RunEvent, SpaceError, Spaces, State, Wanted};
use jiff::Timestamp;
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// A run that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The output folder cannot be made.
    #[error("cannot use {} as the output folder: {source}", path.display())]
    Output {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: Box<DerivativeError>,
    },
    /// Outputs cannot be written any more.
    #[error("the run stopped; run the same command again to finish it: {0}")]
    GaveUp(String),
    /// A folder in the output folder is a link that is not followed.
    #[error(transparent)]
    Link(#[from] BadLink),
    /// The threads cannot be started.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// An output space is none.
    #[error("--output-spaces: {0}")]
    Space(#[from] SpaceError),
    /// A template is not available.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// There is no report.
    #[error(transparent)]
    Report(#[from] ReportError),
}

impl Coded for RunError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Plan(e) => e.code(),
            Self::Space(_) => ErrorCode::Usage,
            Self::Template(e) => e.code(),
            Self::Output { .. } | Self::Link(_) => ErrorCode::OutputUnusable,
            Self::GaveUp(_) => ErrorCode::WriteFailed,
            Self::Pool(_) => ErrorCode::OutOfMemory,
            Self::Report(e) => e.code(),
        }
    }
}

/// Does a run, or shows what it would do.
///
/// # Errors
/// [`RunError`] when it cannot be started. Failures of scans are not errors of the run: they are in the exit status.
pub fn run(config: &RunConfig) -> Result<ExitStatus, RunError> {
    if config.level == Level::Group {
        return group(config);
    }
    let mut plan = make_plan(config)?;
    let (room, note) = budget::room(config);
    plan.warnings.extend(note);
    plan.refuse_too_large(&room);
    if config.options.dry_run {
        match config.options.format {
            // A closed pipe is not an error.
            Format::Json => {
                terminal::said(pool::within(config.threads, || plan::write_json(&plan, std::io::stdout().lock()))?);
            }
            Format::Text => {
                let notes: String =
                    config.notes.iter().map(|note| format!("Note     {}\n", printable::line(note))).collect();
                say(&format!("{notes}{}", plan::to_text(&plan)));
            }
        }
    }
    plan.refuse_empty()?;
    // A dry run also reports a template that is not available.
    let targets = pool::within(config.threads, || targets(&plan))??;
    if config.options.dry_run {
        return Ok(ExitStatus::Success);
    }
    prepare_output(&plan)?;
    work(config, &plan, &room, &targets)
}

/// The plan of a run, and what of it is done.
pub(super) fn make_plan(config: &RunConfig) -> Result<Plan, RunError> {
    let options = &config.options;
    let spaces = match options.output_spaces.as_slice() {
        [] => Spaces::default(),
        words => {
            let known = template_home().as_deref().map(templates::names).transpose()?.unwrap_or_default();
            Spaces::parse(words.iter().map(String::as_str), &known)?
        }
    };
    let plan_options = PlanOptions {
        force: options.force,
        resume: options.resume,
        skip_validation: options.skip_bids_validation,
        wanted: Wanted {
            spaces: Arc::new(spaces),
            asked: !options.output_spaces.is_empty(),
            echoes: options.me_output_echos,
            start: options.bold2anat_init,
            slices: options.slice_timing(),
            fieldmaps: options.fieldmaps(),
            level: options.level,
            fast: options.fast,
        },
        selected_only: !options.dry_run,
        images: options.dry_run && options.format == Format::Json,
        strict: options.strict,
    };
    let output = config.output.as_deref();
    let needed = || output.ok_or(PlanError::NoOutput);
    let plan = || match &config.input {
        Input::Bids { dir } => plan::plan_dataset(dir, output, &config.selection, &plan_options),
        Input::File { path } => plan::plan_file(path, needed()?, &plan_options),
        Input::Folder { dir } => plan::plan_folder(dir, needed()?, &config.selection.modalities, &plan_options),
    };
    Ok(pool::within(config.threads, plan)??)
}

/// The folder of templates.
fn template_home() -> Option<PathBuf> {
    let of = |name: &str| std::env::var_os(name).map(PathBuf::from);
    templates::home(of("TEMPLATEFLOW_HOME").as_deref(), of("HOME").as_deref())
}

/// The templates that the scans still to be done are brought to.
pub(super) fn targets(plan: &Plan) -> Result<Targets, RunError> {
    let scans = || plan.units.iter().filter(|unit| !unit.done()).flat_map(SessionPlan::to_do);
    let comes_there = |scan: &&ScanPlan| {
        scan.problem.is_none() && (scan.modality == Modality::T1w || scan.wanted.spaces.need_anatomy())
    };
    let Some(first) = scans().find(comes_there) else { return Ok(Targets::default()) };
    Ok(Targets::load(&first.wanted.spaces, template_home().as_deref())?)
}

/// Makes the output folder a derivative dataset, without what killed runs left at its root, after a look at the links in it.
pub(super) fn prepare_output(plan: &Plan) -> Result<(), RunError> {
    let scans = plan.units.iter().filter(|unit| !unit.done()).flat_map(|unit| &unit.scans);
    let outputs = scans.flat_map(ScanPlan::outputs).map(|output| output.path);
    let markers = retimed(plan).map(|(unit, _)| session_file(&unit.id, unit.marker_session.as_deref(), "success"));
    let folders: BTreeSet<PathBuf> =
        outputs.chain(markers).filter_map(|file| Some(file.parent()?.to_owned())).collect();
    links::check(&plan.output, &plan.root, folders.iter().map(PathBuf::as_path).chain([Path::new("logs")]))?;
    let (raw, name, doi) = (plan.root.clone(), plan.name.clone(), plan.doi.clone());
    let origin = Origin { raw, name, doi, container: Container::current() };
    prepare(&plan.output, &origin).map_err(|e| RunError::Output { path: plan.output.clone(), source: Box::new(e) })?;
    derivatives::clear(&plan.output);
    Ok(())
}

fn work(config: &RunConfig, plan: &Plan, room: &MemoryBudget, targets: &Targets) -> Result<ExitStatus, RunError> {
    let run_id = uuid::Uuid::now_v7().to_string();
    let telemetry = crate::telemetry::init(&config.telemetry, Some(&plan.output.join("logs")), &run_id);
    telemetry.protect(personal(plan));
    let cancel = Cancel::on_signals(&process::ignores).unwrap_or_default();
    let (tally, shown) = (Tally::default(), Shown::new(plan, &run_id));
    let sinks: [&dyn EventSink; 4] = [&tally, &shown.live, &shown.lines, telemetry.events()];
    let view = shown::view(&config.telemetry);
    if view != View::Nothing {
        shown::header(plan, &run_id, (config.threads, room.limit), &telemetry.describe());
    }
    let start = Instant::now();
    let outcome = shown.watch(view, &|| cancel.requested().then(|| stop_key(&cancel))).during(|| {
        let settings = PoolSettings { threads: config.threads, memory: plan.memory_for_units(room) };
        work_through(config, (plan, targets), settings, &run_id, &telemetry, &cancel, (&sinks, &tally))
    });
    let counts = tally.counts();
    // The summary comes before telemetry is flushed: whatever the network does, the person knows. The failures of a quiet run
    // are on standard error already.
    let tell = config.telemetry.verbosity > Verbosity::Quiet;
    if outcome.is_ok() {
        // An interrupted run does not spend time on reports.
        let report = if cancel.requested() { None } else { report::after_run(config, plan, &telemetry) };
        if tell {
            let left = (telemetry.process().is_some(), report.as_deref());
            say(&shown::closing(plan, start.elapsed().as_secs_f64(), &counts, left));
        }
    }
    describe_delivery(&config.telemetry, &telemetry.finish());
    outcome?;
    if let Some(why) = cancel.gave_up() {
        return Err(RunError::GaveUp(why.to_owned()));
    }
    Ok(if cancel.requested() {
        ExitStatus::Interrupted
    } else if counts.any_failed() {
        ExitStatus::ScanFailed
    } else {
        ExitStatus::Success
    })
}

/// What ends a run at once that stops: a second request, or the first when the run gave up by itself.
fn stop_key(cancel: &Cancel) -> &'static str {
    if cancel.gave_up().is_some() { "Ctrl-C" } else { "Ctrl-C again" }
}

/// The outcome of the delivery, with `-v`.
pub(super) fn describe_delivery(config: &TelemetryConfig, delivery: &Delivery) {
    if config.verbosity >= Verbosity::Verbose {
        terminal::print(&format!("telemetry: {delivery}\n"));
    }
}

fn work_through(
    config: &RunConfig,
    (plan, targets): (&Plan, &Targets),
    settings: PoolSettings,
    run_id: &str,
    telemetry: &Telemetry,
    cancel: &Cancel,
    (sinks, tally): (&[&dyn EventSink], &Tally),
) -> Result<(), RunError> {
    let units: Vec<&SessionPlan> = plan.units.iter().filter(|u| !u.done()).collect();
    let remote = telemetry.remote_parent();
    // A lone file is its own trace; a run of subjects is linked from each subject's.
    let lone = matches!(config.input, Input::File { .. });
    let run_span = (!lone).then(|| spans::run_span(run_id, verb(&config.input), &remote));
    let entered = run_span.as_ref().map(tracing::Span::enter);
    for warning in config.notes.iter().chain(&plan.warnings).chain(&left_out(plan)) {
        tracing::warn!("{warning}");
    }
    let cx = Context {
        run_id,
        output: &plan.output,
        targets,
        faults: config.options.faults(),
        strict: config.options.strict,
        cancel,
        sinks,
        run_span: run_span.as_ref(),
        remote: &remote,
    };
    note_times(plan, config.threads)?;
    let start = Instant::now();
    let (units_n, scans) = (units.len(), plan.scans_to_do());
    if let Some(span) = &run_span {
        spans::record(span, names::RUN_UNITS, count(units_n));
        spans::record(span, names::RUN_SCANS, count(scans));
    }
    tracing::info!(units = units_n, scans, threads = config.threads, "run started");
    cx.publish(&RunEvent::RunStarted { run_id: run_id.into(), units: units_n, scans, threads: config.threads });
    // Sessions that share an anatomy come one after the other, that with the anatomy first.
    let groups = plan::groups(units.into_iter());
    let memory = |group: &Vec<&SessionPlan>| group.iter().map(|session| session.memory()).max().unwrap_or(0);
    let work = |group: &Vec<&SessionPlan>| {
        group.iter().take_while(|_| !cancel.requested()).for_each(|session| run_session(&cx, session));
    };
    let result = pool::for_each(&groups, settings, cancel, memory, work);
    if let Some(signal) = cancel.asked_by() {
        tracing::warn!("the run was stopped by {signal}; run the same command again to finish it");
    }
    let seconds = start.elapsed().as_secs_f64();
    cx.publish(&RunEvent::RunFinished { seconds });
    tracing::info!(duration_seconds = seconds, "run finished");
    if let Some(span) = &run_span {
        describe_end(span, plan, tally);
    }
    drop(entered);
    result?;
    Ok(())
}

/// Of images that were read only to find their content unchanged, notes the time in the markers. Claimed, because a marker
/// that another run has just removed must not come back.
fn note_times(plan: &Plan, threads: usize) -> Result<(), PoolError> {
    let units: Vec<_> = retimed(plan).collect();
    if units.is_empty() {
        return Ok(());
    }
    let note = |&(unit, touched): &(&SessionPlan, &[(PathBuf, Option<Timestamp>)])| {
        if let Ok(Claimed::Ours(_claim)) = Claim::on_session(&plan.output, &unit.id)
            && let Err(e) = Marker::retime(&plan.output, &unit.id, unit.marker_session.as_deref(), touched)
        {
            tracing::warn!("{e}; the next run reads the same images again");
        }
    };
    pool::within(threads, || units.par_iter().for_each(note))
}

/// The units that stay done although inputs have another time, with what [`Marker::retime`] is to note.
fn retimed(plan: &Plan) -> impl Iterator<Item = (&SessionPlan, &[(PathBuf, Option<Timestamp>)])> + Send {
    plan.units.iter().filter_map(|unit| match &unit.state {
        State::Kept { touched, .. } if !touched.is_empty() => Some((unit, touched.as_slice())),
        _ => None,
    })
}

/// The first few files that were left out, each with its reason, and how many more there are.
fn left_out(plan: &Plan) -> Vec<String> {
    const SHOWN: usize = 10;
    let one = |(path, why): &(PathBuf, String)| format!("left out: {}: {why}", printable::path(path));
    let mut lines: Vec<String> = plan.skipped.iter().take(SHOWN).map(one).collect();
    if plan.skipped.len() > SHOWN {
        lines.push(format!("left out: {} more; --dry-run names all", plan.skipped.len() - SHOWN));
    }
    lines
}

/// How the run ended, on its span. What was done before or not reached is skipped.
fn describe_end(span: &tracing::Span, plan: &Plan, tally: &Tally) {
    let (counts, all) = (tally.counts(), plan.scans());
    let failed = counts.failed.len();
    spans::record(span, names::RUN_SUCCEEDED, count(counts.succeeded));
    spans::record(span, names::RUN_FAILED, count(failed));
    spans::record(span, names::RUN_SKIPPED, count(all.saturating_sub(counts.succeeded + failed)));
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The verb of the run, for telemetry.
const fn verb(input: &Input) -> &'static str {
    match input {
        Input::Bids { .. } => "participant",
        Input::File { .. } => "process",
        Input::Folder { .. } => "batch",
    }
}

/// Everything of a plan that says who a participant is.
pub(super) fn personal(plan: &Plan) -> Vec<(Personal, String)> {
    // In messages paths stand as they are printed.
    let path = |path: &Path| (Personal::Path, printable::path(path));
    let mut out = vec![path(&plan.root), path(&plan.output)];
    for (left_out, _) in &plan.skipped {
        out.push(path(left_out));
    }
    for unit in &plan.units {
        out.push((Personal::Participant, unit.id.participant.clone()));
        out.extend(unit.id.session.clone().map(|session| (Personal::Session, session)));
        for scan in &unit.scans {
            out.push((Personal::Scan, scan.id.clone()));
            out.push(path(&scan.relative));
            out.extend(scan.relative.file_name().map(|name| path(Path::new(name))));
            out.push(path(&scan.file));
        }
    }
    out
}

/// The group level: tables and reports of everything below the output folder.
fn group(config: &RunConfig) -> Result<ExitStatus, RunError> {
    let output = match (&config.output, &config.input) {
        (Some(output), _) => output.clone(),
        (None, Input::Bids { dir }) => study_output(dir)?,
        (None, _) => return Err(PlanError::NoOutput.into()),
    };
    Ok(report::remake(&output, config.threads, !config.options.no_report)?)
}

fn study_output(folder: &Path) -> Result<PathBuf, PlanError> {
    if !crate::nipoppy::is_study(folder) {
        return Err(PlanError::NoOutput);
    }
    Ok(crate::nipoppy::read(folder, env!("CARGO_PKG_VERSION"))?.output_dir)
}
