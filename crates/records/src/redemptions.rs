//! Redemptions newest first, cancelled ones too.
//!
//! An index row stays when its coupon changes or is archived: readers look at the coupon. So of a time whose
//! redemptions are all archived, a page may have none, and says up to where it has looked.

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::EventKind;
use coupon::ids::OrderRef;
use coupon::time::{Day, Millis};
use hot::records::Whereabouts;
use hot::redemptions::{
    RedemptionPage, RedemptionPosition, RedemptionQuery, RedemptionRow, Redemptions,
};
use hot::tables::{RecordRange, RecordRow};
use hot::{CouponSnapshot, bounded_join};

use crate::keys::{ALL_CAMPAIGNS, ordered};
use crate::redemption_index::{
    HourShard, IndexRow, hour_of, hours_part, index_row, row_key, span_of,
};
use crate::{Result, StoreRecords};

const AT_ONCE: usize = 32;

/// Partitions of a campaign with few redemptions that are read together.
const PARTS_MIN: usize = 64;

/// How many index rows a page looks at for each redemption that it may have: some are of archived coupons.
const LOOKED_PER_ROW: usize = 2;

/// Fewest index rows that a page looks at if there are more.
const LOOKED_MIN: usize = 64;

/// The last instant that somebody may ask for: the end of the year 9999.
const LAST: Millis = Millis(253_402_300_799_999);

#[derive(Clone, Copy)]
struct RowWindow {
    from: Millis,
    /// Rows before this one, by their instant and tie.
    below: (Millis, i64),
}

impl RowWindow {
    fn of(query: &RedemptionQuery) -> RowWindow {
        let whole = (query.before.min(LAST), 0);
        let below = match &query.after {
            Some(after) => whole.min((after.at, after.tie.cast_signed())),
            None => whole,
        };
        RowWindow { from: query.from.max(Millis(0)), below }
    }
}

impl StoreRecords {
    /// The hours of one span that have rows in a window, newest first.
    async fn hours_in(
        &self,
        campaign: &str,
        span: i64,
        window: RowWindow,
    ) -> Result<Vec<HourShard>> {
        let from = ordered(hour_of(window.from)).into();
        let range = RecordRange { from, ..RecordRange::last(usize::MAX) };
        let range = range.before(ordered(hour_of(window.below.0) + 1));
        let rows = self.tables.scan(&hours_part(campaign, span), range).await?;
        rows.iter().map(|row| HourShard::of_key(&row.key)).collect()
    }

    /// The first index rows of some hours in a window, at most `limit`.
    async fn rows_of_hours(
        &self,
        campaign: &str,
        hours: &[HourShard],
        window: RowWindow,
        limit: usize,
    ) -> Result<Vec<IndexRow>> {
        let (at, tie) = window.below;
        let from = row_key(window.from, 0, "");
        let range = RecordRange { from, ..RecordRange::last(limit) }.before(row_key(at, tie, ""));
        let reads = hours.iter().map(|hour| {
            let (part, range) = (hour.part(campaign), range.clone());
            async move { self.tables.scan(&part, range).await }
        });
        let read: Vec<Vec<RecordRow>> = bounded_join(AT_ONCE, reads).await?;
        let rows = read.iter().flatten().map(|row| index_row(&row.key));
        let mut rows: Vec<IndexRow> = rows.collect::<Result<_>>()?;
        rows.sort_unstable_by(|one, other| other.cmp(one));
        // The same in two partitions. A partition has each once, so those that are left fill the page if there are more.
        rows.dedup();
        rows.truncate(limit);
        Ok(rows)
    }

    async fn page(&self, query: &RedemptionQuery) -> Result<RedemptionPage> {
        let campaign = query.campaign.as_ref().map_or(ALL_CAMPAIGNS, |campaign| campaign.as_str());
        let mut window = RowWindow::of(query);
        let (first, last) = (span_of(hour_of(window.from)), span_of(hour_of(window.below.0)));
        let mut page = RedemptionPage::default();
        let mut may_look = (query.limit * LOOKED_PER_ROW).max(LOOKED_MIN);
        for span in (first..=last).rev() {
            let hours = self.hours_in(campaign, span, window).await?;
            for hours in some_at_a_time(&hours) {
                loop {
                    let limit = (query.limit - page.rows.len()).min(may_look);
                    let rows = self.rows_of_hours(campaign, hours, window, limit).await?;
                    let coupons = rows.iter().map(|(_, _, code)| self.source.whereabouts(code));
                    let coupons: Vec<Whereabouts> = bounded_join(AT_ONCE, coupons).await?;
                    for (row, coupon) in rows.iter().zip(coupons) {
                        if let Whereabouts::Hot(coupon) = coupon {
                            page.rows.extend(rows_of(&coupon, row));
                        }
                    }
                    let Some((at, tie, _)) = rows.last().filter(|_| rows.len() == limit) else {
                        break;
                    };
                    window.below = (*at, *tie);
                    may_look -= rows.len();
                    if page.rows.len() >= query.limit || may_look == 0 {
                        page.read_to = Some(position(*at, *tie));
                        return Ok(page);
                    }
                }
            }
        }
        Ok(page)
    }
}

/// Whole hours, with a number of partitions that is worth a round.
fn some_at_a_time(hours: &[HourShard]) -> Vec<&[HourShard]> {
    let (mut some, mut begins) = (Vec::new(), 0);
    for (at, pair) in hours.windows(2).enumerate() {
        if pair[0].hour != pair[1].hour && at + 1 - begins >= PARTS_MIN {
            some.push(&hours[begins..=at]);
            begins = at + 1;
        }
    }
    some.push(&hours[begins..]);
    some
}

fn position(at: Millis, tie: i64) -> RedemptionPosition {
    RedemptionPosition { at, tie: tie.unsigned_abs() }
}

/// The redemptions of a coupon that were made at the instant of an index row.
fn rows_of(snapshot: &CouponSnapshot, (at, tie, _): &IndexRow) -> Vec<RedemptionRow> {
    let coupon = &snapshot.coupon;
    let made = coupon.events().iter().filter(|event| event.at == *at);
    let made = made.filter_map(|event| match &event.kind {
        EventKind::Redeemed { order, .. } => coupon.redemption_of(order),
        _ => None,
    });
    let row = |redemption| {
        let (position, snapshot) = (position(*at, *tie), snapshot.clone());
        RedemptionRow { position, redemption, snapshot }
    };
    made.map(row).collect()
}

#[async_trait]
impl Redemptions for StoreRecords {
    async fn redemptions(&self, query: RedemptionQuery) -> Result<RedemptionPage> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_read_whole_and_some_together() {
        let hours = |of: &[(i64, i64)]| {
            let shards = |&(hour, shards): &(i64, i64)| {
                (0..shards).map(move |shard| HourShard { hour, shard })
            };
            of.iter().flat_map(shards).collect::<Vec<HourShard>>()
        };
        type Row<'a> = (&'a str, &'a [(i64, i64)], &'a [usize]);
        let rows: [Row<'_>; 4] = [
            ("none", &[], &[0]),
            ("few", &[(9, 3), (7, 2)], &[5]),
            ("many in one hour", &[(9, 100), (8, 1), (7, 1)], &[100, 2]),
            ("many hours", &[(9, 32), (8, 32), (7, 32), (6, 32), (5, 1)], &[64, 64, 1]),
        ];
        for (name, of, want) in rows {
            let hours = hours(of);
            let some = some_at_a_time(&hours);
            assert_eq!(some.concat(), hours, "{name}");
            assert_eq!(some.iter().map(|it| it.len()).collect::<Vec<_>>(), want, "{name}");
        }
    }
}
