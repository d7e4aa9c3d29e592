//! The stack as plain programs: up, no-op, demonstrations, proof, each service killed and named, back up, down.

use super::site::{SERVICES, Site};
use crate::common::run_command;
use crate::common::server::wait_for;
use crate::common::{collector, loki, prometheus};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::Command;

/// A site with all five programs on `PATH`.
fn site() -> Option<Site> {
    let (collector, prometheus, loki) = (collector::program()?, prometheus::programs()?, loki::program()?);
    let site = Site::new();
    site.install("otelcol", &collector);
    site.install("prometheus", &prometheus.join("prometheus"));
    site.install("loki", &loki);
    site.install_stand_in("tempo");
    site.install_stand_in("grafana");
    Some(site)
}

/// The line of a table, or of any text, that begins with a word.
fn line<'a>(text: &'a str, word: &str) -> &'a str {
    text.lines().find(|l| l.starts_with(word)).unwrap_or_else(|| panic!("no line {word} in:\n{text}"))
}

#[test]
fn programs_start_prove_fail_one_by_one_come_back_and_go() {
    let Some(site) = site() else { return };
    let ports = site.ports();
    let started =
        site.run("start_stack.sh", &["--runtime", "binary", "--ports-from", ports.to_str().unwrap()]).exits(0);
    for service in SERVICES {
        assert!(line(&started.stdout, &format!("{service} ")).contains(" yes      yes "), "{}", started.stdout);
    }
    let processes = SERVICES.map(|s| site.process(s));
    let again = site.run("start_stack.sh", &["--runtime", "binary"]).exits(0);
    assert!(!again.stdout.contains("starting"), "{}", again.stdout);
    assert_eq!(SERVICES.map(|s| site.process(s)), processes, "a second start starts nothing");

    for folder in ["normal", "failures", "slow", "concurrent/1", "concurrent/2", "concurrent/3", "concurrent/4"] {
        site.small_demo(folder);
    }
    site.shell(&site.commands_of("docs/02-running.md"));
    let proven = site.run("test_telemetry.sh", &[]).exits(0).stdout;
    let trace = line(&proven, "job:").split_whitespace().nth(2).unwrap().trim_end_matches(',');
    assert_eq!(trace.len(), 32, "{proven}");
    for store in ["tempo:", "loki:"] {
        let words: Vec<&str> = line(&proven, store).split_whitespace().collect();
        assert!(words[1] == words[3] && words[1] != "0" && words.last() == Some(&trace), "{proven}");
    }
    // Four scans in each demonstration, and four times that in the last; four of the document, one of the proof.
    assert!(line(&proven, "prometheus:").contains("is 33, of 33"), "{proven}");
    assert_eq!(proven.matches("the same by its data source").count(), 3, "{proven}");

    a_scrape_that_finds_nothing_is_named(&site);
    for service in SERVICES {
        site.kill(service);
        let broken = site.run("test_telemetry.sh", &[]).exits(1).stderr;
        let hop = match service {
            "otel-collector" => "broken: tool -> collector: ".to_owned(),
            "grafana" => "broken: grafana: ".to_owned(),
            store => format!("broken: collector -> {store}: "),
        };
        assert!(broken.contains(&hop) && broken.contains(&format!("{service} is down")), "{broken}");
        let status = site.run("status_stack.sh", &[]).exits(1).stdout;
        assert!(line(&status, service).contains(" no       no ") && line(&status, service).contains("has ended"));
        site.run("start_stack.sh", &["--runtime", "binary"]).exits(0);
        site.run("status_stack.sh", &[]).exits(0);
    }
    let proven = site.run("test_telemetry.sh", &[]).exits(0).stdout;
    assert!(line(&proven, "prometheus:").contains("is 35, of 35"), "the counts outlive the kills: {proven}");

    let processes = SERVICES.map(|s| site.process(s));
    site.run("stop_stack.sh", &[]).exits(0);
    assert!(processes.iter().all(|p| !fs::exists(format!("/proc/{p}/exe")).unwrap_or(false)), "something still runs");
    assert!(site.stack().join("loki/chunks").exists(), "the data stay");
    assert!(site.run("status_stack.sh", &[]).exits(1).stderr.contains("nothing was started"));
    assert!(site.run("stop_stack.sh", &["--purge"]).exits(1).stderr.contains("nothing was removed"));
    site.run("stop_stack.sh", &["--purge", "--yes"]).exits(0);
    assert!(!site.stack().exists(), "the data go when that is said twice");
}

/// Prometheus, told to ask where nobody is, runs well and has nothing.
fn a_scrape_that_finds_nothing_is_named(site: &Site) {
    let config = site.stack().join("configs/prometheus.yml");
    let right = fs::read_to_string(&config).unwrap();
    fs::write(&config, right.replace(&site.port("COLLECTOR_PROMETHEUS_PORT"), "1")).unwrap();
    let reload = || run_command(Command::new("kill").args(["-HUP", &site.process("prometheus")])).exits(0);
    reload();
    // The Collector gathers metrics for five seconds before it shows them.
    let broken = site.run("test_telemetry.sh", &["--wait", "10"]).exits(1).stderr;
    assert!(broken.contains("broken: collector -> prometheus: prometheus is ready, but"), "{broken}");
    fs::write(&config, right).unwrap();
    reload();
}

