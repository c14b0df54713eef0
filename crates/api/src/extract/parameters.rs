//! The names and codes in a path, and the query. What cannot be a name is not there: 404.

use std::error::Error;

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query, RawPathParams};
use axum::http::request::Parts;
use coupon::code::CodeText;
use coupon::ids::{BatchId, CampaignId, OrderRef, UserId};
use engine::FieldFault;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Error as PathError;

use super::missing::{BATCH, CAMPAIGN, ORDER, no_such, no_such_coupon};
use super::said;
use crate::problem::{Problem, Result};

async fn piece<S: Send + Sync>(parts: &mut Parts, state: &S, name: &str) -> Result<String> {
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
        "erasure_id" => no_such("erasure"),
        "webhook_id" => no_such("webhook"),
        "order_ref" => no_such(ORDER),
        "delivery_id" => no_such("delivery of this webhook"),
        _ => no_such_coupon(),
    }
}

macro_rules! in_path {
    ($name:ident, $inner:ty, $key:literal) => {
        pub(crate) struct $name(pub(crate) $inner);

        impl<S: Send + Sync> FromRequestParts<S> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
                let text = piece(parts, state, $key).await?;
                text.parse().map($name).map_err(|_| absent($key))
            }
        }
    };
}

in_path!(CodeInPath, CodeText, "code");
in_path!(CampaignInPath, CampaignId, "campaign_id");
in_path!(BatchInPath, BatchId, "batch_id");
in_path!(OrderInPath, OrderRef, "order_ref");
in_path!(UserInPath, UserId, "user_id");
in_path!(WebhookInPath, String, "webhook_id");
in_path!(ErasureInPath, String, "erasure_id");
in_path!(DeliveryInPath, i64, "delivery_id");

/// The query; unknown parameters are refused by name.
pub(crate) struct QueryParams<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let query = Query::<T>::try_from_uri(&parts.uri);
        query.map(|Query(params)| QueryParams(params)).map_err(|rejection| {
            let fault = match path_error(&rejection) {
                Some(error) => {
                    let (path, said) = (error.path().to_string(), error.inner().to_string());
                    said::of_field(&path, &said, "query", |_| Value::Null)
                }
                None => FieldFault::new("query", rejection.body_text()),
            };
            Problem::invalid(vec![fault])
        })
    }
}

fn path_error(rejection: &QueryRejection) -> Option<&PathError<serde::de::value::Error>> {
    let mut cause = rejection.source();
    while let Some(error) = cause {
        match error.downcast_ref() {
            Some(found) => return Some(found),
            None => cause = error.source(),
        }
    }
    None
}
