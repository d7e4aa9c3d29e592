//! Everything about telemetry in a request: its settings with the key of the pseudonyms, and the verb `telemetry`.

use super::error::Refusal;
use super::layers::Layers;
use super::options::Options;
use super::paths;
use super::request::{CompareConfig, InForceConfig, Request, ShowConfig, StatusRequest, TelemetryRequest};
use super::small_file;
use super::telemetry_args::{CompareArgs, ConfigArgs, ReplayArgs, ShowArgs, StatusArgs, TelemetryVerb};
use super::typed::Texts;
use super::values::Env;
use crate::bids::without_sub;
use crate::telemetry::config::{PseudonymKey, TelemetryConfig};
use std::path::PathBuf;

/// Holds the key of the pseudonyms, where no file does.
const PSEUDONYM_KEY: &str = "NEURO_PREPROCESS_PSEUDONYM_KEY";

/// The verb.
pub(super) fn resolve(verb: TelemetryVerb, env: Env) -> Result<Request, Refusal> {
    match verb {
        TelemetryVerb::Replay(args) => replay(args, env),
        TelemetryVerb::Status(args) => status(args, env),
        TelemetryVerb::Show(args) => show(args),
        TelemetryVerb::Compare(args) => compare(args),
        TelemetryVerb::Config(args) => config(&args, env),
    }
}

fn replay(args: ReplayArgs, env: Env) -> Result<Request, Refusal> {
    paths::input_folder(&args.dir, "name the folder of the run", paths::bound_hint(&args.dir))?;
    let config = as_of_a_run(args.endpoint, args.config, env)?;
    // Whoever asks for a delivery wants one, also where runs are to send nothing.
    Ok(Request::Telemetry(TelemetryRequest::Replay {
        dir: args.dir,
        config: TelemetryConfig { enabled: true, ..config },
        again: args.again,
    }))
}

/// Where a run would send to. What is in the files is as it was written: pseudonyms need no key now.
fn as_of_a_run(endpoint: Option<String>, file: Option<PathBuf>, env: Env) -> Result<TelemetryConfig, Refusal> {
    let file = file.map(|path| path.to_string_lossy().into_owned());
    let typed = Texts::default().with("otel-endpoint", endpoint).with("config", file);
    let options = Layers::gather(&typed, env)?.options;
    telemetry(&Options { pseudonymize: false, ..options }, &typed, env, &mut Vec::new())
}

fn status(args: StatusArgs, env: Env) -> Result<Request, Refusal> {
    paths::input_folder(&args.dir, "name the folder of the run", paths::bound_hint(&args.dir))?;
    let config = as_of_a_run(None, args.config, env)?;
    let (dir, format, check) = (args.dir, args.format, args.check);
    Ok(Request::Telemetry(TelemetryRequest::Status(StatusRequest { dir, format, config, check })))
}

fn show(args: ShowArgs) -> Result<Request, Refusal> {
    paths::input_folder(&args.dir, "name the output folder of a run", paths::bound_hint(&args.dir))?;
    Ok(Request::Telemetry(TelemetryRequest::Show(ShowConfig {
        dir: args.dir,
        participants: args.participant.iter().map(|label| without_sub(label).to_owned()).collect(),
        stage: args.stage,
        status: args.status,
        limit: args.limit,
        format: args.format,
    })))
}

fn compare(args: CompareArgs) -> Result<Request, Refusal> {
    let side = |path: PathBuf| {
        let (folder, run) = folder_and_run(path);
        paths::input_folder(&folder, "name the output folder of a run", paths::bound_hint(&folder))?;
        Ok((folder, run))
    };
    let (runs, threshold, format) = ([side(args.first)?, side(args.second)?], args.threshold, args.format);
    Ok(Request::Telemetry(TelemetryRequest::Compare(CompareConfig { runs, threshold, format })))
}

/// `FOLDER@RUN`, unless there is a folder of that name.
fn folder_and_run(path: PathBuf) -> (PathBuf, Option<String>) {
    if path.exists() {
        return (path, None);
    }
    match path.to_str().and_then(|text| text.rsplit_once('@')) {
        Some((folder, run)) if !folder.is_empty() && !run.is_empty() => (folder.into(), Some(run.to_owned())),
        _ => (path, None),
    }
}

fn config(args: &ConfigArgs, env: Env) -> Result<Request, Refusal> {
    let layers = Layers::gather(&args.settings.0, env)?;
    let stated = layers.stated("observability");
    let mut notes = layers.notes;
    let telemetry = telemetry(&layers.options, &args.settings.0, env, &mut notes)?;
    let format = args.format;
    Ok(Request::Telemetry(TelemetryRequest::Config(InForceConfig { telemetry, stated, format, notes })))
}

/// Telemetry as it shall be.
pub(super) fn telemetry(
    options: &Options,
    typed: &Texts,
    env: Env,
    notes: &mut Vec<String>,
) -> Result<TelemetryConfig, Refusal> {
    let enabled = !options.no_telemetry;
    if !enabled && (options.trace || options.otel_endpoint.is_some() || options.traceparent.is_some()) {
        notes.push("telemetry is off: the endpoint, trace tree and trace context have no effect".to_owned());
    }
    if typed.get("pseudonymize-key").is_some() && !options.pseudonymize {
        // Somebody who gives a key means names to be hidden; going on without would send them.
        return Err(Refusal::Conflict {
            first: "--pseudonymize-key",
            second: "names in clear",
            advice: "add --pseudonymize, or leave out the key".to_owned(),
        });
    }
    Ok(TelemetryConfig {
        enabled,
        endpoint: options.otel_endpoint.clone().map(|url| url.0),
        traceparent: options.traceparent.clone(),
        flush_timeout: options.flush_timeout,
        print_tree: options.trace,
        no_subject_metrics: options.no_subject_metrics,
        pseudonyms: options.pseudonymize.then(|| pseudonym_key(options, env)).transpose()?,
        log_format: options.log_format,
        verbosity: options.verbosity,
    })
}

/// The key of the pseudonyms: the file's, else the variable's. It is never repeated in a message.
fn pseudonym_key(options: &Options, env: Env) -> Result<PseudonymKey, Refusal> {
    let refuse = |problem: String| Refusal::PseudonymKey { problem };
    let (place, bytes) = match (&options.pseudonymize_key, env(PSEUDONYM_KEY)) {
        (Some(file), _) => {
            let bytes = small_file::bytes(file).map_err(|e| refuse(format!("the key file {}: {e}", file.display())))?;
            (file.display().to_string(), bytes)
        }
        (None, Some(key)) => (PSEUDONYM_KEY.to_owned(), key.into_bytes()),
        (None, None) => return Err(refuse("there is none".to_owned())),
    };
    let short = || refuse(format!("{place} holds fewer than {} bytes", PseudonymKey::SHORTEST));
    PseudonymKey::new(&bytes).ok_or_else(short)
}
