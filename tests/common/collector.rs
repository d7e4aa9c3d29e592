//! The real OpenTelemetry Collector, made by its own builder, with the configuration that is shipped.

use crate::common::install::{or_skip, root, script};
use crate::common::server::{Server, free_ports, get};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The Collector's program, built on first use. What it is made of, and its version, is in `builder.yaml`.
pub fn program() -> Option<PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(|| or_skip("the OpenTelemetry Collector", script("install_collector.sh", &[]))).clone()
}

/// The configuration that is shipped.
pub fn shipped() -> PathBuf {
    root("configs/otel-collector-config.yaml")
}

/// What the tests lay over it: traces and logs into files.
pub fn into_files() -> PathBuf {
    root("tests/peers/collector/files.yaml")
}

/// A Collector with ports and a folder of its own; what it takes is in [`Collector::files`].
pub struct Collector {
    command: Command,
    server: Server,
    folder: PathBuf,
    health: u16,
    /// OTLP over gRPC.
    pub grpc: u16,
    /// OTLP over HTTP.
    pub http: u16,
    /// Metrics for Prometheus.
    pub prometheus: u16,
    /// Metrics of the Collector itself.
    pub own: u16,
}

impl Collector {
    /// Starts one. `set` adds to its environment.
    pub fn start(folder: &Path, configs: &[PathBuf], set: &[(&str, &str)]) -> Option<Self> {
        let [grpc, http, prometheus, health, own] = free_ports();
        let at = |port: u16| format!("127.0.0.1:{port}");
        let mut command = Command::new(program()?);
        std::fs::create_dir_all(folder.join("files")).unwrap();
        std::fs::create_dir_all(folder.join("spool")).unwrap();
        command.env_clear().args(configs.iter().flat_map(|c| ["--config".into(), c.clone()]));
        command.env("OTELCOL_GRPC", at(grpc)).env("OTELCOL_HTTP", at(http));
        command.env("OTELCOL_PROMETHEUS", at(prometheus)).env("OTELCOL_HEALTH", at(health));
        command.env("OTELCOL_OWN_METRICS_PORT", own.to_string());
        command.env("OTELCOL_STORAGE", folder.join("storage")).env("OTELCOL_FILES", folder.join("files"));
        command.env("OTELCOL_SPOOL", folder.join("spool")).envs(set.iter().copied());
        let server = launch(&mut command, folder, health);
        Some(Self { command, server, folder: folder.to_owned(), health, grpc, http, prometheus, own })
    }

    /// Starts it again as it was, after [`Collector::kill`].
    pub fn restart(&mut self) {
        self.server = launch(&mut self.command, &self.folder, self.health);
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Ends it in order; [`Collector::restart`] starts it again.
    pub fn stop(&mut self) {
        self.server.stop();
    }

    /// The most memory it has had since its start, in kB.
    pub fn peak_memory(&self) -> u64 {
        self.server.peak_memory()
    }

    /// The folder whose spools it reads.
    pub fn spool(&self) -> PathBuf {
        self.folder.join("spool")
    }

    /// Where the files are with what it took.
    pub fn files(&self) -> PathBuf {
        self.folder.join("files")
    }

    /// A measure of the Collector itself, added up over its labels where `labels` occurs.
    pub fn own_metric(&self, name: &str, labels: &str) -> f64 {
        let text = get(&format!("http://127.0.0.1:{}/metrics", self.own)).unwrap();
        let lines = text.lines().filter(|l| l.starts_with(name) && l.contains(labels));
        lines.map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }
}

fn launch(command: &mut Command, folder: &Path, health: u16) -> Server {
    Server::start(command, &folder.join("collector.log"), || get(&format!("http://127.0.0.1:{health}/")).is_some())
}
