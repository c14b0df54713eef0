//! Finding one coupon: its row, wherever it was forwarded to, or its copy in cold. Forwarding is finished first.

mod trace;
mod writing;

use std::sync::Arc;

use coupon::campaign::Campaign;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::history_validity::invalid_history;
use coupon::ids::OperationId;
use coupon::time::Day;
use hot::{HotError, Tier, protocol};
use router::{Address, BucketKey, Owner};
use scylla::value::{CqlDate, MaybeUnset};

use crate::CqlStore;
use crate::campaigns::CampaignHere;
use crate::coupon_row::{CouponRow, coupon_rows, disagreement};
use crate::partitions::PlanRow;
use crate::values::date;
pub(crate) use cql_session::coupon_columns::{
    ChangedColumns, CouponKeyColumns, GenesisColumns, PLAIN_ROW, PlainRow,
};
use cql_session::{Cas, Result, StatementProfile};
pub(crate) use trace::CouponTrace;
pub(crate) use writing::begun;

/// Buckets that one statement reads. ScyllaDB takes 100 at most.
pub(crate) const BUCKETS_OF_A_READ: usize = 64;

#[derive(Clone, Debug)]
pub(crate) struct CqlPlace {
    pub(crate) campaign: CampaignHere,
    pub(crate) bucket: i32,
}

impl CampaignHere {
    /// A coupon of it in hot, in no sealed bucket.
    pub(crate) fn placed(self, coupon: Coupon, paused: bool, day: Day, bucket: i32) -> CqlCoupon {
        let (tier, here) = (Tier::Hot, CqlPlace { campaign: self, bucket });
        CqlCoupon { coupon, batch_paused: paused, day, tier, frozen: false, here }
    }
}

impl protocol::Here for CqlPlace {
    fn terms(&self) -> &Arc<Campaign> {
        &self.campaign.terms
    }
}

pub(crate) type CqlCoupon = protocol::Located<CqlPlace>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Done,
    /// What it was for has changed: read again and decide again.
    Conflict,
}

impl CqlStore {
    /// The row of a coupon, if it has one and its partition has not been emptied.
    pub(crate) async fn row_of(
        &self,
        profile: StatementProfile,
        day: Day,
        bucket: i32,
        code: &Code,
    ) -> Result<Option<CouponRow>> {
        let cql = coupon_rows!("WHERE expiry_day = ? AND bucket = ? AND code = ?");
        let values = (date(day), bucket, code.as_str());
        match self.session.row_with::<CouponRow>(profile, cql, values).await? {
            // It was deleted, and a node that was not repaired in time has brought it back.
            Some(row) if row.is_sealed() && self.plan_is(day, PlanRow::is_emptied).await? => {
                Ok(None)
            }
            row => Ok(row),
        }
    }

    /// At most `limit` rows of each bucket. The buckets ascend, at most [`BUCKETS_OF_A_READ`] of
    /// them: most of a small partition are empty, so one statement for many saves most of the time.
    pub(crate) async fn rows_of_buckets(
        &self,
        day: Day,
        buckets: &[i32],
        after: &str,
        limit: i32,
    ) -> Result<Vec<Vec<CouponRow>>> {
        if let [bucket] = buckets {
            // The driver sends this statement to a replica of the bucket.
            let cql = coupon_rows!("WHERE expiry_day = ? AND bucket = ? AND code > ? LIMIT ?");
            let values = (date(day), *bucket, after, limit);
            return Ok(vec![self.session.rows(StatementProfile::Bulk, cql, values).await?]);
        }
        let cql =
            coupon_rows!("WHERE expiry_day = ? AND bucket IN ? AND code > ? PER PARTITION LIMIT ?");
        let values = (date(day), buckets, after, limit);
        let rows: Vec<CouponRow> = self.session.rows(StatementProfile::Bulk, cql, values).await?;
        let mut of_each: Vec<Vec<CouponRow>> = buckets.iter().map(|_| Vec::new()).collect();
        for row in rows {
            if let Ok(at) = buckets.binary_search(&row.bucket) {
                of_each[at].push(row);
            }
        }
        Ok(of_each)
    }

    /// The coupon at `address`, also if it was forwarded or archived.
    pub(crate) async fn locate(&self, address: &Address) -> Result<Option<CqlCoupon>> {
        let (code, at) = (&address.code, address.bucket_key);
        match self.stored(at, code).await? {
            None if address.minted => self.untouched_at(code, &address.owner, at).await,
            found => Ok(found),
        }
    }

    /// A minted coupon that has no row, in a partition where it would have one.
    pub(crate) async fn untouched_at(
        &self,
        code: &Code,
        owner: &Owner,
        at: BucketKey,
    ) -> Result<Option<CqlCoupon>> {
        let found = self.batch_of(&owner.campaign, &owner.batch).await?;
        let Some((campaign, batch)) = found else { return Ok(None) };
        let Some(bucket) = self.bucket_at(at, code).await? else { return Ok(None) };
        let day = at.expiry_day;
        let frozen = self.is_sealed(day, bucket).await?;
        let coupon = campaign.untouched(code.clone(), &batch);
        Ok(Some(CqlCoupon { frozen, ..campaign.placed(coupon, batch.paused, day, bucket) }))
    }

    /// The coupon of the partition `at`, or of a later one that an extension forwarded it to.
    pub(crate) async fn stored(&self, at: BucketKey, code: &Code) -> Result<Option<CqlCoupon>> {
        let trace = self.trace(at, code).await?;
        Ok(self.resolve(vec![trace]).await?.pop().flatten())
    }

