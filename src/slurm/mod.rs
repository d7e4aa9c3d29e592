//! A plan as Slurm jobs: one array job for the unfinished sessions, then a job for tables and reports.
//!
//! Everything is text made from the plan ([`scripts`]), written into one folder ([`write`]), and sent by the shell script
//! among it ([`submit`]), so that what a person sends by hand is the same.

mod estimate;
mod script;

pub use estimate::{Needs, needs};
pub use script::{Job, Scripts, scripts};

use crate::error::{Coded, ErrorCode};
use crate::terminal::shell_word;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Largest array that Slurm takes as it is installed: `MaxArraySize` is 1001, and indices stay below it.
pub const MOST_TASKS: usize = 1000;
/// Name of the script that sends the others.
pub const SUBMIT: &str = "submit.sh";

/// Jobs that could not be made or sent.
#[derive(Debug, thiserror::Error)]
pub enum SlurmError {
    /// A path that cannot be used in a script.
    #[error("{} cannot be used in a job script: {problem}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What in it is in the way.
        problem: &'static str,
    },
    /// A password that would appear in a script.
    #[error(
        "the endpoint {endpoint} has a password, which would appear in the job scripts: set it as OTEL_EXPORTER_OTLP_ENDPOINT, \
         or credentials as OTEL_EXPORTER_OTLP_HEADERS; tasks get both from the environment of the submission"
    )]
    Password {
        /// The endpoint without it.
        endpoint: String,
    },
    /// A script cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no Slurm here.
    #[error(
        "sbatch was not found on this machine, so no job was submitted; on the login node of the cluster, run sh {}",
        shell_word(&script.to_string_lossy())
    )]
    NoSlurm {
        /// The script that sends the jobs.
        script: PathBuf,
    },
    /// The jobs were not taken, or only the first of them.
    #[error("sh {} failed: {said}", script.display())]
    Submit {
        /// The script that sends them.
        script: PathBuf,
        /// What `sbatch` or the shell said.
        said: String,
    },
}

impl Coded for SlurmError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Path { .. } | Self::Password { .. } => ErrorCode::Usage,
            Self::Write { .. } => ErrorCode::OutputUnusable,
            Self::NoSlurm { .. } | Self::Submit { .. } => ErrorCode::SubmitFailed,
        }
    }
}

/// Writes the scripts and the list of participant-sessions into `folder`, which is created.
///
/// # Errors
/// [`SlurmError::Write`].
pub fn write(folder: &Path, scripts: &Scripts) -> Result<(), SlurmError> {
    let failed = |path: &Path, source| SlurmError::Write { path: path.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
    for (name, text) in scripts.files() {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|e| failed(&path, e))?;
    }
    Ok(())
}

fn has_sbatch() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join("sbatch").is_file())
}

/// Sends what [`write`] left in `folder`. Returns what the script says: the ids of both jobs.
///
/// # Errors
/// [`SlurmError::NoSlurm`] and [`SlurmError::Submit`].
pub fn submit(folder: &Path) -> Result<String, SlurmError> {
    let script = folder.join(SUBMIT);
    if !has_sbatch() {
        return Err(SlurmError::NoSlurm { script });
    }
    let failed = |said: String| SlurmError::Submit { script: script.clone(), said };
    let output = Command::new("sh").arg(&script).output().map_err(|e| failed(e.to_string()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(failed(String::from_utf8_lossy(&output.stderr).trim().lines().collect::<Vec<_>>().join("; ")))
    }
}
