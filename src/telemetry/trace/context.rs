//! Which request this thread works for, and what its caller says of the trace.

use std::{
    cell::RefCell,
    pin::Pin,
    task::{Context, Poll},
};

use opentelemetry::{
    propagation::{Extractor, TextMapPropagator},
    trace::{SpanContext, TraceContextExt},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use pin_project_lite::pin_project;

use super::Traced;

thread_local! {
    static CURRENT: RefCell<Option<Traced>> = const { RefCell::new(None) };
}

/// The traced request that this thread works for at the moment.
#[must_use]
pub fn current() -> Option<Traced> {
    CURRENT.with_borrow(Clone::clone)
}

/// `work`, of which each step is done for `traced`.
pub fn within<F>(traced: Option<Traced>, work: F) -> Within<F> {
    // What is not sampled is not looked for on the way.
    let traced = traced.filter(Traced::is_sampled);
    Within { work, traced }
}

pin_project! {
    /// Work that is done for a traced request, or for none.
    pub struct Within<F> {
        #[pin]
        work: F,
        traced: Option<Traced>,
    }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if this.traced.is_none() {
            return this.work.poll(cx);
        }
        let _left = Entered(CURRENT.replace(this.traced.clone()));
        this.work.poll(cx)
    }
}

/// Puts back what was current before, also after a panic.
struct Entered(Option<Traced>);

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
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
