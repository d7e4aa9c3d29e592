//! The shape of the house: which module may use which. Reads every `crate::` and `super::` path in `src/` and fails on
//! one that is not in the table, and on a crate used outside the folders it was taken for.
//!
//! Unit tests inside the files are free: they may compare with the phantom or read a file.
#![allow(clippy::unwrap_used, clippy::panic)] // The lints' exemption does not reach helpers of tests.

use std::fs;
use std::path::{Path, PathBuf};

/// Folder (or file of the root) → what it may use besides itself, from the ground up: a row names only rows before it, so
/// that no arrow runs back up and none in a circle.
const MAY_USE: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("files", &[]),
    ("machine", &[]),
    ("printable", &[]),
    ("terminal", &["printable"]),
    ("bids", &["error", "files", "printable"]),
    ("vocabulary", &["error", "bids", "printable"]),
    ("templates", &["error", "vocabulary"]),
    ("nipoppy", &["error", "files", "bids"]),
    ("derivatives", &["error", "files", "machine", "printable", "bids", "vocabulary"]),
    ("telemetry", &["error", "files", "machine", "printable", "terminal", "bids", "vocabulary"]),
    ("trace_view", &["error", "printable", "telemetry"]),
    ("plan", &["error", "printable", "bids", "vocabulary", "nipoppy", "derivatives"]),
    ("step", &["error", "vocabulary", "templates", "derivatives", "telemetry", "plan"]),
    ("pipeline", &["error", "templates", "bids", "vocabulary", "derivatives", "telemetry", "plan", "step"]),
    ("run", &["error", "machine", "vocabulary", "derivatives", "telemetry", "plan", "step", "pipeline"]),
    ("progress", &["error", "files", "machine", "terminal", "bids", "vocabulary", "derivatives"]),
    ("tables", &["printable", "bids", "vocabulary", "derivatives"]),
    ("pages", &["error", "files", "printable", "bids", "derivatives", "trace_view", "tables"]),
    ("score", &["error", "bids", "vocabulary", "derivatives"]),
    ("slurm", &["error", "printable", "terminal", "vocabulary", "plan"]),
    ("cli", &["error", "files", "bids", "vocabulary", "derivatives", "telemetry"]),
    (
        "app",
        &[
            "error",
            "machine",
            "printable",
            "terminal",
            "bids",
            "vocabulary",
            "templates",
            "nipoppy",
            "derivatives",
            "telemetry",
            "trace_view",
            "plan",
            "step",
            "run",
            "progress",
            "tables",
            "pages",
            "score",
            "slurm",
            "cli",
        ],
    ),
];

/// Crate → the folders that may name it; one that is not listed may be used anywhere. What `crates/` may use is in their
/// manifests, and the compiler holds it.
const CRATES: &[(&str, &[&str])] = &[
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("console", &["terminal"]),
    ("jsonschema", &["cli"]),
    ("minijinja", &["pages"]),
    ("base64", &["pages"]),
    ("toml", &["cli"]),
    ("opentelemetry", &["telemetry"]),
    ("opentelemetry_sdk", &["telemetry"]),
    ("prost", &["telemetry"]),
    ("tonic", &["telemetry"]),
    ("tonic_types", &["telemetry"]),
    ("opentelemetry_proto", &["telemetry"]),
    ("tracing_opentelemetry", &["telemetry"]),
    ("tracing_subscriber", &["telemetry"]),
    ("tokio", &["telemetry"]),
    ("ring", &["telemetry"]),
    ("ureq", &["telemetry"]),
    ("tracing", &["telemetry", "step", "run", "app"]),
    ("signal_hook", &["step"]),
];

/// All that the imaging crate may use: numerics.
const IMAGING_CRATES: &[&str] = &["ndarray", "rayon", "realfft", "thiserror"];

