//! Lists: index rows in the order of expiry, a bounded number of them, each checked against its
//! coupon.

use std::collections::BTreeMap;

use coupon::code::Code;
use coupon::ids::{CampaignId, UserId};
use coupon::time::{Day, Millis};
use scylla::value::{CqlDate, CqlTimestamp};

use super::Store;
use super::bounded_join::bounded_join;
use super::coupons::Located;
use super::session::{Result, StatementProfile};
use super::spread::Spread;
use super::values::{date, day, instant, millis, parsed, signed};
use hot::{ListOrder, ListPosition, ListQuery, ListScope, ListedPage, Tier};

/// Index rows that one page looks at, some 50 ms on an idle cluster. A page may end short of its
/// limit.
const SCAN_MAX: usize = 2_000;

/// Index rows that are read at a time from one partition.
const SLICE: i32 = 250;

/// Partitions of one day that are read at a time: all of most days.
const PARTITIONS_AT_ONCE: usize = 16;

/// Coupons that are read at a time.
const AT_ONCE: usize = 64;

/// An expiry beyond any coupon's, in both directions.
const FAR: i64 = i64::MAX / 4;

/// Where a coupon may be, and as what it is listed.
#[derive(Clone, Debug)]
struct IndexRow {
    expires_at: Millis,
    tie: i64,
    code: Code,
    day: Day,
    campaign: Option<String>,
}

type RawIndexRow = (CqlTimestamp, i64, String, CqlDate, Option<String>);

/// Open bounds of (expires_at, tie).
#[derive(Clone, Copy, Debug)]
struct Bounds {
    above: (Millis, i64),
    below: (Millis, i64),
}

impl Bounds {
    fn of(query: &ListQuery) -> Bounds {
        let span = &query.filter.expires;
        let above = span.from.map_or(Millis(-FAR), |from| from.plus_ms(-1));
        let below = span.before.unwrap_or(Millis(FAR));
        let mut bounds = Bounds { above: (above, i64::MAX), below: (below, i64::MIN) };
        bounds.behind(query.order, query.after.as_ref());
        bounds
    }

    fn behind(&mut self, order: ListOrder, after: Option<&ListPosition>) {
        let Some(after) = after else { return };
        let at = (after.expires_at, signed(after.tie));
        match order {
            ListOrder::Soonest => self.above = self.above.max(at),
            ListOrder::Latest => self.below = self.below.min(at),
        }
    }

    /// Whether something that expires on `on` can lie inside.
    fn touches(&self, on: Day) -> bool {
        on.end() >= self.above.0 && Day(on.0 - 1).end() < self.below.0
    }
}

impl Store {
    pub(super) async fn list_page(&self, query: &ListQuery) -> Result<ListedPage> {
        match &query.scope {
            ListScope::Holder(user) => self.list_wallet(user, query).await,
            ListScope::Campaign(id) => {
                let days = self.days_of(id).await?;
                self.list_days(days, Some(id), query).await
            }
            ListScope::Everybody => {
                let days = match (query.filter.expires.from, query.filter.expires.before) {
                    (Some(from), Some(before)) => {
                        let last = Day::expiry_day_of(before.plus_ms(-1));
                        (Day::expiry_day_of(from).0..=last.0).map(Day).collect()
                    }
                    // Without a span every day on which anything may expire.
                    _ => self.days_of_everybody().await?,
                };
                self.list_days(days, None, query).await
            }
        }
    }

    async fn days_of(&self, id: &CampaignId) -> Result<Vec<Day>> {
        let cql = "SELECT expires_on FROM campaign_day WHERE campaign_id = ?";
        let rows: Vec<(CqlDate,)> = self.cluster.scan(cql, (id.as_str(),)).await?;
        Ok(rows.into_iter().map(|(on,)| day(on)).collect())
    }

    async fn days_of_everybody(&self) -> Result<Vec<Day>> {
        let cql = "SELECT expires_on FROM campaign_day";
        let rows: Vec<(CqlDate,)> = self.cluster.scan(cql, ()).await?;
        let mut days: Vec<Day> = rows.into_iter().map(|(on,)| day(on)).collect();
        days.sort_unstable();
        days.dedup();
        Ok(days)
    }

