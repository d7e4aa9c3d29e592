//! What the whole-command tests share: running the binary, and the Python environment with the real peers.
#![allow(dead_code, reason = "each test crate uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says where")]

pub mod apptainer;
pub mod browser;
pub mod collector;
pub mod console;
pub mod install;
pub mod loki;
pub mod measured;
pub mod nifti;
pub mod otlp;
pub mod outputs;
pub mod prometheus;
pub mod quick;
pub mod receiver;
pub mod server;
pub mod slurm;
pub mod stored;
pub mod tmux;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Most tests are not about templates, and bringing a head to one takes several times as long as all else that is done to it.
pub const NO_TEMPLATE: (&str, &str) = ("NEURO_PREPROCESS_OUTPUT_SPACES", "func");

/// The outcome of a command.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Of what a process left.
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The last line of stdout.
    pub fn last_line(&self) -> &str {
        self.stdout.lines().last().unwrap_or_default()
    }

    /// Fails the test unless the exit code is as expected, showing everything that was said.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// The binary with a clean environment: nothing of the machine's configuration reaches it.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neuro-preprocess"));
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command.env(NO_TEMPLATE.0, NO_TEMPLATE.1);
    command
}

/// Runs the binary.
pub fn run<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Ran {
    Ran::of(binary().args(args).output().expect("the binary starts"))
}

/// Runs a prepared command.
pub fn run_command(command: &mut Command) -> Ran {
    Ran::of(command.output().expect("the command starts"))
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Makes a named pipe.
pub fn pipe(path: &Path) {
    run_command(Command::new("mkfifo").arg(path)).exits(0);
}

/// `setpriv`, with a clean environment, which runs what follows as the user `nobody`, whom file permissions bind; only root
/// can.
pub fn as_nobody() -> Result<Command, String> {
    let me = std::fs::metadata("/proc/self").map_err(|e| e.to_string())?;
    if me.uid() != 0 {
        return Err("only root can become another user".to_owned());
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).env_clear().env("PATH", "/usr/bin:/bin");
    Ok(command)
}

/// The real scans and oracles that a checkout may have beside it; tests that use them say so when they are absent.
pub fn shared(path: &str) -> Option<PathBuf> {
    let shared = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")).join(path);
    if shared.exists() {
        return Some(shared);
    }
    eprintln!("SKIPPED: {path} is not beside this checkout");
    None
}

/// Runs one of the scripts in `tests/peers` with the Python of `.cache/peers`, which is made on first use.
pub fn peer(script: &str, args: &[&Path]) -> Option<Ran> {
    Some(script_with(peers_python()?, script, args))
}

/// Runs one of the scripts in `tests/peers` with the Python of `.cache/fitlins`, of its own because FitLins needs libraries that
/// are older than those of the other peers.
pub fn fitlins(script: &str, args: &[&Path]) -> Option<Ran> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    let installed = || install::python("fitlins", "tests/peers/requirements-fitlins.txt");
    let python = PYTHON.get_or_init(|| install::or_skip("FitLins", installed())).as_deref()?;
    Some(script_with(python, script, args))
}

/// Runs one of the scripts in `tests/peers` with the Python of `.cache/fmriprep`, of its own for its many pins.
pub fn fmriprep(script: &str, args: &[&Path]) -> Option<Ran> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    let installed = || install::python("fmriprep", "tests/peers/requirements-fieldmaps.txt");
    let python = PYTHON.get_or_init(|| install::or_skip("fMRIPrep", installed())).as_deref()?;
    Some(script_with(python, script, args))
}

fn script_with(python: &Path, script: &str, args: &[&Path]) -> Ran {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(script);
    run_command(Command::new(python).arg(script).args(args))
}

/// The Python with the peers. Where it cannot be installed a CI run fails; elsewhere the test is skipped, and says so.
fn peers_python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    PYTHON
        .get_or_init(|| install::or_skip("the peers", install::python("peers", "tests/peers/requirements.txt")))
        .as_deref()
}

/// The folder of programs of an environment with Nipoppy and Boutiques, of their own because their pins are many.
pub fn nipoppy() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    let installed = || install::python("nipoppy", "tests/peers/requirements-nipoppy.txt");
    PYTHON.get_or_init(|| install::or_skip("Nipoppy", installed())).as_deref().and_then(Path::parent)
}
