//! Redemptions newest first, cancelled ones too: index rows by campaign and UTC day, and once more for all
//! campaigns together.
//!
//! An index row stays when its coupon changes or is archived: readers look at the coupon. They delete the row
//! of a coupon that has left the hot store for the cold one, so that it is looked at once. Which days of a
//! campaign have rows is listed in `redemption_day`.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::EventKind;
use coupon::ids::OrderRef;
use coupon::time::{Day, Millis};
use cql_session::values::{date, day, instant, parsed, signed};
use cql_session::{Result, StatementProfile, bounded_join};
use hot::feed::{CouponEventKind, FeedEvent};
use hot::records::Whereabouts;
use hot::redemptions::{RedemptionPosition, RedemptionQuery, RedemptionRow, Redemptions};
use hot::{CouponSnapshot, HotError};
use scylla::value::{CqlDate, CqlTimestamp};
use xxhash_rust::xxh3::xxh3_64;

use crate::ClusterRecords;
use crate::counting::{ALL_CAMPAIGNS, counted};

/// Over how many CQL partitions the redemptions of a day are spread: of a million, 4 MB in each.
const SHARDS: u64 = 16;

/// Rows that are read or written at a time.
const AT_ONCE: usize = 32;

/// How long an index row is kept, in seconds, and with it a redemption of a coupon that is still hot is found:
/// 800 days. A redeemed coupon is archived when its redemption can no longer be cancelled; one whose redemption
/// was cancelled, when it expires.
const KEEP_S: i32 = 800 * 86_400;

/// Fewest index rows that are read at a time: some may be of coupons that were archived.
const LOOKED_MIN: usize = 64;

/// How long a page may take. What it has deleted by then, the next one does not look at.
const PAGE_LIMIT_MS: i64 = 20_000;

/// The last instant that somebody may ask for: the end of the year 9999.
const LAST: Millis = Millis(253_402_300_799_999);

/// Days that this process has listed lately: campaign, day and shard.
pub(crate) type Days = Mutex<HashSet<(String, i32, i32)>>;

/// Most of them; then it begins again.
const DAYS_MAX: usize = 100_000;

/// Redemptions of one CQL partition: its campaign, day and shard, and when which code was redeemed.
type ByPartition<'a> = BTreeMap<(&'a str, i32, i32), Vec<(Millis, &'a Code)>>;

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

/// Orders redemptions of one instant; never negative.
fn tie(code: &Code) -> i64 {
    signed(xxh3_64(code.as_str().as_bytes()) >> 1)
}

fn shard_of(code: &Code) -> i32 {
    i32::try_from(xxh3_64(code.as_str().as_bytes()) % SHARDS).unwrap_or(0)
}

impl ClusterRecords {
    /// Enters index rows of redemptions: first that their days have some.
    pub(crate) async fn enter_redemptions(&self, events: &[FeedEvent]) -> Result<()> {
        let redeemed = events.iter().filter_map(|event| {
            let coupon = counted(event).filter(|it| it.kind == CouponEventKind::Redeemed)?;
            Some((event.at, coupon))
        });
        let redeemed = redeemed.flat_map(|(at, coupon)| {
            let campaign = coupon.owner.campaign.as_str();
            [campaign, ALL_CAMPAIGNS].map(|campaign| (campaign, at, &coupon.code))
        });
        let mut by_partition = ByPartition::new();
        for (campaign, at, code) in redeemed {
            let rows = by_partition.entry((campaign, at.day().0, shard_of(code))).or_default();
            rows.push((at, code));
        }
        let writes = by_partition.into_iter().map(|((campaign, on, shard), rows)| async move {
            self.list_day(campaign, on, shard).await?;
            let cql = "UPDATE redemption USING TTL ? SET entered_at = ? WHERE campaign_id = ? \
                       AND redeemed_on = ? AND shard = ? AND redeemed_at = ? AND tie = ? AND code = ?";
            let now = CqlTimestamp(self.session.now_ms());
            let row = |(at, code): &(Millis, &Code)| {
                let key = (instant(*at), tie(code), code.as_str().to_owned());
                let (at, tie, code) = key;
                (KEEP_S, now, campaign, date(Day(on)), shard, at, tie, code)
            };
            self.session.write_all(cql, rows.iter().map(row).collect()).await
        });
        bounded_join(AT_ONCE, writes).await.map(|done: Vec<()>| drop(done))
    }

    async fn list_day(&self, campaign: &str, on: i32, shard: i32) -> Result<()> {
        let key = (campaign.to_owned(), on, shard);
        if self.days.lock().is_ok_and(|days| days.contains(&key)) {
            return Ok(());
        }
        let cql = "UPDATE redemption_day USING TTL ? SET entered_at = ? WHERE campaign_id = ? \
                   AND redeemed_on = ? AND shard = ?";
        let now = CqlTimestamp(self.session.now_ms());
        self.session.write(cql, (KEEP_S, now, campaign, date(Day(on)), shard)).await?;
        if let Ok(mut days) = self.days.lock() {
            if days.len() >= DAYS_MAX {
                days.clear();
            }
            days.insert(key);
        }
        Ok(())
    }

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
        if self.options.orders_keep.is_none() {
            return Ok(None);
        }
        self.count_for_reader().await;
        self.codes_of(order).await.map(Some)
    }

    async fn forget_orders(&self, _before: Day) -> Result<u64> {
        // The rows delete themselves.
        Ok(0)
    }
}
