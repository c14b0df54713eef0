//! The plan of a partition, and which of its buckets a code is in.

use std::collections::BTreeMap;

use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::time::{Day, Millis};
use router::{BucketKey, bucket};
use scylla::DeserializeRow;
use scylla::value::{CqlDate, CqlTimestamp};

use super::CqlStore;
use super::values::{date, day, instant, millis};
use crate::spread::PARTITION_ROWS;
use cql_session::{Result, StatementProfile};
use hot::protocol::seal_after;

/// Most bits of a partition, whatever somebody says that they will bring to it: each bucket is sealed by
/// a conditional write, also if nobody draws its coupons. At three billion coupons, 46,000 in a bucket.
const BUCKET_BITS_MAX: u8 = 16;

#[derive(Clone, Debug, DeserializeRow)]
pub(super) struct PlanRow {
    pub(super) expiry_day: CqlDate,
    pub(super) bucket_bits: Option<i32>,
    seal_after: Option<CqlTimestamp>,
    closing: Option<bool>,
    sealed: Option<bool>,
    archive_commit: Option<i64>,
    emptied: Option<bool>,
    archived_at: Option<CqlTimestamp>,
    entered: Option<Vec<CqlDate>>,
}

impl PlanRow {
    pub(super) fn day(&self) -> Day {
        day(self.expiry_day)
    }

    /// Every plan has them: they are written with the row.
    pub(super) fn bits(&self) -> u8 {
        u8::try_from(self.bucket_bits.unwrap_or(0)).unwrap_or(0)
    }

    pub(super) fn seal_after(&self) -> Millis {
        self.seal_after.map_or(Millis(i64::MAX), millis)
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing == Some(true)
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.sealed == Some(true)
    }

    pub(super) fn is_emptied(&self) -> bool {
        self.emptied == Some(true)
    }

    /// When its last coupon was in cold, once somebody has found that.
    pub(super) fn archived_at(&self) -> Option<Millis> {
        self.archived_at.map(millis)
    }

    pub(super) fn archive_commit(&self) -> u64 {
        self.archive_commit.unwrap_or(0).unsigned_abs()
    }

    /// Partitions from which coupons were forwarded to this one.
    pub(super) fn entered(&self) -> impl Iterator<Item = Day> + '_ {
        self.entered.iter().flatten().copied().map(day)
    }
}

/// After which instant each partition that is not closing may be sealed. Takes the plans by day.
///
/// A partition is sealed after those from which coupons were forwarded to it, and other campaigns
/// may keep those open for longer than its own time. A compactor that did not know that would try
/// to seal it in each run, and would archive none of its closed coupons meanwhile.
pub(super) fn seal_times(plans: &[PlanRow]) -> BTreeMap<Day, Millis> {
    let mut open: BTreeMap<Day, Millis> = BTreeMap::new();
    for plan in plans.iter().filter(|plan| !plan.is_closing()) {
        // Those are earlier days, so they are known by now.
        let waits_for = plan.entered().filter_map(|from| open.get(&from).copied());
        let after = waits_for.fold(plan.seal_after(), Ord::max);
        open.insert(plan.day(), after);
    }
    open
}

macro_rules! plan_columns {
    () => {
        "SELECT expiry_day, bucket_bits, seal_after, closing, sealed, archive_commit, emptied, \
         archived_at, entered FROM partition_plan"
    };
}

impl CqlStore {
    pub(super) async fn plan(&self, profile: StatementProfile, of: Day) -> Result<Option<PlanRow>> {
        let cql = concat!(plan_columns!(), " WHERE expiry_day = ?");
        let row: Option<PlanRow> = self.session.row_with(profile, cql, (date(of),)).await?;
        // A row with nothing but its key is no plan: the write of the plan was not applied.
        Ok(row.filter(|plan| plan.bucket_bits.is_some()))
    }

    pub(super) async fn plans(&self) -> Result<Vec<PlanRow>> {
        let rows: Vec<PlanRow> = self.session.scan(plan_columns!(), ()).await?;
        let mut plans: Vec<_> = rows.into_iter().filter(|it| it.bucket_bits.is_some()).collect();
        plans.sort_by_key(PlanRow::day);
        Ok(plans)
    }

    /// `false` also without a plan.
    pub(super) async fn plan_is(&self, of: Day, is: fn(&PlanRow) -> bool) -> Result<bool> {
        Ok(self.plan(StatementProfile::Read, of).await?.as_ref().is_some_and(is))
    }

    /// How many bits name a bucket of the partition; it never changes, so it is remembered.
    pub(super) async fn bits(&self, of: Day) -> Result<Option<u8>> {
        if let Some(bits) = self.bits.read().get(&of).copied() {
            return Ok(Some(bits));
        }
        let Some(plan) = self.plan(StatementProfile::Read, of).await? else { return Ok(None) };
        self.bits.write().insert(of, plan.bits());
        Ok(Some(plan.bits()))
    }

