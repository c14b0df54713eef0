//! A receiver of webhooks, for `couponry webhook listen`.

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookRequest {
    pub id: String,
    /// Seconds since 1970.
    pub timestamp: Option<i64>,
    /// Several are separated by blanks.
    pub signatures: String,
    pub body: String,
}

/// Takes each POST, on any path. `take` says with which status to answer.
pub fn receiver(take: impl Fn(WebhookRequest) -> u16 + Clone + Send + Sync + 'static) -> Router {
    let arrive = async move |headers: HeaderMap, body: Bytes| {
        let text = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let status = take(WebhookRequest {
            id: text("webhook-id"),
            timestamp: text("webhook-timestamp").parse().ok(),
            signatures: text("webhook-signature"),
            body: String::from_utf8_lossy(&body).into_owned(),
        });
        StatusCode::from_u16(status).unwrap_or(StatusCode::NO_CONTENT)
    };
    Router::new().fallback(post(arrive))
}