    async fn list_wallet(&self, user: &UserId, query: &ListQuery) -> Result<ListedPage> {
        let mut page = Page::new(query);
        let mut bounds = Bounds::of(query);
        loop {
            let index_rows = self.wallet_slice(user, &bounds, query.order).await?;
            let is_last = index_rows.len() < SLICE as usize;
            let end = index_rows.last().map(position);
            page.looked_at += index_rows.len();
            let checked = self.checked(index_rows, Some(user), query).await?;
            if page.take(checked) {
                return Ok(page.finish(true));
            }
            if is_last || page.looked_at >= SCAN_MAX {
                return Ok(page.finish(!is_last));
            }
            bounds.behind(query.order, end.as_ref());
        }
    }

    async fn wallet_slice(
        &self,
        user: &UserId,
        bounds: &Bounds,
        order: ListOrder,
    ) -> Result<Vec<IndexRow>> {
        let cql = match order {
            ListOrder::Soonest => {
                "SELECT expires_at, tie, code, expiry_day FROM wallet WHERE user_id = ? \
                 AND (expires_at, tie) > (?, ?) AND (expires_at, tie) < (?, ?) \
                 ORDER BY expires_at ASC, tie ASC, code ASC LIMIT ?"
            }
            ListOrder::Latest => {
                "SELECT expires_at, tie, code, expiry_day FROM wallet WHERE user_id = ? \
                 AND (expires_at, tie) > (?, ?) AND (expires_at, tie) < (?, ?) \
                 ORDER BY expires_at DESC, tie DESC, code DESC LIMIT ?"
            }
        };
        let (above, below) = (bounds.above, bounds.below);
        let values = (user.as_str(), instant(above.0), above.1, instant(below.0), below.1, SLICE);
        let rows: Vec<(CqlTimestamp, i64, String, CqlDate)> =
            self.cluster.rows(StatementProfile::Read, cql, values).await?;
        let index_rows =
            rows.into_iter().map(|(at, tie, code, on)| index_row((at, tie, code, on, None)));
        index_rows.collect()
    }

    /// Lists what may expire on these days: each day's partitions merged.
    async fn list_days(
        &self,
        mut days: Vec<Day>,
        campaign: Option<&CampaignId>,
        query: &ListQuery,
    ) -> Result<ListedPage> {
        let mut page = Page::new(query);
        let mut bounds = Bounds::of(query);
        if query.order == ListOrder::Latest {
            days.reverse();
        }
        for on in days {
            while bounds.touches(on) {
                let (index_rows, is_last) = self.day_slice(on, &bounds, query.order).await?;
                let end = index_rows.last().map(position);
                page.looked_at += index_rows.len();
                let of_campaign = |index_row: &IndexRow| {
                    campaign.is_none_or(|id| index_row.campaign.as_deref() == Some(id.as_str()))
                };
                let index_rows = index_rows.into_iter().filter(of_campaign).collect();
                let checked = self.checked(index_rows, None, query).await?;
                if page.take(checked) {
                    return Ok(page.finish(true));
                }
                if is_last {
                    break;
                }
                bounds.behind(query.order, end.as_ref());
                if page.looked_at >= SCAN_MAX {
                    page.position = end;
                    return Ok(page.finish(true));
                }
            }
        }
        Ok(page.finish(false))
    }

    /// The next index rows of a day in their order, and whether there are no more behind them.
    async fn day_slice(
        &self,
        on: Day,
        bounds: &Bounds,
        order: ListOrder,
    ) -> Result<(Vec<IndexRow>, bool)> {
        let cql = match order {
            ListOrder::Soonest => {
                "SELECT expires_at, tie, code, expiry_day, campaign_id FROM expiring \
                 WHERE expires_on = ? AND shard = ? \
                 AND (expires_at, tie) > (?, ?) AND (expires_at, tie) < (?, ?) \
                 ORDER BY expires_at ASC, tie ASC, code ASC LIMIT ?"
            }
            ListOrder::Latest => {
                "SELECT expires_at, tie, code, expiry_day, campaign_id FROM expiring \
                 WHERE expires_on = ? AND shard = ? \
                 AND (expires_at, tie) > (?, ?) AND (expires_at, tie) < (?, ?) \
                 ORDER BY expires_at DESC, tie DESC, code DESC LIMIT ?"
            }
        };
        let (above, below) = (bounds.above, bounds.below);
        let partitions = self.partitions(Spread::Expiring, on).await?;
        let rows_max = slice_of(partitions.len());
        let slices = partitions.into_iter().map(|shard| {
            let values =
                (date(on), shard, instant(above.0), above.1, instant(below.0), below.1, rows_max);
            self.cluster.rows::<RawIndexRow>(StatementProfile::Read, cql, values)
        });
        let slices: Vec<Vec<RawIndexRow>> = bounded_join(PARTITIONS_AT_ONCE, slices).await?;
        let mut merged: BTreeMap<(Millis, i64, Code), IndexRow> = BTreeMap::new();
        // Behind the end of a slice that is full its partition may have more.
        let mut until: Option<(Millis, i64)> = None;
        for slice in slices {
            if slice.len() == rows_max as usize
                && let Some((at, tie, ..)) = slice.last()
            {
                let end = (millis(*at), *tie);
                until = Some(match (until, order) {
                    (None, _) => end,
                    (Some(other), ListOrder::Soonest) => other.min(end),
                    (Some(other), ListOrder::Latest) => other.max(end),
                });
            }
            for row in slice {
                let index_row = index_row(row)?;
                merged.insert(
                    (index_row.expires_at, index_row.tie, index_row.code.clone()),
                    index_row,
                );
            }
        }
        let inside = |index_row: &IndexRow| {
            let at = (index_row.expires_at, index_row.tie);
            until.is_none_or(|until| match order {
                ListOrder::Soonest => at <= until,
                ListOrder::Latest => at >= until,
            })
        };
        let mut index_rows: Vec<IndexRow> = merged.into_values().filter(inside).collect();
        if order == ListOrder::Latest {
            index_rows.reverse();
        }
        Ok((index_rows, until.is_none()))
    }

