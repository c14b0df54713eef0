//! Where redemptions are found: by their order, and by campaign and hour, once more for all campaigns together.
//!
//! All of it are hints: whoever finds a coupon by one looks at its history, wherever the coupon is by then. So a
//! row may be written again, and may stay. Which hours of a campaign have rows is listed in `redemption_hour`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coupon::code::Code;
use coupon::ids::OrderRef;
use coupon::time::Millis;
use cql_session::values::{date, instant, parsed, signed, tie};
use cql_session::{CqlSession, Result, StatementProfile, bounded_join};
use scylla::value::CqlTimestamp;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use crate::counting::ALL_CAMPAIGNS;

/// Over how many CQL partitions the redemptions of an hour are spread: at 800 a second 90,000 rows in each.
const SHARDS: u64 = 32;

/// Hours whose list is one CQL partition: of 30 days, 23,000 rows at most.
const SPAN_HOURS: i32 = 720;

const HOUR_MS: i64 = 3_600_000;

/// Most codes that a search for an order returns. An order redeems a few coupons. More are not entered: some shop
/// may send the same `order_ref` with everything that it sells.
const CODES_MAX: u16 = 200;

const AT_ONCE: usize = 32;

/// How long an index row is kept, in seconds, and with it a redemption of a coupon that is still hot is found:
/// 800 days. A redeemed coupon is archived when its redemption can no longer be cancelled; one whose redemption
/// was cancelled, when it expires.
const KEEP_S: i32 = 800 * 86_400;

/// The longest time to live that both engines take, in seconds.
const TTL_MAX: i32 = 630_720_000;

/// How much longer the list of hours is kept than their rows, in seconds, and so how long a process need not list an
/// hour again: a day.
const KEPT_LONGER_S: i32 = 86_400;

/// Most hours, and most orders, that a process remembers; then it begins again.
const REMEMBERED_MAX: usize = 100_000;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Redeemed<'a> {
    pub(crate) campaign: &'a str,
    pub(crate) code: &'a Code,
    pub(crate) at: Millis,
    /// `None`: it is found without an entry, or it has none.
    pub(crate) order: Option<&'a str>,
}

pub(crate) struct RedemptionIndex {
    session: Arc<CqlSession>,
    orders_keep: Option<Duration>,
    /// Campaign, hour and shard of those that this process has listed lately.
    listed: Mutex<HashMap<(String, i32, i32), Instant>>,
    /// How often this process has entered an order lately, by its hash.
    entered: Mutex<HashMap<i64, u16>>,
}

