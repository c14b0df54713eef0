//! The coupon: what is stored, and what follows from it.
//!
//! A coupon is its *genesis* (the dates it came with), its *events* (what happened, in order) and
//! at most one *hold*. State, holder and expiry are what the events say: [`Coupon::of`] folds
//! them, and nothing else sets them, so there is no second copy that could disagree.
//! Expired, paused and a lapsed hold are facts about the clock or the campaign, never stored.

use crate::calendar::{Date, Zone};
use crate::code::Code;
use crate::ids::{
    Actor, BatchId, CampaignId, IssueRef, OperationId, OrderRef, Reason, RevokeRef, UserId,
};
use crate::time::Millis;

/// Most events of one coupon. A whole coupon stays under a few kilobytes, one page of any store.
pub const EVENTS_MAX: usize = 32;

/// With so many events a coupon accepts only what gives it back or kills it, so that a redeemed
/// coupon can always be cancelled, then revoked, then voided.
pub const EVENTS_OPEN_MAX: usize = 29;

const _: () = assert!(EVENTS_OPEN_MAX + 3 == EVENTS_MAX);

/// What a coupon is at the moment; see the module about what is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody holds it.
    Available,
    /// One user holds it.
    Issued {
        /// That user.
        holder: UserId,
    },
    /// It has its one live redemption.
    Redeemed {
        /// The redemption.
        redemption: Redemption,
        /// Who held it before, to whom it returns when the redemption is cancelled.
        holder_before: Option<UserId>,
    },
    /// It was killed unredeemed.
    Void {
        /// Who held it then: it still counts towards this user's limit.
        holder: Option<UserId>,
    },
}

impl State {
    /// `available`, `issued`, `redeemed` or `void`.
    pub fn as_str(&self) -> &'static str {
        match self {
            State::Available => "available",
            State::Issued { .. } => "issued",
            State::Redeemed { .. } => "redeemed",
            State::Void { .. } => "void",
        }
    }
}

/// One redemption, live or cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redemption {
    /// The user who redeemed; `None` only where an import did not say.
    pub by: Option<UserId>,
    /// The order it was redeemed for.
    pub order: OrderRef,
    /// When.
    pub at: Millis,
    /// When it was cancelled.
    pub cancelled_at: Option<Millis>,
}

/// A coupon kept for one order until a moment. It lapses by the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The user of the order.
    pub by: UserId,
    /// The order.
    pub order: OrderRef,
    /// The attempt that wrote it last.
    pub operation: OperationId,
    /// When this order took it first: the seven days count from here.
    pub since: Millis,
    /// First instant at which it is no longer kept.
    pub until: Millis,
}

/// What happened to a coupon, without when and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A user became the holder.
    Issued {
        /// The holder.
        to: UserId,
        /// The caller's name for the request.
        reference: Option<IssueRef>,
        /// Earlier expiry that counts from the issue (`valid_days`).
        expires_at: Option<Millis>,
    },
    /// It was redeemed.
    Redeemed {
        /// By whom; `None` only where an import did not say.
        by: Option<UserId>,
        /// For which order.
        order: OrderRef,
    },
    /// The live redemption was cancelled.
    RedemptionCancelled {
        /// Whose redemption it was.
        order: OrderRef,
        /// Why.
        reason: Option<Reason>,
    },
    /// It was taken back from its holder.
    Revoked {
        /// The holder it was taken from.
        from: UserId,
        /// The caller's name for the request.
        reference: Option<RevokeRef>,
        /// Why.
        reason: Option<Reason>,
    },
    /// It was killed.
    Voided {
        /// Why.
        reason: Option<Reason>,
    },
    /// It got a later expiry.
    Extended {
        /// The new expiry, exclusive.
        expires_at: Millis,
        /// The zone of the new expiry's calendar day.
        zone: Zone,
        /// Why.
        reason: Option<Reason>,
    },
}

/// One entry of a coupon's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it was accepted.
    pub at: Millis,
    /// Who did it.
    pub actor: Actor,
    /// The attempt that did it.
    pub operation: OperationId,
    /// What was done.
    pub kind: EventKind,
}

impl Event {
    /// The event's name on the wire.
    pub fn kind(&self) -> &'static str {
        match self.kind {
            EventKind::Issued { .. } => "issued",
            EventKind::Redeemed { .. } => "redeemed",
            EventKind::RedemptionCancelled { .. } => "redemption_cancelled",
            EventKind::Revoked { .. } => "revoked",
            EventKind::Voided { .. } => "voided",
            EventKind::Extended { .. } => "extended",
        }
    }

    /// The caller's name for it, or the reason where it has none.
    pub fn reference(&self) -> Option<&str> {
        match &self.kind {
            EventKind::Issued { reference, .. } => reference.as_ref().map(IssueRef::as_str),
            EventKind::Redeemed { order, .. } | EventKind::RedemptionCancelled { order, .. } => {
                Some(order.as_str())
            }
            EventKind::Revoked { reference: Some(reference), .. } => Some(reference.as_str()),
            EventKind::Revoked { reference: None, reason, .. }
            | EventKind::Voided { reason }
            | EventKind::Extended { reason, .. } => reason.as_ref().map(Reason::as_str),
        }
    }
}

/// What a coupon came with; never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// The code, bare.
    pub code: Code,
    /// The campaign it belongs to.
    pub campaign: CampaignId,
    /// The batch it came in.
    pub batch: BatchId,
    /// First instant at which it works.
    pub valid_from: Millis,
    /// First instant at which it no longer works, before anything happened to it.
    pub expires_at: Millis,
    /// The zone in which people read its dates.
    pub zone: Zone,
    /// When its batch was made, or its line imported.
    pub created_at: Millis,
}