    /// The coupons that the index rows are right about and the filter leaves in.
    async fn checked(
        &self,
        index_rows: Vec<IndexRow>,
        holder: Option<&UserId>,
        query: &ListQuery,
    ) -> Result<Vec<(ListPosition, Option<Located>)>> {
        let looks = index_rows.into_iter().map(|index_row| async move {
            let located = self.indexed(&index_row).await?;
            let located = located.filter(|it| {
                it.tier == Tier::Hot
                    && it.coupon.expires_at() == index_row.expires_at
                    && holder.is_none_or(|holder| it.coupon.holder() == Some(holder))
                    && query.filter.holds(&it.coupon, query.now)
            });
            Ok((position(&index_row), located))
        });
        bounded_join(AT_ONCE, looks).await
    }

    async fn indexed(&self, index_row: &IndexRow) -> Result<Option<Located>> {
        let Some(bucket) = self.bucket(index_row.day, &index_row.code).await? else {
            return Ok(None);
        };
        match self.row_of(StatementProfile::Read, index_row.day, bucket, &index_row.code).await? {
            Some(row) if row.is_archived_marker() || row.forward_to().is_some() => Ok(None),
            Some(row) => self.located(&row, bucket).await.map(Some),
            None if self.is_sealed(index_row.day, bucket).await? => Ok(None),
            // On its way here, perhaps: it is found where it comes from, which brings it here.
            None => Ok(self.anywhere(&index_row.code).await?.filter(|it| it.coupon.version() > 0)),
        }
    }
}

/// Rows that are read at a time from each of so many partitions: of many fewer, since all of them are
/// held in memory and merged.
fn slice_of(partitions: usize) -> i32 {
    let many = i32::try_from(partitions / PARTITIONS_AT_ONCE).unwrap_or(i32::MAX);
    (SLICE / many.max(1)).clamp(8, SLICE)
}

fn index_row((at, tie, code, on, campaign): RawIndexRow) -> Result<IndexRow> {
    let code = parsed("code", &code)?;
    Ok(IndexRow { expires_at: millis(at), tie, code, day: day(on), campaign })
}

fn position(index_row: &IndexRow) -> ListPosition {
    ListPosition { expires_at: index_row.expires_at, tie: index_row.tie.unsigned_abs() }
}

/// A page that is filled.
struct Page {
    limit: usize,
    listed: ListedPage,
    looked_at: usize,
    /// Behind which index row the next page begins.
    position: Option<ListPosition>,
}

impl Page {
    fn new(query: &ListQuery) -> Page {
        let listed = ListedPage { coupons: Vec::new(), positions: Vec::new(), next: None };
        Page { limit: query.limit, listed, looked_at: 0, position: None }
    }

    /// Takes what was checked; whether the page is full.
    fn take(&mut self, checked: Vec<(ListPosition, Option<Located>)>) -> bool {
        for (position, located) in checked {
            if self.listed.coupons.len() == self.limit {
                return true;
            }
            self.position = Some(position.clone());
            if let Some(located) = located {
                self.listed.coupons.push(located.snapshot());
                self.listed.positions.push(position);
            }
        }
        false
    }

    fn finish(mut self, more: bool) -> ListedPage {
        self.listed.next = self.position.filter(|_| more);
        self.listed
    }
}
