//! The standard `OTEL_*` variables: what each may say, what it does here, and what happens to a value that makes no sense.
//!
//! One table, from which come the check at the start ([`checked`]), `telemetry config` and the table in
//! `docs/telemetry.md`. The SDK's own reading is not relied on: it knows fewer variables, and reports what it does not
//! understand where nobody sees it.

use super::config::without_password;
use super::env::Environment;
use super::stats::Signal;
use opentelemetry_sdk::trace::{Sampler, SpanLimits};
use std::time::Duration;

/// Default interval of metric exports.
const METRIC_INTERVAL_MS: u64 = 15_000;

/// What a variable may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `true` or `false`, in any case.
    Boolean,
    /// A whole number from the given one up.
    AtLeast(u64),
    /// A number from 0 to 1.
    Ratio,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Some of these words, separated by commas.
    SomeOf(&'static [&'static str]),
    /// `key=value` pairs separated by commas, percent-encoded. The values may be secrets.
    Headers,
    /// `key=value` pairs separated by commas, percent-encoded.
    Pairs,
    /// A URL, which may hold a password.
    Url,
    /// Anything.
    Text,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Name; of one that exists per signal, the part after `OTEL_EXPORTER_OTLP_` or the like, see [`Variable::names`].
    pub name: &'static str,
    /// Whether `OTEL_EXPORTER_OTLP_{SIGNAL}_…` exists besides and wins.
    pub per_signal: bool,
    /// What it may say.
    pub form: Form,
    /// What is in force when it says nothing.
    pub default: &'static str,
    /// Why it does nothing here, for those that do not.
    pub idle: Option<&'static str>,
}

const fn row(name: &'static str, form: Form, default: &'static str) -> Variable {
    Variable { name, per_signal: false, form, default, idle: None }
}

const fn per_signal(name: &'static str, form: Form, default: &'static str) -> Variable {
    Variable { name, per_signal: true, form, default, idle: None }
}

const fn idle(name: &'static str, why: &'static str) -> Variable {
    Variable { name, per_signal: false, form: Form::Text, default: "", idle: Some(why) }
}

const EXPORTERS: Form = Form::SomeOf(&["otlp", "console", "none"]);
const AT_ONCE: &str = "what ends is written to its file at once; there is no queue to bound and no delay to set";

