//! This machine's clock beside the highest time that the store has seen: one that has jumped seals
//! nothing until it has stood for a day.

use std::sync::Arc;
use std::time::Duration;

use cold::{ColdStore, ProbeResult};
use compactor::Closed;
use engine::Engine;
use hot::facts::{clock_record, observe_clock};
use hot::{ClockRecord, HotError, Witness};

use crate::failure::CliError;
use crate::settings::{Hot, Settings};

/// Time between two looks of `serve`: the record is never older than this while it runs.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What a compaction goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The clock is compared with the store's record, and with a bucket's or a cluster's clock.
    Compared,
    /// The operator says that it is right.
    GivenByOperator,
}

/// A process writes to a cluster only while its clock agrees with the cluster's.
fn witness(settings: &Settings) -> Witness {
    match settings.hot.value {
        Hot::Sqlite => Witness::Alone,
        Hot::Cluster(_) => Witness::Confirmed,
    }
}

/// Looks at the clock and has the store remember it.
pub(crate) async fn observed(
    settings: &Settings,
    engine: &Engine,
) -> Result<ClockRecord, HotError> {
    observe_clock(engine.hot(), engine.now(), witness(settings)).await
}

/// What a look would find; nothing is written.
pub(crate) async fn would_observe(
    settings: &Settings,
    engine: &Engine,
) -> Result<ClockRecord, HotError> {
    let seen = clock_record(engine.hot()).await?;
    Ok(ClockRecord::after(seen, engine.now(), witness(settings)))
}

/// The part of `wanted` that may be done by this clock, and why it is not all of it.
///
/// # Errors
/// Those of the store.
pub(crate) async fn allowed(
    settings: &Settings,
    engine: &Engine,
    cold: &ColdStore,
    wanted: Closed,
    trust: Trust,
) -> Result<(Closed, Option<String>), CliError> {
    let record = match trust {
        Trust::Compared => match observed(settings, engine).await {
            Ok(record) => record,
            // A store that takes no write still says what its clock was. What comes of the
            // compaction on it is the compaction's to say.
            Err(_) => would_observe(settings, engine).await?,
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
    Ok((Closed::OnlyFinish, record.warning()))
}

/// Looks at the clock as long as the service runs, and tells of each jump once, until it is dropped.
pub(crate) async fn watch(settings: Settings, engine: Arc<Engine>) {
    let mut told = None;
    loop {
        match observed(&settings, &engine).await {
            Ok(record) => {
                api::show_clock(record.jumped_at.is_some());
                if record.jumped_at != told {
                    told = record.jumped_at;
                    match record.warning() {
                        Some(warning) => tracing::error!("{warning}"),
                        None => tracing::info!("the clock is trusted again"),
                    }
                }
            }
            Err(error) => tracing::debug!(error = %error, "the clock could not be compared"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
