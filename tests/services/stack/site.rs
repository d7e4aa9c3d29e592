//! A machine of a test's own: a checkout, a home and ports, and the programs that are installed there.

use crate::common::install::root;
use crate::common::server::{free_ports, wait_for};
use crate::common::{NO_TEMPLATE, Ran, run_command};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

pub const SERVICES: [&str; 5] = ["prometheus", "loki", "tempo", "otel-collector", "grafana"];

pub struct Site {
    dir: tempfile::TempDir,
    /// Words before every command, such as those that make it another user's.
    pub before: Vec<String>,
    path: String,
}

impl Site {
    /// One with `containers`, `configs` and `docs` of this checkout, and a `bin` that holds `neuro-preprocess`.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["docs", "Cargo.toml"] {
            symlink(root(name), dir.path().join(name)).unwrap();
        }
        run_command(Command::new("cp").arg("-r").args([&root("configs"), dir.path()])).exits(0);
        // Every proof waits for Prometheus to ask.
        let prometheus = dir.path().join("configs/prometheus.yml");
        let often = fs::read_to_string(&prometheus).unwrap().replace("scrape_interval: 15s", "scrape_interval: 1s");
        fs::write(prometheus, often.replace("scrape_timeout: 10s", "scrape_timeout: 900ms")).unwrap();
        for name in ["bin", "containers", "home"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        for script in fs::read_dir(root("containers")).unwrap().map(|f| f.unwrap()) {
            fs::copy(script.path(), dir.path().join("containers").join(script.file_name())).unwrap();
        }
        fs::copy(env!("CARGO_BIN_EXE_neuro-preprocess"), dir.path().join("bin/neuro-preprocess")).unwrap();
        let path = format!("{}/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", dir.path().display());
        Self { dir, before: Vec::new(), path }
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// Where the stack keeps everything, as installed.
    pub fn stack(&self) -> PathBuf {
        self.path("home/.local/state/neuro-preprocess-stack")
    }

    /// Puts a program on `PATH`.
    pub fn install(&self, name: &str, program: &Path) {
        symlink(program, self.path("bin").join(name)).unwrap();
    }

    /// Puts the stand-in for Tempo or Grafana on `PATH`.
    pub fn install_stand_in(&self, name: &str) {
        let script = root("tests/peers/stack/stand_in.py");
        let program = self.path("bin").join(name);
        fs::write(&program, format!("#!/bin/sh\nexec python3 '{}' {name}\n", script.display())).unwrap();
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A file of ports that nobody listens on.
    pub fn ports(&self) -> PathBuf {
        let names = fs::read_to_string(root("configs/ports.env")).unwrap();
        let names = names.lines().filter_map(|l| l.split_once('=')).map(|(name, _)| name.to_owned());
        let lines: Vec<String> = names.zip(free_ports::<13>()).map(|(name, port)| format!("{name}={port}\n")).collect();
        assert_eq!(lines.len(), 13);
        let file = self.path("ports.env");
        fs::write(&file, lines.concat()).unwrap();
        file
    }

    /// The number of a port of the running stack.
    pub fn port(&self, name: &str) -> String {
        let ports = fs::read_to_string(self.stack().join("ports.env")).unwrap();
        ports.lines().find_map(|l| l.strip_prefix(&format!("{name}="))).unwrap().to_owned()
    }

    /// A command in the checkout, with nothing of this machine's environment.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut all = self.before.iter().map(String::as_str).chain(words.iter().copied());
        let mut command = Command::new(all.next().unwrap());
        command.args(all).current_dir(self.dir.path()).env_clear();
        command.env("PATH", &self.path).env("HOME", self.path("home")).env(NO_TEMPLATE.0, NO_TEMPLATE.1);
        command
    }

    /// Runs one of the scripts.
    pub fn run(&self, script: &str, args: &[&str]) -> Ran {
        let script = format!("containers/{script}");
        run_command(&mut self.command(&[&[script.as_str()], args].concat()))
    }

    /// The process of a service that was started.
    pub fn process(&self, service: &str) -> String {
        let record = fs::read_to_string(self.stack().join("run").join(service)).unwrap();
        record.split(' ').nth(2).unwrap().to_owned()
    }

    /// `kill -9`, and waits until the process is gone with all its threads, the last of which closes its ports.
    pub fn kill(&self, service: &str) {
        let process = self.process(service);
        run_command(Command::new("kill").args(["-9", &process])).exits(0);
        let (command, threads) = (format!("/proc/{process}/cmdline"), format!("/proc/{process}/task"));
        wait_for("the end of a killed service", || {
            fs::read_to_string(&command).unwrap_or_default().is_empty()
                && fs::read_dir(&threads).map_or(0, Iterator::count) <= 1
        });
    }

    /// The commands of a document, for one shell, with the ports of this stack.
    pub fn commands_of(&self, document: &str) -> Vec<String> {
        let text = fs::read_to_string(root(document)).unwrap();
        let blocks = text.split("```console\n").skip(1).map(|b| b.split("```").next().unwrap());
        let lines = blocks.flat_map(str::lines).filter_map(|l| l.strip_prefix("$ "));
        lines.map(|l| l.replace(":4317", &format!(":{}", self.port("OTLP_GRPC_PORT")))).collect()
    }

    /// Runs commands in one shell, and fails when one of them does.
    pub fn shell(&self, commands: &[String]) -> Ran {
        let script = format!("set -eux\n{}\n", commands.join("\n"));
        run_command(&mut self.command(&["bash", "-c", &script])).exits(0)
    }

    /// Data for a demonstration, of which there is nothing else to make then: small, and nothing that is brought to a template.
    pub fn small_demo(&self, folder: &str) {
        let bids = self.stack().join("demo").join(folder).join("bids");
        let words = ["neuro-preprocess", "synth", bids.to_str().unwrap(), "--participants", "4"];
        let size = ["--modalities", "bold", "--voxel-size", "6", "--volumes", "8"];
        run_command(&mut self.command(&[&words[..], &size].concat())).exits(0);
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.run("stop_stack.sh", &["--purge", "--yes"]);
    }
}
