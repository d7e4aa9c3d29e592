//! Telemetry: traces, metrics and logs of a run, to files, to the terminal and to an OpenTelemetry collector.
//!
//! [`init`] is called once, first, and [`Telemetry::finish`] last. Nothing in here fails or holds up a run: what cannot be
//! written or sent costs one warning. Everything is named in [`names`]; `docs/telemetry.md` is the public copy.
//!
//! ```text
//! run/ ── spans.rs ──► tracing ─┬─► tracing-opentelemetry ─► spool · tree
//!      ── tracing::info! … ─────┴─► logs.rs ─► stderr · run and subject files · spool
//!      ── RunEvent ───────────────► metrics.rs ─► spool
//! spool ── delivery, in a thread of its own ─► collector
//! ```

pub mod config;
pub mod context;
pub mod cost;
pub mod delivery;
pub mod env;
pub mod in_force;
mod log_line;
mod logs;
mod metrics;
pub mod names;
mod outgoing;
mod phrases;
mod providers;
pub mod pseudonym;
mod resource;
pub mod routes;
pub mod spans;
pub(crate) mod spool;
pub mod stack;
mod stats;
mod text;
mod tree;
pub mod variables;

pub use logs::TOLD_ELSEWHERE;

use crate::vocabulary::{EventSink, RunEvent};
use config::{DEFAULT_FLUSH_TIMEOUT, TelemetryConfig, without_password};
use delivery::courier::Courier;
use delivery::sender::Sender;
use env::Environment;
use metrics::{Costs, Metrics, PerSubject};
use opentelemetry::Context;
use opentelemetry::metrics::MeterProvider;
use outgoing::Outgoing;
use providers::{Providers, Spools};
use pseudonym::{Personal, Pseudonyms};
use routes::{Routes, Target};
use stats::{Signal, Stats};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tracing::Dispatch;

/// Keeps telemetry going; [`Telemetry::finish`] ends it.
pub struct Telemetry {
    providers: Providers,
    metrics: Option<Metrics>,
    remote: Context,
    routes: Routes,
    files: Option<PathBuf>,
    /// What the names of the files of this process have in common.
    process: Option<String>,
    sender: Option<Sender>,
    flush_timeout: Duration,
    stats: Arc<Stats>,
    pseudonyms: Option<Arc<Pseudonyms>>,
    /// To be said once logging works.
    warnings: Vec<String>,
}

/// Sets up telemetry and logging for this process, from `config` and the `OTEL_*` environment.
///
/// `logs_dir` is the output's `logs` folder; without one nothing is written to disk. `run_id` names the run in the
/// resource and in the log file. Never fails; problems are printed on stderr.
#[must_use]
pub fn init(config: &TelemetryConfig, logs_dir: Option<&Path>, run_id: &str) -> Telemetry {
    let env = Environment::of_process();
    let (mut telemetry, dispatch) = build(config, &env, logs_dir, run_id);
    if tracing::dispatcher::set_global_default(dispatch).is_err() {
        text::warn("logging was set up before; log files and traces of this run stay empty");
    }
    for warning in telemetry.warnings.drain(..) {
        tracing::warn!("{warning}");
    }
    telemetry
}

/// [`init`] without the global part: the caller installs the `Dispatch`.
#[must_use]
pub fn build(
    config: &TelemetryConfig,
    env: &Environment,
    logs_dir: Option<&Path>,
    run_id: &str,
) -> (Telemetry, Dispatch) {
    let (env, mut warnings) = variables::checked(env);
    let env = &env;
    let mut routes = Routes::decide(config, env);
    let stats = Arc::new(Stats::default());
    warnings.append(&mut routes.warnings);
    let pseudonyms = config.pseudonyms.as_ref().map(|key| Arc::new(Pseudonyms::new(key)));
    let outgoing = Outgoing::new(env, pseudonyms.clone());
    let mut spools = logs_dir.and_then(|dir| Spools::create(dir, &routes, env, &stats));
    let providers = Providers::build(&routes, env, run_id, &outgoing, spools.as_mut());
    let courier = Courier::new(&mut routes, env, &stats, &mut warnings);
    let (remote, warning) = context::remote_parent(env, config.traceparent.as_deref());
    warnings.extend(warning);
    let per_subject = PerSubject { off: config.no_subject_metrics, pseudonyms: pseudonyms.clone() };
    let meter = providers.meter.as_ref().map(|provider| provider.meter(names::SERVICE));
    let costs = Signal::ALL.iter().any(|s| routes.of(*s).on).then(|| Costs::new(meter.as_ref()));
    let metrics = meter.map(|meter| Metrics::new(&meter, &stats, per_subject));
    providers.flush_first_metrics();
    let logger = (providers.logger(), outgoing);
    let logs = logs::LogLayer::new(config, logs_dir, run_id, logger, &stats);
    let dispatch = providers.dispatch(logs, costs);
    let process = spools.as_ref().and_then(|s| s.files.first()).map(|file| file.stem.clone());
    let files = logs_dir.filter(|_| spools.is_some()).map(Path::to_path_buf);
    let sender = spools.zip(files.clone()).map(|(s, dir)| Sender::start(courier, dir, s.files, s.claim, &stats));
    let flush_timeout = config.flush_timeout.unwrap_or(DEFAULT_FLUSH_TIMEOUT);
    (
        Telemetry {
            providers,
            metrics,
            remote,
            routes,
            files,
            process,
            sender,
            flush_timeout,
            stats,
            pseudonyms,
            warnings,
        },
        dispatch,
    )
}

