//! Where each signal goes: files, a collector, the console, or nowhere. All the precedence rules are here.

use super::config::{TelemetryConfig, without_password};
use super::env::Environment;
use super::stack::{self, Found};
use super::stats::Signal;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::Duration;

/// Longest wait to see whether an address is listening.
const PROBE: Duration = Duration::from_millis(50);

/// The wire protocols of OTLP that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC, usually port 4317.
    Grpc,
    /// Protobuf over HTTP, usually port 4318.
    Http,
}

impl Protocol {
    /// As it is called.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "gRPC",
            Self::Http => "HTTP",
        }
    }
}

/// A collector to send one signal to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Complete URL: for HTTP with the signal's path.
    pub url: String,
    /// How to speak to it.
    pub protocol: Protocol,
}

/// The ways out of one signal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// False: the signal is off altogether.
    pub on: bool,
    /// Where to send it.
    pub target: Option<Target>,
    /// Printed for the person (traces only: the tree).
    pub console: bool,
}

/// The ways out of all signals, with what to tell the person about settings that were not understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    /// Spans.
    pub traces: Route,
    /// Metrics.
    pub metrics: Route,
    /// Log records.
    pub logs: Route,
    /// Warnings.
    pub warnings: Vec<String>,
    /// What the look for this user's own stack came to; `None` when an endpoint was named for all that is sent.
    pub stack: Option<Found>,
}

impl Routes {
    /// The route of a signal.
    #[must_use]
    pub const fn of(&self, signal: Signal) -> &Route {
        match signal {
            Signal::Traces => &self.traces,
            Signal::Metrics => &self.metrics,
            Signal::Logs => &self.logs,
        }
    }

    /// Decides. The user's own stack is looked for only when no endpoint is named.
    ///
    /// Precedence: `--no-telemetry` and `OTEL_SDK_DISABLED`; `OTEL_{SIGNAL}_EXPORTER`; `--otel-endpoint`;
    /// `OTEL_EXPORTER_OTLP_{SIGNAL}_ENDPOINT`; `OTEL_EXPORTER_OTLP_ENDPOINT`; the stack, see [`stack`].
    #[must_use]
    pub fn decide(config: &TelemetryConfig, env: &Environment) -> Self {
        Self::decide_with(config, env, || stack::find(env))
    }

    fn decide_with(config: &TelemetryConfig, env: &Environment, find: impl Fn() -> Found) -> Self {
        let mut routes = Self::default();
        if !config.enabled || env.is_true("OTEL_SDK_DISABLED") {
            return routes;
        }
        let (mut warnings, mut stack) = (Vec::new(), None);
        let mut route = |signal: Signal| {
            let wanted = Wanted::read(signal, env);
            let target = wanted.otlp.unwrap_or(!wanted.listed).then(|| {
                let named = configured(signal, config, env, &mut warnings);
                named.unwrap_or_else(|| {
                    let found = stack.get_or_insert_with(&find);
                    default_target(signal, env, wanted.otlp == Some(true), found, &mut warnings)
                })
            });
            let console = signal == Signal::Traces && (config.print_tree || wanted.console);
            Route { on: !wanted.none, target: target.flatten().filter(|_| !wanted.none), console }
        };
        (routes.traces, routes.metrics, routes.logs) =
            (route(Signal::Traces), route(Signal::Metrics), route(Signal::Logs));
        warnings.dedup();
        (routes.warnings, routes.stack) = (warnings, stack);
        routes
    }
}

/// What `OTEL_{SIGNAL}_EXPORTER` says.
#[derive(Default)]
struct Wanted {
    listed: bool,
    none: bool,
    otlp: Option<bool>,
    console: bool,
}

impl Wanted {
    fn read(signal: Signal, env: &Environment) -> Self {
        let variable = format!("OTEL_{}_EXPORTER", signal.variable());
        let Some(list) = env.get(&variable) else { return Self::default() };
        let mut wanted = Self { listed: true, ..Self::default() };
        for name in list.split(',').map(str::trim).filter(|n| !n.is_empty()) {
            match name {
                "otlp" => wanted.otlp = Some(true),
                "none" => wanted.none = true,
                "console" => wanted.console = true,
                _ => {} // `variables::checked` has said so and taken it out
            }
        }
        wanted
    }
}

