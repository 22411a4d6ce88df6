//! Traces: where the time of one request went, for an OpenTelemetry collector.
//!
//! Off unless an endpoint is set; then a request costs a look at a thread's
//! own variable. A request that is traced leaves a span for itself, one for
//! its wait in the queue and one for its run; a batch leaves a span of its own,
//! linked to the requests that it was made of. Spans are sent by a thread of
//! their own. What it can't keep up with is dropped and counted: a collector
//! never slows a request.

mod context;
mod export;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

pub use self::context::{Within, current, within};
use self::{
    context::Caller,
    export::{Message, Sender},
};
use opentelemetry::{
    KeyValue,
    trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{IdGenerator, RandomIdGenerator, SpanData},
};

/// Where spans go, and how many.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The collector: `http://host:4317` for gRPC, `http://host:4318` for
    /// HTTP.
    pub endpoint: String,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// The share of requests that are traced, of those whose caller has not
    /// decided: from 0 to 1.
    pub share: f64,
}

/// How OTLP is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// Over gRPC.
    #[default]
    Grpc,
    /// As protobuf in the bodies of HTTP requests.
    Http,
}

/// What became of the spans so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Taken by the collector.
    pub(super) sent: AtomicU64,
    /// Lost: too many at once, or refused by the collector.
    pub(super) dropped: AtomicU64,
}

/// The way to the collector. Clones share it.
#[derive(Debug, Clone)]
pub struct Traces(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    sender: Sender,
    counts: Arc<Counts>,
    ids: RandomIdGenerator,
    propagator: TraceContextPropagator,
    /// Of the lower half of a trace's id: below it the trace is taken.
    below: u64,
    share: f64,
    /// One moment by both clocks.
    epoch: (Instant, SystemTime),
}

impl Traces {
    /// Starts the thread that sends.
    ///
    /// # Errors
    /// When the endpoint can't be one, or there is no thread to be had.
    pub fn start(settings: &Settings, metrics: &super::Metrics) -> Result<Self, String> {
        let counts = Arc::clone(metrics.spans());
        let sender = export::start(settings, Arc::clone(&counts))?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of all numbers: it saturates, and a rounded bound is as good"
        )]
        let below = (settings.share * u64::MAX as f64) as u64;
        Ok(Self(Arc::new(Shared {
            sender,
            counts,
            ids: RandomIdGenerator::default(),
            propagator: TraceContextPropagator::new(),
            below,
            share: settings.share,
            epoch: (Instant::now(), SystemTime::now()),
        })))
    }

    /// The part that this server has in a request, by what its caller says in
    /// `traceparent` and `tracestate`.
    #[must_use]
    pub fn request(&self, parent: Option<&str>, state: Option<&str>) -> Traced {
        let caller = Caller::of(&self.0.propagator, parent, state);
        let span = self.0.ids.new_span_id();
        let (trace, flags, state) = match &caller {
            Some(caller) => (
                caller.trace_id(),
                caller.trace_flags(),
                caller.trace_state().clone(),
            ),
            None => {
                let id = self.0.ids.new_trace_id();
                let taken = self.0.share >= 1.0 || lower_half(id) < self.0.below;
                let flags = TraceFlags::default().with_sampled(taken);
                (id, flags, TraceState::default())
            }
        };
        Traced(Arc::new(Place {
            traces: self.clone(),
            context: SpanContext::new(trace, span, flags, false, state),
            parent: caller.map_or(SpanId::INVALID, |caller| caller.span_id()),
            whole: true,
        }))
    }

    /// Sends what there is, and waits for it, but no longer than `limit`.
    pub fn end(&self, limit: Duration) {
        self.0.sender.end(limit);
    }

    fn time(&self, at: Instant) -> SystemTime {
        let (instant, system) = self.0.epoch;
        match at.checked_duration_since(instant) {
            Some(since) => system + since,
            None => system - instant.duration_since(at),
        }
    }

    fn send(&self, span: SpanData) {
        if !self.0.sender.send(Message::Span(Box::new(span))) {
            self.0.counts.dropped.fetch_add(1, Relaxed);
        }
    }
}

/// A request's place in its trace. Clones are the same place. It is one
/// pointer, since every request has room for one, traced or not.
#[derive(Debug, Clone)]
pub struct Traced(Arc<Place>);

#[derive(Debug)]
struct Place {
    traces: Traces,
    context: SpanContext,
    parent: SpanId,
    /// Whether it is this server's whole part in the trace.
    whole: bool,
}

