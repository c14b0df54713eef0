//! Compares this machine's clock with the highest time that the store has seen. A clock that jumped
//! seals nothing until the new time has held for a day.

use std::sync::Arc;
use std::time::Duration;

use api::StoreMetrics;
use cold::{ColdStore, ProbeResult};
use compactor::ClosedPolicy;
use engine::Engine;
use hot::clock::{clock_record, observe_clock};
use hot::{ClockRecord, HotError, Witness};

use crate::failure::CliError;

/// How often `serve` compares: while it runs, the record is never older than this.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Whether a compaction trusts the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Only if it agrees with the record of the store, or with the clock of a bucket.
    Compared,
    /// Yes: the operator says that it is right.
    GivenByOperator,
}

/// Compares the clock with the record, and writes the result to the record.
pub(crate) async fn observed(engine: &Engine) -> Result<ClockRecord, HotError> {
    observe_clock(engine.hot(), engine.now(), Witness::Alone).await
}

/// What [`observed`] would find. Writes nothing.
pub(crate) async fn would_observe(engine: &Engine) -> Result<ClockRecord, HotError> {
    let seen = clock_record(engine.hot()).await?;
    Ok(ClockRecord::after(seen, engine.now(), Witness::Alone))
}

/// The part of `wanted` that this clock allows, and a warning if that is not all of it.
pub(crate) async fn allowed(
    engine: &Engine,
    cold: &ColdStore,
    wanted: ClosedPolicy,
    trust: Trust,
) -> Result<(ClosedPolicy, Option<String>), CliError> {
    let record = match trust {
        Trust::Compared => match observed(engine).await {
            Ok(record) => record,
            // A store that takes no writes can still be compared with. If the compaction fails on
            // it too, the compaction says why.
            Err(_) => would_observe(engine).await?,
        },
        Trust::GivenByOperator => {
            observe_clock(engine.hot(), engine.now(), Witness::Confirmed).await?
        }
    };
    if record.jumped_at.is_none() {
        return Ok((wanted, None));
    }
    if matches!(cold.probe().await, Ok(ProbeResult::Raced { .. })) {
        observe_clock(engine.hot(), engine.now(), Witness::Confirmed).await?;
        return Ok((wanted, None));
    }
    Ok((ClosedPolicy::OnlyFinish, record.warning()))
}

/// Compares the clock every minute and logs each jump once, until it is dropped.
pub(crate) async fn watch(engine: Arc<Engine>, figures: Arc<StoreMetrics>) {
    let mut logged = None;
    loop {
        match observed(&engine).await {
            Ok(record) => {
                figures.show_clock(record.jumped_at.is_some());
                if record.jumped_at != logged {
                    logged = record.jumped_at;
                    match record.warning() {
                        Some(warning) => tracing::error!("{warning}"),
                        None => tracing::info!("the clock is trusted again"),
                    }
                }
            }
            Err(error) => tracing::debug!(%error, "cannot compare the clock"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
