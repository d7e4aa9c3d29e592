//! What can be seen in the definitions and scripts without running them.

use super::site::SERVICES;
use crate::common::install::{or_skip, python, root};
use crate::common::run_command;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A section of a definition, without its head.
pub fn section(text: &str, name: &str) -> String {
    let lines = text.lines().skip_while(|l| l.split(' ').next() != Some(&format!("%{name}"))).skip(1);
    lines.take_while(|l| !l.starts_with('%')).map(|l| format!("{l}\n")).collect()
}

fn definition(service: &str) -> String {
    fs::read_to_string(root("containers").join(format!("{service}.def"))).unwrap()
}

#[test]
fn definitions_are_of_the_versions_of_the_stack_and_labelled() {
    let versions = fs::read_to_string(root("configs/versions.env")).unwrap();
    let version = |name: &str| versions.lines().find_map(|l| l.strip_prefix(&format!("{name}_VERSION="))).unwrap();
    let builder = fs::read_to_string(root("tests/peers/collector/builder.yaml")).unwrap();
    assert!(builder.contains(&format!("\n  version: {}\n", version("OTELCOL"))), "{builder}");
    for (service, image, version) in [
        ("otel-collector", "otel/opentelemetry-collector-contrib:", version("OTELCOL")),
        ("prometheus", "prom/prometheus:v", version("PROMETHEUS")),
        ("loki", "grafana/loki:", version("LOKI")),
        ("tempo", "grafana/tempo:", version("TEMPO")),
        ("grafana", "grafana/grafana:", version("GRAFANA")),
        ("alertmanager", "prom/alertmanager:v", version("ALERTMANAGER")),
    ] {
        let text = definition(service);
        // The last stage is what becomes the image. A digest may follow the version.
        let base = text.lines().filter_map(|l| l.strip_prefix("From: ")).next_back().unwrap();
        assert_eq!(base.split('@').next().unwrap(), format!("{image}{version}"), "{service}");
        let labels = section(&text, "labels");
        for (label, value) in [("title", &format!("neuro-preprocess-{service}")), ("version", &version.to_owned())] {
            assert!(labels.contains(&format!("org.opencontainers.image.{label} {value}\n")), "{service}: {labels}");
        }
        assert!(labels.contains(&format!("image.base.name docker.io/{image}{version}\n")), "{service}: {labels}");
        assert!(section(&text, "test").contains("--version"), "{service} tries its program");
        assert!(section(&text, "help").contains("apptainer instance start"), "{service}");
        let start = section(&text, "startscript");
        assert!(start.contains("${DATA:-/data}") && start.contains("exec \"${PROGRAM:-/"), "{service}: {start}");
        run_command(Command::new("sh").args(["-n", "-c", &start])).exits(0);
    }
}

#[test]
fn every_base_of_every_definition_is_pinned() {
    let definitions = fs::read_dir(root("containers")).unwrap().map(|f| f.unwrap().path());
    let mut bases = 0;
    let is_definition = |p: &PathBuf| p.extension().is_some_and(|e| e == "def") || p.ends_with("Dockerfile");
    for path in definitions.filter(is_definition) {
        let text = fs::read_to_string(&path).unwrap();
        let from = |line: &str| line.strip_prefix("From: ").or_else(|| line.strip_prefix("FROM ")).map(str::to_owned);
        for base in text.lines().filter_map(from) {
            let (_, tag) = base.split_once(':').unwrap_or_else(|| panic!("{}: {base} has no version", path.display()));
            assert!(
                tag.starts_with(|c: char| c.is_ascii_digit() || c == 'v' || tag.starts_with("bookworm-2")),
                "{base}"
            );
            bases += 1;
        }
    }
    assert!(bases > SERVICES.len(), "{bases}");
}

/// Each service has the ports that its `%startscript`, its configuration and the list of ports agree on.
#[test]
fn every_port_is_used_by_a_service() {
    let services = SERVICES.iter().chain(&["alertmanager"]);
    let scripts: String = services.map(|s| section(&definition(s), "startscript")).collect();
    let read = |path: &str| fs::read_to_string(root(path)).unwrap();
    let configs = read("configs/loki-config.yaml") + &read("configs/tempo-config.yaml");
    for (name, port) in read("configs/ports.env").lines().filter_map(|l| l.split_once('=')) {
        let used = format!("${{{name}:-{port}}}");
        assert!(scripts.contains(&used) || configs.contains(&used), "{used} is nowhere");
    }
}

#[test]
fn the_scripts_pass_shellcheck() {
    let Some(python) = or_skip("shellcheck", python("shellcheck", "tests/peers/requirements-shellcheck.txt")) else {
        return;
    };
    let scripts = fs::read_dir(root("containers")).unwrap().map(|f| f.unwrap().path());
    let scripts: Vec<_> = scripts.filter(|p| p.extension().is_some_and(|e| e == "sh")).collect();
    assert!(scripts.len() >= 8, "{scripts:?}");
    let mut shellcheck = Command::new(python.with_file_name("shellcheck"));
    run_command(shellcheck.args(["-x", "--source-path"]).arg(root("")).args(scripts)).exits(0);
}

/// An option that a script takes is in its `--help`, and the options in the tables of the documentation are taken.
#[test]
fn help_names_every_option() {
    for script in ["start_stack.sh", "stop_stack.sh", "status_stack.sh", "run_demo.sh", "test_telemetry.sh"] {
        let path = root("containers").join(script);
        let help = run_command(Command::new(&path).arg("--help").env("HOME", "/nowhere")).exits(0).stdout;
        let text = fs::read_to_string(&path).unwrap();
        let taken = text.lines().map(str::trim).filter(|l| l.starts_with("--") && l.contains(") "));
        for option in taken.map(|l| l.split(')').next().unwrap()).filter(|o| *o != "--help") {
            assert!(help.contains(option), "{script}: {option} is not in\n{help}");
        }
        assert!(help.contains("Exit status: "), "{script}: {help}");
    }
    let taken = fs::read_to_string(root("containers/start_stack.sh")).unwrap();
    let table = fs::read_to_string(root("docs/01-setup.md")).unwrap();
    let options: Vec<&str> = table.lines().filter_map(|l| l.strip_prefix("| `--")?.split([' ', '`']).next()).collect();
    assert!(options.len() >= 4, "{options:?}");
    for option in options {
        assert!(taken.contains(&format!("        --{option}) ")), "docs/01-setup.md: --{option} is not an option");
    }
}
