//! Writes the audit: index rows of what is about to be done, and what has happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use async_trait::async_trait;
use coupon::coupon::{Coupon, EventKind};
use coupon::ids::CampaignId;
use coupon::imported::import_order;
use coupon::time::Millis;
use cql_session::values::{date, instant};
use cql_session::{CqlSession, Result, damaged};
use hot::audit::{Act, AuditEntry};
use hot::records::{AuditLog, Carried, CarriedEvent};
use scylla::SerializeRow;
use scylla::value::{CqlDate, CqlTimestamp, MaybeUnset};
use uuid::Uuid;

use crate::redemption_index::{Redeemed, RedemptionIndex};

/// The one CQL partition of `audit_day`.
pub(crate) const PART: i32 = 0;

pub(crate) struct Log {
    session: Arc<CqlSession>,
    index: Arc<RedemptionIndex>,
    /// The last day that this process has listed.
    day: AtomicI32,
}

/// A row of `audit_entry`. It is written once: a null is left unset.
#[derive(Clone, SerializeRow)]
struct NewEntry<'a> {
    revision: MaybeUnset<i64>,
    at: CqlTimestamp,
    actor: &'a str,
    kind: &'a str,
    campaign_id: MaybeUnset<&'a str>,
    batch_id: MaybeUnset<&'a str>,
    reason: MaybeUnset<&'a str>,
    changes: String,
    day: CqlDate,
    told_at: CqlTimestamp,
    attempt: Uuid,
    number: i32,
}

impl Log {
    pub(crate) fn new(session: Arc<CqlSession>, index: Arc<RedemptionIndex>) -> Log {
        Log { session, index, day: AtomicI32::new(i32::MIN) }
    }

    /// Puts audit events into the list of all.
    async fn put(
        &self,
        (attempt, told_at): (Uuid, Millis),
        revision: Option<i64>,
        act: &Act,
        campaign: Option<&CampaignId>,
        events: &[CarriedEvent],
    ) -> Result<()> {
        let day = told_at.day();
        // Before the first row of the day: readers look only at days that are listed.
        if self.day.load(Ordering::SeqCst) != day.0 {
            let cql = "INSERT INTO audit_day (part, day) VALUES (?, ?)";
            self.session.write(cql, (PART, date(day))).await?;
            self.day.store(day.0, Ordering::SeqCst);
        }
        let cql = "UPDATE audit_entry SET revision = ?, at = ?, actor = ?, kind = ?, campaign_id = ?, \
                   batch_id = ?, reason = ?, changes = ? WHERE day = ? AND told_at = ? \
                   AND attempt = ? AND number = ?";
        for (number, event) in (0..).zip(events) {
            let row = NewEntry {
                revision: MaybeUnset::from_option(revision),
                at: instant(act.at),
                actor: act.actor.as_str(),
                kind: &event.kind,
                campaign_id: MaybeUnset::from_option(campaign.map(CampaignId::as_str)),
                batch_id: MaybeUnset::from_option(event.batch.as_deref()),
                reason: MaybeUnset::from_option(act.reason.as_ref().map(|it| it.as_str())),
                changes: serde_json::to_string(&event.changes).map_err(damaged)?,
                day: date(day),
                told_at: instant(told_at),
                attempt,
                number,
            };
            self.session.write(cql, row).await?;
        }
        Ok(())
    }

    /// Enters something that is no update of a campaign.
    pub(crate) async fn record(&self, entry: &AuditEntry) -> Result<()> {
        self.happened(Uuid::now_v7(), Millis(self.session.now_ms()), entry).await
    }
}

#[async_trait]
impl AuditLog for Log {
    async fn announce(&self, campaign: &CampaignId, carried: &Carried) -> Result<()> {
        let Some(act) = &carried.act else { return Ok(()) };
        let name = (carried.attempt, carried.told_at);
        self.put(name, Some(carried.revision), act, Some(campaign), &carried.events).await
    }

    async fn enter(&self, campaign: &CampaignId, carried: &Carried) -> Result<()> {
        let Some(act) = &carried.act else { return Ok(()) };
        let cql = "INSERT INTO audit_of_campaign (campaign_id, revision, number, attempt, at, actor, \
                   kind, batch_id, reason, changes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let mut rows = Vec::new();
        for (number, event) in (0_i32..).zip(&carried.events) {
            rows.push((
                campaign.as_str(),
                carried.revision,
                number,
                carried.attempt,
                instant(act.at),
                act.actor.as_str(),
                event.kind.as_str(),
                MaybeUnset::from_option(event.batch.as_deref()),
                MaybeUnset::from_option(act.reason.as_ref().map(|it| it.as_str())),
                serde_json::to_string(&event.changes).map_err(damaged)?,
            ));
        }
        // Both of an update, or none: readers ask only for the first.
        self.session.write_all(cql, rows).await
    }

    async fn attempt_of(&self, campaign: &CampaignId, revision: i64) -> Result<Option<Uuid>> {
        let cql = "SELECT attempt FROM audit_of_campaign WHERE campaign_id = ? AND revision = ? \
                   LIMIT 1";
        self.session.value(cql, (campaign.as_str(), revision)).await
    }

    async fn happened(&self, name: Uuid, told_at: Millis, entry: &AuditEntry) -> Result<()> {
        let AuditEntry { act, event } = entry;
        self.put((name, told_at), None, act, event.campaign.as_ref(), &[event.into()]).await
    }

    async fn brought(&self, coupons: &[(&CampaignId, &Coupon)]) -> Result<()> {
        let redeemed = coupons.iter().flat_map(|&(campaign, coupon)| {
            coupon.events().iter().filter_map(move |event| match &event.kind {
                EventKind::Redeemed { order, .. } => {
                    Some((campaign, coupon.code(), event.at, order))
                }
                _ => None,
            })
        });
        let redeemed = redeemed.map(|(campaign, code, at, order)| {
            // Such an order is made of the code, and so finds it without an entry.
            let order = Some(order.as_str()).filter(|_| import_order(code) != *order);
            Redeemed { campaign: campaign.as_str(), code, at, order }
        });
        self.index.enter(&redeemed.collect::<Vec<_>>()).await
    }
}
