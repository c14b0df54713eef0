//! Redemptions newest first, cancelled ones too.
//!
//! An index row stays when its coupon changes or is archived: readers look at the coupon. So of a time whose
//! redemptions are all archived, a page may have none, and says up to where it has looked.

use async_trait::async_trait;
use coupon::calendar::LAST_INSTANT;
use coupon::code::Code;
use coupon::ids::OrderRef;
use coupon::time::Millis;
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

/// Rows of the list of hours that are read together: of 30 hours at least.
const LISTED_MAX: usize = 1_024;

/// How many index rows a page looks at for each redemption that it may have: some are of archived coupons.
const LOOKED_PER_ROW: usize = 2;

/// Fewest index rows that a page looks at if there are more.
const LOOKED_MIN: usize = 64;

#[derive(Clone, Copy)]
struct RowWindow {
    from: Millis,
    /// Rows before this one, by their instant and tie.
    below: (Millis, i64),
}

impl RowWindow {
    fn of(query: &RedemptionQuery) -> RowWindow {
        let whole = (query.before.min(LAST_INSTANT), 0);
        let below = match &query.after {
            Some(after) => whole.min((after.at, after.tie.cast_signed())),
            None => whole,
        };
        RowWindow { from: query.from.max(Millis(0)), below }
    }
}

impl StoreRecords {
    /// The newest hours of one span before hour `until` that have rows in a window, newest first, and before which
    /// hour there are more.
    async fn hours_in(
        &self,
        campaign: &str,
        span: i64,
        window: RowWindow,
        until: i64,
    ) -> Result<(Vec<HourShard>, Option<i64>)> {
        let from = ordered(hour_of(window.from)).into();
        let range = RecordRange { from, ..RecordRange::last(LISTED_MAX) }.before(ordered(until));
        let rows = self.tables.scan(&hours_part(campaign, span), range).await?;
        let listed = rows.iter().map(|row| HourShard::of_key(&row.key));
        let mut listed: Vec<HourShard> = listed.collect::<Result<_>>()?;
        let cut = listed.last().map(|last| last.hour).filter(|_| rows.len() == LISTED_MAX);
        listed.retain(|it| Some(it.hour) != cut);
        let hours = listed.into_iter().flat_map(HourShard::all).collect();
        Ok((hours, cut.map(|hour| hour + 1)))
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
        let mut rows: Vec<IndexRow> = Vec::new();
        // Not all at a time: an hour may have thousands of partitions, each with enough for the page.
        for hours in hours.chunks(PARTS_MIN) {
            let reads = hours.iter().map(|hour| {
                let (part, range) = (hour.part(campaign), range.clone());
                async move { self.tables.scan(&part, range).await }
            });
            let read: Vec<Vec<RecordRow>> = bounded_join(AT_ONCE, reads).await?;
            for row in read.iter().flatten() {
                rows.push(index_row(&row.key)?);
            }
            rows.sort_unstable_by(|one, other| other.cmp(one));
            // The same in two partitions. A partition has each once, so those that are left fill the page if there are
            // more.
            rows.dedup();
            rows.truncate(limit);
        }
        Ok(rows)
    }

    async fn page(&self, query: &RedemptionQuery) -> Result<RedemptionPage> {
        let campaign = query.campaign.as_ref().map_or(ALL_CAMPAIGNS, |campaign| campaign.as_str());
        let (window, page) = (RowWindow::of(query), RedemptionPage::default());
        let may_look = (query.limit * LOOKED_PER_ROW).max(LOOKED_MIN);
        let mut search = PageSearch { window, rows_max: query.limit, may_look, page };
        let (first, last) = (span_of(hour_of(window.from)), span_of(hour_of(window.below.0)));
        for span in (first..=last).rev() {
            let mut until = Some(hour_of(search.window.below.0) + 1);
            while let Some(before) = until {
                let (hours, more) = self.hours_in(campaign, span, search.window, before).await?;
                for hours in some_at_a_time(&hours) {
                    if self.read_hours(campaign, hours, &mut search).await? {
                        return Ok(search.page);
                    }
                }
                until = more;
            }
        }
        Ok(search.page)
    }

    /// Reads some hours to their end, or until the page ends; whether it has.
    async fn read_hours(
        &self,
        campaign: &str,
        hours: &[HourShard],
        search: &mut PageSearch,
    ) -> Result<bool> {
        loop {
            let limit = (search.rows_max - search.page.rows.len()).min(search.may_look);
            let rows = self.rows_of_hours(campaign, hours, search.window, limit).await?;
            let coupons = rows.iter().map(|(_, _, code)| self.source.whereabouts(code));
            let coupons: Vec<Whereabouts> = bounded_join(AT_ONCE, coupons).await?;
            for (row, coupon) in rows.iter().zip(coupons) {
                if let Whereabouts::Hot(coupon) = coupon {
                    search.page.rows.extend(rows_of(&coupon, row));
                }
            }
            let Some((at, tie, _)) = rows.last().filter(|_| rows.len() == limit) else {
                return Ok(false);
            };
            search.window.below = (*at, *tie);
            search.may_look -= rows.len();
            if search.page.rows.len() >= search.rows_max || search.may_look == 0 {
                search.page.read_to = Some(position(*at, *tie));
                return Ok(true);
            }
        }
    }
}

/// A page that is being read.
struct PageSearch {
    window: RowWindow,
    rows_max: usize,
    /// How many index rows may still be looked at.
    may_look: usize,
    page: RedemptionPage,
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
    let row = |redemption| {
        let (position, snapshot) = (position(*at, *tie), snapshot.clone());
        RedemptionRow { position, redemption, snapshot }
    };
    snapshot.coupon.redemptions_at(*at).map(row).collect()
}

#[async_trait]
impl Redemptions for StoreRecords {
    async fn redemptions(&self, query: RedemptionQuery) -> Result<RedemptionPage> {
        self.count_for_reader().await;
        self.page(&query).await
    }

    async fn codes_of_order(&self, order: &OrderRef) -> Result<Option<Vec<Code>>> {
        if self.index.orders_keep.is_none() {
            return Ok(None);
        }
        self.count_for_reader().await;
        self.index.codes_of(order).await.map(Some)
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
