//! OTLP over the network: gRPC by tonic on its own small runtime, HTTP/protobuf by a blocking client.
//!
//! Headers, timeout and compression come from the standard `OTEL_EXPORTER_OTLP_*` variables, which the exporters read
//! themselves; endpoint and protocol are decided in [`super::routes`]; certificates, which the exporters ignore, here.

use super::env::Environment;
use super::routes::{Protocol, Target};
use super::stats::{Signal, Stats};
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig, Identity};
use opentelemetry_otlp::{ExporterBuildError, WithExportConfig, WithHttpConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use opentelemetry_sdk::metrics::{Temporality, data::ResourceMetrics, exporter::PushMetricExporter};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::runtime::Handle;

/// Why a collector cannot be spoken to at all.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// The exporter refuses its settings.
    #[error("{0}; correct the OTEL_EXPORTER_OTLP_* variables")]
    Build(#[from] ExporterBuildError),
    /// The thread for gRPC could not be started.
    #[error("no thread for the network could be started: {0}")]
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
}

/// What the exporters of all signals share.
pub struct Network<'a> {
    /// The environment.
    pub env: &'a Environment,
    /// Where deliveries are counted.
    pub stats: &'a Arc<Stats>,
    runtime: Option<Handle>,
}

/// Completes an exporter's builder for the target. A macro, because the builders of the signals share no trait.
macro_rules! connected {
    ($network:expr, $signal:expr, $target:expr, $builder:expr) => {
        match $target.protocol {
            Protocol::Grpc => {
                let tls = $network.grpc_tls($signal)?;
                let runtime = $network.runtime()?;
                let _context = runtime.enter();
                $builder.with_tonic().with_tls_config(tls).with_endpoint(&$target.url).build()?
            }
            Protocol::Http => {
                let client = $network.http_client($signal)?;
                let http = $builder.with_http().with_http_client(client).with_endpoint(&$target.url);
                // Said outright: the default depends on features other crates may switch on.
                http.with_protocol(opentelemetry_otlp::Protocol::HttpBinary).build()?
            }
        }
    };
}

impl<'a> Network<'a> {
    /// Nothing is started until an exporter needs it.
    #[must_use]
    pub const fn new(env: &'a Environment, stats: &'a Arc<Stats>) -> Self {
        Self { env, stats, runtime: None }
    }

    /// An exporter of spans.
    ///
    /// # Errors
    /// When the settings cannot be used; an absent collector is no error.
    pub fn spans(&mut self, target: &Target) -> Result<Counted<opentelemetry_otlp::SpanExporter>, OtlpError> {
        let builder = opentelemetry_otlp::SpanExporter::builder();
        let exporter = connected!(self, Signal::Traces, target, builder);
        Ok(self.counted(Signal::Traces, target, exporter))
    }

    /// An exporter of log records.
    ///
    /// # Errors
    /// As [`Self::spans`].
    pub fn logs(&mut self, target: &Target) -> Result<Counted<opentelemetry_otlp::LogExporter>, OtlpError> {
        let builder = opentelemetry_otlp::LogExporter::builder();
        let exporter = connected!(self, Signal::Logs, target, builder);
        Ok(self.counted(Signal::Logs, target, exporter))
    }

    /// An exporter of metrics.
    ///
    /// # Errors
    /// As [`Self::spans`].
    pub fn metrics(
        &mut self,
        target: &Target,
        temporality: Temporality,
    ) -> Result<Counted<opentelemetry_otlp::MetricExporter>, OtlpError> {
        let builder = opentelemetry_otlp::MetricExporter::builder().with_temporality(temporality);
        let exporter = connected!(self, Signal::Metrics, target, builder);
        Ok(self.counted(Signal::Metrics, target, exporter))
    }

    fn counted<E>(&self, signal: Signal, target: &Target, inner: E) -> Counted<E> {
        Counted { inner, signal, url: target.url.clone(), stats: Arc::clone(self.stats) }
    }

