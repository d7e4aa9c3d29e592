//! One answer out of four sources: option, environment, configuration file, default.

use super::args::{ObserveArgs, ResourceArgs};
use super::config_file::{self, Loaded};
use super::error::Refusal;
use super::request::Stated;
use super::settings::{self, Env, SETTINGS, Settings};
use crate::telemetry::config::{Verbosity, without_password};
use std::path::Path;

/// Who said what about telemetry: each setting of `[observability]` with the strongest source that names it.
pub(super) fn stated(observe: &ObserveArgs, env: Env) -> Result<Vec<Stated>, Refusal> {
    let file = config_file::load(observe.config.as_deref(), env)?;
    let of = |key: &'static str, variable: String| {
        let option = typed(observe, key).map(|value| (value, "option".to_owned()));
        let in_environment = || {
            let value = env(&variable).filter(|value| !value.trim().is_empty())?;
            Some((value, format!("environment {variable}")))
        };
        let in_file = || {
            let value = file.texts.iter().find(|(k, _)| k == key)?.1.clone();
            Some((value, format!("file {}", file.path.as_deref().unwrap_or(Path::new("")).display())))
        };
        match option.or_else(in_environment).or_else(in_file) {
            Some((value, source)) => Stated { key, value: Some(value), source },
            None => Stated { key, value: None, source: "default".to_owned() },
        }
    };
    let ours = SETTINGS.iter().filter(|setting| setting.section == "observability");
    Ok(ours.map(|setting| of(setting.key, setting.variable())).collect())
}

/// What an option of `[observability]` was given as.
fn typed(observe: &ObserveArgs, key: &str) -> Option<String> {
    let yes = |given: bool| given.then(|| "true".to_owned());
    match key {
        "no-telemetry" => yes(observe.no_telemetry),
        "otel-endpoint" => observe.otel_endpoint.clone(),
        "flush-timeout" => observe.flush_timeout.map(|time| time.as_secs_f64().to_string()),
        "no-subject-metrics" => yes(observe.no_subject_metrics),
        "pseudonymize" => yes(observe.pseudonymize),
        "pseudonymize-key" => observe.pseudonymize_key.as_ref().map(|path| path.display().to_string()),
        "trace" => yes(observe.trace),
        "log-format" => observe.log_format.map(|format| format!("{format:?}").to_lowercase()),
        "verbosity" => verbosity(observe).map(|verbosity| format!("{verbosity:?}").to_lowercase()),
        _ => None,
    }
}

/// The settings after precedence, and the number of threads, which has one source more.
pub(super) struct Layers {
    /// Options over environment over file; unset values are `None`.
    pub settings: Settings,
    /// At least 1.
    pub threads: usize,
    /// Remarks for the start of the run.
    pub notes: Vec<String>,
}

impl Layers {
    /// Reads the environment and the configuration file, and puts the options over them.
    ///
    /// `flags` holds the options that only some forms have. The file comes after `SLURM_CPUS_PER_TASK`, because it is
    /// written for a machine and Slurm speaks of this very task.
    pub fn gather(resources: &ResourceArgs, observe: &ObserveArgs, flags: Settings, env: Env) -> Result<Self, Refusal> {
        let flags = Settings {
            nprocs: resources.nprocs.map(usize::from),
            mem: resources.mem.clone(),
            no_telemetry: observe.no_telemetry.then_some(true),
            otel_endpoint: observe.otel_endpoint.clone(),
            flush_timeout: observe.flush_timeout,
            no_subject_metrics: observe.no_subject_metrics.then_some(true),
            pseudonymize: observe.pseudonymize.then_some(true),
            pseudonymize_key: observe.pseudonymize_key.clone(),
            trace: observe.trace.then_some(true),
            log_format: observe.log_format,
            verbosity: verbosity(observe),
            ..flags
        };
        let Loaded { settings: file, note, .. } = config_file::load(observe.config.as_deref(), env)?;
        let mut notes: Vec<String> = note.into_iter().collect();
        let typed = flags.or(from_environment(env)?);
        let threads = typed.nprocs.or_else(|| slurm_threads(env, &mut notes)).or(file.nprocs);
        let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        Ok(Self { settings: typed.or(file), threads, notes })
    }
}

fn verbosity(observe: &ObserveArgs) -> Option<Verbosity> {
    match (observe.quiet, observe.debug, observe.verbose) {
        (true, ..) => Some(Verbosity::Quiet),
        (_, true, _) => Some(Verbosity::Debug),
        (_, _, true) => Some(Verbosity::Verbose),
        _ => None,
    }
}

/// An empty variable counts as unset, as for the `OTEL_*` variables.
fn from_environment(env: Env) -> Result<Settings, Refusal> {
    let mut settings = Settings::default();
    for setting in SETTINGS {
        let name = setting.variable();
        let Some(value) = env(&name).filter(|value| !value.trim().is_empty()) else { continue };
        settings.set(setting.key, &value).map_err(|problem| Refusal::BadVariable {
            value: without_password(&value),
            name,
            problem,
        })?;
    }
    Ok(settings)
}

/// The processors Slurm gave this task. What it writes is not the user's doing, so nonsense is a remark.
fn slurm_threads(env: Env, notes: &mut Vec<String>) -> Option<usize> {
    let text = env("SLURM_CPUS_PER_TASK")?;
    let threads = settings::threads(text.trim());
    if threads.is_err() {
        notes.push(format!("SLURM_CPUS_PER_TASK={text:?} is not a number of processors; not used"));
    }
    threads.ok()
}
