//! The caller's trace: taken from the environment or `--traceparent`, and handed on to programs we start.
//!
//! OpenTelemetry specification, "Environment Variables as Context Propagation Carriers": the W3C headers `traceparent`,
//! `tracestate` and `baggage` travel as variables of the same names in capitals.

use super::env::Environment;
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use std::process::Command;

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

struct CommandCarrier<'a>(&'a mut Command);

impl Injector for CommandCarrier<'_> {
    fn set(&mut self, key: &str, value: String) {
        if !value.is_empty() {
            self.0.env(key.to_ascii_uppercase(), value);
        }
    }
}

fn propagator() -> TextMapCompositePropagator {
    TextMapCompositePropagator::new(vec![Box::new(TraceContextPropagator::new()), Box::new(BaggagePropagator::new())])
}

/// The remote parent, and a warning when one was given that cannot be read.
///
/// `flag` (`--traceparent`) wins over `TRACEPARENT`. Garbage is no parent: the trace then starts here.
#[must_use]
pub fn remote_parent(env: &Environment, flag: Option<&str>) -> (Context, Option<String>) {
    let flag = flag.map(str::trim).filter(|f| !f.is_empty());
    let context = propagator().extract_with_context(&Context::new(), &Carrier { env, traceparent: flag });
    let given = flag.map(|f| ("--traceparent", f)).or_else(|| env.get("TRACEPARENT").map(|v| ("TRACEPARENT", v)));
    let warning = given.filter(|_| !context.span().span_context().is_valid()).map(|(source, value)| {
        let value = super::text::bounded(value, 80);
        format!("{source}={value:?} is not a W3C trace context (00-TRACE_ID-SPAN_ID-01); starting a new trace")
    });
    (context, warning)
}

/// The context as environment variables, for a program that will be started elsewhere; empty when there is none.
#[must_use]
pub fn variables(context: &Context) -> Vec<(String, String)> {
    let mut command = Command::new("");
    inject(context, &mut command);
    let text = |s: &std::ffi::OsStr| s.to_str().map(str::to_owned);
    command.get_envs().filter_map(|(name, value)| Some((text(name)?, text(value?)?))).collect()
}

/// Gives a program we start the trace it runs in.
pub fn inject(context: &Context, command: &mut Command) {
    for variable in ["TRACEPARENT", "TRACESTATE", "BAGGAGE"] {
        command.env_remove(variable); // ours may name another parent
    }
    propagator().inject_context(context, &mut CommandCarrier(command));
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::baggage::BaggageExt;

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
    fn children_get_the_context() {
        let env = Environment::from([("TRACEPARENT", PARENT), ("BAGGAGE", "site=x")]);
        let mut command = Command::new("true");
        command.env("TRACESTATE", "stale=1");
        inject(&remote_parent(&env, None).0, &mut command);
        let set: Vec<_> = command.get_envs().filter_map(|(k, v)| Some((k.to_str()?, v?.to_str()?))).collect();
        assert_eq!(set, [("BAGGAGE", "site=x"), ("TRACEPARENT", PARENT)]);
    }
}
