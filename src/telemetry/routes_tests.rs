//! Tests of the precedence rules.
use super::*;

fn config(endpoint: Option<&str>) -> TelemetryConfig {
    TelemetryConfig { enabled: true, endpoint: endpoint.map(str::to_owned), ..TelemetryConfig::default() }
}

fn decide<const N: usize>(endpoint: Option<&str>, env: [(&str, &str); N]) -> Routes {
    Routes::decide(&config(endpoint), &Environment::from(env))
}

fn http(url: &str) -> Option<Target> {
    Some(Target { url: url.to_owned(), protocol: Protocol::Http })
}

fn grpc(url: &str) -> Option<Target> {
    Some(Target { url: url.to_owned(), protocol: Protocol::Grpc })
}

fn stack() -> Found {
    let (http, grpc) = ("http://127.0.0.1:14".to_owned(), "http://127.0.0.1:13".to_owned());
    Found::Stack(stack::Endpoints { http, grpc, file: "/s/endpoint".into() })
}

#[test]
fn without_an_endpoint_only_the_own_stack_is_used() {
    let alone = decide(None, []);
    assert_eq!((&alone.traces.target, alone.traces.on), (&None, true));
    assert!(matches!(alone.stack, Some(Found::Nothing(_))), "what was looked for is told: {:?}", alone.stack);
    let with = |env: &[(&str, &str)], flag| {
        let env = env.iter().fold(Environment::default(), |env, (k, v)| env.with(k, Some((*v).to_owned())));
        Routes::decide_with(&config(flag), &env, stack)
    };
    assert_eq!(with(&[], None).metrics.target, http("http://127.0.0.1:14/v1/metrics"), "HTTP comes back sooner");
    assert_eq!(with(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], None).logs.target, grpc("http://127.0.0.1:13"));
    let named = with(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:9/x")], None);
    assert_eq!((named.traces.target, named.logs.target), (http("http://t:9/x"), http("http://127.0.0.1:14/v1/logs")));
    assert_eq!(with(&[], Some("http://c:4317")).stack, None, "not looked for when all is named");
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
    assert_eq!(Routes::decide_with(&disabled, &Environment::default(), stack), Routes::default());
}

#[test]
fn a_broken_endpoint_is_reported_and_nothing_is_guessed() {
    let r = Routes::decide_with(&config(Some("http://me:secret@[bad")), &Environment::default(), stack);
    assert_eq!((r.traces.target, r.warnings.len()), (None, 1));
    assert!(!r.warnings[0].contains("secret"), "{:?}", r.warnings);
}

#[test]
fn addresses_have_ports() {
    assert_eq!(address("https://h/otlp").as_deref(), Some("h:443"));
    assert_eq!(address("http://h:4317").as_deref(), Some("h:4317"));
}