    /// The runtime of the gRPC connections: one thread that lives as long as the process, because a connection to a
    /// collector that hangs must not hold up the end.
    fn runtime(&mut self) -> Result<Handle, OtlpError> {
        if let Some(handle) = &self.runtime {
            return Ok(handle.clone());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(OtlpError::Runtime)?;
        let handle = runtime.handle().clone();
        std::thread::Builder::new()
            .name("otlp-grpc".into())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))
            .map_err(OtlpError::Runtime)?;
        self.runtime = Some(handle.clone());
        Ok(handle)
    }

    /// Reads the PEM file that `OTEL_EXPORTER_OTLP_{SIGNAL}_{name}` or `OTEL_EXPORTER_OTLP_{name}` names.
    fn pem(&self, signal: Signal, name: &str) -> Result<Option<Pem>, OtlpError> {
        let own = format!("OTEL_EXPORTER_OTLP_{}_{name}", signal.variable());
        let general = format!("OTEL_EXPORTER_OTLP_{name}");
        for variable in [own, general] {
            if let Some(path) = self.env.get(&variable) {
                let path = path.to_owned();
                return match std::fs::read(&path) {
                    Ok(bytes) => Ok(Some(Pem { variable, path, bytes })),
                    Err(e) => Err(OtlpError::Certificate { variable, path, reason: e.to_string() }),
                };
            }
        }
        Ok(None)
    }

    fn grpc_tls(&self, signal: Signal) -> Result<ClientTlsConfig, OtlpError> {
        let mut tls = ClientTlsConfig::new().with_enabled_roots();
        if let Some(ca) = self.pem(signal, "CERTIFICATE")? {
            tls = tls.ca_certificate(Certificate::from_pem(ca.bytes));
        }
        if let (Some(chain), Some(key)) = (self.pem(signal, "CLIENT_CERTIFICATE")?, self.pem(signal, "CLIENT_KEY")?) {
            tls = tls.identity(Identity::from_pem(chain.bytes, key.bytes));
        }
        Ok(tls)
    }

    fn http_client(&self, signal: Signal) -> Result<Blocking, OtlpError> {
        use ureq::tls::{ClientCert, PrivateKey, RootCerts, TlsConfig};
        let mut tls = TlsConfig::builder();
        if let Some(ca) = self.pem(signal, "CERTIFICATE")? {
            tls = tls.root_certs(RootCerts::new_with_certs(&ca.certificates()?));
        }
        if let (Some(chain), Some(key)) = (self.pem(signal, "CLIENT_CERTIFICATE")?, self.pem(signal, "CLIENT_KEY")?) {
            let private = PrivateKey::from_pem(&key.bytes).map_err(|e| key.refused(&e))?;
            tls = tls.client_cert(Some(ClientCert::new_with_certs(&chain.certificates()?, private)));
        }
        let timeout = self.timeout(signal);
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false) // the exporter tells retryable statuses from final ones
            .timeout_global(Some(timeout))
            .timeout_connect(Some(timeout.min(Duration::from_secs(3))))
            .tls_config(tls.build());
        Ok(Blocking(ureq::Agent::new_with_config(config.build())))
    }

    /// `OTEL_EXPORTER_OTLP_{SIGNAL}_TIMEOUT` or `OTEL_EXPORTER_OTLP_TIMEOUT` in ms, 10 s by default. The exporter applies
    /// them to its own clients only.
    fn timeout(&self, signal: Signal) -> Duration {
        let own = format!("OTEL_EXPORTER_OTLP_{}_TIMEOUT", signal.variable());
        let value = self.env.get(&own).or_else(|| self.env.get("OTEL_EXPORTER_OTLP_TIMEOUT"));
        let ms = value.and_then(|v| v.parse().ok()).filter(|ms| *ms > 0).unwrap_or(10_000);
        Duration::from_millis(ms)
    }
}

/// A PEM file and who named it.
struct Pem {
    variable: String,
    path: String,
    bytes: Vec<u8>,
}

impl Pem {
    fn refused(&self, reason: &dyn std::fmt::Display) -> OtlpError {
        OtlpError::Certificate { variable: self.variable.clone(), path: self.path.clone(), reason: reason.to_string() }
    }

    fn certificates(&self) -> Result<Vec<ureq::tls::Certificate<'static>>, OtlpError> {
        let mut found = Vec::new();
        for item in ureq::tls::parse_pem(&self.bytes) {
            if let ureq::tls::PemItem::Certificate(certificate) = item.map_err(|e| self.refused(&e))? {
                found.push(certificate);
            }
        }
        if found.is_empty() { Err(self.refused(&"it holds no certificate")) } else { Ok(found) }
    }
}

/// An HTTP client without a runtime: usable from the SDK's own threads.
#[derive(Debug, Clone)]
struct Blocking(ureq::Agent);

#[async_trait::async_trait]
impl HttpClient for Blocking {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let response = self.0.run(http::Request::from_parts(parts, body.to_vec()))?;
        let (parts, mut body) = response.into_parts();
        Ok(http::Response::from_parts(parts, body.read_to_vec()?.into()))
    }
}

/// An exporter that counts what arrived, and says once when something did not.
#[derive(Debug)]
pub struct Counted<E> {
    inner: E,
    signal: Signal,
    url: String,
    stats: Arc<Stats>,
}

impl<E> Counted<E> {
    fn count(&self, items: u64, result: OTelSdkResult) -> OTelSdkResult {
        let counts = self.stats.of(self.signal);
        match &result {
            Ok(()) => counts.delivered.fetch_add(items, Relaxed),
            Err(e) => {
                self.stats.warn_network(&self.url, e);
                counts.undelivered.fetch_add(items, Relaxed)
            }
        };
        result
    }
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let items = batch.len() as u64;
        self.count(items, self.inner.export(batch).await)
    }
    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }
    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<E: LogExporter> LogExporter for Counted<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let items = batch.iter().count() as u64;
        self.count(items, self.inner.export(batch).await)
    }
    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }
    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Counted<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let items = metrics.scope_metrics().map(|s| s.metrics().count() as u64).sum();
        self.count(items, self.inner.export(metrics).await)
    }
    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }
    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }
    fn temporality(&self) -> Temporality {
        self.inner.temporality()
    }
}
