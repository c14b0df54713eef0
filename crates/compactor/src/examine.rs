//! Whether the two stores say the same, for `doctor`.

use cold::ColdStore;
use hot::{Finding, Shelves};

use crate::{CompactError, standing};

/// Stubs looked up at a time.
const STUBS: usize = 16_384;

/// Codes named one by one; past it only their number is told.
const NAMED_MAX: usize = 20;

/// Looks for stubs whose coupon is not in cold, and for stores that do not belong together. Reads
/// the row groups of all archived coupons whose shelf is still open.
///
/// # Errors
/// Those of both stores; a misfit is a finding.
pub async fn examine(hot: &dyn Shelves, cold: &ColdStore) -> Result<Vec<Finding>, CompactError> {
    match standing(hot, cold).await {
        Err(CompactError::Misfit(misfit)) => return Ok(vec![Finding::Fault(misfit.to_string())]),
        ended => ended?,
    }
    if hot.cold_mark().await?.begun.is_none() {
        return Ok(vec![Finding::Sound("nothing was moved to the cold tier yet".into())]);
    }
    let (mut count, mut missing) = (0, Vec::new());
    for shelf in hot.shelves().await? {
        let mut after = None;
        loop {
            let stubs = hot.stubs(shelf.day, after.take(), STUBS).await?;
            let Some((last, _)) = stubs.last() else { break };
            after = Some(last.clone());
            count += stubs.len();
            let codes: Vec<_> = stubs.iter().map(|(code, _)| code.clone()).collect();
            let found = cold.find(shelf.day, &codes).await?;
            let gone = stubs.iter().zip(found).filter(|((_, version), found)| {
                found.as_ref().is_none_or(|coupon| coupon.version() < *version)
            });
            missing.extend(gone.map(|((code, _), _)| code.to_string()));
        }
    }
    let sound = format!("{count} stubs: the coupon of each is in the cold tier");
    Ok(vec![match missing.len() {
        0 => Finding::Sound(sound),
        all => {
            let named = missing.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
            Finding::Fault(format!("not so that {sound}: {all} are missing, such as {named}"))
        }
    }])
}
