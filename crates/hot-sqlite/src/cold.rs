//! The coupons of cold that one job of the store has fetched, and how it asks for more of them.
//!
//! What is in cold is final. So it does not matter that a coupon was fetched before the transaction
//! that uses it began.

use std::collections::HashMap;

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;
use hot::{Archive, HotError};

/// Rounds of one job. In each round it finds out all that it can, so three are many.
const ROUNDS_MAX: usize = 16;

pub(crate) type ColdKey = (Day, Code);

/// What a job needs from cold: a code, in a partition with this last archive commit.
pub(crate) type ColdRequest = (ColdKey, u64);

#[derive(Default)]
pub(crate) struct Prefetched {
    coupons: HashMap<ColdKey, Option<Coupon>>,
    rounds: usize,
}

impl Prefetched {
    /// What cold has under a code; `None` if the job has not asked for it yet.
    pub(crate) fn coupon(&self, spot: &ColdKey) -> Option<Option<&Coupon>> {
        self.coupons.get(spot).map(Option::as_ref)
    }

    /// The same, together with what `archive` has of `wanted`.
    pub(crate) async fn and(
        &self,
        wanted: Vec<ColdRequest>,
        archive: &dyn Archive,
    ) -> Result<Prefetched, HotError> {
        if self.rounds == ROUNDS_MAX {
            let rounds = format!("a job needs more from cold after {ROUNDS_MAX} rounds");
            return Err(HotError::Damaged(rounds));
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
