//! The shape of the house: which module may use which. Reads every `crate::` and `super::` path in `src/` and fails on
//! one that is not in the table, and on a crate used outside the modules it was taken for.
//!
//! Unit tests inside the files are free: they may compare with the phantom or read a file.
#![allow(clippy::unwrap_used, clippy::panic)] // The lints' exemption does not reach helpers of tests.

use std::fs;
use std::path::{Path, PathBuf};

/// Module → what it may use besides itself. The most specific row applies; a module without a row is a failure.
const MAY_USE: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("host", &[]),
    ("files", &[]),
    ("imaging", &["error"]),
    ("figures", &["imaging", "error"]),
    ("nifti", &["error"]),
    ("bids", &["printable", "error", "files"]),
    ("nipoppy", &["bids", "error", "files"]),
    ("synth", &["imaging", "nifti", "bids", "error"]),
    ("printable", &[]),
    ("run::reason", &["printable", "error"]),
    ("run::event", &["run::reason", "bids", "error"]),
    ("derivatives", &["printable", "figures", "imaging", "bids", "nifti", "error", "host", "files", "run::event"]),
    ("plan", &["printable", "derivatives", "bids", "nipoppy", "nifti", "run::event", "run::reason", "error"]),
    (
        "stages",
        &[
            "plan",
            "derivatives",
            "figures",
            "imaging",
            "nifti",
            "synth",
            "bids",
            "error",
            "run::event",
            "telemetry::names",
        ],
    ),
    ("run", &["plan", "stages", "derivatives", "nifti", "telemetry::spans", "telemetry::names", "bids", "error"]),
    ("telemetry::config", &[]),
    ("telemetry::names", &["run::event"]),
    ("terminal", &["printable"]),
    ("telemetry", &["run::event", "run::reason", "bids", "printable", "terminal", "error", "host", "files"]),
    ("trace_view", &["telemetry::names", "telemetry::spool", "printable", "error"]),
    ("report", &["run::event", "derivatives", "bids", "printable", "terminal", "error", "host", "files"]),
    ("pages", &["printable", "report", "trace_view", "derivatives", "figures", "bids", "error", "files"]),
    ("score", &["imaging", "nifti", "bids", "derivatives::outputs", "error"]),
    ("slurm", &["plan", "printable", "terminal", "error"]),
    (
        "app",
        &[
            "cli",
            "plan",
            "slurm",
            "run",
            "report",
            "pages",
            "score",
            "derivatives",
            "synth",
            "nipoppy",
            "bids",
            "telemetry",
            "trace_view",
            "pages",
            "printable",
            "terminal",
            "host",
            "error",
        ],
    ),
    ("cli::descriptor", &["cli", "derivatives::outputs", "bids"]),
    ("cli", &["bids", "synth", "telemetry::config", "run::faults", "run::event", "error", "files"]),
];

/// Crate → the modules that may name it. Crates that are not listed may be used anywhere but in `imaging`.
const CRATES: &[(&str, &[&str])] = &[
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("console", &["terminal"]),
    ("jsonschema", &["cli::invocation"]),
    ("jpeg_encoder", &["figures"]),
    ("minijinja", &["pages"]),
    ("base64", &["pages"]),
    ("toml", &["cli"]),
    ("opentelemetry", &["telemetry"]),
    ("opentelemetry_sdk", &["telemetry"]),
    ("prost", &["telemetry"]),
    ("tonic", &["telemetry"]),
    ("tonic_types", &["telemetry"]),
    ("opentelemetry_proto", &["telemetry"]),
    ("opentelemetry_appender_tracing", &["telemetry"]),
    ("tracing_opentelemetry", &["telemetry"]),
    ("tracing_subscriber", &["telemetry"]),
    ("tokio", &["telemetry"]),
    ("ring", &["telemetry"]),
    ("terminal_size", &["app"]),
    ("ureq", &["telemetry"]),
    ("tracing", &["telemetry", "run", "app"]),
    ("signal_hook", &["run"]),
    ("zlib_rs", &["nifti"]),
    ("xxhash_rust", &["nifti"]),
];

/// All that numerics may use from outside: numerics.
const IMAGING_CRATES: &[&str] = &["ndarray", "rayon", "realfft", "std", "core", "thiserror"];

