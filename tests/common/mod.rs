//! What the whole-command tests share: running the binary, and the Python environment with the real peers.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says where")]

pub mod console;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The outcome of a command.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    fn of(output: Output) -> Self {
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
    let python = peers_python()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(script);
    Some(run_command(Command::new(python).arg(script).args(args)))
}

/// The Python with the peers. Where it cannot be installed a CI run fails; elsewhere the test is skipped, and says so.
fn peers_python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    PYTHON.get_or_init(|| installed("peers", "requirements.txt")).as_deref()
}

/// The folder of programs of an environment with Nipoppy and Boutiques, of their own because their pins are many.
pub fn nipoppy() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    PYTHON.get_or_init(|| installed("nipoppy", "requirements-nipoppy.txt")).as_deref().and_then(Path::parent)
}

fn installed(name: &str, requirements: &str) -> Option<PathBuf> {
    match install(name, requirements) {
        Ok(python) => Some(python),
        Err(e) if std::env::var_os("CI").is_some() => panic!("the peers of {requirements} cannot be installed: {e}"),
        Err(e) => {
            eprintln!("SKIPPED: the peers of {requirements} cannot be installed: {e}");
            None
        }
    }
}

/// Installs requirements of `tests/peers` into an environment of that name below `.cache`, unless they are there.
fn install(name: &str, requirements: &str) -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let requirements = root.join("tests/peers").join(requirements);
    let wanted = std::fs::read_to_string(&requirements).map_err(|e| e.to_string())?;
    let venv = root.join(".cache").join(name);
    let (python, stamp) = (venv.join("bin/python"), venv.join("installed.txt"));
    std::fs::create_dir_all(root.join(".cache")).map_err(|e| e.to_string())?;
    // Test binaries may run side by side: one installs, the others wait.
    let lock = std::fs::File::create(root.join(format!(".cache/{name}.lock"))).map_err(|e| e.to_string())?;
    lock.lock().map_err(|e| e.to_string())?;
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(python);
    }
    must(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    must(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(&requirements),
    )?;
    std::fs::write(&stamp, wanted).map_err(|e| e.to_string())?;
    Ok(python)
}

fn must(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {text}")) }
}
