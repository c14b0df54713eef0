//! The query of a request.

use std::error::Error;

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use engine::FieldFault;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Error as PathError;

use super::said;
use crate::problem::Problem;

/// The query; unknown parameters are refused by name.
pub(crate) struct QueryParams<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
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
