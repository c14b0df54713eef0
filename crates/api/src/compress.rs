//! Long answers, gzip or zstd, for clients that ask for it (`Accept-Encoding`).
//!
//! To compress takes 1 ms for 100 kB, on the thread that answers everybody. So what is the same for everybody is
//! compressed once, and what is long is compressed elsewhere, few at a time.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Extensions, HeaderMap, StatusCode, Version, header};
use axum::response::Response;
use engine::Engine;
use futures::stream::{StreamExt, once};
use tokio::sync::OnceCell;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

use crate::around::panicked;

/// Answers that are shorter stay as they are: they fit into one packet, and nearly all answers about one coupon are.
const BYTES_MIN: u16 = 1_400;

/// Answers from this length on are compressed on a thread for blocking work, within the limit for long streams: they
/// take longer than the way there.
pub(crate) const LONG_BYTES: usize = 64 * 1024;

/// The fastest level of both: lists of codes shrink to a third, and a core does some 100 MB a
/// second. It skips a stream of events, because each event is to arrive at once, and an answer with
/// a tag, which names its bytes.
pub(crate) fn layer() -> CompressionLayer<impl Predicate> {
    let worthwhile = SizeAbove::new(BYTES_MIN).and(NotForContentType::SSE).and(has_no_tag);
    CompressionLayer::new()
        .no_br()
        .no_deflate()
        .quality(CompressionLevel::Fastest)
        .compress_when(worthwhile)
}

fn has_no_tag(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    !headers.contains_key(header::ETAG)
}

/// Marks an answer that is compressed elsewhere, and once for all answers that have a clone of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedCompression {
    gzip: Arc<OnceCell<Bytes>>,
    zstd: Arc<OnceCell<Bytes>>,
}

impl SharedCompression {
    pub(crate) fn marks(response: &Response) -> bool {
        response.extensions().get::<SharedCompression>().is_some()
    }
}

/// Removes the mark. Compresses the answer here if it is to be: [`layer`] does that only when
/// somebody reads it.
pub(crate) async fn elsewhere(engine: &Engine, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let marked = parts.extensions.remove::<SharedCompression>();
    let coding = parts.headers.get(header::CONTENT_ENCODING).cloned();
    let compressed = match (marked, coding) {
        (Some(marked), Some(coding)) if coding == "zstd" => marked.zstd,
        (Some(marked), Some(_)) => marked.gzip,
        (None, _) | (_, None) => return Response::from_parts(parts, body),
    };
    match compressed.get_or_try_init(|| whole(engine, body)).await {
        Ok(bytes) => Response::from_parts(parts, Body::from(bytes.clone())),
        Err(error) => {
            tracing::error!(%error, "an answer could not be compressed");
            panicked()
        }
    }
}

/// All of a body that is in memory already.
async fn whole(engine: &Engine, body: Body) -> Result<Bytes, axum::Error> {
    let read = once(to_bytes(body, usize::MAX)).boxed();
    engine.limited(read).next().await.unwrap_or_else(|| Ok(Bytes::new()))
}
