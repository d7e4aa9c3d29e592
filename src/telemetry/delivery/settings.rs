//! The `OTEL_EXPORTER_OTLP_*` settings of a connection: headers, timeout, compression, certificates.

use crate::telemetry::env::Environment;
use crate::telemetry::resource::percent_decoded;
use crate::telemetry::stats::Signal;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use std::io;
use std::time::Duration;

/// Why a collector cannot be spoken to at all.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The URL is none for this protocol.
    #[error("the endpoint {url:?} cannot be used ({reason}); correct --otel-endpoint or OTEL_EXPORTER_OTLP_ENDPOINT")]
    Endpoint {
        /// As configured.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The runtime of gRPC cannot be made.
    #[error("the network cannot be used: {0}")]
    Runtime(#[source] io::Error),
    /// A certificate or key cannot be used.
    #[error("{variable}: {path:?} cannot be used as PEM ({reason}); correct the path or the file")]
    Certificate {
        /// The variable that names the file.
        variable: String,
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A proxy cannot be used.
    #[error("{proxy} cannot be used ({reason}); correct it, or name the collector's host in NO_PROXY")]
    Proxy {
        /// Which, and who named it.
        proxy: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A header cannot be sent. Its value, perhaps a secret, is not repeated.
    #[error("{variable}: the entry {entry} cannot be a header; write name=value, separated by commas")]
    Header {
        /// The variable.
        variable: String,
        /// Which one, from 1.
        entry: usize,
    },
}

/// What holds for one signal's connection.
#[derive(Debug)]
pub struct Settings {
    /// Sent with every request; never shown.
    pub headers: HeaderMap,
    /// For one request.
    pub timeout: Duration,
    /// Whether requests are compressed.
    pub gzip: bool,
    /// Certificates to trust in place of the built-in ones, see [`trusted`].
    pub ca: Option<Pem>,
    /// Certificate chain and key to show.
    pub identity: Option<(Pem, Pem)>,
}

impl Settings {
    /// Reads them; the variable of the signal wins over the general one. `secure`: for an `https` endpoint.
    ///
    /// # Errors
    /// When a file cannot be read or a header cannot be sent.
    pub fn read(env: &Environment, signal: Signal, secure: bool) -> Result<Self, SettingsError> {
        let pem = |name| value(env, signal, name).map(Pem::read).transpose();
        let timeout = value(env, signal, "TIMEOUT").and_then(|(_, ms)| ms.parse().ok()).filter(|ms| *ms > 0);
        Ok(Self {
            headers: headers(env, signal)?,
            timeout: Duration::from_millis(timeout.unwrap_or(10_000)),
            // Collectors take gzip, and networks are slower than it.
            gzip: value(env, signal, "COMPRESSION").is_none_or(|(_, name)| name != "none"),
            ca: match pem("CERTIFICATE")? {
                None if secure => trusted(env)?,
                named => named,
            },
            identity: pem("CLIENT_CERTIFICATE")?.zip(pem("CLIENT_KEY")?),
        })
    }
}

/// Where systems keep the authorities that they trust.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The authorities of `SSL_CERT_FILE`, else those of this machine, to which a site may have added its own; `None` where there
/// are none, as in a bare image: then the built-in ones of Mozilla are trusted.
///
/// # Errors
/// When `SSL_CERT_FILE` cannot be read.
pub fn trusted(env: &Environment) -> Result<Option<Pem>, SettingsError> {
    if let Some(path) = env.get("SSL_CERT_FILE") {
        return Pem::read(("SSL_CERT_FILE".to_owned(), path)).map(Some);
    }
    let bundles = BUNDLES.iter().filter_map(|path| Pem::read(("this machine".to_owned(), path)).ok());
    Ok(bundles.into_iter().find(|pem| pem.certificates().is_ok()))
}

/// The variable that is set, and its value.
fn value<'a>(env: &'a Environment, signal: Signal, name: &str) -> Option<(String, &'a str)> {
    let own = format!("OTEL_EXPORTER_OTLP_{}_{name}", signal.variable());
    let general = format!("OTEL_EXPORTER_OTLP_{name}");
    [own, general].into_iter().find_map(|variable| env.get(&variable).map(|text| (variable.clone(), text)))
}

fn headers(env: &Environment, signal: Signal) -> Result<HeaderMap, SettingsError> {
    let mut map = HeaderMap::new();
    let Some((variable, list)) = value(env, signal, "HEADERS") else { return Ok(map) };
    for (at, pair) in list.split(',').enumerate().filter(|(_, pair)| !pair.trim().is_empty()) {
        let bad = || SettingsError::Header { variable: variable.clone(), entry: at + 1 };
        let (name, text) = pair.split_once('=').ok_or_else(bad)?;
        let name: HeaderName = name.trim().parse().map_err(|_| bad())?;
        let mut text: HeaderValue = percent_decoded(text.trim()).parse().map_err(|_| bad())?;
        text.set_sensitive(true);
        map.append(name, text);
    }
    Ok(map)
}

/// A PEM file and who named it.
#[derive(Debug)]
pub struct Pem {
    variable: String,
    path: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl Pem {
    fn read((variable, path): (String, &str)) -> Result<Self, SettingsError> {
        let path = path.to_owned();
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Self { variable, path, bytes }),
            Err(e) => Err(SettingsError::Certificate { variable, path, reason: e.to_string() }),
        }
    }

    /// The refusal of this file.
    #[must_use]
    pub fn refused(&self, reason: &dyn std::fmt::Display) -> SettingsError {
        SettingsError::Certificate {
            variable: self.variable.clone(),
            path: self.path.clone(),
            reason: reason.to_string(),
        }
    }

    /// The certificates in it.
    ///
    /// # Errors
    /// When there is none or one is damaged.
    pub fn certificates(&self) -> Result<Vec<ureq::tls::Certificate<'static>>, SettingsError> {
        let mut found = Vec::new();
        for item in ureq::tls::parse_pem(&self.bytes) {
            if let ureq::tls::PemItem::Certificate(certificate) = item.map_err(|e| self.refused(&e))? {
                found.push(certificate);
            }
        }
        if found.is_empty() { Err(self.refused(&"it holds no certificate")) } else { Ok(found) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_decoded_and_never_repeated_in_a_message() {
        let env = Environment::from([
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1"),
            ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", " Authorization=Bearer%20x%3Dy , b=2,"),
        ]);
        let logs = Settings::read(&env, Signal::Logs, false).unwrap();
        assert_eq!(logs.headers["authorization"], "Bearer x=y");
        assert_eq!((logs.headers["b"].to_str().unwrap(), logs.headers.get("a")), ("2", None));
        assert!(!format!("{logs:?}").contains("Bearer"));
        assert_eq!(Settings::read(&env, Signal::Traces, false).unwrap().headers["a"], "1");
        let env = Environment::from([("OTEL_EXPORTER_OTLP_HEADERS", "a=1,sec ret=hush")]);
        let text = Settings::read(&env, Signal::Logs, false).unwrap_err().to_string();
        assert!(text.contains("entry 2") && !text.contains("hush"), "{text}");
    }

    #[test]
    fn whom_to_trust_is_said_by_a_variable_else_by_the_machine() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        let path = file.to_str().unwrap();
        let env = Environment::from([("SSL_CERT_FILE", path)]);
        assert!(trusted(&env).unwrap_err().to_string().contains("SSL_CERT_FILE"));
        std::fs::write(&file, "x").unwrap();
        assert_eq!(Settings::read(&env, Signal::Logs, true).unwrap().ca.unwrap().bytes, b"x");
        assert!(Settings::read(&env, Signal::Logs, false).unwrap().ca.is_none(), "no TLS, no certificates");
        let own = Environment::from([("SSL_CERT_FILE", "/no"), ("OTEL_EXPORTER_OTLP_CERTIFICATE", path)]);
        assert!(Settings::read(&own, Signal::Logs, true).unwrap().ca.is_some(), "the variable of OTLP wins");
    }

    #[test]
    fn time_and_compression_have_defaults() {
        let plain = Settings::read(&Environment::default(), Signal::Logs, false).unwrap();
        assert_eq!((plain.timeout, plain.gzip), (Duration::from_secs(10), true));
        let env = Environment::from([
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ]);
        let set = Settings::read(&env, Signal::Logs, false).unwrap();
        assert_eq!((set.timeout, set.gzip), (Duration::from_millis(250), false));
        assert_eq!(Settings::read(&env, Signal::Traces, false).unwrap().timeout, Duration::from_secs(10));
    }
}
