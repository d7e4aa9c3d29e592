//! Boutiques invocations: a file of inputs by their ids in place of arguments, as BIDS apps take it (BEP027).
//!
//! The file is checked against the descriptor's own schema and turned into the command line that Boutiques would have
//! made of it, so that both ways of calling meet the same checks and give the same run.

use super::descriptor;
use super::error::Refusal;
use serde_json::{Map, Value};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

const OPTION: &str = "--invocation";

/// The invocation file, when the arguments (the program's name first) name one.
///
/// # Errors
/// [`Refusal::InvocationMixed`] when anything else is there. An option without a file is left to clap.
pub(super) fn asked_for(args: &[OsString]) -> Result<Option<PathBuf>, Refusal> {
    let typed = args.iter().skip(1).take_while(|arg| *arg != "--").map(|arg| arg.to_string_lossy());
    let mut after_equals = None;
    let mut at = None;
    for (place, arg) in typed.enumerate() {
        if let Some(value) = arg.strip_prefix(OPTION).filter(|rest| rest.is_empty() || rest.starts_with('=')) {
            at = Some(place + 1);
            after_equals = value.strip_prefix('=').map(PathBuf::from);
            break;
        }
    }
    let Some(at) = at else { return Ok(None) };
    let (file, last) = match after_equals {
        Some(file) => (Some(file), at),
        None => (args.get(at + 1).map(PathBuf::from), at + 1),
    };
    let other = args.iter().enumerate().skip(1).find(|(place, _)| !(at..=last).contains(place));
    match (file, other) {
        (Some(_), Some((_, other))) => Err(Refusal::InvocationMixed { other: other.to_string_lossy().into_owned() }),
        (file, _) => Ok(file),
    }
}

/// The command line (the program's name first) that an invocation stands for.
///
/// # Errors
/// [`Refusal`] when the file is not there, not JSON, or not what the descriptor allows.
pub(super) fn arguments(file: &Path) -> Result<Vec<OsString>, Refusal> {
    let bad = |problem: String| Refusal::BadInvocation { file: file.to_owned(), problem };
    let text = super::paths::text_of(file).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            Refusal::InputMissing { role: "the invocation file", path: file.to_owned(), hint: String::new() }
        }
        _ => bad(format!("it cannot be read: {e}")),
    })?;
    let invocation: Value = serde_json::from_str(&text).map_err(|e| bad(format!("it is not JSON: {e}")))?;
    let descriptor = descriptor::dataset();
    check(&descriptor["invocation-schema"], &invocation).map_err(bad)?;
    let inputs = descriptor["inputs"].as_array().into_iter().flatten();
    let values = invocation.as_object().cloned().unwrap_or_default();
    let typed = inputs.flat_map(|input| words(input, &values));
    Ok(std::iter::once(env!("CARGO_PKG_NAME").to_owned()).chain(typed).map(OsString::from).collect())
}

/// Every way in which `invocation` breaks the schema, in one line.
fn check(schema: &Value, invocation: &Value) -> Result<(), String> {
    let validator = jsonschema::draft4::new(schema).map_err(|e| format!("the schema cannot be used: {e}"))?;
    let found = validator.iter_errors(invocation).map(|e| {
        let place = e.instance_path().to_string();
        if place.is_empty() { e.to_string() } else { format!("{}: {e}", place.trim_start_matches('/')) }
    });
    let found: Vec<String> = found.collect();
    if found.is_empty() { Ok(()) } else { Err(found.join("; ")) }
}

/// The arguments of one input.
fn words(input: &Value, values: &Map<String, Value>) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let value = input["id"].as_str().and_then(|id| values.get(id));
    let flag = input["command-line-flag"].as_str();
    match (value, flag) {
        (None | Some(Value::Null | Value::Bool(false)), _) => Vec::new(),
        (Some(Value::Bool(true)), Some(flag)) => vec![flag.to_owned()],
        // One word per value, so that a value which begins with a dash is not taken for an option.
        (Some(Value::Array(list)), Some(flag)) => list.iter().map(|one| format!("{flag}={}", text(one))).collect(),
        (Some(value), Some(flag)) => vec![format!("{flag}={}", text(value))],
        (Some(value), None) => vec![text(value)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Coded, ErrorCode};

    fn asked(typed: &[&str]) -> Result<Option<PathBuf>, Refusal> {
        let args: Vec<OsString> = std::iter::once("np").chain(typed.iter().copied()).map(OsString::from).collect();
        asked_for(&args)
    }

    fn converted(json: &str) -> Result<Vec<String>, Refusal> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("invocation.json");
        std::fs::write(&file, json).unwrap();
        Ok(arguments(&file)?.into_iter().skip(1).map(|a| a.into_string().unwrap()).collect())
    }

    #[test]
    fn an_invocation_stands_alone() {
        assert_eq!(asked(&["bids", "out", "participant"]), Ok(None));
        assert_eq!(asked(&["--invocation", "a.json"]), Ok(Some("a.json".into())));
        assert_eq!(asked(&["--invocation=a.json"]), Ok(Some("a.json".into())));
        assert_eq!(asked(&["--invocation"]), Ok(None), "clap says that the file is missing");
        assert_eq!(asked(&["--", "--invocation"]), Ok(None));
        for mixed in [
            &["--invocation", "a.json", "--force"][..],
            &["bids", "--invocation=a.json"],
            &["process", "x.nii", "--invocation", "a.json"],
        ] {
            assert_eq!(asked(mixed).unwrap_err().code(), ErrorCode::InvocationMixed, "{mixed:?}");
        }
    }

    #[test]
    fn inputs_become_arguments() {
        let typed = converted(
            r#"{"analysis_level": "participant", "bids_dir": "b", "output_dir": "o", "participant_label": ["01", "02"],
                "nprocs": 2, "force": true, "verbose": false, "fail_rate": 0.5}"#,
        );
        let expected = [
            "b",
            "o",
            "participant",
            "--participant-label=01",
            "--participant-label=02",
            "--force",
            "--nprocs=2",
            "--fail-rate=0.5",
        ];
        assert_eq!(typed.unwrap(), expected);
    }

    #[test]
    fn what_the_descriptor_does_not_allow_is_refused_by_name() {
        let with =
            |more: &str| format!(r#"{{"bids_dir": "b", "output_dir": "o", "analysis_level": "participant"{more}}}"#);
        for (json, named) in [
            ("[]".to_owned(), "object"),
            ("{".to_owned(), "not JSON"),
            (r#"{"bids_dir": "b", "output_dir": "o"}"#.to_owned(), "analysis_level"),
            (with(r#", "no_such": 1"#), "no_such"),
            (with(r#", "nprocs": 0"#), "nprocs"),
            (with(r#", "nprocs": "2""#), "nprocs"),
            (with(r#", "participant_label": "01""#), "participant_label"),
            (with(r#", "modalities": ["T2w"]"#), "modalities"),
            (with(r#", "format": "json""#), "dry_run"),
            (with(r#", "quiet": true, "verbose": true"#), "quiet"),
        ] {
            let error = converted(&json).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvocationInvalid, "{json}");
            assert!(error.to_string().contains(named), "{json}: {error}");
        }
        assert!(converted(&with(r#", "quiet": true, "verbose": false"#)).is_ok());
        let missing = arguments(Path::new("/no/such/invocation.json")).unwrap_err();
        assert_eq!(missing.code(), ErrorCode::InputMissing);
    }
}
