//! Documents that are tried as they stand: commands of their console blocks, with what is shown below each.

use std::path::Path;
use std::process::Command;

/// A command of a document.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// As it stands behind `$`, without the comment.
    pub command: String,
    /// From a comment `# exit N`; 0 without one.
    pub code: i32,
    /// The lines below it: each must be somewhere in the output.
    pub shown: Vec<String>,
}

/// The part of a document below a heading such as `## With this`, up to the next of its level.
pub fn section<'t>(text: &'t str, heading: &str) -> &'t str {
    let start = text.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading}")) + 1;
    let length = text[start + heading.len()..].find("\n## ").map_or(text.len() - start, |end| end + heading.len());
    &text[start..start + length]
}

/// What commands of documents find: our program, the checkout as `$REPOSITORY`, and the folders in `path`.
pub fn environment(dir: &Path, path: &str) -> Vec<(&'static str, String)> {
    let bin = Path::new(env!("CARGO_BIN_EXE_neuro-preprocess")).parent().expect("a folder");
    vec![
        ("PATH", format!("{}:{path}", bin.display())),
        ("HOME", dir.display().to_string()),
        ("REPOSITORY", env!("CARGO_MANIFEST_DIR").to_owned()),
        ("LC_ALL", "C.UTF-8".to_owned()),
        ("NO_COLOR", "1".to_owned()),
        ("COLUMNS", "200".to_owned()),
        (super::NO_TEMPLATE.0, super::NO_TEMPLATE.1.to_owned()),
    ]
}

/// The steps of all console blocks, in order.
pub fn steps(text: &str) -> Vec<Step> {
    let mut inside = false;
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines() {
        if let Some(fence) = line.strip_prefix("```") {
            inside = !inside && fence == "console";
        } else if inside && let Some(typed) = line.strip_prefix("$ ") {
            let (command, comment) = typed.split_once(" #").unwrap_or((typed, ""));
            let code = comment.trim().strip_prefix("exit ").map_or(0, |code| code.parse().expect("a number"));
            steps.push(Step { command: command.trim().to_owned(), code, shown: Vec::new() });
        } else if inside && let Some(step) = steps.last_mut() {
            step.shown.push(line.to_owned());
        }
    }
    steps
}

/// Runs the steps in `dir`, and fails at the first that ends or shows otherwise than written. Programs wrap and align their
/// lines, so every run of blanks counts as one.
pub fn try_steps(steps: &[Step], dir: &Path, environment: &[(&str, String)]) {
    let blanks = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for Step { command, code, shown } in steps {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(dir).env_clear().envs(environment.iter().map(|(k, v)| (k, v)));
        let ran = super::run_command(&mut shell);
        let said = format!("{}\n{}", ran.stdout, ran.stderr);
        assert_eq!(ran.code, *code, "$ {command}\n{said}");
        let flat = blanks(&said);
        for line in shown {
            assert!(flat.contains(&blanks(line)), "$ {command}\ndoes not show {line:?} but\n{said}");
        }
    }
}
