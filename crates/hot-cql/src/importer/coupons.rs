//! Rows of coupons, archived markers and forwarding rows, written by a copy.

use std::collections::BTreeMap;

use coupon::code::Code;
use coupon::coupon::{Coupon, EventKind};
use coupon::ids::OperationId;
use coupon::time::Day;
use hot::inventory::Pass;
use hot::{HotError, bounded_join};
use scylla::value::MaybeUnset;
use uuid::Uuid;

use super::{AT_ONCE, LONG_AGO, ROWS_AT_ONCE};
use crate::CqlStore;
use crate::coupons::{
    ChangedColumns, CouponKeyColumns, CqlCoupon, GenesisColumns, PLAIN_ROW, PlainRow,
};
use crate::values::{date, signed};
use cql_session::{Result, StatementProfile};

impl CqlStore {
    /// Writes index rows and stock, then the rows, one CQL partition at a time.
    pub(super) async fn put_coupons(&self, coupons: Vec<(Day, &Coupon)>, pass: Pass) -> Result<()> {
        let mut located = self.to_be_put(&coupons, pass).await?;
        located.sort_by_key(|it| (it.day, it.here.bucket));
        if !located.is_empty() {
            self.put_located(&located, pass).await?;
        }
        // An earlier page may have written it to a partition that it has left since. Also of those
        // that are here already: the copy may have been stopped between the two writes.
        let extended = coupons.into_iter().filter(|(_, coupon)| {
            coupon.events().iter().any(|event| matches!(event.kind, EventKind::Extended { .. }))
        });
        let moves = extended.flat_map(|(day, coupon)| {
            let left = expiry_days_of(coupon).into_iter().filter(move |left| *left < day);
            left.map(move |left| self.send_on(left, day, coupon, ForwardingNeed::Perhaps))
        });
        bounded_join(AT_ONCE, moves).await.map(drop)
    }

    async fn put_located(&self, located: &[CqlCoupon], pass: Pass) -> Result<()> {
        let wallets = located.iter().map(|it| self.write_wallet(&it.coupon, it.day));
        bounded_join(AT_ONCE, wallets).await?;
        let mut campaigns: BTreeMap<&str, Vec<(&Coupon, Day)>> = BTreeMap::new();
        for it in located {
            campaigns.entry(it.terms().id.as_str()).or_default().push((&it.coupon, it.day));
        }
        for (id, coupons) in campaigns {
            self.write_expiring(id, &coupons).await?;
        }
        let brought: Vec<_> = located.iter().map(|it| (&it.terms().id, &it.coupon)).collect();
        // Before the rows: the feed does not tell of a copy, so nobody enters these later.
        self.tell_brought(&brought).await?;
        self.put_stock(located).await?;
        let buckets = located.chunk_by(|a, b| (a.day, a.here.bucket) == (b.day, b.here.bucket));
        let writes = buckets.flat_map(|some| some.chunks(ROWS_AT_ONCE));
        bounded_join(AT_ONCE, writes.map(|some| self.put_rows(some, pass))).await?;
        for it in located {
            self.is_closed(it);
        }
        self.write_closed().await;
        Ok(())
    }

    /// The coupons that the target does not have in this version or a later one.
    async fn to_be_put(&self, coupons: &[(Day, &Coupon)], pass: Pass) -> Result<Vec<CqlCoupon>> {
        let looks = coupons.iter().map(|&(day, coupon)| async move {
            let (code, genesis) = (coupon.code(), coupon.genesis());
            let gone = || HotError::Damaged(format!("{code}: its day or its batch was not copied"));
            let bucket = self.bucket(day, code).await?.ok_or_else(gone)?;
            if pass == Pass::Again {
                let present = self.row_of(StatementProfile::Read, day, bucket, code).await?;
                if present.is_some_and(|row| row.version() >= coupon.version()) {
                    return Ok(None);
                }
            }
            let found = self.batch_of(&genesis.campaign, &genesis.batch).await?;
            let (campaign, batch) = found.ok_or_else(gone)?;
            Ok::<_, HotError>(Some(campaign.placed(coupon.clone(), batch.paused, day, bucket)))
        });
        Ok(bounded_join(AT_ONCE, looks).await?.into_iter().flatten().collect())
    }

    async fn put_rows(&self, coupons: &[CqlCoupon], pass: Pass) -> Result<()> {
        let rows = coupons.iter().map(|it| copied(&it.coupon, it.day, it.here.bucket, pass));
        self.session.write_all(PLAIN_ROW, rows.collect()).await
    }

