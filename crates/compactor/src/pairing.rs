//! Whether a hot store and a cold tier belong together.

use cold::ColdStore;
use hot::Partitions;

use crate::Result;

/// A hot store and a cold tier with different histories.
#[derive(Debug, thiserror::Error)]
pub enum StoreMismatch {
    #[error(
        "the hot store has archived coupons up to version {committed} of the cold tier, and there \
         is nothing in {location}: name the right folder with --cold, or restore it"
    )]
    ColdGone { committed: u64, location: String },
    #[error(
        "{location} is at version {found}, and the hot store has archived coupons up to version \
         {committed}: it is an older copy; restore the newer one"
    )]
    ColdOlder { location: String, found: u64, committed: u64 },
    /// The hot store is an older copy of itself, or has never used this cold tier.
    #[error("{location} is at version {found}, and this hot store {}", hot_older(*begun))]
    HotOlder {
        location: String,
        found: u64,
        /// `None` if it has never used the cold tier.
        begun: Option<u64>,
    },
}

fn hot_older(begun: Option<u64>) -> String {
    let Some(begun) = begun else {
        return "has never used it: if it belongs to another store, name the right one with --cold; \
                otherwise an archived coupon could be redeemed again: run `couponry restore` first"
            .to_owned();
    };
    format!(
        "knows it up to version {begun}: the hot store is older than the cold tier, so an archived \
         coupon could be redeemed again; run `couponry restore` first"
    )
}

/// Compares the version of the cold tier with the versions that hot has recorded.
///
/// # Errors
/// [`StoreMismatch`], and those of both stores. A cold tier that does not answer is an error, not a
/// mismatch.
pub async fn check_pairing(hot: &dyn Partitions, cold: &ColdStore) -> Result<()> {
    // Other processes commit meanwhile, and versions only rise. So cold has at least the version
    // that hot called committed before, and at most the one that hot calls begun afterwards.
    let committed = hot.cold_mark().await?.committed;
    let found = cold.version().await?;
    let begun = hot.cold_mark().await?.begun;
    compare(committed, found, begun, cold.location())?;
    Ok(())
}

fn compare(
    committed: Option<u64>,
    found: Option<u64>,
    begun: Option<u64>,
    location: &str,
) -> Result<(), StoreMismatch> {
    let location = location.to_owned();
    match (found, committed) {
        (None, Some(committed)) => Err(StoreMismatch::ColdGone { committed, location }),
        (Some(found), _) if begun.is_none_or(|begun| found > begun) => {
            Err(StoreMismatch::HotOlder { location, found, begun })
        }
        (Some(found), Some(committed)) if found < committed => {
            Err(StoreMismatch::ColdOlder { location, found, committed })
        }
        (None, None) | (Some(_), _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Versions = (Option<u64>, Option<u64>, Option<u64>);

    #[test]
    fn each_kind_of_mismatch() {
        // What hot called committed, the version of cold, what hot called begun afterwards.
        let cases: [(&str, Versions, Option<&str>); 9] = [
            ("both are new", (None, None, None), None),
            ("the first commit is under way", (None, None, Some(0)), None),
            ("the first commit ended meanwhile", (None, Some(0), Some(0)), None),
            ("nothing is under way", (Some(4), Some(4), Some(4)), None),
            ("three commits ended meanwhile", (Some(4), Some(6), Some(7)), None),
            ("cold is gone", (Some(4), None, Some(4)), Some("nothing in")),
            ("cold is older", (Some(4), Some(3), Some(4)), Some("an older copy")),
            ("hot is older", (Some(4), Some(6), Some(5)), Some("older than the cold tier")),
            ("hot never used it", (None, Some(6), None), Some("belongs to another store")),
        ];
        for (name, (committed, found, begun), want) in cases {
            let said =
                compare(committed, found, begun, "the bucket").err().map(|it| it.to_string());
            match (want, &said) {
                (None, None) => {}
                (Some(want), Some(said)) => assert!(said.contains(want), "{name}: {said}"),
                _ => panic!("{name}: {said:?}"),
            }
        }
    }
}
