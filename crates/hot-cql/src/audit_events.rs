//! Audit events: changes of campaigns and batches, for the audit and the feed.
//!
//! Each update of a campaign's row carries its audit events, in the column `carries`. So an audit event has happened
//! if and only if the row carries it, or had carried it: every later update enters it in the audit first. Before the
//! update is sent, it is announced, in the audit and in the feed; readers of both ask the campaign.

use std::sync::Arc;

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::erasure::Erasure;
use coupon::ids::CampaignId;
use coupon::time::{Day, Millis};
use hot::audit::{Act, AuditEntry, AuditEvent, AuditKind, given};
use hot::feed::Feed;
use hot::records::{Carried, RecordSource, Whereabouts};
use hot::{AUDITED_FACTS, HotError};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

use crate::CqlStore;
use crate::campaigns::CampaignHere;
use crate::coupons::CouponTrace;
use cql_session::{Result, StatementProfile, feed_cursor};

/// An act on a campaign, and its audit events.
pub(crate) type CampaignAct<'a> = Option<(&'a Act, &'a [AuditEvent])>;

/// The revision that an update makes, and the name that no other update has.
pub(crate) type UpdateName = (i64, Uuid);

/// What the row is to carry, and the name of the update that makes an audit event.
pub(crate) type CarriedUpdate = (Option<Arc<str>>, Option<UpdateName>);

impl CampaignHere {
    pub(crate) fn is_made_by(&self, attempt: Uuid) -> Result<bool> {
        let carried = self.carries.as_deref().map(Carried::parse).transpose()?;
        Ok(carried.is_some_and(|it| it.revision == self.revision && it.attempt == attempt))
    }
}

impl CqlStore {
    /// What the next update of a campaign carries, and its name if there are audit events. Enters what the last one
    /// carries, and announces the new audit events: only then the update may be sent, once.
    pub(crate) async fn carried(
        &self,
        here: &CampaignHere,
        doing: CampaignAct<'_>,
    ) -> Result<CarriedUpdate> {
        // A store without records leaves to the others what they have not entered.
        let Some(log) = self.log.get() else { return Ok((here.carries.clone(), None)) };
        let id = &here.terms.id;
        // Before the update, which replaces what the row carries.
        let last = self.enter_last(here).await?;
        let doing = doing.filter(|(_, events)| !events.is_empty());
        let mut carried = Carried {
            attempt: Uuid::now_v7(),
            revision: here.revision + 1,
            told_at: Millis(self.session.now_ms()),
            slot: last.and_then(|last| last.slot),
            act: doing.map(|(act, _)| act.clone()),
            events: doing.into_iter().flat_map(|(_, events)| events).map(Into::into).collect(),
        };
        if let Some(doing) = doing {
            // Before the update: an event that is announced after it would be lost in a crash.
            log.announce(id, &carried).await?;
            if let Some(feed) = &self.feed {
                let (first, name) =
                    (carried.slot.unwrap_or(i64::MIN), (carried.revision, carried.attempt));
                let told = self.announce_audit_events(feed, id.as_str(), first, name, doing);
                carried.slot = Some(told.await?);
            }
        }
        let name = doing.map(|_| (carried.revision, carried.attempt));
        Ok((Some(carried.to_text()?.into()), name))
    }

    async fn enter_last(&self, here: &CampaignHere) -> Result<Option<Carried>> {
        let Some(text) = &here.carries else { return Ok(None) };
        self.enter_text(&here.terms.id, text).await.map(Some)
    }

    async fn enter_text(&self, id: &CampaignId, text: &str) -> Result<Carried> {
        let last = Carried::parse(text)?;
        if let Some(log) = self.log.get().filter(|_| !last.events.is_empty())
            && log.attempt_of(id, last.revision).await?.is_none()
        {
            log.enter(id, &last).await?;
        }
        Ok(last)
    }

    /// Whether an update made its revision, if that is no later one than that of `here`.
    pub(crate) async fn has_made(
        &self,
        here: &CampaignHere,
        (revision, attempt): UpdateName,
    ) -> Result<bool> {
        if here.revision <= revision {
            return Ok(here.revision == revision && here.is_made_by(attempt)?);
        }
        let Some(log) = self.log.get() else { return Ok(false) };
        // A store without records may have made later revisions, and has left the audit events to others.
        self.enter_last(here).await?;
        Ok(log.attempt_of(&here.terms.id, revision).await? == Some(attempt))
    }

