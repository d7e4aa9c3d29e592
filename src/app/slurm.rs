//! A run on a cluster: plan, write the jobs, submit them, report what was submitted.

use super::preprocess::{RunError, describe_delivery, make_plan, personal, prepare_output, targets};
use super::say;
use crate::cli::exit::ExitStatus;
use crate::cli::{Input, RunConfig, SlurmConfig, typed};
use crate::error::{Coded, ErrorCode};
use crate::plan::{self, Plan, SessionPlan};
use crate::slurm::{self, Job, MOST_TASKS, SUBMIT, SlurmError};
use crate::telemetry::config::without_password;
use crate::telemetry::{TOLD_ELSEWHERE, context, names, spans};
use std::path::{Path, PathBuf};

/// Jobs that were not made or not sent.
#[derive(Debug, thiserror::Error)]
pub enum SubmissionError {
    /// There is no plan, or no place for the output.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Scripts or Slurm.
    #[error(transparent)]
    Slurm(#[from] SlurmError),
}

impl Coded for SubmissionError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Run(e) => e.code(),
            Self::Slurm(e) => e.code(),
        }
    }
}

/// Writes the jobs for the unfinished sessions, and submits them with `--submit`.
///
/// # Errors
/// [`SubmissionError`].
pub fn run(config: &SlurmConfig) -> Result<ExitStatus, SubmissionError> {
    let mut plan = make_plan(&config.run)?;
    // Nodes have other working directories.
    for path in [&mut plan.root, &mut plan.output] {
        *path = absolute(path);
    }
    plan.refuse_empty().map_err(RunError::from)?;
    // Better here than in each of a thousand tasks.
    targets(&plan)?;
    let units: Vec<&SessionPlan> = plan.units.iter().filter(|u| !u.done()).collect();
    if units.is_empty() {
        say(&format!("all {} participant-sessions are done: nothing to submit\n", plan.units.len()));
        return Ok(ExitStatus::Success);
    }
    if config.run.options.dry_run {
        say(&scripts(config, &plan, units, &plan.output.join("logs"), Vec::new())?.array);
        return Ok(ExitStatus::Success);
    }
    prepare_output(&plan)?;
    submission(config, &plan, units)?;
    Ok(ExitStatus::Success)
}

/// The part that is traced: its context goes into the scripts, so that every task's run is part of this trace.
fn submission(config: &SlurmConfig, plan: &Plan, units: Vec<&SessionPlan>) -> Result<(), SubmissionError> {
    let run_id = uuid::Uuid::now_v7().to_string();
    let logs = plan.output.join("logs");
    let telemetry = crate::telemetry::init(&config.run.telemetry, Some(&logs), &run_id);
    telemetry.protect(personal(plan));
    let span = spans::submit_span(&run_id, &telemetry.remote_parent());
    spans::record(&span, names::RUN_UNITS, i64::try_from(units.len()).unwrap_or(i64::MAX));
    let entered = span.enter();
    for warning in config.run.notes.iter().chain(&plan.warnings) {
        tracing::warn!("{warning}");
    }
    let folder = logs.join(format!("slurm-{run_id}"));
    let sent = send(config, plan, units, &folder, context::variables(&spans::context(&span)));
    match &sent {
        Ok(text) => tracing::info!("{text}"),
        Err(e) => {
            spans::fail(&span, e.code(), &e.to_string());
            tracing::error!(target: TOLD_ELSEWHERE, error_code = e.code().as_str(), "{e}");
        }
    }
    drop(entered);
    drop(span);
    if let Ok(text) = &sent {
        say(&format!("{text}\n"));
    }
    describe_delivery(&config.run.telemetry, &telemetry.finish());
    sent.map(|_| ())
}

fn send(
    config: &SlurmConfig,
    plan: &Plan,
    units: Vec<&SessionPlan>,
    folder: &Path,
    trace: Vec<(String, String)>,
) -> Result<String, SubmissionError> {
    let n = units.len();
    slurm::write(folder, &scripts(config, plan, units, folder, trace)?)?;
    if config.submit {
        let jobs = slurm::submit(folder)?;
        Ok(format!("{n} participant-sessions submitted: {jobs}; scripts and logs in {}", folder.display()))
    } else {
        Ok(format!("{n} participant-sessions to submit: sh {}", folder.join(SUBMIT).display()))
    }
}

fn scripts(
    config: &SlurmConfig,
    plan: &Plan,
    units: Vec<&SessionPlan>,
    folder: &Path,
    trace: Vec<(String, String)>,
) -> Result<slurm::Scripts, SlurmError> {
    // Sessions that share an anatomy are done one after the other, by one task.
    let groups = plan::groups(units.into_iter());
    let batch = config.batch.unwrap_or_else(|| groups.len().div_ceil(MOST_TASKS));
    let tasks: Vec<Vec<&SessionPlan>> = groups.chunks(batch).map(<[_]>::concat).collect();
    let tasks: Vec<&[&SessionPlan]> = tasks.iter().map(Vec::as_slice).collect();
    let needs = slurm::needs(&tasks, config.cpus, config.run.memory_bytes);
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("neuro-preprocess"));
    let image = config.image.as_deref().map(absolute);
    let files: Vec<(&str, PathBuf)> = [
        ("--bids-filter-file", &config.run.selection.filter_file),
        ("--config", &config.config_file),
        ("--pseudonymize-key", &config.key_file),
    ]
    .into_iter()
    .filter_map(|(option, file)| Some((option, absolute(file.as_deref()?))))
    .collect();
    if let Some(endpoint) = config.run.telemetry.endpoint.as_deref().map(without_password)
        && config.run.telemetry.endpoint.as_deref() != Some(&endpoint)
    {
        return Err(SlurmError::Password { endpoint });
    }
    let Input::Bids { dir } = &config.run.input else {
        let problem = "slurm takes a dataset";
        return Err(SlurmError::Path { path: plan.root.clone(), problem });
    };
    slurm::scripts(&Job {
        folder,
        input: &absolute(dir),
        output: &plan.output,
        program: &program,
        image: image.as_deref(),
        files: files.iter().map(|(_, file)| file.as_path()).collect(),
        arguments: arguments(&config.run, &files),
        report: !config.run.options.no_report,
        scans: plan.scans(),
        force: config.run.options.force,
        groups,
        batch,
        max_concurrent: config.max_concurrent,
        cpus: config.cpus,
        needs,
        time: config.time.as_deref(),
        options: &config.options,
        trace,
    })
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The options of a task's run; its participant-sessions are in its list.
fn arguments(run: &RunConfig, files: &[(&str, PathBuf)]) -> Vec<String> {
    let tasks = run.selection.tasks.iter().map(|task| format!("--task-id={task}"));
    let files = files.iter().map(|(option, file)| format!("{option}={}", file.display()));
    typed::words(&run.options).into_iter().chain(tasks).chain(files).collect()
}
