//! A connection to a collector for one signal: OTLP over gRPC or over HTTP, and what an answer means.
//!
//! OTLP specification 1.9, "Failures": which codes may be tried again, `Retry-After` and `RetryInfo`, partial success.

use super::proxy::{self, Chosen};
use super::request::{Request, partial_success};
use super::settings::{Settings, SettingsError};
use crate::telemetry::config::without_password;
use crate::telemetry::env::Environment;
use crate::telemetry::routes::{Protocol, Target};
use crate::telemetry::stats::Signal;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message;
use std::error::Error;
use std::io::Write;
use std::time::{Duration, SystemTime};
use tokio::runtime::Runtime;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// Longest part of a collector's own words that is repeated, in bytes.
const MAX_REASON: usize = 400;
const AGENT: &str = concat!("neuro-preprocess/", env!("CARGO_PKG_VERSION"));

/// What a collector made of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It took it, but for so many items, and said why.
    Taken {
        /// Items it did not take; they are not to be sent again.
        rejected: u64,
        /// Why.
        reason: String,
    },
    /// Not now: no answer, or one that says to try again.
    Later {
        /// When, if it said so.
        after: Option<Duration>,
        /// Why.
        reason: String,
    },
    /// This request, never.
    Refused(String),
    /// Nothing, from us: wrong address, credentials or permissions, or the collector is broken.
    Stop(String),
}

/// A connection; made when first needed, and again when lost.
#[derive(Debug)]
pub enum Link {
    /// OTLP/gRPC.
    Grpc(Box<Grpc>),
    /// OTLP/HTTP with protobuf.
    Http(Box<Http>),
}

impl Link {
    /// Prepares a connection; nothing is sent.
    ///
    /// # Errors
    /// When the settings cannot be used; an absent collector is no error.
    pub fn new(target: &Target, env: &Environment, signal: Signal) -> Result<Self, SettingsError> {
        let settings = Settings::read(env, signal, target.url.starts_with("https:"))?;
        Ok(match target.protocol {
            Protocol::Grpc => Self::Grpc(Box::new(Grpc::new(target, settings)?)),
            Protocol::Http => Self::Http(Box::new(Http::new(target, settings, env)?)),
        })
    }

    /// Sends, and waits for the answer for as long as the timeout allows.
    pub fn send(&mut self, signal: Signal, request: &Request) -> Answer {
        match self {
            Self::Grpc(grpc) => grpc.send(request),
            Self::Http(http) => http.send(signal, request),
        }
    }
}

/// A channel and the runtime it lives in, which runs only while a request is under way.
#[derive(Debug)]
pub struct Grpc {
    runtime: Runtime,
    channel: Channel,
    headers: MetadataMap,
    gzip: bool,
}

impl Grpc {
    fn new(target: &Target, settings: Settings) -> Result<Self, SettingsError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(SettingsError::Runtime)?;
        let bad = |e: tonic::transport::Error| SettingsError::Endpoint {
            url: without_password(&target.url),
            reason: chain(&e),
        };
        let endpoint = Endpoint::from_shared(target.url.clone()).map_err(bad)?;
        let mut endpoint = endpoint
            .user_agent(AGENT)
            .map_err(bad)?
            .timeout(settings.timeout)
            .connect_timeout(settings.timeout.min(CONNECT));
        if endpoint.uri().scheme_str() == Some("https") {
            let tls = ClientTlsConfig::new();
            let mut tls = match &settings.ca {
                Some(ca) => tls.ca_certificate(Certificate::from_pem(&ca.bytes)),
                None => tls.with_enabled_roots(),
            };
            if let Some((chain, key)) = &settings.identity {
                tls = tls.identity(Identity::from_pem(&chain.bytes, &key.bytes));
            }
            endpoint = endpoint.tls_config(tls).map_err(bad)?;
        }
        let channel = {
            let _inside = runtime.enter();
            endpoint.connect_lazy()
        };
        Ok(Self { runtime, channel, headers: MetadataMap::from_headers(settings.headers), gzip: settings.gzip })
    }

    fn send(&mut self, request: &Request) -> Answer {
        /// Sends by the client of one signal. A macro, because the generated clients share no trait.
        macro_rules! export {
            ($client:ident, $message:expr, $rejected:ident) => {{
                let mut client = $client::new(self.channel.clone());
                if self.gzip {
                    // Servers in Go answer in the compression they were asked in.
                    client =
                        client.send_compressed(CompressionEncoding::Gzip).accept_compressed(CompressionEncoding::Gzip);
                }
                let mut request = tonic::Request::new($message.clone());
                *request.metadata_mut() = self.headers.clone();
                let answer = self.runtime.block_on(client.export(request));
                answer.map(|a| a.into_inner().partial_success.map(|p| (p.$rejected, p.error_message)))
            }};
        }
        let answer = match request {
            Request::Traces(r) => export!(TraceServiceClient, r, rejected_spans),
            Request::Metrics(r) => export!(MetricsServiceClient, r, rejected_data_points),
            Request::Logs(r) => export!(LogsServiceClient, r, rejected_log_records),
        };
        match answer {
            Ok(partial) => {
                let (rejected, reason) = partial.unwrap_or_default();
                Answer::Taken { rejected: u64::try_from(rejected).unwrap_or(0), reason: shortened(&reason) }
            }
            Err(status) => of_status(&status),
        }
    }
}