fn is_within(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The row for the code in `module`, such as `run::event`.
fn row(module: &str) -> Option<&'static (&'static str, &'static [&'static str])> {
    MAY_USE.iter().filter(|(name, _)| is_within(module, name)).max_by_key(|(name, _)| name.len())
}

/// What is wrong with `source`, the code of `module`.
fn faults(module: &str, source: &str) -> Vec<String> {
    let code = plain_code(source);
    let mut found = Vec::new();
    match row(module) {
        None => found.push(format!("{module} has no row in the table of tests/architecture.rs")),
        Some((own, allowed)) => {
            for path in inner_paths(module, &code) {
                let fine = is_within(&path, own) || allowed.iter().any(|a| is_within(&path, a));
                if !fine {
                    found.push(format!("{module} uses crate::{path}"));
                }
            }
        }
    }
    for krate in outer_crates(&code) {
        let listed = CRATES.iter().find(|(name, _)| *name == krate);
        let fine = listed.is_none_or(|(_, users)| users.iter().any(|u| is_within(module, u)));
        let numerics = is_within(module, "imaging") && !IMAGING_CRATES.contains(&krate.as_str());
        if !fine || numerics && is_dependency(&krate) {
            found.push(format!("{module} uses the crate {krate}"));
        }
    }
    found
}

/// Whether `krate` is a dependency and not a type, enum or module of ours that happens to begin a path.
fn is_dependency(krate: &str) -> bool {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let named = manifest.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.replace('-', "_"));
    named.into_iter().any(|name| name == krate)
}

/// The source without comments, the content of strings, and unit tests (the last item of a file by convention).
fn plain_code(source: &str) -> String {
    let end = source.find("#[cfg(test)]\nmod ").unwrap_or(source.len());
    let mut plain = String::with_capacity(end);
    let mut rest = &source[..end];
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if let Some(length) = literal(rest) {
            length
        } else {
            plain.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        plain.push(' ');
        rest = &rest[skipped..];
    }
    plain
}

/// The length of the string or character literal that `rest` begins with.
fn literal(rest: &str) -> Option<usize> {
    if let Some(raw) = rest.strip_prefix("r") {
        let hashes = raw.chars().take_while(|c| *c == '#').count();
        if raw[hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let inside = &raw[hashes + 1..];
            return inside.find(&close).map(|at| 2 + hashes + at + close.len());
        }
        return None;
    }
    // A quote as a character must not open a string.
    for character in ["'\"'", "'\\\"'", "'\\''"] {
        if rest.starts_with(character) {
            return Some(character.len());
        }
    }
    let inside = rest.strip_prefix('"')?;
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// Every path of `code` into this crate, from its root: `bids::Modality` for `crate::bids::Modality` and the like.
fn inner_paths(module: &str, code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (start, word) in [("crate::", ""), ("super::", module)] {
        for (at, _) in code.match_indices(start) {
            if begins_path(code, at) {
                let mut rest = &code[at..];
                let mut base: Vec<&str> = if word.is_empty() { Vec::new() } else { module.split("::").collect() };
                rest = rest.strip_prefix("crate::").unwrap_or(rest);
                while let Some(up) = rest.strip_prefix("super::") {
                    base.pop();
                    rest = up;
                }
                expand(&base.join("::"), rest, &mut paths);
            }
        }
    }
    paths.retain(|path| !path.is_empty());
    paths
}

/// Whether a path begins at `at`, and does not go on there from `$`, `::` or a longer word.
fn begins_path(code: &str, at: usize) -> bool {
    !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
}

/// Adds what `rest` names under `base`; `{a, b::c}` names several. Returns what follows it.
fn expand<'a>(base: &str, rest: &'a str, paths: &mut Vec<String>) -> &'a str {
    let rest = rest.trim_start();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            inside = expand(base, inside, paths).trim_start();
            // A name given with `as` is not part of the path.
            inside = inside.strip_prefix("as ").map_or(inside, |s| s.trim_start_matches(|c: char| !",}".contains(c)));
            if let Some(more) = inside.strip_prefix(',') {
                inside = more;
            } else {
                return inside.strip_prefix('}').unwrap_or("");
            }
        }
    }
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    let path = match (base, name) {
        ("", _) => name.to_owned(),
        (_, "" | "self") => base.to_owned(),
        _ => format!("{base}::{name}"),
    };
    match after.strip_prefix("::") {
        Some(deeper) if !deeper.starts_with('<') => expand(&path, deeper, paths),
        _ => {
            paths.push(path);
            after
        }
    }
}

