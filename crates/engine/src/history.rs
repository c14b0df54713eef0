//! What has happened, over both tiers, as a stream in constant memory: for accountants, analysts
//! and whoever is asked what became of a coupon.
//!
//! Days are local: each instant lies on the day that the clocks of a zone show at it, so that of
//! two months side by side each redemption is in one.

use std::ops::RangeInclusive;
use std::sync::Arc;

use coupon::calendar::{Date, Zone};
use coupon::coupon::{Coupon, EventKind, Redemption};
use coupon::ids::{BatchId, CampaignId, Reason};
use coupon::time::Day;

use crate::coupons::CouponView;
use crate::failure::Failure;
use crate::lists::PAGE_MAX;
use crate::walk::Walk;
use crate::{Caller, Engine, Role};

/// Which of a coupon's days is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DayOf {
    /// The last one on which it works.
    #[default]
    Expiry,
    /// That of its last change.
    Change,
}

/// Which coupons; what is not set rules nothing out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CouponsRequest {
    /// Only one campaign's.
    pub campaign: Option<CampaignId>,
    /// What `from` and `to` are about.
    pub by: DayOf,
    /// The first day.
    pub from: Option<Date>,
    /// The last day, included.
    pub to: Option<Date>,
    /// Whose days they are. Where it is not set, a coupon's expiry is on the day of its own zone,
    /// and its last change on the day of UTC.
    pub zone: Option<Zone>,
}

/// Which redemptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedemptionsRequest {
    /// Only one campaign's.
    pub campaign: Option<CampaignId>,
    /// The days on which they were made, both ends included.
    pub days: RangeInclusive<Date>,
    /// Whose days they are; the campaign's where one is named, else those of UTC.
    pub zone: Option<Zone>,
}

/// One redemption and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedemptionEntry {
    /// The coupon's code as people read it.
    pub code: String,
    /// Its campaign.
    pub campaign: CampaignId,
    /// Its batch.
    pub batch: BatchId,
    /// The redemption.
    pub redemption: Redemption,
    /// The day on which it was made.
    pub on: Date,
    /// Why it was cancelled, if it was and somebody said.
    pub cancel_reason: Option<Reason>,
}

/// Some rows, and how many coupons were looked at for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sifted<T> {
    /// Those that were asked for, perhaps none.
    pub rows: Vec<T>,
    /// Coupons looked at.
    pub looked_at: u64,
}

/// Coupons on their way, by partition and by code.
pub struct Coupons {
    walk: Walk,
    caller: Caller,
    ask: CouponsRequest,
}

/// Redemptions on their way, by partition and by code, those of one coupon in their order.
pub struct Redemptions {
    walk: Walk,
    ask: RedemptionsRequest,
    zone: Zone,
}

impl Engine {
    /// Begins a stream of coupons that something has happened to, or that were imported, each once:
    /// by partition, which is the UTC day of its latest expiry, then by code. What is moved to cold
    /// meanwhile is neither left out nor there twice; what is extended meanwhile may come a second
    /// time, in its later version.
    ///
    /// # Errors
    /// `Forbidden` for all but admins; `NotFound` for the campaign.
    pub async fn every_coupon(
        self: Arc<Engine>,
        caller: &Caller,
        ask: CouponsRequest,
    ) -> Result<Coupons, Failure> {
        caller.must_be(&[Role::Admin])?;
        let early = self.expire_early(caller, &ask).await?;
        let walk = match ask.by {
            DayOf::Change => self.walk(None),
            DayOf::Expiry => {
                let last = last_partition(&ask).filter(|_| !early);
                self.walk(first_partition(&ask)).up_to(last)
            }
        };
        Ok(Coupons { walk, caller: caller.clone(), ask })
    }

    /// Begins a stream of redemptions, cancelled ones too: each as often as it was made, once.
    /// Reads every partition, since what was imported may have been redeemed on any day.
    ///
    /// # Errors
    /// `Forbidden` for all but admins; `NotFound` for the campaign.
    pub async fn every_redemption(
        self: Arc<Engine>,
        caller: &Caller,
        ask: RedemptionsRequest,
    ) -> Result<Redemptions, Failure> {
        caller.must_be(&[Role::Admin])?;
        let of_campaign = match &ask.campaign {
            Some(id) => Some(self.campaign(caller, id).await?.campaign.zone.clone()),
            None => None,
        };
        let zone = ask.zone.clone().or(of_campaign).unwrap_or_else(Zone::utc);
        Ok(Redemptions { walk: self.walk(None), ask, zone })
    }

