//! Whether the process lives, and whether it can do its work.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use coupon::time::Day;
use engine::{Engine, HotError};
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::Answer;
use crate::app::App;

/// How long `/readyz` waits for the store: whoever probes gives up after a few seconds, and would
/// not hear why.
const READY_MAX: Duration = Duration::from_secs(2);

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
    /// Writes are taken: the disk has room and is not read-only; of a cluster enough nodes answer,
    /// and its clock and ours agree.
    writable: bool,
    /// Why not, if not.
    #[schema(required)]
    reason: Option<String>,
    /// What is wrong with the clock: it has jumped, so that nothing is archived until it has stood
    /// for a day. Reads and writes go on.
    #[schema(required)]
    clock: Option<String>,
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
/// 200 as long as reads are answered; `writable` says whether writes are taken. Answers within 2
/// seconds, and looks anew each time. Anyone may ask.
#[utoipa::path(
    get, path = "/readyz", tag = "health", security(()),
    responses(
        (status = 200, body = Ready, description = "Reads are answered"),
        (status = 503, body = Ready, description = "They are not; `reason` says why"),
    )
)]
pub(crate) async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, Answer<Ready>) {
    let version = env!("CARGO_PKG_VERSION");
    let all = async {
        tokio::join!(read(&app.engine), app.engine.writable(), app.engine.clock_warning())
    };
    let (read, written, clock) = timeout(READY_MAX, all).await.unwrap_or_else(|_| {
        let silent = format!("the hot store has not answered within {} s", READY_MAX.as_secs());
        (Err(silent.clone()), Err(silent), None)
    });
    let (ready, writable) = (read.is_ok(), read.is_ok() && written.is_ok());
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let reason = read.and(written).err();
    (status, Answer(Ready { ready, writable, reason, clock, version }))
}

/// Whether the store answers at all. What it says is its own business: damage elsewhere is no
/// reason to send nobody here.
async fn read(engine: &Engine) -> Result<(), String> {
    match engine.hot().partition(Day(0)).await {
        Err(error @ (HotError::Unavailable(_) | HotError::Overloaded { .. })) => {
            Err(error.to_string())
        }
        Ok(_)
        | Err(HotError::Full(_))
        | Err(HotError::Unknown(_))
        | Err(HotError::Cold(_))
        | Err(HotError::Damaged(_)) => Ok(()),
    }
}
