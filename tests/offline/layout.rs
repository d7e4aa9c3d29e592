//! How the tests lie: in two crates, with every file in one of them.
#![allow(clippy::unwrap_used, clippy::panic)] // The lints' exemption does not reach helpers of tests.

use crate::common::install::root;
use std::fs;

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