/// The first words of paths, such as `clap` in `clap::Parser`, and of attribute paths and `use` lines.
fn outer_crates(code: &str) -> Vec<String> {
    let mut crates: Vec<String> = Vec::new();
    for (at, _) in code.match_indices("::") {
        let word: String = code[..at].chars().rev().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let begins = begins_path(code, at - word.len()) && !word.is_empty();
        if begins {
            crates.push(word.chars().rev().collect());
        }
    }
    crates.sort();
    crates.dedup();
    crates
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// `run::event` for `src/run/event.rs`, `run` for `src/run/mod.rs`.
fn module_of(relative: &Path) -> String {
    let path = relative.with_extension("");
    let parts: Vec<_> = path.iter().map(|p| p.to_str().unwrap()).filter(|p| *p != "mod").collect();
    parts.join("::")
}

#[test]
fn modules_use_only_what_they_may() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    assert!(files.len() > 10, "no sources found");
    let mut found = Vec::new();
    for file in files {
        let module = module_of(file.strip_prefix(&src).unwrap());
        // The two roots wire everything together.
        if module != "lib" && module != "main" {
            found.extend(faults(&module, &fs::read_to_string(&file).unwrap()));
        }
    }
    found.sort();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let lines = text.lines().count();
        assert!(lines <= 500, "{} has {lines} lines; divide it", file.display());
        assert!(text.starts_with("//!"), "{} does not begin by saying what it is", file.display());
    }
}

#[test]
fn the_check_sees_what_it_should() {
    let wrong = [
        ("imaging::bias", "use crate::bids::Modality;"),
        ("imaging::bias", "fn f() { crate::telemetry::spans::record(); }"),
        ("imaging", "use tracing::info;"),
        ("imaging::filter", "use serde::Serialize;"),
        ("imaging::filter", "use super::super::nifti::Header;"),
        ("nifti", "use super::bids::Label;"),
        ("nifti::read", "use crate::{error::ErrorCode, bids::{self, Label}};"),
        ("telemetry::names", "use super::spans::X;"),
        ("run", "use crate::telemetry::metrics::Metrics;"),
        ("plan", "use crate::run::{event::RunEvent, pool::Pool};"),
        ("stages::load", "use clap::Parser;"),
        ("bids", "fn f() { opentelemetry::global::meter(\"x\") }"),
        ("cli", "use crate::{telemetry::config::{LogFormat as Form, Verbosity}, plan};"),
        ("elsewhere", ""),
        ("error", "macro_rules! m { () => { $crate::bids::Label }; }"),
    ];
    for (module, code) in wrong {
        assert!(!faults(module, code).is_empty(), "{module}: {code}");
    }
    let right = [
        ("imaging::bias", "use super::filter::smooth;\nuse crate::error::{Coded, ErrorCode};\nuse std::fmt;"),
        ("imaging", "// crate::bids\nconst S: &str = \"crate::bids::X \\\" super::bids\"; /* tracing::x */"),
        ("imaging", "const Q: char = '\"'; use crate::error::Coded; const R: &str = r#\"crate::bids::\"x\"#;"),
        ("imaging", "#[cfg(test)]\nmod tests { use crate::synth::t1w; }"),
        ("run::event", "use crate::{bids::Modality as M, error::ErrorCode};"),
        ("run::pool", "use super::event::RunEvent; use crate::vocabulary::Faults; use tracing::Span;"),
        ("telemetry::delivery", "use super::config::TelemetryConfig; use crate::vocabulary::EventSink;"),
        ("cli::args", "use super::{Format, Level}; use clap::{Args, Parser}; use crate::telemetry::config::LogFormat;"),
    ];
    for (module, code) in right {
        assert_eq!(faults(module, code), Vec::<String>::new(), "{code}");
    }
}
