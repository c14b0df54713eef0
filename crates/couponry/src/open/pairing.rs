//! Whether the hot store and the cold tier belong together. A hot store that is older than the cold
//! tier is refused: a redemption that is archived could be made again.

use std::sync::Arc;
use std::time::Duration;

use cold::ColdStore;
use compactor::{CompactError, StoreMismatch, check_pairing};
use engine::Engine;
use hot::HotStore;

use crate::cql::NotOpen;
use crate::failure::CliError;

/// How long the start waits for the cold tier: hot coupons do not need it.
const PAIRING_WAIT: Duration = Duration::from_secs(8);

/// How often `serve` tries again to read a cold tier that did not answer at the start.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Refuses a hot store that is older than the cold tier. Only warns about a cold tier that does not
/// answer or is the older one.
pub(super) async fn must_fit(store: &dyn HotStore, cold: &ColdStore) -> Result<(), NotOpen> {
    let Ok(paired) = tokio::time::timeout(PAIRING_WAIT, check_pairing(store, cold)).await else {
        tracing::warn!(
            location = cold.location(),
            "the cold tier does not answer: archived coupons cannot be looked up"
        );
        return Ok(());
    };
    match paired {
        Ok(()) => Ok(()),
        Err(CompactError::StoreMismatch(mismatch @ StoreMismatch::HotOlder { .. })) => {
            Err(CliError::of(mismatch).into())
        }
        Err(CompactError::Hot(error)) => Err(error.into()),
        Err(error) => {
            tracing::warn!(
                %error,
                "the cold tier cannot be used: archived coupons cannot be looked up"
            );
            Ok(())
        }
    }
}

/// Ends when the cold tier, which did not answer at the start, turns out to be newer than the hot
/// store.
pub(crate) async fn found_older(engine: Arc<Engine>) -> CliError {
    loop {
        match check_pairing(engine.hot(), engine.cold()).await {
            Ok(()) => std::future::pending().await,
            Err(CompactError::StoreMismatch(mismatch @ StoreMismatch::HotOlder { .. })) => {
                return CliError::of(mismatch);
            }
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}
