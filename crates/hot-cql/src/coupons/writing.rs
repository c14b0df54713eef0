//! Writes a coupon: the writes before its row, the conditional update of the row, and the writes
//! after it.

use std::collections::BTreeMap;

use coupon::coupon::Coupon;
use coupon::ids::{Actor, OperationId};
use coupon::time::Day;
use futures::future::OptionFuture;
use hot::HotError;
use hot::protocol::{is_stock, newcomers, partition_after};
use scylla::value::MaybeUnset;
use uuid::Uuid;

use super::{CouponKeyColumns, CqlCoupon, GenesisColumns, Written};
use crate::CqlStore;
use crate::values::signed;
use cql_session::announcement::{CouponAnnouncement, MadeValue, REFUSED_CHANGE, made_by};
use cql_session::coupon_columns::{
    ChangedColumns, LATER_ROW, LaterRow, MadeColumn, NEW_ROW, NewRow,
};
use cql_session::resolution::{WriteResolution, resolved};
use cql_session::{Cas, Resolutions, Result, StatementProfile};

impl CqlStore {
    /// Replaces `before` by `after`, if the store still has `before`. `actor` made the change; `None` if it
    /// is none: the coupon takes its next version as it is.
    pub(crate) async fn write_coupon(
        &self,
        before: &CqlCoupon,
        after: &Coupon,
        operation: OperationId,
        actor: Option<&Actor>,
    ) -> Result<Written> {
        // Before the index rows, which have the name, too.
        self.may_be_given(newcomers(&before.coupon, after)).await?;
        let day = partition_after(before.day, after);
        let moves = day != before.day;
        if moves {
            // Before the old row forwards: a day closes only after the moves from entered days.
            if !self.enter(day, before.terms(), Some(before.day), 1).await? {
                // The next read of the plan shows it.
                return Ok(Written::Conflict);
            }
        }
        let returned = self.write_index_rows(before, after, day).await?;
        let write = RowWrite::of(before, after, operation, day, actor);
        if self.write_row(write).await? == Written::Conflict {
            self.row_cache.forget(after.code());
            return Ok(Written::Conflict);
        }
        let id = &before.terms().id;
        self.counts.count_change(id, before.coupon.state(), after.state());
        let mut now = CqlCoupon { coupon: after.clone(), day, ..before.clone() };
        if moves {
            // The old row forwards already: any process that reads it finishes this.
            now.here.bucket =
                self.arrive(after, (before.day, before.here.bucket), day).await.map_err(begun)?;
        }
        // Only after the row: this process offers it at once, in the version just written.
        if let Some(part) = returned {
            self.came_back(&now, part);
        }
        self.is_closed(&now);
        self.row_cache.put(&now);
        Ok(Written::Done)
    }

    /// Writes a row that forwards its coupon to the partition `to`.
    pub(crate) async fn write_forwarding(
        &self,
        before: &CqlCoupon,
        after: &Coupon,
        operation: OperationId,
        to: Day,
    ) -> Result<Written> {
        self.write_row(RowWrite::of(before, after, operation, to, None)).await
    }

    /// Before the row of the coupon: a crash leaves one too many, never one too few. Returns the
    /// CQL partition in `returned`, if the coupon may be issued again.
    async fn write_index_rows(
        &self,
        before: &CqlCoupon,
        after: &Coupon,
        day: Day,
    ) -> Result<Option<i32>> {
        let is_new = before.coupon.version() == 0 || day != before.day;
        let expires = is_new || before.coupon.expires_at() != after.expires_at();
        let changes_holder = expires || before.coupon.holder() != after.holder();
        let (id, row) = (&before.terms().id, [(after, day)]);
        let wallet = changes_holder.then(|| self.write_wallet(after, day));
        let expiring = expires.then(|| self.write_expiring(id.as_str(), &row));
        let back = is_stock(before.terms(), after).then(|| self.enter_returned(id, after));
        let (wallet, expiring, back) = tokio::join!(
            OptionFuture::from(wallet),
            OptionFuture::from(expiring),
            OptionFuture::from(back)
        );
        wallet.transpose()?;
        expiring.transpose()?;
        back.transpose()
    }

