//! The rows of new lines, and what is written before them.

use std::collections::{BTreeMap, HashMap};

use coupon::campaign::Handout;
use coupon::code::Code;
use coupon::coupon::{Coupon, State};
use coupon::ids::BatchId;
use coupon::time::{Day, Millis};
use hot::protocol::arrived;
use hot::{HotError, ImportLine, bounded_join};

use super::entry::EntryOfLine;
use super::{AT_ONCE, ImportRound, LONG_AGO, ROWS_AT_ONCE};
use crate::coupons::{
    ChangedColumns, CouponKeyColumns, CqlCoupon, GenesisColumns, PLAIN_ROW, PlainRow,
};
use cql_session::Result;

impl ImportRound<'_> {
    pub(super) fn arrived(&self, line: &ImportLine, known: &EntryOfLine) -> Result<CqlCoupon> {
        let (terms, batch) = (&self.here.terms, known.batch.clone());
        let coupon = arrived(terms, batch, line, &known.first_imported_state, &known.run);
        // The bucket is found when the row is written.
        Ok(self.here.clone().placed(coupon, false, known.day, 0))
    }

    /// Writes claims, index rows and stock, then the rows, one CQL partition at a time.
    pub(super) async fn write_rows(&self, arrived: &[CqlCoupon]) -> Result<()> {
        let store = self.store;
        let before = arrived.iter().map(|located| async move {
            let (coupon, day) = (&located.coupon, located.day);
            store.claim_for_holder(&located.here.campaign, day, coupon, None).await?;
            store.write_wallet(coupon, day).await
        });
        bounded_join(AT_ONCE, before).await?;
        let id = &self.here.terms.id;
        let brought: Vec<_> = arrived.iter().map(|it| (id, &it.coupon)).collect();
        // Before the rows: the feed does not tell of new lines, so nobody enters these later.
        store.tell_brought(&brought).await?;
        let coupons: Vec<_> = arrived.iter().map(|it| (&it.coupon, it.day)).collect();
        store.write_expiring(id.as_str(), &coupons).await?;
        // Before the rows: a chunk that is not entered would never be issued.
        self.write_stock(arrived).await?;
        let mut rows_by_bucket: BTreeMap<(Day, i32), Vec<&Coupon>> = BTreeMap::new();
        for located in arrived {
            let lost = || HotError::Damaged("a partition lost its plan".into());
            let bucket =
                store.bucket(located.day, located.coupon.code()).await?.ok_or_else(lost)?;
            rows_by_bucket.entry((located.day, bucket)).or_default().push(&located.coupon);
        }
        let writes = rows_by_bucket.iter().flat_map(|(bucket, coupons)| {
            coupons.chunks(ROWS_AT_ONCE).map(move |some| self.write_bucket(*bucket, some))
        });
        bounded_join(AT_ONCE, writes).await?;
        let mut counts = HashMap::new();
        for located in arrived {
            *counts.entry(located.coupon.genesis().batch.clone()).or_insert(0_i64) += 1;
            store.counts.count_change(id, &State::Available, located.coupon.state());
            store.is_closed(located);
        }
        for (batch, count) in counts {
            store.counts.count_arrivals(id, &batch, count);
        }
        Ok(())
    }

    async fn write_stock(&self, arrived: &[CqlCoupon]) -> Result<()> {
        if self.here.terms.handout == Handout::Bearer {
            return Ok(());
        }
        let mut batches: BTreeMap<&BatchId, Vec<(Millis, Code)>> = BTreeMap::new();
        for located in arrived.iter().filter(|it| *it.coupon.state() == State::Available) {
            let of = batches.entry(&located.coupon.genesis().batch).or_default();
            of.push((located.coupon.expires_at(), located.coupon.code().clone()));
        }
        for (batch, codes) in batches {
            self.store.enter_chunk(&self.here.terms.id, batch, codes).await?;
        }
        Ok(())
    }

    async fn write_bucket(&self, (day, bucket): (Day, i32), coupons: &[&Coupon]) -> Result<()> {
        self.store.may_be_given(coupons.iter().filter_map(|coupon| coupon.holder())).await?;
        let rows = coupons.iter().map(|coupon| {
            let operation = coupon.events().last().map(|event| event.operation);
            PlainRow {
                written: LONG_AGO,
                change: ChangedColumns::of(coupon, None, operation, None),
                genesis: GenesisColumns::of(coupon.genesis()),
                key: CouponKeyColumns::of(day, bucket, coupon.code()),
            }
        });
        self.store.session.write_all(PLAIN_ROW, rows.collect()).await
    }
}
