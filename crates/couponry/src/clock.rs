//! Compares this machine's clock with the highest time that the store has seen. A clock that jumped
//! seals nothing until the new time has held for a day.

use std::sync::Arc;
use std::time::Duration;

use api::{StoreMetrics, figures as names};
use cold::{ColdStore, ProbeResult};
use compactor::ClosedPolicy;
use engine::Engine;
use hot::clock::{clock_record, observe_clock};
use hot::{ClockRecord, HotError, Witness};

use crate::failure::Result;

/// How often `serve` compares: while it runs, the record is never older than this.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What a comparison of the clock with the record would find. Writes nothing.
pub(crate) async fn would_observe(engine: &Engine) -> Result<ClockRecord, HotError> {
    let seen = clock_record(engine.hot()).await?;
    Ok(ClockRecord::after(seen, engine.now(), Witness::Alone))
}

/// The part of `wanted` that this clock allows, and a warning if that is not all of it. `witness` says
/// whether the operator has confirmed the clock; if not, that of a bucket may.
pub(crate) async fn allowed(
    engine: &Engine,
    cold: &ColdStore,
    wanted: ClosedPolicy,
    witness: Witness,
) -> Result<(ClosedPolicy, Option<String>)> {
    let record = match observe_clock(engine.hot(), || engine.now(), witness).await {
        Ok(record) => record,
        // A store that takes no writes can still be compared with. If the compaction fails on it
        // too, the compaction says why.
        Err(_) => would_observe(engine).await?,
    };
    if record.jumped_at.is_none() {
        return Ok((wanted, None));
    }
    if matches!(cold.probe().await, Ok(ProbeResult::Raced { .. })) {
        observe_clock(engine.hot(), || engine.now(), Witness::Confirmed).await?;
        return Ok((wanted, None));
    }
    Ok((ClosedPolicy::OnlyFinish, record.warning()))
}

/// Compares the clock every minute and logs each jump once, until it is dropped.
pub(crate) async fn watch(engine: Arc<Engine>, figures: Arc<StoreMetrics>) {
    let mut logged = None;
    loop {
        match observe_clock(engine.hot(), || engine.now(), Witness::Alone).await {
            Ok(record) => {
                figures.show(names::CLOCK_JUMPED, f64::from(u8::from(record.jumped_at.is_some())));
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
