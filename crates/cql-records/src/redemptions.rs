//! Redemptions newest first, cancelled ones too.
//!
//! An index row stays when its coupon changes or is archived: readers look at the coupon. They delete the row
//! of a coupon that has left the hot store for the cold one, so that it is looked at once.

use std::collections::BTreeMap;

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::EventKind;
use coupon::ids::OrderRef;
use coupon::time::{Day, Millis};
use cql_session::values::{date, day, instant, parsed};
use cql_session::{Result, StatementProfile, bounded_join};
use hot::records::Whereabouts;
use hot::redemptions::{RedemptionPosition, RedemptionQuery, RedemptionRow, Redemptions};
use hot::{CouponSnapshot, HotError};
use scylla::value::{CqlDate, CqlTimestamp};

use crate::ClusterRecords;
use crate::counting::ALL_CAMPAIGNS;
use crate::redemption_index::shard_of;

/// Rows that are read or deleted at a time.
const AT_ONCE: usize = 32;

/// Fewest index rows that are read at a time: some may be of coupons that were archived.
const LOOKED_MIN: usize = 64;

/// How long a page may take. What it has deleted by then, the next one does not look at.
const PAGE_LIMIT_MS: i64 = 20_000;

/// The last instant that somebody may ask for: the end of the year 9999.
const LAST: Millis = Millis(253_402_300_799_999);

/// An index row: when, the tie, and the code.
type IndexRow = (Millis, i64, Code);

/// A part of the list.
#[derive(Clone, Copy)]
struct Window {
    /// The first instant.
    from: Millis,
    /// Rows before this one, by their instant and tie.
    below: (Millis, i64),
}

impl Window {
    fn of(query: &RedemptionQuery) -> Window {
        let whole = (query.before.min(LAST), 0);
        let below = match &query.after {
            Some(after) => whole.min((after.at, after.tie.cast_signed())),
            None => whole,
        };
        Window { from: query.from.max(Millis(0)), below }
    }
}

impl ClusterRecords {
    /// The days of a window that have rows, newest first, each with its shards.
    async fn days_in(&self, campaign: &str, window: Window) -> Result<Vec<(Day, Vec<i32>)>> {
        let cql = "SELECT redeemed_on, shard FROM redemption_day WHERE campaign_id = ? \
                   AND redeemed_on >= ? AND redeemed_on <= ?";
        let (from, last) = (date(window.from.day()), date(window.below.0.day()));
        let rows: Vec<(CqlDate, i32)> = self.session.scan(cql, (campaign, from, last)).await?;
        let mut days: BTreeMap<Day, Vec<i32>> = BTreeMap::new();
        for (on, shard) in rows {
            days.entry(day(on)).or_default().push(shard);
        }
        Ok(days.into_iter().rev().collect())
    }

    /// The first rows of a day in a window, at most `limit`.
    async fn rows_of_day(
        &self,
        campaign: &str,
        (on, shards): (Day, &[i32]),
        window: Window,
        limit: usize,
    ) -> Result<Vec<IndexRow>> {
        let most = i32::try_from(limit).unwrap_or(i32::MAX);
        let reads = shards.iter().map(|shard| {
            let cql = "SELECT redeemed_at, tie, code FROM redemption WHERE campaign_id = ? \
                       AND redeemed_on = ? AND shard = ? AND (redeemed_at, tie) > (?, ?) \
                       AND (redeemed_at, tie) < (?, ?) \
                       ORDER BY redeemed_at DESC, tie DESC, code DESC LIMIT ?";
            let (at, below) = window.below;
            let (first, at) = (instant(window.from), instant(at));
            let values = (campaign, date(on), *shard, first, 0_i64, at, below, most);
            self.session.rows(StatementProfile::Read, cql, values)
        });
        let read: Vec<Vec<(CqlTimestamp, i64, String)>> = bounded_join(AT_ONCE, reads).await?;
        let rows = read.into_iter().flatten();
        let rows =
            rows.map(|(at, tie, text)| Ok((Millis(at.0), tie, parsed("redemption.code", &text)?)));
        let mut rows = rows.collect::<Result<Vec<IndexRow>>>()?;
        rows.sort_unstable_by(|one, other| other.cmp(one));
        rows.truncate(limit);
        Ok(rows)
    }

