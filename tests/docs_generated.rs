//! The documents made from tables in the code: error codes, exit statuses, the command line.
//!
//! `UPDATE_DOCS=1 cargo test --release --test docs_generated` writes them anew; without it they are compared.
#![allow(clippy::unwrap_used, clippy::panic)] // The lints' exemption does not reach helpers of tests.

use neuro_preprocess::bids::Modality;
use neuro_preprocess::cli::exit::ExitStatus;
use neuro_preprocess::cli::{command, settings::SETTINGS};
use neuro_preprocess::error::{ErrorClass, ErrorCode};
use neuro_preprocess::telemetry::names;
use neuro_preprocess::vocabulary::Stage;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

const MADE: &str = "<!-- Made by tests/docs_generated.rs from the code: edit there. -->";

fn compare(name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, expected).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("docs/{name}: {e}"));
    let differs = found.lines().zip(expected.lines()).find(|(a, b)| a != b);
    let advice = "run UPDATE_DOCS=1 cargo test --release --test docs_generated, and read the change";
    assert!(found == expected, "docs/{name} is not what the code says, first at {differs:?}; {advice}");
}

#[test]
fn errors() {
    let mut text = format!("# Error codes\n\n{MADE}\n\n");
    text.push_str(
        "Every refusal and failure has one of these codes: in the message, the log, the trace (`error.code`), the\n\
         report and the sidecar of a failed scan. A code is never renamed or reused. The class is the `error.type` of\n\
         spans and the `error_type` label of `neuro_errors_total`; the exit status is that of a run the failure ends\n\
         (a run that goes on past failed scans ends with 1, see [exit-codes.md](exit-codes.md)). On the command line\n\
         `neuro-preprocess explain CODE` says the same.\n",
    );
    for class in ErrorClass::ALL {
        let codes: Vec<_> = ErrorCode::ALL.iter().filter(|c| c.class() == class).collect();
        if codes.is_empty() {
            continue;
        }
        write!(
            text,
            "\n## {class}\n\n| Code | What happened | Usual causes | What to do | Exit |\n|---|---|---|---|---|\n"
        )
        .unwrap();
        for code in codes {
            let exit = ExitStatus::from(*code).number();
            let (meaning, causes, advice) = (code.meaning(), code.causes(), code.advice());
            writeln!(text, "| `{code}` | {meaning} | {causes} | {advice} | {exit} |").unwrap();
        }
    }
    assert!(ErrorCode::ALL.iter().all(|c| text.contains(&format!("| `{c}` |"))), "a class is missing from ALL");
    compare("errors.md", &text);
}

#[test]
fn exit_statuses() {
    let mut text = format!("# Exit statuses\n\n{MADE}\n\n| Number | Name | Meaning | From |\n|---|---|---|---|\n");
    for status in ExitStatus::ALL {
        let codes = ErrorCode::ALL.iter().filter(|c| ExitStatus::from(**c) == *status);
        let codes: Vec<_> = codes.map(|c| format!("`{c}`")).collect();
        let (number, name) = (status.number(), status.as_str());
        writeln!(text, "| {number} | {name} | {} | {} |", status.meaning(), codes.join(", ")).unwrap();
    }
    text.push_str(
        "\n0, 1 and 16 to 19 follow the BIDS execution specification (BEP027), the others `sysexits.h`. The last column\n\
         lists the [error codes](errors.md) that end a run with this status.\n",
    );
    compare("exit-codes.md", &text);
}

#[test]
fn command_line() {
    let mut text = format!("# Command line\n\n{MADE}\n\n");
    text.push_str(
        "Options with several values (`--participant-label 01 02`) take every word up to the next option, as in other\n\
         BIDS apps. So the folders come first (`BIDS_DIR OUTPUT_DIR participant --participant-label 01 02`), or `--`\n\
         ends the values (`--participant-label 01 02 -- BIDS_DIR OUTPUT_DIR participant`).\n",
    );
    let mut whole = command();
    section(&mut text, "neuro-preprocess", &mut whole);
    for verb in whole.get_subcommands_mut().filter(|verb| verb.get_name() != "help") {
        let title = format!("neuro-preprocess {}", verb.get_name());
        section(&mut text, &title, verb);
        for inner in verb.get_subcommands_mut().filter(|inner| inner.get_name() != "help") {
            section(&mut text, &format!("{title} {}", inner.get_name()), inner);
        }
    }
    text.push_str(
        "\n## Environment and configuration file\n\nAn option wins over the environment, the environment over the file, \
         the file over the default. The number of\nthreads is taken from `SLURM_CPUS_PER_TASK` where neither option nor \
         `NEURO_PREPROCESS_NPROCS` says it, before the\nfile. An empty variable counts as unset. The file is `--config \
         FILE`, else `neuro-preprocess/config.toml` in\n`$XDG_CONFIG_HOME` or `~/.config`; an unknown key is refused.\n\n\
         | Section | Key | Variable | Value | Meaning |\n|---|---|---|---|---|\n",
    );
    for s in SETTINGS {
        let variable = s.variable();
        writeln!(text, "| `[{}]` | `{}` | `{variable}` | {} | {} |", s.section, s.key, s.values, s.meaning).unwrap();
    }
    compare("cli.md", &text);
}

/// The parts of `telemetry.md` that follow from the table of stages; the rest of the page is written by hand.
#[test]
fn stages_in_telemetry() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/telemetry.md");
    let page = std::fs::read_to_string(path).unwrap();
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
    let page = with_block(&page, "stages", &spans);
    compare("telemetry.md", &with_block(&page, "stage attributes", &attributes));
}

/// The page with `text` between the mark of this name and the next end mark.
fn with_block(page: &str, name: &str, text: &str) -> String {
    let mark = format!("<!-- {name}: made by tests/docs_generated.rs from the table of stages -->\n");
    let (before, rest) = page.split_once(&mark).unwrap_or_else(|| panic!("no mark {name}"));
    let (_, after) = rest.split_once("<!-- end -->").unwrap();
    format!("{before}{mark}{text}<!-- end -->{after}")
}

/// The long help of one command, without the blanks clap leaves at line ends.
fn section(text: &mut String, title: &str, command: &mut clap::Command) {
    let named = std::mem::take(command).bin_name(title).term_width(100);
    *command = named;
    let help = command.render_long_help().to_string();
    let lines: Vec<_> = help.lines().map(str::trim_end).collect();
    write!(text, "\n## {title}\n\n```text\n{}\n```\n", lines.join("\n").trim_end()).unwrap();
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
    let rows = decisions.split("## Crates").nth(1).unwrap().lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|row| row.split(" | ").next());
    // In backquotes: crates, and after "with" their features.
    let named: BTreeSet<String> = cells
        .flat_map(|cell| cell.split(" with ").next().unwrap_or_default().split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect();
    assert_eq!(named, crates, "docs/decisions.md (left) and Cargo.toml (right) name different crates");
}
