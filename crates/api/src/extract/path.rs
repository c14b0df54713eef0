//! The names and codes in a path. What cannot be one is not there: 404.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use coupon::code::CodeText;
use coupon::ids::{BatchId, CampaignId, UserId};

use super::missing::{BATCH, CAMPAIGN, no_such, no_such_coupon};
use crate::problem::Problem;

async fn piece<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    name: &str,
) -> Result<String, Problem> {
    let params = RawPathParams::from_request_parts(parts, state).await;
    // A path that is no UTF-8: whatever it names, there is none.
    let params = params.map_err(|_| absent(name))?;
    let found = params.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    found.ok_or_else(|| absent(name))
}

fn absent(name: &str) -> Problem {
    match name {
        "campaign_id" => no_such(CAMPAIGN),
        "batch_id" => no_such(BATCH),
        "user_id" => no_such("account"),
        "webhook_id" => no_such("webhook"),
        "delivery_id" => no_such("delivery of this webhook"),
        _ => no_such_coupon(),
    }
}

macro_rules! in_path {
    ($name:ident, $inner:ty, $key:literal) => {
        pub(crate) struct $name(pub(crate) $inner);

        impl<S: Send + Sync> FromRequestParts<S> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
                let text = piece(parts, state, $key).await?;
                text.parse().map($name).map_err(|_| absent($key))
            }
        }
    };
}

in_path!(CodeInPath, CodeText, "code");
in_path!(CampaignInPath, CampaignId, "campaign_id");
in_path!(BatchInPath, BatchId, "batch_id");
in_path!(UserInPath, UserId, "user_id");
in_path!(WebhookInPath, String, "webhook_id");
in_path!(DeliveryInPath, i64, "delivery_id");
