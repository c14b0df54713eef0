//! Who reads: a caller, and their turn.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use engine::Caller;

use super::caller::AuthenticatedCaller;
use crate::app::App;
use crate::problem::{Problem, Result};
use crate::reads::ReadTurn;

/// Whoever the token names, and their turn to read, which lasts until it is dropped.
pub(crate) struct ReadingCaller {
    pub(crate) app: Arc<App>,
    pub(crate) caller: Caller,
    pub(crate) _turn: ReadTurn,
}

impl FromRequestParts<Arc<App>> for ReadingCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        let AuthenticatedCaller { app, caller } =
            AuthenticatedCaller::from_request_parts(parts, app).await?;
        let turn = read_turn(&app, &caller, Some(&parts.uri)).await?;
        Ok(ReadingCaller { app, caller, _turn: turn })
    }
}

/// Waits for a turn of `caller`, with the address of their request if it names a user.
///
/// # Errors
/// TOO_MANY for one more than [`crate::reads::READING_MAX`].
pub(crate) async fn read_turn(app: &App, caller: &Caller, uri: Option<&Uri>) -> Result<ReadTurn> {
    match app.reads.turn(caller, uri).await {
        Some(turn) => Ok(turn),
        None => Err(app.guesses.refused(caller).await),
    }
}