/// From now on standard error has JSON lines only, also of what is no event: refusals, warnings of telemetry itself.
pub fn only_json_lines() {
    crate::terminal::print_as(log_line::plain);
}

impl Telemetry {
    /// The reader of run events that makes metrics of them; does nothing when metrics are off.
    #[must_use]
    pub fn events(&self) -> &dyn EventSink {
        self.metrics.as_ref().map_or(&Ignored, |m| m)
    }

    /// Takes note of labels, scan ids and paths that messages may quote, so that `--pseudonymize` finds them there; to be
    /// called before work begins. Does nothing without it.
    pub fn protect(&self, personal: impl IntoIterator<Item = (Personal, String)>) {
        if let Some(pseudonyms) = &self.pseudonyms {
            pseudonyms.protect(personal);
        }
    }

    /// The caller's trace, from `--traceparent` or `TRACEPARENT`; empty when there is none.
    #[must_use]
    pub fn remote_parent(&self) -> Context {
        self.remote.clone()
    }

    /// The part of the names of this process's files that tells them from those of others; `None` without files.
    #[must_use]
    pub fn process(&self) -> Option<&str> {
        self.process.as_deref()
    }

    /// Where telemetry goes, for the head of a run.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut ways: Vec<String> = self.files.iter().map(|dir| format!("files in {}", dir.display())).collect();
        for target in self.targets() {
            let address = routes::address(&target.url).unwrap_or_else(|| without_password(&target.url));
            let way = format!("OTLP {} to {address}", target.protocol.as_str());
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

    /// Writes what is left, and waits for the sender as [`TelemetryConfig::flush_timeout`] allows.
    ///
    /// Spans that are still open are lost: end them first.
    #[must_use]
    pub fn finish(self) -> Delivery {
        let collector = self.targets().next().is_some() && self.sender.is_some();
        self.providers.shut_down();
        let _all_sent = self.sender.is_none_or(|sender| sender.finish(self.flush_timeout)); // it has warned itself
        let of = |signal| Sent::read(&self.stats, signal);
        Delivery {
            spans: of(Signal::Traces),
            metrics: of(Signal::Metrics),
            logs: of(Signal::Logs),
            collector,
            files: self.files,
        }
    }

    fn targets(&self) -> impl Iterator<Item = &Target> {
        Signal::ALL.iter().filter_map(|s| self.routes.of(*s).target.as_ref())
    }
}

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
    /// Items a collector refused for good; they are in the file.
    pub rejected: u64,
    /// Items that are nowhere.
    pub lost: u64,
}

impl Sent {
    fn read(stats: &Stats, signal: Signal) -> Self {
        let counts = stats.of(signal);
        Self {
            written: counts.written.load(Relaxed),
            delivered: counts.delivered.load(Relaxed),
            rejected: counts.rejected.load(Relaxed),
            lost: counts.unwritten.load(Relaxed),
        }
    }

    /// Items that are in the file and still to be sent.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.written.saturating_sub(self.delivered + self.rejected)
    }
}

/// What became of the telemetry of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Spans.
    pub spans: Sent,
    /// Metric points.
    pub metrics: Sent,
    /// Log records.
    pub logs: Sent,
    /// Whether there was a collector to send to.
    pub collector: bool,
    /// The folder of the files.
    pub files: Option<PathBuf>,
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [self.spans, self.logs, self.metrics];
        let sum = |of: fn(&Sent) -> u64| all.iter().map(of).sum::<u64>();
        write!(f, "{} spans and {} log records written", self.spans.written, self.logs.written)?;
        if let Some(dir) = &self.files {
            write!(f, " to {}", dir.display())?;
        }
        if self.collector {
            write!(f, ", {} and {} delivered", self.spans.delivered, self.logs.delivered)?;
            for (count, what) in [(sum(Sent::waiting), "waiting"), (sum(|s| s.rejected), "rejected")] {
                if count > 0 {
                    write!(f, ", {count} items {what}")?;
                }
            }
        }
        let lost = sum(|s| s.lost);
        if lost > 0 { write!(f, ", {lost} items lost") } else { Ok(()) }
    }
}
