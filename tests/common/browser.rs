//! The reports in a real browser: headless Chromium, driven by Playwright, asked by axe-core.

use crate::common::install::{or_skip, root, script};
use crate::common::run_command;
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
    let modules = script("install_browser.sh", &[])?;
    let chromium = script("install_chromium.sh", &[])?;
    Ok(Browser { modules, chromium: chromium.display().to_string() })
}