/// What a gRPC status means.
fn of_status(status: &Status) -> Answer {
    // A status with a cause was made on our side: no answer came.
    let local = status.source();
    let reason = local.map_or_else(
        || shortened(&format!("{:?}: {}", status.code(), status.message())),
        |cause| shortened(&advised(chain(cause))),
    );
    let after = status.get_details_retry_info().and_then(|info| info.retry_delay);
    match status.code() {
        _ if local.is_some() => Answer::Later { after: None, reason },
        Code::ResourceExhausted if after.is_none() => Answer::Refused(reason),
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss
        | Code::ResourceExhausted => Answer::Later { after, reason },
        Code::InvalidArgument | Code::FailedPrecondition | Code::AlreadyExists | Code::NotFound => {
            Answer::Refused(reason)
        }
        _ => Answer::Stop(reason),
    }
}

/// A blocking client, without a runtime.
#[derive(Debug)]
pub struct Http {
    agent: ureq::Agent,
    url: String,
    headers: HeaderMap,
    gzip: bool,
    proxy: Option<Chosen>,
}

impl Http {
    fn new(target: &Target, settings: Settings, env: &Environment) -> Result<Self, SettingsError> {
        use ureq::tls::{ClientCert, PrivateKey, RootCerts, TlsConfig};
        let mut tls = TlsConfig::builder();
        if let Some(ca) = &settings.ca {
            tls = tls.root_certs(RootCerts::new_with_certs(&ca.certificates()?));
        }
        if let Some((chain, key)) = &settings.identity {
            let private = PrivateKey::from_pem(&key.bytes).map_err(|e| key.refused(&e))?;
            tls = tls.client_cert(Some(ClientCert::new_with_certs(&chain.certificates()?, private)));
        }
        let proxy = proxy::choose(&target.url, env);
        let refused = |chosen: &Chosen, e: ureq::Error| SettingsError::Proxy {
            proxy: chosen.to_string(),
            reason: without_password(&chain(&e)),
        };
        let through = proxy.as_ref().map(|p| ureq::Proxy::new(&p.url).map_err(|e| refused(p, e))).transpose()?;
        let config = ureq::Agent::config_builder()
            .proxy(through)
            .http_status_as_error(false) // read below
            .max_redirects(0) // credentials go only where they were meant to go
            .max_redirects_will_error(false)
            .timeout_global(Some(settings.timeout))
            .timeout_connect(Some(settings.timeout.min(CONNECT)))
            .user_agent(AGENT)
            .tls_config(tls.build());
        let agent = ureq::Agent::new_with_config(config.build());
        Ok(Self { agent, url: target.url.clone(), headers: settings.headers, gzip: settings.gzip, proxy })
    }

    fn send(&self, signal: Signal, request: &Request) -> Answer {
        let (body, zipped) = match self.gzip.then(|| zipped(&request.encode())) {
            Some(Ok(body)) => (body, true),
            _ => (request.encode(), false),
        };
        let mut post = self.agent.post(&self.url).header("Content-Type", "application/x-protobuf");
        if zipped {
            post = post.header("Content-Encoding", "gzip");
        }
        for (name, value) in &self.headers {
            post = post.header(name, value);
        }
        let mut answer = match post.send(&body[..]) {
            Ok(answer) => answer,
            Err(e) => return Answer::Later { after: None, reason: self.told(&advised(chain(&e))) },
        };
        let status = answer.status();
        let after = answer.headers().get("Retry-After").and_then(|v| retry_after(v.to_str().ok()?));
        let body = answer.body_mut().with_config().limit(1_000_000).read_to_vec().unwrap_or_default();
        if status.is_success() {
            let (rejected, reason) = partial_success(signal, &body);
            return Answer::Taken { rejected, reason: shortened(&reason) };
        }
        match of_http(status, after, &body) {
            Answer::Later { after, reason } => Answer::Later { after, reason: self.told(&reason) },
            Answer::Stop(reason) => Answer::Stop(self.told(&reason)),
            Answer::Refused(reason) => Answer::Refused(self.told(&reason)),
            taken @ Answer::Taken { .. } => taken,
        }
    }

