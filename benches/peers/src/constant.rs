//! A route that answers at once: the time that axum, the kernel and the sender take by themselves.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};

/// A coupon as in an answer of couponry, of about 600 bytes.
const COUPON: &str = concat!(
    r#"{"code":"7K2M-9QXD-4TRB","campaign_id":"load","batch_id":"from-0-to-200000","#,
    r#""state":"issued","expired":false,"paused":false,"holder":"u0000000001","#,
    r#""valid_from":"2026-01-01T00:00:00Z","expires_at":"2028-01-01T00:00:00Z","#,
    r#""expires_on":"2027-12-31","time_zone":"UTC","held_until":null,"#,
    r#""issued_at":"2026-01-01T00:00:00.123Z","redeemed_at":null,"order_ref":null,"#,
    r#""created_at":"2026-01-01T00:00:00.123Z","modified_at":"2026-01-01T00:00:00.123Z","#,
    r#""version":1,"tier":"hot","events":[{"sequence":1,"kind":"issued","#,
    r#""at":"2026-01-01T00:00:00.123Z","actor":"admin:import","reference":null}]}"#,
);

/// The paths of couponry, with one answer for all of them. Requests are not read.
pub(crate) fn router() -> Router {
    Router::new()
        .route("/v1/coupons/{code}", get(async || answer(StatusCode::OK)))
        .route("/v1/coupons/{code}/redeem", post(async || answer(StatusCode::CREATED)))
        .route("/v1/campaigns/{campaign_id}/issue", post(async || answer(StatusCode::CREATED)))
        .route("/v1/campaigns/{campaign_id}/batches", post(async || answer(StatusCode::CREATED)))
        .route("/v1/campaigns", post(async || answer(StatusCode::CREATED)))
        .route("/healthz", get(async || StatusCode::OK))
}

fn answer(status: StatusCode) -> impl IntoResponse {
    (status, [(header::CONTENT_TYPE, "application/json")], COUPON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_as_long_as_a_coupon() {
        assert!((550..750).contains(&COUPON.len()), "{}", COUPON.len());
        serde_json::from_str::<serde_json::Value>(COUPON).expect("it is JSON");
    }
}
