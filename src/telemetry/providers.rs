//! The SDK's providers, assembled from the routes: which exporter stands behind which processor.

use super::env::Environment;
use super::logs::LogLayer;
use super::otlp::{Network, OtlpError};
use super::routes::{Route, Routes};
use super::spool::{Spool, SpoolExporter};
use super::stats::{Signal, Stats};
use super::{Shutdown, metrics, names, resource, spans, tree};
use opentelemetry::InstrumentationScope;
use opentelemetry::logs::LoggerProvider;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{
    BatchConfigBuilder as LogBatchConfig, BatchLogProcessor, SdkLogger, SdkLoggerProvider, SimpleLogProcessor,
};
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, exporter::PushMetricExporter};
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SimpleSpanProcessor};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tracing::Dispatch;
use tracing_subscriber::filter::{LevelFilter, Targets, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};

/// Items held for a collector that is slow; about 1.25 KB each. `OTEL_BSP_MAX_QUEUE_SIZE` and its like win.
const QUEUE: usize = 16_384;
/// How often metrics are exported. `OTEL_METRIC_EXPORT_INTERVAL` wins.
const METRIC_INTERVAL: Duration = Duration::from_secs(15);

/// The providers that are needed; `None` for what goes nowhere.
pub struct Providers {
    tracer: Option<SdkTracerProvider>,
    /// Makes the meter of [`metrics::Metrics`].
    pub meter: Option<SdkMeterProvider>,
    logger: Option<SdkLoggerProvider>,
}

/// What the providers are assembled from.
struct Parts<'a> {
    env: &'a Environment,
    dir: Option<&'a Path>,
    resource: Resource,
    network: Network<'a>,
    stats: &'a Arc<Stats>,
    warnings: &'a mut Vec<String>,
}

impl Providers {
    /// Builds them. An exporter that cannot be built becomes a warning, and its target is struck from the routes.
    pub fn build(
        routes: &mut Routes,
        env: &Environment,
        dir: Option<&Path>,
        run_id: &str,
        stats: &Arc<Stats>,
        warnings: &mut Vec<String>,
    ) -> Self {
        let network = Network::new(env, stats);
        let mut parts = Parts { env, dir, resource: resource::build(env, run_id), network, stats, warnings };
        let (tracer, meter, logger) =
            (parts.tracer(&mut routes.traces), parts.meter(&mut routes.metrics), parts.logger(&mut routes.logs));
        warnings.dedup(); // one certificate that cannot be read concerns all three signals
        Self { tracer, meter, logger }
    }

    /// The zeros of the counters go out at once, in the background: a collector that hangs must not hold up the start.
    pub fn flush_first_metrics(&self) {
        if let Some(meter) = self.meter.clone() {
            let flush = move || drop(meter.force_flush());
            // Without a thread the zeros go out with the first interval.
            let _ = std::thread::Builder::new().name("telemetry-start".into()).spawn(flush);
        }
    }

    /// The way of log records to files and collector.
    pub fn logger(&self) -> Option<SdkLogger> {
        self.logger.as_ref().map(|provider| provider.logger_with_scope(scope()))
    }

    /// The subscriber: only what this program says, down to DEBUG; spans to OpenTelemetry, events to `logs`.
    pub fn dispatch(&self, logs: LogLayer) -> Dispatch {
        let otel = self.tracer.as_ref().map(|provider| {
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer_with_scope(scope()))
                // Source locations and thread numbers would double the size of a span.
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_target(false)
                .with_filter(filter_fn(|metadata| metadata.is_span()))
        });
        let own = Targets::new().with_target(spans::TARGET, LevelFilter::DEBUG);
        Dispatch::new(tracing_subscriber::registry().with(own).with(otel).with(logs))
    }

    /// The shutdowns of the providers, to be run side by side.
    pub fn shutdowns(self, budget: Duration) -> Vec<Shutdown> {
        let mut out: Vec<Shutdown> = Vec::new();
        if let Some(provider) = self.tracer {
            out.push(Box::new(move || provider.shutdown_with_timeout(budget)));
        }
        if let Some(provider) = self.logger {
            out.push(Box::new(move || provider.shutdown_with_timeout(budget)));
        }
        if let Some(provider) = self.meter {
            out.push(Box::new(move || provider.shutdown_with_timeout(budget)));
        }
        out
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(names::SERVICE).with_version(env!("CARGO_PKG_VERSION")).build()
}

