//! Tries the documentation: every command after a `$` in the console blocks of the README, of `SECURITY.md` and of `docs/` is run, in the
//! order it stands, in one empty folder per document.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod common;

use common::run_command;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Commands that are run as they are by other means: the first is `tests/demo.rs`, the second runs this test and the others.
const RUN_ELSEWHERE: [&str; 4] = [
    "cargo run --release -- demo normal -o demo",
    "bash tests/run.sh",
    "bash tests/audit.sh",
    "cargo test --release --test fuzz",
];
/// Tried with the programs they are about, by `tests/stack/`, `tests/nipoppy.rs` and `tests/nipoppy_inside.rs`.
const TRIED_ELSEWHERE: [&str; 3] = ["01-setup.md", "02-running.md", "04-nipoppy-integration.md"];
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
    documents.extend(["README.md", "SECURITY.md"].map(|name| root.join(name)));
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

#[test]
fn links_between_documents_lead_somewhere() {
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap();
            if !path.is_empty() && !path.contains("://") {
                assert!(document.parent().unwrap().join(path).exists(), "{}: {target}", document.display());
            }
        }
    }
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
