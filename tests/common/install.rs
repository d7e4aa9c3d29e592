//! Real peers, installed into `.cache` by the first test that needs one, or before it by `tests/peers/install_all.sh`, and kept there.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A path in the repository.
pub fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Where a peer cannot be installed a CI run fails; elsewhere the test is skipped, and says so.
pub fn or_skip<T>(peer: &str, installed: Result<T, String>) -> Option<T> {
    match installed {
        Ok(peer) => Some(peer),
        Err(e) if std::env::var_os("CI").is_some() => panic!("{peer} cannot be installed: {e}"),
        Err(e) => {
            eprintln!("SKIPPED: {peer} cannot be installed: {e}");
            None
        }
    }
}

/// The folder `.cache/NAME`, which `install` fills unless it did so before with the same `recipe`. Test binaries may run
/// side by side: one installs, the others wait.
pub fn once(name: &str, recipe: &str, install: impl FnOnce(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
    let folder = root(".cache").join(name);
    let stamp = folder.join("installed.txt");
    std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    let lock = std::fs::File::create(folder.with_extension("lock")).map_err(|e| e.to_string())?;
    lock.lock().map_err(|e| e.to_string())?;
    if !std::fs::read_to_string(&stamp).is_ok_and(|have| have == recipe) {
        install(&folder)?;
        std::fs::write(&stamp, recipe).map_err(|e| e.to_string())?;
    }
    Ok(folder)
}

/// Runs a script of `tests/peers` that installs a peer, unless it did so before; what it prints last is where the peer is.
pub fn script(name: &str, args: &[&str]) -> Result<PathBuf, String> {
    let script = root("tests/peers").join(name);
    let ran = super::run_command(Command::new("bash").arg(script).args(args).current_dir(root("")));
    if ran.code == 0 { Ok(ran.last_line().into()) } else { Err(ran.stderr) }
}

/// The Python of `.cache/NAME` with the packages of a requirements file.
pub fn python(name: &str, requirements: &str) -> Result<PathBuf, String> {
    script("install_python.sh", &[name, requirements])
}

/// The same, for files that are packed with a package: without what the package itself would need.
pub fn packed(name: &str, requirements: &str) -> Result<PathBuf, String> {
    script("install_python.sh", &[name, requirements, "--no-deps"])
}

/// Runs a command that has to succeed.
pub fn must(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {text}")) }
}

/// Takes away what Cargo tells a test: it would make Cargo, called by a script, compile crates anew.
pub fn without_cargo(command: &mut Command) -> &mut Command {
    let of_cargo = ["CARGO_PKG_", "CARGO_MANIFEST_", "OUT_DIR", "NEURO_PREPROCESS_"];
    for (name, _) in std::env::vars().filter(|(name, _)| of_cargo.iter().any(|start| name.starts_with(start))) {
        command.env_remove(name);
    }
    command
}
