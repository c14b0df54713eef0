//! Redemptions, for people who look one up: by the order that made it, or newest first.
//!
//! A page over both tiers obeys the invariants of [`crate::pages`]: it reads hot first and cold after it, and
//! of redemptions of one instant those of hot come first.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::ops::RangeInclusive;

use cold::ScanFilter;
use coupon::calendar::{Date, Zone};
use coupon::coupon::{Coupon, Redemption};
use coupon::ids::{CampaignId, OrderRef};
use coupon::imported::code_of_import_order;
use coupon::time::{Day, Millis};
use hot::redemptions::{RedemptionPosition, RedemptionQuery, RedemptionRow, Redemptions};
use hot::{CouponSnapshot, ListOrder, Tier};
use router::Found;

use crate::activity::must_be_short;
use crate::archive::in_time;
use crate::failure::{Failure, Result};
use crate::history::{RedemptionEntry, redemptions_of};
use crate::pages::TieBreaker;
use crate::pages::archived::ARCHIVED_MAX;
use crate::{Caller, Engine, Role};

/// Longest span of one request, in days.
pub const REDEMPTION_DAYS_MAX: u16 = 366;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedemptionListRequest {
    pub order: Option<OrderRef>,
    pub campaign: Option<CampaignId>,
    /// The days on which they were made, both ends inclusive. Needed without an order.
    pub days: Option<RangeInclusive<Date>>,
    /// The zone of the days. Without it, that of the campaign if one is named, else UTC.
    pub zone: Option<Zone>,
    /// Only those after this position. Those of an order are all on one page.
    pub after: Option<RedeemedPosition>,
    pub limit: usize,
}

/// Where a page of redemptions ended: the next page begins after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedeemedPosition {
    pub at: Millis,
    /// Orders redemptions of one instant.
    pub tie: TieBreaker,
}

/// Some redemptions, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedemptionListView {
    pub redemptions: Vec<RedemptionEntry>,
    pub zone: Zone,
    pub next: Option<RedeemedPosition>,
}

struct RedemptionFilter {
    campaign: Option<CampaignId>,
    days: Option<RangeInclusive<Date>>,
    zone: Zone,
}

/// A redemption of a coupon, at its place in the list.
struct ListedRedemption {
    position: RedeemedPosition,
    order: OrderRef,
    snapshot: CouponSnapshot,
}

/// The redemptions of archived coupons for a page, and how far cold was read if there are more.
type ArchivedListed = (Vec<ListedRedemption>, Option<RedeemedPosition>);

impl RedeemedPosition {
    fn order(&self, other: &RedeemedPosition) -> Ordering {
        other.at.cmp(&self.at).then_with(|| self.tie.order(&other.tie, ListOrder::Latest))
    }

    /// The position in hot after which everything lies that is after this one.
    fn in_hot(&self) -> RedemptionPosition {
        RedemptionPosition { at: self.at, tie: self.tie.in_hot(ListOrder::Latest) }
    }
}

impl Engine {
    /// Reads one page of redemptions, live and cancelled. `None`: the store cannot find them.
    ///
    /// # Errors
    /// `Forbidden` for users; `NotFound` for the campaign; `Invalid` for a request that would look at
    /// everything.
    pub async fn redemptions(
        &self,
        caller: &Caller,
        request: RedemptionListRequest,
    ) -> Result<Option<RedemptionListView>> {
        caller.must_be(&[Role::Shop, Role::Operator, Role::Admin])?;
        let Some(store) = self.hot.redemptions() else { return Ok(None) };
        let RedemptionListRequest { order, campaign, days, zone, after, limit } = request;
        let zone = self.zone_of_days(campaign.as_ref(), zone).await?;
        if let Some(days) = &days {
            must_be_short(days, REDEMPTION_DAYS_MAX)?;
        }
        let within = RedemptionFilter { campaign, days, zone };
        let (listed, next) = match (order, within.instants()) {
            (Some(order), _) => match self.of_order(store, &order, &within).await? {
                Some(listed) => (listed, None),
                None => return Ok(None),
            },
            (None, Some(span)) => self.page_of(store, &within, span, after, limit).await?,
            (None, None) => {
                return Err(Failure::invalid("from", "is missing: give order_ref, or from and to"));
            }
        };
        let redemptions = listed.iter().filter_map(|it| self.entry(it, &within.zone)).collect();
        Ok(Some(RedemptionListView { redemptions, zone: within.zone, next }))
    }

    /// Deletes what is known of the orders of redemptions that were made more than `days` days ago.
    pub async fn forget_orders(&self, days: i32) -> Result<u64> {
        let Some(store) = self.hot.redemptions() else { return Ok(0) };
        Ok(store.forget_orders(Day(self.now().day().0.saturating_sub(days))).await?)
    }

