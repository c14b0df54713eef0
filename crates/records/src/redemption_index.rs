//! Where redemptions are found: by their order, and by campaign and hour, once more for all campaigns together.
//!
//! All rows are hints: a reader looks at the history of the coupon, wherever the coupon is by then. So a
//! row may be written again, and may stay. Which hours of a campaign have rows is listed apart.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use coupon::code::Code;
use coupon::ids::OrderRef;
use coupon::time::Millis;
use hot::bounded_join;
use hot::inventory::OrderEntry;
use hot::tables::{RecordKind, RecordPart, RecordPut, RecordRange, RecordRow, RecordSync, Tables};
use parking_lot::Mutex;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use crate::Result;
use crate::keys::{ALL_CAMPAIGNS, damaged, numbers, ordered};

/// The coupons of an order, under a hash of it.
const ORDER: RecordKind = RecordKind { name: "order", sync: RecordSync::Later };

/// The redemptions of a campaign in an hour. Each is spread over some partitions by a hash of the code.
const REDEEMED: RecordKind = RecordKind { name: "redemption", sync: RecordSync::Later };

/// The partitions of a campaign that may have redemptions.
const HOURS: RecordKind = RecordKind { name: "redeemed_hour", sync: RecordSync::Later };

/// Over how many partitions the redemptions of an hour are spread: the first ones, then more when those are full. At
/// 70,000 a second, 32,768 rows in each.
const LEVELS: [u64; 3] = [32, 512, 8_192];

/// Redemptions that are entered in a partition of a level before the next one begins. Those that an import brings are
/// counted by each process for itself: with two of them it is 65,536.
const SHARD_ROWS: u64 = 32_768;

/// Hours that are listed in one partition: of 30 days, 23,000 rows, and 1,400 more if each has redemptions on all levels.
const SPAN_HOURS: i64 = 720;

const HOUR_MS: i64 = 3_600_000;

pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// Most codes that a search for an order returns. An order redeems a few coupons. More are not entered: some shop
/// may send the same `order_ref` with everything that it sells.
const CODES_MAX: u16 = 200;

const AT_ONCE: usize = 32;

/// Rows of one write: a cluster refuses writes of 50 kB, and an index row has some 60 bytes.
const PUT_MAX: usize = 200;

/// How long an index row is kept. A redeemed coupon is archived when its redemption can no longer be cancelled, which
/// takes 366 days at most, and is found in the archive from then on.
const KEEP: Duration = DAY.saturating_mul(400);

/// How long a process need not list an hour again: it is kept so much longer than its rows.
const LISTED_AGAIN: Duration = DAY;

/// Most hours, and most orders, that a process remembers; then it begins again.
const REMEMBERED_MAX: usize = 100_000;

#[derive(Clone, Copy, Debug)]
pub(crate) struct RedeemedCoupon<'a> {
    pub(crate) campaign: &'a str,
    pub(crate) code: &'a Code,
    pub(crate) at: Millis,
    /// `None`: it is found without an entry, or it has none.
    pub(crate) order: Option<&'a str>,
}

/// The partitions of a campaign in which redemptions are: the newest come last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HourShard {
    /// Since 1970.
    pub(crate) hour: i64,
    pub(crate) shard: i64,
}

impl HourShard {
    /// Where the next redemption goes of an hour that has `entered` ones. Readers look wherever an hour has rows, so
    /// two processes may put the same one into two partitions.
    fn of(at: Millis, code: &Code, entered: u64) -> HourShard {
        let (first, shards) = level_of(entered);
        let shard = first + xxh3_64(code.as_str().as_bytes()) % shards;
        HourShard { hour: hour_of(at), shard: shard.cast_signed() }
    }

    pub(crate) fn part(self, campaign: &str) -> RecordPart {
        REDEEMED.part([&ordered(self.hour)[..], &ordered(self.shard), campaign.as_bytes()].concat())
    }

    fn key(self) -> Vec<u8> {
        [ordered(self.hour), ordered(self.shard)].concat()
    }

    /// What a key in the list of hours stands for, without the partitions of its level that are not listed.
    pub(crate) fn of_key(key: &[u8]) -> Result<HourShard> {
        let ([hour, shard], _) = numbers(key)?;
        Ok(HourShard { hour, shard })
    }

    /// The one under which this is listed: itself on the first level, and on another one the first of the level.
    fn listed(self) -> HourShard {
        let shard = self.shard.cast_unsigned();
        let above = levels().skip(1).map(|(first, _)| first).take_while(|first| *first <= shard);
        HourShard { hour: self.hour, shard: above.last().unwrap_or(shard).cast_signed() }
    }

