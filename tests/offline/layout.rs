//! How the tests lie: in two crates, with every file in one of them.
#![allow(clippy::unwrap_used, clippy::panic)] // The lints' exemption does not reach helpers of tests.

use crate::common::install::root;
use crate::common::run_command;
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

/// Each crate of tests is linked with everything, so there are two, and `tests/run.sh` runs both by name.
#[test]
fn there_are_two_crates_of_tests() {
    for entry in fs::read_dir(root("crates")).unwrap() {
        assert!(!entry.unwrap().path().join("tests").exists(), "tests/run.sh runs no tests of a folder of crates/");
    }
    let mut crates = Vec::new();
    for entry in fs::read_dir(root("tests")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "rs") || path.join("main.rs").exists() {
            crates.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    crates.sort();
    assert_eq!(crates, ["offline", "services"], "a file of tests belongs into one of these");
}

/// What stands at the top: folders, what a reader looks for first, and what tools look for there and nowhere else.
#[test]
fn the_top_is_short() {
    let folders =
        [".ci", ".git", ".github", "benches", "boutiques", "configs", "containers", "crates", "docs", "examples"];
    let more = ["nipoppy", "src", "tests", "target", ".cache"];
    let read = ["CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md"];
    let of_tools =
        ["Cargo.lock", "Cargo.toml", "CITATION.cff", "build.rs", "clippy.toml", "deny.toml", "pyproject.toml"];
    let more_of_tools = [".gitignore", "rust-toolchain.toml", "rustfmt.toml"];
    let known: Vec<&str> = [&folders[..], &more, &read, &of_tools, &more_of_tools].concat();
    // What git ignores may lie there: demos, virtual environments.
    let listed = run_command(Command::new("git").args(["ls-files"]).current_dir(root("")));
    let top = listed.stdout.lines().map(|path| path.split('/').next().unwrap());
    let odd: BTreeSet<&str> = top.filter(|name| !known.contains(name)).collect();
    assert!(odd.is_empty(), "{odd:?} at the top");
}

/// What is released is made by scripts that are tested.
#[test]
fn the_release_runs_scripts_that_are_here() {
    let text = fs::read_to_string(root(".github/workflows/release.yml")).unwrap();
    let words = text.split([' ', '"', '\n']);
    let ours: BTreeSet<&str> =
        words.filter(|word| word.starts_with("containers/") || word.starts_with("tests/")).collect();
    assert!(ours.contains("containers/release.sh") && ours.contains("containers/Dockerfile"), "{ours:?}");
    let absent: Vec<&&str> = ours.iter().filter(|path| !root(path).is_file()).collect();
    assert!(absent.is_empty(), "{absent:?}");
    for script in ["containers/build_all.sh", "containers/static.sh"] {
        assert!(fs::read_to_string(root("containers/release.sh")).unwrap().contains(script), "{script}");
    }
}

#[test]
fn the_citation_is_of_this_version() {
    let text = fs::read_to_string(root("CITATION.cff")).unwrap();
    assert!(text.contains(concat!("\nversion: ", env!("CARGO_PKG_VERSION"), "\n")), "{text}");
}

/// A file that no `mod` names is not compiled.
#[test]
fn every_file_of_tests_is_in_its_crate() {
    for name in ["tests/common", "tests/offline", "tests/services"] {
        let mut folders = vec![root(name)];
        while let Some(folder) = folders.pop() {
            let top = ["main.rs", "mod.rs"].map(|name| folder.join(name)).into_iter().find(|path| path.exists());
            let Some(top) = top else { panic!("{} has no mod.rs", folder.display()) };
            let text = fs::read_to_string(&top).unwrap();
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_stem().unwrap().to_str().unwrap();
                let is_module = path.is_dir() || path.extension().is_some_and(|e| e == "rs") && path != top;
                assert!(!is_module || text.contains(&format!("mod {name};\n")), "{} is not named", path.display());
                folders.extend(path.is_dir().then_some(path));
            }
        }
    }
}
