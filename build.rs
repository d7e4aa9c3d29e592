//! Writes the commit the binary was built from into `NEURO_PREPROCESS_COMMIT`, for `--version` and the telemetry resource.
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=NEURO_PREPROCESS_COMMIT");
    // Cargo takes a path that is not there (a worktree, a source archive) for changed, every time.
    for path in [".git/HEAD", ".git/refs/heads"] {
        if std::path::Path::new(path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    println!("cargo:rerun-if-changed=build.rs");
    // A container build has no .git: it passes the commit in.
    let commit = std::env::var("NEURO_PREPROCESS_COMMIT").ok().or_else(git_commit);
    println!("cargo:rustc-env=NEURO_PREPROCESS_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
}

fn git_commit() -> Option<String> {
    let out = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    (out.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
