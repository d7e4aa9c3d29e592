//! Writes the commit the binary was built from into `NEURO_PREPROCESS_COMMIT`, for `--version` and the telemetry resource.
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=NEURO_PREPROCESS_COMMIT");
    // In a worktree they lie elsewhere. Cargo takes a path that is not there (a source archive) for changed, every time.
    for name in ["HEAD", "refs/heads"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|p| std::path::Path::new(p).exists()) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    println!("cargo:rerun-if-changed=build.rs");
    // A container build has no .git: it passes the commit in.
    let commit = std::env::var("NEURO_PREPROCESS_COMMIT").ok();
    let commit = commit.or_else(|| git(&["rev-parse", "--short=12", "HEAD"]));
    println!("cargo:rustc-env=NEURO_PREPROCESS_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
}

/// What git says; nothing where there is no git or no repository.
fn git(arguments: &[&str]) -> Option<String> {
    let out = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    (out.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
