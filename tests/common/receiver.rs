//! An OTLP receiver in Python that can misbehave: `tests/peers/otlp/receiver.py`.

use crate::common::install::{or_skip, python, root};
use crate::common::otlp::json_lines_so_far;
use crate::common::server::{Server, free_ports};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A running receiver.
pub struct Receiver {
    server: Server,
    python: PathBuf,
    folder: PathBuf,
    /// OTLP over gRPC.
    pub grpc: u16,
    /// OTLP over HTTP.
    pub http: u16,
}

impl Receiver {
    /// Starts one in a mode of the script.
    pub fn start(folder: &Path, mode: &str) -> Option<Self> {
        let python = or_skip("the OTLP receiver", python("otlp", "tests/peers/otlp/requirements.txt"))?;
        let [grpc, http] = free_ports();
        std::fs::create_dir_all(folder).unwrap();
        let server = launch(&python, folder, mode, grpc, http);
        Some(Self { server, python, folder: folder.to_owned(), grpc, http })
    }

    /// Ends it and starts it again on the same ports in another mode.
    pub fn becomes(&mut self, mode: &str) {
        self.server.kill();
        self.server = launch(&self.python, &self.folder, mode, self.grpc, self.http);
    }

    /// Waits until it has ended by itself.
    pub fn dies(&mut self) {
        self.server.wait();
    }

    /// What it was asked: signal, protocol, answer, time.
    pub fn requests(&self) -> Vec<Value> {
        let path = self.folder.join("requests.jsonl");
        if path.exists() { json_lines_so_far(&path) } else { Vec::new() }
    }
}

fn launch(python: &Path, folder: &Path, mode: &str, grpc: u16, http: u16) -> Server {
    let log = folder.join("receiver.log");
    let _ = std::fs::remove_file(&log);
    let mut command = Command::new(python);
    command.arg(root("tests/peers/otlp/receiver.py")).arg("--out").arg(folder);
    command.args(["--mode", mode, "--grpc", &grpc.to_string(), "--http", &http.to_string()]);
    Server::start(&mut command, &log, || std::fs::read_to_string(&log).is_ok_and(|t| t.contains("ready")))
}