    /// A reason, with the proxy that the request went through: it may be to blame.
    fn told(&self, reason: &str) -> String {
        match &self.proxy {
            Some(proxy) => format!("{}; it went through {proxy}", shortened(reason)),
            None => shortened(reason),
        }
    }
}

/// What TLS says of a certificate, and what to do about it.
fn advised(reason: String) -> String {
    let advice = if reason.contains("CaUsedAsEndEntity") {
        "it is self-signed and that of an authority (CA:TRUE): make the server one with CA:FALSE, or have one signed by that \
         authority, and name the file in OTEL_EXPORTER_OTLP_CERTIFICATE"
    } else if reason.contains("UnknownIssuer") {
        "name the file of the authority that signed it in OTEL_EXPORTER_OTLP_CERTIFICATE or SSL_CERT_FILE"
    } else {
        return reason;
    };
    format!("the server's certificate is not accepted ({reason}): {advice}")
}

fn zipped(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// What an HTTP status that is no success means. The body is a `google.rpc.Status`, or anything a proxy wrote.
fn of_http(status: StatusCode, after: Option<Duration>, body: &[u8]) -> Answer {
    let words = tonic_types::Status::decode(body).map(|s| s.message).unwrap_or_default();
    let reason = shortened(format!("HTTP {status} {words}").trim_end());
    match status.as_u16() {
        429 | 502 | 503 | 504 => Answer::Later { after, reason },
        401 | 403 | 404 | 405 | 407 => Answer::Stop(reason),
        400..500 => Answer::Refused(reason),
        _ => Answer::Stop(reason),
    }
}

/// Seconds or a date (RFC 9110, 10.2.3).
fn retry_after(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = SystemTime::from(jiff::fmt::rfc2822::parse(text).ok()?.timestamp());
    Some(then.duration_since(SystemTime::now()).unwrap_or_default())
}

/// An error with all its causes: the outermost alone says only "transport error".
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}

fn shortened(text: &str) -> String {
    crate::telemetry::text::bounded(text, MAX_REASON).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    #[test]
    fn statuses_mean_what_the_specification_says() {
        let grpc = |code| of_status(&Status::new(code, "x"));
        for code in [Code::Unavailable, Code::Cancelled, Code::DeadlineExceeded, Code::Aborted, Code::DataLoss] {
            assert!(matches!(grpc(code), Answer::Later { after: None, .. }), "{code:?}");
        }
        assert!(matches!(grpc(Code::InvalidArgument), Answer::Refused(_)));
        assert!(matches!(grpc(Code::ResourceExhausted), Answer::Refused(_)));
        for code in [Code::Unauthenticated, Code::PermissionDenied, Code::Unimplemented, Code::Internal] {
            assert!(matches!(grpc(code), Answer::Stop(_)), "{code:?}");
        }
        let wait = ErrorDetails::with_retry_info(Some(Duration::from_secs(7)));
        let told = of_status(&Status::with_error_details(Code::ResourceExhausted, "full", wait));
        assert!(matches!(told, Answer::Later { after: Some(d), .. } if d.as_secs() == 7), "{told:?}");
        let lost = Status::from_error(Box::new(std::io::Error::other("cut")));
        assert!(matches!(of_status(&lost), Answer::Later { .. }), "no answer is no refusal");

        let http = |code: u16| of_http(StatusCode::from_u16(code).unwrap(), None, b"");
        assert!([429, 502, 503, 504].into_iter().all(|c| matches!(http(c), Answer::Later { .. })));
        assert!([400, 413, 422].into_iter().all(|c| matches!(http(c), Answer::Refused(_))));
        assert!([301, 401, 403, 404, 500, 501].into_iter().all(|c| matches!(http(c), Answer::Stop(_))));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after("120"), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert!(retry_after("Tue, 01 Jan 2999 00:00:00 GMT").unwrap() > Duration::from_secs(1_000_000_000));
        assert_eq!(retry_after("soon"), None);
    }
}
