//! Goes through the feed and adds up what happened, each event once.
//!
//! Any number of processes do this at the same time. Each row of sums names the last event that is in its numbers,
//! and is replaced together with them. So an event that is in a row is not added again, not even by a process that
//! was frozen for however long. One more row names a place in the feed up to which all rows have everything: a
//! process begins there. It is only moved from the place at which the process began.

use std::collections::BTreeMap;
use std::sync::Arc;

use coupon::time::Millis;
use coupon::worth::{RedemptionWorth, WorthSums};
use hot::activity::{ACTIVITY_KEEP, ALL_TIME, Activity, quarter_of};
use hot::feed::{CouponEventKind, CouponHappened, Feed, FeedEvent, FeedRead, FeedStart, Happened};
use hot::records::RecordSource;
use hot::tables::{RecordKind, RecordPart, RecordPut, RecordSync, Tables};
use hot::{HotError, bounded_join};

use crate::Result;
use crate::keys::{ALL_CAMPAIGNS, damaged, numbers, ordered};
use crate::redemption_index::{RedeemedCoupon, RedemptionIndex};

const SUMS: RecordKind = RecordKind { name: "activity", sync: RecordSync::Later };

const PLACE: RecordKind = RecordKind { name: "counted", sync: RecordSync::Later };

const EVENTS: usize = 1_000;

/// Sums that are written at a time: each is a conditional update.
const AT_ONCE: usize = 16;

/// For this long after a count, no other process begins one by itself.
const COUNTED_EVERY_MS: i64 = 55_000;

pub(crate) fn sums_part(campaign: &str) -> RecordPart {
    SUMS.part(campaign)
}

/// What was done in a quarter of an hour, and the last event that is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SumRow {
    pub(crate) sum: Activity,
    pub(crate) counted_to: Option<String>,
}

impl SumRow {
    pub(crate) fn read(value: &[u8]) -> Result<SumRow> {
        let (sums, texts) = numbers(value)?;
        let [issued, redeemed, cancelled] = sums.map(i64::unsigned_abs);
        let texts = str::from_utf8(texts).map_err(damaged)?;
        let (counted_to, worth) = texts.split_once('\n').unwrap_or((texts, ""));
        let worth = worth.parse().map_err(damaged)?;
        let sum = Activity { issued, redeemed, cancelled, worth };
        let counted_to = Some(counted_to.to_owned()).filter(|cursor| !cursor.is_empty());
        Ok(SumRow { sum, counted_to })
    }

    pub(crate) fn value(&self) -> Vec<u8> {
        let Activity { issued, redeemed, cancelled, worth } = &self.sum;
        let sums = [issued, redeemed, cancelled].map(|sum| ordered(sum.cast_signed()));
        let mut texts = self.counted_to.clone().unwrap_or_default();
        if !worth.is_empty() {
            texts.push_str(&format!("\n{worth}"));
        }
        [sums.as_flattened(), texts.as_bytes()].concat()
    }

    /// Written under the number of a quarter.
    pub(crate) fn put(&self, quarter: i64) -> RecordPut {
        let put = RecordPut::new(ordered(quarter), self.value());
        if quarter == ALL_TIME { put } else { put.kept_for(ACTIVITY_KEEP) }
    }
}

/// Up to where everything is counted, and when a process was there last.
struct CountedPlace {
    /// As it is stored; `None`: there is none yet.
    row: Option<Vec<u8>>,
    at: Millis,
    to: Option<String>,
}

/// Quarters of an hour.
const QUARTERS: i64 = 4;

/// An event, its kind, and the amounts of its redemption.
type CountedEvent<'a> = (&'a FeedEvent, CouponEventKind, Option<RedemptionWorth>);

/// The row of a sum, and the events that belong to it, in their order.
type EventsOfSums<'a> = BTreeMap<(&'a str, i64), Vec<CountedEvent<'a>>>;

pub(crate) struct EventCounter {
    pub(crate) tables: Arc<dyn Tables>,
    pub(crate) source: Arc<dyn RecordSource>,
    pub(crate) index: Arc<RedemptionIndex>,
}

impl EventCounter {
    /// Whether some process has counted a moment ago.
    pub(crate) async fn was_just_here(&self) -> Result<bool> {
        Ok(self.is_recent(&self.place().await?))
    }

    fn is_recent(&self, place: &CountedPlace) -> bool {
        // A place of the future was written by a clock that was wrong.
        (0..COUNTED_EVERY_MS).contains(&(self.source.now().0 - place.at.0))
    }

    pub(crate) async fn count(&self) -> Result<()> {
        let Some(feed) = self.source.feed() else { return Ok(()) };
        loop {
            let place = self.place().await?;
            let page = match self.read(feed, &place).await? {
                FeedRead::Page(page) => page,
                FeedRead::Gone { why, go_on } => {
                    tracing::warn!(?why, "some events were not counted: they are gone");
                    self.advance(&place, &go_on).await?;
                    continue;
                }
                FeedRead::Unknown => {
                    let why = "the feed does not know its oldest event";
                    return Err(HotError::Damaged(why.into()));
                }
            };
            let sums = events_of_sums(&page.events).into_iter();
            let sums = sums.map(|((campaign, quarter), events)| async move {
                let redeemed = self.add(campaign, quarter, &events).await?;
                if quarter != ALL_TIME {
                    // All processes have counted these, by turns.
                    let hour = quarter.div_euclid(QUARTERS);
                    self.index.raise(campaign, hour, redeemed * QUARTERS as u64);
                }
                Ok(())
            });
            bounded_join(AT_ONCE, sums).await.map(|_: Vec<()>| ())?;
            // Before the place moves: events behind it are never read again.
            self.index.enter(&redeemed_in(&page.events)).await?;
            // Only now: everything before it is in all rows. A page without events may be the end of a part of
            // the feed that has none.
            if !page.events.is_empty() || !self.is_recent(&place) || !page.is_end {
                self.advance(&place, &page.next).await?;
            }
            if page.is_end {
                return Ok(());
            }
        }
    }

