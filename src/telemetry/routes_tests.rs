//! Tests of the precedence rules.
use super::*;

fn config(endpoint: Option<&str>) -> TelemetryConfig {
    TelemetryConfig { enabled: true, endpoint: endpoint.map(str::to_owned), ..TelemetryConfig::default() }
}

fn decide<const N: usize>(endpoint: Option<&str>, env: [(&str, &str); N]) -> Routes {
    Routes::decide(&config(endpoint), &Environment::from(env), |_| false)
}

fn http(url: &str) -> Option<Target> {
    Some(Target { url: url.to_owned(), protocol: Protocol::Http })
}

fn grpc(url: &str) -> Option<Target> {
    Some(Target { url: url.to_owned(), protocol: Protocol::Grpc })
}

#[test]
fn without_an_endpoint_only_what_listens_here_is_used() {
    assert_eq!(decide(None, []).traces.target, None);
    assert!(decide(None, []).traces.on);
    let env = Environment::default();
    let both = Routes::decide(&config(None), &env, |_| true);
    assert_eq!(both.logs.target, grpc("http://localhost:4317"));
    let second = Routes::decide(&config(None), &env, |a| a.ends_with("4318"));
    assert_eq!(second.metrics.target, http("http://localhost:4318/v1/metrics"));
}

#[test]
fn the_probe_is_asked_once_and_only_when_needed() {
    let asked = std::cell::Cell::new(0);
    let count = |_: &str| {
        asked.set(asked.get() + 1);
        false
    };
    Routes::decide(&config(None), &Environment::default(), count);
    assert_eq!(asked.get(), 2, "one look at each port for all three signals");
    Routes::decide(&config(Some("http://c:4317")), &Environment::default(), count);
    assert_eq!(asked.get(), 2);
}

#[test]
fn the_flag_beats_the_variables_and_the_port_tells_the_protocol() {
    let env =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://env:4317"), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:9/x")];
    let r = decide(Some("http://flag:4318/"), env);
    assert_eq!(r.traces.target, http("http://flag:4318/v1/traces"));
    let r = decide(None, env);
    assert_eq!(r.traces.target, http("http://t:9/x"), "a per-signal URL is used as it is");
    assert_eq!(r.logs.target, grpc("http://env:4317"));
    assert_eq!(decide(Some("collector:4317"), []).logs.target, grpc("http://collector:4317"));
    assert_eq!(decide(Some("https://host/otlp"), []).logs.target, http("https://host/otlp/v1/logs"));
}

#[test]
fn the_protocol_variables_beat_the_port() {
    let r = decide(Some("http://c:4317"), [("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]);
    assert_eq!(r.traces.target, http("http://c:4317/v1/traces"));
    let env = [("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"), ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc")];
    assert_eq!(decide(Some("http://c:4318"), env).logs.target, grpc("http://c:4318"));
}

#[test]
fn signals_can_be_off_or_elsewhere() {
    let env = [("OTEL_TRACES_EXPORTER", "console"), ("OTEL_METRICS_EXPORTER", "none"), ("OTEL_LOGS_EXPORTER", "otlp")];
    let r = decide(None, env);
    assert_eq!(r.traces, Route { on: true, target: None, console: true });
    assert_eq!(r.metrics, Route { on: false, target: None, console: false });
    assert_eq!(r.logs.target, grpc("http://localhost:4317"), "asked for by name: the standard endpoint");
}

#[test]
fn off_is_off() {
    assert_eq!(decide(Some("http://c:4317"), [("OTEL_SDK_DISABLED", "TRUE")]), Routes::default());
    assert!(decide(None, [("OTEL_SDK_DISABLED", "1")]).traces.on, "only the word true disables");
    let disabled = TelemetryConfig { enabled: false, ..config(Some("http://c:4317")) };
    assert_eq!(Routes::decide(&disabled, &Environment::default(), |_| true), Routes::default());
}

#[test]
fn a_broken_endpoint_is_reported_and_nothing_is_guessed() {
    let r = Routes::decide(&config(Some("http://me:secret@[bad")), &Environment::default(), |_| true);
    assert_eq!((r.traces.target, r.warnings.len()), (None, 1));
    assert!(!r.warnings[0].contains("secret"), "{:?}", r.warnings);
}

#[test]
fn addresses_have_ports() {
    assert_eq!(address("https://h/otlp").as_deref(), Some("h:443"));
    assert_eq!(address("http://h:4317").as_deref(), Some("h:4317"));
}
