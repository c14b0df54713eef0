//! Long answers, gzip or zstd, for clients that ask for it (`Accept-Encoding`).
//!
//! To compress takes 1 ms for 100 kB, on the thread that answers everybody. So what is the same for everybody is
//! compressed once, and what is long is compressed elsewhere, few at a time.

use std::sync::Arc;

use axum::Error;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Extensions, HeaderMap, StatusCode, Version, header};
use axum::response::Response;
use futures::stream::{BoxStream, StreamExt, once};
use tokio::sync::OnceCell;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

/// Answers that are shorter stay as they are: they fit into one packet, and nearly all answers about one coupon are.
const BYTES_MIN: u16 = 1_400;

/// Answers from this length on are compressed on a thread for blocking work, within the limit for long streams: they
/// take longer than the way there.
pub const LONG_BYTES: usize = 64 * 1024;

/// The fastest level of both: lists of codes shrink to a third, and a core does some 100 MB a
/// second. It skips a stream of events, because each event is to arrive at once, and an answer with
/// a tag, which names its bytes.
pub fn layer() -> CompressionLayer<impl Predicate> {
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
pub struct SharedCompression {
    gzip: Arc<OnceCell<Bytes>>,
    zstd: Arc<OnceCell<Bytes>>,
}

impl SharedCompression {
    pub fn marks(response: &Response) -> bool {
        response.extensions().get::<SharedCompression>().is_some()
    }
}

/// A body that is read in one piece.
pub type BodyRead = BoxStream<'static, Result<Bytes, Error>>;

/// Removes the mark. Compresses the answer here if it is to be: [`layer`] does that only when
/// somebody reads it. `limited` makes the reading wait for its turn.
///
/// # Errors
/// The answer could not be compressed.
pub async fn elsewhere(
    limited: impl FnOnce(BodyRead) -> BodyRead,
    response: Response,
) -> Result<Response, Error> {
    let (mut parts, body) = response.into_parts();
    let marked = parts.extensions.remove::<SharedCompression>();
    let coding = parts.headers.get(header::CONTENT_ENCODING).cloned();
    let compressed = match (marked, coding) {
        (Some(marked), Some(coding)) if coding == "zstd" => marked.zstd,
        (Some(marked), Some(_)) => marked.gzip,
        (None, _) | (_, None) => return Ok(Response::from_parts(parts, body)),
    };
    let bytes = compressed.get_or_try_init(|| whole(limited, body)).await?;
    Ok(Response::from_parts(parts, Body::from(bytes.clone())))
}

/// All of a body that is in memory already.
async fn whole(limited: impl FnOnce(BodyRead) -> BodyRead, body: Body) -> Result<Bytes, Error> {
    let read = once(to_bytes(body, usize::MAX)).boxed();
    limited(read).next().await.unwrap_or_else(|| Ok(Bytes::new()))
}
