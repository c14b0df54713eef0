//! The stream of all coupons, by the day of their expiry or of their last change.

use std::sync::Arc;

use coupon::calendar::{Date, Zone};
use coupon::coupon::Coupon;
use coupon::ids::CampaignId;
use coupon::time::Day;

use super::HistoryStream;
use crate::coupon_view::CouponView;
use crate::failure::Result;
use crate::pages::PAGE_MAX;
use crate::{Caller, Engine, Role};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DayOf {
    /// The last day on which it works.
    #[default]
    Expiry,
    Change,
}

/// A field that is not set excludes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CouponsRequest {
    pub campaign: Option<CampaignId>,
    /// The day that `from` and `to` select by.
    pub by: DayOf,
    pub from: Option<Date>,
    /// Included.
    pub to: Option<Date>,
    /// The zone of the days. Without it, the expiry of a coupon has the day of the coupon's own
    /// zone, and its last change the day in UTC.
    pub zone: Option<Zone>,
}

impl Engine {
    /// Begins a stream of the coupons that have an event or were imported, each once: by partition,
    /// which is the UTC day of its latest expiry, then by code. A coupon that is archived meanwhile
    /// comes exactly once; one that is extended meanwhile may come a second time, in its later
    /// version.
    ///
    /// # Errors
    /// `Forbidden` for all but admins; `NotFound` for the campaign.
    pub async fn every_coupon(
        self: Arc<Engine>,
        caller: &Caller,
        request: CouponsRequest,
    ) -> Result<HistoryStream<CouponView>> {
        caller.must_be(&[Role::Admin])?;
        let early = self.expire_early(caller, &request).await?;
        let walk = match request.by {
            DayOf::Change => self.walk(None),
            DayOf::Expiry => {
                let last = last_partition(&request).filter(|_| !early);
                self.walk(first_partition(&request)).up_to(last)
            }
        };
        let caller = caller.clone();
        Ok(HistoryStream {
            walk,
            takes: Box::new(move |coupon| request.takes(coupon)),
            rows: Box::new(move |engine, snapshot| {
                engine.view(&caller, snapshot).into_iter().collect()
            }),
        })
    }

    /// Whether coupons of the request can expire long before their partition, by `valid_days`.
    async fn expire_early(&self, caller: &Caller, request: &CouponsRequest) -> Result<bool> {
        if let Some(id) = &request.campaign {
            return Ok(self.campaign(caller, id).await?.campaign.valid_days.is_some());
        }
        let mut after = None;
        loop {
            let page = self.campaigns(caller, after, PAGE_MAX).await?;
            let Some(last) = page.last() else { return Ok(false) };
            after = Some(last.campaign.id.clone());
            if page.iter().any(|view| view.campaign.valid_days.is_some()) {
                return Ok(true);
            }
        }
    }
}

/// The first partition that can have a coupon of the request: no coupon expires later than its
/// partition.
pub(super) fn first_partition(request: &CouponsRequest) -> Option<Day> {
    // In no zone does a day begin more than 24 hours before that of UTC.
    let (zone, early) = request.zone.clone().map_or((Zone::utc(), 1), |zone| (zone, 0));
    request.from.map(|from| Day(from.first_instant(&zone).day().0 - early))
}

/// The last partition that can have a coupon of the request, if no coupon expires before its
/// partition.
pub(super) fn last_partition(request: &CouponsRequest) -> Option<Day> {
    let zone = request.zone.clone().unwrap_or_else(Zone::utc);
    // In no zone does a day end more than 24 hours after that of UTC, nor begin again so late where
    // clocks are put back.
    request.to.map(|to| Day(Day::expiry_day_of(to.end(&zone)).0 + 1))
}

impl CouponsRequest {
    pub(super) fn takes(&self, coupon: &Coupon) -> bool {
        if self.campaign.as_ref().is_some_and(|id| *id != coupon.genesis().campaign) {
            return false;
        }
        if self.from.is_none() && self.to.is_none() {
            return true;
        }
        let on = match (self.by, &self.zone) {
            (DayOf::Expiry, None) => coupon.expires_on(),
            (DayOf::Expiry, Some(zone)) => Date::last_of(coupon.expires_at(), zone),
            (DayOf::Change, None) => Date::of(coupon.modified_at(), &Zone::utc()),
            (DayOf::Change, Some(zone)) => Date::of(coupon.modified_at(), zone),
        };
        self.from.is_none_or(|from| from <= on) && self.to.is_none_or(|to| on <= to)
    }
}
