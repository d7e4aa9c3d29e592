//! Where telemetry goes and where it does not: nobody who was not named gets any, proxies stay out of what is for this machine,
//! and what a store lost is told and sent once more.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers fail by panicking")]

use crate::common::otlp;
use crate::common::{Ran, binary, run_command, text};
use neuro_preprocess::machine::host::Process;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Answers HTTP requests with a status and a body that depend on the first line; remembers the first lines.
#[derive(Clone)]
struct Server {
    asked: Arc<Mutex<Vec<String>>>,
    port: u16,
}

impl Server {
    fn start(listener: TcpListener, answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let (asked, port) = (Arc::<Mutex<Vec<String>>>::default(), listener.local_addr().unwrap().port());
        let (noted, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (noted, answer) = (Arc::clone(&noted), Arc::clone(&answer));
                std::thread::spawn(move || serve(&stream, &noted, &*answer));
            }
        });
        Self { asked, port }
    }

    fn anywhere(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        Self::start(TcpListener::bind("127.0.0.1:0").unwrap(), answer)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

fn serve(stream: &TcpStream, asked: &Mutex<Vec<String>>, answer: &dyn Fn(&str) -> (u16, String)) {
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                // A connection is one, also without a word.
                if head.is_empty() {
                    asked.lock().unwrap().push("connected".to_owned());
                }
                return;
            }
            if line.trim().is_empty() {
                break;
            }
            head.push(line.trim().to_ascii_lowercase());
        }
        let length = head.iter().find_map(|l| l.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
        reader.read_exact(&mut vec![0; length]).unwrap();
        asked.lock().unwrap().push(head[0].clone());
        let (status, body) = answer(&head[0]);
        let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n", body.len());
        writer.write_all((head + &body).as_bytes()).unwrap();
    }
}

/// Takes everything.
fn takes(_: &str) -> (u16, String) {
    (200, String::new())
}

/// A run of one scan below `folder`, whose output is `out`. The scan is none, which costs no time and tells as much.
fn a_run(folder: &Path, set: &[(&str, &str)]) -> Ran {
    let bids = folder.join("bids");
    let anat = bids.join("sub-01/anat");
    fs::create_dir_all(&anat).unwrap();
    fs::write(bids.join("dataset_description.json"), r#"{"Name": "x", "BIDSVersion": "1.10.0"}"#).unwrap();
    fs::write(anat.join("sub-01_T1w.nii.gz"), "no image").unwrap();
    let mut run = binary();
    run.args([text(&bids), text(&folder.join("out")), "participant", "--no-report"]);
    run_command(run.env("HOME", folder).envs(set.iter().copied())).exits(1)
}

fn telemetry(folder: &Path, words: &[&str], set: &[(&str, &str)]) -> Ran {
    let mut command = binary();
    command.arg("telemetry").arg(words[0]).arg(folder.join("out")).args(&words[1..]);
    run_command(command.env("HOME", folder).envs(set.iter().copied()))
}

#[test]
fn who_listens_on_the_usual_ports_and_was_not_named_gets_no_connection() {
    let folder = tempfile::tempdir().unwrap();
    let listeners = [4317, 4318].map(|port| TcpListener::bind(("127.0.0.1", port)));
    let [Ok(grpc), Ok(http)] = listeners else { panic!("ports 4317 and 4318 are in use here") };
    let strangers = [grpc, http].map(|listener| Server::start(listener, takes));
    a_run(folder.path(), &[]);
    let status = telemetry(folder.path(), &["status"], &[]).exits(0).stdout;
    assert!(status.contains("no endpoint is named, and no stack of start_stack.sh is here"), "{status}");
    let refused = telemetry(folder.path(), &["replay"], &[]).exits(64).stderr;
    assert!(refused.contains("no stack of start_stack.sh is here"), "{refused}");
    for stranger in strangers {
        assert_eq!(stranger.asked(), Vec::<String>::new());
    }
}

#[test]
fn the_stack_of_the_same_user_is_found_by_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Server::anywhere(takes);
    let stack = folder.path().join(".local/state/neuro-preprocess-stack");
    fs::create_dir_all(&stack).unwrap();
    let url = collector.url();
    let announced = format!("http={url}\ngrpc=http://127.0.0.1:1\nprocess={}\n", Process::this());
    fs::write(stack.join("endpoint"), announced).unwrap();
    fs::set_permissions(stack.join("endpoint"), fs::Permissions::from_mode(0o666)).unwrap();
    a_run(folder.path(), &[]);
    assert_eq!(collector.asked(), Vec::<String>::new(), "anybody could have written that file");
    fs::set_permissions(stack.join("endpoint"), fs::Permissions::from_mode(0o600)).unwrap();
    let said = telemetry(folder.path(), &["status", "--format", "json"], &[]).exits(0).stdout;
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let way = &said["runs_send_to"][0];
    assert!(way["value"].as_str().unwrap().ends_with(&format!("{url}/v1/traces")), "{way}");
    assert!(way["source"].as_str().unwrap().starts_with("your stack, "), "{way}");
    telemetry(folder.path(), &["replay"], &[]).exits(0);
    assert!(collector.asked().iter().any(|line| line == "post /v1/traces http/1.1"), "{:?}", collector.asked());
}

