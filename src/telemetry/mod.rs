//! Telemetry: traces, metrics and logs of a run, to files, to the terminal and to an OpenTelemetry collector.
//!
//! [`init`] is called once, first, and [`Telemetry::finish`] last. Nothing in here fails or holds up a run: what cannot be
//! written or sent costs one warning. Everything is named in [`names`]; `docs/telemetry.md` is the public copy.
//!
//! ```text
//! run/ ── spans.rs ──► tracing ─┬─► tracing-opentelemetry ─► file (at once) · collector (batches) · tree
//!      ── tracing::info! … ─────┴─► logs.rs ─► stderr · run and subject files · file · collector
//!      ── RunEvent ───────────────► metrics.rs ─► file · collector
//! ```

pub mod config;
pub mod context;
pub mod delivery;
pub mod env;
mod log_line;
mod logs;
mod metrics;
pub mod names;
mod otlp;
mod providers;
mod resource;
pub mod routes;
pub mod spans;
mod spool;
mod stats;
mod text;
mod tree;

use crate::run::event::{EventSink, RunEvent};
use config::TelemetryConfig;
use env::Environment;
use metrics::Metrics;
use opentelemetry::Context;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::error::OTelSdkResult;
use providers::Providers;
use routes::{Protocol, Routes, Target};
use stats::{Signal, Stats};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tracing::Dispatch;

/// How long [`Telemetry::finish`] waits for a collector in all.
const FINISH: Duration = Duration::from_secs(2);
/// How long it waits when nothing was ever delivered and nothing listens: enough for the files.
const FINISH_ABSENT: Duration = Duration::from_millis(300);

/// Keeps telemetry going; [`Telemetry::finish`] ends it.
pub struct Telemetry {
    providers: Providers,
    metrics: Option<Metrics>,
    remote: Context,
    routes: Routes,
    files: Option<PathBuf>,
    stats: Arc<Stats>,
    /// To be said once logging works.
    warnings: Vec<String>,
}

/// Sets up telemetry and logging for this process, from `config` and the `OTEL_*` environment.
///
/// `logs_dir` is the output's `logs` folder; without one nothing is written to disk. `run_id` names the run in the
/// resource and in the log file. Never fails; what does not work is said on stderr.
#[must_use]
pub fn init(config: &TelemetryConfig, logs_dir: Option<&Path>, run_id: &str) -> Telemetry {
    let env = Environment::of_process();
    let (mut telemetry, dispatch) = build(config, &env, logs_dir, run_id, routes::listens);
    if tracing::dispatcher::set_global_default(dispatch).is_err() {
        text::warn("logging was set up before; log files and traces of this run stay empty");
    }
    for warning in telemetry.warnings.drain(..) {
        tracing::warn!("{warning}");
    }
    telemetry
}

/// [`init`] without the global part: the caller installs the `Dispatch`. `listens` looks for a collector, see
/// [`Routes::decide`].
pub fn build(
    config: &TelemetryConfig,
    env: &Environment,
    logs_dir: Option<&Path>,
    run_id: &str,
    listens: impl Fn(&str) -> bool,
) -> (Telemetry, Dispatch) {
    let mut routes = Routes::decide(config, env, listens);
    let stats = Arc::new(Stats::default());
    let mut warnings = std::mem::take(&mut routes.warnings);
    let providers = Providers::build(&mut routes, env, logs_dir, run_id, &stats, &mut warnings);
    let (remote, warning) = context::remote_parent(env, config.traceparent.as_deref());
    warnings.extend(warning);
    let metrics = providers.meter.as_ref().map(|provider| Metrics::new(&provider.meter(names::SERVICE), &stats));
    providers.flush_first_metrics();
    let logger = providers.logger();
    let logs = logs::LogLayer::new(config, env, logs_dir, run_id, logger, &stats);
    let dispatch = providers.dispatch(logs);
    let files = logs_dir.filter(|_| Signal::ALL.iter().any(|s| routes.of(*s).on)).map(Path::to_path_buf);
    (Telemetry { providers, metrics, remote, routes, files, stats, warnings }, dispatch)
}

impl Telemetry {
    /// The reader of run events that makes metrics of them; does nothing when metrics are off.
    #[must_use]
    pub fn events(&self) -> &dyn EventSink {
        self.metrics.as_ref().map_or(&Ignored, |m| m)
    }

    /// The caller's trace, from `--traceparent` or `TRACEPARENT`; empty when there is none.
    #[must_use]
    pub fn remote_parent(&self) -> Context {
        self.remote.clone()
    }

