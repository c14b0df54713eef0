//! Who calls: the caller that the token names, and the peer that the connection comes from.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use engine::{ACCOUNT_PREFIX, Caller};
use passwords::peer::Peer;
use server::accept::ConnectionState;

use crate::app::App;
use crate::problem::{Problem, Result};
use crate::problem_code::ApiErrorCode;
use crate::token::{BadToken, TokenIssuer};

/// Whoever the token names, and the service that they call.
pub(crate) struct AuthenticatedCaller {
    pub(crate) app: Arc<App>,
    pub(crate) caller: Caller,
}

impl FromRequestParts<Arc<App>> for AuthenticatedCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        let caller = caller_of(app, bearer(&parts.headers)?).await?;
        if let Some(connection) = parts.extensions.get::<Arc<ConnectionState>>() {
            connection.let_in();
        }
        Ok(AuthenticatedCaller { app: Arc::clone(app), caller })
    }
}

pub(super) async fn caller_of(app: &App, token: &str) -> Result<Caller> {
    let claims = app.tokens.verify(token, app.engine.now().0).await.map_err(refused)?;
    let subject = claims.subject;
    let external = claims.issuer == TokenIssuer::External;
    if external && subject.as_str().starts_with(ACCOUNT_PREFIX) {
        let detail = format!("a sub that begins with {ACCOUNT_PREFIX} is of this server alone");
        return Err(unauthenticated(detail));
    }
    // The account may have been removed since the token was given.
    if !app.engine.is_known(&subject).await? {
        return Err(unauthenticated("the token's account is gone".into()));
    }
    Ok(Caller::new(claims.role, subject))
}

pub(super) fn bearer(headers: &HeaderMap) -> Result<&str> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let value = lines.next();
    let value = value.ok_or_else(|| unauthenticated("there is no Authorization header".into()))?;
    // A proxy may have checked the other one.
    if lines.next().is_some() {
        return Err(unauthenticated("there are several Authorization headers: send one".into()));
    }
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    token.ok_or_else(|| unauthenticated("the Authorization header is no bearer token".into()))
}

fn refused(error: BadToken) -> Problem {
    match error {
        BadToken::KeysUnavailable => {
            Problem::new(ApiErrorCode::StoreUnavailable, error.to_string())
        }
        error => unauthenticated(error.to_string()),
    }
}

pub(crate) fn unauthenticated(detail: String) -> Problem {
    Problem::new(ApiErrorCode::Unauthenticated, detail)
}

/// Whom limits for strangers count the request with.
pub(crate) struct WhereFrom(pub(crate) Peer);

impl FromRequestParts<Arc<App>> for WhereFrom {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        let connection = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let Some(ConnectInfo(address)) = connection else { return Ok(WhereFrom(Peer::NOWHERE)) };
        let client = app.access.trusted_proxies.client(address.ip(), &parts.headers);
        Ok(WhereFrom(Peer::at(client)))
    }
}
