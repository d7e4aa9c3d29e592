//! Everything about telemetry in a request: its settings with the key of the pseudonyms, and the verb `telemetry`.

use super::args::{ObserveArgs, ResourceArgs};
use super::error::Refusal;
use super::layers::{self, Layers};
use super::paths;
use super::request::{CompareConfig, InForceConfig, Request, ShowConfig, StatusRequest, TelemetryRequest};
use super::settings::{Env, Settings};
use super::small_file;
use super::telemetry_args::{CompareArgs, ConfigArgs, ReplayArgs, ShowArgs, StatusArgs, TelemetryVerb};
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
    let observe = ObserveArgs { otel_endpoint: endpoint, config: file, ..ObserveArgs::default() };
    let layers = Layers::gather(&ResourceArgs::default(), &observe, Settings::default(), env)?;
    telemetry(&Settings { pseudonymize: None, ..layers.settings }, &observe, env, &mut Vec::new())
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
    let stated = layers::stated(&args.observe, env)?;
    let Layers { settings, mut notes, .. } =
        Layers::gather(&ResourceArgs::default(), &args.observe, Settings::default(), env)?;
    let telemetry = telemetry(&settings, &args.observe, env, &mut notes)?;
    let format = args.format;
    Ok(Request::Telemetry(TelemetryRequest::Config(InForceConfig { telemetry, stated, format, notes })))
}

/// Telemetry as it shall be. `observe` are the options as typed.
pub(super) fn telemetry(
    settings: &Settings,
    observe: &ObserveArgs,
    env: Env,
    notes: &mut Vec<String>,
) -> Result<TelemetryConfig, Refusal> {
    let enabled = !settings.no_telemetry.unwrap_or(false);
    let trace = settings.trace.unwrap_or(false);
    let traceparent = observe.traceparent.clone();
    if !enabled && (trace || settings.otel_endpoint.is_some() || traceparent.is_some()) {
        notes.push("telemetry is off: the endpoint, trace tree and trace context have no effect".to_owned());
    }
    let pseudonymize = settings.pseudonymize.unwrap_or(false);
    if observe.pseudonymize_key.is_some() && !pseudonymize {
        // Somebody who gives a key means names to be hidden; going on without would send them.
        return Err(Refusal::Conflict {
            first: "--pseudonymize-key",
            second: "names in clear",
            advice: "add --pseudonymize, or leave out the key".to_owned(),
        });
    }
    Ok(TelemetryConfig {
        enabled,
        endpoint: settings.otel_endpoint.clone(),
        traceparent,
        flush_timeout: settings.flush_timeout,
        print_tree: trace,
        no_subject_metrics: settings.no_subject_metrics.unwrap_or(false),
        pseudonyms: pseudonymize.then(|| pseudonym_key(settings, env)).transpose()?,
        log_format: settings.log_format.unwrap_or_default(),
        verbosity: settings.verbosity.unwrap_or_default(),
    })
}

/// The key of the pseudonyms: the file's, else the variable's. It is never repeated in a message.
fn pseudonym_key(settings: &Settings, env: Env) -> Result<PseudonymKey, Refusal> {
    let refuse = |problem: String| Refusal::PseudonymKey { problem };
    let (place, bytes) = match (&settings.pseudonymize_key, env(PSEUDONYM_KEY)) {
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
