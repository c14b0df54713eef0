//! Whether the process lives, and whether it can do its work.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Answer;
use crate::app::App;

/// The process lives.
#[derive(Serialize, ToSchema)]
pub(crate) struct Alive {
    /// `ok`.
    status: &'static str,
}

/// What the process can do at the moment.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ready {
    /// Reads are answered.
    ready: bool,
    /// Writes are taken: the disk has room and is not read-only.
    writable: bool,
    /// Why not, if not.
    #[schema(required)]
    reason: Option<String>,
    /// Of this server.
    version: &'static str,
}

/// Does the process live
///
/// Looks at nothing else: a restart would not help against what `/readyz` tells. Anyone may ask.
#[utoipa::path(
    get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, body = Alive, description = "It does"))
)]
pub(crate) async fn healthz() -> Answer<Alive> {
    Answer(Alive { status: "ok" })
}

/// Can it do its work
///
/// 200 as long as reads are answered; `writable` says whether writes are taken. Anyone may ask.
#[utoipa::path(
    get, path = "/readyz", tag = "health", security(()),
    responses((status = 200, body = Ready, description = "Reads are answered"))
)]
pub(crate) async fn readyz(State(app): State<Arc<App>>) -> Answer<Ready> {
    let reason = app.engine.writable().await.err();
    let version = env!("CARGO_PKG_VERSION");
    Answer(Ready { ready: true, writable: reason.is_none(), reason, version })
}
