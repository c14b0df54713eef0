//! The query of a request.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use engine::Fault;
use serde::de::DeserializeOwned;

use super::body::without_name;
use crate::problem::Problem;

/// The query; unknown parameters are refused by name.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Query::<T>::try_from_uri(&parts.uri);
        query.map(|Query(params)| Params(params)).map_err(|rejection| {
            let text = rejection.body_text();
            let detail = text.split_once(": ").map_or(text.as_str(), |(_, detail)| detail);
            let named = detail.split('`').nth(1).unwrap_or("query").to_owned();
            Problem::invalid(vec![Fault::new(named, without_name(detail))])
        })
    }
}