    pub(super) async fn put_copied_archived_marker(
        &self,
        expiry_day: Day,
        code: &Code,
        version: u64,
    ) -> Result<()> {
        let gone = || HotError::Damaged(format!("{code}: its day was not copied"));
        let bucket = self.bucket(expiry_day, code).await?.ok_or_else(gone)?;
        let present = self.row_of(StatementProfile::Read, expiry_day, bucket, code).await?;
        let next = signed(version + 1);
        // Nulls are written only over a row: over nothing they would leave tombstones.
        let cql = match &present {
            Some(row) if row.is_archived_marker() => return Ok(()),
            Some(_) => {
                "UPDATE coupon USING TIMESTAMP ? SET version = ?, state = 'archived', \
                 archived_version = ?, operation = ?, holder = null, hold = null, events = null \
                 WHERE expiry_day = ? AND bucket = ? AND code = ?"
            }
            None => {
                "UPDATE coupon USING TIMESTAMP ? SET version = ?, state = 'archived', \
                 archived_version = ?, operation = ? WHERE expiry_day = ? AND bucket = ? AND code \
                 = ?"
            }
        };
        let (written, archived) = (LONG_AGO + next, signed(version));
        let values =
            (written, next, archived, Uuid::nil(), date(expiry_day), bucket, code.as_str());
        self.session.write(cql, values).await
    }

    /// Makes the partition `left`, which a coupon has left, forward to `to`.
    pub(super) async fn send_on(
        &self,
        left: Day,
        to: Day,
        coupon: &Coupon,
        leaves: ForwardingNeed,
    ) -> Result<()> {
        let code = coupon.code();
        let Some(bucket) = self.bucket(left, code).await? else { return Ok(()) };
        if self.is_sealed(left, bucket).await? {
            // In a sealed bucket readers use the directory.
            return Ok(());
        }
        let present = self.row_of(StatementProfile::Read, left, bucket, code).await?;
        let version = match &present {
            None if leaves == ForwardingNeed::Perhaps => return Ok(()),
            None => coupon.version().max(1),
            Some(row) if row.is_archived_marker() || row.forward_to() == Some(to) => return Ok(()),
            Some(row) => row.version().max(coupon.version()) + 1,
        };
        let mut row = copied(coupon, left, bucket, Pass::First);
        row.written = LONG_AGO + signed(version);
        row.change.version = signed(version);
        row.change.state = "forwarding";
        row.change.forward_to = MaybeUnset::Set(date(to));
        self.session.write(PLAIN_ROW, row).await
    }
}

/// Whether a partition has to forward a coupon of which it has no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ForwardingNeed {
    /// The coupon was minted there: without a row it would be untouched.
    Surely,
    /// Only over a row that an earlier page has written.
    Perhaps,
}

/// Every partition that a coupon can have been in, by its events.
fn expiry_days_of(coupon: &Coupon) -> Vec<Day> {
    let mut expiry_days = vec![Day::expiry_day_of(coupon.genesis().expires_at)];
    expiry_days.extend(coupon.events().iter().filter_map(|event| match &event.kind {
        EventKind::Extended { expires_at, .. } => Some(Day::expiry_day_of(*expires_at)),
        _ => None,
    }));
    expiry_days.sort_unstable();
    expiry_days.dedup();
    expiry_days
}

fn copied(coupon: &Coupon, day: Day, bucket: i32, pass: Pass) -> PlainRow<'_> {
    let operation = coupon.events().last().map_or(OperationId(0), |event| event.operation);
    let operation = coupon.hold().map_or(operation, |hold| hold.operation);
    let mut change = ChangedColumns::of(coupon, None, Some(operation), None);
    // Without a value the column is left unset in the first pass, and set to null in a later one,
    // which may overwrite a value.
    match pass {
        Pass::First if coupon.holder().is_none() => change.holder = MaybeUnset::Unset,
        Pass::Again if coupon.hold().is_none() => change.hold = MaybeUnset::Set(None),
        Pass::First | Pass::Again => {}
    }
    PlainRow {
        written: LONG_AGO + signed(coupon.version()),
        change,
        genesis: GenesisColumns::of(coupon.genesis()),
        key: CouponKeyColumns::of(day, bucket, coupon.code()),
    }
}
