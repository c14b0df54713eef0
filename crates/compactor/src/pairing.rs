//! Whether a hot store and a cold tier belong together.

use cold::ColdStore;
use hot::Partitions;

use crate::CompactError;

/// A hot store and a cold tier of different histories.
#[derive(Debug, thiserror::Error)]
pub enum StoreMismatch {
    /// The hot store has taken part in a cold tier that is not there.
    #[error(
        "the hot store has moved coupons to cold up to version {committed}, and there is nothing \
         in {location}: name the right folder with --cold, or put it back"
    )]
    ColdGone {
        /// The last version that it saw.
        committed: u64,
        /// Where it looked.
        location: String,
    },
    /// The cold tier is an earlier copy of itself.
    #[error(
        "{location} is at version {found}, the hot store has moved coupons to it up to version \
         {committed}: an older copy was put back; the newer one is needed"
    )]
    ColdOlder {
        /// Where it looked.
        location: String,
        /// What it found.
        found: u64,
        /// What the hot store knows of.
        committed: u64,
    },
    /// The hot store is an earlier copy of itself, or has never taken part in this cold tier.
    #[error(
        "{location} is at version {found}, this hot store has taken part up to {}: it is older than \
         the cold tier, so that an archived redemption could be spent again; run \
         `couponry restore` first", .begun.map_or("none".into(), |begun| format!("version {begun}"))
    )]
    HotOlder {
        /// Where it looked.
        location: String,
        /// What it found.
        found: u64,
        /// What the hot store knows of.
        begun: Option<u64>,
    },
}

/// Compares what the hot store knows of the cold tier with what is there.
///
/// # Errors
/// [`StoreMismatch`], and those of both stores. A cold tier that does not answer is an error of its
/// own.
pub async fn check_pairing(hot: &dyn Partitions, cold: &ColdStore) -> Result<(), CompactError> {
    match look(hot, cold).await {
        // Somebody may have committed between the two looks; versions only rise, so that a second
        // look decides.
        Err(CompactError::StoreMismatch(
            StoreMismatch::ColdGone { .. } | StoreMismatch::ColdOlder { .. },
        )) => look(hot, cold).await,
        ended => ended,
    }
}

async fn look(hot: &dyn Partitions, cold: &ColdStore) -> Result<(), CompactError> {
    // Cold first: whoever commits in between has raised the mark of hot before.
    let found = cold.version().await?;
    let mark = hot.cold_mark().await?;
    let location = || cold.location().to_owned();
    match found {
        None => match mark.committed {
            Some(committed) => {
                Err(StoreMismatch::ColdGone { committed, location: location() }.into())
            }
            None => Ok(()),
        },
        Some(found) if mark.begun.is_none_or(|begun| found > begun) => {
            Err(StoreMismatch::HotOlder { location: location(), found, begun: mark.begun }.into())
        }
        Some(found) => match mark.committed.filter(|committed| found < *committed) {
            Some(committed) => {
                Err(StoreMismatch::ColdOlder { location: location(), found, committed }.into())
            }
            None => Ok(()),
        },
    }
}