fn is_within(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// What is wrong with `source`, the code of `module`.
fn faults(module: &str, source: &str) -> Vec<String> {
    let code = plain_code(source);
    let mut found = Vec::new();
    let room = module.split("::").next().unwrap_or(module);
    match MAY_USE.iter().find(|(name, _)| *name == room) {
        None => found.push(format!("{room} has no row in the table of tests/offline/architecture.rs")),
        Some((own, allowed)) => {
            for path in inner_paths(module, &code) {
                if !is_within(&path, own) && !allowed.iter().any(|a| is_within(&path, a)) {
                    found.push(format!("{module} uses crate::{path}"));
                }
            }
        }
    }
    for krate in outer_crates(&code) {
        let listed = CRATES.iter().find(|(name, _)| *name == krate);
        if listed.is_some_and(|(_, users)| !users.contains(&room)) {
            found.push(format!("{module} uses the crate {krate}"));
        }
    }
    found
}

/// The dependencies that a manifest names.
fn dependencies(manifest: &Path) -> Vec<String> {
    let manifest: toml::Table = fs::read_to_string(manifest).unwrap().parse().unwrap();
    manifest["dependencies"].as_table().unwrap().keys().cloned().collect()
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

/// Every source file below `folder`, with its module.
fn modules(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    rust_files(folder, &mut files);
    assert!(files.len() > 5, "no sources found in {}", folder.display());
    let read = |file: &PathBuf| (module_of(file.strip_prefix(folder).unwrap()), fs::read_to_string(file).unwrap());
    files.iter().map(read).collect()
}

fn source(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

#[test]
fn the_table_runs_one_way() {
    for (at, (name, allowed)) in MAY_USE.iter().enumerate() {
        let before = |used: &&str| MAY_USE[..at].iter().any(|(earlier, _)| earlier == used);
        let late: Vec<_> = allowed.iter().filter(|used| !before(used)).collect();
        assert!(late.is_empty(), "{name} may not use {late:?}: a row names only rows before it");
    }
}

#[test]
fn modules_use_only_what_they_may() {
    let mut found = Vec::new();
    for (module, text) in modules(&source("src")) {
        // The two roots wire everything together; unit tests in files of their own are free.
        if module != "lib" && module != "main" && !module.ends_with("tests") {
            found.extend(faults(&module, &text));
        }
    }
    found.sort();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Files of one folder are a line of thought, too: none uses another that uses it, directly or by way of others.
#[test]
fn no_file_uses_one_that_uses_it() {
    for folder in
        ["src", "crates/imaging/src", "crates/nifti/src", "crates/figures/src", "crates/phantom/src", "crates/itk/src"]
    {
        let files: Vec<(String, String)> =
            modules(&source(folder)).into_iter().filter(|(module, _)| !module.ends_with("tests")).collect();
        let names: Vec<&str> = files.iter().map(|(module, _)| module.as_str()).collect();
        let uses: Vec<Vec<usize>> = files.iter().map(|(module, text)| used_files(module, text, &names)).collect();
        for start in 0..names.len() {
            let way = way_back(start, &uses);
            assert!(way.is_empty(), "{folder}: {}", way.iter().map(|at| names[*at]).collect::<Vec<_>>().join(" → "));
        }
    }
}

/// The files among `names` that a file uses: of each path the longest beginning that is one.
fn used_files(module: &str, text: &str, names: &[&str]) -> Vec<usize> {
    let longest = |path: String| {
        let mut path = path.as_str();
        loop {
            if let Some(at) = names.iter().position(|name| *name == path) {
                return Some(at);
            }
            path = path.rsplit_once("::")?.0;
        }
    };
    let mut used: Vec<usize> = inner_paths(module, &plain_code(text)).into_iter().filter_map(longest).collect();
    used.retain(|at| names[*at] != module);
    used
}

/// The files on a way from `start` back to it; none where there is no such way.
fn way_back(start: usize, uses: &[Vec<usize>]) -> Vec<usize> {
    let mut from = vec![None; uses.len()];
    let mut next = vec![start];
    while let Some(at) = next.pop() {
        for &used in &uses[at] {
            if used == start {
                let mut way = vec![start];
                let mut step = Some(at);
                while let Some(at) = step {
                    way.push(at);
                    step = from[at].filter(|_| at != start);
                }
                way.reverse();
                return way;
            }
            if from[used].is_none() {
                from[used] = Some(at);
                next.push(used);
            }
        }
    }
    Vec::new()
}

#[test]
fn imaging_uses_numerics_only() {
    for name in dependencies(&source("crates/imaging/Cargo.toml")) {
        assert!(IMAGING_CRATES.contains(&name.as_str()), "crates/imaging depends on {name}");
    }
}

#[test]
fn files_are_short_and_say_what_they_are() {
    for folder in ["src", "crates"] {
        let mut files = Vec::new();
        rust_files(&source(folder), &mut files);
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let lines = text.lines().count();
            assert!(lines <= 500, "{} has {lines} lines; divide it", file.display());
            assert!(text.starts_with("//!"), "{} does not begin by saying what it is", file.display());
        }
    }
}

#[test]
fn the_check_sees_what_it_should() {
    let wrong = [
        ("bids", "use crate::telemetry::spans;"),
        ("bids::walk", "fn f() { crate::telemetry::spans::record(); }"),
        ("bids::walk", "use super::super::plan::Plan;"),
        ("error", "use super::bids::Label;"),
        ("derivatives::save", "use crate::{error::ErrorCode, plan::{self, ScanPlan}};"),
        ("telemetry::names", "use super::super::run::X;"),
        ("step", "use crate::pipeline::session;"),
        ("plan", "use crate::run::{pool::Pool};"),
        ("pipeline::stages::load", "use clap::Parser;"),
        ("bids", "fn f() { opentelemetry::global::meter(\"x\") }"),
        ("cli", "use crate::{telemetry::config::{LogFormat as Form, Verbosity}, plan};"),
        ("elsewhere", ""),
        ("error", "macro_rules! m { () => { $crate::bids::Label }; }"),
    ];
    for (module, code) in wrong {
        assert!(!faults(module, code).is_empty(), "{module}: {code}");
    }
    let right = [
        ("bids::walk", "use super::entities::Entities;\nuse crate::error::{Coded, ErrorCode};\nuse std::fmt;"),
        ("bids", "// crate::plan\nconst S: &str = \"crate::plan::X \\\" super::plan\"; /* tracing::x */"),
        ("error", "const Q: char = '\"'; use imaging::bias::BiasError; const R: &str = r#\"crate::bids::\"x\"#;"),
        ("error", "#[cfg(test)]\nmod tests { use crate::plan::Plan; }"),
        ("vocabulary::event", "use crate::{bids::Modality as M, error::ErrorCode};"),
        ("run::pool", "use super::waiting::Waiting; use crate::step::cancel::Cancel; use tracing::Span;"),
        ("cli::args", "use super::{Format, Level}; use clap::{Args, Parser}; use crate::telemetry::config::LogFormat;"),
    ];
    for (module, code) in right {
        assert_eq!(faults(module, code), Vec::<String>::new(), "{code}");
    }
    let names = ["a", "b", "c"];
    let uses = |texts: [&str; 3]| -> Vec<Vec<usize>> {
        names.iter().zip(texts).map(|(module, text)| used_files(module, text, &names)).collect()
    };
    let circle = uses(["use crate::b::X;", "use super::c::Y;", "use crate::{a::Z, b};"]);
    assert!(!way_back(0, &circle).is_empty() && !way_back(1, &circle).is_empty());
    let line = uses(["use crate::b::X;", "use super::c::Y;", ""]);
    assert!((0..3).all(|start| way_back(start, &line).is_empty()));
}
