//! Where redemptions are found: by their order, and by campaign and UTC day, once more for all campaigns together.
//!
//! All of it are hints: whoever finds a coupon by one looks at its history, wherever the coupon is by then. So a
//! row may be written again, and may stay. Which days of a campaign have rows is listed in `redemption_day`.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coupon::code::Code;
use coupon::ids::OrderRef;
use coupon::time::{Day, Millis};
use cql_session::values::{date, instant, parsed, signed};
use cql_session::{CqlSession, Result, StatementProfile, bounded_join};
use scylla::value::CqlTimestamp;
use xxhash_rust::xxh3::xxh3_64;

use crate::counting::ALL_CAMPAIGNS;

/// Over how many CQL partitions the redemptions of a day are spread: of a million, 4 MB in each.
const SHARDS: u64 = 16;

/// Most codes that a search for an order returns. An order redeems a few coupons.
const CODES_MAX: i32 = 200;

/// Rows that are written at a time.
const AT_ONCE: usize = 32;

/// How long an index row is kept, in seconds, and with it a redemption of a coupon that is still hot is found:
/// 800 days. A redeemed coupon is archived when its redemption can no longer be cancelled; one whose redemption
/// was cancelled, when it expires.
const KEEP_S: i32 = 800 * 86_400;

/// The longest time to live that both engines take, in seconds.
const TTL_MAX: i32 = 630_720_000;

/// Most days that a process remembers to have listed; then it begins again.
const DAYS_MAX: usize = 100_000;

/// A redemption to be entered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Redeemed<'a> {
    pub(crate) campaign: &'a str,
    pub(crate) code: &'a Code,
    pub(crate) at: Millis,
    /// `None`: it is found without an entry, or it has none.
    pub(crate) order: Option<&'a str>,
}

/// Writes the index rows, and finds codes by an order.
pub(crate) struct RedemptionIndex {
    session: Arc<CqlSession>,
    orders_keep: Option<Duration>,
    /// Campaign, day and shard of those that this process has listed lately.
    days: Mutex<HashSet<(String, i32, i32)>>,
}

/// Redemptions of one CQL partition: its campaign, day and shard, and when which code was redeemed.
type ByPartition<'a> = BTreeMap<(&'a str, i32, i32), Vec<(Millis, &'a Code)>>;

fn hash_of(order: &str) -> i64 {
    xxh3_64(order.as_bytes()).cast_signed()
}

/// Orders redemptions of one instant; never negative.
fn tie(code: &Code) -> i64 {
    signed(xxh3_64(code.as_str().as_bytes()) >> 1)
}

pub(crate) fn shard_of(code: &Code) -> i32 {
    i32::try_from(xxh3_64(code.as_str().as_bytes()) % SHARDS).unwrap_or(0)
}

impl RedemptionIndex {
    /// Of a store that finds redemptions by their order for a time, or not at all.
    pub(crate) fn new(session: Arc<CqlSession>, orders_keep: Option<Duration>) -> RedemptionIndex {
        RedemptionIndex { session, orders_keep, days: Mutex::default() }
    }

    /// Whether redemptions are found by their order.
    pub(crate) fn has_orders(&self) -> bool {
        self.orders_keep.is_some()
    }

    /// Enters redemptions. The same again changes nothing.
    pub(crate) async fn enter(&self, redeemed: &[Redeemed<'_>]) -> Result<()> {
        self.enter_orders(redeemed).await?;
        self.enter_days(redeemed).await
    }

    async fn enter_orders(&self, redeemed: &[Redeemed<'_>]) -> Result<()> {
        let Some(keep) = self.orders_keep else { return Ok(()) };
        let ttl = i32::try_from(keep.as_secs()).unwrap_or(TTL_MAX).min(TTL_MAX);
        let with_order = redeemed.iter().filter_map(|it| Some((it, it.order?)));
        let writes = with_order.map(|(it, order)| async move {
            let cql = "UPDATE redeemed_by_order USING TTL ? SET redeemed_on = ? \
                       WHERE order_hash = ? AND code = ?";
            let values = (ttl, date(it.at.day()), hash_of(order), it.code.as_str());
            self.session.write(cql, values).await
        });
        bounded_join(AT_ONCE, writes).await.map(|_: Vec<()>| ())
    }

    async fn enter_days(&self, redeemed: &[Redeemed<'_>]) -> Result<()> {
        let mut by_partition = ByPartition::new();
        for &Redeemed { campaign, code, at, .. } in redeemed {
            for campaign in [campaign, ALL_CAMPAIGNS] {
                let key = (campaign, at.day().0, shard_of(code));
                by_partition.entry(key).or_default().push((at, code));
            }
        }
        let writes = by_partition.into_iter().map(|((campaign, on, shard), rows)| async move {
            // First that the day has some.
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
        bounded_join(AT_ONCE, writes).await.map(|_: Vec<()>| ())
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

    /// The coupons that an order may have redeemed.
    pub(crate) async fn codes_of(&self, order: &OrderRef) -> Result<Vec<Code>> {
        let cql = "SELECT code FROM redeemed_by_order WHERE order_hash = ? LIMIT ?";
        let values = (hash_of(order.as_str()), CODES_MAX);
        let rows: Vec<(String,)> = self.session.rows(StatementProfile::Read, cql, values).await?;
        rows.iter().map(|(code,)| parsed("redeemed_by_order.code", code)).collect()
    }
}
