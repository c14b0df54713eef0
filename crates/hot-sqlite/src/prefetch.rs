//! What a transaction has to know of cold.
//!
//! A transaction cannot wait for another store. A job that meets a coupon which lies in cold ends
//! before it has written anything and says which ones it needs; it is run again when they have
//! been fetched. What lies in cold is final, so it does not matter that it was read before the
//! transaction that uses it began.

use std::collections::HashMap;

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;

use super::failure::{Elsewhere, elsewhere};
use super::txn::Txn;
use hot::{Archive, HotError};

/// Rounds of one job: it learns all it can in each, so that three are many.
const ROUNDS_MAX: usize = 16;

/// A code in a partition.
pub(super) type Spot = (Day, Code);

/// What a job needs: a code, in a partition that has had so many archive commits.
pub(super) type Wanted = (Spot, u64);

/// What a job was told of cold.
#[derive(Default)]
pub(super) struct Prefetched {
    coupons: HashMap<Spot, Option<Coupon>>,
    rounds: usize,
}

/// How a job that may need something of cold has ended.
pub(super) enum Asked<T> {
    /// With a result.
    Is(T),
    /// Without one, and without having written: it needs these.
    Needs(Vec<Wanted>),
}

/// Runs `body` with what it was told. It must not have written anything when it asks.
pub(super) fn asking<T>(
    txn: &Txn<'_>,
    prefetched: &Prefetched,
    body: impl FnOnce(&Txn<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Asked<T>> {
    let txn = txn.knowing(prefetched);
    match body(&txn) {
        Err(error) if elsewhere(&error) == Some(&Elsewhere::Wanted) => {
            Ok(Asked::Needs(txn.wanted()))
        }
        ended => ended.map(Asked::Is),
    }
}

/// All of `results`, or the first error; what lies in cold is asked for all at once.
pub(super) fn all<T>(
    results: impl Iterator<Item = rusqlite::Result<T>>,
) -> rusqlite::Result<Vec<T>> {
    let (mut all, mut wanted) = (Vec::new(), None);
    for result in results {
        match result {
            Ok(one) => all.push(one),
            Err(error) if elsewhere(&error) == Some(&Elsewhere::Wanted) => wanted = Some(error),
            Err(error) => return Err(error),
        }
    }
    wanted.map_or(Ok(all), Err)
}

impl Prefetched {
    /// What was found under a code; `None` where nobody has looked yet.
    pub(super) fn coupon(&self, spot: &Spot) -> Option<Option<&Coupon>> {
        self.coupons.get(spot).map(Option::as_ref)
    }

    /// The same, and what `archive` says of `wanted`.
    pub(super) async fn and(
        &self,
        wanted: Vec<Wanted>,
        archive: &dyn Archive,
    ) -> Result<Prefetched, HotError> {
        if self.rounds == ROUNDS_MAX {
            return Err(HotError::Damaged("a job asks cold for ever".into()));
        }
        let mut by_day: HashMap<(Day, u64), Vec<Code>> = HashMap::new();
        for ((day, code), archive_commit) in wanted {
            by_day.entry((day, archive_commit)).or_default().push(code);
        }
        let mut coupons = self.coupons.clone();
        for ((day, archive_commit), codes) in by_day {
            let found =
                archive.coupons(day, archive_commit, &codes).await.map_err(HotError::Cold)?;
            coupons.extend(codes.into_iter().map(|code| (day, code)).zip(found));
        }
        Ok(Prefetched { coupons, rounds: self.rounds + 1 })
    }
}
