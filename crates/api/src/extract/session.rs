//! Whether whoever is answered for long may still be.

use std::sync::Arc;

use axum::http::HeaderMap;
use engine::{Caller, Failure};
use futures::stream::{BoxStream, StreamExt, unfold};

use super::caller::{bearer, caller_of};
use crate::app::App;
use crate::problem_code::ApiErrorCode;

/// How often a long answer looks whether its caller may still have it, in milliseconds: a key that is retired, and
/// an account that is removed, count for at most so long.
pub(crate) const LOOK_AGAIN_MS: i64 = 10_000;

/// A caller who is answered for long, and their token.
pub(crate) struct StreamSession {
    app: Arc<App>,
    pub(crate) caller: Caller,
    token: String,
    looked_at_ms: i64,
}

impl StreamSession {
    /// Of a caller whom the token of `headers` has just named.
    pub(crate) fn of(app: &Arc<App>, caller: Caller, headers: &HeaderMap) -> StreamSession {
        let token = bearer(headers).unwrap_or_default().to_owned();
        StreamSession { app: Arc::clone(app), caller, token, looked_at_ms: app.engine.now().0 }
    }

    /// Whether the token no longer names its caller. Looks every [`LOOK_AGAIN_MS`]; while it cannot be known,
    /// the session goes on.
    pub(crate) async fn is_over(&mut self) -> bool {
        let now_ms = self.app.engine.now().0;
        if now_ms.abs_diff(self.looked_at_ms) < LOOK_AGAIN_MS.unsigned_abs() {
            return false;
        }
        self.looked_at_ms = now_ms;
        match caller_of(&self.app, &self.token).await {
            Ok(caller) => caller != self.caller,
            Err(problem) => problem.code() == ApiErrorCode::Unauthenticated,
        }
    }

    /// The same rows, until the session is over: then they break off.
    pub(crate) fn guards(
        self,
        rows: BoxStream<'static, Result<String, Failure>>,
    ) -> BoxStream<'static, Result<String, Failure>> {
        let next = async |(mut rows, mut session): (BoxStream<'static, _>, StreamSession)| {
            let row = rows.next().await?;
            let row = match session.is_over().await {
                false => row,
                true => Err(Failure::BrokenOff("the token is no longer good".to_owned())),
            };
            Some((row, (rows, session)))
        };
        // What compresses an answer asks once more after its end.
        unfold((rows, self), next).fuse().boxed()
    }
}
