//! The route and the method of a request, as figures and spans name them.

use axum::extract::{MatchedPath, Request};
use axum::http::Method;

/// The template of the path that a request asks for, so that codes make no time series.
pub struct RouteTemplate(Option<MatchedPath>);

impl RouteTemplate {
    pub fn of(request: &Request) -> RouteTemplate {
        RouteTemplate(request.extensions().get::<MatchedPath>().cloned())
    }

    /// `none` where no route has such a path.
    pub fn as_str(&self) -> &str {
        self.0.as_ref().map_or("none", MatchedPath::as_str)
    }
}

/// A client may send any word as a method; each would be a time series of its own.
pub fn known(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|word| *word == method.as_str()).unwrap_or("other")
}
