//! Who is speaking: the OpenTelemetry Resource, sent with every batch.
//!
//! Built here because SDK 0.33 neither percent-decodes `OTEL_RESOURCE_ATTRIBUTES` nor lets `OTEL_SERVICE_NAME` win over
//! it, and because nothing about participants may get in by itself. `process.command_args` holds the paths the user
//! typed: they are the user's words, so labels in them leave the machine with the telemetry.

use super::config::without_password;
use super::env::Environment;
use super::names;
use super::pseudonym::Pseudonyms;
use super::text;
use opentelemetry::{Array, Key, KeyValue, StringValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{ResourceDetector, TelemetryResourceDetector};
use std::fs;

/// Semantic conventions the attribute names follow.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.42.0";
/// Processes above this one that are looked at.
const ANCESTORS: usize = 16;
/// Longest value taken from the command line or the environment, in bytes.
const MAX_VALUE: usize = 1024;

/// The resource of this process.
///
/// `run_id` names the run (`neuro.run.id`); `service.instance.id` is new in every process, so that the tasks of a job
/// array never overwrite each other. With `pseudonyms` the command line names options only. What the environment says
/// comes last and wins.
#[must_use]
pub fn build(env: &Environment, run_id: &str, pseudonyms: Option<&Pseudonyms>) -> Resource {
    let mut attributes = own_attributes(run_id, pseudonyms);
    attributes.extend(job_attributes(env));
    attributes.extend(launchers(&ancestors()));
    attributes.extend(container_attributes(env));
    // Two builders, because within one the order of equal keys is not promised.
    let own = Resource::builder_empty()
        .with_schema_url(attributes, SCHEMA_URL)
        .with_detector(Box::new(TelemetryResourceDetector) as Box<dyn ResourceDetector>)
        .build();
    let mut all: Vec<(Key, Value)> = own.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    for (key, value) in user_attributes(env) {
        all.retain(|(k, _)| *k != key);
        all.push((key, value));
    }
    let all = all.into_iter().map(|(k, v)| KeyValue::new(k, text::safe(v)));
    Resource::builder_empty().with_schema_url(all, SCHEMA_URL).build()
}

fn own_attributes(run_id: &str, pseudonyms: Option<&Pseudonyms>) -> Vec<KeyValue> {
    let arguments = std::env::args_os().take(256).map(|a| shortened(&without_password(&a.to_string_lossy())));
    let arguments: Vec<StringValue> = match pseudonyms {
        Some(pseudonyms) => pseudonyms.arguments(arguments).into_iter().map(StringValue::from).collect(),
        None => arguments.map(StringValue::from).collect(),
    };
    let mut out = vec![
        KeyValue::new(names::SERVICE_NAME, names::SERVICE),
        KeyValue::new(names::SERVICE_VERSION, env!("CARGO_PKG_VERSION")),
        KeyValue::new(names::SERVICE_INSTANCE_ID, uuid::Uuid::now_v7().to_string()),
        KeyValue::new(names::RESOURCE_RUN_ID, run_id.to_owned()),
        KeyValue::new(names::HOST_ARCH, arch()),
        KeyValue::new(names::OS_TYPE, std::env::consts::OS),
        KeyValue::new(names::PROCESS_PID, i64::from(std::process::id())),
        KeyValue::new(names::PROCESS_COMMAND_ARGS, Value::Array(Array::String(arguments))),
        KeyValue::new(names::VCS_REVISION, env!("NEURO_PREPROCESS_COMMIT")),
    ];
    out.extend(crate::machine::host::name().map(|h| KeyValue::new(names::HOST_NAME, h)));
    out
}

/// The semantic conventions' word for the processor.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The user and the batch job. There is no convention for schedulers yet, hence our own `slurm.` names.
fn job_attributes(env: &Environment) -> Vec<KeyValue> {
    [
        (names::USER_NAME, "USER"),
        (names::SLURM_JOB_ID, "SLURM_JOB_ID"),
        (names::SLURM_ARRAY_JOB_ID, "SLURM_ARRAY_JOB_ID"),
        (names::SLURM_ARRAY_TASK_ID, "SLURM_ARRAY_TASK_ID"),
        (names::SLURM_NODE, "SLURMD_NODENAME"),
    ]
    .into_iter()
    .filter_map(|(key, variable)| Some(KeyValue::new(key, shortened(env.get(variable)?))))
    .collect()
}

/// The process ids and command lines of the processes above this one, the nearest first.
fn ancestors() -> Vec<(i64, String)> {
    let mut out = Vec::new();
    let mut pid = std::os::unix::process::parent_id();
    while pid > 1 && out.len() < ANCESTORS {
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        out.push((i64::from(pid), String::from_utf8_lossy(&read("cmdline")).into_owned()));
        let stat = String::from_utf8_lossy(&read("stat")).into_owned();
        // The fourth field; the second, the program's name, may hold blanks and ends at the last parenthesis.
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().nth(1)?.parse().ok());
        pid = parent.unwrap_or(0);
    }
    out
}

