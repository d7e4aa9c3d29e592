//! The caller's trace: taken from the environment or `--traceparent`. Batch jobs are handed the submission's, in their script.
//!
//! OpenTelemetry specification, "Environment Variables as Context Propagation Carriers": the W3C headers `traceparent`,
//! `tracestate` and `baggage` travel as variables of the same names in capitals.

use super::env::Environment;
use super::{names, text};
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, KeyValue, StringValue};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use std::collections::HashMap;

/// The environment, and what the command line puts in its place.
struct Carrier<'a> {
    env: &'a Environment,
    traceparent: Option<&'a str>,
}

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match (key, self.traceparent) {
            ("traceparent", Some(given)) => Some(given),
            // The environment's state belongs to the environment's parent.
            ("tracestate", Some(_)) => None,
            _ => self.env.get(&key.to_ascii_uppercase()),
        }
    }

    fn keys(&self) -> Vec<&str> {
        self.env.names().collect()
    }
}

/// Which of the caller's words are listened to: `OTEL_PROPAGATORS`, by default trace context and baggage.
struct Propagators {
    trace: bool,
    baggage: bool,
}

impl Propagators {
    fn of(env: &Environment) -> Self {
        let listed = env.get("OTEL_PROPAGATORS").unwrap_or("tracecontext,baggage");
        let has = |name: &str| listed.split(',').any(|word| word.trim() == name);
        Self { trace: has("tracecontext"), baggage: has("baggage") }
    }
}

/// The remote parent, and a warning when one was given that cannot be read.
///
/// `flag` (`--traceparent`) wins over `TRACEPARENT`, also where `OTEL_PROPAGATORS` says not to listen. Garbage is no
/// parent: the trace then starts here.
#[must_use]
pub fn remote_parent(env: &Environment, flag: Option<&str>) -> (Context, Option<String>) {
    let flag = flag.map(str::trim).filter(|f| !f.is_empty());
    let (wanted, carrier) = (Propagators::of(env), Carrier { env, traceparent: flag });
    let given = flag.map(|f| ("--traceparent", f));
    let given = given.or_else(|| env.get("TRACEPARENT").filter(|_| wanted.trace).map(|v| ("TRACEPARENT", v)));
    let mut context = Context::new();
    if given.is_some() {
        context = TraceContextPropagator::new().extract_with_context(&context, &carrier);
    }
    if wanted.baggage {
        context = BaggagePropagator::new().extract_with_context(&context, &carrier);
    }
    let warning = given.filter(|_| !context.span().span_context().is_valid()).map(|(source, value)| {
        let value = text::bounded(value, 80);
        format!("{source}={value:?} is not a W3C trace context (00-TRACE_ID-SPAN_ID-01); starting a new trace")
    });
    (context, warning)
}

/// Every baggage member of the caller, for the spans that continue the caller's trace.
pub fn baggage(context: &Context) -> Vec<KeyValue> {
    let member = |(key, (value, _)): (&opentelemetry::Key, &(StringValue, _))| {
        let value = text::bounded(value.as_str(), text::MAX_TEXT).into_owned();
        KeyValue::new(format!("{}{key}", names::BAGGAGE_PREFIX), value)
    };
    context.baggage().iter().map(member).collect()
}

/// The context as environment variables, for programs that are started elsewhere; empty when there is none.
#[must_use]
pub fn variables(context: &Context) -> Vec<(String, String)> {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(context, &mut carrier);
    BaggagePropagator::new().inject_context(context, &mut carrier);
    // The propagator writes a state even where there is none.
    let mut given: Vec<(String, String)> = carrier.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    given.sort();
    given.into_iter().map(|(name, value)| (name.to_ascii_uppercase(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const OTHER: &str = "00-11111111111111111111111111111111-2222222222222222-01";

    fn trace_of(context: &Context) -> String {
        context.span().span_context().trace_id().to_string()
    }

    #[test]
    fn the_environment_is_the_parent_and_the_flag_wins() {
        let env = Environment::from([("TRACEPARENT", PARENT), ("TRACESTATE", "a=b"), ("BAGGAGE", "site=x")]);
        let (context, warning) = remote_parent(&env, None);
        assert_eq!((trace_of(&context).as_str(), warning), ("0af7651916cd43dd8448eb211c80319c", None));
        assert!(context.span().span_context().is_remote());
        assert_eq!(context.span().span_context().trace_state().get("a"), Some("b"));
        assert_eq!(context.baggage().get("site").map(|v| v.as_str()), Some("x"));

        assert_eq!(baggage(&context), [KeyValue::new("baggage.site", "x")]);

        let (context, _) = remote_parent(&env, Some(OTHER));
        assert_eq!(trace_of(&context), "11111111111111111111111111111111");
        assert_eq!(context.span().span_context().trace_state().get("a"), None);
    }

    #[test]
    fn garbage_is_ignored_with_one_warning() {
        for bad in ["x", "00-0-0-01", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-é"] {
            let (context, warning) = remote_parent(&Environment::from([("TRACEPARENT", bad)]), None);
            assert!(!context.span().span_context().is_valid(), "{bad}");
            assert!(warning.unwrap().contains("TRACEPARENT"));
        }
        assert_eq!(remote_parent(&Environment::default(), None).1, None);
    }

    #[test]
    fn batch_jobs_get_the_context() {
        let env = Environment::from([("TRACEPARENT", PARENT), ("TRACESTATE", "a=b"), ("BAGGAGE", "site=x")]);
        let given = variables(&remote_parent(&env, None).0);
        let expected = [("BAGGAGE", "site=x"), ("TRACEPARENT", PARENT), ("TRACESTATE", "a=b")];
        assert_eq!(given, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(variables(&Context::new()), []);
    }
}