    /// The coupons that an order has redeemed, also those that it gave back, of one campaign or of all; `None` if the store
    /// does not keep that.
    pub(crate) async fn redeemed_of_order(
        &self,
        campaign: Option<&CampaignId>,
        order: &OrderRef,
    ) -> Result<Option<Vec<CouponSnapshot>>> {
        let Some(store) = self.hot.redemptions() else { return Ok(None) };
        let within =
            RedemptionFilter { campaign: campaign.cloned(), days: None, zone: Zone::utc() };
        let listed = self.of_order(store, order, &within).await?;
        Ok(listed.map(|listed| listed.into_iter().map(|it| it.snapshot).collect()))
    }

    /// What an order has redeemed, newest first; `None` if the store does not keep that.
    async fn of_order(
        &self,
        store: &dyn Redemptions,
        order: &OrderRef,
        within: &RedemptionFilter,
    ) -> Result<Option<Vec<ListedRedemption>>> {
        let Some(mut codes) = store.codes_of_order(order).await? else { return Ok(None) };
        codes.extend(code_of_import_order(order));
        let mut listed = Vec::new();
        for code in codes {
            let Ok(text) = code.as_str().parse() else { continue };
            let found = self.router.find(&text, self.hot.as_ref()).await?;
            let Some(Found::Coupon(address)) = found else { continue };
            let Some(snapshot) = self.hot.read(&address).await? else { continue };
            let Some(redemption) = snapshot.coupon.redemption_of(order) else { continue };
            if within.has(&snapshot.coupon, redemption.at) {
                let position = RedeemedPosition { at: redemption.at, tie: TieBreaker::Cold(code) };
                listed.push(ListedRedemption { position, order: order.clone(), snapshot });
            }
        }
        listed.sort_by(|one, other| one.position.order(&other.position));
        Ok(Some(listed))
    }

    async fn page_of(
        &self,
        store: &dyn Redemptions,
        within: &RedemptionFilter,
        (from, before): (Millis, Millis),
        after: Option<RedeemedPosition>,
        limit: usize,
    ) -> Result<(Vec<ListedRedemption>, Option<RedeemedPosition>)> {
        let query = RedemptionQuery {
            campaign: within.campaign.clone(),
            from,
            before,
            after: after.as_ref().map(RedeemedPosition::in_hot),
            limit,
        };
        let hot = store.redemptions(query).await?;
        let end_of_hot = hot.read_to.map(RedeemedPosition::from);
        let listed = |row: RedemptionRow| {
            let position = RedeemedPosition::from(row.position);
            ListedRedemption { position, order: row.redemption.order, snapshot: row.snapshot }
        };
        let (cold, end_of_cold) =
            self.archived_redemptions(within, (from, before), after, limit).await?;
        // What lies after `end` has not been read in one of the two tiers.
        let ends = [end_of_hot, end_of_cold];
        let end = ends.into_iter().flatten().min_by(RedeemedPosition::order);
        let hot = hot.rows.into_iter().map(listed);
        let mut all: Vec<ListedRedemption> = hot.chain(cold).collect();
        all.retain(|it| end.as_ref().is_none_or(|end| it.position.order(end).is_le()));
        all.sort_by(|one, other| one.position.order(&other.position));
        let mut seen = HashSet::new();
        all.retain(|it| seen.insert((it.snapshot.coupon.code().clone(), it.order.clone())));
        let on_page = whole(&all, limit, |it| &it.position);
        let next = match all.len() > on_page {
            true => all.get(on_page - 1).map(|last| last.position.clone()),
            false => end,
        };
        all.truncate(on_page);
        Ok((all, next))
    }

    async fn archived_redemptions(
        &self,
        within: &RedemptionFilter,
        (from, before): (Millis, Millis),
        after: Option<RedeemedPosition>,
        limit: usize,
    ) -> Result<ArchivedListed> {
        if !in_time(&self.cold, 0, self.has_cold()).await? {
            return Ok((Vec::new(), None));
        }
        let before = after.as_ref().map_or(before, |after| before.min(after.at.plus_ms(1)));
        let filter = ScanFilter {
            campaign: within.campaign.clone(),
            redeemed: Some((from, before)),
            rows_max: Some(ARCHIVED_MAX),
            ..ScanFilter::default()
        };
        let is_wanted = |position: &RedeemedPosition| {
            after.as_ref().is_none_or(|after| position.order(after).is_gt())
        };
        let mut scan = in_time(&self.cold, 0, self.cold.scan(filter)).await?;
        let mut found: Vec<(RedeemedPosition, OrderRef, Day, Coupon)> = Vec::new();
        while let Some(chunk) = in_time(&self.cold, 0, scan.next()).await? {
            for (day, coupon) in chunk {
                for (Redemption { at, order, .. }, _) in redemptions_of(&coupon) {
                    let position =
                        RedeemedPosition { at, tie: TieBreaker::Cold(coupon.code().clone()) };
                    if (from..before).contains(&at) && is_wanted(&position) {
                        found.push((position, order, day, coupon.clone()));
                    }
                }
            }
            found.sort_by(|one, other| one.0.order(&other.0));
            found.truncate(whole(&found, limit, |it| &it.0) + 1);
        }
        let on_page = whole(&found, limit, |it| &it.0);
        let is_more = found.len() > on_page;
        found.truncate(on_page);
        let end = found.last().filter(|_| is_more).map(|last| last.0.clone());
        let found = self.not_in_hot(found, |(_, _, day, coupon)| (*day, coupon)).await?;
        let beside = |(position, order, _, coupon)| ((position, order), coupon, Tier::Cold);
        let snapshots = self.snapshots_of(found.into_iter().map(beside).collect()).await?;
        let listed = snapshots.into_iter().map(|((position, order), snapshot)| ListedRedemption {
            position,
            order,
            snapshot,
        });
        Ok((listed.collect(), end))
    }