#[test]
fn what_is_for_this_machine_goes_past_the_proxy_and_a_proxy_is_named_in_the_message() {
    let folder = tempfile::tempdir().unwrap();
    let (collector, proxy) = (Server::anywhere(takes), Server::anywhere(|_| (403, "not through here".to_owned())));
    let (to, through) = (collector.url(), proxy.url());
    let variables = ["http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"];
    let mut set: Vec<(&str, &str)> = variables.iter().map(|name| (*name, through.as_str())).collect();
    let protocol = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    set.extend([("OTEL_EXPORTER_OTLP_ENDPOINT", to.as_str()), protocol]);
    let ran = a_run(folder.path(), &set);
    assert!(!ran.stderr.contains("cannot be delivered"), "{}", ran.stderr);
    assert!(collector.asked().len() >= 3 && proxy.asked().is_empty(), "{:?}", proxy.asked());

    let away = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example:4318");
    let ran = telemetry(folder.path(), &["replay", "--again"], &[away, protocol, ("http_proxy", &through)]).exits(0);
    let named = format!("it went through the proxy {through} (http_proxy)");
    assert!(ran.stderr.contains(&named), "{}", ran.stderr);
    let before = proxy.asked().len();
    let except = ("NO_PROXY", "other,.example");
    telemetry(folder.path(), &["replay", "--again"], &[away, protocol, ("http_proxy", &through), except]);
    assert_eq!(proxy.asked().len(), before, "NO_PROXY is obeyed");
}

/// A Collector that takes everything, before a store that has lost what it says.
#[test]
fn what_a_store_lost_is_told_and_sent_once_more_and_metrics_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Server::anywhere(takes);
    a_run(folder.path(), &[("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("{}/", collector.url())), PROTOCOL]);
    let first = collector.asked().len();

    let mut of_trace = BTreeMap::<String, Vec<String>>::new();
    for span in otlp::spans(&folder.path().join("out/logs")) {
        of_trace.entry(span.trace).or_default().push(format!("{{\"spanId\":\"{}\"}}", span.id));
    }
    let (all, traces) = (of_trace.values().map(Vec::len).sum::<usize>(), of_trace.len());
    let has = Arc::new(Mutex::new(of_trace));
    let kept = Arc::clone(&has);
    let tempo = Server::anywhere(move |line| match line.split(' ').nth(1).unwrap() {
        "/api/echo" => (200, "echo".to_owned()),
        path => match kept.lock().unwrap().get(path.strip_prefix("/api/v2/traces/").unwrap()) {
            Some(spans) => (200, format!("{{\"trace\":{{\"resourceSpans\":[{{\"spans\":[{}]}}]}}}}", spans.join(","))),
            None => (404, "trace not found".to_owned()),
        },
    });
    let check = |code| telemetry(folder.path(), &["status", "--check", &tempo.url()], &[]).exits(code).stdout;
    let whole = format!("has all {all} acknowledged spans of {traces} traces");
    assert!(check(0).contains(&whole));

    let lost = has.lock().unwrap().pop_last().unwrap();
    let said = check(75);
    let count = lost.1.len();
    let row = format!("{}  {count} of {count} spans of ", lost.0);
    assert!(said.contains(&format!("lacks {count} of {all} acknowledged spans, in 1 of {traces} traces")), "{said}");
    assert!(said.contains(&row) && said.contains("--again sends them once more"), "{said}");

    let endpoint = collector.url();
    let to = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), PROTOCOL];
    let replayed = telemetry(folder.path(), &["replay"], &to).exits(0).stdout;
    assert_eq!((replayed.as_str(), collector.asked().len()), ("0 items delivered\n", first), "all is acknowledged");
    telemetry(folder.path(), &["replay", "--again"], &to).exits(0);
    let again = collector.asked().split_off(first);
    let sent = |signal: &str| again.iter().filter(|line| line.contains(signal)).count();
    assert!(sent("/v1/traces") > 0 && sent("/v1/logs") > 0 && sent("/v1/metrics") == 0, "{again:?}");
    has.lock().unwrap().insert(lost.0, lost.1);
    assert!(check(0).contains(&whole));

    let other = telemetry(folder.path(), &["status", "--check", &collector.url()], &[]).exits(74).stderr;
    assert!(other.contains("does not answer as Tempo does"), "{other}");
}

const PROTOCOL: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
