//! Tries the documentation: every command after a `$` in the console blocks of `docs/` and of the documents beside the code is run,
//! in the order it stands, in one empty folder per document. Links must lead to files and headings that exist.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use crate::common::{NO_TEMPLATE, run_command};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Commands that are run as they are by other means: the first is `demo.rs`, the second runs this test and the others.
const RUN_ELSEWHERE: [&str; 5] = [
    "cargo run --release -- demo normal -o demo",
    "bash tests/run.sh",
    "bash tests/audit.sh",
    "cargo test --release --test offline fuzz::",
    "cargo test --release --test offline fuzz:: -- --ignored",
];
/// Documents outside of `docs/`.
const BESIDE: [&str; 5] =
    ["README.md", "SECURITY.md", "benches/README.md", "tests/offline/corpus/expected.md", "tests/fuzz/README.md"];
/// Tried with the programs they are about, by `stack`, `nipoppy.rs`, `nipoppy_inside.rs` and `dicom.rs` of `tests/services`.
const TRIED_ELSEWHERE: [&str; 4] = ["01-setup.md", "02-running.md", "04-nipoppy-integration.md", "from-dicom.md"];
/// Programs that take minutes or change this checkout; their documents say what they need.
const LONG: [&str; 7] = [
    "cargo bench",
    "benches/memory.py",
    "benches/peers/run.sh",
    "benches/scale.sh",
    "benches/telemetry.sh",
    "tests/fuzz/run.sh",
    "valgrind ",
];

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|f| f.unwrap().path());
    let mut documents: Vec<PathBuf> = docs.filter(|p| p.extension().is_some_and(|e| e == "md")).collect();
    documents.extend(BESIDE.map(|name| root.join(name)));
    documents.sort();
    documents
}

/// The commands of a document's console blocks, without the comment behind them.
fn commands(text: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        match line.trim_start().strip_prefix("```") {
            Some(fence) => inside = !inside && fence == "console",
            None if inside => {
                found.extend(line.strip_prefix("$ ").map(|c| c.split(" #").next().unwrap().trim().to_owned()))
            }
            None => {}
        }
    }
    found
}

#[test]
fn every_command_in_the_documentation_works() {
    let bin = Path::new(env!("CARGO_BIN_EXE_neuro-preprocess")).parent().unwrap();
    let mut tried = 0;
    for document in documents() {
        let name = document.file_name().unwrap().to_string_lossy().into_owned();
        if TRIED_ELSEWHERE.contains(&name.as_str()) {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        for command in commands(&fs::read_to_string(&document).unwrap()) {
            if RUN_ELSEWHERE.contains(&command.as_str()) || LONG.iter().any(|l| command.contains(l)) {
                continue;
            }
            assert!(
                command.contains("neuro-preprocess") || command.starts_with("printf"),
                "{name}: {command} is not tried by anything"
            );
            let mut shell = Command::new("sh");
            shell.args(["-c", &command]).current_dir(dir.path()).env_clear();
            shell.env("PATH", format!("{}:/usr/bin:/bin", bin.display())).env("HOME", dir.path());
            // What is brought to templates is tried by `templates.rs`, and takes longer than all else.
            shell.env(NO_TEMPLATE.0, NO_TEMPLATE.1);
            // The one scenario that is meant to fail.
            let code = i32::from(command.contains("demo failures"));
            let ran = run_command(&mut shell);
            assert_eq!(ran.code, code, "{name}: $ {command}\n{}\n{}", ran.stdout, ran.stderr);
            tried += 1;
        }
    }
    assert!(tried >= 8, "{tried} commands were found");
}

#[test]
fn commands_are_found_in_console_blocks_only() {
    let text = "$ no\n```console\n$ yes a # why\nout\n$ too\n```\n```text\n$ no\n```\n";
    assert_eq!(commands(text), ["yes a", "too"]);
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
    headings.map(|heading| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

#[test]
fn links_between_documents_lead_somewhere() {
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            if path.contains("://") {
                continue;
            }
            let file = if path.is_empty() { document.clone() } else { document.parent().unwrap().join(path) };
            assert!(file.exists(), "{}: {target}", document.display());
            if !anchor.is_empty() {
                let there = anchors(&fs::read_to_string(&file).unwrap());
                assert!(there.iter().any(|a| a == anchor), "{}: {target}", document.display());
            }
        }
    }
}

#[test]
fn anchors_are_made_as_in_a_browser() {
    assert_eq!(anchors("# The caller's trace\n## Settings, all\ntext\n"), ["the-callers-trace", "settings-all"]);
}

/// Other files (code, configurations, scripts) that name a page of `docs/` name one that is there.
#[test]
fn pages_named_in_other_files_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = ["benches", "boutiques", "configs", "containers", "crates", "nipoppy", "src", "tests"]
        .map(|f| root.join(f))
        .to_vec();
    let mut named = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                let made = entry.ends_with("target") || entry.ends_with("node_modules") || entry.is_symlink();
                folders.extend((!made).then_some(entry));
                continue;
            }
            // What is no text names nothing.
            let Ok(text) = fs::read_to_string(&entry) else { continue };
            for rest in text.split("docs/").skip(1) {
                let length = rest.find(|c: char| !(c.is_alphanumeric() || "-_./".contains(c))).unwrap_or(rest.len());
                let Some(end) = rest[..length].find(".md") else { continue };
                let page = root.join("docs").join(&rest[..end + 3]);
                assert!(page.exists(), "{} names {}", entry.display(), page.display());
                named += 1;
            }
        }
    }
    assert!(named > 30, "{named} were found");
}

#[test]
fn the_index_names_every_document_and_nothing_else() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let index = fs::read_to_string(docs.join("README.md")).unwrap();
    let links: Vec<&str> = index.split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap()).collect();
    for link in &links {
        assert!(docs.join(link).exists(), "docs/README.md leads to {link}, which is not there");
    }
    for document in documents() {
        let name = document.file_name().unwrap().to_string_lossy().into_owned();
        let named = name == "README.md" || links.iter().any(|link| Path::new(link).file_name() == document.file_name());
        assert!(named, "docs/README.md does not name {name}");
    }
}