    /// All that are listed under this one.
    pub(crate) fn all(self) -> impl Iterator<Item = HourShard> {
        let shard = self.shard.cast_unsigned();
        let level = levels().skip(1).find(|(first, _)| *first == shard);
        let (first, shards) = level.unwrap_or((shard, 1));
        let hour = self.hour;
        (first..first + shards).map(move |shard| HourShard { hour, shard: shard.cast_signed() })
    }
}

/// The number of the first partition of a level, and how many the level has.
fn level_of(entered: u64) -> (u64, u64) {
    let is_begun = |(first, _): &(u64, u64)| first * SHARD_ROWS <= entered;
    levels().take_while(is_begun).last().unwrap_or((0, LEVELS[0]))
}

/// The same of each level. The partitions before it are full when it begins.
fn levels() -> impl Iterator<Item = (u64, u64)> {
    let end = |first: &mut u64, shards: u64| {
        *first += shards;
        Some((*first - shards, shards))
    };
    LEVELS.into_iter().scan(0, end)
}

/// A row: when it was redeemed, the tie, and the code.
pub(crate) type IndexRow = (Millis, i64, Code);

/// The key of the row; or where the rows of this instant and tie begin.
pub(crate) fn row_key(at: Millis, tie: i64, code: &str) -> Vec<u8> {
    [&ordered(at.0)[..], &ordered(tie), code.as_bytes()].concat()
}

pub(crate) fn index_row(key: &[u8]) -> Result<IndexRow> {
    let ([at, tie], code) = numbers(key)?;
    let code = std::str::from_utf8(code).map_err(damaged)?.parse().map_err(damaged)?;
    Ok((Millis(at), tie, code))
}

pub(crate) fn hour_of(at: Millis) -> i64 {
    at.0.div_euclid(HOUR_MS)
}

/// The hours that are listed together, by a number.
pub(crate) fn span_of(hour: i64) -> i64 {
    hour.div_euclid(SPAN_HOURS)
}

pub(crate) fn hours_part(campaign: &str, span: i64) -> RecordPart {
    HOURS.part([&ordered(span)[..], campaign.as_bytes()].concat())
}

fn hash_of(order: &str) -> i64 {
    xxh3_64(order.as_bytes()).cast_signed()
}

/// By the hash of an order, or of what a copy has brought by the shorter hash of [`OrderEntry`].
pub(crate) fn order_part(hash: i64) -> RecordPart {
    ORDER.part(ordered(hash))
}

pub(crate) struct RedemptionIndex {
    tables: Arc<dyn Tables>,
    pub(crate) orders_keep: Option<Duration>,
    /// Those that this process has listed lately, with their campaigns.
    listed: Mutex<HashMap<(String, HourShard), Instant>>,
    /// How often this process has entered an order lately, by its hash.
    entered: Mutex<HashMap<i64, u16>>,
    /// How many redemptions have been entered lately, by campaign and hour: by this process, or by all as far as it
    /// knows.
    in_hour: Mutex<HashMap<(String, i64), u64>>,
}

impl RedemptionIndex {
    pub(crate) fn new(tables: Arc<dyn Tables>, orders_keep: Option<Duration>) -> RedemptionIndex {
        let (listed, entered, in_hour) = (Mutex::default(), Mutex::default(), Mutex::default());
        RedemptionIndex { tables, orders_keep, listed, entered, in_hour }
    }

