//! The SDK's providers: spans, log records and metrics go to the spool, finished traces also to the terminal. Nothing here
//! knows the network: what is in the spool is sent from there, see [`super::delivery`].

use super::delivery::claim::Claim;
use super::delivery::files::SpoolFile;
use super::env::Environment;
use super::logs::LogLayer;
use super::outgoing::{Guarded, Outgoing};
use super::routes::Routes;
use super::spool::{Spool, SpoolExporter, new_stem};
use super::stats::{Signal, Stats};
use super::{metrics, names, resource, spans, tree, variables};
use opentelemetry::InstrumentationScope;
use opentelemetry::logs::LoggerProvider;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::logs::{SdkLogger, SdkLoggerProvider};
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tracing::Dispatch;
use tracing_subscriber::filter::{LevelFilter, Targets, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};

/// The providers that are needed; `None` for what goes nowhere.
pub struct Providers {
    tracer: Option<SdkTracerProvider>,
    /// Makes the meter of [`metrics::Metrics`].
    pub meter: Option<SdkMeterProvider>,
    logger: Option<SdkLoggerProvider>,
}

/// The files of this process in a folder, and the claim on them.
pub struct Spools {
    /// The first file of each signal that is on.
    pub files: Vec<SpoolFile>,
    /// The right to send them.
    pub claim: Claim,
    exporters: Vec<(Signal, SpoolExporter)>,
}

impl Spools {
    /// Makes the files of the signals that are on. A folder that cannot be written to costs one warning and all files:
    /// then there is no telemetry, but for the terminal.
    pub fn create(dir: &Path, routes: &Routes, env: &Environment, stats: &Arc<Stats>) -> Option<Self> {
        let made = Self::try_create(dir, routes, env, stats);
        made.map_err(|e| stats.warn_file(&e)).ok().filter(|spools| !spools.files.is_empty())
    }

    fn try_create(dir: &Path, routes: &Routes, env: &Environment, stats: &Arc<Stats>) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let stem = new_stem();
        let claim = Claim::take(dir, &stem)?.ok_or_else(|| io::Error::other("another process uses the same names"))?;
        let (mut files, mut exporters) = (Vec::new(), Vec::new());
        for signal in Signal::ALL.into_iter().filter(|signal| routes.of(*signal).on) {
            let file = SpoolFile { dir: dir.to_owned(), signal, stem: stem.clone(), segment: 0 };
            let spool = Spool::create(file.clone(), Arc::clone(stats))?;
            exporters.push((signal, SpoolExporter::new(spool, metrics::temporality(env))));
            files.push(file);
        }
        Ok(Self { files, claim, exporters })
    }

    fn exporter(&mut self, signal: Signal) -> Option<SpoolExporter> {
        let at = self.exporters.iter().position(|(of, _)| *of == signal)?;
        Some(self.exporters.swap_remove(at).1)
    }
}

impl Providers {
    /// Builds them. What is exported is in the file when the export returns: a span when it ends, a log line at once,
    /// metrics at intervals.
    pub fn build(
        routes: &Routes,
        env: &Environment,
        run_id: &str,
        outgoing: &Outgoing,
        spools: Option<&mut Spools>,
    ) -> Self {
        let resource = resource::build(env, run_id, outgoing.pseudonyms.as_deref());
        let mut all = spools.map(|s| Signal::ALL.map(|signal| s.exporter(signal))).unwrap_or_default();
        let [traces, points, logs] = all.each_mut().map(Option::take);
        let console = routes.traces.on && routes.traces.console;
        let tracer = (traces.is_some() || console).then(|| {
            let mut builder = SdkTracerProvider::builder()
                .with_resource(resource.clone())
                .with_sampler(variables::sampler(env))
                .with_span_limits(variables::span_limits(env));
            if let Some(file) = traces {
                builder = builder.with_simple_exporter(Guarded::new(file, outgoing.clone()));
            }
            if console {
                builder = builder.with_simple_exporter(tree::TreeExporter::default());
            }
            builder.build()
        });
        let meter = points.map(|file| {
            let reader = PeriodicReader::builder(file).with_interval(variables::metric_interval(env));
            let builder = SdkMeterProvider::builder().with_resource(resource.clone()).with_view(metrics::view);
            builder.with_reader(reader.build()).build()
        });
        let logger = logs.map(|file| {
            SdkLoggerProvider::builder().with_resource(resource.clone()).with_simple_exporter(file).build()
        });
        Self { tracer, meter, logger }
    }

    /// Writes the zeros of the counters at once.
    pub fn flush_first_metrics(&self) {
        if let Some(meter) = &self.meter {
            let _ = meter.force_flush(); // the exporter has said why
        }
    }

    /// The way of log records to files and collector.
    pub fn logger(&self) -> Option<SdkLogger> {
        self.logger.as_ref().map(|provider| provider.logger_with_scope(scope()))
    }

    /// The subscriber: only what this program says, down to DEBUG; spans to OpenTelemetry, events to `logs`. With `costs` the
    /// spans of stages measure what they cost.
    pub fn dispatch(&self, logs: LogLayer, costs: Option<metrics::Costs>) -> Dispatch {
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
        Dispatch::new(tracing_subscriber::registry().with(own).with(otel).with(logs).with(costs))
    }

    /// Writes the last metrics and syncs the files.
    pub fn shut_down(self) {
        // The exporters have said what went wrong.
        let _ = self.tracer.map(|provider| provider.shutdown());
        let _ = self.logger.map(|provider| provider.shutdown());
        let _ = self.meter.map(|provider| provider.shutdown());
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(names::SERVICE).with_version(env!("CARGO_PKG_VERSION")).build()
}
