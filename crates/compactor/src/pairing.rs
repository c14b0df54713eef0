//! Whether a hot store and a cold tier belong together.

use cold::ColdStore;
use hot::Partitions;

use crate::CompactError;

/// A hot store and a cold tier with different histories.
#[derive(Debug, thiserror::Error)]
pub enum StoreMismatch {
    /// The cold tier of the hot store does not exist.
    #[error(
        "the hot store has archived coupons up to version {committed} of the cold tier, and there \
         is nothing in {location}: name the right folder with --cold, or restore it"
    )]
    ColdGone {
        /// The last version that hot knows of.
        committed: u64,
        /// The location of the cold tier.
        location: String,
    },
    /// The cold tier is an older copy of itself.
    #[error(
        "{location} is at version {found}, and the hot store has archived coupons up to version \
         {committed}: it is an older copy; restore the newer one"
    )]
    ColdOlder {
        /// The location of the cold tier.
        location: String,
        /// Its version.
        found: u64,
        /// The last version that hot knows of.
        committed: u64,
    },
    /// The hot store is an older copy of itself, or has never used this cold tier.
    #[error(
        "{location} is at version {found}, and this hot store knows it up to {}: the hot store is \
         older than the cold tier, so an archived coupon could be redeemed again; run \
         `couponry restore` first", .begun.map_or("none".into(), |begun| format!("version {begun}"))
    )]
    HotOlder {
        /// The location of the cold tier.
        location: String,
        /// Its version.
        found: u64,
        /// The last version that hot knows of.
        begun: Option<u64>,
    },
}

/// Compares the version of the cold tier with the versions that hot has recorded.
///
/// # Errors
/// [`StoreMismatch`], and those of both stores. A cold tier that does not answer is an error, not a
/// mismatch.
pub async fn check_pairing(hot: &dyn Partitions, cold: &ColdStore) -> Result<(), CompactError> {
    match look(hot, cold).await {
        // Another process may have committed between the two look-ups. Versions only rise, so a
        // second comparison decides.
        Err(CompactError::StoreMismatch(
            StoreMismatch::ColdGone { .. } | StoreMismatch::ColdOlder { .. },
        )) => look(hot, cold).await,
        ended => ended,
    }
}

async fn look(hot: &dyn Partitions, cold: &ColdStore) -> Result<(), CompactError> {
    // Cold is read first: a process that commits meanwhile has raised the mark of hot before.
    let found = cold.version().await?;
    let mark = hot.cold_mark().await?;
    let location = cold.location().to_owned();
    Err(CompactError::StoreMismatch(match (found, mark.committed) {
        (None, Some(committed)) => StoreMismatch::ColdGone { committed, location },
        (Some(found), _) if mark.begun.is_none_or(|begun| found > begun) => {
            StoreMismatch::HotOlder { location, found, begun: mark.begun }
        }
        (Some(found), Some(committed)) if found < committed => {
            StoreMismatch::ColdOlder { location, found, committed }
        }
        (None, None) | (Some(_), _) => return Ok(()),
    }))
}