/// The endpoint the user named: `None` when there is none, `Some(None)` when it cannot be used. Guessing another one
/// then would send data where it was not meant to go.
fn configured(
    signal: Signal,
    config: &TelemetryConfig,
    env: &Environment,
    warnings: &mut Vec<String>,
) -> Option<Option<Target>> {
    let own = format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", signal.variable());
    let flag = config.endpoint.as_deref().map(str::trim).filter(|e| !e.is_empty());
    // Only the per-signal variable names the complete URL; the others name a base.
    let (endpoint, complete) = match (flag, env.get(&own), env.get("OTEL_EXPORTER_OTLP_ENDPOINT")) {
        (Some(flag), _, _) => (flag, false),
        (None, Some(own), _) => (own, true),
        (None, None, Some(general)) => (general, false),
        (None, None, None) => return None,
    };
    let endpoint = if endpoint.contains("://") { endpoint.to_owned() } else { format!("http://{endpoint}") };
    let uri: http::Uri = match endpoint.parse() {
        Ok(uri) => uri,
        Err(e) => {
            warnings.push(format!(
                "the OTLP endpoint {:?} is not a URL ({e}); nothing is sent",
                without_password(&endpoint)
            ));
            return Some(None);
        }
    };
    let protocol = protocol(signal, env, warnings).unwrap_or_else(|| {
        // gRPC endpoints have no path.
        let has_path = !matches!(uri.path(), "" | "/");
        if uri.port_u16() == Some(4318) || has_path { Protocol::Http } else { Protocol::Grpc }
    });
    let url = match protocol {
        Protocol::Http if !complete => http_url(&endpoint, signal),
        _ => endpoint,
    };
    Some(Some(Target { url, protocol }))
}

fn http_url(base: &str, signal: Signal) -> String {
    format!("{}/v1/{}", base.trim_end_matches('/'), signal.as_str())
}

/// `OTEL_EXPORTER_OTLP_{SIGNAL}_PROTOCOL`, then `OTEL_EXPORTER_OTLP_PROTOCOL`.
fn protocol(signal: Signal, env: &Environment, warnings: &mut Vec<String>) -> Option<Protocol> {
    let own = env.get(&format!("OTEL_EXPORTER_OTLP_{}_PROTOCOL", signal.variable()));
    match own.or_else(|| env.get("OTEL_EXPORTER_OTLP_PROTOCOL"))? {
        "grpc" => Some(Protocol::Grpc),
        "http/protobuf" => Some(Protocol::Http),
        "http/json" => {
            warnings.push("http/json is not supported; sending http/protobuf to the same endpoint".into());
            Some(Protocol::Http)
        }
        _ => None, // `variables::checked` has said so and taken it out
    }
}

/// Without an endpoint: the user's own stack; else, only when OTLP was asked for by name, the standard endpoint.
fn default_target(
    signal: Signal,
    env: &Environment,
    asked: bool,
    stack: &Found,
    warnings: &mut Vec<String>,
) -> Option<Target> {
    let wanted = protocol(signal, env, warnings);
    let (http, grpc, usual) = match stack {
        Found::Stack(endpoints) => (endpoints.http.as_str(), endpoints.grpc.as_str(), Protocol::Http),
        Found::Nothing(_) if asked => (HTTP, GRPC, Protocol::Grpc),
        Found::Nothing(_) => return None,
    };
    Some(match wanted.unwrap_or(usual) {
        protocol @ Protocol::Grpc => Target { url: grpc.to_owned(), protocol },
        protocol @ Protocol::Http => Target { url: http_url(http, signal), protocol },
    })
}

/// The endpoints of the specification.
const GRPC: &str = "http://localhost:4317";
const HTTP: &str = "http://localhost:4318";

/// Whether something accepts a connection at `host:port`. Takes at most 50 ms, name look-up included.
#[must_use]
pub fn listens(address: &str) -> bool {
    let (tx, rx) = mpsc::channel();
    let address = address.to_owned();
    // A thread of its own, because looking up a name cannot be given a time limit.
    let probe = std::thread::Builder::new().name("otlp-probe".into()).spawn(move || {
        let mut addresses = address.to_socket_addrs().into_iter().flatten();
        let _ = tx.send(addresses.any(|a| TcpStream::connect_timeout(&a, PROBE).is_ok()));
    });
    probe.is_ok() && rx.recv_timeout(PROBE).unwrap_or(false)
}

/// `host:port` of a URL.
#[must_use]
pub fn address(url: &str) -> Option<String> {
    let uri: http::Uri = url.parse().ok()?;
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    Some(format!("{}:{port}", uri.host()?))
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
