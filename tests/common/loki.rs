//! A real Loki with the configuration that is shipped.

use crate::common::install::{or_skip, root, script};
use crate::common::server::{Server, encoded, free_ports, get, wait_for};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Loki's program, built on first use, in the version the stack has.
pub fn program() -> Option<PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(|| or_skip("Loki", script("install_loki.sh", &[]))).clone()
}

/// A Loki with a folder and ports of its own.
pub struct Loki {
    _server: Server,
    port: u16,
}

impl Loki {
    /// Starts one.
    pub fn start(folder: &Path) -> Option<Self> {
        let [port, grpc] = free_ports();
        std::fs::create_dir_all(folder).unwrap();
        let mut command = Command::new(program()?);
        command.env_clear().env("LOKI_PORT", port.to_string()).env("LOKI_GRPC_PORT", grpc.to_string());
        command.env("LOKI_DATA", folder.join("loki"));
        command.arg(format!("-config.file={}", root("configs/loki-config.yaml").display()));
        command.arg("-config.expand-env=true");
        let ready = || get(&format!("http://127.0.0.1:{port}/ready")).is_some();
        let server = Server::start(&mut command, &folder.join("loki.log"), ready);
        Some(Self { _server: server, port })
    }

    /// Where the Collector sends to, as `LOKI_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/otlp", self.port)
    }

    /// The answer of the API below `/loki/api/v1`, with a query in `LogQL` for the last six days.
    pub fn ask(&self, path: &str, query: &str) -> Value {
        let encoded = encoded(query);
        let url =
            format!("http://127.0.0.1:{}/loki/api/v1/{path}?since=144h&step=60&limit=5000&query={encoded}", self.port);
        let text = get(&url).unwrap_or_else(|| panic!("no answer to {query}"));
        serde_json::from_str::<Value>(&text).unwrap()["data"].take()
    }

    /// The log lines a query finds.
    pub fn lines(&self, query: &str) -> Vec<String> {
        let data = self.ask("query_range", query);
        let streams = data["result"].as_array().unwrap().iter();
        let values = streams.flat_map(|s| s["values"].as_array().unwrap());
        values.map(|v| v[1].as_str().unwrap().to_owned()).collect()
    }

    /// How many log lines of the last six days a selector and its filters match.
    pub fn count(&self, selector: &str) -> f64 {
        let data = self.ask("query", &format!("sum(count_over_time({selector} [144h]))"));
        data["result"][0]["value"][1].as_str().map_or(0.0, |n| n.parse().unwrap())
    }

    /// Waits until a count is what is expected, and fails when it goes past it or never comes to it.
    #[track_caller]
    pub fn comes_to(&self, selector: &str, expected: f64) {
        wait_for(&format!("{selector} to be {expected} lines"), || {
            let now = self.count(selector);
            assert!(now <= expected, "{selector} finds {now} lines, not {expected}");
            now == expected
        });
    }
}
