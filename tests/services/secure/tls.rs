//! TLS to a real Collector, over gRPC and HTTP: verified unless told whom else to trust, and a refusal costs one warning and
//! nothing that was written.

use crate::collector::study::{Study, status, text, url};
use crate::common::collector::{Collector, into_files, shipped};
use crate::common::receiver::Receiver;
use crate::common::{Ran, install, run_command};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder of certificates and keys, made anew: see `tests/peers/make_certificates.py`.
fn certificates(folder: &Path) -> Option<PathBuf> {
    let python = install::python("secure", "tests/peers/requirements-secure.txt");
    let python = install::or_skip("the maker of certificates", python)?;
    let folder = folder.join("certificates");
    let script = install::root("tests/peers/make_certificates.py");
    run_command(Command::new(python).arg(script).arg(&folder)).exits(0);
    Some(folder)
}

/// A Collector with one of the certificates; with `clients` it asks for certificates of that authority.
fn collector(study: &Study, certificates: &Path, server: &str, clients: Option<&str>) -> Option<Collector> {
    let server_at = certificates.join(server);
    let clients = clients.map(|name| certificates.join(format!("{name}.pem")));
    let mut set = vec![("TLS_SERVER", text(&server_at))];
    set.extend(clients.iter().map(|path| ("TLS_CLIENTS", text(path))));
    let configs = [shipped(), into_files(), install::root("tests/peers/collector/tls.yaml")];
    let name = format!("collector-{server}{}", if clients.is_some() { "-mutual" } else { "" });
    Collector::start(&study.path(&name), &configs, &set)
}

const PROTOCOLS: [&str; 2] = ["grpc", "http/protobuf"];

/// A run that sends to `https://HOST` by one protocol, trusting and showing the certificates of these names.
fn send(
    study: &Study,
    to: (&Collector, &str, &str),
    certificates: &Path,
    names: (Option<&str>, Option<&str>),
) -> (Ran, PathBuf) {
    let (mut run, out) = sender(study, to, certificates, names);
    (run_command(&mut run).exits(0), out)
}

fn sender(
    study: &Study,
    (to, host, protocol): (&Collector, &str, &str),
    certificates: &Path,
    (trusts, shows): (Option<&str>, Option<&str>),
) -> (Command, PathBuf) {
    let name = format!("out-{}-{host}{protocol}{trusts:?}{shows:?}", to.grpc).replace('/', "-");
    let port = if protocol == "grpc" { to.grpc } else { to.http };
    let mut run = study.run(&name);
    run.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("https://{host}:{port}"));
    run.env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
    let file = |name: &str, end: &str| certificates.join(format!("{name}.{end}"));
    if let Some(name) = trusts {
        run.env("OTEL_EXPORTER_OTLP_CERTIFICATE", file(name, "pem"));
    }
    if let Some(name) = shows {
        run.env("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", file(name, "pem"));
        run.env("OTEL_EXPORTER_OTLP_CLIENT_KEY", file(name, "key"));
    }
    (run, study.path(&name))
}

#[track_caller]
fn is_delivered((ran, out): (Ran, PathBuf)) {
    assert!(!ran.stderr.contains("cannot be delivered"), "{}", ran.stderr);
    for signal in ["traces", "metrics", "logs"] {
        let counts = ["delivered", "waiting"].map(|count| status(&out, signal, count));
        assert!(counts[0] > 0 && counts[1] == 0, "{signal}: {counts:?}");
    }
}

/// The run ended well, everything waits in its files, and one warning says why, in one of the ways that `|` divides.
#[track_caller]
fn is_refused((ran, out): (Ran, PathBuf), why: &str) {
    let warnings = ran.stderr.matches("telemetry cannot be delivered").count();
    let said = ran.stderr.to_lowercase();
    let says_why = why.split('|').any(|way| said.contains(&way.to_lowercase()));
    assert!(warnings == 1 && says_why, "{why} is not why:\n{}", ran.stderr);
    for signal in ["traces", "metrics", "logs"] {
        let counts = ["delivered", "waiting", "rejected"].map(|count| status(&out, signal, count));
        assert!(counts[0] == 0 && counts[1] > 0 && counts[2] == 0, "{signal}: {counts:?}");
    }
}

