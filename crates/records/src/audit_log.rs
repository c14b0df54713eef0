//! Writes the audit: index rows of what is about to be done, and what has happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use async_trait::async_trait;
use coupon::coupon::{Coupon, EventKind};
use coupon::ids::CampaignId;
use coupon::imported::import_order;
use coupon::time::Millis;
use hot::audit::{Act, AuditEntry};
use hot::records::{AuditLog, Carried, CarriedEvent};
use hot::tables::{RecordPut, RecordRange, Tables};
use uuid::Uuid;

use crate::Result;
use crate::audit_rows::{EntryPlace, EntryRow, RevisionPlace, campaign_part, day_part, days_part};
use crate::keys::ordered;
use crate::redemption_index::{RedeemedCoupon, RedemptionIndex};

pub(crate) struct EntryLog {
    tables: Arc<dyn Tables>,
    index: Arc<RedemptionIndex>,
    /// The last day that this process has listed.
    day: AtomicI32,
}

impl EntryLog {
    pub(crate) fn new(tables: Arc<dyn Tables>, index: Arc<RedemptionIndex>) -> EntryLog {
        EntryLog { tables, index, day: AtomicI32::new(i32::MIN) }
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
            let listed = RecordPut::new(ordered(day.0.into()), []);
            self.tables.put(&days_part(), vec![listed]).await?;
            self.day.store(day.0, Ordering::SeqCst);
        }
        let key = |number| EntryPlace { told_at, attempt, number }.key();
        let rows = EntryRow::puts((attempt, revision), act, campaign, events, key)?;
        self.tables.put(&day_part(day), rows).await
    }
}

#[async_trait]
impl AuditLog for EntryLog {
    async fn announce(&self, campaign: &CampaignId, carried: &Carried) -> Result<()> {
        let Some(act) = &carried.act else { return Ok(()) };
        let name = (carried.attempt, carried.told_at);
        self.put(name, Some(carried.revision), act, Some(campaign), &carried.events).await
    }

    async fn enter(&self, campaign: &CampaignId, carried: &Carried) -> Result<()> {
        let Carried { attempt, revision, act: Some(act), events, .. } = carried else {
            return Ok(());
        };
        let key = |number| RevisionPlace { revision: *revision, number }.key();
        let name = (*attempt, Some(*revision));
        let rows = EntryRow::puts(name, act, Some(campaign), events, key)?;
        // All of an update, or none: readers ask only for the first.
        self.tables.put(&campaign_part(campaign), rows).await
    }

    async fn attempt_of(&self, campaign: &CampaignId, revision: i64) -> Result<Option<Uuid>> {
        let next = RevisionPlace { revision: revision + 1, number: i64::MIN }.key();
        let from = RevisionPlace { revision, number: 0 }.key();
        let range = RecordRange { from, ..RecordRange::first(1) }.before(next);
        let rows = self.tables.scan(&campaign_part(campaign), range).await?;
        rows.first().map(|row| EntryRow::read(row)?.attempt()).transpose()
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
            RedeemedCoupon { campaign: campaign.as_str(), code, at, order }
        });
        self.index.enter(&redeemed.collect::<Vec<_>>()).await
    }
}