    fn entry(&self, listed: &ListedRedemption, zone: &Zone) -> Option<RedemptionEntry> {
        let ListedRedemption { order, snapshot, .. } = listed;
        let mut all = redemptions_of(&snapshot.coupon);
        let (redemption, cancel_reason) = all.find(|(redemption, _)| redemption.order == *order)?;
        Some(self.redemption_entry(snapshot, redemption, cancel_reason, zone))
    }
}

impl From<RedemptionPosition> for RedeemedPosition {
    fn from(RedemptionPosition { at, tie }: RedemptionPosition) -> RedeemedPosition {
        RedeemedPosition { at, tie: TieBreaker::Hot(tie) }
    }
}

impl RedemptionFilter {
    /// The first instant, and the first after it.
    fn instants(&self) -> Option<(Millis, Millis)> {
        let days = self.days.as_ref()?;
        Some((days.start().first_instant(&self.zone), days.end().end(&self.zone)))
    }

    fn has(&self, coupon: &Coupon, at: Millis) -> bool {
        self.campaign.as_ref().is_none_or(|id| *id == coupon.genesis().campaign)
            && self.instants().is_none_or(|(from, before)| (from..before).contains(&at))
    }
}

/// How many of the sorted `items` are a page: `limit`, or a few more if they have one position. A coupon may be
/// redeemed twice at one instant, since clocks are put back.
fn whole<T>(items: &[T], limit: usize, position: impl Fn(&T) -> &RedeemedPosition) -> usize {
    let Some(last) = limit.checked_sub(1).and_then(|at| items.get(at)) else { return items.len() };
    let more = items[limit..].iter().take_while(|item| position(item) == position(last));
    limit + more.count()
}

#[cfg(test)]
mod tests {
    use coupon::code::Code;

    use super::*;

    fn code(text: &str) -> Code {
        text.parse().unwrap()
    }

    #[test]
    fn positions() {
        let at = |at, tie| RedeemedPosition { at: Millis(at), tie };
        let cold = |text| TieBreaker::Cold(code(text));
        let cases = [
            (
                "the newer one first",
                at(5, TieBreaker::Hot(1)),
                at(4, TieBreaker::Hot(9)),
                Ordering::Less,
            ),
            (
                "hot: the higher row first",
                at(5, TieBreaker::Hot(9)),
                at(5, TieBreaker::Hot(1)),
                Ordering::Less,
            ),
            ("hot before cold", at(5, TieBreaker::Hot(1)), at(5, cold("AAAA")), Ordering::Less),
            ("cold: by code", at(5, cold("AAAA")), at(5, cold("AAAB")), Ordering::Less),
            ("the same", at(5, cold("AAAA")), at(5, cold("AAAA")), Ordering::Equal),
        ];
        for (name, one, other, want) in cases {
            assert_eq!(one.order(&other), want, "{name}");
            assert_eq!(other.order(&one), want.reverse(), "{name}, the other way round");
        }
        assert_eq!(at(5, cold("AAAA")).in_hot().tie, 0);
    }

    #[test]
    fn spans() {
        let cases = [
            ("a day", "2027-03-01", "2027-03-01", None),
            ("a year", "2027-01-01", "2028-01-01", None),
            ("one day more", "2027-01-01", "2028-01-02", Some("to")),
            ("the wrong way round", "2027-03-02", "2027-03-01", Some("to")),
        ];
        for (name, from, to, want) in cases {
            let days = from.parse().unwrap()..=to.parse().unwrap();
            let field = match must_be_short(&days, REDEMPTION_DAYS_MAX) {
                Ok(()) => None,
                Err(Failure::Invalid(faults)) => Some(faults[0].field.clone()),
                Err(other) => panic!("{name}: {other:?}"),
            };
            assert_eq!(field.as_deref(), want, "{name}");
        }
    }
}
