//! The reports in a real browser: headless Chromium, driven by Playwright, asked by axe-core.

use super::common::install::{must, once, or_skip, root};
use super::common::run_command;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

/// The folder of the modules and the program.
struct Browser {
    modules: PathBuf,
    chromium: String,
}

/// Runs a check of `tests/browser/check.mjs` on a report and fails the test with what it found. One browser runs at a
/// time; pictures are left in `target/browser/NAME`.
#[track_caller]
pub fn check(check: &str, output: &Path, name: &str) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(browser) = browser() else { return };
    let shots = root("target/browser").join(name);
    let mut node = Command::new("node");
    node.arg(root("tests/browser/check.mjs")).arg(check).arg(output).arg(shots);
    node.env("BROWSER_MODULES", &browser.modules).env("CHROMIUM", &browser.chromium);
    let ran = run_command(&mut node).exits(0);
    eprintln!("{}", ran.stdout.trim_end());
}

fn browser() -> Option<&'static Browser> {
    static BROWSER: OnceLock<Option<Browser>> = OnceLock::new();
    BROWSER.get_or_init(|| or_skip("Chromium with Playwright", install())).as_ref()
}

fn install() -> Result<Browser, String> {
    let files = ["package.json", "package-lock.json"].map(|name| root("tests/browser").join(name));
    let read = |file: &PathBuf| std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()));
    let recipe = read(&files[0])? + &read(&files[1])?;
    let modules = once("browser", &recipe, |folder| {
        for file in &files {
            let name = file.file_name().unwrap_or_default();
            std::fs::copy(file, folder.join(name)).map_err(|e| e.to_string())?;
        }
        must(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(folder))
    })?;
    let found = run_command(Command::new("bash").arg(root("tests/peers/install_chromium.sh")));
    if found.code == 0 { Ok(Browser { modules, chromium: found.last_line().to_owned() }) } else { Err(found.stderr) }
}
