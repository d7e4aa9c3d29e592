//! The Boutiques descriptors (schema 0.5) of the command line, made from its definitions so that they cannot drift.
//!
//! Glatard T. et al., GigaScience 7(5), 2018. Two are made: of the forms for datasets, which Nipoppy, `bosh`, CBRAIN and
//! the like run, and of `extract`. `boutiques/` and `nipoppy/` hold them as files; `tests/services/boutiques.rs` compares them.
//! `environment-variables` is left out on purpose: Boutiques would overwrite the caller's `OTEL_*` and `TRACEPARENT`.

mod inputs;
mod outputs;
mod schema;

use super::args::PLAIN;
use super::exit::ExitStatus;
use serde_json::{Value, json};

/// The name of the program in descriptors, command lines and images.
const NAME: &str = env!("CARGO_PKG_NAME");
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The name of the extraction pipeline.
const EXTRACTION: &str = "neuro-preprocess-idps";

/// The descriptor of `BIDS_DIR OUTPUT_DIR LEVEL` with its options.
#[must_use]
pub fn dataset() -> Value {
    let mut command = super::command();
    command.build();
    let described = inputs::of(&command, |arg| arg.get_help_heading() != Some(PLAIN));
    let custom = json!({
        "BIDSAppSpecVersion": "2.0",
        "BIDSApplicationVersion": "2.0",
        "BIDSAppArguments": {
            "InputDataset": "bids_dir",
            "OutputLocation": "output_dir",
            "AnalysisLevel": "analysis_level",
            "SubjectLabel": "participant_label",
            "SessionLabel": "session_label"
        },
        "OutputDataSpecification": ["BIDS Derivatives 1.10.0"],
        "analysis-levels": { "participant": "Process scans", "group": "Tables of what was processed" },
        "input-suffixes": { "anat": ["T1w"], "func": ["bold"] }
    });
    let mut descriptor = whole(NAME, env!("CARGO_PKG_DESCRIPTION"), NAME, described, outputs::of_datasets());
    // Measured: one T1w scan of 1 mm takes 2.3 s on two cores and 183 MB, with its bold run; the rest is room for
    // larger scans and slower machines.
    descriptor["suggested-resources"] =
        json!({ "cpu-cores": 1, "ram": 1, "disk-space": 0.2, "walltime-estimate": 60, "nodes": 1 });
    descriptor["tests"] = tests();
    descriptor["custom"] = custom;
    descriptor
}

/// The descriptor of `extract`.
#[must_use]
pub fn extraction() -> Value {
    let mut command = super::command();
    command.build();
    let verb = command.find_subcommand("extract");
    let described = verb.map(|verb| inputs::of(verb, |_| true)).unwrap_or_default();
    let about = verb.and_then(|verb| verb.get_about()).map(ToString::to_string).unwrap_or_default();
    let mut descriptor = whole(EXTRACTION, &about, &format!("{NAME} extract"), described, outputs::of_extraction());
    descriptor["suggested-resources"] =
        json!({ "cpu-cores": 1, "ram": 1, "disk-space": 0.01, "walltime-estimate": 10 });
    descriptor
}

/// What both have: names, inputs and their command line, outputs, exit codes.
fn whole(name: &str, description: &str, call: &str, described: inputs::Inputs, outputs: Vec<Value>) -> Value {
    let inputs::Inputs { inputs, groups } = described;
    let keys = inputs.iter().filter_map(|input| input["value-key"].as_str());
    let command_line = std::iter::once(call).chain(keys).collect::<Vec<_>>().join(" ");
    let codes = ExitStatus::ALL.iter().filter(|status| **status != ExitStatus::Success);
    let codes: Vec<Value> =
        codes.map(|status| json!({ "code": status.number(), "description": status.meaning() })).collect();
    let invocation_schema = schema::of(name, &inputs);
    let mut descriptor = json!({
        "name": name,
        "description": description,
        "tool-version": VERSION,
        "schema-version": "0.5",
        "author": env!("CARGO_PKG_AUTHORS"),
        "url": env!("CARGO_PKG_HOMEPAGE"),
        "command-line": command_line,
        "container-image": { "type": "docker", "image": format!("{NAME}:{VERSION}") },
        "inputs": inputs,
        "output-files": outputs,
        "error-codes": codes,
        "tags": { "domain": ["neuroinformatics", "mri"], "modality": ["T1w", "bold"], "standard": ["BIDS"] },
        "invocation-schema": invocation_schema,
    });
    if !groups.is_empty() {
        descriptor["groups"] = groups.into();
    }
    descriptor
}

/// Cases for `bosh test`, in a folder that holds the dataset `bids` of `neuro-preprocess synth bids`.
fn tests() -> Value {
    let case = |name: &str, more: Value, assertions: Value| {
        let mut invocation =
            json!({ "bids_dir": "bids", "output_dir": "out", "analysis_level": "participant", "no_telemetry": true });
        if let (Some(invocation), Value::Object(more)) = (invocation.as_object_mut(), more) {
            invocation.extend(more);
        }
        json!({ "name": name, "invocation": invocation, "assertions": assertions })
    };
    let code = |status: ExitStatus| json!({ "exit-code": status.number() });
    let made = json!({
        "exit-code": ExitStatus::Success.number(),
        "output-files": [{ "id": "dataset_description" }, { "id": "summary_without_session" }]
    });
    json!([
        case("a participant is processed", json!({ "participant_label": ["01"], "modalities": ["T1w"] }), made),
        case("no dataset is there", json!({ "bids_dir": "no-such-folder" }), code(ExitStatus::NoInput)),
        case("no such participant", json!({ "participant_label": ["nobody"] }), code(ExitStatus::NothingMatches)),
        case("every scan fails", json!({ "output_dir": "out-failed", "fail_rate": 1 }), code(ExitStatus::ScanFailed)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Boutiques takes a descriptor that has this word anywhere for a record's id, and Linux an argument of 128 KiB
    /// for too long; Nipoppy passes the descriptor as one.
    #[test]
    fn descriptors_can_be_passed_as_an_argument() {
        for text in [dataset().to_string(), extraction().to_string()] {
            assert!(!text.to_lowercase().contains(&["zen", "odo"].concat()));
            assert!(text.len() < 64 << 10, "{} bytes", text.len());
        }
    }

    #[test]
    fn no_variable_of_the_caller_is_overwritten() {
        assert!(dataset().get("environment-variables").is_none());
    }
}
