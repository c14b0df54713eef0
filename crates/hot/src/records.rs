//! What a store keeps beside coupons when it changes one row at a time: the audit, counts and lists of
//! redemptions. The crate `records` keeps them; this is what the two say to each other.
//!
//! A change of a campaign is one conditional update of one row, so no entry of the audit can be written
//! together with it. The row *carries* its audit events instead ([`Carried`]). The next change of the row enters
//! them first, and so does a reader of the audit.

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{Actor, CampaignId};
use coupon::time::Millis;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::activity::Activities;
use crate::audit::{Act, Audit, AuditEntry, AuditEvent, AuditKind, FieldChange};
use crate::feed::Feed;
use crate::redemptions::Redemptions;
use crate::{CouponSnapshot, HotError, Result};

/// The audit events of one update of a campaign, as its row carries them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The name of the update. No other one has it.
    pub attempt: Uuid,
    pub revision: i64,
    /// When it was announced, by the clock of its process.
    pub told_at: Millis,
    /// Where the last audit events of the campaign are in the feed.
    pub slot: Option<i64>,
    /// Who did it, when and why; `None` of an update that makes no audit event.
    pub act: Option<Act>,
    pub events: Vec<CarriedEvent>,
}

/// An audit event of a campaign, as its row carries it. Its kind is a word: a process that does not know it yet, while
/// another one has a newer program, enters it all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedEvent {
    /// As `AuditKind::as_str` says it.
    pub kind: String,
    pub batch: Option<String>,
    pub changes: Vec<FieldChange>,
}