    /// The bits of a new plan for so many coupons.
    pub(super) fn bits_for(&self, coupons: u64) -> u8 {
        let buckets = coupons.div_ceil(PARTITION_ROWS).next_power_of_two().ilog2();
        let bits = u8::try_from(buckets).unwrap_or(BUCKET_BITS_MAX).min(BUCKET_BITS_MAX);
        bits.max(self.options.bucket_bits)
    }

    /// The bucket of a code; `None` if the partition has no plan, and so no rows.
    pub(super) async fn bucket(&self, of: Day, code: &Code) -> Result<Option<i32>> {
        Ok(self.bits(of).await?.map(|bits| bucket(code, bits).cast_signed()))
    }

    /// The same, as the router has computed it, if it has.
    pub(super) async fn bucket_at(&self, at: BucketKey, code: &Code) -> Result<Option<i32>> {
        match at.bucket {
            Some(bucket) => Ok(Some(bucket.cast_signed())),
            None => self.bucket(at.expiry_day, code).await,
        }
    }

    /// Called before a campaign's first coupon comes to the partition `of`, with about how many come.
    /// Afterwards the plan exists, the partition stays open as long as the campaign needs it, and the
    /// plan names the partition `from`, if a coupon is forwarded from there. If none come yet and there
    /// is no plan, none is made: those who bring coupons know how many buckets they need. `false`: it is
    /// closing, and takes no more coupons.
    pub(super) async fn enter(
        &self,
        of: Day,
        campaign: &Campaign,
        from: Option<Day>,
        coupons: u64,
    ) -> Result<bool> {
        let wanted = seal_after(of, campaign);
        let mut attempts = self.attempts("the plan of a partition");
        let entered: Vec<CqlDate> = from.into_iter().map(date).collect();
        loop {
            let _lock = attempts.looked(self.write_locks.lock(("day", of)).await)?;
            let Some(plan) = attempts.looked(self.plan(StatementProfile::Read, of).await)? else {
                if coupons == 0 {
                    return Ok(true);
                }
                let bits = i32::from(self.bits_for(coupons));
                // The first writer decides the bits: two numbers would give a coupon two rows.
                let cql = "UPDATE partition_plan SET bucket_bits = ?, seal_after = ?, entered = ? \
                           WHERE expiry_day = ? IF bucket_bits = null";
                let values = (bits, instant(wanted), &entered, date(of));
                attempts.wrote(self.session.change(attempts.profile(), cql, values).await).await?;
                continue;
            };
            if plan.is_closing() {
                return Ok(false);
            }
            let present = plan.seal_after();
            if present >= wanted && from.is_none_or(|from| plan.entered().any(|it| it == from)) {
                return Ok(true);
            }
            // The condition names what was read, so that nobody lowers what another has raised.
            let cql = "UPDATE partition_plan SET seal_after = ?, entered = entered + ? \
                       WHERE expiry_day = ? IF seal_after = ? AND closing = null";
            let values = (instant(present.max(wanted)), &entered, date(of), instant(present));
            attempts.wrote(self.session.change(attempts.profile(), cql, values).await).await?;
        }
    }

    /// Whether a bucket is sealed: nothing in it changes any more.
    pub(super) async fn is_sealed(&self, of: Day, bucket: i32) -> Result<bool> {
        let cql = "SELECT sealed FROM coupon WHERE expiry_day = ? AND bucket = ? LIMIT 1";
        let sealed: Option<bool> = self.session.value(cql, (date(of), bucket)).await?;
        Ok(sealed == Some(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(of: i32, seal_after: i64, closing: bool, entered: &[i32]) -> PlanRow {
        PlanRow {
            expiry_day: date(Day(of)),
            bucket_bits: Some(0),
            seal_after: Some(instant(Millis(seal_after))),
            closing: Some(closing),
            sealed: None,
            archive_commit: None,
            emptied: None,
            archived_at: None,
            entered: Some(entered.iter().map(|from| date(Day(*from))).collect()),
        }
    }

    #[test]
    fn a_partition_waits_for_those_that_were_entered() {
        let plans = [
            plan(10, 900, true, &[]),
            plan(11, 500, false, &[]),
            plan(12, 200, false, &[10]),
            plan(13, 300, false, &[10, 11]),
            plan(14, 400, false, &[13]),
            plan(15, 600, false, &[13]),
        ];
        let want = [(11, 500), (12, 200), (13, 500), (14, 500), (15, 600)];
        let want = want.map(|(of, after)| (Day(of), Millis(after)));
        assert_eq!(seal_times(&plans), BTreeMap::from(want));
    }
}