    /// Where telemetry goes, for the head of a run.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut ways: Vec<String> = self.files.iter().map(|dir| format!("files in {}", dir.display())).collect();
        for target in self.targets() {
            let protocol = match target.protocol {
                Protocol::Grpc => "gRPC",
                Protocol::Http => "HTTP",
            };
            let address = routes::address(&target.url).unwrap_or_else(|| target.url.clone());
            let way = format!("OTLP {protocol} to {address}");
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
        match (ways.is_empty(), Signal::ALL.iter().any(|s| self.routes.of(*s).on)) {
            (false, _) => ways.join(", "),
            (true, true) => "nowhere (no output folder, no collector)".to_owned(),
            (true, false) => "off".to_owned(),
        }
    }

    /// Writes and sends what is left, for at most two seconds whatever the collector does.
    ///
    /// Spans that are still open are lost: end them first.
    #[must_use]
    pub fn finish(self) -> Delivery {
        let budget = if self.collector_is_absent() { FINISH_ABSENT } else { FINISH };
        let collector = self.targets().next().is_some();
        let in_time = shut_down(self.providers, budget);
        let of = |signal| Sent::read(&self.stats, signal);
        Delivery {
            spans: of(Signal::Traces),
            metrics: of(Signal::Metrics),
            logs: of(Signal::Logs),
            in_time,
            collector,
            files: self.files,
        }
    }

    /// True when there is somebody to send to who never answered and is not there now: nothing to wait for.
    fn collector_is_absent(&self) -> bool {
        let mut addresses = self.targets().filter_map(|t| routes::address(&t.url)).peekable();
        addresses.peek().is_some() && !self.stats.any_delivered() && !addresses.any(|a| routes::listens(&a))
    }

    fn targets(&self) -> impl Iterator<Item = &Target> {
        Signal::ALL.iter().filter_map(|s| self.routes.of(*s).target.as_ref())
    }
}

/// Shuts all providers down side by side under one deadline. The SDK's own timeouts add up (15 s with a collector that
/// hangs) and the metric reader ignores its one. Threads that do not come back end with the process.
fn shut_down(providers: Providers, budget: Duration) -> bool {
    let end = Instant::now() + budget;
    let (tx, rx) = mpsc::channel();
    let mut running = 0;
    for work in providers.shutdowns(budget) {
        let tx = tx.clone();
        let spawned = std::thread::Builder::new().name("telemetry-end".into()).spawn(move || {
            let _ = tx.send(work());
        });
        running += usize::from(spawned.is_ok());
    }
    drop(tx);
    for _ in 0..running {
        if rx.recv_timeout(end.saturating_duration_since(Instant::now())).is_err() {
            return false;
        }
    }
    true
}

/// One provider's shutdown.
type Shutdown = Box<dyn FnOnce() -> OTelSdkResult + Send>;

/// The reader of run events when metrics are off.
struct Ignored;

impl EventSink for Ignored {
    fn on_event(&self, _: &RunEvent) {}
}

/// What became of one signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Items in a file.
    pub written: u64,
    /// Items a collector took.
    pub delivered: u64,
    /// Items a collector refused or did not answer for. They are still in the file, where there is one.
    pub undelivered: u64,
    /// Items that are nowhere.
    pub lost: u64,
}

impl Sent {
    fn read(stats: &Stats, signal: Signal) -> Self {
        let counts = stats.of(signal);
        Self {
            written: counts.written.load(Relaxed),
            delivered: counts.delivered.load(Relaxed),
            undelivered: counts.undelivered.load(Relaxed),
            lost: counts.lost(),
        }
    }
}

/// What became of the telemetry of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Spans.
    pub spans: Sent,
    /// Metric points in files; whole metrics on the network.
    pub metrics: Sent,
    /// Log records.
    pub logs: Sent,
    /// False when the deadline came before everything was handed over.
    pub in_time: bool,
    /// Whether there was a collector to send to.
    pub collector: bool,
    /// The folder of the files.
    pub files: Option<PathBuf>,
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (spans, logs) = (self.spans, self.logs);
        write!(f, "{} spans and {} log records written", spans.written, logs.written)?;
        if let Some(dir) = &self.files {
            write!(f, " to {}", dir.display())?;
        }
        if self.collector {
            write!(f, ", {} and {} delivered", spans.delivered, logs.delivered)?;
            if !self.in_time || spans.undelivered + logs.undelivered > 0 {
                f.write_str(" (the collector did not take everything)")?;
            }
        }
        let lost = spans.lost + logs.lost + self.metrics.lost;
        if lost > 0 { write!(f, ", {lost} items lost") } else { Ok(()) }
    }
}