/// A piece of work that is over.
#[derive(Debug)]
pub struct Span {
    /// What was done, of few words that there are few of.
    pub name: std::borrow::Cow<'static, str>,
    /// When it began.
    pub start: Instant,
    /// When it ended.
    pub end: Instant,
    /// More about it.
    pub attributes: Vec<KeyValue>,
    /// Why it failed, where it did by this side's fault.
    pub failure: Option<String>,
}

impl Traced {
    /// Whether spans of it are sent.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.0.context.is_sampled()
    }

    /// What says where in which trace this is, for a header.
    #[must_use]
    pub fn traceparent(&self) -> [u8; 55] {
        // By hand, since it is written for each request, sampled or not.
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        put_hex(&mut text[3..35], &self.0.context.trace_id().to_bytes());
        put_hex(&mut text[36..52], &self.0.context.span_id().to_bytes());
        put_hex(&mut text[53..], &[self.0.context.trace_flags().to_u8()]);
        text
    }

    /// The request itself is over.
    pub fn finish(self, span: Span) {
        let remote = self.0.whole && self.0.parent != SpanId::INVALID;
        let kind = if self.0.whole {
            SpanKind::Server
        } else {
            SpanKind::Internal
        };
        let data = self.data(
            self.0.context.clone(),
            (self.0.parent, remote),
            kind,
            span,
            Vec::new(),
        );
        self.0.traces.send(data);
    }

    /// A part of it is over.
    pub fn part(&self, span: Span) {
        self.part_linked(span, None);
    }

    /// A part of it is over that was done in `batch`.
    pub fn part_linked(&self, span: Span, batch: Option<&Traced>) {
        let context = self.inside();
        let parent = (self.0.context.span_id(), false);
        let links = batch.map(|batch| Link::with_context(batch.0.context.clone()));
        let links = links.into_iter().collect();
        let data = self.data(context, parent, SpanKind::Internal, span, links);
        self.0.traces.send(data);
    }

    /// A place in this trace below this one, for one message of many.
    #[must_use]
    pub fn below(&self) -> Self {
        Self(Arc::new(Place {
            traces: self.0.traces.clone(),
            context: self.inside(),
            parent: self.0.context.span_id(),
            whole: false,
        }))
    }

    /// The place of a batch that holds requests such as this: a trace of its
    /// own, since it is a part of no single request.
    #[must_use]
    pub fn batch(&self) -> Self {
        let ids = &self.0.traces.0.ids;
        let context = SpanContext::new(
            ids.new_trace_id(),
            ids.new_span_id(),
            TraceFlags::SAMPLED,
            false,
            TraceState::default(),
        );
        Self(Arc::new(Place {
            traces: self.0.traces.clone(),
            context,
            parent: SpanId::INVALID,
            whole: false,
        }))
    }

    /// This batch of `requests` is over.
    pub fn batched<'a>(&self, span: Span, requests: impl Iterator<Item = &'a Traced>) {
        let links = requests.map(|r| Link::with_context(r.0.context.clone()));
        let data = self.data(
            self.0.context.clone(),
            (SpanId::INVALID, false),
            SpanKind::Internal,
            span,
            links.collect(),
        );
        self.0.traces.send(data);
    }

    /// A new span of the same trace.
    fn inside(&self) -> SpanContext {
        SpanContext::new(
            self.0.context.trace_id(),
            self.0.traces.0.ids.new_span_id(),
            self.0.context.trace_flags(),
            false,
            self.0.context.trace_state().clone(),
        )
    }

    fn data(
        &self,
        context: SpanContext,
        (parent, remote): (SpanId, bool),
        kind: SpanKind,
        span: Span,
        links: Vec<Link>,
    ) -> SpanData {
        let mut linked = opentelemetry_sdk::trace::SpanLinks::default();
        linked.links = links;
        SpanData {
            span_context: context,
            parent_span_id: parent,
            parent_span_is_remote: remote,
            span_kind: kind,
            name: span.name,
            start_time: self.0.traces.time(span.start),
            end_time: self.0.traces.time(span.end),
            attributes: span.attributes,
            dropped_attributes_count: 0,
            events: opentelemetry_sdk::trace::SpanEvents::default(),
            links: linked,
            status: span.failure.map_or(Status::Unset, Status::error),
            instrumentation_scope: opentelemetry::InstrumentationScope::builder("modelship")
                .build(),
        }
    }
}

/// Writes each of `bytes` as two hex digits.
fn put_hex(text: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (two, byte) in text.chunks_exact_mut(2).zip(bytes) {
        two[0] = DIGITS[usize::from(byte >> 4)];
        two[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// The half of an id that is random by every generator.
fn lower_half(id: TraceId) -> u64 {
    let bytes = id.to_bytes();
    bytes[8..]
        .iter()
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}