impl From<&AuditEvent> for CarriedEvent {
    fn from(event: &AuditEvent) -> CarriedEvent {
        CarriedEvent {
            kind: event.kind.as_str().to_owned(),
            batch: event.batch.as_ref().map(ToString::to_string),
            changes: event.changes.clone(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct CarriedText {
    attempt: String,
    revision: i64,
    told_at: i64,
    slot: Option<i64>,
    act: Option<ActText>,
    /// Rows keep the name that it had.
    #[serde(rename = "deeds")]
    events: Vec<CarriedEvent>,
}

/// An act as rows have it.
#[derive(Serialize, Deserialize)]
pub struct ActText {
    actor: String,
    at: i64,
    reason: Option<String>,
}

impl From<&Act> for ActText {
    fn from(act: &Act) -> ActText {
        ActText {
            actor: act.actor.as_str().to_owned(),
            at: act.at.0,
            reason: act.reason.as_ref().map(|reason| reason.as_str().to_owned()),
        }
    }
}

impl TryFrom<&ActText> for Act {
    type Error = HotError;

    fn try_from(text: &ActText) -> Result<Act> {
        let reason =
            text.reason.as_deref().map(|text| text.parse().map_err(damaged)).transpose()?;
        Ok(Act { actor: Actor::new(&text.actor), at: Millis(text.at), reason })
    }
}

impl Carried {
    /// An entry of something that is no update of a campaign.
    pub fn of_entry(attempt: Uuid, told_at: Millis, entry: &AuditEntry) -> Carried {
        Carried {
            attempt,
            revision: 0,
            told_at,
            slot: None,
            act: Some(entry.act.clone()),
            events: vec![CarriedEvent::from(&entry.event)],
        }
    }

    /// What [`Carried::of_entry`] was made of.
    ///
    /// # Errors
    /// [`HotError::Damaged`]: of a kind that this program does not know.
    pub fn entry(&self) -> Result<Option<AuditEntry>> {
        let (Some(act), [event]) = (&self.act, self.events.as_slice()) else { return Ok(None) };
        let kind = AuditKind::named(&event.kind).ok_or_else(|| damaged("a later kind"))?;
        let changes = event.changes.clone();
        Ok(Some(AuditEntry { act: act.clone(), event: AuditEvent::of_store(kind, changes) }))
    }

    /// As the row has it. Never fails: these are texts and numbers.
    pub fn to_text(&self) -> Result<String> {
        let text = CarriedText {
            attempt: self.attempt.to_string(),
            revision: self.revision,
            told_at: self.told_at.0,
            slot: self.slot,
            act: self.act.as_ref().map(ActText::from),
            events: self.events.clone(),
        };
        serde_json::to_string(&text).map_err(damaged)
    }

    /// What the row of a campaign has.
    pub fn parse(text: &str) -> Result<Carried> {
        let text: CarriedText = serde_json::from_str(text).map_err(damaged)?;
        Ok(Carried {
            attempt: text.attempt.parse().map_err(damaged)?,
            revision: text.revision,
            told_at: Millis(text.told_at),
            slot: text.slot,
            act: text.act.as_ref().map(Act::try_from).transpose()?,
            events: text.events,
        })
    }
}

fn damaged(why: impl ToString) -> HotError {
    HotError::Damaged(format!("the audit events of a campaign: {}", why.to_string()))
}

/// Where a store leaves what it does besides changes of coupons.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// To be called before the update that makes the revision is sent, so that readers of all entries find it
    /// whatever becomes of this process.
    async fn announce(&self, campaign: &CampaignId, carried: &Carried) -> Result<()>;

    /// To be called for what the row carries before another update replaces it. May be repeated.
    async fn enter(&self, campaign: &CampaignId, carried: &Carried) -> Result<()>;

    /// Which update made a revision, if its audit events were entered.
    async fn attempt_of(&self, campaign: &CampaignId, revision: i64) -> Result<Option<Uuid>>;

    /// Enters something that has happened. The same name and time again change nothing.
    async fn happened(&self, name: Uuid, told_at: Millis, entry: &AuditEntry) -> Result<()>;

    /// Enters the redemptions of coupons that an import or a copy brings: the feed does not tell of them. To be
    /// called before the coupons are written. The same again changes nothing.
    async fn brought(&self, coupons: &[(&CampaignId, &Coupon)]) -> Result<()>;
}

#[derive(Clone, Debug)]
pub enum Whereabouts {
    /// It has a row in the hot store.
    Hot(Box<CouponSnapshot>),
    Cold,
    Nowhere,
}

/// What those records are made from.
#[async_trait]
pub trait RecordSource: Send + Sync {
    /// The events of coupons; `None`: the store keeps none.
    fn feed(&self) -> Option<&dyn Feed>;

    /// Where a coupon is. Does not read the cold tier.
    async fn whereabouts(&self, code: &Code) -> Result<Whereabouts>;

    /// The time by the clock that the store writes by.
    fn now(&self) -> Millis;

    /// Whether one cursor of the feed is behind another one; `true` also if the other is of another feed.
    fn is_behind(&self, cursor: &str, other: &str) -> bool;

    /// Enters the audit events that the row of a campaign carries, if it carries any.
    async fn enter_carried(&self, campaign: &CampaignId) -> Result<()>;

    /// The same for those that facts carry.
    async fn enter_carried_of_facts(&self) -> Result<()>;
}

pub trait Records: Audit + Activities + Redemptions {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{AuditKind, given};

    #[test]
    fn what_a_row_carries_is_read_back() {
        let campaign: CampaignId = "spring".parse().expect("an id");
        let changes =
            vec![given("name", "Spring"), FieldChange { field: "x".into(), from: None, to: None }];
        let event = AuditEvent::of_campaign(AuditKind::CampaignUpdated, &campaign, changes);
        let batch = AuditEvent { batch: Some("b1".parse().expect("an id")), ..event.clone() };
        let event = CarriedEvent::from(&event);
        let later = CarriedEvent { kind: "campaign.of_a_later_program".into(), ..event.clone() };
        let reason = Some("codes leaked".parse().expect("a reason"));
        let act = Act { actor: Actor::new("admin:eva"), at: Millis(7), reason };
        let nothing = Carried {
            attempt: Uuid::from_u128(9),
            revision: 4,
            told_at: Millis(8),
            slot: None,
            act: None,
            events: Vec::new(),
        };
        let rows = [
            ("no audit event", nothing.clone()),
            (
                "three audit events",
                Carried {
                    slot: Some(-3),
                    act: Some(act),
                    events: vec![event, CarriedEvent::from(&batch), later],
                    ..nothing
                },
            ),
        ];
        for (name, carried) in rows {
            let text = carried.to_text().expect("a text");
            let read = Carried::parse(&text);
            assert_eq!(read.ok(), Some(carried), "{name}: {text}");
        }
        assert!(Carried::parse("{}").is_err());
    }
}
