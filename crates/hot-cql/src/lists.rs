//! Lists: a bounded number of index rows in the order of expiry, each checked against its coupon.

mod slices;

use coupon::ids::{CampaignId, UserId};
use coupon::time::Day;
use hot::{ListOrder, ListPosition, ListQuery, ListScope, ListedPage, Tier, bounded_join};
use scylla::value::CqlDate;

use crate::CqlStore;
use crate::coupons::CqlCoupon;
use crate::values::day;
use cql_session::{Result, StatementProfile};
use slices::{IndexRow, SLICE, SliceBounds, position};

/// Index rows that one page reads, some 50 ms on an idle cluster. A page may have fewer coupons
/// than its limit.
const SCAN_MAX: usize = 2_000;

const AT_ONCE: usize = 64;

impl CqlStore {
    pub(crate) async fn list_page(&self, query: &ListQuery) -> Result<ListedPage> {
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
                    // Without a span, every day on which a coupon may expire.
                    _ => self.days_of_everybody().await?,
                };
                self.list_days(days, None, query).await
            }
        }
    }

    async fn days_of(&self, id: &CampaignId) -> Result<Vec<Day>> {
        let cql = "SELECT expires_on FROM campaign_day WHERE campaign_id = ?";
        let rows: Vec<(CqlDate,)> = self.session.scan(cql, (id.as_str(),)).await?;
        Ok(rows.into_iter().map(|(on,)| day(on)).collect())
    }

    async fn days_of_everybody(&self) -> Result<Vec<Day>> {
        let cql = "SELECT expires_on FROM campaign_day";
        let rows: Vec<(CqlDate,)> = self.session.scan(cql, ()).await?;
        let mut days: Vec<Day> = rows.into_iter().map(|(on,)| day(on)).collect();
        days.sort_unstable();
        days.dedup();
        Ok(days)
    }

    async fn list_wallet(&self, user: &UserId, query: &ListQuery) -> Result<ListedPage> {
        let mut page = ListBuilder::new(query);
        let mut bounds = SliceBounds::of(query);
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

    /// Lists what may expire on these days, with the CQL partitions of each day merged.
    async fn list_days(
        &self,
        mut days: Vec<Day>,
        campaign: Option<&CampaignId>,
        query: &ListQuery,
    ) -> Result<ListedPage> {
        let mut page = ListBuilder::new(query);
        let mut bounds = SliceBounds::of(query);
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

    /// The coupons of the index rows that are right and pass the filter.
    async fn checked(
        &self,
        index_rows: Vec<IndexRow>,
        holder: Option<&UserId>,
        query: &ListQuery,
    ) -> Result<Vec<(ListPosition, Option<CqlCoupon>)>> {
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

    async fn indexed(&self, index_row: &IndexRow) -> Result<Option<CqlCoupon>> {
        let (code, mut on) = (&index_row.code, index_row.day);
        loop {
            let Some(bucket) = self.bucket(on, code).await? else { return Ok(None) };
            let later = match self.row_of(StatementProfile::Read, on, bucket, code).await? {
                Some(row) if row.is_coupon() => return self.located(&row).await.map(Some),
                Some(row) => row.forward_to(),
                None if self.is_sealed(on, bucket).await? => self.directory_day(code).await?,
                // It may be on its way here: reading it where it comes from brings it here.
                None => return Ok(self.anywhere(code).await?.filter(|it| it.coupon.version() > 0)),
            };
            match later.filter(|later| *later > on) {
                // Who tried to give it to the same user from here, too late, has written this day over the right one.
                Some(later) => on = later,
                None => return Ok(None),
            }
        }
    }
}

struct ListBuilder {
    limit: usize,
    listed: ListedPage,
    looked_at: usize,
    /// The index row after which the next page begins.
    position: Option<ListPosition>,
}

impl ListBuilder {
    fn new(query: &ListQuery) -> ListBuilder {
        let listed = ListedPage { coupons: Vec::new(), positions: Vec::new(), next: None };
        ListBuilder { limit: query.limit, listed, looked_at: 0, position: None }
    }

    /// Adds what was checked; returns whether the page is full.
    fn take(&mut self, checked: Vec<(ListPosition, Option<CqlCoupon>)>) -> bool {
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
