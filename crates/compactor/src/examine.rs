//! Comparison of the two stores for `doctor`.

use cold::ColdStore;
use hot::{HealthFinding, Partitions};

use crate::{CompactError, check_pairing};

/// Archived markers looked up at a time.
const ARCHIVED_MARKERS: usize = 16_384;

/// Codes named in the finding. Further ones are only counted.
const NAMED_MAX: usize = 20;

/// Finds archived markers whose coupon is not in cold, and stores that do not belong together.
/// Reads the row groups of all archived coupons whose partition is still open.
///
/// # Errors
/// Those of both stores. A mismatch is a finding.
pub async fn examine(
    hot: &dyn Partitions,
    cold: &ColdStore,
) -> Result<Vec<HealthFinding>, CompactError> {
    match check_pairing(hot, cold).await {
        Err(CompactError::StoreMismatch(mismatch)) => {
            return Ok(vec![HealthFinding::Fault(mismatch.to_string())]);
        }
        ended => ended?,
    }
    if hot.cold_mark().await?.begun.is_none() {
        return Ok(vec![HealthFinding::Sound("nothing was archived yet".into())]);
    }
    let (mut count, mut missing) = (0, Vec::new());
    for partition in hot.partitions().await? {
        let mut after = None;
        loop {
            let archived_markers =
                hot.archived_markers(partition.day, after.take(), ARCHIVED_MARKERS).await?;
            let Some((last, _)) = archived_markers.last() else { break };
            after = Some(last.clone());
            count += archived_markers.len();
            let codes: Vec<_> = archived_markers.iter().map(|(code, _)| code.clone()).collect();
            let found = cold.find(partition.day, &codes).await?;
            let gone = archived_markers.iter().zip(found).filter(|((_, version), found)| {
                found.as_ref().is_none_or(|coupon| coupon.version() < *version)
            });
            missing.extend(gone.map(|((code, _), _)| code.to_string()));
        }
    }
    let sound = format!("{count} archived markers: the coupon of each is in the cold tier");
    Ok(vec![match missing.len() {
        0 => HealthFinding::Sound(sound),
        all => {
            let named = missing.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
            HealthFinding::Fault(format!(
                "{all} of {count} archived coupons are not in the cold tier, such as {named}"
            ))
        }
    }])
}