    /// Enters redemptions. The same again changes nothing.
    pub(crate) async fn enter(&self, redeemed: &[RedeemedCoupon<'_>]) -> Result<()> {
        self.enter_orders(redeemed).await?;
        self.enter_hours(redeemed).await
    }

    async fn enter_orders(&self, redeemed: &[RedeemedCoupon<'_>]) -> Result<()> {
        let Some(keep) = self.orders_keep else { return Ok(()) };
        let with_order = redeemed.iter().filter_map(|it| Some((it.code, it.order?)));
        let with_order = with_order.filter(|(_, order)| self.has_room(hash_of(order)));
        let writes = with_order.map(|(code, order)| async move {
            let row = RecordPut::new(code.as_str(), []).kept_for(keep);
            self.tables.put(&order_part(hash_of(order)), vec![row]).await
        });
        bounded_join(AT_ONCE, writes).await.map(|_: Vec<()>| ())
    }

    /// Whether there may be fewer than [`CODES_MAX`] entries of an order; counts one more.
    fn has_room(&self, order: i64) -> bool {
        let mut entered = self.entered.lock();
        if entered.len() >= REMEMBERED_MAX {
            entered.clear();
        }
        let count = entered.entry(order).or_default();
        let has_room = *count < CODES_MAX;
        *count += u16::from(has_room);
        has_room
    }

    async fn enter_hours(&self, redeemed: &[RedeemedCoupon<'_>]) -> Result<()> {
        let mut by_partition = BTreeMap::<(&str, HourShard), Vec<RecordPut>>::new();
        for &RedeemedCoupon { campaign, code, at, .. } in redeemed {
            let key = row_key(at, hot::tie(code).cast_signed(), code.as_str());
            for campaign in [campaign, ALL_CAMPAIGNS] {
                let row = RecordPut::new(key.clone(), []).kept_for(KEEP);
                let shard = HourShard::of(at, code, self.count(campaign, hour_of(at)));
                by_partition.entry((campaign, shard)).or_default().push(row);
            }
        }
        let writes = by_partition.into_iter().map(|((campaign, hour), rows)| async move {
            // Before the rows: readers look only at hours that are listed.
            self.list_hour(campaign, hour.listed()).await?;
            for rows in rows.chunks(PUT_MAX) {
                self.tables.put(&hour.part(campaign), rows.to_vec()).await?;
            }
            Ok(())
        });
        bounded_join(AT_ONCE, writes).await.map(|_: Vec<()>| ())
    }

    /// How many redemptions of an hour have been entered; counts one more.
    fn count(&self, campaign: &str, hour: i64) -> u64 {
        self.counted(campaign, hour, |count| {
            *count += 1;
            *count - 1
        })
    }

    /// Other processes have entered redemptions of an hour, too: so many altogether.
    pub(crate) fn raise(&self, campaign: &str, hour: i64, entered: u64) {
        self.counted(campaign, hour, |count| {
            *count = entered.max(*count);
            *count
        });
    }

    fn counted(&self, campaign: &str, hour: i64, change: impl FnOnce(&mut u64) -> u64) -> u64 {
        let mut in_hour = self.in_hour.lock();
        if in_hour.len() >= REMEMBERED_MAX {
            in_hour.clear();
        }
        change(in_hour.entry((campaign.to_owned(), hour)).or_default())
    }

    async fn list_hour(&self, campaign: &str, hour: HourShard) -> Result<()> {
        let key = (campaign.to_owned(), hour);
        let is_new = |since: &Instant| since.elapsed() < LISTED_AGAIN;
        if self.listed.lock().get(&key).is_some_and(is_new) {
            return Ok(());
        }
        // Before the write: the engine counts the time of the row from a later moment.
        let since = Instant::now();
        let row = RecordPut::new(hour.key(), []).kept_for(KEEP + LISTED_AGAIN);
        self.tables.put(&hours_part(campaign, span_of(hour.hour)), vec![row]).await?;
        let mut listed = self.listed.lock();
        if listed.len() >= REMEMBERED_MAX {
            listed.clear();
        }
        listed.insert(key, since);
        Ok(())
    }

    /// The coupons that an order may have redeemed.
    pub(crate) async fn codes_of(&self, order: &OrderRef) -> Result<Vec<Code>> {
        let order = order.as_str();
        let code = |row: RecordRow| {
            std::str::from_utf8(&row.key).map_err(damaged)?.parse().map_err(damaged)
        };
        let mut codes = BTreeSet::new();
        for part in [order_part(hash_of(order)), order_part(OrderEntry::hash_of(order).into())] {
            let rows = self.tables.scan(&part, RecordRange::first(CODES_MAX.into())).await?;
            codes.extend(rows.into_iter().map(code).collect::<Result<Vec<Code>>>()?);
        }
        Ok(codes.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of a partition that may be deleted before the engine forgets them.
    const TOMBSTONES_MAX: u64 = 100_000;

    #[test]
    fn a_level_is_listed_once_and_read_whole() {
        let rows = [(0, 0, 1), (31, 31, 1), (32, 32, 512), (543, 32, 512), (544, 544, 8_192)];
        for (shard, want, count) in rows {
            let listed = HourShard { hour: 7, shard }.listed();
            assert_eq!(listed, HourShard { hour: 7, shard: want });
            let all: Vec<HourShard> = listed.all().collect();
            assert!(all.contains(&HourShard { hour: 7, shard }) && all.len() == count, "{shard}");
        }
    }

    #[test]
    fn no_partition_of_an_hour_is_too_large() {
        // Redemptions a second for an hour, and over how many partitions they are spread.
        let rows = [(1, 32), (290, 32), (800, 544), (4_900, 544), (20_000, 8_736), (70_000, 8_736)];
        for (rate, want) in rows {
            let mut on_level = BTreeMap::new();
            for entered in (0..rate * 3_600).step_by(100) {
                *on_level.entry(level_of(entered)).or_insert(0) += 100;
            }
            assert_eq!(on_level.keys().map(|(_, shards)| shards).sum::<u64>(), want, "{rate}");
            for ((first, shards), entered) in on_level {
                // Another process has entered as many.
                let most = 2 * entered / shards;
                assert!(most < TOMBSTONES_MAX, "{rate}: {most} rows in each from {first} on");
            }
        }
    }
}
