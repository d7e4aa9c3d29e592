//! Which settings of telemetry are in force and who said so: what `telemetry config` prints. Secrets are not in it.

use super::config::{DEFAULT_FLUSH_TIMEOUT, TelemetryConfig, without_password};
use super::env::Environment;
use super::routes::{Routes, Target};
use super::stack::Found;
use super::stats::Signal;
use super::variables::{self, VARIABLES, Variable};
use serde::Serialize;

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InForce {
    /// Key of `[observability]`, or the variable, with the signal it is for.
    pub name: String,
    /// As it may be shown; empty for nothing.
    pub value: String,
    /// `option`, `environment NAME`, `file PATH`, `default`, or the stack of this user; for a signal that goes nowhere, why.
    pub source: String,
}

/// All settings, and what was wrong with some of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// In the order of the documentation.
    pub settings: Vec<InForce>,
    /// Warnings.
    pub warnings: Vec<String>,
}

/// Gathers them. `stated` are the settings of `[observability]`: key, value where one was given, source.
#[must_use]
pub fn gather(
    config: &TelemetryConfig,
    stated: impl IntoIterator<Item = (&'static str, Option<String>, String)>,
    env: &Environment,
) -> Settings {
    let (env, mut warnings) = variables::checked(env);
    let mut settings: Vec<InForce> = stated.into_iter().map(own).collect();
    let routes = Routes::decide(config, &env);
    for signal in Signal::ALL {
        settings.push(way(signal, config, &routes, &env));
    }
    for variable in VARIABLES.iter().filter(|v| v.idle.is_none()) {
        if variable.per_signal {
            let endpoint = variable.name.ends_with("_ENDPOINT");
            let signals = Signal::ALL.into_iter().filter(|_| !endpoint); // the ways say it
            settings
                .extend(signals.map(|s| of_variable(variable, s, format!("{} ({})", variable.name, s.as_str()), &env)));
        } else {
            settings.push(of_variable(variable, Signal::Traces, variable.name.to_owned(), &env));
        }
    }
    warnings.extend(routes.warnings);
    Settings { settings, warnings }
}

/// Where the signals of a run that began now would go, and why.
#[must_use]
pub fn ways(config: &TelemetryConfig, env: &Environment) -> Settings {
    let (env, mut warnings) = variables::checked(env);
    let routes = Routes::decide(config, &env);
    let settings = Signal::ALL.into_iter().map(|signal| way(signal, config, &routes, &env)).collect();
    warnings.extend(routes.warnings);
    Settings { settings, warnings }
}

fn own((key, value, source): (&'static str, Option<String>, String)) -> InForce {
    let default = || match key {
        "otel-endpoint" | "pseudonymize-key" => String::new(),
        "flush-timeout" => DEFAULT_FLUSH_TIMEOUT.as_secs_f64().to_string(),
        "log-format" => "text".to_owned(),
        "verbosity" => "normal".to_owned(),
        _ => "false".to_owned(),
    };
    let value = value.map_or_else(default, |v| without_password(v.trim()));
    InForce { name: key.to_owned(), value, source }
}

/// Where a signal goes.
fn way(signal: Signal, config: &TelemetryConfig, routes: &Routes, env: &Environment) -> InForce {
    let route = routes.of(signal);
    let name = signal.as_str().to_owned();
    if !route.on {
        let exporter = format!("OTEL_{}_EXPORTER", signal.variable());
        let source = match (config.enabled, env.is_true("OTEL_SDK_DISABLED")) {
            (false, _) => "no-telemetry".to_owned(),
            (_, true) => "environment OTEL_SDK_DISABLED".to_owned(),
            _ => format!("environment {exporter}"),
        };
        return InForce { name, value: "off".to_owned(), source };
    }
    let mut value = "files".to_owned();
    let mut source = match &routes.stack {
        Some(Found::Nothing(why)) => format!("no endpoint is named, and {why}"),
        _ => "default".to_owned(),
    };
    if let Some(Target { url, protocol }) = &route.target {
        value = format!("files, OTLP {} to {}", protocol.as_str(), without_password(url));
        let names =
            [format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", signal.variable()), "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned()];
        source = match (&config.endpoint, names.iter().find(|name| env.get(name).is_some())) {
            (Some(_), _) => "otel-endpoint".to_owned(),
            (None, Some(name)) => format!("environment {name}"),
            (None, None) => match &routes.stack {
                Some(Found::Stack(stack)) => format!("your stack, {}", stack.file.display()),
                _ => format!("environment OTEL_{}_EXPORTER", signal.variable()),
            },
        };
    }
    if route.console {
        value.push_str(", tree on stderr");
    }
    InForce { name, value, source }
}

fn of_variable(variable: &Variable, signal: Signal, name: String, env: &Environment) -> InForce {
    let set = variable.names(signal).into_iter().find_map(|name| Some((variable.shown(env.get(&name)?), name)));
    match set {
        Some((value, from)) => InForce { name, value, source: format!("environment {from}") },
        None => InForce { name, value: variable.default.to_owned(), source: "default".to_owned() },
    }
}

impl Settings {
    /// A table.
    #[must_use]
    pub fn text(&self) -> String {
        let width = |column: fn(&InForce) -> &str| self.settings.iter().map(|s| column(s).chars().count()).max();
        let (names, values) = (width(|s| &s.name).unwrap_or(0), width(|s| &s.value).unwrap_or(0).min(60));
        let line = |s: &InForce| format!("{:<names$}  {:<values$}  {}\n", s.name, s.value, s.source);
        self.settings.iter().map(line).collect()
    }
}