    /// Of all requests of a process one writes; the others go on.
    pub(crate) async fn note_stock(
        &self,
        campaign: &CampaignHere,
        sold_out: bool,
        at: Millis,
    ) -> Result<()> {
        if campaign.sold_out == sold_out || self.log.get().is_none() {
            return Ok(());
        }
        let id = &campaign.terms.id;
        // Somebody may have noted it since the caller has read the campaign.
        let may = sold_out || self.may_note_again(id);
        if !may || self.terms(id).await?.is_none_or(|here| here.sold_out == sold_out) {
            return Ok(());
        }
        let Some(_lock) = self.write_locks.try_lock(("sold out", id)) else { return Ok(()) };
        let mut attempts = self.attempts("a campaign that is sold out");
        loop {
            let here = attempts.looked(self.made_now(id).await)?;
            let Some(here) = here.filter(|here| here.sold_out != sold_out) else { return Ok(()) };
            let act = Act::of_system("store", at);
            let events = [AuditEvent::of_campaign(AuditKind::CampaignSoldOut, id, Vec::new())];
            let doing = sold_out.then_some((&act, &events[..]));
            let (carries, _) = attempts.looked(self.carried(&here, doing).await)?;
            let cql = "UPDATE campaign SET revision = ?, carries = ?, sold_out = ? \
                       WHERE campaign_id = ? IF revision = ?";
            let values = (here.revision + 1, carries, sold_out, id.as_str(), here.revision);
            attempts.wrote(self.session.change(attempts.profile(), cql, values).await).await?;
            if !sold_out {
                self.has_noted(id);
            }
        }
    }

    /// Takes the revision of a campaign without a change, so that nothing can come of an update that is
    /// under way. The caller reads the campaign again.
    pub(crate) async fn end_revision(&self, here: &CampaignHere) -> Result<()> {
        let (carries, _) = self.carried(here, None).await?;
        let cql = "UPDATE campaign SET revision = ?, carries = ? WHERE campaign_id = ? \
                   IF revision = ?";
        let id = here.terms.id.as_str();
        let values = (here.revision + 1, carries, id, here.revision);
        // Whatever the outcome is, the next read shows it.
        self.session.change(StatementProfile::Change, cql, values).await.map(drop)
    }

    /// Enters the redemptions of coupons that an import or a copy is about to write.
    pub(crate) async fn tell_brought(&self, coupons: &[(&CampaignId, &Coupon)]) -> Result<()> {
        let Some(log) = self.log.get() else { return Ok(()) };
        log.brought(coupons).await
    }

    /// Enters that all coupons of a day are in cold. It is so already, so this may be done again.
    pub(crate) async fn tell_archived(&self, day: Day, at: Millis) -> Result<()> {
        let Some(log) = self.log.get() else { return Ok(()) };
        let name = Uuid::from_u128(xxh3_128(format!("archived {day}").as_bytes()));
        let event = AuditEvent::of_store(AuditKind::DayArchived, vec![given("expiry_day", day)]);
        let entry = AuditEntry { act: Act::of_system("compact", at), event };
        log.happened(name, at, &entry).await?;
        self.tell_once(name, &entry.act, &entry.event).await
    }

    /// Tells the feed of a person whom nothing names any more.
    pub(crate) async fn tell_erased(&self, erasure: &Erasure, act: &Act) -> Result<()> {
        let (user, erased) = (erasure.user.as_str(), erasure.name.as_str());
        let name = Uuid::from_u128(xxh3_128(erased.as_bytes()));
        self.tell_once(name, act, &AuditEvent::person_erased(Some(user), Some(erased))).await
    }

    /// Tells the feed of what happens once: its only revision, in any slot.
    async fn tell_once(&self, name: Uuid, act: &Act, event: &AuditEvent) -> Result<()> {
        let Some(feed) = &self.feed else { return Ok(()) };
        let doing = (act, std::slice::from_ref(event));
        let (of, first) = (name.to_string(), i64::MIN);
        self.announce_audit_events(feed, &of, first, (1, name), doing).await.map(drop)
    }
}

#[async_trait]
impl RecordSource for CqlStore {
    fn feed(&self) -> Option<&dyn Feed> {
        self.feed.as_ref().map(|_| self as &dyn Feed)
    }

    async fn whereabouts(&self, code: &Code) -> std::result::Result<Whereabouts, HotError> {
        let Some((_, day)) = self.home(code).await? else { return Ok(Whereabouts::Nowhere) };
        Ok(match self.trace(day.into(), code).await? {
            CouponTrace::Here(located) => Whereabouts::Hot(Box::new(located.snapshot())),
            CouponTrace::InCold { .. } => Whereabouts::Cold,
            CouponTrace::Nothing => Whereabouts::Nowhere,
        })
    }

    fn now(&self) -> Millis {
        Millis(self.session.now_ms())
    }

    fn is_behind(&self, cursor: &str, other: &str) -> bool {
        feed_cursor::is_behind(cursor, other)
    }

    async fn enter_carried(&self, campaign: &CampaignId) -> std::result::Result<(), HotError> {
        let cql = "SELECT carries FROM campaign WHERE campaign_id = ? LIMIT 1";
        let carries: Option<String> = self.session.value(cql, (campaign.as_str(),)).await?;
        let Some(text) = carries else { return Ok(()) };
        self.enter_text(campaign, &text).await.map(drop)
    }

    async fn enter_carried_of_facts(&self) -> Result<()> {
        for fact in AUDITED_FACTS {
            self.enter_carried_of(fact).await?;
        }
        Ok(())
    }
}
