//! The parts of documents that follow from tables in the code: error codes, exit statuses, settings, stages. The text around
//! them is written by hand.
//!
//! `UPDATE_DOCS=1 cargo test --release --test offline docs_generated::` writes them anew; without it they are compared.
#![allow(clippy::unwrap_used, clippy::panic)] // The lints' exemption does not reach helpers of tests.

use neuro_preprocess::bids::Modality;
use neuro_preprocess::cli::exit::ExitStatus;
use neuro_preprocess::cli::{command, typed};
use neuro_preprocess::error::{ErrorClass, ErrorCode};
use neuro_preprocess::telemetry::names;
use neuro_preprocess::vocabulary::Stage;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

/// Compares the blocks of a document with what the code says, or writes them anew.
fn compare(name: &str, blocks: &[(&str, String)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    let found = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("docs/{name}: {e}"));
    let expected = blocks.iter().fold(found.clone(), |page, (block, text)| with_block(&page, block, text));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, expected).unwrap();
        return;
    }
    let differs = found.lines().zip(expected.lines()).find(|(a, b)| a != b);
    let advice = "run UPDATE_DOCS=1 cargo test --release --test offline docs_generated::, and read the change";
    assert!(found == expected, "docs/{name} is not what the code says, first at {differs:?}; {advice}");
}

/// The page with `text` between the mark of this name and the next end mark.
fn with_block(page: &str, name: &str, text: &str) -> String {
    let mark = format!("<!-- {name}: made by tests/offline/docs_generated.rs -->\n");
    let (before, rest) = page.split_once(&mark).unwrap_or_else(|| panic!("no mark {name}"));
    let (_, after) = rest.split_once("<!-- end -->").unwrap();
    format!("{before}{mark}{text}<!-- end -->{after}")
}

#[test]
fn error_codes_and_exit_statuses() {
    let mut codes = String::new();
    for class in ErrorClass::ALL {
        let of_class: Vec<_> = ErrorCode::ALL.iter().filter(|c| c.class() == class).collect();
        if of_class.is_empty() {
            continue;
        }
        writeln!(codes, "\n### {class}\n\n| Code | What happened |\n|---|---|").unwrap();
        for code in of_class {
            writeln!(codes, "| `{code}` | {} |", code.meaning()).unwrap();
        }
    }
    codes.push('\n');
    assert!(ErrorCode::ALL.iter().all(|c| codes.contains(&format!("| `{c}` |"))), "a class is missing from ALL");

    let mut statuses = "| Number | Name | Meaning |\n|---|---|---|\n".to_owned();
    for status in ExitStatus::ALL {
        writeln!(statuses, "| {} | {} | {} |", status.number(), status.as_str(), status.meaning()).unwrap();
    }
    compare("errors.md", &[("codes", codes), ("statuses", statuses)]);
}

#[test]
fn settings() {
    let mut text = String::new();
    let settings: Vec<_> = typed::settings().collect();
    for section in settings.chunk_by(|a, b| a.section == b.section) {
        let keys: Vec<String> = section.iter().map(|s| format!("`{}` ({})", s.key, s.values())).collect();
        writeln!(text, "- `[{}]`: {}", section[0].section, keys.join(", ")).unwrap();
    }
    for s in settings {
        // What the page says of all of them.
        assert_eq!(s.variable(), format!("NEURO_PREPROCESS_{}", s.key.to_ascii_uppercase().replace('-', "_")));
        let option = command().get_arguments().any(|a| a.get_long() == Some(s.key));
        assert!(option || s.key == "verbosity", "{} is no option", s.key);
    }
    compare("02-running.md", &[("settings", text)]);
}

/// The parts of `telemetry.md` that follow from the table of stages.
#[test]
fn stages_in_telemetry() {
    let mut spans = "| name | parent | what it is |\n|---|---|---|\n".to_owned();
    let mut keys: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    for stage in Stage::ALL {
        let parent = if stage.is_phase() { names::PREPROCESS_SCAN } else { stage.phase().span() };
        let kinds: Vec<_> = stage.kinds().iter().map(|kind| kind.as_str()).collect();
        let only = if kinds.len() < Modality::ALL.len() { format!("{}: ", kinds.join(", ")) } else { String::new() };
        let label = if stage.as_str() == stage.span() {
            String::new()
        } else {
            format!(" (stage `{stage}`)", stage = stage.as_str())
        };
        writeln!(spans, "| `{}` | `{parent}` | {only}{}{label} |", stage.span(), stage.what()).unwrap();
        for (key, value) in stage.attributes().iter().filter(|(key, _)| !names::ATTRIBUTES.contains(key)) {
            match keys.iter_mut().find(|(known, ..)| known == key) {
                Some((.., on)) => on.push(stage.as_str()),
                None => keys.push((key, value, vec![stage.as_str()])),
            }
        }
    }
    let mut attributes = "| key | on | value |\n|---|---|---|\n".to_owned();
    for (key, value, on) in keys {
        writeln!(attributes, "| `{key}` | {} | {value} |", on.join(", ")).unwrap();
    }
    compare("telemetry.md", &[("stages", spans), ("stage attributes", attributes)]);
}

/// Not made from the code, but held against it: every crate has its line, and no line outlives its crate.
#[test]
fn every_crate_has_its_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut crates: BTreeSet<String> = BTreeSet::new();
    for manifest in ["", "crates/figures", "crates/imaging", "crates/itk", "crates/nifti", "crates/phantom"] {
        let manifest: toml::Table =
            std::fs::read_to_string(root.join(manifest).join("Cargo.toml")).unwrap().parse().unwrap();
        let tables = ["dependencies", "dev-dependencies"].into_iter().filter_map(|t| manifest.get(t)?.as_table());
        crates.extend(tables.flat_map(|t| t.keys().cloned()));
    }
    // Our own.
    crates.retain(|name| !["figures", "imaging", "itk", "nifti", "phantom"].contains(&name.as_str()));
    let decisions = std::fs::read_to_string(root.join("docs/decisions.md")).unwrap();
    let lines = decisions.split("## Crates").nth(1).unwrap().lines().filter(|line| line.starts_with("- `"));
    let cells = lines.filter_map(|line| line.split(": ").next());
    // In backquotes: crates, and after "with" their features.
    let named: BTreeSet<String> = cells
        .flat_map(|cell| cell.split(" with ").next().unwrap_or_default().split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect();
    assert_eq!(named, crates, "docs/decisions.md (left) and Cargo.toml (right) name different crates");
}