/// One coupon. Its fields change only through [`crate::apply::apply`] and an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coupon {
    genesis: Genesis,
    version: u64,
    modified_at: Millis,
    hold: Option<Hold>,
    events: Vec<Event>,
    state: State,
    expires_at: Millis,
    /// What `expires_at` returns to when it is revoked: `valid_days` count from an issue.
    lasts_until: Millis,
    zone: Zone,
    issued_at: Option<Millis>,
}

impl Coupon {
    /// A coupon that nothing has happened to: version 0, no row in any store.
    pub fn untouched(genesis: Genesis) -> Coupon {
        Coupon {
            version: 0,
            modified_at: genesis.created_at,
            hold: None,
            events: Vec::new(),
            state: State::Available,
            expires_at: genesis.expires_at,
            lasts_until: genesis.expires_at,
            zone: genesis.zone.clone(),
            issued_at: None,
            genesis,
        }
    }

    /// The coupon that a store holds: the fold of its events. Cost: one step an event.
    pub fn of(
        genesis: Genesis,
        events: Vec<Event>,
        hold: Option<Hold>,
        version: u64,
        modified_at: Millis,
    ) -> Coupon {
        let mut coupon = Coupon::untouched(genesis);
        for event in events {
            coupon.step(event);
        }
        Coupon { hold, version, modified_at, ..coupon }
    }

    /// Appends one event and lets it take effect.
    fn step(&mut self, event: Event) {
        match &event.kind {
            EventKind::Issued { to, expires_at, .. } => {
                self.state = State::Issued { holder: to.clone() };
                self.issued_at = Some(event.at);
                self.expires_at = expires_at.unwrap_or(self.lasts_until).min(self.lasts_until);
            }
            EventKind::Redeemed { by, order } => {
                let redemption = Redemption {
                    by: by.clone(),
                    order: order.clone(),
                    at: event.at,
                    cancelled_at: None,
                };
                self.state = State::Redeemed { redemption, holder_before: self.holder().cloned() };
            }
            EventKind::RedemptionCancelled { .. } => {
                if let State::Redeemed { holder_before, .. } = &self.state {
                    self.state = match holder_before {
                        Some(holder) => State::Issued { holder: holder.clone() },
                        None => State::Available,
                    };
                }
            }
            EventKind::Revoked { .. } => {
                self.state = State::Available;
                self.issued_at = None;
                self.expires_at = self.lasts_until;
            }
            EventKind::Voided { .. } => self.state = State::Void { holder: self.holder().cloned() },
            EventKind::Extended { expires_at, zone, .. } => {
                self.expires_at = *expires_at;
                self.lasts_until = self.lasts_until.max(*expires_at);
                self.zone = zone.clone();
            }
        }
        self.events.push(event);
    }

    /// The coupon after `event`, one version later and without its hold unless that is `kept`.
    pub(crate) fn after(&self, event: Event, kept: Option<Hold>) -> Coupon {
        let mut coupon = self.clone();
        coupon.version += 1;
        coupon.modified_at = event.at;
        coupon.hold = kept;
        coupon.step(event);
        coupon
    }

    /// The coupon with `hold` in place of the one it has, one version later.
    pub(crate) fn with_hold(&self, hold: Option<Hold>, at: Millis) -> Coupon {
        let mut coupon = self.clone();
        coupon.version += 1;
        coupon.modified_at = at;
        coupon.hold = hold;
        coupon
    }

    /// What it came with.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The code, bare.
    pub fn code(&self) -> &Code {
        &self.genesis.code
    }

    /// 0 for a coupon without a row; every accepted change adds one.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// When it was changed last, or made.
    pub fn modified_at(&self) -> Millis {
        self.modified_at
    }

    /// The history, oldest first; at most [`EVENTS_MAX`].
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// What the events say.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// First instant at which it no longer works.
    pub fn expires_at(&self) -> Millis {
        self.expires_at
    }

    /// The latest instant its partition must stay for: the expiry without `valid_days`.
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

    /// When its present holder got it.
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

    /// The redemption that `order` made, live or cancelled. An order redeems a coupon once.
    pub fn redemption_of(&self, order: &OrderRef) -> Option<Redemption> {
        let mut found = None;
        for event in &self.events {
            match &event.kind {
                EventKind::Redeemed { by, order: redeemed } if redeemed == order => {
                    found = Some(Redemption {
                        by: by.clone(),
                        order: order.clone(),
                        at: event.at,
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

    /// The hold as it stands in the row, lapsed or not.
    pub fn hold(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }

    /// The hold, if it has not lapsed.
    pub fn running_hold(&self, now: Millis) -> Option<&Hold> {
        self.hold.as_ref().filter(|hold| now < hold.until)
    }

    /// Which of its events, from 1, gave it to its present holder; none where it was redeemed
    /// without having been issued.
    pub fn issue_sequence(&self) -> Option<usize> {
        self.holder()?;
        let last = self.events.iter().rposition(|event| {
            matches!(event.kind, EventKind::Issued { .. } | EventKind::Revoked { .. })
        })?;
        // Whoever has it since a revoke was never issued it.
        matches!(self.events[last].kind, EventKind::Issued { .. }).then_some(last + 1)
    }

    /// The `issue_ref` under which its present holder got it.
    pub fn issue_ref(&self) -> Option<&IssueRef> {
        match &self.events[self.issue_sequence()? - 1].kind {
            EventKind::Issued { reference, .. } => reference.as_ref(),
            _ => None,
        }
    }
}
