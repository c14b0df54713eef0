//! Finds where each of several coupons is, and reads those from cold that have no row.

use std::collections::{BTreeMap, HashMap};

use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::time::Day;
use hot::protocol::{FromCold, Promise, from_cold};
use hot::{HotError, Tier, bounded_join};
use router::BucketKey;

use super::{CqlCoupon, CqlPlace};
use crate::CqlStore;
use cql_session::{Result, StatementProfile};

/// Most partitions that a coupon is forwarded through: more than this is a circle.
const HOPS_MAX: usize = 1_000;

/// Partitions of which cold is asked at a time.
const AT_ONCE: usize = 16;

#[derive(Debug)]
pub(crate) enum CouponTrace {
    Here(Box<CqlCoupon>),
    /// There is no row where it would have one.
    Nothing,
    /// It has an archived marker or is in a sealed bucket without a row: if it exists, it is in
    /// cold.
    InCold {
        day: Day,
        bucket: i32,
        code: Code,
        /// The version that is in cold.
        archived_marker: Option<u64>,
        promise: Promise,
    },
}

impl CqlStore {
    /// The row is read first; if there is none, the seal of its bucket, and only then the directory
    /// and cold. A row that is missing brings no static column, so these are two reads, in this
    /// order.
    pub(crate) async fn trace(&self, at: BucketKey, code: &Code) -> Result<CouponTrace> {
        let (mut at, mut promise) = (at, Promise::None);
        for _ in 0..HOPS_MAX {
            let Some(bucket) = self.bucket_at(at, code).await? else {
                return Ok(CouponTrace::Nothing);
            };
            let day = at.expiry_day;
            let in_cold = |archived_marker, promise| {
                let code = code.clone();
                CouponTrace::InCold { day, bucket, code, archived_marker, promise }
            };
            let Some(row) = self.row_of(StatementProfile::Read, day, bucket, code).await? else {
                if !self.is_sealed(day, bucket).await? {
                    return Ok(CouponTrace::Nothing);
                }
                // The directory entry is written before the old row of its coupon is deleted.
                if let Some(later) = self.directory_day(code).await?.filter(|later| *later > day) {
                    (at, promise) = (later.into(), Promise::Entry);
                    continue;
                }
                // An entry that names this partition promises nothing: an import may have won it
                // and never written the row.
                return Ok(in_cold(None, promise));
            };
            if row.is_archived_marker() {
                return Ok(in_cold(Some(row.archived_version()), promise));
            }
            match row.forward_to() {
                Some(later) => {
                    self.finish_move(&row, later).await?;
                    (at, promise) = (later.into(), Promise::Entry);
                }
                None => return Ok(CouponTrace::Here(Box::new(self.located(&row).await?))),
            }
        }
        Err(HotError::Damaged(format!("{code} was forwarded {HOPS_MAX} times")))
    }

    /// In the same order. One call to cold for each partition, after the rows were found missing.
    pub(crate) async fn resolve(&self, traces: Vec<CouponTrace>) -> Result<Vec<Option<CqlCoupon>>> {
        self.resolve_each(traces).await?.into_iter().collect()
    }

    /// The same, where one that cold does not give does not fail the others.
    pub(crate) async fn resolve_each(
        &self,
        traces: Vec<CouponTrace>,
    ) -> Result<Vec<Result<Option<CqlCoupon>>>> {
        let mut wanted: BTreeMap<Day, Vec<Code>> = BTreeMap::new();
        for trace in &traces {
            if let CouponTrace::InCold { day, code, .. } = trace {
                let codes = wanted.entry(*day).or_default();
                if !codes.contains(code) {
                    codes.push(code.clone());
                }
            }
        }
        let days = wanted
            .into_iter()
            .map(|(day, codes)| async move { Ok((day, self.in_archive(day, codes).await)) });
        let days: Vec<(Day, Result<_>)> = bounded_join(AT_ONCE, days).await?;
        let found: HashMap<Day, Result<HashMap<Code, Coupon>>> = days.into_iter().collect();
        let mut all = Vec::with_capacity(traces.len());
        for trace in traces {
            all.push(match trace {
                CouponTrace::Here(located) => Ok(Some(*located)),
                CouponTrace::Nothing => Ok(None),
                CouponTrace::InCold { day, bucket, code, archived_marker, promise } => {
                    let coupon = match found.get(&day) {
                        None => Ok(None),
                        Some(Ok(coupons)) => Ok(coupons.get(&code)),
                        Some(Err(HotError::Cold(why))) => {
                            Err(HotError::Cold(why.to_string().into()))
                        }
                        Some(Err(other)) => Err(HotError::Unavailable(other.to_string().into())),
                    };
                    match coupon.map(|coupon| from_cold(coupon, archived_marker, promise)) {
                        Ok(FromCold::Coupon(it)) => {
                            self.archived(it.clone(), day, bucket).await.map(Some)
                        }
                        Ok(FromCold::Nothing) => Ok(None),
                        Ok(FromCold::Missing) => {
                            let why = format!("{code} is not in the cold tier");
                            Err(HotError::Cold(why.into()))
                        }
                        Err(error) => Err(error),
                    }
                }
            });
        }
        Ok(all)
    }

    async fn in_archive(&self, day: Day, codes: Vec<Code>) -> Result<HashMap<Code, Coupon>> {
        let plan = self.plan(StatementProfile::Read, day).await?;
        // The last one whose coupons this store has evicted: cold must be at least that new.
        let archive_commit = plan.map_or(0, |plan| plan.archive_commit());
        let coupons = self.archive.coupons(day, archive_commit, &codes).await;
        let coupons = codes.into_iter().zip(coupons.map_err(HotError::Cold)?);
        Ok(coupons.filter_map(|(code, coupon)| Some((code, coupon?))).collect())
    }

    async fn archived(&self, coupon: Coupon, day: Day, bucket: i32) -> Result<CqlCoupon> {
        let genesis = coupon.genesis();
        let found = self.batch_of(&genesis.campaign, &genesis.batch).await?;
        let (campaign, batch) =
            found.ok_or_else(|| HotError::Damaged(format!("{} is gone", genesis.campaign)))?;
        let (batch_paused, tier, here) = (batch.paused, Tier::Cold, CqlPlace { campaign, bucket });
        Ok(CqlCoupon { coupon, batch_paused, day, tier, frozen: true, here })
    }
}