    /// The one conditional update of the row, with its outcome resolved. Its index rows in the feed are
    /// written before it, and looked after before it is sent again.
    async fn write_row(&self, mut write: RowWrite<'_>) -> Result<Written> {
        let at = (write.before.day, write.before.here.bucket);
        let mut attempts = self.attempts("a change of a coupon");
        loop {
            if let (Some(feed), Some(news)) = (&self.feed, &mut write.news) {
                attempts.looked(self.announce(feed, news).await)?;
            }
            let lock = attempts.looked(self.write_locks.lock(at).await)?;
            let newcomers = newcomers(&write.before.coupon, write.after);
            attempts.looked(self.may_be_given(newcomers).await)?;
            let cas = self.send_row(attempts.profile(), &write).await;
            // Before the outcome is resolved, which may take seconds: other writers go on.
            drop(lock);
            match attempts.looked(cas)? {
                Cas::Applied => return Ok(Written::Done),
                Cas::Refused if !attempts.has_unknown_write() => return self.refused(&write).await,
                // After an unknown write a refusal proves nothing: that one may have caused it.
                Cas::Refused => {}
                other @ (Cas::NotSent(_) | Cas::Unknown(_)) => {
                    attempts.wrote(Ok(other)).await?;
                }
            }
            match self.resolution(&write).await {
                Ok(WriteResolution::Applied) => {
                    Resolutions::count(&self.resolved.applied);
                    return Ok(Written::Done);
                }
                Ok(WriteResolution::Refused) => {
                    Resolutions::count(&self.resolved.refused);
                    return self.refused(&write).await;
                }
                Ok(WriteResolution::Hidden) => {
                    let why = "later changes have overwritten what would show its outcome";
                    return Err(HotError::Unknown(why.into()));
                }
                // A frozen node may still apply it. The same update is sent again, for the same version, so that one
                // of the two is refused. To give up after a failed read would be a change that nobody counts.
                Ok(WriteResolution::Open) | Err(HotError::Unavailable(_)) => {
                    attempts.again().await?
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// What became of a write.
    async fn resolution(&self, write: &RowWrite<'_>) -> Result<WriteResolution> {
        let RowWrite { before, after, operation, attempt, .. } = *write;
        let (day, bucket) = (before.day, before.here.bucket);
        // A read through Paxos finishes the update that was begun, or ends it for good.
        let seen = self.row_of(StatementProfile::Serial, day, bucket, after.code()).await?;
        match resolved(seen.as_ref(), operation, &before.coupon, after) {
            // Who finishes an entry of a claim may write the same: one of the two counts it.
            WriteResolution::Applied
                if self.session.is_by_another((day, bucket), after, attempt).await? =>
            {
                Ok(WriteResolution::Refused)
            }
            resolution => Ok(resolution),
        }
    }

    /// Says in the index rows of a write that it was refused, before the change is decided once more: an archived
    /// coupon does not say by which of its tries an event was made.
    async fn refused(&self, write: &RowWrite<'_>) -> Result<Written> {
        if let (Some(feed), Some(news)) = (&self.feed, &write.news) {
            let rows = news.refused(feed.shard_of(write.after.code()), feed.ttl());
            self.session.write_all(REFUSED_CHANGE, rows).await?;
        }
        Ok(Written::Conflict)
    }

    async fn send_row(&self, profile: StatementProfile, write: &RowWrite<'_>) -> Result<Cas> {
        let RowWrite { before, after, operation, forward_to, .. } = *write;
        let (day, bucket) = (before.day, before.here.bucket);
        let made = MaybeUnset::from_option(self.feed.as_ref().map(|_| write.made()));
        match before.coupon.version() {
            0 => self.put_row(profile, after, (day, bucket), operation, forward_to, made).await,
            version => {
                let known = Some(&before.coupon);
                let values = LaterRow {
                    change: ChangedColumns::of(after, known, Some(operation), forward_to),
                    made,
                    key: CouponKeyColumns::of(day, bucket, after.code()),
                    before: signed(version),
                };
                self.session.change(profile, LATER_ROW, values).await
            }
        }
    }

    /// For a coupon without a row in this bucket. `made` is unset if it is only forwarded from here.
    pub(crate) async fn put_row(
        &self,
        profile: StatementProfile,
        coupon: &Coupon,
        (day, bucket): (Day, i32),
        operation: OperationId,
        forward_to: Option<Day>,
        made: MadeColumn,
    ) -> Result<Cas> {
        let values = NewRow {
            change: ChangedColumns::of(coupon, None, Some(operation), forward_to),
            made,
            genesis: GenesisColumns::of(coupon.genesis()),
            key: CouponKeyColumns::of(day, bucket, coupon.code()),
        };
        self.session.change(profile, NEW_ROW, values).await
    }
}

struct RowWrite<'a> {
    before: &'a CqlCoupon,
    after: &'a Coupon,
    operation: OperationId,
    forward_to: Option<Day>,
    /// Its name among all writes of the coupon.
    attempt: Uuid,
    news: Option<CouponAnnouncement<'a>>,
}

impl<'a> RowWrite<'a> {
    fn of(
        before: &'a CqlCoupon,
        after: &'a Coupon,
        operation: OperationId,
        day: Day,
        actor: Option<&'a Actor>,
    ) -> RowWrite<'a> {
        let (forward_to, attempt) = ((day != before.day).then_some(day), Uuid::now_v7());
        let at = (before.day, attempt);
        let news =
            actor.and_then(|it| CouponAnnouncement::of(&before.coupon, after, operation, it, at));
        RowWrite { before, after, operation, forward_to, attempt, news }
    }

    fn made(&self) -> BTreeMap<i32, MadeValue> {
        let slot = self.news.as_ref().and_then(|news| news.slot);
        made_by(self.attempt, slot, &self.before.coupon, self.after)
    }
}

/// After a protocol has begun, other processes may finish it: its outcome is unknown.
pub(crate) fn begun(error: HotError) -> HotError {
    match error {
        HotError::Unavailable(why) | HotError::Cold(why) => HotError::Unknown(why),
        other => other,
    }
}