    /// Events from the saved place. A cursor that the feed does not know is of a lost store: then
    /// reads from the oldest event; each row knows what is in it.
    async fn read(&self, feed: &dyn Feed, place: &CountedPlace) -> Result<FeedRead> {
        let start = place.to.clone().map_or(FeedStart::Oldest, FeedStart::After);
        match feed.events(start, EVENTS).await? {
            FeedRead::Unknown => feed.events(FeedStart::Oldest, EVENTS).await,
            known => Ok(known),
        }
    }

    async fn place(&self) -> Result<CountedPlace> {
        let row = self.tables.get(&PLACE.part(""), &[]).await?;
        let Some(value) = &row else { return Ok(CountedPlace { row, at: Millis(0), to: None }) };
        let ([at], to) = numbers(value)?;
        let to = String::from_utf8(to.to_vec()).map_err(damaged)?;
        Ok(CountedPlace { row, at: Millis(at), to: Some(to) })
    }

    /// Moves the beginning of the next count, unless another process has moved it: the next read shows.
    async fn advance(&self, from: &CountedPlace, to: &str) -> Result<()> {
        let value = [&ordered(self.source.now().0)[..], to.as_bytes()].concat();
        let next = RecordPut::new([], value);
        self.tables.replace(&PLACE.part(""), from.row.as_deref(), next).await.map(drop)
    }

    /// Adds those of some events of a row that are not in it. Returns how many redemptions it has then.
    async fn add(&self, campaign: &str, quarter: i64, events: &[CountedEvent<'_>]) -> Result<u64> {
        let (part, key) = (sums_part(campaign), ordered(quarter));
        loop {
            let seen = self.tables.get(&part, &key).await?;
            let mut row = seen.as_deref().map(SumRow::read).transpose()?.unwrap_or_default();
            let before = row.counted_to.take();
            let is_new = |event: &FeedEvent| {
                before.as_ref().is_none_or(|to| self.source.is_behind(&event.cursor, to))
            };
            for (event, kind, worth) in events.iter().filter(|(event, ..)| is_new(event)) {
                // Replaced together: an event that is in the row is not added twice.
                row.sum.add(&one(*kind, worth.as_ref()));
                row.counted_to = Some(event.cursor.clone());
            }
            if row.counted_to.is_none() {
                return Ok(row.sum.redeemed);
            }
            if self.tables.replace(&part, seen.as_deref(), row.put(quarter)).await? {
                return Ok(row.sum.redeemed);
            }
        }
    }
}

fn one(kind: CouponEventKind, worth: Option<&RedemptionWorth>) -> Activity {
    let is = |it| u64::from(kind == it);
    let worth = match kind {
        CouponEventKind::Redeemed => worth.map(WorthSums::redeemed),
        _ => worth.map(WorthSums::cancelled),
    };
    Activity {
        worth: worth.unwrap_or_default(),
        issued: is(CouponEventKind::Issued),
        redeemed: is(CouponEventKind::Redeemed),
        cancelled: is(CouponEventKind::RedemptionCancelled),
    }
}

fn redeemed_in(events: &[FeedEvent]) -> Vec<RedeemedCoupon<'_>> {
    let redeemed = events.iter().filter_map(|event| {
        let coupon = counted(event).filter(|it| it.kind == CouponEventKind::Redeemed)?;
        let (campaign, order) = (coupon.owner.campaign.as_str(), coupon.reference.as_deref());
        Some(RedeemedCoupon { campaign, code: &coupon.code, at: event.at, order })
    });
    redeemed.collect()
}

/// The coupon of an event that counts here.
fn counted(event: &FeedEvent) -> Option<&CouponHappened> {
    match &event.happened {
        Happened::Coupon(coupon) => Some(coupon).filter(|_| !event.is_repeat),
        Happened::AuditEvent { .. } => None,
    }
}

fn events_of_sums(events: &[FeedEvent]) -> EventsOfSums<'_> {
    let mut sums = EventsOfSums::new();
    for event in events {
        let Some(coupon) = counted(event) else { continue };
        if one(coupon.kind, None) == Activity::default() {
            continue;
        }
        let all_time = coupon.worth.map(|_| ALL_TIME);
        for campaign in [coupon.owner.campaign.as_str(), ALL_CAMPAIGNS] {
            for quarter in [quarter_of(event.at)].into_iter().chain(all_time) {
                let row = sums.entry((campaign, quarter)).or_default();
                row.push((event, coupon.kind, coupon.worth));
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_read_back() {
        for worth in ["", "KRW 2 60000 6000 6000 1 30000 3000 3000;USD 1 500 0 0 0 0 0 0"] {
            let worth = worth.parse().expect("sums");
            let sum = Activity { issued: 3, redeemed: 2, cancelled: 1, worth };
            for counted_to in [None, Some("0a-1-2".to_owned())] {
                let row = SumRow { sum: sum.clone(), counted_to };
                assert_eq!(SumRow::read(&row.value()).expect("a row"), row);
            }
        }
        assert!(SumRow::read(b"short").is_err());
    }
}
