//! The coupon: what is stored, and what follows from it.
//!
//! A coupon is its *genesis* (the dates it came with), its *events* (what happened, in order) and
//! at most one *hold*. State, holder and expiry follow from the events: [`Coupon::of`] folds them,
//! and nothing else sets them, so there is no second copy that could disagree. Expired, paused and
//! a lapsed hold are facts about the clock or the campaign, so they are never stored.

mod event;
mod fold;
mod state;

use crate::calendar::{Date, Zone};
use crate::code::Code;
use crate::ids::{BatchId, CampaignId, IssueRef, OrderRef, UserId};
use crate::time::Millis;
use crate::worth::RedemptionWorth;

pub use event::{Event, EventKind};
pub use state::{Hold, Redemption, State};

/// Most events of one coupon. A whole coupon stays under a few kilobytes, one page of any store.
pub const EVENTS_MAX: usize = 32;

/// From this number of events on, a coupon accepts only what gives it back or voids it. So a
/// redeemed coupon can always be cancelled, then revoked, then voided.
pub const EVENTS_OPEN_MAX: usize = 29;

const _: () = assert!(EVENTS_OPEN_MAX + 3 == EVENTS_MAX);

/// What a coupon came with; never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// The code, without prefix and hyphens.
    pub code: Code,
    pub campaign: CampaignId,
    pub batch: BatchId,
    /// First instant at which it works.
    pub valid_from: Millis,
    /// First instant at which it no longer works, before anything happened to it.
    pub expires_at: Millis,
    pub zone: Zone,
    /// When its batch was created, or its line imported.
    pub created_at: Millis,
}

/// One coupon. Only [`crate::apply::apply`] and an import change its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coupon {
    genesis: Genesis,
    version: u64,
    modified_at: Millis,
    hold: Option<Hold>,
    events: Vec<Event>,
    state: State,
    expires_at: Millis,
    /// What `expires_at` returns to when the coupon is revoked: `valid_days` count from an issue.
    lasts_until: Millis,
    zone: Zone,
    issued_at: Option<Millis>,
}

impl Coupon {
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The code, without prefix and hyphens.
    pub fn code(&self) -> &Code {
        &self.genesis.code
    }

    /// 0 for a coupon without a row; every accepted change adds one.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// When it was changed last, or created.
    pub fn modified_at(&self) -> Millis {
        self.modified_at
    }

    /// The history, oldest first; at most [`EVENTS_MAX`].
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// First instant at which it no longer works.
    pub fn expires_at(&self) -> Millis {
        self.expires_at
    }

    /// The expiry without `valid_days`: its partition must stay until this instant.
    pub fn lasts_until(&self) -> Millis {
        self.lasts_until
    }

    /// The zone in which people read its last day.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The calendar day of its last millisecond, in its zone.
    pub fn expires_on(&self) -> Date {
        Date::last_of(self.expires_at, &self.zone)
    }

    /// When its present holder was issued it.
    pub fn issued_at(&self) -> Option<Millis> {
        self.issued_at
    }

    /// Whether its last millisecond has passed.
    pub fn is_expired(&self, now: Millis) -> bool {
        now >= self.expires_at
    }

    /// Who holds it, redeemed it, or held it when it was voided.
    pub fn holder(&self) -> Option<&UserId> {
        match &self.state {
            State::Available => None,
            State::Issued { holder } => Some(holder),
            State::Redeemed { redemption, .. } => redemption.by.as_ref(),
            State::Void { holder } => holder.as_ref(),
        }
    }

    /// The live redemption.
    pub fn redemption(&self) -> Option<&Redemption> {
        match &self.state {
            State::Redeemed { redemption, .. } => Some(redemption),
            State::Available | State::Issued { .. } | State::Void { .. } => None,
        }
    }

    /// The amounts of the redemption that an event of it made or cancelled.
    pub fn worth_of(&self, event: &Event) -> Option<RedemptionWorth> {
        match &event.kind {
            EventKind::Redeemed { worth, .. } => worth.as_deref().copied(),
            EventKind::RedemptionCancelled { order, .. } => self.redemption_of(order)?.worth,
            _ => None,
        }
    }

    /// The redemption that `order` made, live or cancelled. An order redeems a coupon at most once.
    pub fn redemption_of(&self, order: &OrderRef) -> Option<Redemption> {
        let mut found = None;
        for event in &self.events {
            match &event.kind {
                EventKind::Redeemed { by, order: redeemed, worth } if redeemed == order => {
                    found = Some(Redemption {
                        by: by.clone(),
                        order: order.clone(),
                        at: event.at,
                        worth: worth.as_deref().copied(),
                        cancelled_at: None,
                    });
                }
                EventKind::RedemptionCancelled { order: cancelled, .. } if cancelled == order => {
                    if let Some(redemption) = &mut found {
                        redemption.cancelled_at = Some(event.at);
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// The redemptions that were made at an instant, live or cancelled.
    pub fn redemptions_at(&self, at: Millis) -> impl Iterator<Item = Redemption> {
        let made = self.events.iter().filter(move |event| event.at == at);
        made.filter_map(move |event| match &event.kind {
            EventKind::Redeemed { order, .. } => self.redemption_of(order),
            _ => None,
        })
    }

    /// The hold as stored, lapsed or not.
    pub fn hold(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }

    /// The hold, if it has not lapsed.
    pub fn running_hold(&self, now: Millis) -> Option<&Hold> {
        self.hold.as_ref().filter(|hold| now < hold.until)
    }

    /// Which event, from 1, issued it to its holder; `None` if it was redeemed without an issue.
    pub fn issue_sequence(&self) -> Option<usize> {
        self.holder()?;
        let last = self.events.iter().rposition(|event| {
            matches!(event.kind, EventKind::Issued { .. } | EventKind::Revoked { .. })
        })?;
        // After a revoke, only a redemption without an issue makes a holder.
        matches!(self.events[last].kind, EventKind::Issued { .. }).then_some(last + 1)
    }

    /// The `issue_ref` of the issue to its present holder.
    pub fn issue_ref(&self) -> Option<&IssueRef> {
        match &self.events[self.issue_sequence()? - 1].kind {
            EventKind::Issued { reference, .. } => reference.as_ref(),
            _ => None,
        }
    }
}
