//! Which request this thread works for, and what its caller says of the trace.

use std::cell::RefCell;

use opentelemetry::{
    propagation::{Extractor, TextMapPropagator},
    trace::{SpanContext, TraceContextExt},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;

use super::Traced;
use crate::telemetry::scope;

thread_local! {
    static CURRENT: RefCell<Option<Traced>> = const { RefCell::new(None) };
}

/// Work that is done for a traced request, or for none.
pub type Within<F> = scope::Within<F, Traced>;

/// The traced request that this thread works for at the moment.
#[must_use]
pub fn current() -> Option<Traced> {
    scope::current(&CURRENT)
}

/// `work`, of which each step is done for `traced`.
pub fn within<F>(traced: Option<Traced>, work: F) -> Within<F> {
    // What is not sampled is not looked for on the way.
    scope::within(&CURRENT, traced.filter(Traced::is_sampled), work)
}

/// What a caller says of the trace that its request is a part of.
pub(super) struct Caller<'a> {
    parent: &'a str,
    state: Option<&'a str>,
}

impl Caller<'_> {
    /// The caller's span, where `parent` names one.
    pub(super) fn of(
        propagator: &TraceContextPropagator,
        parent: Option<&str>,
        state: Option<&str>,
    ) -> Option<SpanContext> {
        let caller = Caller {
            parent: parent?,
            state,
        };
        let nobody = opentelemetry::Context::new();
        let context = propagator.extract_with_context(&nobody, &caller);
        let span = context.span().span_context().clone();
        span.is_valid().then_some(span)
    }
}

impl Extractor for Caller<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => Some(self.parent),
            "tracestate" => self.state,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}
