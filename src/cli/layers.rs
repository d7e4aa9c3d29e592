//! One answer out of four sources: option, environment, configuration file, default.

use super::args::{ObserveArgs, ResourceArgs};
use super::config_file;
use super::error::Refusal;
use super::resolve::Env;
use super::settings::{self, SETTINGS, Settings};
use crate::telemetry::config::Verbosity;

/// The settings after precedence, and the number of threads, which has one source more.
pub(super) struct Layers {
    /// Options over environment over file; what nobody set is `None`.
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
            trace: observe.trace.then_some(true),
            log_format: observe.log_format,
            verbosity: verbosity(observe),
            ..flags
        };
        let (file, note) = config_file::load(observe.config.as_deref(), env)?;
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
        settings.set(setting.key, &value).map_err(|problem| Refusal::BadVariable { name, value, problem })?;
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
