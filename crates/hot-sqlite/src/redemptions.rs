//! Redemptions newest first, with the cancelled ones.
//!
//! The index `coupon_closed` has the redeemed coupons of each batch and expiry day by time, so a page asks each
//! of these for its newest and keeps the first of all. It looks at no coupon that it does not return.

use async_trait::async_trait;
use coupon::code::Code;
use coupon::ids::OrderRef;
use coupon::time::{Day, Millis};
use hot::redemptions::{
    RedemptionPage, RedemptionPosition, RedemptionQuery, RedemptionRow, Redemptions,
};
use rusqlite::{Result as SqlResult, params};

use crate::closed_index::{DayBatch, next_part};
use crate::coupons::{SqliteCoupon, row_at};
use crate::redeemed::{LatestRows, RedeemedWindow};
use crate::txn::Txn;
use crate::{Result, SqliteHot, cancelled, orders};

/// Entries of redemptions that one transaction looks at to delete old ones: about a millisecond.
const ENTRIES_LOOKED_AT_MAX: usize = 2_000;

#[async_trait]
impl Redemptions for SqliteHot {
    async fn redemptions(&self, query: RedemptionQuery) -> Result<RedemptionPage> {
        let limit = query.limit;
        let rows = self.readers.run(move |txn| page(txn, &query)).await?;
        let last = rows.last().filter(|_| rows.len() >= limit);
        Ok(RedemptionPage { read_to: last.map(|row| row.position.clone()), rows })
    }

    async fn codes_of_order(&self, order: &OrderRef) -> Result<Option<Vec<Code>>> {
        if !(self.options.events && self.options.orders) {
            return Ok(None);
        }
        self.count_or_warn().await;
        let order = order.clone();
        self.readers.run(move |txn| orders::codes(txn, &order)).await.map(Some)
    }

    async fn forget_orders(&self, before: Day) -> Result<u64> {
        let (mut forgotten, mut after) = (0, (i64::MIN, String::new()));
        loop {
            let from = after.clone();
            let forget =
                move |txn: &Txn<'_>| orders::forget(txn, before, &from, ENTRIES_LOOKED_AT_MAX);
            let Some((last, some)) = self.background_write(forget).await? else { break };
            (after, forgotten) = (last, forgotten + some);
        }
        let mut after = (i64::MIN, 0);
        let forget =
            |from| move |txn: &Txn<'_>| cancelled::forget(txn, from, ENTRIES_LOOKED_AT_MAX);
        while let Some((last, some)) = self.background_write(forget(after)).await? {
            (after, forgotten) = (last, forgotten + some);
        }
        Ok(forgotten)
    }
}

fn page(txn: &Txn<'_>, query: &RedemptionQuery) -> SqlResult<Vec<RedemptionRow>> {
    let campaign = match query.campaign.as_ref().map(|id| txn.campaign(id)).transpose()? {
        None => None,
        Some(Some(here)) => Some(here.number),
        Some(None) => return Ok(Vec::new()),
    };
    let parts = parts(txn, campaign)?;
    let (mut window, mut rows) = (RedeemedWindow::of(query), Vec::new());
    loop {
        let limit = query.limit - rows.len();
        let mut latest = LatestRows { found: Vec::new(), limit };
        for (day, batch) in &parts {
            let (from, RedeemedWindow { last, below, .. }) = (latest.from(&window), &window);
            latest.add(txn.all(
                "SELECT ended_at, number FROM coupon INDEXED BY coupon_closed \
                 WHERE ended_at IS NOT NULL AND expiry_day = ?1 AND batch = ?2 AND state = 2 \
                 AND ended_at >= ?3 AND ended_at <= ?4 AND (ended_at < ?4 OR number < ?5) \
                 ORDER BY ended_at DESC, number DESC LIMIT ?6",
                params![day.0, batch, from.0, last.0, below, limit as i64],
                |row| Ok((Millis(row.get(0)?), row.get(1)?)),
            )?);
        }
        latest.add(cancelled::latest(txn, campaign, &window, limit)?);
        let found = latest.found;
        for (at, number) in &found {
            if let Some(located) = row_at(txn, *number)? {
                rows.extend(rows_of(&located, *at, *number));
            }
        }
        // Of cancelled ones some may be gone: then there is room for more.
        match found.last() {
            Some(last) if found.len() == limit && rows.len() < query.limit => {
                window = window.behind(*last);
            }
            Some(_) | None => return Ok(rows),
        }
    }
}

/// The parts in which redeemed coupons may be.
fn parts(txn: &Txn<'_>, campaign: Option<i64>) -> SqlResult<Vec<DayBatch>> {
    let Some(campaign) = campaign else {
        let (mut parts, mut after) = (Vec::new(), (Day(i32::MIN), 0));
        while let Some(part) = next_part(txn, after)? {
            parts.push(part);
            after = part;
        }
        return Ok(parts);
    };
    txn.all(
        "SELECT partition_plan.expiry_day, batch.number FROM batch JOIN partition_plan \
         WHERE batch.campaign = ?1 AND NOT partition_plan.emptied",
        [campaign],
        |row| Ok((Day(row.get(0)?), row.get(1)?)),
    )
}

/// The redemptions of a coupon that were made at this instant.
fn rows_of(located: &SqliteCoupon, at: Millis, number: i64) -> impl Iterator<Item = RedemptionRow> {
    located.coupon.redemptions_at(at).map(move |redemption| RedemptionRow {
        position: RedemptionPosition { at, tie: number.unsigned_abs() },
        redemption,
        snapshot: located.snapshot(),
    })
}