/// The Nipoppy and Boutiques processes this one runs below. They leave nothing in a child's environment, so they are known
/// by their command lines: a program of that name, or the script Boutiques makes for a container. The sessions of one
/// `nipoppy process` have one such process above them.
fn launchers(ancestors: &[(i64, String)]) -> Vec<KeyValue> {
    let is_called = |line: &str, what: &dyn Fn(&str) -> bool| {
        line.split('\0').take(3).any(|argument| what(argument.rsplit('/').next().unwrap_or(argument)))
    };
    let find = |what: &dyn Fn(&str) -> bool| ancestors.iter().find(|(_, line)| is_called(line, what));
    let bosh = find(&|name| name == "bosh" || name.ends_with(".boshjob.sh"));
    let nipoppy = find(&|name| name == "nipoppy");
    [(names::BOUTIQUES_PROCESS_PID, bosh), (names::NIPOPPY_PROCESS_PID, nipoppy)]
        .into_iter()
        .filter_map(|(key, process)| Some(KeyValue::new(key, process?.0)))
        .collect()
}

fn container_attributes(env: &Environment) -> Vec<KeyValue> {
    let apptainer = env.get("APPTAINER_CONTAINER").or_else(|| env.get("SINGULARITY_CONTAINER"));
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let id = container_id(&read("/proc/self/cgroup")).or_else(|| container_id(&read("/proc/self/mountinfo")));
    let runtime = match (apptainer, &id) {
        (Some(_), _) => Some("apptainer"),
        (None, Some(_)) if std::path::Path::new("/.dockerenv").exists() => Some("docker"),
        _ => None,
    };
    let image = apptainer.map(|path| path.rsplit('/').next().unwrap_or(path).to_owned());
    [
        id.map(|v| KeyValue::new(names::CONTAINER_ID, v)),
        runtime.map(|v| KeyValue::new(names::CONTAINER_RUNTIME_NAME, v)),
        image.map(|v| KeyValue::new(names::CONTAINER_IMAGE_NAME, shortened(&v))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The 64 hexadecimal digits that container runtimes put into the paths of a process's cgroup or of its `/etc` mounts.
fn container_id(text: &str) -> Option<String> {
    let is_id = |s: &&str| s.len() == 64 && s.bytes().all(|b| b.is_ascii_hexdigit());
    let relevant = text.lines().filter(|l| !l.contains("overlay"));
    relevant.flat_map(|l| l.split(['/', '-', '.', ':', ' '])).find(is_id).map(str::to_owned)
}

/// `OTEL_RESOURCE_ATTRIBUTES`, then `OTEL_SERVICE_NAME`, which the specification lets win.
fn user_attributes(env: &Environment) -> Vec<(Key, Value)> {
    let listed = env.get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default().split(',');
    let mut out: Vec<(Key, Value)> = listed
        .filter_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            let key = key.trim();
            (!key.is_empty()).then(|| (percent_decoded(key).into(), percent_decoded(value.trim()).into()))
        })
        .collect();
    out.extend(env.get("OTEL_SERVICE_NAME").map(|n| (names::SERVICE_NAME.into(), n.to_owned().into())));
    out
}

/// Replaces `%XX` by its byte; anything that is not a valid escape stays.
#[must_use]
pub(super) fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match tail {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        out.push(escaped.map_or(*first, |(high, low)| high * 16 + low));
        rest = tail.get(if escaped.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

fn shortened(text: &str) -> String {
    super::text::bounded(text, MAX_VALUE).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(resource: &Resource, key: &'static str) -> Option<String> {
        resource.get(&Key::from_static_str(key)).map(|v| v.to_string())
    }

    #[test]
    fn the_environment_wins_and_the_service_name_wins_over_the_list() {
        let env = Environment::from([
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=list, site=a%20b%2Cc,broken,half=%4,=x,host.name=mine"),
            ("OTEL_SERVICE_NAME", "named"),
            ("SLURM_ARRAY_TASK_ID", "7"),
        ]);
        let r = build(&env, "run-1", None);
        assert_eq!(value(&r, "service.name").as_deref(), Some("named"));
        assert_eq!(value(&r, "site").as_deref(), Some("a b,c"));
        assert_eq!(value(&r, "half").as_deref(), Some("%4"));
        assert_eq!(value(&r, "host.name").as_deref(), Some("mine"));
        assert_eq!(value(&r, "slurm.array.task.id").as_deref(), Some("7"));
        assert_eq!(value(&r, "slurm.job.id"), None);
        assert_eq!(value(&r, "telemetry.sdk.language").as_deref(), Some("rust"));
        assert_eq!(r.schema_url(), Some(SCHEMA_URL));
    }

    #[test]
    fn own_attributes_are_documented_and_instances_differ() {
        let (a, b) = (build(&Environment::default(), "r", None), build(&Environment::default(), "r", None));
        for (key, _) in a.iter() {
            assert!(names::RESOURCE.contains(&key.as_str()), "{key} is not in the table");
        }
        assert_eq!(value(&a, "service.name").as_deref(), Some("neuro-preprocess"));
        assert_ne!(value(&a, "service.instance.id"), value(&b, "service.instance.id"));
    }

    #[test]
    fn container_ids_are_found_in_cgroup_paths_only_when_whole() {
        let id = "0123456789abcdef".repeat(4);
        assert_eq!(container_id(&format!("0::/system.slice/docker-{id}.scope")), Some(id.clone()));
        assert_eq!(container_id(&format!("0::/kubepods/pod1/{id}")), Some(id.clone()));
        assert_eq!(container_id(&format!("0::/user.slice/{}", &id[1..])), None);
    }

    #[test]
    fn nipoppy_and_boutiques_are_known_by_their_command_lines() {
        let line = |words: &[&str]| words.join("\0");
        let ancestors = [
            (40, line(&["/bin/sh", "-l", "/w/temp-1-2.boshjob.sh"])),
            (30, line(&["/v/bin/python3", "/v/bin/bosh", "exec", "launch"])),
            (20, line(&["/v/bin/python3", "/v/bin/nipoppy", "process"])),
            (10, line(&["bash"])),
        ];
        let found = |list: &[(i64, String)]| -> Vec<String> {
            launchers(list).iter().map(|kv| format!("{}={}", kv.key, kv.value)).collect()
        };
        assert_eq!(found(&ancestors), ["boutiques.process.pid=40", "nipoppy.process.pid=20"]);
        assert_eq!(found(&ancestors[1..2]), ["boutiques.process.pid=30"]);
        // A folder of that name in an argument is no sign.
        assert!(found(&[(5, line(&["vi", "/data/nipoppy/x"]))]).is_empty());
    }

    #[test]
    fn percent_decoding_never_splits_characters() {
        assert_eq!(percent_decoded("é%C3%A9%"), "éé%");
        assert_eq!(percent_decoded("%zz%é"), "%zz%é");
    }
}