#[test]
fn a_known_authority_is_trusted_and_no_other() {
    let study = Study::new(1, 0);
    let Some(at) = certificates(&study.path("")) else { return };
    let Some(server) = collector(&study, &at, "server", None) else { return };
    for protocol in PROTOCOLS {
        for host in ["localhost", "127.0.0.1"] {
            is_delivered(send(&study, (&server, host, protocol), &at, (Some("authority"), None)));
        }
        // Without a word about whom to trust, the authorities of the web are.
        is_refused(send(&study, (&server, "localhost", protocol), &at, (None, None)), "UnknownIssuer");
        // `https` is not taken back by the variable for addresses without a scheme.
        let (mut insecure, out) = sender(&study, (&server, "127.0.0.1", protocol), &at, (None, None));
        insecure.env("OTEL_EXPORTER_OTLP_INSECURE", "true");
        is_refused((run_command(&mut insecure).exits(0), out), "UnknownIssuer");
        is_refused(send(&study, (&server, "localhost", protocol), &at, (Some("stranger"), None)), "UnknownIssuer");
    }
}

#[test]
fn a_wrong_name_and_a_past_date_are_refused() {
    let study = Study::new(1, 0);
    let Some(at) = certificates(&study.path("")) else { return };
    for (name, why) in [("elsewhere", "not valid for name"), ("expired", "expired")] {
        let Some(server) = collector(&study, &at, name, None) else { return };
        for protocol in PROTOCOLS {
            is_refused(send(&study, (&server, "localhost", protocol), &at, (Some("authority"), None)), why);
        }
        assert!(!server.files().join("traces.jsonl").metadata().is_ok_and(|file| file.len() > 0));
    }
}

/// What `openssl req -x509` makes is the certificate of an authority, which no server may show: then what to do is told.
#[test]
fn a_certificate_that_signs_itself_is_trusted_when_named_or_comes_with_advice() {
    let study = Study::new(1, 0);
    let Some(at) = certificates(&study.path("")) else { return };
    for (name, fits) in [("self-signed-server", true), ("self-signed-authority", false)] {
        let Some(server) = collector(&study, &at, name, None) else { return };
        for protocol in PROTOCOLS {
            let sent = send(&study, (&server, "localhost", protocol), &at, (Some(name), None));
            if fits { is_delivered(sent) } else { is_refused(sent, "make the server one with CA:FALSE") }
        }
    }
}

#[test]
fn the_authorities_of_ssl_cert_file_are_trusted() {
    let study = Study::new(1, 0);
    let Some(at) = certificates(&study.path("")) else { return };
    let Some(server) = collector(&study, &at, "server", None) else { return };
    for protocol in PROTOCOLS {
        let (mut run, out) = sender(&study, (&server, "localhost", protocol), &at, (None, None));
        run.env("SSL_CERT_FILE", at.join("authority.pem"));
        is_delivered((run_command(&mut run).exits(0), out));
        // Who signed it is not known, and the message says where to name him.
        let (mut run, out) = sender(&study, (&server, "127.0.0.1", protocol), &at, (None, None));
        run.env("SSL_CERT_FILE", at.join("stranger.pem"));
        is_refused((run_command(&mut run).exits(0), out), "or SSL_CERT_FILE");
    }
}

#[test]
fn a_collector_that_asks_for_a_certificate_gets_it() {
    let study = Study::new(1, 0);
    let Some(at) = certificates(&study.path("")) else { return };
    let Some(server) = collector(&study, &at, "server", Some("authority")) else { return };
    for protocol in PROTOCOLS {
        let to = (&server, "localhost", protocol);
        is_delivered(send(&study, to, &at, (Some("authority"), Some("client"))));
        // Who hangs up first decides what the refusal is called.
        let hangs_up = "broken pipe|connection reset|closed";
        is_refused(send(&study, to, &at, (Some("authority"), None)), &format!("CertificateRequired|{hangs_up}"));
        let stranger = send(&study, to, &at, (Some("authority"), Some("client-of-stranger")));
        is_refused(stranger, &format!("UnknownCA|{hangs_up}"));
    }
}

/// Whoever answers with another address would get the telemetry, and the secrets of the headers with it.
#[test]
fn redirections_are_not_followed() {
    let study = Study::new(1, 0);
    let Some(elsewhere) = Receiver::start(&study.path("elsewhere"), "ok") else { return };
    let redirects = format!("redirect:{}", url(elsewhere.http));
    let Some(first) = Receiver::start(&study.path("first"), &redirects) else { return };
    let mut run = study.run("out");
    run.env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf").env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret");
    let ran = run_command(run.args(["--otel-endpoint", &url(first.http)])).exits(0);
    is_refused((ran, study.path("out")), "30");
    let asked: BTreeSet<String> = first.requests().iter().map(|r| r["signal"].to_string()).collect();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert_eq!(elsewhere.requests(), Vec::<Value>::new());
}
