//! The trace that a request belongs to (W3C Trace Context), and the span of the request in it (OpenTelemetry).
//!
//! A span has no path, because a path has codes, and nothing of a body.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use opentelemetry::global::{self, BoxedTracer};
use opentelemetry::trace::{
    FutureExt, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId,
    TraceState, Tracer,
};
use opentelemetry::{Context, KeyValue};

use crate::route::{RouteTemplate, known};

/// What collectors know the spans by.
const INSTRUMENTATION: &str = "api";

/// Most bytes of `tracestate`, which is passed on as it came: the least that W3C asks for.
const STATE_BYTES_MAX: usize = 512;

/// The span of the caller, from `traceparent` and `tracestate`.
pub fn parent(headers: &HeaderMap) -> Option<SpanContext> {
    let mut parts = headers.get("traceparent")?.to_str().ok()?.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, len: usize| {
        text.len() == len && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_whole = is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
    // Later versions may have more parts; ff is none.
    let is_known = version != "ff" && (version != "00" || parts.next().is_none());
    if !is_whole || !is_known {
        return None;
    }
    let state = headers.get("tracestate").and_then(|it| it.to_str().ok());
    let state = state.filter(|text| text.len() <= STATE_BYTES_MAX);
    let state = state.and_then(|text| text.parse::<TraceState>().ok()).unwrap_or_default();
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let parent = SpanContext::new(trace, span, flags & TraceFlags::SAMPLED, true, state);
    // Zeros are no ids.
    parent.is_valid().then_some(parent)
}

pub struct RequestTracer {
    tracer: BoxedTracer,
    space: Option<String>,
}

impl RequestTracer {
    /// `space` is the name of the store, if it is one of several of a process.
    pub fn new(space: Option<String>) -> RequestTracer {
        RequestTracer { tracer: global::tracer(INSTRUMENTATION), space }
    }

    /// Its parent decides whether the span is recorded, or else the share of the settings.
    pub fn begin(
        &self,
        parent: Option<&SpanContext>,
        method: &Method,
        route: &str,
        id: Option<&str>,
    ) -> RequestSpan {
        let context = match parent {
            Some(parent) => Context::new().with_remote_span_context(parent.clone()),
            None => Context::new(),
        };
        let known = known(method);
        let method = if known == "other" { "_OTHER" } else { known };
        let mut attributes = vec![
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.route", route.to_owned()),
        ];
        attributes.extend(id.map(|id| KeyValue::new("couponry.request_id", id.to_owned())));
        let space = self.space.iter().map(|name| KeyValue::new("couponry.space", name.clone()));
        attributes.extend(space);
        let builder = self.tracer.span_builder(Cow::from(format!("{method} {route}")));
        let builder = builder.with_kind(SpanKind::Server).with_attributes(attributes);
        let span = self.tracer.build_with_context(builder, &context);
        RequestSpan(context.with_span(span))
    }
}

/// Makes the requests to pages beside the API spans, as those to the API are.
pub fn traced(pages: Router, tracer: Option<RequestTracer>) -> Router {
    match tracer {
        Some(tracer) => pages.layer(from_fn_with_state(Arc::new(tracer), as_span)),
        None => pages,
    }
}

async fn as_span(
    State(tracer): State<Arc<RequestTracer>>,
    request: Request,
    next: Next,
) -> Response {
    let (route, parent) = (RouteTemplate::of(&request), parent(request.headers()));
    let span = tracer.begin(parent.as_ref(), request.method(), route.as_str(), None);
    let response = span.around(next.run(request)).await;
    span.end(response.status(), None);
    response
}

/// Dropped before [`RequestSpan::end`], it ends without a result: the client is gone.
pub struct RequestSpan(Context);

impl RequestSpan {
    pub fn trace_id(&self) -> TraceId {
        self.0.span().span_context().trace_id()
    }

    /// Does `work`, whose spans are then below this one.
    pub async fn around<T>(&self, work: impl Future<Output = T>) -> T {
        work.with_context(self.0.clone()).await
    }

    /// `refused` says what the problem is.
    pub fn end(self, status: StatusCode, refused: Option<&'static str>) {
        let span = self.0.span();
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        if let Some(code) = refused {
            span.set_attribute(KeyValue::new("error.type", code));
        }
        if status.is_server_error() {
            // Whoever sends nonsense is no error of the service.
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn parents() {
        let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        let cases = [
            ("one", format!("00-{trace}-{span}-01"), true),
            ("of a later version", format!("01-{trace}-{span}-01-more"), true),
            ("too long", format!("00-{trace}-{span}-01-more"), false),
            ("no version", format!("ff-{trace}-{span}-01"), false),
            ("capitals", format!("00-{}-{span}-01", trace.to_uppercase()), false),
            ("a trace of zeros", format!("00-{}-{span}-01", "0".repeat(32)), false),
            ("a span of zeros", format!("00-{trace}-{}-01", "0".repeat(16)), false),
            ("short", format!("00-0af7-{span}-01"), false),
            ("nothing", String::new(), false),
        ];
        for (name, text, want) in cases {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", HeaderValue::from_str(&text).expect("a header"));
            let found = parent(&headers).map(|it| it.trace_id().to_string());
            assert_eq!(found.as_deref(), want.then_some(trace), "{name}");
        }
        assert_eq!(parent(&HeaderMap::new()), None);
    }

    #[test]
    fn what_comes_with_a_parent() {
        let cases = [
            ("recorded", "01", "a=1,b=2", true, "a=1,b=2"),
            ("not recorded", "00", "", false, ""),
            ("flags of a later version", "ff", "a=1", true, "a=1"),
            ("a state that is none", "01", "?", true, ""),
        ];
        for (name, flags, state, is_sampled, want) in cases {
            let mut headers = HeaderMap::new();
            let text = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
            headers.insert("traceparent", HeaderValue::from_str(&text).expect("a header"));
            headers.insert("tracestate", HeaderValue::from_str(state).expect("a header"));
            let found = parent(&headers).expect("a parent");
            let have = (found.is_sampled(), found.trace_state().header());
            assert_eq!(have, (is_sampled, want.to_owned()), "{name}");
        }
        let mut headers = HeaderMap::new();
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        headers.insert("traceparent", HeaderValue::from_static(text));
        let long = format!("a={}", "x".repeat(STATE_BYTES_MAX));
        headers.insert("tracestate", HeaderValue::from_str(&long).expect("a header"));
        assert_eq!(parent(&headers).expect("a parent").trace_state().header(), "", "a long state");
    }
}