/// Every variable that users of OpenTelemetry may expect to work.
pub const VARIABLES: &[Variable] = &[
    row("OTEL_SDK_DISABLED", Form::Boolean, "false"),
    row("OTEL_TRACES_EXPORTER", EXPORTERS, "otlp"),
    row("OTEL_METRICS_EXPORTER", EXPORTERS, "otlp"),
    row("OTEL_LOGS_EXPORTER", EXPORTERS, "otlp"),
    per_signal("OTEL_EXPORTER_OTLP_ENDPOINT", Form::Url, "your stack on this machine, if it runs"),
    per_signal("OTEL_EXPORTER_OTLP_PROTOCOL", Form::OneOf(&["grpc", "http/protobuf", "http/json"]), "by the endpoint"),
    per_signal("OTEL_EXPORTER_OTLP_HEADERS", Form::Headers, ""),
    per_signal("OTEL_EXPORTER_OTLP_TIMEOUT", Form::AtLeast(1), "10000"),
    per_signal("OTEL_EXPORTER_OTLP_COMPRESSION", Form::OneOf(&["gzip", "none"]), "gzip"),
    per_signal(
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        Form::Text,
        "`SSL_CERT_FILE`, the authorities of this machine, or those of Mozilla",
    ),
    per_signal("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", Form::Text, ""),
    per_signal("OTEL_EXPORTER_OTLP_CLIENT_KEY", Form::Text, ""),
    row(
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        Form::OneOf(&["delta", "cumulative", "lowmemory"]),
        "delta",
    ),
    row("OTEL_METRIC_EXPORT_INTERVAL", Form::AtLeast(1), "15000"),
    row("OTEL_TRACES_SAMPLER", Form::OneOf(SAMPLERS), "parentbased_always_on"),
    row("OTEL_TRACES_SAMPLER_ARG", Form::Ratio, "1"),
    row("OTEL_PROPAGATORS", Form::SomeOf(&["tracecontext", "baggage", "none"]), "tracecontext,baggage"),
    row("OTEL_SERVICE_NAME", Form::Text, "neuro-preprocess"),
    row("OTEL_RESOURCE_ATTRIBUTES", Form::Pairs, ""),
    row("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", Form::AtLeast(0), "4096 bytes"),
    row("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", Form::AtLeast(0), "4096 bytes"),
    row("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", Form::AtLeast(0), "4096 bytes"),
    row("OTEL_ATTRIBUTE_COUNT_LIMIT", Form::AtLeast(0), "128"),
    row("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", Form::AtLeast(0), "128"),
    row("OTEL_SPAN_EVENT_COUNT_LIMIT", Form::AtLeast(0), "128"),
    row("OTEL_SPAN_LINK_COUNT_LIMIT", Form::AtLeast(0), "128"),
    row("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", Form::AtLeast(0), "128"),
    row("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", Form::AtLeast(0), "128"),
    idle("OTEL_BSP_SCHEDULE_DELAY", AT_ONCE),
    idle("OTEL_BSP_EXPORT_TIMEOUT", AT_ONCE),
    idle("OTEL_BSP_MAX_QUEUE_SIZE", AT_ONCE),
    idle("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", AT_ONCE),
    idle("OTEL_BLRP_SCHEDULE_DELAY", AT_ONCE),
    idle("OTEL_BLRP_EXPORT_TIMEOUT", AT_ONCE),
    idle("OTEL_BLRP_MAX_QUEUE_SIZE", AT_ONCE),
    idle("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", AT_ONCE),
    idle("OTEL_METRIC_EXPORT_TIMEOUT", "metrics are written to their file, which needs no limit"),
    idle("OTEL_EXPORTER_OTLP_INSECURE", "the scheme of the endpoint decides: http or https"),
    idle("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "the buckets are part of the contract"),
    idle("OTEL_METRICS_EXEMPLAR_FILTER", "the SDK for Rust has no exemplars"),
    idle("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "no log record has more than a dozen"),
    idle("OTEL_LOG_LEVEL", "-q, -v and --debug, or NEURO_PREPROCESS_VERBOSITY, decide what is said"),
    idle("OTEL_CONFIG_FILE", "the configuration file is --config"),
];

const SAMPLERS: &[&str] = &[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

impl Variable {
    /// The names under which it may be set, the strongest first, for `signal`.
    #[must_use]
    pub fn names(&self, signal: Signal) -> Vec<String> {
        let own = self.name.strip_prefix("OTEL_EXPORTER_OTLP_").filter(|_| self.per_signal);
        let own = own.map(|rest| format!("OTEL_EXPORTER_OTLP_{}_{rest}", signal.variable()));
        own.into_iter().chain([self.name.to_owned()]).collect()
    }

    /// The value as it may be shown: without what is or may be a secret.
    #[must_use]
    pub fn shown(&self, value: &str) -> String {
        match self.form {
            Form::Headers => {
                let names: Vec<&str> = value.split(',').filter_map(|p| Some(p.split_once('=')?.0.trim())).collect();
                format!("{} (values hidden)", names.join(", "))
            }
            Form::Url => without_password(value),
            _ => value.to_owned(),
        }
    }

    /// What of `value` can be used, and what is wrong with the rest.
    fn checked(&self, value: &str) -> (Option<String>, Option<String>) {
        let whole = |fine: bool, wanted: String| {
            if fine { (Some(value.to_owned()), None) } else { (None, Some(format!("{value:?} is not {wanted}"))) }
        };
        match self.form {
            Form::Boolean => {
                whole(matches!(value.to_ascii_lowercase().as_str(), "true" | "false"), "true or false".into())
            }
            Form::AtLeast(least) => {
                whole(value.parse().is_ok_and(|n: u64| n >= least), format!("a whole number from {least}"))
            }
            Form::Ratio => {
                whole(value.parse().is_ok_and(|x: f64| (0.0..=1.0).contains(&x)), "a number from 0 to 1".into())
            }
            Form::OneOf(words) => {
                let found = words.iter().find(|word| word.eq_ignore_ascii_case(value));
                let problem = found.is_none().then(|| format!("{value:?} is not one of {}", words.join(", ")));
                (found.map(|word| (*word).to_owned()), problem)
            }
            Form::SomeOf(words) => {
                let (known, strange): (Vec<&str>, Vec<&str>) = split(value).partition(|word| words.contains(word));
                kept(known, !strange.is_empty(), format!("{strange:?} is not known here ({})", words.join(", ")))
            }
            // Header values are never repeated: they may be secrets.
            Form::Headers | Form::Pairs => {
                let (good, bad): (Vec<&str>, Vec<&str>) =
                    split(value).partition(|pair| pair.split_once('=').is_some_and(|(key, _)| !key.trim().is_empty()));
                kept(good, !bad.is_empty(), format!("{} of its parts are not key=value", bad.len()))
            }
            Form::Url | Form::Text => (Some(value.to_owned()), None),
        }
    }
}

fn split(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn kept(good: Vec<&str>, any_bad: bool, problem: String) -> (Option<String>, Option<String>) {
    ((!good.is_empty()).then(|| good.join(",")), any_bad.then_some(problem))
}

/// The environment with only such values as can be used, and a warning for each that cannot.
#[must_use]
pub fn checked(env: &Environment) -> (Environment, Vec<String>) {
    let (mut good, mut warnings) = (env.clone(), Vec::new());
    for variable in VARIABLES {
        let mut names: Vec<String> = Signal::ALL.iter().flat_map(|s| variable.names(*s)).collect();
        names.sort();
        names.dedup();
        for name in names {
            let Some(value) = env.get(&name) else { continue };
            if let Some(why) = variable.idle {
                warnings.push(format!("{name} has no effect: {why}"));
                continue;
            }
            let (usable, problem) = variable.checked(value);
            warnings.extend(problem.map(|p| format!("{name}: {p}; ignored")));
            good = good.with(&name, usable);
        }
    }
    (good, warnings)
}

/// `OTEL_TRACES_SAMPLER` with its argument; decided at the root of each trace, so a trace is kept whole or not at all.
#[must_use]
pub fn sampler(env: &Environment) -> Sampler {
    let ratio = env.get("OTEL_TRACES_SAMPLER_ARG").and_then(|text| text.parse().ok()).unwrap_or(1.0);
    let root = |sampler| Sampler::ParentBased(Box::new(sampler));
    match env.get("OTEL_TRACES_SAMPLER") {
        Some("always_on") => Sampler::AlwaysOn,
        Some("always_off") => Sampler::AlwaysOff,
        Some("traceidratio") => Sampler::TraceIdRatioBased(ratio),
        Some("parentbased_always_off") => root(Sampler::AlwaysOff),
        Some("parentbased_traceidratio") => root(Sampler::TraceIdRatioBased(ratio)),
        _ => root(Sampler::AlwaysOn),
    }
}

/// The `…_COUNT_LIMIT` variables.
#[must_use]
pub fn span_limits(env: &Environment) -> SpanLimits {
    let limit = |names: &[&str], default| names.iter().find_map(|n| env.get(n)?.parse().ok()).unwrap_or(default);
    let usual = SpanLimits::default();
    let any = "OTEL_ATTRIBUTE_COUNT_LIMIT";
    SpanLimits {
        max_events_per_span: limit(&["OTEL_SPAN_EVENT_COUNT_LIMIT"], usual.max_events_per_span),
        max_attributes_per_span: limit(&["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", any], usual.max_attributes_per_span),
        max_links_per_span: limit(&["OTEL_SPAN_LINK_COUNT_LIMIT"], usual.max_links_per_span),
        max_attributes_per_event: limit(&["OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", any], usual.max_attributes_per_event),
        max_attributes_per_link: limit(&["OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", any], usual.max_attributes_per_link),
    }
}

/// `OTEL_METRIC_EXPORT_INTERVAL`.
#[must_use]
pub fn metric_interval(env: &Environment) -> Duration {
    let ms = env.get("OTEL_METRIC_EXPORT_INTERVAL").and_then(|text| text.parse().ok());
    Duration::from_millis(ms.unwrap_or(METRIC_INTERVAL_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_named_and_taken_out_and_secrets_are_not_repeated() {
        let (env, warnings) = checked(&Environment::from([
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "500"),
            ("OTEL_TRACES_EXPORTER", "otlp,zipkin"),
            ("OTEL_TRACES_SAMPLER", "ALWAYS_OFF"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20geheim,geheim"),
            ("OTEL_SPAN_LINK_COUNT_LIMIT", "-1"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "5"),
            ("OTHER", "x"),
        ]));
        assert_eq!(env.get("OTEL_EXPORTER_OTLP_TIMEOUT"), None);
        assert_eq!(env.get("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT"), Some("500"));
        assert_eq!(env.get("OTEL_TRACES_EXPORTER"), Some("otlp"));
        assert_eq!(env.get("OTEL_TRACES_SAMPLER"), Some("always_off"));
        assert_eq!(env.get("OTEL_EXPORTER_OTLP_HEADERS"), Some("authorization=Bearer%20geheim"));
        assert_eq!(env.get("OTHER"), Some("x"));
        let text = warnings.join("\n");
        assert_eq!(warnings.len(), 5, "{text}");
        assert!(!text.contains("geheim"), "{text}");
        for part in ["OTEL_EXPORTER_OTLP_TIMEOUT: \"soon\" is not a whole", "[\"zipkin\"]", "BSP_MAX_QUEUE_SIZE has no"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let find = |name| VARIABLES.iter().find(|v| v.name == name).unwrap();
        let headers = find("OTEL_EXPORTER_OTLP_HEADERS");
        assert_eq!(headers.shown("authorization=Bearer x,tenant = y"), "authorization, tenant (values hidden)");
        let endpoint = find("OTEL_EXPORTER_OTLP_ENDPOINT");
        assert_eq!(endpoint.shown("https://me:geheim@c:4317/x"), "https://…@c:4317/x");
        assert_eq!(endpoint.shown("http://c:4317"), "http://c:4317");
    }

    #[test]
    fn samplers_and_limits_are_those_of_the_specification() {
        let sampled =
            |name, arg| sampler(&Environment::from([("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", arg)]));
        assert!(matches!(sampled("traceidratio", "0.25"), Sampler::TraceIdRatioBased(r) if (r - 0.25).abs() < 1e-12));
        assert!(matches!(sampled("always_off", ""), Sampler::AlwaysOff));
        assert!(matches!(sampler(&Environment::default()), Sampler::ParentBased(_)));
        let limits = span_limits(&Environment::from([
            ("OTEL_ATTRIBUTE_COUNT_LIMIT", "7"),
            ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "9"),
        ]));
        assert_eq!(
            (limits.max_attributes_per_span, limits.max_attributes_per_event, limits.max_links_per_span),
            (9, 7, 128)
        );
    }
}