    /// Whether `valid_days` lets coupons that are asked for expire long before their partition
    /// does.
    async fn expire_early(&self, caller: &Caller, ask: &CouponsRequest) -> Result<bool, Failure> {
        match &ask.campaign {
            Some(id) => Ok(self.campaign(caller, id).await?.campaign.valid_days.is_some()),
            None => self.some_expire_early(caller).await,
        }
    }

    async fn some_expire_early(&self, caller: &Caller) -> Result<bool, Failure> {
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

/// No coupon expires later than its partition does, so that those before this one have none.
fn first_partition(ask: &CouponsRequest) -> Option<Day> {
    // Nowhere does a day begin more than 24 hours before that of UTC.
    let (zone, early) = ask.zone.clone().map_or((Zone::utc(), 1), |zone| (zone, 0));
    ask.from.map(|from| Day(from.first_instant(&zone).day().0 - early))
}

/// Where no coupon expires before its partition does, those behind this one have none.
fn last_partition(ask: &CouponsRequest) -> Option<Day> {
    let zone = ask.zone.clone().unwrap_or_else(Zone::utc);
    // Nowhere does a day end more than 24 hours after that of UTC, nor, where clocks are put back,
    // begin again so late.
    ask.to.map(|to| Day(Day::expiry_day_of(to.end(&zone)).0 + 1))
}

impl CouponsRequest {
    fn takes(&self, coupon: &Coupon) -> bool {
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

impl Coupons {
    /// Some coupons more; `None` behind the last one.
    ///
    /// # Errors
    /// Those of both stores. The stream is over then.
    pub async fn next(&mut self) -> Result<Option<Sifted<CouponView>>, Failure> {
        let Coupons { walk, caller, ask } = self;
        let Some(stretch) = walk.next_of(|coupon| ask.takes(coupon)).await? else {
            return Ok(None);
        };
        let engine = walk.engine();
        let rows =
            stretch.snapshots.iter().filter_map(|snapshot| engine.view(caller, snapshot)).collect();
        Ok(Some(Sifted { rows, looked_at: stretch.looked_at }))
    }

    /// Coupons so far that are left out because a restored store does not know their campaigns.
    pub fn strangers(&self) -> u64 {
        self.walk.strangers()
    }
}

impl Redemptions {
    /// Some redemptions more; `None` behind the last one.
    ///
    /// # Errors
    /// Those of both stores. The stream is over then.
    pub async fn next(&mut self) -> Result<Option<Sifted<RedemptionEntry>>, Failure> {
        let Redemptions { walk, ask, zone } = self;
        let of_campaign = |coupon: &Coupon| {
            ask.campaign.as_ref().is_none_or(|id| *id == coupon.genesis().campaign)
        };
        let asked = |coupon: &Coupon| {
            of_campaign(coupon) && redemptions_of(coupon, &ask.days, zone).next().is_some()
        };
        let Some(stretch) = walk.next_of(asked).await? else { return Ok(None) };
        let engine = walk.engine();
        let mut rows = Vec::new();
        for snapshot in &stretch.snapshots {
            let genesis = snapshot.coupon.genesis();
            let made = redemptions_of(&snapshot.coupon, &ask.days, zone);
            rows.extend(made.map(|(redemption, cancel_reason)| RedemptionEntry {
                code: engine.printed_of(snapshot),
                campaign: genesis.campaign.clone(),
                batch: genesis.batch.clone(),
                on: Date::of(redemption.at, zone),
                redemption,
                cancel_reason,
            }));
        }
        Ok(Some(Sifted { rows, looked_at: stretch.looked_at }))
    }

    /// As [`Coupons::strangers`].
    pub fn strangers(&self) -> u64 {
        self.walk.strangers()
    }
}

/// The redemptions of a coupon that were made on `days`, oldest first, each with the reason for
/// which it was cancelled.
fn redemptions_of(
    coupon: &Coupon,
    days: &RangeInclusive<Date>,
    zone: &Zone,
) -> impl Iterator<Item = (Redemption, Option<Reason>)> {
    let events = coupon.events();
    events.iter().enumerate().filter_map(move |(nth, event)| {
        let EventKind::Redeemed { by, order } = &event.kind else { return None };
        if !days.contains(&Date::of(event.at, zone)) {
            return None;
        }
        // There is one live redemption at a time, so the next cancellation is its own.
        let cancelled = events[nth + 1..].iter().find_map(|event| match &event.kind {
            EventKind::RedemptionCancelled { reason, .. } => Some((event.at, reason.clone())),
            _ => None,
        });
        let (cancelled_at, reason) = cancelled.map_or((None, None), |(at, why)| (Some(at), why));
        let (by, order) = (by.clone(), order.clone());
        Some((Redemption { by, order, at: event.at, cancelled_at }, reason))
    })
}

#[cfg(test)]
mod tests;