#[test]
fn a_port_in_use_is_named_with_who_has_it_and_nothing_starts() {
    let Some(site) = site() else { return };
    let ports = site.ports();
    let text = fs::read_to_string(&ports).unwrap();
    let port = text.lines().find_map(|l| l.strip_prefix("LOKI_PORT=")).unwrap();
    let _holder = TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    let refused =
        site.run("start_stack.sh", &["--runtime", "binary", "--ports-from", ports.to_str().unwrap()]).exits(1);
    let said = format!("port {port} (LOKI_PORT of loki) is in use by ");
    assert!(refused.stderr.contains(&said), "{}", refused.stderr);
    assert!(refused.stderr.contains(&format!("(process {})", std::process::id())), "{}", refused.stderr);
    assert!(refused.stderr.contains("--ports-from"), "{}", refused.stderr);
    assert!(!site.stack().join("run/prometheus").exists(), "nothing was started");
}

#[test]
fn a_service_that_cannot_start_says_its_last_words_and_the_others_stay() {
    let Some(site) = site() else { return };
    let ports = site.ports();
    // Loki's data where Loki cannot write: a file in place of its folder.
    fs::create_dir_all(site.stack().join("loki")).unwrap();
    fs::write(site.stack().join("loki/chunks"), "").unwrap();
    let start = ["--runtime", "binary", "--only", "prometheus,loki", "--ports-from", ports.to_str().unwrap()];
    let failed = site.run("start_stack.sh", &start).exits(1).stderr;
    assert!(failed.contains("loki did not become ready") && failed.contains("chunks"), "{failed}");
    let status = site.run("status_stack.sh", &[]).exits(0).stdout;
    assert!(
        line(&status, "prometheus").contains(" yes      yes ") && line(&status, "loki").contains("was not started")
    );
    fs::remove_file(site.stack().join("loki/chunks")).unwrap();
    site.run("start_stack.sh", &start).exits(0);
}

/// With tail sampling, most traces are not kept; the proof is by one that is. A start after a crash keeps what was asked for.
#[test]
fn with_tail_sampling_the_proof_is_a_failure() {
    let Some(site) = site() else { return };
    let ports = site.ports();
    let start = ["--runtime", "binary", "--only", "tempo,otel-collector"];
    let first = ["--ports-from", ports.to_str().unwrap(), "--tail-sampling", "--listen", "127.0.0.2"];
    site.run("start_stack.sh", &[&start[..], &first].concat()).exits(0);
    let listening = || TcpStream::connect(format!("127.0.0.2:{}", site.port("OTLP_GRPC_PORT"))).is_ok();
    assert!(listening());
    site.kill("otel-collector");
    wait_for("the killed Collector's port to be free", || !listening());
    site.run("start_stack.sh", &start).exits(0);
    assert!(listening());
    let command = fs::read_to_string(format!("/proc/{}/cmdline", site.process("otel-collector"))).unwrap();
    assert!(command.contains("otel-collector-tail-sampling.yaml"), "{command}");
    let proven = site.run("test_telemetry.sh", &[]).exits(0).stdout;
    let words: Vec<&str> = line(&proven, "tempo:").split_whitespace().collect();
    assert!(words[1] == words[3] && words[1] != "0", "{proven}");
}

#[test]
fn what_is_not_installed_is_skipped_or_refused_when_asked_for() {
    let Some(prometheus) = prometheus::programs() else { return };
    let site = Site::new();
    site.install("prometheus", &prometheus.join("prometheus"));
    let ports = site.ports();
    let started = site.run("start_stack.sh", &["--ports-from", ports.to_str().unwrap()]).exits(0).stdout;
    assert!(started.contains("loki is skipped: no program loki on PATH"), "{started}");
    let refused = site.run("start_stack.sh", &["--only", "tempo"]).exits(66).stderr;
    assert!(refused.contains("no program tempo on PATH"), "{refused}");
    assert!(site.run("run_demo.sh", &["normal"]).exits(1).stderr.contains("no Collector is ready"));
    assert!(site.run("test_telemetry.sh", &[]).exits(1).stderr.contains("no Collector was started"));
    let other = site.ports();
    let moved = site.run("start_stack.sh", &["--ports-from", other.to_str().unwrap()]).exits(1).stderr;
    assert!(moved.contains("prometheus runs with other ports"), "{moved}");
}

#[test]
fn wrong_use_is_refused_with_a_word() {
    let site = Site::new();
    for (script, args, code, word) in [
        ("start_stack.sh", &["--only", "jaeger"][..], 64, "no service 'jaeger'"),
        ("start_stack.sh", &["--runtime", "docker"], 64, "apptainer or binary"),
        ("start_stack.sh", &["--ports-from", "none.env"], 66, "none.env"),
        ("start_stack.sh", &["--data"], 64, "--data needs a value"),
        ("run_demo.sh", &["wild"], 64, "wild"),
        ("run_demo.sh", &[], 64, "which one"),
        ("test_telemetry.sh", &["--wait", "long"], 64, "no number"),
        ("stop_stack.sh", &["all"], 64, "unknown option all"),
        ("status_stack.sh", &[], 1, "nothing was started"),
    ] {
        let refused = site.run(script, args).exits(code).stderr;
        assert!(refused.contains(word), "{script} {args:?}: {refused}");
    }
    for lines in ["GRAFANA_PORT=x\n", "GRAFANA_PORT=70000\n", "JAEGER_PORT=1\n", "PATH=1\n", "LOKI_PORT=3200\n"] {
        fs::write(site.path("wrong.env"), lines).unwrap();
        let refused = site.run("start_stack.sh", &["--ports-from", "wrong.env"]);
        assert_eq!(refused.code, 64, "{lines}: {}", refused.stderr);
    }
}
