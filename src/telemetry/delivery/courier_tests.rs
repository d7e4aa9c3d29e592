//! Tests of delivery against a small HTTP collector that answers as it is told.
use super::*;
use crate::telemetry::config::TelemetryConfig;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Mutex;

/// Answers with these status lines, one a request, the last for ever; keeps the names of the spans it took.
fn collector(answers: &'static [&'static str]) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let taken = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&taken);
    std::thread::spawn(move || {
        let mut answers = answers.iter().enumerate().peekable();
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            while let Some(body) = request(&mut stream) {
                let (_, answer) =
                    if answers.len() > 1 { *answers.peek().unwrap() } else { answers.clone().next().unwrap() };
                if answers.len() > 1 {
                    answers.next();
                }
                if answer.starts_with("200") {
                    seen.lock().unwrap().extend(names(&body));
                }
                let reply = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
                if stream.get_mut().write_all(reply.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    (url, taken)
}

fn request(stream: &mut BufReader<std::net::TcpStream>) -> Option<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
    Some(plain)
}

fn names(body: &[u8]) -> Vec<String> {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    let request = <ExportTraceServiceRequest as prost::Message>::decode(body).unwrap();
    let spans = request.resource_spans.into_iter().flat_map(|r| r.scope_spans).flat_map(|s| s.spans);
    spans.map(|s| s.name).collect()
}

fn courier(url: &str) -> Courier {
    let config = TelemetryConfig { enabled: true, endpoint: Some(url.to_owned()), ..TelemetryConfig::default() };
    let env = Environment::from([("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]);
    let mut routes = Routes::decide(&config, &env);
    Courier::new(&mut routes, &env, &Arc::default(), &mut Vec::new())
}

fn spool(dir: &Path, spans: &[&str]) -> SpoolFile {
    let file = SpoolFile::parse(dir, "traces-h-1-2.jsonl").unwrap();
    let line = |name: &&str| {
        format!(
            "{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{{\"name\":\"{name}\",\"traceId\":\"\",\"spanId\":\"\"}}]}}]}}]}}\n"
        )
    };
    std::fs::write(file.path(), spans.iter().map(line).collect::<String>()).unwrap();
    file
}

/// Steps until the end, without waiting for ways to open.
fn send_all(courier: &mut Courier, parcel: &mut Parcel) -> Step {
    for _ in 0..50 {
        courier.hurry();
        match courier.step(parcel, true) {
            Step::AtEnd => return Step::AtEnd,
            Step::Blocked if !courier.has_way() => return Step::Blocked,
            Step::Moved | Step::Blocked => {}
        }
    }
    Step::Blocked
}

#[test]
fn what_was_acknowledged_is_never_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = spool(dir.path(), &["a", "b"]);
    let (url, taken) = collector(&["503 Busy", "429 Slow", "200 OK"]);
    let mut parcel = Parcel::new(file.clone(), true);
    assert_eq!(send_all(&mut courier(&url), &mut parcel), Step::AtEnd);
    assert_eq!(*taken.lock().unwrap(), ["a", "b"]);
    // Another process goes on where the cursor is.
    let mut again = Parcel::new(file.clone(), false);
    assert_eq!(again.cursor, parcel.cursor);
    assert_eq!(send_all(&mut courier(&url), &mut again), Step::AtEnd);
    assert_eq!(taken.lock().unwrap().len(), 2);
    assert_eq!((file.cursor().0.delivered, file.cursor().0.rejected), (2, 0));
}

#[test]
fn a_refused_request_is_divided_until_only_the_bad_line_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    // Four lines, then two, then one: the first is to blame.
    let (url, taken) = collector(&["400 No", "400 No", "400 No", "200 OK"]);
    let mut parcel = Parcel::new(spool(dir.path(), &["bad", "b", "c", "d"]), true);
    assert_eq!(send_all(&mut courier(&url), &mut parcel), Step::AtEnd);
    assert_eq!(*taken.lock().unwrap(), ["b", "c", "d"]);
    assert_eq!((parcel.cursor.delivered, parcel.cursor.rejected), (3, 1));
}

#[test]
fn wrong_credentials_stop_everything_and_keep_it() {
    let dir = tempfile::tempdir().unwrap();
    let (url, taken) = collector(&["401 Who", "200 OK"]);
    let mut parcel = Parcel::new(spool(dir.path(), &["a"]), true);
    assert_eq!(send_all(&mut courier(&url), &mut parcel), Step::Blocked);
    assert_eq!((parcel.cursor.offset, taken.lock().unwrap().len()), (0, 0));
}

#[test]
fn the_wait_a_collector_asks_for_is_kept_even_in_a_hurry() {
    let dir = tempfile::tempdir().unwrap();
    let (url, _) = collector(&["429 Slow\r\nRetry-After: 60", "200 OK"]);
    let (mut courier, mut parcel) = (courier(&url), Parcel::new(spool(dir.path(), &["a"]), true));
    assert_eq!(courier.step(&mut parcel, true), Step::Blocked);
    courier.hurry();
    assert!(courier.next_try().unwrap() > Instant::now() + Duration::from_secs(50));
    assert_eq!(courier.step(&mut parcel, true), Step::Blocked);
}

#[test]
fn waits_grow_to_a_limit_and_differ() {
    assert_eq!((wait(1), wait(2), wait(60)), (FIRST_WAIT, FIRST_WAIT * 2, LONGEST_WAIT));
    let some = jittered(LONGEST_WAIT);
    assert!(some >= LONGEST_WAIT / 2 && some <= LONGEST_WAIT);
}

#[test]
fn a_run_sends_its_own_files_and_then_those_of_the_dead_but_not_of_the_living() {
    use super::super::claim::Claim;
    use super::super::files::list;
    use super::super::sender::Sender;
    let dir = tempfile::tempdir().unwrap();
    let (url, taken) = collector(&["200 OK"]);
    let own = spool(dir.path(), &["own"]);
    let copy = |to: &str, name: &str| {
        let text = std::fs::read_to_string(own.path()).unwrap().replace("\"own\"", &format!("\"{name}\""));
        std::fs::write(dir.path().join(to), text).unwrap();
    };
    copy("traces-h-7-7.jsonl", "dead");
    copy("traces-h-8-8.jsonl", "living");
    let living = Claim::take(dir.path(), "h-8-8").unwrap().unwrap();
    let claim = Claim::take(dir.path(), &own.stem).unwrap().unwrap();
    // A second file begins when the first is full.
    copy("traces-h-1-2.1.jsonl", "more");

    let stats = Arc::default();
    let mut courier = courier(&url);
    courier.stats = Arc::clone(&stats);
    let sender = Sender::start(courier, dir.path().into(), vec![own], claim, &stats);
    assert!(sender.finish(Duration::from_secs(60)));
    let mut names = taken.lock().unwrap().clone();
    names.sort();
    assert_eq!(names, ["dead", "more", "own"]);
    assert_eq!(stats.of(Signal::Traces).delivered.load(Relaxed), 2, "those of this run");
    let unsent = list(dir.path()).unwrap().into_values().flatten().filter(|(_, sent)| !sent);
    assert_eq!(unsent.map(|(file, _)| file.name()).collect::<Vec<_>>(), ["traces-h-8-8.jsonl"]);
    drop(living);
    let left = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.filter(|name| name.contains("claim")).count(), 0, "claims are given back");
}
