//! Rows of coupons, archived markers and forwarding rows, written by a copy.

use std::collections::BTreeMap;

use coupon::code::Code;
use coupon::coupon::{Coupon, EventKind};
use coupon::ids::{OperationId, UserId};
use coupon::time::Day;
use hot::inventory::Pass;
use hot::{HotError, Tier};
use scylla::SerializeRow;
use scylla::value::{CqlDate, CqlTimestamp, MaybeUnset};
use uuid::Uuid;

use super::{AT_ONCE, LONG_AGO};
use crate::Store;
use crate::bounded_join::bounded_join;
use crate::coupons::{CouponKeyColumns, GenesisColumns, Here, Located};
use crate::session::{Result, StatementProfile};
use crate::values::{EventValue, HoldValue, date, events_behind, instant, signed, uuid as uuid_of};

/// Rows of one write to one CQL partition.
const ROWS_AT_ONCE: usize = 50;

impl Store {
    /// Writes index rows and stock, then the rows, one CQL partition at a time.
    pub(super) async fn put_coupons(&self, coupons: Vec<(Day, &Coupon)>, pass: Pass) -> Result<()> {
        let mut located = self.to_be_put(coupons, pass).await?;
        located.sort_by_key(|it| (it.day, it.here.bucket));
        if located.is_empty() {
            return Ok(());
        }
        let wallets = located.iter().map(|it| async move {
            match it.coupon.holder() {
                Some(holder) => self.write_wallet(holder, &it.coupon, it.day).await,
                None => Ok(()),
            }
        });
        bounded_join(AT_ONCE, wallets).await?;
        let mut campaigns: BTreeMap<&str, Vec<(&Coupon, Day)>> = BTreeMap::new();
        for it in &located {
            campaigns.entry(it.terms().id.as_str()).or_default().push((&it.coupon, it.day));
        }
        for (id, coupons) in campaigns {
            self.write_expiring_all(id, &coupons).await?;
        }
        self.put_stock(&located).await?;
        let buckets = located.chunk_by(|a, b| (a.day, a.here.bucket) == (b.day, b.here.bucket));
        let writes = buckets.flat_map(|some| some.chunks(ROWS_AT_ONCE));
        bounded_join(AT_ONCE, writes.map(|some| self.put_rows(some, pass))).await?;
        for it in &located {
            self.is_closed(it);
        }
        self.write_closed().await;
        // An earlier page may have written it to a partition that it has left since.
        let extended = located.iter().filter(|it| {
            it.coupon.events().iter().any(|event| matches!(event.kind, EventKind::Extended { .. }))
        });
        let moves = extended.flat_map(|it| {
            let left =
                expiry_days_of(&it.coupon).into_iter().filter(|expiry_day| *expiry_day < it.day);
            left.map(move |expiry_day| {
                self.send_on(expiry_day, it.day, &it.coupon, Leaves::Perhaps)
            })
        });
        bounded_join(AT_ONCE, moves).await.map(drop)
    }

    /// The coupons that the target does not have in this version or a later one.
    async fn to_be_put(&self, coupons: Vec<(Day, &Coupon)>, pass: Pass) -> Result<Vec<Located>> {
        let looks = coupons.into_iter().map(|(day, coupon)| async move {
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
            let (coupon, batch_paused, tier) = (coupon.clone(), batch.paused, Tier::Hot);
            let here = Here { campaign, bucket };
            let located = Located { coupon, batch_paused, day, tier, frozen: false, here };
            Ok::<_, HotError>(Some(located))
        });
        Ok(bounded_join(AT_ONCE, looks).await?.into_iter().flatten().collect())
    }

    async fn put_rows(&self, coupons: &[Located], pass: Pass) -> Result<()> {
        let rows = coupons.iter().map(|it| CopiedRow::of(&it.coupon, it.day, it.here.bucket, pass));
        self.session.write_all(COPIED_ROW, rows.collect()).await
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
        leaves: Leaves,
    ) -> Result<()> {
        let code = coupon.code();
        let Some(bucket) = self.bucket(left, code).await? else { return Ok(()) };
        if self.is_sealed(left, bucket).await? {
            // In a sealed bucket readers use the directory.
            return Ok(());
        }
        let present = self.row_of(StatementProfile::Read, left, bucket, code).await?;
        let version = match &present {
            None if leaves == Leaves::Perhaps => return Ok(()),
            None => coupon.version().max(1),
            Some(row) if row.is_archived_marker() || row.forward_to() == Some(to) => return Ok(()),
            Some(row) => row.version().max(coupon.version()) + 1,
        };
        let row = CopiedRow {
            version: signed(version),
            long_ago: LONG_AGO + signed(version),
            state: "forwarding",
            forward_to: MaybeUnset::Set(date(to)),
            ..CopiedRow::of(coupon, left, bucket, Pass::First)
        };
        self.session.write(COPIED_ROW, row).await
    }
}

/// Whether a partition has to forward a coupon of which it has no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaves {
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

const COPIED_ROW: &str = "UPDATE coupon USING TIMESTAMP :long_ago SET version = ?, state = ?, \
    holder = ?, expires_at = ?, hold = ?, events = events + ?, operation = ?, modified_at = ?, \
    forward_to = ?, campaign_id = ?, batch_id = ?, valid_from = ?, made_expires_at = ?, \
    created_at = ? WHERE expiry_day = ? AND bucket = ? AND code = ?";

#[derive(Clone, SerializeRow)]
struct CopiedRow<'a> {
    long_ago: i64,
    version: i64,
    state: &'a str,
    holder: MaybeUnset<Option<&'a str>>,
    expires_at: CqlTimestamp,
    hold: MaybeUnset<Option<HoldValue>>,
    events: MaybeUnset<BTreeMap<i32, EventValue>>,
    operation: Uuid,
    modified_at: CqlTimestamp,
    forward_to: MaybeUnset<CqlDate>,
    #[scylla(flatten)]
    genesis: GenesisColumns<'a>,
    #[scylla(flatten)]
    key: CouponKeyColumns<'a>,
}

/// A value. Without one, the column is left unset in the first pass, and set to null in a later
/// one, which may overwrite a value.
fn over<T>(value: Option<T>, pass: Pass) -> MaybeUnset<Option<T>> {
    match (&value, pass) {
        (None, Pass::First) => MaybeUnset::Unset,
        (None, Pass::Again) | (Some(_), _) => MaybeUnset::Set(value),
    }
}

impl<'a> CopiedRow<'a> {
    fn of(coupon: &'a Coupon, day: Day, bucket: i32, pass: Pass) -> CopiedRow<'a> {
        let events = events_behind(coupon, 0);
        let operation = coupon.events().last().map_or(OperationId(0), |event| event.operation);
        let operation = coupon.hold().map_or(operation, |hold| hold.operation);
        CopiedRow {
            long_ago: LONG_AGO + signed(coupon.version()),
            version: signed(coupon.version()),
            state: coupon.state().as_str(),
            holder: over(coupon.holder().map(UserId::as_str), pass),
            expires_at: instant(coupon.expires_at()),
            hold: over(coupon.hold().map(HoldValue::of), pass),
            events: match events.is_empty() {
                true => MaybeUnset::Unset,
                false => MaybeUnset::Set(events),
            },
            operation: uuid_of(operation),
            modified_at: instant(coupon.modified_at()),
            forward_to: MaybeUnset::Unset,
            genesis: GenesisColumns::of(coupon.genesis()),
            key: CouponKeyColumns::of(day, bucket, coupon.code()),
        }
    }
}
