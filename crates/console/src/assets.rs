//! The style, the scripts and the icon, in the binary.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;

const FILES: [(&str, &str, &[u8]); 4] = [
    ("console.css", "text/css; charset=utf-8", include_bytes!("../assets/console.css")),
    ("console.js", "text/javascript; charset=utf-8", include_bytes!("../assets/console.js")),
    ("icons.svg", "image/svg+xml", include_bytes!("../assets/icons.svg")),
    ("icon.svg", "image/svg+xml", include_bytes!("../assets/icon.svg")),
];

/// A print of all files. Their addresses have it, so a browser keeps them until a new release.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut all = digest::Context::new(&digest::SHA256);
    for (_, _, bytes) in FILES {
        all.update(bytes);
    }
    URL_SAFE_NO_PAD.encode(&all.finish().as_ref()[..9])
});

pub(crate) fn address(name: &str) -> String {
    format!("/console/assets/{name}?v={}", *VERSION)
}

pub(crate) async fn asset(Path(name): Path<String>) -> Response {
    let Some((_, kind, bytes)) = FILES.into_iter().find(|(known, ..)| *known == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kept = HeaderValue::from_static("public, max-age=31536000, immutable");
    let headers =
        [(header::CONTENT_TYPE, HeaderValue::from_static(kind)), (header::CACHE_CONTROL, kept)];
    (headers, bytes).into_response()
}
