//! Writes the commit the binary was built from into `NEURO_PREPROCESS_COMMIT`, for `--version` and the telemetry resource.
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=NEURO_PREPROCESS_COMMIT");
    // HEAD, and the branch it is on, which is a file of its own or, until the next commit, a line among others.
    let file = |name: &str| git(&["rev-parse", "--git-path", name]).filter(|path| std::path::Path::new(path).exists());
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]).and_then(|name| file(&name)).or_else(|| file("refs/heads"));
    // Cargo takes a path that is not there (a source archive) for changed, every time.
    for path in [file("HEAD"), branch].into_iter().flatten() {
        println!("cargo:rerun-if-changed={path}");
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
