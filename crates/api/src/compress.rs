//! Long answers, gzip or zstd, for clients that ask for it (`Accept-Encoding`).

use axum::http::{Extensions, HeaderMap, StatusCode, Version, header};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

/// Answers that are shorter stay as they are: they fit into one packet, and nearly all answers about one coupon are.
const BYTES_MIN: u16 = 1_400;

/// The layer around all routes of the API.
///
/// The fastest level of both: lists of codes shrink to a third, and a core does some 100 MB a second. A stream of
/// events is left alone, because each event is to arrive at once. So is an answer with a tag, which names its bytes.
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