    /// The coupon of a row, if the row can be right: its columns say what its events say, and each
    /// event may follow those before it. No answer is made from any other row.
    pub(crate) async fn located(&self, row: &CouponRow) -> Result<CqlCoupon> {
        let located = self.as_stored(row).await?;
        let coupon = &located.coupon;
        match disagreement(row, coupon).or_else(|| invalid_history(coupon)) {
            None => Ok(located),
            Some(why) => Err(HotError::Damaged(format!("{}: {why}", coupon.code()))),
        }
    }

    /// The coupon of a row as it is stored, also if that cannot be right.
    pub(crate) async fn as_stored(&self, row: &CouponRow) -> Result<CqlCoupon> {
        let (campaign, batch) = (row.campaign_id()?, row.batch_id()?);
        let found = self.batch_of(&campaign, &batch).await?;
        let (campaign, batch) =
            found.ok_or_else(|| HotError::Damaged(format!("{campaign}/{batch} is gone")))?;
        let coupon = row.coupon(&campaign.terms)?;
        let located = campaign.placed(coupon, batch.paused, row.day(), row.bucket);
        Ok(CqlCoupon { frozen: row.is_sealed(), ..located })
    }

    pub(crate) async fn directory_day(&self, code: &Code) -> Result<Option<Day>> {
        let cql = "SELECT kind, expiry_day FROM directory WHERE code = ?";
        let row: Option<(Option<String>, Option<CqlDate>)> =
            self.session.row(cql, (code.as_str(),)).await?;
        let Some((kind, day)) = row else { return Ok(None) };
        Ok(day.filter(|_| kind.as_deref() == Some("coupon")).map(crate::values::day))
    }

    /// Where to look for the coupon of a code, and whose it is if it was minted.
    pub(crate) async fn home(&self, code: &Code) -> Result<Option<(Option<Owner>, Day)>> {
        Ok(match self.owner_of(code).await? {
            Some((owner, day)) => Some((Some(owner), day)),
            None => self.directory_day(code).await?.map(|day| (None, day)),
        })
    }

    /// The coupon of a code, of any campaign and wherever it is.
    pub(crate) async fn anywhere(&self, code: &Code) -> Result<Option<CqlCoupon>> {
        match self.home(code).await? {
            Some((Some(owner), day)) => {
                let (code, bucket_key) = (code.clone(), day.into());
                let at = Address { code, bucket_key, owner, minted: true, hint: None };
                self.locate(&at).await
            }
            Some((None, day)) => self.stored(day.into(), code).await,
            None => Ok(None),
        }
    }

    /// Finishes forwarding a coupon: its row in the later partition, then its directory entry. A
    /// process that reads a forwarding row does this first.
    pub(crate) async fn finish_move(&self, row: &CouponRow, to: Day) -> Result<()> {
        let located = self.as_stored(row).await?;
        self.arrive(&located.coupon, (located.day, located.here.bucket), to).await.map(drop)
    }

    /// Writes a coupon that the row at `from` forwards into its later partition, if it is not there, and makes the
    /// directory name that, unless it names a later one; returns its bucket.
    async fn arrive(&self, coupon: &Coupon, (day, from): (Day, i32), to: Day) -> Result<i32> {
        let code = coupon.code();
        let no_plan = || HotError::Damaged(format!("no plan for {code}'s partition"));
        let bucket = self.bucket(to, code).await?.ok_or_else(no_plan)?;
        let mut attempts = self.attempts("a forwarded coupon");
        loop {
            let _lock = attempts.looked(self.write_locks.lock((to, bucket)).await)?;
            let there =
                attempts.looked(self.row_of(StatementProfile::Read, to, bucket, code).await)?;
            // In a sealed bucket without a row: it came, and was archived.
            if there.is_some() || attempts.looked(self.is_sealed(to, bucket).await)? {
                break;
            }
            // The same id from every process that finishes it: the coupon's last event has it.
            let operation = coupon.events().last().map_or(OperationId(0), |event| event.operation);
            let profile = attempts.profile();
            // Readers of the feed may come when the row that forwards it is gone.
            let made = attempts.looked(self.session.made_at(day, from, code).await)?;
            let (at, made) = ((to, bucket), MaybeUnset::Set(made));
            let put = self.put_row(profile, coupon, at, operation, None, made).await;
            attempts.wrote(put).await?;
        }
        // After the row: a reader that follows the entry looks only there.
        let mut attempts = self.attempts("the directory entry of a forwarded coupon");
        loop {
            let present = attempts.looked(self.directory_day(code).await)?;
            if present.is_some_and(|present| present >= to) {
                return Ok(bucket);
            }
            let cas = self.redirect(attempts.profile(), coupon, present, to).await;
            if attempts.wrote(cas).await? {
                return Ok(bucket);
            }
        }
    }

    /// Makes the directory name the partition `to`, if it still names `present`.
    pub(crate) async fn redirect(
        &self,
        profile: StatementProfile,
        coupon: &Coupon,
        present: Option<Day>,
        to: Day,
    ) -> Result<Cas> {
        let cql = "UPDATE directory SET kind = 'coupon', campaign_id = ?, batch_id = ?, \
                   expiry_day = ? WHERE code = ? IF expiry_day = ?";
        let (id, batch) = (coupon.genesis().campaign.as_str(), coupon.genesis().batch.as_str());
        let values = (id, batch, date(to), coupon.code().as_str(), present.map(date));
        self.session.change(profile, cql, values).await
    }
}
