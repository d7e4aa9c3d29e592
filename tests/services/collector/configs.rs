//! The configurations of the stack are taken by the programs they are for, as far as those can be had, and agree with each
//! other. Tempo, Grafana and Alloy cannot be installed here: of theirs, form, addresses, ports and references are checked.

use crate::common::collector::{into_files, program, shipped};
use crate::common::install::{must, root};
use crate::common::{binary, peer, run_command};
use crate::common::{loki, prometheus};
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn the_collector_takes_every_configuration_for_it() {
    let Some(program) = program() else { return };
    let sampling = root("configs/otel-collector-tail-sampling.yaml");
    let cloud = root("configs/cloud/otel-collector-grafana-cloud.yaml");
    let validate = |configs: &[&PathBuf]| {
        let configs = configs.iter().flat_map(|c| [Path::new("--config"), c]);
        let mut command = Command::new(&program);
        command.env_clear().env("CLOUD_OTLP_ENDPOINT", "https://cloud.example/otlp");
        must(command.env("CLOUD_OTLP_AUTHORIZATION", "Basic YTpi").arg("validate").args(configs))
    };
    validate(&[&shipped()]).unwrap();
    validate(&[&shipped(), &into_files()]).unwrap();
    validate(&[&shipped(), &sampling]).unwrap();
    validate(&[&shipped(), &cloud]).unwrap();
    validate(&[&shipped(), &sampling, &cloud]).unwrap();
    validate(&[&sampling]).unwrap_err();
}

#[test]
fn prometheus_takes_its_configuration_and_the_rules_it_names() {
    let Some(programs) = prometheus::programs() else { return };
    must(Command::new(programs.join("promtool")).args(["check", "config"]).arg(root("configs/prometheus.yml")))
        .unwrap();
}

#[test]
fn the_alertmanager_takes_its_configuration() {
    let Some(programs) = prometheus::programs() else { return };
    must(Command::new(programs.join("amtool")).arg("check-config").arg(root("configs/alertmanager.yml"))).unwrap();
}

#[test]
fn loki_takes_its_configuration() {
    let Some(program) = loki::program() else { return };
    let verify = |config: &Path| {
        let mut command = Command::new(&program);
        must(command.arg("-verify-config").arg("-config.expand-env=true").arg("-config.file").arg(config))
    };
    let shipped = root("configs/loki-config.yaml");
    verify(&shipped).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("loki.yaml");
    let text = std::fs::read_to_string(shipped).unwrap();
    std::fs::write(&wrong, text.replace("time_sharding_enabled", "time_shards")).unwrap();
    verify(&wrong).unwrap_err();
}

#[test]
fn the_program_takes_the_example_environment_for_a_cloud() {
    let example = std::fs::read_to_string(root("configs/cloud/.env.example")).unwrap();
    // Without a Collector: the second part, uncommented.
    let set = example.lines().filter_map(|l| l.strip_prefix("# ").filter(|l| l.starts_with("OTEL_"))?.split_once('='));
    let mut command = binary();
    let ran = run_command(command.args(["telemetry", "config"]).envs(set)).exits(0);
    assert!(!ran.stderr.contains("WARN"), "{}", ran.stderr);
    let in_force = |setting: &str, value: &str| {
        let line = ran.stdout.lines().find(|l| l.starts_with(setting)).unwrap_or_else(|| panic!("no {setting}"));
        assert!(line.contains(value) && line.contains("environment"), "{line}");
    };
    in_force("traces ", "OTLP HTTP to https://otlp-gateway-prod-eu-west-2.grafana.net/otlp/v1/traces");
    in_force("OTEL_EXPORTER_OTLP_HEADERS (logs)", "Authorization");
    in_force("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "cumulative");
}

#[test]
fn the_configurations_agree_with_each_other() {
    let Some(ran) = peer("check_stack.py", &[&root("configs"), &root("tests/peers/collector/builder.yaml")]) else {
        return;
    };
    ran.exits(0);
}