    /// Deletes index rows of archived coupons.
    async fn forget_rows(&self, campaign: &str, rows: &[&IndexRow]) -> Result<()> {
        let deletes = rows.iter().map(|(at, tie, code)| {
            let cql = "DELETE FROM redemption WHERE campaign_id = ? AND redeemed_on = ? \
                       AND shard = ? AND redeemed_at = ? AND tie = ? AND code = ?";
            let (on, shard) = (date(at.day()), shard_of(code));
            let values = (campaign, on, shard, instant(*at), *tie, code.as_str());
            self.session.write(cql, values)
        });
        bounded_join(AT_ONCE, deletes).await.map(|done: Vec<()>| drop(done))
    }

    async fn page(&self, query: &RedemptionQuery) -> Result<Vec<RedemptionRow>> {
        let campaign = query.campaign.as_ref().map_or(ALL_CAMPAIGNS, |campaign| campaign.as_str());
        let (mut window, mut page) = (Window::of(query), Vec::new());
        let until = self.session.now_ms() + PAGE_LIMIT_MS;
        for (on, shards) in self.days_in(campaign, window).await? {
            loop {
                let limit = (query.limit - page.len()).max(LOOKED_MIN);
                let rows = self.rows_of_day(campaign, (on, &shards), window, limit).await?;
                let coupons = rows.iter().map(|(_, _, code)| self.source.whereabouts(code));
                let coupons: Vec<Whereabouts> = bounded_join(AT_ONCE, coupons).await?;
                let archived = rows.iter().zip(&coupons);
                let archived = archived.filter(|(_, coupon)| matches!(coupon, Whereabouts::Cold));
                let archived: Vec<&IndexRow> = archived.map(|(row, _)| row).collect();
                self.forget_rows(campaign, &archived).await?;
                for (row, coupon) in rows.iter().zip(coupons) {
                    if let Whereabouts::Hot(coupon) = coupon {
                        page.extend(rows_of(&coupon, row));
                    }
                    if page.len() >= query.limit {
                        return Ok(page);
                    }
                }
                match rows.last() {
                    Some((at, tie, _)) if rows.len() == limit => window.below = (*at, *tie),
                    Some(_) | None => break,
                }
                if self.session.now_ms() >= until {
                    let many = "most redemptions of these days are archived: try again";
                    return Err(HotError::Unavailable(many.into()));
                }
            }
        }
        Ok(page)
    }
}

/// The redemptions of a coupon that were made at the instant of an index row.
fn rows_of(snapshot: &CouponSnapshot, (at, tie, _): &IndexRow) -> Vec<RedemptionRow> {
    let coupon = &snapshot.coupon;
    let made = coupon.events().iter().filter(|event| event.at == *at);
    let made = made.filter_map(|event| match &event.kind {
        EventKind::Redeemed { order, .. } => coupon.redemption_of(order),
        _ => None,
    });
    let row = |redemption| RedemptionRow {
        position: RedemptionPosition { at: *at, tie: tie.unsigned_abs() },
        redemption,
        snapshot: snapshot.clone(),
    };
    made.map(row).collect()
}

#[async_trait]
impl Redemptions for ClusterRecords {
    async fn redemptions(&self, query: RedemptionQuery) -> Result<Vec<RedemptionRow>> {
        self.count_for_reader().await;
        self.page(&query).await
    }

    async fn codes_of_order(&self, order: &OrderRef) -> Result<Option<Vec<Code>>> {
        if !self.index.has_orders() {
            return Ok(None);
        }
        self.count_for_reader().await;
        self.index.codes_of(order).await.map(Some)
    }

    async fn forget_orders(&self, _before: Day) -> Result<u64> {
        // The rows delete themselves.
        Ok(0)
    }
}