/// Redemptions of one CQL partition: its campaign, hour and shard, and when which code was redeemed.
type ByPartition<'a> = BTreeMap<(&'a str, i32, i32), Vec<(Millis, &'a Code)>>;

fn hash_of(order: &str) -> i64 {
    xxh3_64(order.as_bytes()).cast_signed()
}

/// Hours since 1970.
pub(crate) fn hour_of(at: Millis) -> i32 {
    i32::try_from(at.0.div_euclid(HOUR_MS)).unwrap_or(i32::MAX)
}

/// The CQL partition of the list of an hour.
pub(crate) fn span_of(hour: i32) -> i32 {
    hour.div_euclid(SPAN_HOURS)
}

fn shard_of(code: &Code) -> i32 {
    i32::try_from(xxh3_64(code.as_str().as_bytes()) % SHARDS).unwrap_or(0)
}

impl RedemptionIndex {
    pub(crate) fn new(session: Arc<CqlSession>, orders_keep: Option<Duration>) -> RedemptionIndex {
        let (listed, entered) = (Mutex::default(), Mutex::default());
        RedemptionIndex { session, orders_keep, listed, entered }
    }

    pub(crate) fn has_orders(&self) -> bool {
        self.orders_keep.is_some()
    }

    /// Enters redemptions. The same again changes nothing.
    pub(crate) async fn enter(&self, redeemed: &[Redeemed<'_>]) -> Result<()> {
        self.enter_orders(redeemed).await?;
        self.enter_hours(redeemed).await
    }

    async fn enter_orders(&self, redeemed: &[Redeemed<'_>]) -> Result<()> {
        let Some(keep) = self.orders_keep else { return Ok(()) };
        let ttl = i32::try_from(keep.as_secs()).unwrap_or(TTL_MAX).min(TTL_MAX);
        let with_order = redeemed.iter().filter_map(|it| Some((it, it.order?)));
        let with_order = with_order.filter(|(_, order)| self.has_room(hash_of(order)));
        let writes = with_order.map(|(it, order)| async move {
            let cql = "UPDATE redeemed_by_order USING TTL ? SET redeemed_on = ? \
                       WHERE order_hash = ? AND code = ?";
            let values = (ttl, date(it.at.day()), hash_of(order), it.code.as_str());
            self.session.write(cql, values).await
        });
        bounded_join(AT_ONCE, writes).await.map(|_: Vec<()>| ())
    }

    /// Whether there may be fewer than [`CODES_MAX`] entries of an order; counts one more.
    fn has_room(&self, order: i64) -> bool {
        let Ok(mut entered) = self.entered.lock() else { return true };
        if entered.len() >= REMEMBERED_MAX {
            entered.clear();
        }
        let count = entered.entry(order).or_default();
        let has_room = *count < CODES_MAX;
        *count += u16::from(has_room);
        has_room
    }

    async fn enter_hours(&self, redeemed: &[Redeemed<'_>]) -> Result<()> {
        let mut by_partition = ByPartition::new();
        for &Redeemed { campaign, code, at, .. } in redeemed {
            for campaign in [campaign, ALL_CAMPAIGNS] {
                let key = (campaign, hour_of(at), shard_of(code));
                by_partition.entry(key).or_default().push((at, code));
            }
        }
        let writes = by_partition.into_iter().map(|((campaign, hour, shard), rows)| async move {
            // Before the rows: readers look only at hours that are listed.
            self.list_hour(campaign, hour, shard).await?;
            let cql = "UPDATE redemption USING TTL ? SET entered_at = ? WHERE campaign_id = ? \
                       AND hour = ? AND shard = ? AND redeemed_at = ? AND tie = ? AND code = ?";
            let now = CqlTimestamp(self.session.now_ms());
            let row = |(at, code): &(Millis, &Code)| {
                let (at, tie, code) = (instant(*at), signed(tie(code)), code.as_str().to_owned());
                (KEEP_S, now, campaign, hour, shard, at, tie, code)
            };
            self.session.write_all(cql, rows.iter().map(row).collect()).await
        });
        bounded_join(AT_ONCE, writes).await.map(|_: Vec<()>| ())
    }

    async fn list_hour(&self, campaign: &str, hour: i32, shard: i32) -> Result<()> {
        let key = (campaign.to_owned(), hour, shard);
        let is_new =
            |since: &Instant| since.elapsed().as_secs() < KEPT_LONGER_S.unsigned_abs().into();
        if self.listed.lock().is_ok_and(|listed| listed.get(&key).is_some_and(is_new)) {
            return Ok(());
        }
        let since = Instant::now();
        let cql = "UPDATE redemption_hour USING TTL ? SET entered_at = ? WHERE campaign_id = ? \
                   AND span = ? AND hour = ? AND shard = ?";
        let now = CqlTimestamp(self.session.now_ms());
        let values = (KEEP_S + KEPT_LONGER_S, now, campaign, span_of(hour), hour, shard);
        self.session.write(cql, values).await?;
        if let Ok(mut listed) = self.listed.lock() {
            if listed.len() >= REMEMBERED_MAX {
                listed.clear();
            }
            listed.insert(key, since);
        }
        Ok(())
    }

    /// The coupons that an order may have redeemed.
    pub(crate) async fn codes_of(&self, order: &OrderRef) -> Result<Vec<Code>> {
        let cql = "SELECT code FROM redeemed_by_order WHERE order_hash = ? LIMIT ?";
        let values = (hash_of(order.as_str()), i32::from(CODES_MAX));
        let rows: Vec<(String,)> = self.session.rows(StatementProfile::Read, cql, values).await?;
        rows.iter().map(|(code,)| parsed("redeemed_by_order.code", code)).collect()
    }
}
