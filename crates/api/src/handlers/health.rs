//! Whether the process runs, and whether it can do its work.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use coupon::time::Day;
use engine::{Engine, HotError};
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::answer::JsonAnswer;
use crate::app::App;
use crate::closed;

/// How long `/readyz` waits for the store: whoever probes gives up after a few seconds, and would not hear why.
const READY_MAX: Duration = Duration::from_secs(2);

/// The process runs.
#[derive(Serialize, ToSchema)]
#[schema(as = Alive)]
pub(crate) struct AliveBody {
    /// `ok`.
    #[schema(value_type = closed::AliveStatus)]
    status: &'static str,
}

/// What the process can do at the moment.
#[derive(Serialize, ToSchema)]
#[schema(as = Ready)]
pub(crate) struct ReadyBody {
    /// Whether the server answers reads.
    ready: bool,
    /// Whether the server accepts writes. On one machine: the disk has enough free space and is not read-only. On a
    /// cluster: enough nodes answer, and the clock of the cluster agrees with the clock of this machine.
    writable: bool,
    /// Why the server does not answer reads or accept writes; null if it does both.
    reason: Option<String>,
    /// What is wrong with the clock; null if nothing is. If the clock has jumped, the server archives nothing until the
    /// clock has run for a day without another jump. Reads and writes continue.
    clock: Option<String>,
    /// The version of this server.
    version: &'static str,
}

/// Check whether the process runs
///
/// Checks nothing else, because a restart would not solve what `/readyz` reports. Anyone may call it, without a token.
#[utoipa::path(
    get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, body = AliveBody, description = "The process runs"))
)]
pub(crate) async fn healthz() -> JsonAnswer<AliveBody> {
    JsonAnswer::ok(AliveBody { status: "ok" })
}

/// Check whether the server can do its work
///
/// If the server can answer reads, returns 200; `writable` says whether it also accepts writes.
/// Checks the store each time, and answers within 2 seconds. The body of a 503 is not a problem
/// document, but the same as that of a 200. Anyone may call it, without a token.
#[utoipa::path(
    get, path = "/readyz", tag = "health", security(()),
    responses(
        (status = 200, body = ReadyBody, description = "The server answers reads"),
        (status = 503, body = ReadyBody, description = "It cannot; `reason` says why"),
    )
)]
pub(crate) async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, JsonAnswer<ReadyBody>) {
    let version = env!("CARGO_PKG_VERSION");
    let all = async {
        tokio::join!(read(&app.engine), app.engine.hot().writable(), app.engine.clock_warning())
    };
    let (read, written, clock) = timeout(READY_MAX, all).await.unwrap_or_else(|_| {
        let silent = format!("the hot store has not answered within {} s", READY_MAX.as_secs());
        (Err(silent.clone()), Err(silent), None)
    });
    let (ready, writable) = (read.is_ok(), read.is_ok() && written.is_ok());
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let reason = read.and(written).err();
    (status, JsonAnswer::ok(ReadyBody { ready, writable, reason, clock, version }))
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
