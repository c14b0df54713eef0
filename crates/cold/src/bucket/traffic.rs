//! Counts the requests to a bucket and their bytes, because that is what a bucket costs. Within a traced
//! call, each request is a span of its trace.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
    ReqwestConnector,
};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global};

coupon::words! {
    /// What a request does, in words for metrics and traces. A list is a GET that most providers bill as a PUT.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum RequestKind {
        Get = "get",
        /// Asks for the size of an object.
        Head = "head",
        List = "list",
        Put = "put",
        /// Begins or ends an upload in parts, or deletes many objects.
        Post = "post",
        Delete = "delete",
    }
}

impl RequestKind {
    fn of(request: &HttpRequest) -> RequestKind {
        let is_list = || request.uri().query().is_some_and(|it| it.contains("list-type="));
        match request.method().as_str() {
            "HEAD" => RequestKind::Head,
            "PUT" => RequestKind::Put,
            "POST" => RequestKind::Post,
            "DELETE" => RequestKind::Delete,
            _ if is_list() => RequestKind::List,
            _ => RequestKind::Get,
        }
    }
}

/// Counts of all requests to a bucket, every retry included. Requests for credentials (to STS, or to the
/// metadata of a machine) are among them.
#[derive(Debug, Default)]
pub struct BucketTraffic {
    requests: [AtomicU64; RequestKind::ALL.len()],
    failed: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

impl BucketTraffic {
    pub fn requests(&self, kind: RequestKind) -> u64 {
        self.requests[kind as usize].load(Ordering::Relaxed)
    }

    /// How many had no answer, or one that says that the server could not: 429 or 5xx.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    pub fn sent_bytes(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub fn received_bytes(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
pub(super) struct CountingConnector(pub(super) Arc<BucketTraffic>);

impl HttpConnector for CountingConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(CountingClient { client, traffic: Arc::clone(&self.0) }))
    }
}

#[derive(Debug)]
struct CountingClient {
    client: HttpClient,
    traffic: Arc<BucketTraffic>,
}

#[async_trait]
impl HttpService for CountingClient {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let kind = RequestKind::of(&request);
        let traffic = &self.traffic;
        traffic.requests[kind as usize].fetch_add(1, Ordering::Relaxed);
        traffic.sent.fetch_add(request.body().content_length() as u64, Ordering::Relaxed);
        let span = span(kind, &request);
        let answered = self.client.execute(request).await;
        let status = answered.as_ref().ok().map(|answer| answer.status());
        let failed = status.is_none_or(|it| it.as_u16() == 429 || it.is_server_error());
        if failed {
            traffic.failed.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(context) = span {
            let span = context.span();
            if let Some(status) = status {
                let status = i64::from(status.as_u16());
                span.set_attribute(KeyValue::new("http.response.status_code", status));
            }
            if failed {
                span.set_status(Status::error(""));
            }
            span.end();
        }
        let traffic = Arc::clone(traffic);
        let count = move |data: Bytes| {
            traffic.received.fetch_add(data.len() as u64, Ordering::Relaxed);
            data
        };
        let counted = move |body: HttpResponseBody| {
            HttpResponseBody::new(body.map_frame(move |frame| frame.map_data(&count)))
        };
        Ok(answered?.map(counted))
    }
}

/// The span of a request within a traced call. It has no path: the server's log has it.
fn span(kind: RequestKind, request: &HttpRequest) -> Option<Context> {
    let parent = Context::current();
    if !parent.span().is_recording() {
        return None;
    }
    let tracer = global::tracer(env!("CARGO_PKG_NAME"));
    let host = request.uri().host().unwrap_or_default().to_owned();
    let builder = tracer.span_builder(format!("bucket {}", kind.as_str()));
    let builder = builder.with_kind(SpanKind::Client).with_attributes([
        KeyValue::new("http.request.method", request.method().as_str().to_owned()),
        KeyValue::new("server.address", host),
    ]);
    let span = tracer.build_with_context(builder, &parent);
    Some(parent.with_span(span))
}

#[cfg(test)]
mod tests {
    use object_store::client::HttpRequestBody;

    use super::*;

    #[test]
    fn kinds() {
        let cases = [
            ("GET", "/shop/cold/coupons/part-0.parquet", RequestKind::Get),
            ("GET", "/shop?list-type=2&prefix=cold%2F", RequestKind::List),
            ("HEAD", "/shop/cold/x", RequestKind::Head),
            ("PUT", "/shop/cold/x?partNumber=1&uploadId=u", RequestKind::Put),
            ("POST", "/shop/cold/x?uploads", RequestKind::Post),
            ("DELETE", "/shop/cold/x", RequestKind::Delete),
        ];
        for (method, uri, want) in cases {
            let mut request = HttpRequest::new(HttpRequestBody::empty());
            *request.method_mut() = method.parse().expect("a method");
            *request.uri_mut() = format!("https://s3.test{uri}").parse().expect("an address");
            assert_eq!(RequestKind::of(&request), want, "{method} {uri}");
        }
        for (at, kind) in RequestKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at, "{} has its own counter", kind.as_str());
        }
    }
}
