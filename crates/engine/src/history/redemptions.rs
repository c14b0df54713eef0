//! The stream of all redemptions, by the day on which they were made.

use std::ops::RangeInclusive;
use std::sync::Arc;

use coupon::calendar::{Date, Zone};
use coupon::coupon::{Coupon, EventKind, Redemption};
use coupon::ids::{BatchId, CampaignId, Reason};
use hot::CouponSnapshot;

use super::HistoryStream;
use crate::failure::Result;
use crate::{Caller, Engine, Role};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedemptionsRequest {
    pub campaign: Option<CampaignId>,
    /// The days on which they were made, both ends inclusive.
    pub days: RangeInclusive<Date>,
    /// The zone of the days. Without it, that of the campaign if one is named, else UTC.
    pub zone: Option<Zone>,
}

/// One redemption, live or cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedemptionEntry {
    /// The coupon's code as people read it.
    pub code: String,
    pub campaign: CampaignId,
    pub campaign_name: String,
    pub batch: BatchId,
    pub redemption: Redemption,
    /// The day on which it was made.
    pub on: Date,
    pub cancel_reason: Option<Reason>,
}

impl Engine {
    /// Begins a stream of redemptions, live and cancelled, each once. Reads every partition,
    /// because an imported coupon may have been redeemed on any day.
    ///
    /// # Errors
    /// `Forbidden` for all but admins; `NotFound` for the campaign.
    pub async fn every_redemption(
        self: Arc<Engine>,
        caller: &Caller,
        request: RedemptionsRequest,
    ) -> Result<HistoryStream<RedemptionEntry>> {
        caller.must_be(&[Role::Admin])?;
        let RedemptionsRequest { campaign, days, zone } = request;
        let zone = self.zone_of_days(campaign.as_ref(), zone).await?;
        let (asked_days, asked_zone) = (days.clone(), zone.clone());
        let takes = move |coupon: &Coupon| {
            campaign.as_ref().is_none_or(|id| *id == coupon.genesis().campaign)
                && made_on(coupon, &asked_days, &asked_zone).next().is_some()
        };
        let rows = move |engine: &Engine, snapshot: &CouponSnapshot| {
            let made = made_on(&snapshot.coupon, &days, &zone);
            made.map(|(redemption, why)| engine.redemption_entry(snapshot, redemption, why, &zone))
                .collect::<Vec<_>>()
        };
        Ok(HistoryStream { walk: self.walk(None), takes: Box::new(takes), rows: Box::new(rows) })
    }

    /// `zone` decides on which day the redemption was made.
    pub(crate) fn redemption_entry(
        &self,
        snapshot: &CouponSnapshot,
        redemption: Redemption,
        cancel_reason: Option<Reason>,
        zone: &Zone,
    ) -> RedemptionEntry {
        let genesis = snapshot.coupon.genesis();
        RedemptionEntry {
            code: self.printed_of(snapshot),
            campaign: genesis.campaign.clone(),
            campaign_name: snapshot.campaign.name.clone(),
            batch: genesis.batch.clone(),
            on: Date::of(redemption.at, zone),
            redemption,
            cancel_reason,
        }
    }
}

/// The redemptions of a coupon that were made on `days`, as [`redemptions_of`] has them.
pub(super) fn made_on(
    coupon: &Coupon,
    days: &RangeInclusive<Date>,
    zone: &Zone,
) -> impl Iterator<Item = (Redemption, Option<Reason>)> {
    redemptions_of(coupon).filter(move |(made, _)| days.contains(&Date::of(made.at, zone)))
}

/// The redemptions of a coupon, oldest first, each with the reason of its cancellation.
pub(crate) fn redemptions_of(
    coupon: &Coupon,
) -> impl Iterator<Item = (Redemption, Option<Reason>)> {
    let events = coupon.events();
    events.iter().enumerate().filter_map(move |(nth, event)| {
        let EventKind::Redeemed { by, order, worth } = &event.kind else { return None };
        // A coupon has one live redemption at a time, so the next cancellation is that of this one.
        let cancelled = events[nth + 1..].iter().find_map(|event| match &event.kind {
            EventKind::RedemptionCancelled { reason, .. } => Some((event.at, reason.clone())),
            _ => None,
        });
        let (cancelled_at, reason) = cancelled.map_or((None, None), |(at, why)| (Some(at), why));
        let (by, order, worth) = (by.clone(), order.clone(), worth.as_deref().copied());
        Some((Redemption { by, order, at: event.at, worth, cancelled_at }, reason))
    })
}
