//! A real Prometheus 3 that scrapes one Collector.

use crate::common::install::{must, or_skip, root, script};
use crate::common::server::{Server, encoded, free_ports, get, wait_for};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The folder with `prometheus` and `promtool`, unpacked from their Debian packages on first use.
pub fn programs() -> Option<PathBuf> {
    static PROGRAMS: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAMS.get_or_init(|| or_skip("Prometheus", script("install_prometheus.sh", &[]))).clone()
}

/// A Prometheus with a folder and a port of its own.
pub struct Prometheus {
    _server: Server,
    port: u16,
}

impl Prometheus {
    /// Starts one that scrapes the port.
    pub fn start(folder: &Path, scraped: u16) -> Option<Self> {
        let template = std::fs::read_to_string(root("tests/peers/prometheus.yml")).unwrap();
        Self::configured(folder, |_| template.replace("COLLECTOR", &format!("127.0.0.1:{scraped}")))
    }

    /// Starts one with a configuration, which is told the port.
    pub fn configured(folder: &Path, configuration: impl FnOnce(u16) -> String) -> Option<Self> {
        let programs = programs()?;
        let [port] = free_ports();
        let config = folder.join("prometheus.yml");
        std::fs::write(&config, configuration(port)).unwrap();
        must(Command::new(programs.join("promtool")).args(["check", "config"]).arg(&config)).unwrap();
        let mut command = Command::new(programs.join("prometheus"));
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let ready = || get(&format!("http://127.0.0.1:{port}/-/ready")).is_some();
        let server = Server::start(&mut command, &folder.join("prometheus.log"), ready);
        Some(Self { _server: server, port })
    }

    /// The data of an answer of the API below `/api/v1`.
    #[track_caller]
    pub fn api(&self, path: &str) -> Value {
        let url = format!("http://127.0.0.1:{}/api/v1/{path}", self.port);
        let text = get(&url).unwrap_or_else(|| panic!("refused: {path}"));
        serde_json::from_str::<Value>(&text).unwrap()["data"].take()
    }

    /// Every metric name that begins so.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        let names = self.api("label/__name__/values");
        let names = names.as_array().unwrap().iter().map(|n| n.as_str().unwrap().to_owned());
        names.filter(|n| n.starts_with(prefix)).collect()
    }

    /// The value of a query that gives one number now; nothing when it gives none.
    pub fn number(&self, query: &str) -> Option<f64> {
        let encoded = encoded(query);
        self.api(&format!("query?query={encoded}"))["result"][0]["value"][1].as_str()?.parse().ok()
    }

    /// Waits until a query gives the number expected, and fails when it goes past it or never comes to it.
    #[track_caller]
    pub fn comes_to(&self, query: &str, expected: f64) {
        wait_for(&format!("{query} = {expected}"), || {
            let now = self.number(query);
            assert!(now.is_none_or(|n| n <= expected), "{query} is {now:?}, not {expected}");
            now == Some(expected)
        });
    }
}
