//! The span of one attempt, for OpenTelemetry. It is the begin of a trace, which the receiver can go on.

use std::borrow::Cow;

use opentelemetry::global::{self, BoxedSpan};
use opentelemetry::trace::{Span, SpanKind, Status, Tracer};
use opentelemetry::{Context, KeyValue};
use reqwest::Url;

pub(crate) struct AttemptSpan(BoxedSpan);

impl AttemptSpan {
    /// `None` unless this attempt is recorded. The span has no path: it may have a secret in it.
    pub(crate) fn begin(url: &Url) -> Option<AttemptSpan> {
        let tracer = global::tracer(env!("CARGO_PKG_NAME"));
        let host = url.host_str().unwrap_or_default().to_owned();
        let builder = tracer.span_builder(Cow::from("POST to a webhook"));
        let builder = builder.with_kind(SpanKind::Client).with_attributes([
            KeyValue::new("http.request.method", "POST"),
            KeyValue::new("server.address", host),
        ]);
        let span = tracer.build_with_context(builder, &Context::new());
        span.is_recording().then_some(AttemptSpan(span))
    }

    /// The header `traceparent` of W3C Trace Context.
    pub(crate) fn traceparent(&self) -> String {
        let context = self.0.span_context();
        format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags())
    }

    pub(crate) fn end(mut self, status: Option<u16>, is_delivered: bool) {
        if let Some(status) = status {
            self.0.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        }
        if !is_delivered {
            self.0.set_status(Status::error(""));
        }
        self.0.end();
    }
}
