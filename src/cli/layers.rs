//! One answer out of four sources: option, environment, configuration file, default.

use super::config_file::{self, Loaded};
use super::error::Refusal;
use super::options::Options;
use super::request::Stated;
use super::typed::{self, Texts, settings};
use super::values::{self, Env};
use crate::telemetry::config::without_password;
use std::path::Path;

/// The settings after precedence, and the number of threads, which has one source more.
pub(super) struct Layers {
    /// Options over environment over file over defaults.
    pub options: Options,
    /// At least 1.
    pub threads: usize,
    /// Remarks for the start of the run.
    pub notes: Vec<String>,
    /// What each source said, the strongest last.
    said: Vec<Stated>,
}

impl Layers {
    /// Reads the configuration file and the environment, and puts what was typed over them.
    ///
    /// The file comes after `SLURM_CPUS_PER_TASK`, because it is written for a machine and Slurm speaks of this very task.
    pub fn gather(typed: &Texts, env: Env) -> Result<Self, Refusal> {
        let Loaded { mut options, path, texts, note } = config_file::load(typed.get("config").map(Path::new), env)?;
        let mut notes: Vec<String> = note.into_iter().collect();
        let say = |key, text: &str, source| Stated { key, value: Some(text.to_owned()), source };
        let file = format!("file {}", path.as_deref().unwrap_or(Path::new("")).display());
        let mut said: Vec<Stated> = texts.0.iter().map(|(key, text)| say(*key, text, file.clone())).collect();
        let of_file = options.nprocs.take();
        for row in settings() {
            let name = row.variable();
            // An empty variable counts as unset, as for the `OTEL_*` variables.
            let Some(value) = env(&name).filter(|value| !value.trim().is_empty()) else { continue };
            row.set(&mut options, value.trim()).map_err(|problem| bad(name.clone(), &value, problem))?;
            said.push(say(row.key, &value, format!("environment {name}")));
        }
        for (key, text) in &typed.0 {
            let set = typed::of(key).map_or(Ok(()), |row| row.set(&mut options, text));
            set.map_err(|problem| bad(format!("--{key}"), text, problem))?;
            said.push(say(*key, text, "option".to_owned()));
        }
        let threads = options.nprocs.or_else(|| slurm_threads(env, &mut notes)).or(of_file);
        let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        Ok(Self { options, threads, notes, said })
    }

    /// Who said what: each setting of `section` with the strongest source that names it.
    pub fn stated(&self, section: &str) -> Vec<Stated> {
        let rows = settings().filter(|row| row.section == section);
        let of = |key| self.said.iter().rfind(|said| said.key == key).cloned();
        rows.map(|row| of(row.key).unwrap_or(Stated { key: row.key, value: None, source: "default".to_owned() }))
            .collect()
    }
}

fn bad(name: String, value: &str, problem: String) -> Refusal {
    Refusal::BadVariable { name, value: without_password(value), problem }
}

/// The processors Slurm gave this task. What it writes is not the user's doing, so nonsense is a remark.
fn slurm_threads(env: Env, notes: &mut Vec<String>) -> Option<usize> {
    let text = env("SLURM_CPUS_PER_TASK")?;
    let threads = values::threads(text.trim());
    if threads.is_err() {
        notes.push(format!("SLURM_CPUS_PER_TASK={text:?} is not a number of processors; not used"));
    }
    threads.ok()
}