impl Parts<'_> {
    /// The file exporter of a signal, where there is a folder that takes it.
    fn file(&self, signal: Signal) -> Option<SpoolExporter> {
        let spool = Spool::create(self.dir?, signal, Arc::clone(self.stats));
        let temporality = metrics::temporality(self.env);
        spool.map(|s| SpoolExporter::new(s, temporality)).map_err(|e| self.stats.warn_file(&e)).ok()
    }

    /// An exporter, or the warning why there is none.
    fn warned<E>(&mut self, exporter: Result<E, OtlpError>) -> Option<E> {
        exporter.map_err(|e| self.warnings.push(format!("telemetry is not sent: {e}"))).ok()
    }

    /// Spans: at once to the file, in batches to the collector. The file comes first, also when shutting down.
    fn tracer(&mut self, route: &mut Route) -> Option<SdkTracerProvider> {
        if !route.on {
            return None;
        }
        let file = self.file(Signal::Traces);
        let network = route.target.as_ref().map(|t| self.network.spans(t)).and_then(|e| self.warned(e));
        route.target = route.target.take().filter(|_| network.is_some());
        if file.is_none() && network.is_none() && !route.console {
            return None;
        }
        let mut builder = SdkTracerProvider::builder().with_resource(self.resource.clone());
        if let Some(file) = file {
            builder = builder.with_span_processor(SimpleSpanProcessor::new(file));
        }
        if route.console {
            builder = builder.with_span_processor(SimpleSpanProcessor::new(tree::TreeExporter::default()));
        }
        if let Some(network) = network {
            let mut config = BatchConfigBuilder::default();
            if self.env.get("OTEL_BSP_MAX_QUEUE_SIZE").is_none() {
                config = config.with_max_queue_size(QUEUE);
            }
            if self.env.get("OTEL_BSP_SCHEDULE_DELAY").is_none() {
                config = config.with_scheduled_delay(Duration::from_secs(1));
            }
            let batch = BatchSpanProcessor::builder(network).with_batch_config(config.build()).build();
            builder = builder.with_span_processor(batch);
        }
        Some(builder.build())
    }

    /// Log records: as spans.
    fn logger(&mut self, route: &mut Route) -> Option<SdkLoggerProvider> {
        if !route.on {
            return None;
        }
        let file = self.file(Signal::Logs);
        let network = route.target.as_ref().map(|t| self.network.logs(t)).and_then(|e| self.warned(e));
        route.target = route.target.take().filter(|_| network.is_some());
        if file.is_none() && network.is_none() {
            return None;
        }
        let mut builder = SdkLoggerProvider::builder().with_resource(self.resource.clone());
        if let Some(file) = file {
            builder = builder.with_log_processor(SimpleLogProcessor::new(file));
        }
        if let Some(network) = network {
            let mut config = LogBatchConfig::default();
            if self.env.get("OTEL_BLRP_MAX_QUEUE_SIZE").is_none() {
                config = config.with_max_queue_size(QUEUE);
            }
            let batch = BatchLogProcessor::builder(network).with_batch_config(config.build()).build();
            builder = builder.with_log_processor(batch);
        }
        Some(builder.build())
    }

    /// Metrics: at intervals to both. The file comes first: readers are flushed and shut down one after the other.
    fn meter(&mut self, route: &mut Route) -> Option<SdkMeterProvider> {
        if !route.on {
            return None;
        }
        let file = self.file(Signal::Metrics);
        let temporality = metrics::temporality(self.env);
        let network = route.target.as_ref().map(|t| self.network.metrics(t, temporality));
        let network = network.and_then(|e| self.warned(e));
        route.target = route.target.take().filter(|_| network.is_some());
        if file.is_none() && network.is_none() {
            return None;
        }
        let mut builder = SdkMeterProvider::builder().with_resource(self.resource.clone()).with_view(metrics::view);
        if let Some(file) = file {
            builder = builder.with_reader(reader(file, self.env));
        }
        if let Some(network) = network {
            builder = builder.with_reader(reader(network, self.env));
        }
        Some(builder.build())
    }
}

fn reader<E: PushMetricExporter>(exporter: E, env: &Environment) -> PeriodicReader<E> {
    let builder = PeriodicReader::builder(exporter);
    match env.get("OTEL_METRIC_EXPORT_INTERVAL") {
        Some(_) => builder.build(),
        None => builder.with_interval(METRIC_INTERVAL).build(),
    }
}
